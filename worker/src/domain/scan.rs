//! A job: its name, what was asked for, who holds it.

use std::fmt;
use std::time::Duration;

use safeurl_protocol::Header;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::delivery::Delivery;
use super::failure::Failure;
use super::state::State;
use super::timestamp::Timestamp;

/// The name of a job: any text of 1 to 200 bytes in rows of other programs, a UUIDv7 in ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ScanId(String);

/// The text cannot name a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job id has 1 to 200 bytes, this one has {bytes}")]
pub struct ScanIdError {
    /// Its length.
    pub bytes: usize,
}

impl ScanId {
    /// A new name; later ones sort after earlier ones.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// Reads a name of any program.
    ///
    /// # Errors
    /// [`ScanIdError`] for an empty or too long one.
    pub fn parse(text: impl Into<String>) -> Result<Self, ScanIdError> {
        let text = text.into();
        if (1..=200).contains(&text.len()) { Ok(Self(text)) } else { Err(ScanIdError { bytes: text.len() }) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One worker process; the name of its heartbeat row and the value of its containers' label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct WorkerId(String);

impl WorkerId {
    /// A name that no other process has.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7().simple().to_string())
    }

    /// From a row.
    #[must_use]
    pub fn from_row(text: String) -> Self {
        Self(text)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The id of one write. It is written with what it writes, so that a write whose answer was lost finds itself when
/// it is tried again, and nobody else's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OpId(String);

impl OpId {
    /// An id that no other write has.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// The id of the write behind this one, in the same transaction.
    #[must_use]
    pub fn next(&self) -> Self {
        Self(format!("{}-2", self.0))
    }

    /// The id as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a job came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// `safeurl scan` or `submit`.
    Cli,
    /// The HTTP interface.
    Api,
    /// A queue, or a row of another program.
    #[default]
    Queue,
    /// A schedule.
    Schedule,
}

impl Method {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Api => "api",
            Self::Queue => "queue",
            Self::Schedule => "schedule",
        }
    }

    /// The method with this name; `queue` for anything unknown.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match name {
            "cli" => Self::Cli,
            "api" => Self::Api,
            "schedule" => Self::Schedule,
            _ => Self::Queue,
        }
    }
}

/// What a row may ask for. Networks, ports, host mapping, resolvers and limits come from the worker's
/// configuration only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Options {
    /// Value of the User-Agent header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// At most the configured timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// At most the configured number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_redirects: Option<u32>,
    /// Sent to the submitted origin only; values are masked wherever they are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// Keep to robots.txt; `false` leaves it to the configuration.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub respect_robots: bool,
    /// Labels of the submitter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// A row of `scan_jobs` as everything above the store sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name.
    pub id: ScanId,
    /// Whose it is.
    pub user: String,
    /// The URL as submitted; may be anything in rows of other programs.
    pub url: String,
    /// `scan`.
    pub kind: String,
    /// Where it stands.
    pub state: State,
    /// The fence of every write.
    pub version: i64,
    /// What it asks for.
    pub options: Options,
    /// 0 first.
    pub priority: i64,
    /// Claims so far; only grows.
    pub attempt: u32,
    /// Claims that do not count against the cap.
    pub attempt_base: u32,
    /// Attempts lost since the last replay.
    pub losses: u32,
    /// The cap.
    pub max_attempts: u32,
    /// Who holds it.
    pub lease_owner: Option<WorkerId>,
    /// The container bound to the attempt.
    pub container_id: Option<String>,
    /// A person asked to stop it.
    pub cancel_requested: bool,
    /// Where it came from.
    pub method: Method,
    /// The entry of an outer queue that its last attempt serves or served; `None` for an attempt of the embedded queue,
    /// and once the delivery was given back.
    pub delivery: Option<Delivery>,
    /// Why it ended without a result, or why it is tried again.
    pub failure: Option<Failure>,
    /// When it came.
    pub created: Timestamp,
    /// When its row last changed state.
    pub updated: Timestamp,
    /// When it is due.
    pub run_at: Option<Timestamp>,
    /// When its last attempt began.
    pub started: Option<Timestamp>,
    /// When it became final.
    pub finished: Option<Timestamp>,
}

impl Job {
    /// Attempts that count against the cap.
    #[must_use]
    pub const fn counted_attempts(&self) -> u32 {
        self.attempt.saturating_sub(self.attempt_base)
    }

    /// Whether a retryable failure may be tried again.
    #[must_use]
    pub const fn may_retry(&self) -> bool {
        self.counted_attempts() < self.max_attempts
    }

    /// `<job id>/<n>`: the attempt as the container and the gateway name it.
    #[must_use]
    pub fn attempt_name(&self) -> String {
        format!("{}/{}", self.id, self.attempt)
    }
}

/// The right to work on a job, given by a claim. It is used up by settling; dropping it is harmless, the lease
/// then runs out by itself. A lease ends by one write, whose id it carries from the beginning: however often that
/// write is tried, the job moves on once.
#[derive(Debug, PartialEq)]
#[must_use = "a lease that is not settled blocks its job until it runs out"]
pub struct Lease {
    job: Job,
    op: OpId,
}

impl Lease {
    /// Only the store calls this, with the row that it just wrote or found written by itself.
    pub(crate) fn granted(job: Job) -> Self {
        Self { job, op: OpId::fresh() }
    }

    /// The id of the write that ends it.
    #[must_use]
    pub const fn op(&self) -> &OpId {
        &self.op
    }

    /// The row as of the last edge.
    #[must_use]
    pub const fn job(&self) -> &Job {
        &self.job
    }
}

/// How long a claim holds without renewal, by the database's clock.
pub const LEASE: Duration = Duration::from_secs(6);

/// How often a worker renews its leases and its heartbeat.
pub const RENEWAL: Duration = Duration::from_secs(2);

/// A heartbeat older than this belongs to a dead worker.
pub const DEAD_AFTER: Duration = Duration::from_secs(6);

/// The reaper touches only what belongs to workers silent for this long.
pub const REAP_AFTER: Duration = Duration::from_secs(10);

/// Losses since the last replay after which a job ends FAILED/lost.
pub const MAX_LOSSES: u32 = 10;

/// A job for tests of this crate.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn sample(url: &str) -> Job {
    Job {
        id: ScanId::fresh(),
        user: "local".into(),
        url: url.into(),
        kind: "scan".into(),
        state: State::Fetching,
        version: 2,
        options: Options::default(),
        priority: 0,
        attempt: 1,
        attempt_base: 0,
        losses: 0,
        max_attempts: 3,
        lease_owner: None,
        container_id: None,
        cancel_requested: false,
        method: Method::Cli,
        delivery: None,
        failure: None,
        created: Timestamp::default(),
        updated: Timestamp::default(),
        run_at: None,
        started: None,
        finished: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_other_programs_are_any_short_text() {
        assert!(ScanId::parse("42").is_ok());
        assert!(ScanId::parse("é".repeat(100)).is_ok());
        assert_eq!(ScanId::parse(""), Err(ScanIdError { bytes: 0 }));
        assert_eq!(ScanId::parse("x".repeat(201)), Err(ScanIdError { bytes: 201 }));
    }

    #[test]
    fn options_that_were_written_before_an_option_was_there_are_read_and_say_nothing_of_it() {
        let older: Options = serde_json::from_str(r#"{"userAgent":"x"}"#).expect("readable");
        assert!(!older.respect_robots);
        assert_eq!(serde_json::to_string(&older).expect("JSON"), r#"{"userAgent":"x"}"#);
        let asking = Options { respect_robots: true, ..Options::default() };
        assert_eq!(serde_json::to_string(&asking).expect("JSON"), r#"{"respectRobots":true}"#);
    }

    #[test]
    fn options_refuse_what_a_row_may_not_ask_for() {
        assert!(serde_json::from_str::<Options>(r#"{"userAgent":"x","tags":["a"]}"#).is_ok());
        for forbidden in ["allowNetworks", "hosts", "resolvers", "memory", "network", "image"] {
            let text = format!(r#"{{"{forbidden}":[]}}"#);
            assert!(serde_json::from_str::<Options>(&text).is_err(), "{forbidden}");
        }
    }
}
