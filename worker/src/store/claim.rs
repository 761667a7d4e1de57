//! Taking the next due job.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libsql::params;

use super::hosts::{self, Candidate, FIRST_USER, NEXT_USER, Politeness, WITH_ROOM};
use super::jobs::{job_columns, read_job};
use super::settle::{Stored, twice};
use super::transitions::{Edge, Grant, Serving, write_edge};
use super::{Result, Store, StoreError, settle};
use crate::db::{Ask, Found, Unit};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::{Job, Lease, OpId, WorkerId};
use crate::domain::state::{Event, State, step};

/// A container that waits for a job, by both of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The one that its obligation was written down by.
    pub name: String,
    /// The engine's.
    pub id: String,
}

/// Who takes a job, for which container.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Gets the lease.
    pub worker: &'a WorkerId,
    /// What waits for the job.
    pub container: &'a Ready,
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

pub(super) const RESERVED: &str = concat!(
    "SELECT ",
    job_columns!(),
    reserved_due!(),
    readable_id!(),
    " ORDER BY priority, created_at, created_ms LIMIT 1"
);

/// Whether a container is still the worker's: one that was silent for long may find that the reaper has taken it.
pub(super) const KEPT: &str = "SELECT 1 FROM containers WHERE name = ? AND worker = ?";

/// What a job's row names as its container is known as one's from the same moment on.
pub(super) const IDENTIFY: &str = "UPDATE containers SET container_id = ? WHERE name = ?";

impl Store {
    /// Takes the next due job: the users that have one take turns, and of one user's jobs the lowest priority
    /// number comes first, then the oldest; what goes to a host without room is passed over, unless a person waits for it
    /// (reserved rows). State, lease, container, the engine's name of it and attempt are written at once. `None` when
    /// nothing is due. A claim whose answer is lost is asked for once more within this call; one whose answer is
    /// not waited for is given back by the next [`Store::renew`].
    ///
    /// # Errors
    /// [`StoreError::ContainerTaken`] when the container is not the worker's any more; the database's.
    pub async fn claim(&self, request: Claim<'_>) -> Result<Option<Lease>> {
        let container = Some(request.container.clone());
        let grant = Grant { worker: request.worker.clone(), container, serving: Serving::Nothing };
        let op = OpId::fresh();
        let handed = twice(|| {
            let (grant, op, reserved) = (grant.clone(), op.clone(), request.reserved);
            let (served, unheard) = (Arc::clone(&self.served), Arc::clone(&self.unheard));
            let politeness = self.politeness;
            self.db.write(async move |unit| {
                take(unit, &grant, reserved, op, (&served, politeness), unheard).await
            })
        });
        Ok(handed.await?.and_then(Handed::take))
    }
}

/// The next row, within a unit of work. The operation's earlier try is found among the claims that nobody heard of.
async fn take(
    unit: &Unit,
    grant: &Grant,
    reserved: bool,
    op: OpId,
    turn: (&Mutex<String>, Politeness),
    unheard: Unheard,
) -> Result<Option<Handed>> {
    if let Some(handed) = before(unit, &op, &unheard).await? {
        return Ok(Some(handed));
    }
    let Some(container) = &grant.container else {
        return Err(StoreError::Unfit { what: "no container is named that waits for the job" });
    };
    let kept = kept(container, &grant.worker)?;
    if reserved {
        let [kept, next] = unit.together([kept, Ask::new(RESERVED, [grant.worker.as_str()])?]).await?;
        is_kept(&kept, container)?;
        let Some(job) = next.first(read_job)? else { return Ok(None) };
        return claim_row(unit, &job, grant, op, unheard).await;
    }
    let (served, politeness) = turn;
    let last = lock(served).clone();
    let [kept, open, next, first] =
        unit.together([kept, open(politeness)?, Ask::new(NEXT_USER, [last.as_str()])?, first()?]).await?;
    is_kept(&kept, container)?;
    let found = if hosts::wake(unit, &open, politeness).await? { None } else { Some([next, first]) };
    let (last, next) = next_with_room(unit, last, politeness, found).await?;
    let Some(next) = next else {
        // Whose turn it was has had it: the next claim goes on behind them.
        *lock(served) = last;
        return Ok(None);
    };
    let handed = claim_row(unit, &next.job, grant, op, unheard).await?;
    if handed.is_some() {
        next.begun(unit, politeness).await?;
        lock(served).clone_from(&next.job.user);
    }
    Ok(handed)
}

/// How many users' turns one claim passes over because none of their first rows has a host with room. These rows are
/// held back then, and the claim is asked for again.
const TURNS: usize = 4;

/// The first row of the next user whose host has room, and whose turn was the last that was looked at. `found` is what was
/// seen of the first turn already.
async fn next_with_room(
    unit: &Unit,
    mut last: String,
    politeness: Politeness,
    mut found: Option<[Found; 2]>,
) -> Result<(String, Option<Candidate>)> {
    for _ in 0..TURNS {
        let [next, first] = match found.take() {
            Some(found) => found,
            None => unit.together([Ask::new(NEXT_USER, [last.as_str()])?, first()?]).await?,
        };
        let next = if next.is_empty() { first } else { next };
        let Some(candidate) = hosts::candidate(unit, &next).await? else { return Ok((last, None)) };
        last.clone_from(&candidate.job.user);
        if candidate.has_room(politeness) {
            return Ok((last, Some(candidate)));
        }
        if let Some(candidate) = hosts::hold_back(unit, &last, politeness).await? {
            return Ok((last, Some(candidate)));
        }
    }
    Ok((last, None))
}

fn open(politeness: Politeness) -> Result<Ask> {
    Ok(Ask::new(WITH_ROOM, hosts::with_room(politeness))?)
}

/// Behind the question for the next user.
fn first() -> Result<Ask> {
    Ok(Ask::new(FIRST_USER, ())?.spare())
}

/// Asks whether a container is still the worker's.
pub(super) fn kept(container: &Ready, worker: &WorkerId) -> Result<Ask> {
    Ok(Ask::new(KEPT, [container.name.as_str(), worker.as_str()])?)
}

pub(super) fn is_kept(kept: &Found, container: &Ready) -> Result<()> {
    if kept.is_empty() {
        return Err(StoreError::ContainerTaken { container: container.name.clone() });
    }
    Ok(())
}

/// The claim that an earlier try of this operation wrote, whose answer was lost.
pub(super) async fn before(unit: &Unit, op: &OpId, unheard: &Unheard) -> Result<Option<Handed>> {
    let claimed = lock(unheard).iter().find(|claimed| claimed.op == *op).cloned();
    let Some(claimed) = claimed else { return Ok(None) };
    let stands = stands(unit, &claimed).await?;
    // Either way: what was not written then is not to be given back once this try has written it.
    lock(unheard).retain(|claimed| claimed.op != *op);
    Ok(stands.then(|| Handed { claimed: Some(claimed), unheard: Arc::clone(unheard) }))
}

/// Claims one queued row; `None` when somebody was faster.
pub(super) async fn claim_row(
    unit: &Unit,
    job: &Job,
    grant: &Grant,
    op: OpId,
    unheard: Unheard,
) -> Result<Option<Handed>> {
    let claim = step(State::Queued, Event::Claim)
        .map_err(|_| StoreError::Unfit { what: "a queued job cannot be claimed" })?;
    let Edge::Held(job) = write_edge(unit, job, &claim, Some(grant), &op).await? else { return Ok(None) };
    if let Some(Ready { name, id }) = &grant.container {
        unit.execute_later(IDENTIFY, [id.as_str(), name.as_str()]).await?;
    }
    Ok(Some(Handed { claimed: Some(Claimed { job, op }), unheard }))
}

/// Jobs that were claimed for callers who did not hear of it. Their worker's renewals would keep them alive for ever
/// without anybody working on them.
pub(super) type Unheard = Arc<Mutex<Vec<Claimed>>>;

/// A row as a claim left it, and the id of that write.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Claimed {
    job: Job,
    op: OpId,
}

/// A claimed job on its way to the caller. Dropped on the way, it is unheard.
pub(super) struct Handed {
    claimed: Option<Claimed>,
    unheard: Unheard,
}

impl Handed {
    pub(super) fn take(mut self) -> Option<Lease> {
        self.claimed.take().map(|claimed| Lease::granted(claimed.job))
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        if let Some(claimed) = self.claimed.take() {
            lock(&self.unheard).push(claimed);
        }
    }
}

/// Gives back, within a unit of work, what nobody heard of.
pub(super) async fn release_unheard(unit: &Unit, unheard: &[Claimed]) -> Result<()> {
    for claimed in unheard {
        // The claim may not have been written after all, and another worker's have given the row the same version.
        if !stands(unit, claimed).await? {
            continue;
        }
        let job = &claimed.job;
        let release = step(State::Fetching, Event::Release)
            .map_err(|_| StoreError::Unfit { what: "a job at work cannot be released" })?;
        if let Edge::Cancelled = write_edge(unit, job, &release, None, &OpId::fresh()).await? {
            let failure =
                Failure::new(FailureClass::Cancelled, FailureStage::Claim, "cancelled before it was started");
            let failed = step(State::Fetching, Event::Fail(failure))
                .map_err(|_| StoreError::Unfit { what: "a job at work cannot fail" })?;
            settle::write(unit, job, &failed, &Stored::default(), &OpId::fresh()).await?;
        }
    }
    Ok(())
}

/// Whether a row is as this very claim left it.
async fn stands(unit: &Unit, claimed: &Claimed) -> Result<bool> {
    const STANDS: &str = "SELECT 1 FROM scan_jobs WHERE id = ? AND version = ? AND last_op = ?";
    let values = params![claimed.job.id.as_str(), claimed.job.version, claimed.op.as_str()];
    Ok(unit.first(STANDS, values, |row| row.int(0)).await?.is_some())
}

/// What a panicking holder left is whole: entries are pushed and removed at once.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
