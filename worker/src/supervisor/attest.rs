//! Whether containers are as closed as they should be, looked at before the first job is taken.
//!
//! One container is made as for a job, with a user id, a record and a door of its own, and probed. What it saw is kept
//! in the database under its digest, which every document then names. A worker that finds a restriction missing does
//! not start, unless the settings name that one.

use futures_util::FutureExt as _;
use tokio::time::sleep;
use tracing::{info, warn};
use uuid::Uuid;

use super::attempt::runner::chain;
use super::{Config, StartError, trouble_backoff};
use crate::domain::scan::WorkerId;
use crate::gateway::{Gateway, GatewayError, GatewayEvent};
use crate::sandbox::attestation::Judged;
use crate::sandbox::{Attestation, Request, Sandbox, SandboxError, Standing};
use crate::store::{AttestationRow, Obligation, Store};

/// What is asked of containers at a start.
#[derive(Debug, Clone)]
pub struct Walls {
    /// Names of restrictions that need not hold.
    pub accept: Vec<String>,
    /// What an attestation is true for, as a digest.
    pub circumstances: String,
    /// An attestation of the last 24 hours will do, where the circumstances are the same.
    pub remembered: bool,
}

/// What does not hold, on one line.
pub(super) fn told(broken: &[Judged]) -> String {
    let each = broken.iter().map(|judged| {
        let Judged { name, tried, expected, saw, .. } = judged;
        format!("{name} (tried to {tried}: expected {expected}, saw {saw})")
    });
    each.collect::<Vec<_>>().join("; ")
}

/// The digest of what containers are like; `None` where nobody asked.
pub(super) async fn attest<S: Sandbox>(
    store: &Store,
    sandbox: &S,
    config: &Config,
    worker: &WorkerId,
    gateway: &Gateway,
) -> Result<Option<String>, StartError> {
    let Some(walls) = &config.walls else { return Ok(None) };
    if walls.remembered
        && let Some(row) = store.attestation_of(&walls.circumstances).await?
        && let Ok(attestation) = serde_json::from_str::<Attestation>(&row.body)
        && attestation.broken(&walls.accept).is_empty()
    {
        return Ok(Some(row.digest));
    }
    let attestation = probe(store, sandbox, config, worker, gateway).await?;
    let row = AttestationRow { digest: attestation.digest(), body: attestation.to_json() };
    // Also what is not good enough: a person may want to read it.
    store.attested(&row, &walls.circumstances).await?;
    let broken: Vec<_> = attestation.broken(&walls.accept).into_iter().cloned().collect();
    if !broken.is_empty() {
        return Err(StartError::Walls { broken });
    }
    let accepted = attestation.broken(&[]);
    if !accepted.is_empty() {
        let accepted: Vec<_> = accepted.into_iter().cloned().collect();
        warn!(missing = told(&accepted), "containers lack restrictions, which sandbox.accept allows");
    }
    info!(attestation = row.digest, restrictions = attestation.restrictions.len(), "containers are closed");
    Ok(Some(row.digest))
}

async fn probe<S: Sandbox>(
    store: &Store,
    sandbox: &S,
    config: &Config,
    worker: &WorkerId,
    gateway: &Gateway,
) -> Result<Attestation, StartError> {
    let files = gateway.new_door();
    let name = format!("safeurl-probe-{}", Uuid::new_v4().simple());
    let uid = store
        .oblige(Obligation {
            name: name.clone(),
            engine_id: config.engine.id.clone(),
            worker: worker.clone(),
            door: files.mount_dir.display().to_string(),
            attestation: None,
        })
        .await?;
    let door = gateway.open(files, uid).await?;
    let request = Request { name: name.clone(), uid, door: door.mount_dir.clone(), role: "probe" };
    let attestation = patiently(sandbox, &request).await;
    // It was never bound, so there is nothing in its ledger.
    let _ = door.close().await;
    drop(door);
    knocked(gateway)?;
    // What cannot be removed now is on record, for the reaper.
    if attestation.is_ok() || matches!(sandbox.standing(&name).await, Ok(Standing::Gone)) {
        store.container_gone(&name).await?;
    }
    Ok(attestation?)
}

/// How often a probe is made that comes to nothing: a machine that is short of everything ends what is youngest.
const PROBES: u32 = 3;

async fn patiently<S: Sandbox>(sandbox: &S, request: &Request) -> Result<Attestation, SandboxError> {
    let mut failures = 0;
    loop {
        match sandbox.probe(request).await {
            Err(error @ (SandboxError::NotReady { .. } | SandboxError::Unproven { .. }))
                if failures + 1 < PROBES =>
            {
                // One that is gone as well says so itself.
                sandbox.version().await?;
                failures += 1;
                warn!(error = chain(&error), "a probe container came to nothing; making another one");
                sleep(trouble_backoff(failures)).await;
            }
            probed => return probed,
        }
    }
}

/// The probe tries the door, which is news to nobody.
fn knocked(gateway: &Gateway) -> Result<(), GatewayError> {
    while let Some(event) = gateway.next_event().now_or_never() {
        match event {
            GatewayEvent::Died => return Err(GatewayError::Died),
            GatewayEvent::TouchedUnbound { .. } => {}
        }
    }
    Ok(())
}
