//! The only statement of the program that changes the state of a job, and the record of every edge.
//!
//! An edge holds when the row still has the version and the state that the caller decided upon; otherwise
//! nothing is written and the caller stops.

use libsql::{Value, params};

use super::claim::Ready;
use super::jobs::{find, job_columns, read_job};
use super::{Result, Store, StoreError};
use crate::db::{Columns, Unit, now_ms};
use crate::domain::delivery::Delivery;
use crate::domain::document::TransitionView;
use crate::domain::failure::Failure;
use crate::domain::scan::{Job, LEASE, OpId, ScanId, WorkerId};
use crate::domain::state::{Event, State, Transition};
use crate::domain::timestamp::Timestamp;

/// Who gets the row by this edge.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) worker: WorkerId,
    /// The container that is to do the attempt; `None` leaves the one that the row names.
    pub(super) container: Option<Ready>,
    pub(super) serving: Serving,
}

/// What an attempt serves beside its job, as the edge that gives the lease writes it into the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    /// No outer queue; a take-over leaves the delivery that the row names.
    Nothing,
    /// This delivery.
    Delivery(Delivery),
    /// The delivery that the row names, whose lock has this token from now on.
    Token(String),
}

/// What became of an edge.
#[derive(Debug)]
pub(super) enum Edge {
    /// It holds; the row as it is now.
    Held(Job),
    /// It was written by an earlier try of the same operation, whose answer was lost. Nothing was written again.
    Before {
        /// The version that it gave the row.
        version: i64,
        /// The row, if nobody has moved it on since.
        now: Option<Job>,
    },
    /// It must not be taken because a person asked to cancel. Nothing was written.
    Cancelled,
    /// Somebody else changed the row. Nothing was written.
    Conflict,
}

/// SQL without values in it, and the values.
struct Assignments {
    sql: String,
    values: Vec<Value>,
}

impl Assignments {
    fn set(&mut self, columns: &'static str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(", ");
        self.sql.push_str(columns);
        self.values.extend(values);
    }

    fn delivery(&mut self, Delivery { id, token, atm }: &Delivery) {
        self.set(DELIVERY, [id.as_str().into(), token.as_str().into(), i64::from(*atm).into()]);
    }

    fn failure(&mut self, failure: &Failure) {
        self.set(
            "failure_class = ?, failure_stage = ?, failure_message = ?, failure_retryable = ?",
            [
                failure.class.as_str().into(),
                failure.stage.as_str().into(),
                failure.message.as_str().into(),
                failure.retryable.into(),
            ],
        );
    }
}

const NO_FAILURE: &str =
    "failure_class = NULL, failure_stage = NULL, failure_message = NULL, failure_retryable = 0";
const NO_LEASE: &str = "lease_owner = NULL, lease_until = NULL";
const NO_CONTAINER: &str = "container_id = NULL";
const NO_DELIVERY: &str = "delivery_id = NULL, delivery_token = NULL, delivery_atm = NULL";
const DELIVERY: &str = "delivery_id = ?, delivery_token = ?, delivery_atm = ?";
const LEASED: &str = concat!("lease_owner = ?, lease_until = ", now_ms!(), " + ?");
const FINISHED: &str = concat!("finished_ms = ", now_ms!());
const DUE_NOW: &str = "ready = 1, run_at = NULL";

/// Writes one edge and its record. The UPDATE is the first statement, so that nothing else of the unit can be
/// there without it. Tried again with the same `op`, it finds itself.
pub(super) async fn write_edge(
    unit: &Unit,
    job: &Job,
    transition: &Transition,
    grant: Option<&Grant>,
    op: &OpId,
) -> Result<Edge> {
    let Assignments { sql, mut values } = update(transition.from(), 1, transition, grant, op)?;
    let sql = format!("{sql} RETURNING {}", job_columns!());
    values.extend([job.id.as_str().into(), job.version.into()]);
    let Some(after) = unit.first(&sql, values, read_job).await? else {
        return refused(unit, job, transition, op).await;
    };
    let worker = grant.map(|grant| &grant.worker).or(job.lease_owner.as_ref());
    record(unit, &after, transition, worker, op).await?;
    Ok(Edge::Held(after))
}

/// Writes an edge and the one behind it with one UPDATE, and the record of each: nobody sees the row between them in any
/// case. The job that comes back has state and version of the last one, and else what it had before. What the first one
/// alone wrote before is told as by [`write_edge`].
pub(super) async fn write_edges(
    unit: &Unit,
    job: &Job,
    [first, last]: [(&Transition, &OpId); 2],
) -> Result<Edge> {
    let Assignments { sql, mut values } = update(first.0.from(), 2, last.0, None, last.1)?;
    values.extend([job.id.as_str().into(), job.version.into()]);
    if unit.execute(&sql, values).await? == 0 {
        return refused(unit, job, first.0, first.1).await;
    }
    let mut after = job.clone();
    for (transition, op) in [first, last] {
        after = Job { state: transition.to(), version: after.version + 1, ..after };
        record(unit, &after, transition, job.lease_owner.as_ref(), op).await?;
    }
    Ok(Edge::Held(after))
}

/// The UPDATE of an edge, but for the values of id and version at its end. Behind others of the same UPDATE, `from` is the
/// state that the first of the `edges` begins in.
fn update(
    from: State,
    edges: u8,
    transition: &Transition,
    grant: Option<&Grant>,
    op: &OpId,
) -> Result<Assignments> {
    let Assignments { sql: columns, values } = assignments(transition, grant, op)?;
    let guard = match transition.event() {
        Event::TakeOver => concat!(" AND (lease_until IS NULL OR lease_until < ", now_ms!(), ")"),
        _ if transition.yields_to_cancel() => " AND cancel_requested = 0",
        _ => "",
    };
    // The state is in the text: SQLite plans a statement with the value that is bound to it, because there are indexes of
    // the rows in one state, and so plans it anew each time.
    let sql = format!(
        "UPDATE scan_jobs SET version = version + {edges}, {columns}
         WHERE id = ? AND version = ? AND state = '{from}'{guard}"
    );
    Ok(Assignments { sql, values })
}

/// The statement of an edge, for the test of its plan.
#[cfg(test)]
pub(super) fn statement(transition: &Transition, grant: Option<&Grant>) -> String {
    update(transition.from(), 1, transition, grant, &OpId::fresh()).expect("a fitting grant").sql
}

/// What each event writes besides state and version.
fn assignments(transition: &Transition, grant: Option<&Grant>, op: &OpId) -> Result<Assignments> {
    const HEAD: &str = "state = ?, updated_at = unixepoch(), last_op = ?";
    let head = vec![transition.to().as_str().into(), op.as_str().into()];
    let mut row = Assignments { sql: HEAD.to_owned(), values: head };
    let lease = |row: &mut Assignments| {
        let grant = grant.ok_or(StoreError::Unfit { what: "nobody is named who gets the lease" })?;
        row.set(LEASED, [grant.worker.as_str().into(), millis(LEASE).into()]);
        if let Some(container) = &grant.container {
            row.set("container_id = ?", [container.id.as_str().into()]);
        }
        Ok::<_, StoreError>(())
    };
    match transition.event() {
        Event::Claim => {
            lease(&mut row)?;
            row.set(concat!("attempt = attempt + 1, started_ms = ", now_ms!()), []);
            // However it waited: whoever writes it back into the queue by its state alone finds it due.
            row.set("ready = 1, finished_ms = NULL, cancel_requested = 0", []);
            row.set(NO_FAILURE, []);
            match grant.map(|grant| &grant.serving) {
                Some(Serving::Delivery(delivery)) => row.delivery(delivery),
                Some(Serving::Nothing | Serving::Token(_)) | None => row.set(NO_DELIVERY, []),
            }
        }
        Event::TakeOver => {
            lease(&mut row)?;
            match grant.map(|grant| &grant.serving) {
                Some(Serving::Delivery(delivery)) => row.delivery(delivery),
                Some(Serving::Token(token)) => row.set("delivery_token = ?", [token.as_str().into()]),
                Some(Serving::Nothing) | None => {}
            }
        }
        Event::Accept => row.set(LEASED_STILL, [millis(LEASE).into()]),
        Event::Complete => {
            row.set(NO_LEASE, []);
            row.set(NO_FAILURE, []);
            row.set(FINISHED, []);
        }
        Event::Refuse(failure) => {
            row.set(NO_LEASE, []);
            // It ends without an attempt: whatever was delivered before has not brought this about.
            row.set(NO_DELIVERY, []);
            row.failure(failure);
            row.set(FINISHED, []);
        }
        Event::Fail(failure) => {
            row.set(NO_LEASE, []);
            row.failure(failure);
            row.set(FINISHED, []);
        }
        Event::Retry { failure, delay } => {
            row.set(NO_LEASE, []);
            row.set(NO_CONTAINER, []);
            row.failure(failure);
            if delay.is_zero() {
                row.set(DUE_NOW, []);
            } else {
                row.set(concat!("ready = 0, run_at = ", now_ms!(), " + ?"), [millis(*delay).into()]);
            }
        }
        Event::Lose(failure) => {
            row.set(NO_LEASE, []);
            row.set(NO_CONTAINER, []);
            row.set(NO_DELIVERY, []);
            row.failure(failure);
            row.set("attempt_base = attempt_base + 1, losses = losses + 1", []);
            row.set(DUE_NOW, []);
        }
        Event::Release => {
            row.set(NO_LEASE, []);
            row.set(NO_CONTAINER, []);
            row.set(NO_DELIVERY, []);
            row.set("attempt_base = attempt_base + 1", []);
            row.set(DUE_NOW, []);
        }
        Event::Replay => {
            row.set(NO_CONTAINER, []);
            row.set(NO_DELIVERY, []);
            row.set(NO_FAILURE, []);
            // The worker that a row was reserved for is gone by the time somebody wants it again.
            row.set("attempt_base = attempt, losses = 0, cancel_requested = 0, reserved_for = NULL", []);
            row.set("started_ms = NULL, finished_ms = NULL", []);
            row.set(DUE_NOW, []);
        }
    }
    Ok(row)
}

/// An accepted report prolongs the lease, if there is one.
const LEASED_STILL: &str =
    concat!("lease_until = CASE WHEN lease_owner IS NULL THEN NULL ELSE ", now_ms!(), " + ? END");

/// The edge that an operation wrote; a job has few, found by the index of its edges.
pub(super) const WRITTEN: &str = "SELECT version FROM transitions INDEXED BY transitions_job
    WHERE job_id = ? AND version = ? AND op = ? AND to_state = ? AND reason = ?";

/// The version that an earlier try of an operation gave a job, if it was written.
pub(super) async fn written(unit: &Unit, id: &ScanId, op: &OpId) -> Result<Option<i64>> {
    const BY_OP: &str =
        "SELECT version FROM transitions INDEXED BY transitions_job WHERE job_id = ? AND op = ?";
    Ok(unit.first(BY_OP, [id.as_str(), op.as_str()], |row| row.int(0)).await?)
}

/// Why no row was changed.
async fn refused(unit: &Unit, job: &Job, transition: &Transition, op: &OpId) -> Result<Edge> {
    let now = find(unit, &job.id).await?;
    // Not the row's last_op: an edge to QUEUED may have been claimed again before it is tried a second time.
    let version = job.version + 1;
    let (to, reason) = (transition.to().as_str(), reason(transition.event()));
    let written = params![job.id.as_str(), version, op.as_str(), to, reason];
    if unit.first(WRITTEN, written, |row| row.int(0)).await?.is_some() {
        return Ok(Edge::Before { version, now: now.filter(|now| now.version == version) });
    }
    Ok(match now {
        Some(now)
            if transition.yields_to_cancel()
                && now.version == job.version
                && now.state == transition.from()
                && now.cancel_requested =>
        {
            Edge::Cancelled
        }
        _ => Edge::Conflict,
    })
}

async fn record(
    unit: &Unit,
    after: &Job,
    transition: &Transition,
    worker: Option<&WorkerId>,
    op: &OpId,
) -> Result<()> {
    const RECORD: &str = concat!(
        "INSERT INTO transitions (job_id, version, from_state, to_state, at_ms, attempt, worker, reason, op)
         VALUES (?, ?, ?, ?, ",
        now_ms!(),
        ", ?, ?, ?, ?)"
    );
    let values = params![
        after.id.as_str(),
        after.version,
        transition.from().as_str(),
        transition.to().as_str(),
        after.attempt,
        worker.map(WorkerId::as_str),
        reason(transition.event()),
        op.as_str(),
    ];
    Ok(unit.execute_later(RECORD, values).await?)
}

/// The word that stands for an event in the records: its name, and the class of failure.
pub(super) fn reason(event: &Event) -> String {
    match event.failure() {
        Some(failure) => format!("{}: {}", event.name(), failure.class.as_str()),
        None => event.name().to_owned(),
    }
}

/// Milliseconds, as SQLite counts.
pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

impl Store {
    /// The recorded edges of a job, in the order they were written.
    ///
    /// # Errors
    /// The database's.
    pub async fn transitions(&self, id: &ScanId) -> Result<Vec<TransitionView>> {
        let id = id.clone();
        self.db.read(async move |unit| of_job(unit, &id).await).await
    }
}

pub(super) async fn of_job(unit: &Unit, id: &ScanId) -> Result<Vec<TransitionView>> {
    const OF_JOB: &str = "SELECT from_state, to_state, version, at_ms, worker, reason FROM transitions
        WHERE job_id = ? ORDER BY version, seq";
    unit.query(OF_JOB, [id.as_str()], |row| read(row, id)).await
}

fn read(row: &Columns<'_>, id: &ScanId) -> Result<TransitionView> {
    let state = |column| {
        let name = row.text(column)?;
        State::parse(&name).ok_or_else(|| StoreError::Row {
            table: "transitions",
            id: id.to_string(),
            what: format!("unknown state {name:?}"),
        })
    };
    Ok(TransitionView {
        from: state(0)?,
        to: state(1)?,
        version: row.int(2)?,
        at: Timestamp::from_millis(row.int(3)?),
        worker: row.opt_text(4)?,
        reason: row.text(5)?,
    })
}
