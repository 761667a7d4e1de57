//! BullMQ's layout in Redis as the queue in front of the database: an official producer, worker or dashboard on either
//! side notices nothing. The layout is BullMQ's, the Lua scripts are our own, one operation a file.
//!
//! Every settlement commits in the database first and in Redis second. What Redis misses by a crash or a lost
//! connection is made good when the entry is delivered again: [`course`](crate::domain::delivery::course) decides by the
//! row. Owns the connections, the locks of the entries that this worker has, and what Redis is still to be told.

pub mod consumer;
pub mod entry;
mod keeper;
mod keys;
pub mod link;
mod listener;
mod payload;
pub mod producer;
mod reconciler;
mod scheduler;
mod script;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

pub use keys::Keys;
pub use link::{Link, RedisConfig, RedisError};

use super::{Claimed, QueueError, Settlement};
use crate::domain::delivery::Retries;
use crate::domain::scan::{Job, WorkerId};
use crate::store::Store;
use consumer::Consumer;
use keeper::Keeper;
use listener::Listener;

/// How the queue is reached and kept to.
#[derive(Debug, Clone)]
pub struct BullMqConfig {
    /// Where Redis is.
    pub redis: RedisConfig,
    /// Name and key prefix of the queue.
    pub keys: Keys,
    /// How long the lock of an entry holds without renewal.
    pub lock: Duration,
    /// How often entries are looked for whose lock has run out.
    pub stalled_interval: Duration,
    /// How often an entry may stall before it is failed.
    pub max_stalled: u32,
}

/// Jobs of a BullMQ queue, for one worker.
pub struct BullMqQueue {
    store: Store,
    worker: WorkerId,
    consumer: Arc<Consumer>,
    listener: Listener,
    keeper: Keeper,
}

impl BullMqQueue {
    /// Connects, and starts what runs beside the attempts: the wait for markers, the renewal of locks, the check for
    /// stalled entries, the reconciler.
    ///
    /// # Errors
    /// Redis' first answer; later ones are waited for.
    pub async fn start(config: BullMqConfig, store: Store, worker: WorkerId) -> Result<Self, RedisError> {
        let _ = (config, store, worker);
        todo!("supervisor")
    }

    pub(super) async fn due(&self) -> Result<(), RedisError> {
        todo!("listener")
    }

    pub(super) async fn due_count(&self, limit: usize) -> Result<usize, RedisError> {
        let _ = limit;
        todo!("listener")
    }

    pub(super) async fn claim(&self, container: &str) -> Result<Claimed, QueueError> {
        let _ = container;
        todo!("supervisor")
    }

    pub(super) fn retries(&self, job: &Job) -> Option<Retries> {
        let _ = job;
        todo!("supervisor")
    }

    pub(super) async fn came_to(&self, job: &Job) {
        let _ = job;
        todo!("supervisor")
    }

    pub(super) async fn settled(&self, job: &Job, settlement: Settlement) {
        let _ = (job, settlement);
        todo!("supervisor")
    }

    pub(super) fn fresh_token(&self) -> String {
        self.keeper.fresh_token()
    }

    pub(super) async fn adopt(&self, job: &Job, dead: Option<&WorkerId>) {
        let _ = (job, dead, &self.store, &self.worker, &self.consumer, &self.listener);
        todo!("supervisor")
    }

    pub(super) async fn close(&self) {
        todo!("supervisor")
    }
}
