//! What a producer does: adds entries, lets ended ones run again, and counts them.
//!
//! Nothing here writes `version` into the queue's `meta`: whoever stands there made the queue, and readers take its major
//! version for how a paused queue is kept.

pub(crate) mod answer;
mod opts;

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::link::{Link, RedisError};
use super::script::{Operation, operation};
use crate::domain::scan::ScanId;
pub(super) use answer::Answer;
use opts::Fields;
pub(super) use opts::Stored;

static ADD: LazyLock<Operation> =
    LazyLock::new(|| operation!("add", "marker", "place", "store", "entry", "states", "deduplication"));
static OFFER: LazyLock<Operation> =
    LazyLock::new(|| operation!("offer", "marker", "place", "store", "entry", "states", "reprocess"));
static RERUN: LazyLock<Operation> =
    LazyLock::new(|| operation!("rerun", "marker", "place", "entry", "reprocess"));
static COUNTS: LazyLock<Operation> = LazyLock::new(|| operation!("counts", "states"));
static WAITING: LazyLock<Operation> = LazyLock::new(|| operation!("waiting", "states"));
static JOBS: LazyLock<Operation> = LazyLock::new(|| operation!("jobs", "entry"));

/// Entries that go to Redis in one call, which carries them out before anybody else's: about a millisecond.
const AT_ONCE: usize = 100;

/// Bytes that go to Redis in one call; an entry may be larger by itself.
const BYTES_AT_ONCE: usize = 1 << 20;

/// Entries whose data is read in one call.
const READ_AT_ONCE: usize = 500;

/// The first wait between two attempts at a scan that this program adds, in milliseconds; it doubles each time.
const BACKOFF_MS: u64 = 2000;

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

/// Why an entry is not sent: BullMQ's own producers refuse it too, or could not be read by its workers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The id has a form that the queue keeps for itself.
    #[error("the entry's id {id:?} {why}")]
    Id {
        /// The id.
        id: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An option has a value that it cannot have.
    #[error("the entry's option {name} is {found}, but has to be {wanted}")]
    Option {
        /// Its long name.
        name: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        wanted: &'static str,
    },
}

/// Why entries were not added.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// Redis; those before it are added.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// An entry is not fit to be added; none was sent.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

/// What became of an addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It is there.
    New(String),
    /// An entry with this id was there before, or one with the same deduplication id.
    Before(String),
    /// Its parent is not there (-5); nothing was added.
    NoParent,
    /// An entry with this id belongs to another living parent (-7); nothing was changed.
    OtherParent(String),
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It was added.
    Added,
    /// The entry was there and had ended; it runs again.
    Again,
    /// It was there, but in no list, so that nobody would have taken it; it waits now.
    Found,
    /// It is there and will run.
    There,
}

/// How many entries are in which state, as the clients' `getJobCounts` says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
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

impl NewEntry {
    /// The entry of a scan: its id is made from the scan's, so that it can be offered again without being doubled. A
    /// failed attempt is tried again after an exponential wait with full jitter.
    #[must_use]
    pub fn scan(id: &ScanId, user: &str, url: &str, attempts: u32) -> Self {
        let opts = json!({
            "attempts": attempts,
            "backoff": {"type": "exponential", "delay": BACKOFF_MS, "jitter": 1},
        });
        Self {
            name: "scan".to_owned(),
            data: json!({"jobId": id.as_str(), "url": url, "userId": user}),
            id: Some(opts::id_of(id)),
            opts: opts.as_object().cloned().unwrap_or_default(),
        }
    }

    /// The same, with its place among the prioritized; 0 is none. A place before the first or behind the last that the
    /// queue has is that one.
    #[must_use]
    pub fn with_priority(mut self, priority: i64) -> Self {
        let priority = u64::try_from(priority).unwrap_or(0).min(opts::LAST_PRIORITY);
        if priority != 0 {
            self.opts.insert("priority".to_owned(), json!(priority));
        }
        self
    }

    /// The same, not to be run before this has passed.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        if !delay.is_zero() {
            self.opts.insert("delay".to_owned(), json!(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)));
        }
        self
    }
}

impl Producer {
    /// Over a link.
    #[must_use]
    pub const fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// Over which link.
    pub(super) const fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Adds entries, one after the other; the answers are in their order.
    ///
    /// # Errors
    /// [`ProducerError`].
    pub async fn add(&self, entries: &[NewEntry]) -> Result<Vec<Added>, ProducerError> {
        let now = now_ms();
        let stored = entries.iter().map(|entry| Stored::of(entry, now)).collect::<Result<Vec<_>, _>>()?;
        let mut added = Vec::with_capacity(entries.len());
        let mut left = stored.as_slice();
        while !left.is_empty() {
            let (block, rest) = left.split_at(block(left));
            left = rest;
            let fields: Vec<Fields> = block.iter().map(Stored::fields).collect();
            let arguments: Vec<&str> = fields.iter().flatten().map(String::as_str).collect();
            let mut answer = Answer::to(&self.link, &ADD, &arguments).await?;
            answer.expect("done")?;
            for _ in block {
                added.push(match (answer.text()?.as_str(), answer.text()?) {
                    ("new", id) => Added::New(id),
                    ("before", id) => Added::Before(id),
                    ("no-parent", _) => Added::NoParent,
                    ("other-parent", id) => Added::OtherParent(id),
                    (other, _) => return Err(answer.wrong(other).into()),
                });
            }
        }
        Ok(added)
    }

    /// Makes sure that an entry with a custom id runs: adds it, or lets it run again when it had ended. An entry that is
    /// there keeps its data and its count of attempts. Deduplication and a parent are not looked at.
    ///
    /// # Errors
    /// [`ProducerError`].
    pub async fn offer(&self, entry: &NewEntry) -> Result<Offered, ProducerError> {
        self.offer_again(entry, i64::MAX).await
    }

    /// The same, but an entry runs again only if it had ended by this time, in milliseconds: whoever looked then does not
    /// know of a later end.
    ///
    /// # Errors
    /// [`ProducerError`].
    pub async fn offer_again(&self, entry: &NewEntry, ended_by: i64) -> Result<Offered, ProducerError> {
        if entry.id.is_none() {
            return Err(EntryError::Id { id: String::new(), why: "is missing; an offer needs one" }.into());
        }
        let (fields, ended_by) = (Stored::of(entry, now_ms())?.alone().fields(), ended_by.to_string());
        let arguments: Vec<&str> = fields.iter().chain([&ended_by]).map(String::as_str).collect();
        let mut answer = Answer::to(&self.link, &OFFER, &arguments).await?;
        Ok(match answer.text()?.as_str() {
            "added" => Offered::Added,
            "again" => Offered::Again,
            "found" => Offered::Found,
            "there" => Offered::There,
            other => return Err(answer.wrong(other).into()),
        })
    }

    /// Lets the entry run again that served this job, if it has ended and is this job's; `None` when it is gone, or
    /// another job's by now.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn rerun(&self, id: &str, job: &ScanId) -> Result<Option<Offered>, RedisError> {
        let mut answer = Answer::to(&self.link, &RERUN, &[id, job.as_str()]).await?;
        Ok(match answer.text()?.as_str() {
            "again" => Some(Offered::Again),
            "there" => Some(Offered::There),
            "none" => None,
            other => return Err(answer.wrong(other)),
        })
    }

    /// Counts.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn counts(&self) -> Result<Counts, RedisError> {
        let mut answer = Answer::to(&self.link, &COUNTS, &[]).await?;
        answer.expect("counts")?;
        Ok(Counts {
            waiting: answer.number()? + answer.number()?,
            active: answer.number()?,
            delayed: answer.number()?,
            prioritized: answer.number()?,
            waiting_children: answer.number()?,
            completed: answer.number()?,
            failed: answer.number()?,
            paused: answer.number()? == 1,
        })
    }

    /// The `data.jobId` of all entries that wait, are delayed, prioritized or active; `None` when there are more than the
    /// limit. Which entries is as of one moment; what they name is read a block at a time after it, so that Redis serves
    /// others in between.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn waiting_jobs(&self, limit: usize) -> Result<Option<HashSet<String>>, RedisError> {
        let mut answer = Answer::to(&self.link, &WAITING, &[&limit.to_string()]).await?;
        match answer.text()?.as_str() {
            "more" => return Ok(None),
            "ids" => {}
            other => return Err(answer.wrong(other)),
        }
        let ids = answer.rest()?;
        let mut left: &[String] = &ids;
        let mut jobs = HashSet::with_capacity(ids.len());
        while !left.is_empty() {
            let block: Vec<&str> = left.iter().take(READ_AT_ONCE).map(String::as_str).collect();
            let mut answer = Answer::to(&self.link, &JOBS, &block).await?;
            answer.expect("read")?;
            let looked = usize::try_from(answer.number()?).unwrap_or(usize::MAX);
            if !(1..=block.len()).contains(&looked) {
                return Err(answer.wrong(&looked.to_string()));
            }
            jobs.extend(answer.rest()?);
            left = &left[looked..];
        }
        Ok(Some(jobs))
    }
}

/// How many of these go to Redis together: one at least.
fn block(entries: &[Stored]) -> usize {
    let mut bytes = 0;
    let fit = entries.iter().take(AT_ONCE).take_while(|entry| {
        bytes += entry.bytes();
        bytes <= BYTES_AT_ONCE
    });
    fit.count().max(1)
}

/// Milliseconds of this machine's clock, by which producers and workers of the queue measure.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
