//! Finds jobs that nobody works on, and says what is to be done with each. An attempt of the loop does it.

use tracing::info;

use super::{Place, Remedy, Wanted, is_alive, remedy};
use crate::domain::scan::{RENEWAL, ScanId};
use crate::domain::timestamp::Timestamp;
use crate::sandbox::Sandbox;
use crate::store::{Orphan, StoreError};
use crate::supervisor::Shared;
use crate::supervisor::attempt::runner::Stray;

/// The jobs of dead workers that this one is to see to. A supervisor that is there for its own rows alone must not wait
/// for what others wanted; what nobody waits for it ends like any other.
pub(in crate::supervisor) async fn find<S: Sandbox>(
    shared: &Shared<S>,
) -> Result<Vec<(Orphan, Remedy)>, StoreError> {
    let ended = shared.store.end_abandoned_reserved(&shared.worker).await?;
    if ended > 0 {
        info!(jobs = ended, "ended the jobs of a scan whose process died");
    }
    let orphans = shared.store.orphans(shared.config.unleased_after).await?;
    if orphans.is_empty() {
        return Ok(Vec::new());
    }
    let decided = decide(shared, orphans).await?;
    let is_ours = |remedy| match remedy {
        Remedy::End => true,
        Remedy::Adopt | Remedy::GiveBack => !shared.reserved_only,
        Remedy::LeaveToOthers => false,
    };
    Ok(decided.into_iter().filter(|(_, remedy)| is_ours(*remedy)).collect())
}

/// The job that a delivery found without a holder; `None` when it has one after all.
pub(in crate::supervisor) async fn delivered<S: Sandbox>(
    shared: &Shared<S>,
    id: &ScanId,
) -> Result<Option<(Orphan, Remedy)>, StoreError> {
    let orphan = shared.store.orphan(id, shared.config.unleased_after).await?;
    Ok(decide(shared, orphan.into_iter().collect()).await?.pop())
}

async fn decide<S: Sandbox>(
    shared: &Shared<S>,
    orphans: Vec<Orphan>,
) -> Result<Vec<(Orphan, Remedy)>, StoreError> {
    let (workers, now) = (shared.store.workers().await?, shared.store.now().await?);
    let decided = orphans.into_iter().map(|orphan| {
        let engine = orphan.engine_id.as_deref().unwrap_or_default();
        let attended = workers.iter().any(|worker| is_alive(worker, now) && worker.row.engine_id == engine);
        let place = match orphan.job.container_id {
            None => Place::Nowhere,
            Some(_) if engine == shared.config.engine.id => Place::Here,
            Some(_) => Place::Elsewhere { attended },
        };
        // Its own rows are wanted: this worker may have been stopped, but it is not dead.
        let is_own = orphan.job.lease_owner.as_ref() == Some(&shared.worker);
        let wanted = if orphan.abandoned && !is_own { Wanted::NoMore } else { Wanted::Still };
        let remedy = remedy(place, wanted);
        (orphan, remedy)
    });
    Ok(decided.collect())
}

/// Sees to what dead workers have in the queue.
pub(in crate::supervisor) async fn bury<S: Sandbox>(shared: &Shared<S>) {
    let (Ok(workers), Ok(now)) = (shared.store.workers().await, shared.store.now().await) else { return };
    let dead = workers.into_iter().filter(|worker| !is_alive(worker, now) && worker.row.id != shared.worker);
    shared.queue.bury(&dead.map(|worker| worker.row.id).collect()).await;
}

/// Sees whether a job that this worker holds by its row is a stray: no attempt works on it.
pub(in crate::supervisor) async fn stray<S: Sandbox>(
    shared: &Shared<S>,
    id: &ScanId,
) -> Result<Option<Box<Stray>>, StoreError> {
    let Some(lease) = shared.store.regain(id, &shared.worker).await? else { return Ok(None) };
    // Given back and claimed again meanwhile, it is an attempt's of which the loop has yet to hear.
    let now = shared.store.now().await?;
    let claimed = lease.job().started.map_or(0, Timestamp::millis);
    if now.millis().saturating_sub(claimed) < i64::try_from(RENEWAL.as_millis()).unwrap_or(i64::MAX) {
        return Ok(None);
    }
    let bound = lease.job().container_id.clone();
    let rows = shared.store.containers(&shared.config.engine.id).await?;
    let container = rows.into_iter().find(|row| row.container_id.is_some() && row.container_id == bound);
    Ok(Some(Box::new(Stray { lease, container })))
}
