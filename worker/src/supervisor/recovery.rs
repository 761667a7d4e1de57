//! Finds what dead workers left: jobs without a holder, containers without a supervisor, folders without a gateway.
//!
//! [`remedy`] decides about one job and is pure; the rest carries out. Everything here may be done by several
//! workers at once and again: the version of a row decides who does it, and removal of what is gone is a success.

use std::path::{Path, PathBuf};

use tracing::{info, warn};

use super::attempt::runner::chain;
use super::progress::Progress;
use super::retry::after_failure;
use super::{Shared, rows};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::{DEAD_AFTER, Job, RENEWAL, ScanId, WorkerId};
use crate::domain::state::{Event, step};
use crate::domain::timestamp::Timestamp;
use crate::gateway;
use crate::sandbox::Sandbox;
use crate::store::{Applied, Orphan, Remnant, StoreError, WorkerView};

/// What to do with a job that nobody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Remedy {
    /// Its container is on our engine: go on with it, or see to its end.
    Adopt,
    /// There is no container, or its engine has no worker any more: give the job back.
    GiveBack,
    /// A worker of the container's engine lives; it is that one's.
    LeaveToOthers,
}

/// Where the container of a job is that nobody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere: none is bound to the job.
    Nowhere,
    /// On the engine of the worker that asks.
    Here,
    /// On another engine, which has a worker that lives, or has not.
    Elsewhere {
        /// A worker of that engine lives.
        attended: bool,
    },
}

/// Decides about one job whose holder is dead.
#[must_use]
pub const fn remedy(container: Place) -> Remedy {
    match container {
        Place::Here => Remedy::Adopt,
        Place::Nowhere | Place::Elsewhere { attended: false } => Remedy::GiveBack,
        Place::Elsewhere { attended: true } => Remedy::LeaveToOthers,
    }
}

/// What is known of a container of this installation on our engine, whether or not anybody wrote it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Remains {
    /// A job at work is bound to it: its log may be the only copy of a report.
    pub bound: bool,
    /// Whose it is.
    pub maker: Maker,
}

/// The worker that made a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Maker {
    /// The worker that asks.
    Me {
        /// None of its attempts will remove it any more.
        left: bool,
    },
    /// Another one.
    Other {
        /// Its heartbeat is older than [`REAP_AFTER`](crate::domain::scan::REAP_AFTER), or it has none.
        silent: bool,
    },
}

/// Whether the reaper may remove a container.
#[must_use]
pub const fn may_reap(remains: Remains) -> bool {
    let abandoned = match remains.maker {
        Maker::Me { left } => left,
        Maker::Other { silent } => silent,
    };
    abandoned && !remains.bound
}

/// One look at everything. What does not work now is tried again at the next.
pub(super) async fn sweep<S: Sandbox>(shared: &Shared<S>, run_base: &Path) {
    match shared.store.end_abandoned_reserved().await {
        Ok(0) => {}
        Ok(ended) => info!(jobs = ended, "ended the jobs of a scan whose process died"),
        Err(error) => return tracing::debug!(error = chain(&error), "recovery has to wait for the database"),
    }
    requeue_orphans(shared).await;
    reap(shared).await;
    remove_dead_run_dirs(shared, run_base).await;
}

async fn requeue_orphans<S: Sandbox>(shared: &Shared<S>) {
    let Ok(orphans) = shared.store.orphans(shared.config.unleased_after).await else { return };
    if orphans.is_empty() {
        return;
    }
    let (Ok(workers), Ok(now)) = (shared.store.workers().await, shared.store.now().await) else { return };
    for orphan in orphans {
        let engine = orphan.engine_id.as_deref().unwrap_or_default();
        let attended = workers.iter().any(|worker| is_alive(worker, now) && worker.row.engine_id == engine);
        let place = match orphan.job.container_id {
            None => Place::Nowhere,
            Some(_) if engine == shared.config.engine.id => Place::Here,
            Some(_) => Place::Elsewhere { attended },
        };
        match remedy(place) {
            Remedy::LeaveToOthers => {}
            Remedy::GiveBack => requeue(shared, &orphan, false).await,
            Remedy::Adopt => requeue(shared, &orphan, true).await,
        }
    }
}

/// Takes the job over, makes sure that its container is dead, gives the job back.
async fn requeue<S: Sandbox>(shared: &Shared<S>, orphan: &Orphan, kill: bool) {
    let Ok(Some(lease)) = shared.store.take_over(&orphan.job, &shared.worker).await else { return };
    if let (true, Some(container)) = (kill, &orphan.job.container_id)
        && let Err(error) = shared.sandbox.kill(container).await
    {
        // It is a stray of ours now, and tried again as one.
        warn!(scan.id = %orphan.job.id, container.id = container, error = chain(&error), "a dead worker's container cannot be killed yet");
        return;
    }
    if let Err(error) = give_back(shared, lease.job(), "the worker that held the job died").await {
        warn!(scan.id = %orphan.job.id, error = chain(&error), "a dead worker's job stays held for now");
    }
}

/// Writes QUEUED, or the end of a job that was lost too often or that a person asked to cancel.
async fn give_back<S: Sandbox>(shared: &Shared<S>, job: &Job, why: &str) -> Result<(), StoreError> {
    let lost = Failure::new(FailureClass::Lost, FailureStage::Fetch, why);
    let cancelled = Failure::new(FailureClass::Cancelled, FailureStage::Fetch, "the scan was cancelled");
    for event in [after_failure(job, lost, 0.0), Event::Fail(cancelled)] {
        let Ok(transition) = step(job.state, event) else { return Ok(()) };
        let rows = rows::of_lost(shared, job, &transition);
        let (to, reason) = (transition.to(), transition.event().name());
        match shared.store.apply(job, transition, rows).await? {
            Applied::Done { .. } => {
                info!(scan.id = %job.id, scan.attempt = job.attempt, from = %job.state, to = %to, reason, "transition");
                shared.progress(if to.is_final() {
                    Progress::Ended(job.id.clone(), to)
                } else {
                    Progress::Queued(job.id.clone())
                });
                return Ok(());
            }
            Applied::Cancelled => {}
            // Taken by another worker meanwhile, which decides.
            Applied::Conflict => return Ok(()),
        }
    }
    Ok(())
}

/// Gives back a job that this worker holds although no attempt of it works on it.
pub(super) async fn requeue_stray<S: Sandbox>(shared: &Shared<S>, id: &ScanId) {
    let Ok(Some(job)) = shared.store.job(id).await else { return };
    if job.lease_owner.as_ref() != Some(&shared.worker) {
        return;
    }
    // Given back and claimed again meanwhile, it is an attempt's of which the loop has yet to hear.
    let Ok(now) = shared.store.now().await else { return };
    let claimed = job.started.map_or(0, Timestamp::millis);
    if now.millis().saturating_sub(claimed) < i64::try_from(RENEWAL.as_millis()).unwrap_or(i64::MAX) {
        return;
    }
    if let Some(container) = &job.container_id
        && shared.sandbox.kill(container).await.is_err()
    {
        return;
    }
    if let Err(error) = give_back(shared, &job, "the attempt broke off").await {
        warn!(scan.id = %job.id, error = chain(&error), "a job without an attempt stays held for now");
        return;
    }
    for row in shared.store.containers(&shared.config.engine.id).await.unwrap_or_default() {
        if row.container_id == job.container_id {
            shared.leave(&row.obligation.name, Some(id));
        }
    }
}

/// Removes containers whose worker is long dead and whose job does not need them any more, and those of our own
/// that were left.
pub(super) async fn reap<S: Sandbox>(shared: &Shared<S>) {
    // Asked before the rows are: a row is there before its container can be left.
    let left = shared.left();
    let Ok(all) = shared.store.remnants(&shared.config.engine.id).await else { return };
    for name in left.keys().filter(|name| !all.iter().any(|row| row.container.obligation.name == **name)) {
        shared.forget_left(name);
    }
    let to_remove = all.into_iter().filter(|Remnant { container, silent, bound }| {
        let maker = if container.obligation.worker == shared.worker {
            Maker::Me { left: left.contains_key(&container.obligation.name) }
        } else {
            Maker::Other { silent: *silent }
        };
        may_reap(Remains { bound: *bound, maker })
    });
    for Remnant { container: row, .. } in to_remove {
        let name = &row.obligation.name;
        let handle = row.container_id.as_deref().unwrap_or(name);
        match shared.sandbox.remove(handle).await {
            Ok(()) => {
                info!(container.name = name, container.worker = %row.obligation.worker, "removed a container that was left");
                if let Err(error) = shared.store.container_gone(name).await {
                    warn!(
                        container.name = name,
                        error = chain(&error),
                        "a removed container stays written down"
                    );
                }
            }
            Err(error) => {
                tracing::debug!(
                    container.name = name,
                    error = chain(&error),
                    "a container cannot be removed yet"
                );
            }
        }
    }
}

/// Removes the socket folders of dead workers whose containers and gateway are gone too.
async fn remove_dead_run_dirs<S: Sandbox>(shared: &Shared<S>, run_base: &Path) {
    let (Ok(workers), Ok(now)) = (shared.store.workers().await, shared.store.now().await) else { return };
    let Ok(containers) = shared.store.containers(&shared.config.engine.id).await else { return };
    for worker in workers.iter().filter(|worker| !is_alive(worker, now)) {
        if containers.iter().any(|container| container.obligation.worker == worker.row.id) {
            continue;
        }
        let dir = run_dir(run_base, &worker.row.id);
        let Ok(left) = gateway::leftovers(&dir) else { continue };
        if !left.iter().any(|leftover| gateway::is_locked(&leftover.ledger_path).unwrap_or(true)) {
            remove_run_dir(&dir);
        }
    }
}

/// The folder of one worker's gateway sockets. Short, because the path of a socket is.
pub(super) fn run_dir(base: &Path, worker: &WorkerId) -> PathBuf {
    const SHORT: usize = 12;
    let name = worker.as_str();
    base.join(&name[name.len().saturating_sub(SHORT)..])
}

/// Removes a folder of sockets and ledgers.
pub(super) fn remove_run_dir(dir: &Path) {
    if let Err(error) = std::fs::remove_dir_all(dir)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        warn!(path = %dir.display(), error = chain(&error), "a folder of gateway sockets cannot be removed");
    }
}

/// By the database's clock.
fn is_alive(worker: &WorkerView, now: Timestamp) -> bool {
    let silent = now.millis().saturating_sub(worker.heartbeat.millis());
    u128::try_from(silent).unwrap_or(0) < DEAD_AFTER.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_touched_only_by_a_worker_of_its_engine() {
        assert_eq!(remedy(Place::Here), Remedy::Adopt);
        assert_eq!(remedy(Place::Elsewhere { attended: true }), Remedy::LeaveToOthers);
        assert_eq!(remedy(Place::Elsewhere { attended: false }), Remedy::GiveBack);
        assert_eq!(remedy(Place::Nowhere), Remedy::GiveBack);
    }

    #[test]
    fn a_container_is_reaped_when_nobody_else_will_and_no_job_needs_it() {
        for bound in [false, true] {
            for left in [false, true] {
                assert_eq!(may_reap(Remains { bound, maker: Maker::Me { left } }), left && !bound);
            }
            for silent in [false, true] {
                assert_eq!(may_reap(Remains { bound, maker: Maker::Other { silent } }), silent && !bound);
            }
        }
    }
}
