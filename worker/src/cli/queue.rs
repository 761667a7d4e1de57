//! The queue in Redis, for the commands that put jobs into it or look at it.
//!
//! The database has a job before Redis hears of it, so Redis' silence is told and ends no command: the rows stand, and a
//! worker adds to the queue what it misses.

use std::sync::Arc;

use super::bullmq;
use super::output::plain;
use crate::config::Settings;
use crate::domain::scan::Job;
use crate::queue::bullmq::producer::{NewEntry, Producer, ProducerError};
use crate::queue::bullmq::{BullMqConfig, Link};

/// The connection to the queue in Redis, made when it is first used; `None` where the database alone hands out the jobs.
pub(super) fn link(settings: &Settings) -> anyhow::Result<Option<Arc<Link>>> {
    let Some(BullMqConfig { redis, keys, .. }) = bullmq::config(settings, "safeurl")? else {
        return Ok(None);
    };
    Ok(Some(Arc::new(Link::new(&redis, keys)?)))
}

/// Tells Redis of jobs that the database has, and remembers what it did not hear.
pub(super) struct Outer {
    producer: Option<Producer>,
    untold: u64,
    why: Option<ProducerError>,
}

impl Outer {
    /// By the settings; without Redis it has nothing to tell.
    ///
    /// # Errors
    /// [`RedisError::Address`].
    pub(super) fn of(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self { producer: link(settings)?.map(Producer::new), untold: 0, why: None })
    }

    /// Whether there is anybody to tell.
    pub(super) const fn is_there(&self) -> bool {
        self.producer.is_some()
    }

    /// Adds entries. After a failure the rest is left to the workers: each call may take as long as the first.
    pub(super) async fn add(&mut self, entries: Vec<NewEntry>) {
        let Some(producer) = &self.producer else { return };
        let count = entries.len() as u64;
        if self.why.is_none() {
            self.why = producer.add(&entries).await.err();
        }
        if self.why.is_some() {
            self.untold += count;
        }
    }

    /// Lets a job that is queued again run: by the entry that it had, or else by one of its own. `job` is its row from
    /// before.
    pub(super) async fn again(&mut self, job: &Job) {
        let Some(producer) = &self.producer else { return };
        if self.why.is_none() {
            self.why = offered(producer, job).await.err();
        }
        if self.why.is_some() {
            self.untold += 1;
        }
    }

    /// Says on stderr what Redis did not hear, and what becomes of it.
    pub(super) fn tell(&self) {
        let Some(why) = &self.why else { return };
        let causes = std::iter::successors(Some(why as &dyn std::error::Error), |error| error.source());
        let mut causes: Vec<_> = causes.map(ToString::to_string).collect();
        causes.dedup();
        let jobs = if self.untold == 1 { "1 job".to_owned() } else { format!("{} jobs", self.untold) };
        eprintln!("warning: Redis was not told of {jobs}: {}", plain(&causes.join(": ")));
        eprintln!(
            "hint: the database has them, so do not submit them again; a worker adds them to the queue a minute or two \
             after it reaches Redis"
        );
    }
}

async fn offered(producer: &Producer, job: &Job) -> Result<(), ProducerError> {
    if let Some(delivery) = &job.delivery
        && producer.rerun(&delivery.id, &job.id).await?.is_some()
    {
        return Ok(());
    }
    let entry = NewEntry::scan(&job.id, &job.user, &job.url, job.max_attempts).with_priority(job.priority);
    producer.offer(&entry).await.map(drop)
}
