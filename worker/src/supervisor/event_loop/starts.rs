//! How attempts begin for due rows, and containers that wait for some.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Beginning, Done, Loop, Order, Phase, Signal};
use crate::sandbox::Sandbox;

/// How long rows are left alone that the attempts under way will take.
const PARKED: Duration = Duration::from_millis(50);

impl<S: Sandbox> Loop<S> {
    /// Starts attempts for due rows; with none to start, looks again only when something has changed. Of these rows some
    /// may have been counted before they were claimed.
    pub(super) fn start(&mut self, rows: usize, claimed_since: usize) {
        let starts = self.slots.on(Signal::Due(rows.saturating_sub(claimed_since)));
        if starts == 0 && claimed_since == 0 {
            self.parked_until = Some(Instant::now() + PARKED);
        }
        for _ in 0..starts {
            let waiting = self.pool.call(Instant::now());
            if self.shared.config.pool.max > 0 {
                self.shared.metrics.pool_asked(waiting.is_some());
            }
            match waiting {
                Some(attempt) => self.under_way.call(attempt),
                None => self.under_way.start(Beginning::FreeSlot),
            }
        }
    }

    /// Makes a container for the pool where one is wanted and scans could start, and throws away what is too many.
    pub(super) fn refill(&mut self) {
        self.refill_at = None;
        let now = Instant::now();
        while let Some(attempt) = self.pool.surplus(now) {
            self.under_way.order(attempt, Order::Drain);
        }
        let (_, without_job, scanning) = self.slots.counts();
        // A job that is due comes first, whether its container waited or is made now.
        if self.slots.is_well() && without_job == 0 {
            match self.pool.next_at(now, scanning > 0) {
                Some(moment) if moment <= now => {
                    let attempt = self.under_way.start_to_wait();
                    self.pool.began(attempt, now);
                }
                later => self.refill_at = later,
            }
        }
        self.shared.metrics.pool(self.pool.counts());
    }

    /// Writes containers down before anybody wants one.
    pub(super) fn oblige_ahead(&mut self) {
        let none = self.shared.config.ahead == 0 || self.phase != Phase::Running;
        if none || std::mem::replace(&mut self.obliging, true) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.chores.spawn(async move {
            // Whoever wants one and finds none writes it down by itself, and tells of what is in the way.
            let _ = shared.oblige_ahead().await;
            Done::Obliged
        });
    }
}
