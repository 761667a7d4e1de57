//! A container whose output nobody hears any more: it is waited for, and its report is read from its log.
//!
//! Its worker died after the hand-over, or its engine hung up. The log says what the attach connection would have
//! said, so everything is judged by the same rules; only when something was said is lost. Refuses, as everything
//! here does, to kill without being allowed to.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{Instant, sleep_until};

use super::death::{self, Witness};
use super::easing::Easing;
use super::ending::{Stop, outcome};
use super::engine::{Engine, Exit, Status};
use super::output::Output;
use super::{Outcome, Ran, log};

/// The container, and what its report must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Followed<'a> {
    pub(super) engine: &'a Engine,
    pub(super) id: &'a str,
    pub(super) attempt: &'a str,
    /// Processors that containers are made with, where it gets less after a while.
    pub(super) cpus: Option<f64>,
    /// Longest report in bytes.
    pub(super) limit: u64,
}

/// Sees the container to its end. `witness` says what it means when it is dead already. `run_ms` of what comes back
/// is the engine's: from the container's start, which is before the hand-over, to its end; 0 while that is unknown.
pub(super) async fn follow(
    followed: Followed<'_>,
    witness: Witness,
    deadline: Instant,
    cancel: impl Future<Output = ()>,
    may_kill: impl Future<Output = bool>,
) -> Ran {
    let Followed { engine, id, attempt, cpus, limit } = followed;
    let standing_by = stand_by(followed, witness, deadline, cancel);
    let (stop, witness) = Easing { engine, id, cpus }.around(standing_by).await;
    let (stop, dead) = end(followed, stop, may_kill).await;
    if stop == Stop::Disowned {
        let outcome = Outcome::Disowned;
        return Ran { outcome, stderr_tail: String::new(), run_ms: 0, exit_code: None };
    }
    let (said, stop) = match (&stop, log::read(engine, id, attempt, limit).await) {
        (_, Ok(said)) => (said, stop),
        // Without the log nothing is known, but that it was stopped for the caller and not for itself.
        (Stop::Cancelled | Stop::Lost { .. }, Err(_)) => (Output::of_log(limit, attempt), stop),
        (_, Err(error)) => (Output::of_log(limit, attempt), Stop::Lost { reason: error.to_string() }),
    };
    let stop = match stop {
        Stop::Exited { code, .. } => death::explain(engine, id, code, witness, &said.progress()).await,
        other => other,
    };
    let status = engine.status(id).await.ok().flatten().filter(|status| !status.running);
    Ran {
        stderr_tail: said.stderr_tail(),
        outcome: outcome(stop, said, dead),
        run_ms: status.and_then(lived_ms).unwrap_or_default(),
        exit_code: status.map(|status| status.code),
    }
}

/// Waits while it runs. Also says how much of its end was seen.
async fn stand_by(
    Followed { engine, id, .. }: Followed<'_>,
    witness: Witness,
    deadline: Instant,
    cancel: impl Future<Output = ()>,
) -> (Stop, Witness) {
    match engine.patient_status(id).await {
        Ok(Some(Status { running: false, code, .. })) => return (Stop::Exited { code, oom: false }, witness),
        Ok(Some(_)) => {}
        Ok(None) => return (Stop::Lost { reason: "the container is gone".to_owned() }, witness),
        Err(error) => return (Stop::Lost { reason: error.to_string() }, witness),
    }
    let broke = AtomicBool::new(false);
    let stop = tokio::select! {
        biased;
        () = cancel => Stop::Cancelled,
        exit = engine.exit(id, &broke) => match exit {
            Exit::Code(code) => Stop::Exited { code, oom: false },
            Exit::Unknown(reason) => Stop::Lost { reason },
        },
        () = sleep_until(deadline) => Stop::Deadline,
    };
    let hung_up = broke.load(Ordering::Relaxed);
    (stop, if hung_up { Witness::Interrupted } else { Witness::Throughout })
}

/// Kills what did not end by itself, if that is allowed. An error says that it may still run.
async fn end(
    Followed { engine, id, .. }: Followed<'_>,
    stop: Stop,
    may_kill: impl Future<Output = bool>,
) -> (Stop, Result<(), String>) {
    match stop {
        Stop::Reported | Stop::Exited { .. } | Stop::Lost { .. } | Stop::Disowned => return (stop, Ok(())),
        Stop::Cancelled | Stop::Deadline | Stop::Fault | Stop::Lingered => {}
    }
    if !pin!(may_kill).await {
        return (Stop::Disowned, Ok(()));
    }
    let dead = engine.kill(id).await.map_err(|error| error.to_string());
    (stop, dead)
}

fn lived_ms(status: Status) -> Option<u64> {
    u64::try_from(status.finished?.millis() - status.started?.millis()).ok()
}
