//! Jobs whose worker is gone. A worker is dead when its heartbeat is old by the database's clock.

use std::time::Duration;

use libsql::params;

use super::claim::readable_id;
use super::containers::{CONTAINER_COLUMNS, ContainerRow, container_columns, read_container};
use super::jobs::{JOB_COLUMNS, find, job_columns, read_job};
use super::settle::{Stored, twice, write};
use super::transitions::{Edge, Grant, Serving, millis, write_edge};
use super::{Result, Store, StoreError};
use crate::db::{Columns, now_ms};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::{DEAD_AFTER, Job, LEASE, Lease, OpId, ScanId, WorkerId};
use crate::domain::state::{Event, State, step};

/// A job that nobody works on any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Orphan {
    /// The row; it names the container, if there was one.
    pub job: Job,
    /// What was written down of that container; `None` when nothing was, or it was removed.
    pub container: Option<ContainerRow>,
    /// The engine of the container or, without one, of the dead worker; `None` when nobody knows it.
    pub engine_id: Option<String>,
    /// It is reserved for a worker that is dead: nobody waits for it.
    pub abandoned: bool,
}

/// A row at work with what is known of its owner and container, and whether nobody waits for it.
macro_rules! orphan_columns {
    () => {
        concat!(
            "SELECT ",
            job_columns!(),
            ", owner.engine_id, ",
            container_columns!(),
            ", scan_jobs.reserved_for IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM workers WHERE workers.id = scan_jobs.reserved_for AND heartbeat_ms >= ",
            now_ms!(),
            " - ?2)
             FROM scan_jobs "
        )
    };
}

macro_rules! owner_and_container {
    () => {
        " LEFT JOIN workers AS owner ON owner.id = scan_jobs.lease_owner
          LEFT JOIN containers AS c ON c.container_id = scan_jobs.container_id "
    };
}

/// Of the few rows at work: those of dead owners, and those that nobody ever leased.
pub(super) const ORPHANS: &str = concat!(
    orphan_columns!(),
    "INDEXED BY scan_jobs_leased",
    owner_and_container!(),
    "WHERE scan_jobs.state IN ('FETCHING', 'ANALYZING')
       AND CASE WHEN scan_jobs.lease_owner IS NULL
         THEN scan_jobs.updated_at * 1000 < ",
    now_ms!(),
    " - ?1
         ELSE coalesce(scan_jobs.lease_until, 0) < ",
    now_ms!(),
    " AND coalesce(owner.heartbeat_ms, 0) < ",
    now_ms!(),
    " - ?2 END",
    readable_id!()
);

/// One row at work whose lease has run out, however its owner does.
pub(super) const ORPHAN: &str = concat!(
    orphan_columns!(),
    owner_and_container!(),
    "WHERE scan_jobs.id = ?3 AND scan_jobs.state IN ('FETCHING', 'ANALYZING')
       AND CASE WHEN scan_jobs.lease_owner IS NULL
         THEN scan_jobs.updated_at * 1000 < ",
    now_ms!(),
    " - ?1
         ELSE coalesce(scan_jobs.lease_until, 0) < ",
    now_ms!(),
    " END"
);

pub(super) const ABANDONED: &str = concat!(
    "SELECT CAST(id AS BLOB) FROM scan_jobs INDEXED BY scan_jobs_reserved
     WHERE state = 'QUEUED' AND reserved_for IS NOT NULL AND NOT EXISTS (
       SELECT 1 FROM workers WHERE workers.id = reserved_for AND heartbeat_ms >= ",
    now_ms!(),
    " - ?) AND reserved_for <> ?"
);

impl Store {
    /// Jobs in FETCHING or ANALYZING whose owner is dead and whose lease has run out, and those of another
    /// program that have had no lease and no change for this long.
    ///
    /// # Errors
    /// The database's.
    pub async fn orphans(&self, unleased_after: Duration) -> Result<Vec<Orphan>> {
        let ages = params![millis(unleased_after), millis(DEAD_AFTER)];
        self.db.read(async move |unit| unit.query(ORPHANS, ages, read_orphan).await).await
    }

    /// The job at work with this id, if its lease has run out; a row that nobody ever leased, if it has had no change
    /// for this long.
    ///
    /// # Errors
    /// The database's.
    pub async fn orphan(&self, id: &ScanId, unleased_after: Duration) -> Result<Option<Orphan>> {
        let values = params![millis(unleased_after), millis(DEAD_AFTER), id.as_str()];
        self.db.read(async move |unit| unit.first(ORPHAN, values, read_orphan).await).await
    }

    /// Takes an orphan over: a new lease on the same attempt. `None` when its lease lives again or somebody was
    /// faster. A lost answer is asked for once more within this call.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] for a job that nobody can work on; the database's.
    pub async fn take_over(&self, job: &Job, me: &WorkerId, serving: Serving) -> Result<Option<Lease>> {
        let taken = step(job.state, Event::TakeOver)
            .map_err(|_| StoreError::Unfit { what: "only a job at work can be taken over" })?;
        let grant = Grant { worker: me.clone(), container: None, serving };
        let op = OpId::fresh();
        let taken = twice(|| {
            let (job, taken, grant, op) = (job.clone(), taken.clone(), grant.clone(), op.clone());
            self.db.write(async move |unit| write_edge(unit, &job, &taken, Some(&grant), &op).await)
        });
        Ok(match taken.await? {
            Edge::Held(job) | Edge::Before { now: Some(job), .. } => Some(Lease::granted(job)),
            Edge::Before { now: None, .. } | Edge::Cancelled | Edge::Conflict => None,
        })
    }

    /// The lease of a job that is held by this worker, for who goes on with it without the token that the claim gave.
    /// `None` when the worker does not hold it.
    ///
    /// # Errors
    /// The database's.
    pub async fn regain(&self, id: &ScanId, me: &WorkerId) -> Result<Option<Lease>> {
        let job = self.job(id).await?;
        let held = job.filter(|job| {
            matches!(job.state, State::Fetching | State::Analyzing) && job.lease_owner.as_ref() == Some(me)
        });
        Ok(held.map(Lease::granted))
    }

    /// Prolongs one lease if the job is still held by this worker as it knows it. `false`: it is lost. A lease that
    /// ran out and was taken by nobody is held again: what its holder may do hangs on the row's version alone, and
    /// the edge that takes a job from it would have raised that. Whoever is about to take it over is a conflict
    /// later, as if the lease had never run out.
    ///
    /// # Errors
    /// The database's.
    pub async fn confirm(&self, job: &Job, me: &WorkerId) -> Result<bool> {
        const CONFIRM: &str = concat!(
            "UPDATE scan_jobs SET lease_until = ",
            now_ms!(),
            " + ? WHERE id = ? AND version = ? AND lease_owner = ? AND state IN ('FETCHING', 'ANALYZING')"
        );
        twice(|| {
            let (id, version, me) = (job.id.clone(), job.version, me.clone());
            self.db.write(async move |unit| {
                let values = params![millis(LEASE), id.as_str(), version, me.as_str()];
                Ok::<_, StoreError>(unit.execute(CONFIRM, values).await? > 0)
            })
        })
        .await
    }

    /// Ends queued rows that are reserved for a dead worker, FAILED/cancelled: the command that wanted them is
    /// gone. Says how many. The one that asks lives, however old its heartbeat has become while it was stopped.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_abandoned_reserved(&self, me: &WorkerId) -> Result<u64> {
        let me = me.clone();
        let look = async move |unit: &crate::db::Unit| {
            let values = params![millis(DEAD_AFTER), me.as_str()];
            unit.query(ABANDONED, values, |row| row.text(0)).await
        };
        // A look first: this is asked every second, and a write would hold up everybody.
        if self.db.read(look.clone()).await.map_err(StoreError::from)?.is_empty() {
            return Ok(0);
        }
        self.db
            .write(async move |unit| {
                let mut ended = 0;
                for id in look(unit).await? {
                    let Ok(id) = ScanId::parse(id) else { continue };
                    let Some(job) = find(unit, &id).await? else { continue };
                    let failure = Failure::new(
                        FailureClass::Cancelled,
                        FailureStage::Claim,
                        "the command that asked for this scan has ended",
                    );
                    let refused = step(State::Queued, Event::Refuse(failure))
                        .map_err(|_| StoreError::Unfit { what: "a queued job cannot be refused" })?;
                    if let Edge::Held(_) =
                        write(unit, &job, &refused, &Stored::default(), &OpId::fresh()).await?
                    {
                        ended += 1;
                    }
                }
                Ok(ended)
            })
            .await
    }
}

fn read_orphan(row: &Columns<'_>) -> Result<Orphan> {
    const CONTAINER: i32 = JOB_COLUMNS + 1;
    const ABANDONED: i32 = CONTAINER + CONTAINER_COLUMNS;
    let container = match row.opt_text(CONTAINER)? {
        Some(_) => Some(read_container(row, CONTAINER)?),
        None => None,
    };
    let of_worker = row.opt_text(JOB_COLUMNS)?;
    let engine_id = container.as_ref().map(|c| c.obligation.engine_id.clone()).or(of_worker);
    let abandoned = row.flag(ABANDONED)?;
    Ok(Orphan { job: read_job(row)?, container, engine_id, abandoned })
}
