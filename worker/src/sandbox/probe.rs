//! One container that is probed instead of given a job.
//!
//! Made from the very spec of one for a job; only the fetcher's mode differs. It costs one start.

use std::future::pending;
use std::time::Duration;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::InspectContainerOptions;
use safeurl_protocol::probe::{ProbeOrder, ProbeReport, Seen};

use super::attestation::{self, Attestation};
use super::engine::CALL;
use super::spec::{NOFILE, container_spec};
use super::{Docker, Outcome, Request, Sandbox as _, SandboxConfig, SandboxError, Waiting as _};

/// What the frame of its answer is called.
const ATTEMPT: &str = "probe/1";

/// From the order to the answer. The tries take milliseconds, with a small processor share some more.
const LIMIT: Duration = Duration::from_secs(20);

/// Threads tried for at most: each costs memory of the kernel, which counts.
const MOST_THREADS: u64 = 1024;

/// Probes.
pub(super) async fn probe(docker: &Docker, request: &Request) -> Result<Attestation, SandboxError> {
    let info = docker.engine().info().await?;
    let mut body = container_spec(request, docker.config(), info.cgroup);
    body.cmd = Some(vec!["--probe".to_owned()]);
    let seen = async {
        let id = docker.make(&request.name, body.clone()).await?;
        let mut seen = inspected(docker, &id, &body).await?;
        seen.push(attestation::user_ids(&info));
        seen.extend(tried(docker, &id).await?);
        Ok::<_, SandboxError>(seen)
    };
    let seen = seen.await;
    // By its name: a create that was not answered may have made one.
    let removed = docker.remove(&request.name).await;
    let seen = seen?;
    removed?;
    Ok(Attestation::of(docker.config(), request.uid, &info, seen))
}

async fn inspected(docker: &Docker, id: &str, body: &ContainerCreateBody) -> Result<Vec<Seen>, SandboxError> {
    let made = docker
        .engine()
        .call("inspect a container", CALL, |client| async move {
            client.inspect_container(id, None::<InspectContainerOptions>).await
        })
        .await?;
    Ok(attestation::told_by_engine(body, &made))
}

async fn tried(docker: &Docker, id: &str) -> Result<Vec<Seen>, SandboxError> {
    let mut waiting = docker.start(id).await?;
    // What it sees of its share does not depend on how fast it looks.
    waiting.keep_share();
    let order = serde_json::to_string(&order(docker.config()))
        .map_err(|error| SandboxError::Unproven { reason: error.to_string() })?;
    let ran = waiting.run(&order, ATTEMPT, LIMIT, pending(), async { true }).await;
    let reason = match ran.outcome {
        Outcome::Reported(json) => match serde_json::from_slice::<ProbeReport>(&json) {
            Ok(report) => return Ok(report.seen),
            Err(error) => format!("its answer is none: {error}"),
        },
        Outcome::Lost { reason } => {
            return Err(docker.engine().unavailable("probe a container", reason));
        }
        other => format!("it ended as {other:?}: {}", ran.stderr_tail.trim().escape_debug()),
    };
    Err(SandboxError::Unproven { reason })
}

fn order(config: &SandboxConfig) -> ProbeOrder {
    ProbeOrder {
        attempt: ATTEMPT.to_owned(),
        threads: config.pids.saturating_add(8).min(MOST_THREADS),
        descriptors: NOFILE + 8,
    }
}
