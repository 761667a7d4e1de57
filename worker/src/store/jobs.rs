//! Reading jobs.

use libsql::params;

use super::claim::readable_id;
use super::{Result, Store, StoreError};
use crate::db::{Columns, DbError, Unit};
use crate::domain::delivery::Delivery;
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::{Job, Method, ScanId, WorkerId};
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;

/// The columns of a job, in the order in which [`read_job`] takes them. What other programs write is cast: see
/// [`Columns::text`].
macro_rules! job_columns {
    () => {
        "CAST(scan_jobs.id AS BLOB), CAST(scan_jobs.user_id AS BLOB), CAST(scan_jobs.url AS BLOB),
         scan_jobs.kind, scan_jobs.state, scan_jobs.version, scan_jobs.options, scan_jobs.priority,
         scan_jobs.attempt, scan_jobs.attempt_base, scan_jobs.losses, scan_jobs.max_attempts,
         scan_jobs.lease_owner, scan_jobs.container_id, scan_jobs.cancel_requested, scan_jobs.method,
         scan_jobs.failure_class, scan_jobs.failure_stage, CAST(scan_jobs.failure_message AS BLOB),
         scan_jobs.failure_retryable,
         CASE WHEN scan_jobs.created_ms > 0 THEN scan_jobs.created_ms ELSE scan_jobs.created_at * 1000 END,
         scan_jobs.updated_at, scan_jobs.run_at, scan_jobs.started_ms, scan_jobs.finished_ms,
         CAST(scan_jobs.delivery_id AS BLOB), scan_jobs.delivery_token, scan_jobs.delivery_atm"
    };
}
pub(super) use job_columns;

/// How many columns [`job_columns`] has; what a statement selects besides comes behind them.
pub(super) const JOB_COLUMNS: i32 = 28;

/// Which jobs to list; the newest come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFilter {
    /// Any of these; empty for all.
    pub states: Vec<State>,
    /// Of this user only.
    pub user: Option<String>,
    /// At most so many.
    pub limit: u32,
}

impl Default for JobFilter {
    fn default() -> Self {
        Self { states: Vec::new(), user: None, limit: 50 }
    }
}

const BY_ID: &str = concat!("SELECT ", job_columns!(), " FROM scan_jobs WHERE id = ?");

const BY_ROW: &str = concat!("SELECT ", job_columns!(), " FROM scan_jobs WHERE rowid = ?");

pub(super) const LIST: &str = concat!(
    "SELECT ",
    job_columns!(),
    " FROM scan_jobs
      WHERE (?1 IS NULL OR state IN (SELECT value FROM json_each(?1))) AND (?2 IS NULL OR user_id = ?2)",
    readable_id!(),
    " ORDER BY created_at DESC, created_ms DESC, id DESC LIMIT ?3"
);

pub(super) const COUNTS: &str = "SELECT state, count(*) FROM scan_jobs GROUP BY state";

impl Store {
    /// The job with this id.
    ///
    /// # Errors
    /// The database's.
    pub async fn job(&self, id: &ScanId) -> Result<Option<Job>> {
        let id = id.clone();
        self.db.read(async move |unit| find(unit, &id).await).await
    }

    /// Those of these jobs that have ended, with a result or without.
    ///
    /// # Errors
    /// The database's.
    pub async fn ended_of(&self, ids: Vec<ScanId>) -> Result<Vec<ScanId>> {
        const ENDED: &str = "SELECT CAST(id AS BLOB) FROM scan_jobs
            WHERE id IN (SELECT value FROM json_each(?)) AND state IN ('COMPLETED', 'FAILED', 'TIMED_OUT')";
        let names: Vec<_> = ids.iter().map(ScanId::as_str).collect();
        let names = serde_json::json!(names).to_string();
        let ended =
            self.db.read(async move |unit| unit.query(ENDED, [names], |row| row.text(0)).await).await?;
        Ok(ids.into_iter().filter(|id| ended.iter().any(|name| name == id.as_str())).collect())
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn jobs(&self, filter: JobFilter) -> Result<Vec<Job>> {
        let JobFilter { states, user, limit } = filter;
        let states = (!states.is_empty()).then(|| serde_json::json!(states).to_string());
        self.db.read(async move |unit| unit.query(LIST, params![states, user, limit], read_job).await).await
    }

    /// How many jobs there are in each state that has any.
    ///
    /// # Errors
    /// The database's.
    pub async fn counts(&self) -> Result<Vec<(State, u64)>> {
        let counted: Vec<(Option<State>, u64)> = self
            .db
            .read(async |unit| {
                unit.query(COUNTS, (), |row| {
                    let count = u64::try_from(row.int(1)?).unwrap_or_default();
                    Ok::<_, StoreError>((State::parse(&row.text(0)?), count))
                })
                .await
            })
            .await?;
        Ok(counted.into_iter().filter_map(|(state, count)| Some((state?, count))).collect())
    }
}

/// The job with this id, within a unit of work.
pub(super) async fn find(unit: &Unit, id: &ScanId) -> Result<Option<Job>> {
    unit.first(BY_ID, [id.as_str()], read_job).await
}

/// The job in this row of the table, within a unit of work.
pub(super) async fn find_by_row(unit: &Unit, rowid: i64) -> Result<Option<Job>> {
    unit.first(BY_ROW, [rowid], read_job).await
}

/// Reads the columns of [`job_columns`].
pub(super) fn read_job(row: &Columns<'_>) -> Result<Job> {
    let id = row.text(0)?;
    let wrong = |what: String| StoreError::Row { table: "scan_jobs", id: id.clone(), what };
    let state = row.text(4)?;
    Ok(Job {
        state: State::parse(&state).ok_or_else(|| wrong(format!("unknown state {state:?}")))?,
        id: ScanId::parse(id.as_str()).map_err(|error| wrong(error.to_string()))?,
        user: row.text(1)?,
        url: row.text(2)?,
        kind: row.text(3)?,
        version: row.int(5)?,
        // Only this program writes the column. What a later one added to it is not known here, and a row that
        // cannot be read would hold up the whole queue.
        options: row.opt_text(6)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        priority: row.int(7)?,
        attempt: row.count(8)?,
        attempt_base: row.count(9)?,
        losses: row.count(10)?,
        max_attempts: row.count(11)?,
        lease_owner: row.opt_text(12)?.map(WorkerId::from_row),
        container_id: row.opt_text(13)?,
        cancel_requested: row.flag(14)?,
        method: Method::parse(&row.text(15)?),
        delivery: read_delivery(row)?,
        failure: read_failure(row, 16)?,
        created: Timestamp::from_millis(row.int(20)?),
        updated: Timestamp::from_seconds(row.int(21)?),
        run_at: row.opt_int(22)?.map(Timestamp::from_millis),
        started: row.opt_int(23)?.map(Timestamp::from_millis),
        finished: row.opt_int(24)?.map(Timestamp::from_millis),
    })
}

/// An entry without a count was served by nobody of this program.
fn read_delivery(row: &Columns<'_>) -> std::result::Result<Option<Delivery>, DbError> {
    let (id, token, atm) = (row.opt_text(25)?, row.opt_text(26)?, row.opt_int(27)?);
    let (Some(id), Some(atm)) = (id, atm) else { return Ok(None) };
    let atm = u32::try_from(atm.max(0)).unwrap_or(u32::MAX);
    Ok(Some(Delivery { id, token: token.unwrap_or_default(), atm }))
}

/// Reads class, stage, message and whether it is retryable, in four columns from this one on.
pub(super) fn read_failure(row: &Columns<'_>, first: i32) -> std::result::Result<Option<Failure>, DbError> {
    let class = row.opt_text(first)?.and_then(|name| FailureClass::parse(&name));
    let stage = row.opt_text(first + 1)?.and_then(|name| FailureStage::parse(&name));
    let Some(class) = class else { return Ok(None) };
    Ok(Some(Failure {
        class,
        stage: stage.unwrap_or(FailureStage::Claim),
        message: row.opt_text(first + 2)?.unwrap_or_default(),
        retryable: row.flag(first + 3)?,
    }))
}
