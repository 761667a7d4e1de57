//! Where due jobs come from. Says that one is likely there and takes it for a container; in front of the database it is
//! also told what became of a job, so that whoever waits at the outer queue hears of it. What becomes of a job is the
//! store's and the supervisor's business.
//!
//! Two kinds, of which a process has one: an enum and not a trait, because which one is a setting, and a type parameter
//! would go through every part of the supervisor.

pub mod bullmq;
mod embedded;
mod watch;

use std::collections::HashSet;
use std::time::Duration;

pub use bullmq::{BullMqConfig, BullMqQueue, RedisError};
pub use embedded::EmbeddedQueue;

use crate::domain::delivery::{Delivery, Retries};
use crate::domain::scan::{Job, Lease, ScanId, WorkerId};
use crate::domain::state::{Event, State, Transition};
use crate::store::{Ready, StoreError};

/// What hands out the jobs.
pub enum Queue {
    /// The database itself.
    Embedded(EmbeddedQueue),
    /// BullMQ's layout in Redis.
    BullMq(BullMqQueue),
}

/// What a claim came back with.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one per claim, moved at once")]
pub enum Claimed {
    /// Nothing is due.
    Nothing,
    /// A job for the container.
    Job(Lease),
    /// A delivered job whose holder is gone: it is to be taken over for this delivery, of which the lock is held. The
    /// container is still free.
    Orphan(ScanId, Delivery),
}

/// What the outer queue is told of an attempt, after the database has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// There is a result; the queue reads its small view from the database.
    Completed,
    /// There is none, and the job is not tried again.
    Failed {
        /// FAILED or TIMED_OUT.
        state: State,
        /// For the producer to read.
        reason: String,
    },
    /// There is none, and the job is tried again.
    Retried {
        /// For the producer to read.
        reason: String,
        /// Until then.
        delay: Duration,
    },
    /// The attempt does not count: released, or lost.
    GivenBack,
}

impl Settlement {
    /// What an edge means that ends an attempt; `None` for the others.
    #[must_use]
    pub fn of(transition: &Transition) -> Option<Self> {
        Some(match transition.event() {
            Event::Complete => Self::Completed,
            Event::Fail(failure) | Event::Refuse(failure) => {
                Self::Failed { state: transition.to(), reason: failure.reason() }
            }
            Event::Retry { failure, delay } => Self::Retried { reason: failure.reason(), delay: *delay },
            Event::Lose(_) | Event::Release => Self::GivenBack,
            Event::Claim | Event::Accept | Event::TakeOver | Event::Replay => return None,
        })
    }
}

/// Why there is no job, although one may be due.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis.
    #[error(transparent)]
    Redis(#[from] RedisError),
}

impl Queue {
    /// Waits until a job is likely to be claimable. May be dropped and called again at any time. Another worker may be
    /// faster at the claim.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn due(&self) -> Result<(), QueueError> {
        match self {
            Self::Embedded(queue) => Ok(queue.due().await?),
            Self::BullMq(queue) => Ok(queue.due().await?),
        }
    }

    /// How many jobs could be claimed now, counted up to a limit.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn due_count(&self, limit: usize) -> Result<usize, QueueError> {
        match self {
            Self::Embedded(queue) => Ok(queue.due_count(limit).await?),
            Self::BullMq(queue) => Ok(queue.due_count(limit).await?),
        }
    }

    /// Takes the next due job for a waiting container.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn claim(&self, container: &Ready) -> Result<Claimed, QueueError> {
        match self {
            Self::Embedded(queue) => Ok(queue.claim(container).await?.map_or(Claimed::Nothing, Claimed::Job)),
            Self::BullMq(queue) => queue.claim(container).await,
        }
    }

    /// Whether there is a queue in front of the database.
    #[must_use]
    pub const fn is_outer(&self) -> bool {
        matches!(self, Self::BullMq(_))
    }

    /// Whether the outer queue answers.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn ping(&self) -> Result<(), QueueError> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::BullMq(queue) => Ok(queue.ping().await?),
        }
    }

    /// Why an outer queue cannot be used, if so.
    #[must_use]
    pub fn silence(&self) -> Option<String> {
        match self {
            Self::Embedded(_) => None,
            Self::BullMq(queue) => queue.silence(),
        }
    }

    /// When a failed attempt at this job is tried again, where the outer queue's entry decides that; `None` leaves it to
    /// the job's row.
    pub async fn retries(&self, job: &Job) -> Option<Retries> {
        match self {
            Self::Embedded(_) => None,
            Self::BullMq(queue) => queue.retries(job).await,
        }
    }

    /// Tells how far a job has come. Whoever does not hear of it misses nothing that is not in the database.
    pub fn came_to(&self, job: &Job) {
        match self {
            Self::Embedded(_) => {}
            Self::BullMq(queue) => queue.came_to(job),
        }
    }

    /// Tells what became of an attempt. Called after the database has it, with the row as it was before; waits for nobody.
    pub fn settled(&self, job: &Job, settlement: Settlement) {
        match self {
            Self::Embedded(_) => {}
            Self::BullMq(queue) => queue.settled(job, settlement),
        }
    }

    /// A token for the lock of a delivery that is about to be taken over; `None` where there are no deliveries. It is
    /// taken by [`Self::adopt`], or forgotten by [`Self::let_go`].
    #[must_use]
    pub fn fresh_token(&self) -> Option<String> {
        match self {
            Self::Embedded(_) => None,
            Self::BullMq(queue) => Some(queue.fresh_token()),
        }
    }

    /// Takes the lock of a job's entry over, after the job was: from `dead`, whose locks begin with its id, or from nobody
    /// where the lock has run out. `job` is the row as it is now, with our token.
    pub fn adopt(&self, job: &Job, dead: Option<&WorkerId>) {
        match self {
            Self::Embedded(_) => {}
            Self::BullMq(queue) => queue.adopt(job, dead),
        }
    }

    /// The lock with this token is not kept any more: the job is somebody else's, or the token came to nothing.
    pub fn let_go(&self, token: &str) {
        match self {
            Self::Embedded(_) => {}
            Self::BullMq(queue) => queue.let_go(token),
        }
    }

    /// Lets the entry of a delivery come back after this time, without counting an attempt; at once for none.
    pub fn postpone(&self, delivery: &Delivery, delay: Duration) {
        match self {
            Self::Embedded(_) => {}
            Self::BullMq(queue) => queue.postpone(delivery, delay),
        }
    }

    /// Sees to the entries that these workers, all that are dead, had locked: those of no job at work are delivered again.
    pub async fn bury(&self, dead: &HashSet<WorkerId>) {
        match self {
            Self::Embedded(_) => {}
            Self::BullMq(queue) => queue.bury(dead).await,
        }
    }

    /// Ends what the queue has running; what Redis could not be told yet is tried for a moment. Whether nothing of this
    /// worker is left in Redis: else others have to see to it, for whom it has to count as dead.
    pub async fn close(&self) -> bool {
        match self {
            Self::Embedded(_) => true,
            Self::BullMq(queue) => queue.close().await,
        }
    }
}
