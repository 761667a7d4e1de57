//! The database's half of a delivery of an outer queue: what is done with the row that it finds, in one transaction. What
//! is to be told to the queue afterwards is the answer. Knows no queue.

use std::sync::Arc;
use std::time::Duration;

use libsql::params;
use serde_json::Value;

use super::attempts::AttemptRecord;
use super::claim::{Handed, Ready, Unheard, before, claim_row, is_kept, kept, readable_id};
use super::jobs::{JOB_COLUMNS, job_columns, read_job};
use super::settle::{Rows, Stored, twice, write};
use super::transitions::{Edge, Grant, Serving, millis, write_edge};
use super::{NewJob, Result, Store, StoreError, documents, submit};
use crate::db::{Ask, Found as Rowset, Unit, now_ms};
use crate::domain::delivery::{Course, Delivered, Delivery, Found, course};
use crate::domain::document::Summary;
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::{Job, Lease, OpId, ScanId, WorkerId};
use crate::domain::state::{Event, State, step};
use crate::domain::target::Target;
use crate::moment::Moment;

/// A delivery as it reaches the database.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Names the job; the row that is made when there is none.
    pub job: NewJob,
    /// Why its payload asks for nothing that could be done; for the producer to read.
    pub refused: Option<String>,
    /// The text with which the queue wants the entry failed unrun.
    pub deferred: Option<String>,
    /// Entry, lock, and the count that its settlement produces.
    pub delivery: Delivery,
    /// Gets the lease.
    pub worker: WorkerId,
    /// What waits for the job.
    pub container: Ready,
    /// A row at work that nobody ever leased counts as held for this long.
    pub unleased_after: Duration,
    /// Before the entry was asked for. What is known of an entry that was taken long ago may be over.
    pub taken: Moment,
}

/// How long after its take a delivery may ask its row: less than a worker has to be silent to be taken for dead, after which
/// others have its entries and may have ended what this one would begin.
pub(super) const SOON: Duration = Duration::from_secs(4);

impl Arrival {
    fn delivered(&self) -> Delivered {
        Delivered { atm: self.delivery.atm.saturating_sub(1), deferred: self.deferred.is_some() }
    }
}

/// What is to become of a delivery. The database has its half.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one per delivery, moved at once")]
pub enum Disposition {
    /// The job is work for the container.
    Run(Lease),
    /// The job's holder is gone; nothing was written. It is to be taken over for this delivery.
    TakeOver,
    /// The entry fails, and is not tried again.
    Fail {
        /// How the job ended.
        state: State,
        /// For the producer to read.
        reason: String,
    },
    /// The entry is tried again, as the last attempt decided.
    Retry {
        /// For the producer to read.
        reason: String,
        /// What is left of the wait.
        delay: Duration,
    },
    /// The entry comes back after this time; no attempt is counted.
    Postpone(Duration),
    /// The entry has its result.
    Complete {
        /// The small view of the stored document.
        summary: Value,
    },
    /// Somebody else changed the row meanwhile, or too much time has passed since the take; a later delivery may be
    /// answered otherwise.
    Changed,
}

/// [`Disposition`] on its way to the caller.
enum Dealt {
    Run(Handed),
    Told(Disposition),
}

/// A row with what a delivery has to know of it.
struct Row {
    job: Job,
    found: Found,
    reserved: bool,
    /// Until it is due.
    wait: Duration,
}

/// What is left of a lease; of a row that nobody ever leased, what is left of the time for which it is left alone.
pub(super) const FIND: &str = concat!(
    "SELECT ",
    job_columns!(),
    ", CASE WHEN lease_owner IS NULL THEN updated_at * 1000 + ?2 ELSE coalesce(lease_until, 0) END - ",
    now_ms!(),
    ", reserved_for IS NOT NULL, coalesce(run_at, 0) - ",
    now_ms!(),
    " FROM scan_jobs WHERE id = ?1"
);

/// Rows that wait although no delivery may be on its way, the oldest last touched first.
pub(super) const UNDELIVERED: &str = concat!(
    "SELECT ",
    job_columns!(),
    " FROM scan_jobs INDEXED BY scan_jobs_claim
      WHERE state = 'QUEUED' AND ready = 1 AND reserved_for IS NULL AND updated_at <= unixepoch() - ?1",
    readable_id!(),
    " UNION ALL SELECT ",
    job_columns!(),
    " FROM scan_jobs INDEXED BY scan_jobs_delayed
      WHERE state = 'QUEUED' AND ready = 0 AND run_at <= ",
    now_ms!(),
    " - ?1 * 1000 AND reserved_for IS NULL",
    readable_id!(),
    // What the embedded queue held back before this one was put in front.
    " UNION ALL SELECT ",
    job_columns!(),
    " FROM scan_jobs INDEXED BY scan_jobs_held_back
      WHERE state = 'QUEUED' AND ready = 2 AND updated_at <= unixepoch() - ?1",
    readable_id!(),
    " LIMIT ?2"
);

pub(super) const AT_WORK: &str = "SELECT CAST(delivery_id AS BLOB) FROM scan_jobs INDEXED BY scan_jobs_leased
    WHERE state IN ('FETCHING', 'ANALYZING') AND delivery_id IS NOT NULL";

impl Store {
    /// Does with the row of a delivery what [`course`] says. A claim whose answer is lost is asked for once more within
    /// this call; one whose answer is not waited for is given back by the next [`Store::renew`].
    ///
    /// # Errors
    /// [`StoreError::ContainerTaken`] when the container is not the worker's any more; the database's.
    pub async fn deliver(&self, arrival: Arrival) -> Result<Disposition> {
        let op = OpId::fresh();
        let dealt = twice(|| {
            let (arrival, op, unheard) = (arrival.clone(), op.clone(), Arc::clone(&self.unheard));
            self.db.write(async move |unit| deal(unit, &arrival, op, unheard).await)
        });
        Ok(match dealt.await? {
            Dealt::Run(handed) => handed.take().map_or(Disposition::Changed, Disposition::Run),
            Dealt::Told(disposition) => disposition,
        })
    }

    /// The small view of a job's last document; `None` when there is no such job.
    ///
    /// # Errors
    /// The database's.
    pub async fn summary(&self, id: &ScanId) -> Result<Option<Value>> {
        let document = self.document(id).await?;
        document.map(|document| value(&Summary::of(&document))).transpose()
    }

    /// The entries whose jobs are at work, whoever has these.
    ///
    /// # Errors
    /// The database's.
    pub async fn deliveries_at_work(&self) -> Result<Vec<String>> {
        self.db.read(async |unit| unit.query(AT_WORK, (), |row| Ok(row.text(0)?)).await).await
    }

    /// Jobs that have been due and untouched for this long, at most `limit` of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn undelivered(&self, untouched: Duration, limit: usize) -> Result<Vec<Job>> {
        let seconds = i64::try_from(untouched.as_secs()).unwrap_or(i64::MAX / 4000);
        let values = params![seconds, i64::try_from(limit).unwrap_or(i64::MAX)];
        self.db.read(async move |unit| unit.query(UNDELIVERED, values, read_job).await).await
    }
}

async fn deal(unit: &Unit, arrival: &Arrival, op: OpId, unheard: Unheard) -> Result<Dealt> {
    if let Some(handed) = before(unit, &op, &unheard).await? {
        return Ok(Dealt::Run(handed));
    }
    // Asked here and not by the caller: the unit may have waited for its turn.
    if Moment::now().since(arrival.taken) > SOON {
        return Ok(CHANGED);
    }
    // A row is made, or replayed, at most once; then it is looked at again.
    let (mut row, kept) = look(unit, arrival).await?;
    if row.is_none() {
        submit::insert(unit, std::slice::from_ref(&arrival.job)).await?;
        let [made] = unit.together([ask(arrival)?]).await?;
        row = find(made, arrival)?;
    }
    let Some(mut row) = row else {
        return Err(StoreError::Unfit { what: "a row that was just made is not there" });
    };
    if let Some(reason) = &arrival.refused {
        return unusable(unit, arrival, row, reason).await.map(Dealt::Told);
    }
    if row.job.state == State::Queued && row.reserved {
        return Ok(Dealt::Told(reserved()));
    }
    let mut then = course(Some(row.found), arrival.delivered());
    if then == Course::Replay {
        let replay = edge(row.job.state, Event::Replay)?;
        match write_edge(unit, &row.job, &replay, None, &OpId::fresh()).await? {
            Edge::Held(job) => {
                row.found = Found { state: job.state, lease: None, delivery_atm: None };
                row.job = job;
            }
            Edge::Before { .. } | Edge::Cancelled | Edge::Conflict => return Ok(CHANGED),
        }
        then = course(Some(row.found), arrival.delivered());
    }
    if then == Course::Claim {
        return claim(unit, arrival, &row.job, &kept, op, unheard).await;
    }
    unrun(unit, arrival, row, then).await.map(Dealt::Told)
}

const CHANGED: Dealt = Dealt::Told(Disposition::Changed);

async fn claim(
    unit: &Unit,
    arrival: &Arrival,
    job: &Job,
    kept: &Rowset,
    op: OpId,
    unheard: Unheard,
) -> Result<Dealt> {
    if let Err(error) = Target::parse(&job.url) {
        let failure = Failure::new(FailureClass::InvalidTarget, FailureStage::Claim, error.to_string());
        return end(unit, arrival, job, failure).await.map(Dealt::Told);
    }
    let grant = Grant {
        worker: arrival.worker.clone(),
        container: Some(arrival.container.clone()),
        serving: Serving::Delivery(arrival.delivery.clone()),
    };
    is_kept(kept, &arrival.container)?;
    let handed = claim_row(unit, job, &grant, op, unheard).await?;
    Ok(handed.map_or(CHANGED, Dealt::Run))
}

/// What a delivery comes to that no container works on.
async fn unrun(unit: &Unit, arrival: &Arrival, row: Row, then: Course) -> Result<Disposition> {
    let Row { job, wait, .. } = row;
    Ok(match then {
        Course::Stall => {
            let text = arrival.deferred.clone().unwrap_or_default();
            let failure = Failure::new(FailureClass::Stalled, FailureStage::Claim, text);
            return end(unit, arrival, &job, failure).await;
        }
        Course::RepeatRetry => Disposition::Retry { reason: reason(&job), delay: wait },
        Course::Postpone(left) => Disposition::Postpone(left),
        Course::TakeOver => Disposition::TakeOver,
        Course::Complete => complete(unit, job).await?,
        Course::RepeatFailure => {
            // What this settlement produces is written down, so that a later delivery with that count is a producer's
            // wish to have it again: it ended while no delivery served it, or the queue's count is behind the row's
            // because the queue came back from an older copy of itself.
            record(unit, &job, &arrival.delivery).await?;
            Disposition::Fail { state: job.state, reason: reason(&job) }
        }
        Course::Admit | Course::Claim | Course::Replay => {
            return Err(StoreError::Unfit { what: "a delivery that is to be run was not" });
        }
    })
}

async fn complete(unit: &Unit, job: Job) -> Result<Disposition> {
    let document = documents::of_job(unit, job).await?;
    Ok(Disposition::Complete { summary: value(&Summary::of(&document))? })
}

/// A payload that nothing can be done for. A row that waits for it says so; whatever else became of the row stays.
async fn unusable(unit: &Unit, arrival: &Arrival, row: Row, why: &str) -> Result<Disposition> {
    let failure = Failure::new(FailureClass::InvalidTarget, FailureStage::Claim, why);
    match row.job.state {
        State::Completed => complete(unit, row.job).await,
        State::Queued if row.reserved => Ok(reserved()),
        State::Queued => end(unit, arrival, &row.job, failure).await,
        State::Fetching | State::Analyzing | State::Failed | State::TimedOut => {
            Ok(Disposition::Fail { state: State::Failed, reason: failure.reason() })
        }
    }
}

fn reserved() -> Disposition {
    let reason = "this job belongs to a command that runs it by itself; it is not taken from a queue";
    Disposition::Fail { state: State::Failed, reason: reason.to_owned() }
}

/// Ends a job unrun, with the delivery that brought the end written into its row.
async fn end(unit: &Unit, arrival: &Arrival, job: &Job, failure: Failure) -> Result<Disposition> {
    let reason = failure.reason();
    let (event, rows) = match job.state {
        State::Queued => (Event::Refuse(failure), Rows::default()),
        _ => (Event::Fail(failure), broken_off(job)),
    };
    match write(unit, job, &edge(job.state, event)?, &Stored::of(rows)?, &OpId::fresh()).await? {
        Edge::Held(job) => {
            record(unit, &job, &arrival.delivery).await?;
            Ok(Disposition::Fail { state: job.state, reason })
        }
        Edge::Before { .. } | Edge::Cancelled | Edge::Conflict => Ok(Disposition::Changed),
    }
}

/// The record of an attempt whose holder is gone, and of which nobody will know more.
fn broken_off(job: &Job) -> Rows {
    let attempt = AttemptRecord {
        attempt: job.attempt,
        worker: job.lease_owner.clone(),
        container_id: job.container_id.clone(),
        ..AttemptRecord::default()
    };
    Rows { attempt: Some(attempt), ..Rows::default() }
}

fn edge(state: State, event: Event) -> Result<crate::domain::state::Transition> {
    step(state, event).map_err(|_| StoreError::Unfit { what: "a delivery leads to no such edge" })
}

/// Bookkeeping, and no edge: state and version stay.
async fn record(unit: &Unit, job: &Job, delivery: &Delivery) -> Result<()> {
    const RECORD: &str = "UPDATE scan_jobs SET delivery_id = ?, delivery_token = ?, delivery_atm = ?
        WHERE id = ? AND version = ?";
    let Delivery { id, token, atm } = delivery;
    let values = params![id.as_str(), token.as_str(), *atm, job.id.as_str(), job.version];
    unit.execute(RECORD, values).await?;
    Ok(())
}

/// Why a job ended, or is tried again, as the first telling said it.
fn reason(job: &Job) -> String {
    match &job.failure {
        Some(failure) => failure.reason(),
        None => format!("the scan ended {}", job.state),
    }
}

fn value(summary: &Summary) -> Result<Value> {
    serde_json::to_value(summary).map_err(|_| StoreError::Unfit { what: "its summary is no JSON" })
}

/// The row of a delivery, and whether the container that waits for it is still its worker's: one call for both.
async fn look(unit: &Unit, arrival: &Arrival) -> Result<(Option<Row>, Rowset)> {
    let [row, kept] = unit.together([ask(arrival)?, kept(&arrival.container, &arrival.worker)?]).await?;
    Ok((find(row, arrival)?, kept))
}

fn ask(arrival: &Arrival) -> Result<Ask> {
    Ok(Ask::new(FIND, params![arrival.job.id.as_str(), millis(arrival.unleased_after)])?)
}

fn find(rows: Rowset, arrival: &Arrival) -> Result<Option<Row>> {
    // Counts of another entry say nothing about this one: the same job may have been added twice, or Redis have lost it.
    let same = |delivery: &&Delivery| delivery.id == arrival.delivery.id;
    rows.first(|row| {
        let job = read_job(row)?;
        let left = row.int(JOB_COLUMNS)?;
        let found = Found {
            state: job.state,
            lease: u64::try_from(left).ok().map(Duration::from_millis),
            delivery_atm: job.delivery.as_ref().filter(same).map(|delivery| delivery.atm),
        };
        let wait = Duration::from_millis(u64::try_from(row.int(JOB_COLUMNS + 2)?).unwrap_or_default());
        Ok(Row { job, found, reserved: row.flag(JOB_COLUMNS + 1)?, wait })
    })
}
