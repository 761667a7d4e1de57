//! BullMQ's layout in Redis as the queue in front of the database: an official producer, worker or dashboard on either
//! side notices nothing. The layout is BullMQ's, the Lua scripts are our own, one operation a file.
//!
//! Every settlement commits in the database first and in Redis second. What Redis misses by a crash or a lost
//! connection is made good when the entry is delivered again: [`course`](crate::domain::delivery::course) decides by the
//! row. Owns the connections, the locks of the entries that this worker has, and what Redis is still to be told.

pub mod consumer;
pub mod entry;
mod intake;
mod keeper;
mod keys;
pub mod link;
mod listener;
pub(crate) mod payload;
pub mod producer;
mod reconciler;
pub(crate) mod scheduler;
mod script;
mod teller;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::debug;

pub use keys::Keys;
pub use link::{Link, RedisConfig, RedisError};

use super::Settlement;
use crate::domain::delivery::{Delivery, Retries};
use crate::domain::scan::{Job, WorkerId};
use crate::store::Store;
use consumer::{Consumer, ConsumerConfig};
use keeper::Keeper;
use listener::Listener;
use producer::Producer;
use teller::{News, Teller, told_given_back};

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
    /// A row at work that nobody ever leased counts as held for this long.
    pub unleased_after: Duration,
}

/// Jobs of a BullMQ queue, for one worker.
pub struct BullMqQueue {
    store: Store,
    worker: WorkerId,
    unleased_after: Duration,
    consumer: Arc<Consumer>,
    producer: Arc<Producer>,
    listener: Listener,
    keeper: Arc<Keeper>,
    teller: Teller,
    reconciling: Mutex<Option<JoinHandle<()>>>,
    /// Dead workers of which nothing is left in Redis.
    buried: Mutex<HashSet<WorkerId>>,
}

impl BullMqQueue {
    /// Connects, and starts what runs beside the attempts: the wait for markers, the renewal of locks, the check for
    /// stalled entries, the reconciler.
    ///
    /// # Errors
    /// Redis' first answer; later ones are waited for.
    pub async fn start(config: BullMqConfig, store: Store, worker: WorkerId) -> Result<Self, RedisError> {
        let BullMqConfig { redis, keys, lock, stalled_interval, max_stalled, unleased_after } = config;
        let name = Some(redis.name.clone());
        let link = Arc::new(Link::new(&redis, keys)?);
        let settings = ConsumerConfig { name, lock, stalled_interval, max_stalled };
        let consumer = Arc::new(Consumer::new(Arc::clone(&link), settings));
        consumer.look(1).await?;
        let producer = Arc::new(Producer::new(link));
        let keeper = Arc::new(Keeper::start(worker.clone(), Arc::clone(&consumer)));
        let (told, from) = (Arc::clone(&consumer), Arc::clone(&keeper));
        Ok(Self {
            listener: Listener::start(Arc::clone(&consumer)),
            teller: Teller::start(store.clone(), told, from),
            reconciling: Mutex::new(Some(reconciler::start(store.clone(), Arc::clone(&producer)))),
            store,
            worker,
            unleased_after,
            consumer,
            producer,
            keeper,
            buried: Mutex::default(),
        })
    }

    pub(super) async fn due(&self) -> Result<(), RedisError> {
        self.listener.due().await
    }

    pub(super) async fn due_count(&self, limit: usize) -> Result<usize, RedisError> {
        self.listener.due_count(limit).await
    }

    pub(super) async fn ping(&self) -> Result<(), RedisError> {
        self.consumer.look(1).await.map(|_| ())
    }

    /// Asked of Redis where the lock is not ours yet; where nobody answers, the row decides.
    pub(super) async fn retries(&self, job: &Job) -> Option<Retries> {
        let delivery = job.delivery.as_ref()?;
        if let Some((entry, _)) = self.keeper.kept(&delivery.token) {
            return Some(entry.retries);
        }
        let read = self.consumer.read(&delivery.id).await.ok().flatten();
        read.map(|entry| entry.retries)
    }

    /// The keeper sees to it that this is seconds old at most.
    pub(super) fn silence(&self) -> Option<String> {
        match &*self.consumer.link().standing().borrow() {
            link::Standing::Answers => None,
            link::Standing::Silent { reason, .. } => Some(reason.clone()),
        }
    }

    pub(super) fn came_to(&self, job: &Job) {
        self.teller.tell(News::CameTo(job.clone()));
    }

    pub(super) fn settled(&self, job: &Job, settlement: Settlement) {
        self.teller.tell(News::Settled(job.clone(), settlement));
    }

    pub(super) fn fresh_token(&self) -> String {
        self.keeper.fresh_token()
    }

    pub(super) fn adopt(&self, job: &Job, dead: Option<&WorkerId>) {
        self.teller.tell(News::Adopted(job.clone(), dead.cloned()));
    }

    pub(super) fn let_go(&self, token: &str) {
        self.keeper.forget(token);
    }

    pub(super) fn postpone(&self, delivery: &Delivery, delay: Duration) {
        self.teller.tell(News::Postponed(delivery.clone(), delay));
    }

    /// Once for each, and again while a lock of it has to be left to the job that it belongs to: whoever takes that job
    /// over takes the lock, and may die before.
    pub(super) async fn bury(&self, dead: &HashSet<WorkerId>) {
        let unburied: Vec<_> = {
            let mut buried = self.buried.lock().unwrap_or_else(PoisonError::into_inner);
            // One that was heard of again may die again.
            buried.retain(|worker| dead.contains(worker));
            dead.difference(&buried).cloned().collect()
        };
        if unburied.is_empty() {
            return;
        }
        let Ok(leave) = self.store.deliveries_at_work().await else { return };
        for worker in unburied {
            match self.consumer.hand_over(&format!("{worker}:"), &[], &leave, &[]).await {
                Ok(handed) => {
                    told_given_back(&handed.given_back);
                    if handed.left == 0 {
                        self.buried.lock().unwrap_or_else(PoisonError::into_inner).insert(worker);
                    }
                }
                Err(error) => return debug!(%error, "the locks of a dead worker have to wait"),
            }
        }
    }

    pub(super) async fn close(&self) -> bool {
        let reconciling = self.reconciling.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reconciling) = reconciling {
            reconciling.abort();
            let _ = reconciling.await;
        }
        let told = self.teller.close().await;
        let kept = self.keeper.close().await;
        self.listener.close().await;
        told && kept
    }
}
