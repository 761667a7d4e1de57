//! What a producer does: adds entries, and counts them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::link::{Link, RedisError};

/// An entry to be added. `opts` are BullMQ's, with their long names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewEntry {
    /// The job's name, `scan`.
    pub name: String,
    /// The payload.
    pub data: Value,
    /// Its id; `None` takes the queue's next number.
    pub id: Option<String>,
    /// attempts, backoff, delay, priority, lifo, removeOnComplete, removeOnFail, keepLogs, deduplication, …
    pub opts: Map<String, Value>,
}

/// What became of an addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It is there.
    New(String),
    /// An entry with this id was there before, or one with the same deduplication id.
    Before(String),
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It was added.
    Added,
    /// The entry was there and had ended; it runs again.
    Again,
    /// It is there and will run.
    There,
}

/// How many entries are in which state, as the clients' `getJobCounts` says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// In `wait` and in the older `paused`.
    pub waiting: u64,
    /// At work.
    pub active: u64,
    /// For later.
    pub delayed: u64,
    /// Waiting with a priority.
    pub prioritized: u64,
    /// Parents that wait for their children.
    pub waiting_children: u64,
    /// Kept ones with a result.
    pub completed: u64,
    /// Kept ones without.
    pub failed: u64,
    /// Nothing is handed out.
    pub paused: bool,
}

/// The operations of a producer.
pub struct Producer {
    link: Arc<Link>,
}

impl Producer {
    /// Over a link.
    #[must_use]
    pub const fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// Adds entries, one after the other; the answers are in their order.
    ///
    /// # Errors
    /// [`RedisError`]; those before it are added.
    pub async fn add(&self, entries: &[NewEntry]) -> Result<Vec<Added>, RedisError> {
        let _ = (entries, &self.link);
        todo!("producer")
    }

    /// Makes sure that an entry with a custom id runs: adds it, or lets it run again when it had ended.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn offer(&self, entry: &NewEntry) -> Result<Offered, RedisError> {
        let _ = entry;
        todo!("producer")
    }

    /// Counts.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn counts(&self) -> Result<Counts, RedisError> {
        todo!("producer")
    }

    /// The `data.jobId` of all entries that wait, are delayed, prioritized or active; `None` when there are more than the
    /// limit.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn waiting_jobs(&self, limit: usize) -> Result<Option<HashSet<String>>, RedisError> {
        let _ = limit;
        todo!("producer")
    }

    /// Makes the next iteration of the scheduler that this entry belongs to, if it has one (`rjk`): whoever takes an
    /// iteration makes the next.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn next_iteration(&self, entry: &super::entry::Entry, now: Duration) -> Result<(), RedisError> {
        let _ = (entry, now);
        todo!("producer")
    }
}
