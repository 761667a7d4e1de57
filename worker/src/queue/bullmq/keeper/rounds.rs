//! What the keeper does again and again, each in a task of its own: a call that waits for Redis holds up no other.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::Desk;
use super::book::Book;
use super::owed::Owed;
use crate::queue::bullmq::consumer::{Held, Moved};
use crate::queue::bullmq::link::{Backoff, RedisError, Standing};

/// How often Redis is asked when nothing else asks it: a connection that is idle for longer is forgotten by some networks,
/// and who waits for Redis wants to know that it is gone.
const IDLE: Duration = Duration::from_secs(10);

/// How often it is asked while it is away; how often it is dialled the connection decides.
const AWAY: Duration = Duration::from_secs(1);

/// Starts all of them.
pub(super) fn start(desk: &Arc<Desk>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let of = || desk.clone();
    let (renewing, checking, settling, telling, seeking) = (of(), of(), of(), of(), of());
    tasks.spawn(async move { renewing.renew().await });
    tasks.spawn(async move { checking.check().await });
    tasks.spawn(async move { settling.settle().await });
    tasks.spawn(async move { telling.tell_standing().await });
    tasks.spawn(async move { seeking.seek_strays().await });
    tasks
}

impl Desk {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_away(&self) -> bool {
        matches!(*self.consumer.link().standing().borrow(), Standing::Silent { .. })
    }

    /// Renews all locks. A quarter of a lock's time leaves three more tries before it runs out, and costs one small script;
    /// BullMQ's own workers renew as often.
    async fn renew(&self) {
        let usual = (self.consumer.config().lock / 4).min(IDLE);
        loop {
            // An error is told once for all calls, by the standing of the connection.
            let _ = self.renew_once().await;
            sleep(if self.is_away() { usual.min(AWAY) } else { usual }).await;
        }
    }

    async fn renew_once(&self) -> Result<(), RedisError> {
        let held = self.book().held();
        if held.is_empty() {
            return self.consumer.link().probe().await;
        }
        let lost = self.consumer.extend(&held).await?;
        for Held { id, token, .. } in held.iter().filter(|held| lost.contains(&held.id)) {
            // It may just have been told to Redis what became of it.
            if !self.debts.has(id) && self.book().lose(token) {
                warn!(entry.id = %id, "the lock of an entry is not ours any more; the scan goes on, its row decides");
            }
        }
        Ok(())
    }

    async fn seek_strays(&self) {
        loop {
            self.strays.notified().await;
            while !self.book().strays().is_empty() {
                let _ = self.look_for_strays().await;
                sleep(AWAY).await;
            }
        }
    }

    /// The same until none is left, as soon as Redis answers: a call that fails because it was away a moment ago says
    /// nothing about now.
    pub(super) async fn look_for_all_strays(&self) {
        let (mut backoff, mut standing) = (Backoff::default(), self.consumer.link().standing());
        while !self.book().strays().is_empty() {
            standing.mark_unchanged();
            let _ = self.look_for_strays().await;
            tokio::select! {
                () = sleep(backoff.next()) => {}
                _ = standing.changed() => {}
            }
        }
    }

    /// Gives back what is locked by us and nobody here works on. One token at a time: each names one lock, whatever else
    /// is taken meanwhile.
    async fn look_for_strays(&self) -> Result<(), RedisError> {
        let strays = self.book().strays();
        for token in strays {
            let at = Instant::now();
            let handed = self.consumer.hand_over(&token, &[], &[], &[]).await?;
            for id in &handed.given_back {
                info!(entry.id = %id, "gave an entry back that nobody here works on");
            }
            self.book().looked_for(&token, at);
        }
        Ok(())
    }

    /// Looks for entries whose workers let their locks run out, at the start as well.
    async fn check(&self) {
        let interval = self.consumer.config().stalled_interval;
        loop {
            match self.consumer.check_stalled().await {
                Ok(stalled) => {
                    for id in &stalled {
                        warn!(entry.id = %id, "an entry was left by its worker; it goes back to the front");
                    }
                    sleep(interval).await;
                }
                Err(_) => sleep(interval.min(AWAY)).await,
            }
        }
    }

    /// Tells what is owed until it is answered.
    async fn settle(&self) {
        loop {
            self.debts.left().await;
            self.settle_all().await;
        }
    }

    /// Tells all that is owed, again and again.
    pub(super) async fn settle_all(&self) {
        let mut backoff = Backoff::default();
        let mut standing = self.consumer.link().standing();
        while self.debts.len() > 0 {
            standing.mark_unchanged();
            match self.debts.tell_all(&self.consumer, |owed, moved| self.answered(owed, moved)).await {
                // What is left somebody else is telling.
                Ok(()) if self.debts.len() > 0 => sleep(backoff.next()).await,
                Ok(()) => {}
                Err(error) => {
                    let lasting = !error.is_transient();
                    let reason = error.one_line();
                    debug!(reason, lasting, owed = self.debts.len(), "Redis is still to be told");
                    tokio::select! {
                        () = sleep(backoff.next()) => {}
                        // It has just come back.
                        _ = standing.changed() => {}
                    }
                }
            }
        }
    }

    pub(super) async fn tell(&self, owed: Owed) {
        let (id, token) = (owed.id().to_owned(), owed.token().to_owned());
        let held = self.book().holding(&token);
        if let Some(moved) = self.debts.tell(owed, held, &self.consumer).await {
            self.heard(&id, &token, moved);
        }
    }

    fn answered(&self, owed: &Owed, moved: Moved) {
        self.heard(owed.id(), owed.token(), moved);
    }

    fn heard(&self, id: &str, token: &str, moved: Moved) {
        if let Moved::Refused(code) = moved {
            debug!(entry.id = %id, code, "Redis has the entry with somebody else, or not any more");
        }
        self.book().settled(token);
    }

    /// One line when Redis goes, one when it is back.
    async fn tell_standing(&self) {
        let mut standing = self.consumer.link().standing();
        let mut gone: Option<Instant> = None;
        loop {
            let seen = standing.borrow_and_update().clone();
            match (seen, gone) {
                (Standing::Silent { reason, since }, None) => {
                    warn!(reason, "Redis cannot be used; scans go on, no entry is taken until it is back");
                    gone = Some(since);
                }
                (Standing::Answers, Some(since)) => {
                    let gone_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                    info!(gone_ms, owed = self.debts.len(), "Redis is back");
                    gone = None;
                }
                (Standing::Silent { .. }, Some(_)) | (Standing::Answers, None) => {}
            }
            if standing.changed().await.is_err() {
                return;
            }
        }
    }
}
