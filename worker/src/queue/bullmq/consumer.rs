//! What a worker does with entries: takes them, keeps their locks, says how far they have come, moves them out of
//! `active`. Each call is one script; nothing here knows the database.

use std::sync::Arc;
use std::time::Duration;

use super::entry::Entry;
use super::link::{Link, RedisError};

/// How an entry is taken and kept.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// The worker's name, written into the entry (`pb`).
    pub name: Option<String>,
    /// How long a lock holds.
    pub lock: Duration,
    /// Time between two stalled checks of the whole queue.
    pub stalled_interval: Duration,
    /// How often an entry may stall.
    pub max_stalled: u32,
}

/// What a take came back with.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// An entry, active now and locked with our token.
    Entry(Box<Entry>),
    /// Nothing to take now.
    Nothing {
        /// Until the next delayed entry is due, or the rate limit ends.
        next: Option<Duration>,
    },
}

/// What became of a move out of `active`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It is done.
    Done,
    /// The entry is not ours any more, or gone; nothing was changed. The code is BullMQ's (-1 to -9).
    Refused(i64),
}

/// What could be taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Entries that a take would give now, counted up to the limit that was asked for; 0 while paused or limited.
    pub due: usize,
    /// Until the next delayed entry is due, or the rate limit ends.
    pub next: Option<Duration>,
}

/// What became of a dead worker's locks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandedOver {
    /// Entries whose lock is ours now.
    pub ours: Vec<String>,
    /// Entries back at the front of `wait`.
    pub given_back: Vec<String>,
}

/// The operations of a worker.
pub struct Consumer {
    link: Arc<Link>,
    config: ConsumerConfig,
}

impl Consumer {
    /// Over a link.
    #[must_use]
    pub const fn new(link: Arc<Link>, config: ConsumerConfig) -> Self {
        Self { link, config }
    }

    /// The link.
    #[must_use]
    pub const fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// Promotes what is due and takes the next entry (moveToActive).
    ///
    /// # Errors
    /// [`RedisError`]; whether an entry was taken is not known when it did not answer.
    pub async fn take(&self, token: &str) -> Result<Taken, RedisError> {
        let _ = token;
        todo!("consumer")
    }

    /// Counts what could be taken, and promotes nothing.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn look(&self, limit: usize) -> Result<Look, RedisError> {
        let _ = limit;
        todo!("consumer")
    }

    /// Puts the marker back, if there is work: somebody who took it does not take the work.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn wake(&self) -> Result<(), RedisError> {
        todo!("consumer")
    }

    /// Ends an entry with a result (moveToFinished). `returnvalue` is JSON text.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn complete(&self, entry: &Entry, token: &str, returnvalue: &str) -> Result<Moved, RedisError> {
        let _ = (entry, token, returnvalue);
        todo!("consumer")
    }

    /// Ends an entry without one.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn fail(&self, entry: &Entry, token: &str, reason: &str) -> Result<Moved, RedisError> {
        let _ = (entry, token, reason);
        todo!("consumer")
    }

    /// Lets an entry be tried again, at once when `delay` is nothing; the attempt counts.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn retry(
        &self,
        entry: &Entry,
        token: &str,
        reason: &str,
        delay: Duration,
    ) -> Result<Moved, RedisError> {
        let _ = (entry, token, reason, delay);
        todo!("consumer")
    }

    /// Lets an entry come back after a while; no attempt is counted.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn postpone(&self, id: &str, token: &str, delay: Duration) -> Result<Moved, RedisError> {
        let _ = (id, token, delay);
        todo!("consumer")
    }

    /// Puts an entry back to the front of `wait`; no attempt is counted, and none as stalled.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn give_back(&self, id: &str, token: &str) -> Result<Moved, RedisError> {
        let _ = (id, token);
        todo!("consumer")
    }

    /// Prolongs locks, given as id and token; the ids whose lock is not ours any more come back.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn extend(&self, held: &[(String, String)]) -> Result<Vec<String>, RedisError> {
        let _ = held;
        todo!("consumer")
    }

    /// Writes how far an entry has come (`progress`, JSON text) and one line of its log, keeping as many lines as the
    /// entry asks for.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn came_to(&self, entry: &Entry, progress: &str, line: &str) -> Result<(), RedisError> {
        let _ = (entry, progress, line);
        todo!("consumer")
    }

    /// An entry as it is now; `None` when it is gone.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn read(&self, id: &str) -> Result<Option<Entry>, RedisError> {
        let _ = id;
        todo!("consumer")
    }

    /// Replaces, in one script, the locks of active entries whose token begins with `prefix` (`<worker id>:`): by the
    /// tokens in `mine` (id and token; also where the entry has no lock any more), leaves those in `leave` (ids) and
    /// those whose whole token is in `spare` alone, and puts all others back to the front of `wait`, not counted as
    /// stalled.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn hand_over(
        &self,
        prefix: &str,
        mine: &[(String, String)],
        leave: &[String],
        spare: &[String],
    ) -> Result<HandedOver, RedisError> {
        let _ = (prefix, mine, leave, spare);
        todo!("consumer")
    }

    /// Looks for entries whose worker has let their lock run out, unless somebody did so within the interval; their ids.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn check_stalled(&self) -> Result<Vec<String>, RedisError> {
        todo!("consumer")
    }
}
