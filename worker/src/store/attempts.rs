//! What each attempt came to, kept whatever became of its job.

use libsql::params;

use super::jobs::read_failure;
use super::transitions::reason;
use super::{Result, Store, StoreError};
use crate::db::{Columns, Unit, now_ms};
use crate::domain::document::OutcomeName;
use crate::domain::failure::Failure;
use crate::domain::scan::{Job, ScanId, WorkerId};
use crate::domain::state::Event;
use crate::domain::timestamp::Timestamp;

/// What the worker knows of an attempt at its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttemptRecord {
    /// Counts from 1.
    pub attempt: u32,
    /// Who ended it.
    pub worker: Option<WorkerId>,
    /// The engine's name of its container.
    pub container_id: Option<String>,
    /// How the container ended.
    pub outcome: Option<OutcomeName>,
    /// What the container exited with.
    pub exit_code: Option<i64>,
    /// The end of what the container wrote to stderr: hostile text, to be escaped when shown.
    pub stderr_tail: String,
    /// From due to claimed.
    pub queue_ms: Option<u64>,
    /// From claimed to handed over.
    pub start_ms: Option<u64>,
    /// From handed over to ended.
    pub run_ms: Option<u64>,
}

/// An attempt as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptView {
    /// What its worker knew.
    pub record: AttemptRecord,
    /// The edge that ended it, in a word.
    pub reason: String,
    /// Why it ended without a result.
    pub failure: Option<Failure>,
    /// When it was claimed.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Timestamp,
}

pub(super) async fn insert(unit: &Unit, job: &Job, record: &AttemptRecord, event: &Event) -> Result<()> {
    // Replacing: an attempt of a deleted job of the same name may be left over.
    const INSERT: &str = concat!(
        "INSERT OR REPLACE INTO attempts (job_id, attempt, worker, container_id, outcome, exit_code, stderr,
           queue_ms, start_ms, run_ms, reason, failure_class, failure_stage, failure_message,
           failure_retryable, started_ms, ended_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ",
        now_ms!(),
        ")"
    );
    let failure = event.failure();
    let values = params![
        job.id.as_str(),
        record.attempt,
        record.worker.as_ref().map(WorkerId::as_str),
        record.container_id.as_deref(),
        record.outcome.map(outcome_name),
        record.exit_code,
        record.stderr_tail.as_str(),
        record.queue_ms.map(clamp),
        record.start_ms.map(clamp),
        record.run_ms.map(clamp),
        reason(event),
        failure.map(|failure| failure.class.as_str()),
        failure.map(|failure| failure.stage.as_str()),
        failure.map(|failure| failure.message.as_str()),
        failure.is_some_and(|failure| failure.retryable),
        job.started.map(Timestamp::millis),
    ];
    Ok(unit.execute_later(INSERT, values).await?)
}

impl Store {
    /// The ended attempts of a job, the first one first.
    ///
    /// # Errors
    /// The database's.
    pub async fn attempts(&self, id: &ScanId) -> Result<Vec<AttemptView>> {
        const OF_JOB: &str = "SELECT attempt, worker, container_id, outcome, exit_code, CAST(stderr AS BLOB),
              queue_ms, start_ms, run_ms, reason, failure_class, failure_stage,
              CAST(failure_message AS BLOB), failure_retryable, started_ms, ended_ms
            FROM attempts WHERE job_id = ? ORDER BY attempt";
        let id = id.clone();
        self.db.read(async move |unit| unit.query(OF_JOB, [id.as_str()], read).await).await
    }
}

fn read(row: &Columns<'_>) -> std::result::Result<AttemptView, StoreError> {
    let millis = |column| row.opt_int(column).map(|value| value.and_then(|value| u64::try_from(value).ok()));
    Ok(AttemptView {
        record: AttemptRecord {
            attempt: row.count(0)?,
            worker: row.opt_text(1)?.map(WorkerId::from_row),
            container_id: row.opt_text(2)?,
            outcome: row.opt_text(3)?.and_then(|name| serde_json::from_value(name.into()).ok()),
            exit_code: row.opt_int(4)?,
            stderr_tail: row.text(5)?,
            queue_ms: millis(6)?,
            start_ms: millis(7)?,
            run_ms: millis(8)?,
        },
        reason: row.text(9)?,
        failure: read_failure(row, 10)?,
        started: row.opt_int(14)?.map(Timestamp::from_millis),
        ended: Timestamp::from_millis(row.int(15)?),
    })
}

/// The name that the document uses too.
const fn outcome_name(outcome: OutcomeName) -> &'static str {
    match outcome {
        OutcomeName::Exited => "exited",
        OutcomeName::TimedOut => "timedOut",
        OutcomeName::OutOfMemory => "outOfMemory",
        OutcomeName::OutputTooLarge => "outputTooLarge",
        OutcomeName::Lost => "lost",
    }
}

/// A duration as SQLite counts.
fn clamp(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
