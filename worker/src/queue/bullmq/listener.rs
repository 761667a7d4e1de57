//! Waits for work: looks, and waits for the marker on a connection of its own.
//!
//! **Why no wake-up is lost.** Whoever waits says so first and looks then. An entry that could be taken before that look
//! is seen by it. For one that comes later a marker is put, by whoever adds it or makes room for it; the task here waits
//! for markers for as long as somebody waits, looks after each, and tells all who wait. Where a marker is missing
//! nevertheless (its bearer died) the task looks every [`BLOCK`], as BullMQ's own workers do, and who waits looks for
//! himself when the next delayed entry is due.
//!
//! **Why nobody else's is.** A marker wakes one worker and is gone. Whoever takes an entry puts it back; so the task puts
//! it back where nobody did: when nobody waits here any more, when those who were told have not come to a take after
//! [`HAND`], and when a connection ended that a marker may have been on its way to.

mod ear;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::consumer::Consumer;
use super::link::{RedisError, Standing};
use ear::Ear;

/// How long Redis holds an unanswered wait: BullMQ's `drainDelay`. Whole seconds, which Redis 5 wants; entries that are
/// due earlier are waited for by our own clock.
const BLOCK: Duration = Duration::from_secs(5);

/// How long those who were told have to take something before the marker is put back.
const HAND: Duration = Duration::from_millis(50);

/// The longest that anybody waits without looking for himself, and the longest wait of BullMQ's workers.
const LONGEST: Duration = Duration::from_secs(10);

/// The wait for work. One task owns the connection; whoever waits hears of it, and may stop waiting at any time without a
/// marker being lost.
pub(super) struct Listener {
    consumer: Arc<Consumer>,
    room: Arc<Room>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Where those who wait and the task meet.
struct Room {
    /// How many wait.
    waiting: watch::Sender<usize>,
    /// What the last look saw.
    news: watch::Sender<News>,
    closed: watch::Sender<bool>,
}

/// What a look saw, for those who wait.
#[derive(Debug, Clone, Copy, Default)]
struct News {
    due: bool,
    next: Option<Instant>,
}

/// One who waits, until it is dropped.
struct Place<'a>(&'a Room);

impl<'a> Place<'a> {
    fn take(room: &'a Room) -> Self {
        room.waiting.send_modify(|waiting| *waiting += 1);
        Self(room)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

impl Listener {
    /// Starts the task.
    pub(super) fn start(consumer: Arc<Consumer>) -> Self {
        let room = Arc::new(Room {
            waiting: watch::Sender::new(0),
            news: watch::Sender::new(News::default()),
            closed: watch::Sender::new(false),
        });
        let task = tokio::spawn(Ear::new(consumer.clone(), room.clone()).listen());
        Self { consumer, room, task: Mutex::new(Some(task)) }
    }

    /// Waits until something could be taken.
    pub(super) async fn due(&self) -> Result<(), RedisError> {
        let _place = Place::take(&self.room);
        let mut news = self.room.news.subscribe();
        loop {
            news.mark_unchanged();
            let look = self.consumer.look(1).await?;
            if look.due > 0 || heard(&mut news, Instant::now() + look.next.unwrap_or(LONGEST)).await {
                return Ok(());
            }
        }
    }

    /// How many entries could be taken now, counted up to a limit.
    pub(super) async fn due_count(&self, limit: usize) -> Result<usize, RedisError> {
        Ok(self.consumer.look(limit).await?.due)
    }

    /// Ends the task.
    pub(super) async fn close(&self) {
        self.room.closed.send_replace(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // It ends by itself within the deadline of one call; a panic in it has been reported.
            let _ = task.await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.room.closed.send_replace(true);
    }
}

/// Waits for news of something due, until it is time for a look of one's own.
async fn heard(news: &mut watch::Receiver<News>, until: Instant) -> bool {
    let mut until = until.min(Instant::now() + LONGEST);
    loop {
        tokio::select! {
            // The sender lives as long as the room, which the caller holds.
            _ = news.changed() => {
                let news = *news.borrow_and_update();
                if news.due {
                    return true;
                }
                until = news.next.map_or(until, |next| next.min(until));
            }
            () = sleep_until(until) => return false,
        }
    }
}
