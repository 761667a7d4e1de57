//! Taking the next due job.

use libsql::Value;
use std::sync::{Arc, Mutex, PoisonError};

use super::jobs::{job_columns, read_job};
use super::transitions::{Edge, Grant, write_edge};
use super::{Result, Rows, Store, StoreError, settle};
use crate::db::Unit;
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::{Job, Lease, WorkerId};
use crate::domain::state::{Event, State, step};

/// Who takes a job, for which container.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Gets the lease.
    pub worker: &'a WorkerId,
    /// The engine's name of the container that waits for the job.
    pub container: &'a str,
    /// Take only rows reserved for this worker; otherwise only rows reserved for nobody.
    pub reserved: bool,
}

/// An id that this program cannot name: the row would come up again and again, and is left alone.
macro_rules! readable_id {
    () => {
        " AND length(CAST(scan_jobs.id AS BLOB)) BETWEEN 1 AND 200"
    };
}
pub(super) use readable_id;

macro_rules! shared_due {
    () => {
        " FROM scan_jobs INDEXED BY scan_jobs_claim
          WHERE state = 'QUEUED' AND ready = 1 AND reserved_for IS NULL"
    };
}
pub(super) use shared_due;

macro_rules! reserved_due {
    () => {
        " FROM scan_jobs INDEXED BY scan_jobs_reserved
          WHERE state = 'QUEUED' AND reserved_for IS NOT NULL AND reserved_for = ? AND ready = 1"
    };
}
pub(super) use reserved_due;

/// The first row of the next user: the claim index is in this order, so that this is one look into it.
pub(super) const NEXT_USER: &str = concat!(
    "SELECT ",
    job_columns!(),
    shared_due!(),
    " AND user_id > ?",
    readable_id!(),
    " ORDER BY user_id, priority, created_at, created_ms LIMIT 1"
);

/// The first row of the first user, when the round is over.
pub(super) const FIRST_USER: &str = concat!(
    "SELECT ",
    job_columns!(),
    shared_due!(),
    readable_id!(),
    " ORDER BY user_id, priority, created_at, created_ms LIMIT 1"
);

pub(super) const RESERVED: &str = concat!(
    "SELECT ",
    job_columns!(),
    reserved_due!(),
    readable_id!(),
    " ORDER BY priority, created_at, created_ms LIMIT 1"
);

impl Store {
    /// Takes the next due job: the users that have one take turns, and of one user's jobs the lowest priority
    /// number comes first, then the oldest. State, lease, container and attempt are written at once. `None` when
    /// nothing is due. A claim whose answer is not waited for is given back by the next [`Store::renew`].
    ///
    /// # Errors
    /// The database's.
    pub async fn claim(&self, request: Claim<'_>) -> Result<Option<Lease>> {
        let grant = Grant { worker: request.worker.clone(), container: Some(request.container.to_owned()) };
        let reserved = request.reserved;
        let served = Arc::clone(&self.served);
        let unheard = Arc::clone(&self.unheard);
        let handed: Option<Handed> = self
            .db
            .write(async move |unit| {
                let next = if reserved {
                    first(unit, RESERVED, [grant.worker.as_str().into()]).await?
                } else {
                    let last = served.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    match first(unit, NEXT_USER, [last.into()]).await? {
                        Some(job) => Some(job),
                        None => first(unit, FIRST_USER, []).await?,
                    }
                };
                let Some(job) = next else { return Ok(None) };
                let claimed = step(State::Queued, Event::Claim)
                    .map_err(|_| StoreError::Unfit { what: "a queued job cannot be claimed" })?;
                match write_edge(unit, &job, &claimed, Some(&grant)).await? {
                    Edge::Held(job) => {
                        if !reserved {
                            *served.lock().unwrap_or_else(PoisonError::into_inner) = job.user.clone();
                        }
                        Ok(Some(Handed { job: Some(job), unheard }))
                    }
                    Edge::Cancelled | Edge::Conflict => Ok::<_, StoreError>(None),
                }
            })
            .await?;
        Ok(handed.and_then(Handed::take))
    }
}

/// Jobs that were claimed for callers who no longer waited for the answer. Their worker's renewals would keep
/// them alive for ever without anybody working on them.
pub(super) type Unheard = Arc<Mutex<Vec<Job>>>;

/// A claimed job on its way to the caller. Dropped on the way, it is unheard.
struct Handed {
    job: Option<Job>,
    unheard: Unheard,
}

impl Handed {
    fn take(mut self) -> Option<Lease> {
        self.job.take().map(Lease::granted)
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            self.unheard.lock().unwrap_or_else(PoisonError::into_inner).push(job);
        }
    }
}

/// Gives back, within a unit of work, what nobody heard of. A job that was not claimed after all, because its
/// commit failed, has another version and is left alone.
pub(super) async fn release_unheard(unit: &Unit, jobs: &[Job]) -> Result<()> {
    for job in jobs {
        let release = step(State::Fetching, Event::Release)
            .map_err(|_| StoreError::Unfit { what: "a job at work cannot be released" })?;
        if let Edge::Cancelled = write_edge(unit, job, &release, None).await? {
            let failure =
                Failure::new(FailureClass::Cancelled, FailureStage::Claim, "cancelled before it was started");
            let failed = step(State::Fetching, Event::Fail(failure))
                .map_err(|_| StoreError::Unfit { what: "a job at work cannot fail" })?;
            settle::write(unit, job, &failed, &Rows::default()).await?;
        }
    }
    Ok(())
}

async fn first<const N: usize>(unit: &Unit, sql: &str, values: [Value; N]) -> Result<Option<Job>> {
    unit.first(sql, Vec::from(values), read_job).await
}
