//! Removes containers that nobody else will remove and no job needs.
//!
//! By what is written down, at every look; and by what the engine lists, now and then: a create may arrive after its
//! removal did, and rows are lost with a database that is restored from a copy.

use std::collections::HashSet;

use tracing::{debug, info, warn};

use super::{Maker, Remains, is_heard, may_reap};
use crate::domain::scan::{REAP_AFTER, WorkerId};
use crate::sandbox::{Found, Sandbox, SandboxError};
use crate::store::{ContainerRow, Remnant, StoreError};
use crate::supervisor::Shared;
use crate::supervisor::attempt::runner::chain;
use crate::supervisor::lease::Moment;
use crate::supervisor::trouble::is_silence;

/// The engine does not answer, so that there is no point in asking it for more.
struct Silent;

/// One look at what is written down and, where asked for, at what the engine has.
pub(in crate::supervisor) async fn reap<S: Sandbox>(shared: &Shared<S>, by_listing: bool) {
    // Asked before the rows are: a row is there before its container can be left, or made.
    let left = shared.left();
    let may_judge = shared.hearing().may_judge(Moment::now());
    let listed = if by_listing { list(shared).await } else { Vec::new() };
    let Ok(mut remnants) = shared.store.remnants(&shared.config.engine.id).await else { return };
    for name in left.iter().filter(|name| !remnants.iter().any(|row| row.container.obligation.name == **name))
    {
        shared.forget_left(name);
    }
    let mut unknown: Vec<_> = listed.into_iter().filter(|found| !is_written_down(found, &remnants)).collect();
    if !may_judge {
        remnants.retain(|row| row.container.obligation.worker == shared.worker);
        unknown.retain(|found| found.worker == shared.worker.as_str());
    }
    if remove_written_down(shared, remnants, &left).await.is_err() || unknown.is_empty() {
        return;
    }
    match remove_unknown(shared, unknown).await {
        Ok(()) => {}
        Err(error) => debug!(error = chain(&error), "the reaper has to wait for the database"),
    }
}

async fn list<S: Sandbox>(shared: &Shared<S>) -> Vec<Found> {
    match shared.sandbox.list().await {
        Ok(listed) => listed,
        Err(error) => {
            if is_silence(&error) {
                shared.trouble("listing containers", &error);
            }
            Vec::new()
        }
    }
}

fn is_written_down(found: &Found, remnants: &[Remnant]) -> bool {
    remnants.iter().any(|remnant| {
        remnant.container.obligation.name == found.name
            || remnant.container.container_id.as_deref() == Some(&found.id)
    })
}

async fn remove_written_down<S: Sandbox>(
    shared: &Shared<S>,
    remnants: Vec<Remnant>,
    left: &HashSet<String>,
) -> Result<(), Silent> {
    for Remnant { container: row, silent, bound } in remnants {
        let ContainerRow { obligation, container_id, .. } = &row;
        let name = &obligation.name;
        let maker = if obligation.worker == shared.worker {
            Maker::Me { left: left.contains(name) }
        } else {
            Maker::Other { silent }
        };
        if !may_reap(Remains { bound, maker }) {
            continue;
        }
        if obligation.worker != shared.worker {
            match shared.store.take_obligation(name, &obligation.worker, &shared.worker).await {
                // It is ours from here on, also when it cannot be removed yet.
                Ok(true) => shared.leave(name),
                // Its worker was heard of after all, or another one is at it.
                Ok(false) | Err(_) => continue,
            }
        }
        let handle = container_id.as_deref().unwrap_or(name);
        if !remove(shared, handle, name, obligation.worker.as_str()).await? {
            continue;
        }
        if let Err(error) = shared.store.container_gone(name).await {
            debug!(container.name = name, error = chain(&error), "a removed container stays written down");
        }
    }
    Ok(())
}

/// Containers of this installation that nobody wrote down, or of which the row is gone.
async fn remove_unknown<S: Sandbox>(shared: &Shared<S>, unknown: Vec<Found>) -> Result<(), StoreError> {
    // After the list: who made one of them has been a worker since before.
    let (workers, now) = (shared.store.workers().await?, shared.store.now().await?);
    for found in unknown {
        let maker = if found.worker == shared.worker.as_str() {
            // Its row was there when it was made and is gone since: no attempt has to do with it any more.
            Maker::Me { left: true }
        } else {
            let made = WorkerId::from_row(found.worker.clone());
            let heard = |worker: &_| is_heard(worker, now, REAP_AFTER);
            Maker::Other { silent: !workers.iter().any(|worker| worker.row.id == made && heard(worker)) }
        };
        let bound = shared.store.is_bound(&found.id, &found.name).await?;
        if may_reap(Remains { bound, maker })
            && remove(shared, &found.id, &found.name, &found.worker).await.is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether it is removed.
async fn remove<S: Sandbox>(
    shared: &Shared<S>,
    handle: &str,
    name: &str,
    worker: &str,
) -> Result<bool, Silent> {
    match shared.sandbox.remove(handle).await {
        Ok(()) => {
            info!(container.name = name, container.worker = worker, "removed a container that was left");
            Ok(true)
        }
        Err(error) => not_removed(shared, name, &error),
    }
}

fn not_removed<S: Sandbox>(shared: &Shared<S>, name: &str, error: &SandboxError) -> Result<bool, Silent> {
    if is_silence(error) {
        shared.trouble("removing a container", error);
        return Err(Silent);
    }
    if shared.is_first_refusal(name) {
        warn!(container.name = name, error = chain(error), "a container cannot be removed yet");
    }
    Ok(false)
}
