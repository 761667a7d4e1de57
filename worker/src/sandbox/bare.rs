//! One container from create to remove with nothing around it: what the engine alone takes, to compare with.
//!
//! The specification is the one of a container for a job, byte for byte, and so are the options of each call. The
//! fetcher in it gets no job: the end of its input ends it. Nothing is written down, checked or tried again.

use std::time::{Duration, Instant};

use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt as _;

use super::engine::WORK;
use super::spec::container_spec;
use super::waiting::DockerWaiting;
use super::{Docker, Request, SandboxError};

/// How long each part took, from the create call on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareCycle {
    /// Until the fetcher said that it is ready.
    pub ready: Duration,
    /// Until the engine told its end, which followed at once.
    pub dead: Duration,
    /// Until it was removed; of one that is kept the same as `dead`.
    pub gone: Duration,
}

/// Drives the engine through one container: create, attach, start, wait, remove. One that is to be kept is left as it
/// ended. After an error the container may exist.
///
/// # Errors
/// What the engine says, or a fetcher that is not ready or does not end.
pub async fn cycle(docker: &Docker, request: &Request, keep: bool) -> Result<BareCycle, SandboxError> {
    let engine = docker.engine();
    let body = container_spec(request, docker.config(), docker.cgroup().await?);
    let client = engine.client("create a container").await?;
    let told = |operation| move |error| engine.error(operation, error);
    let begun = Instant::now();

    let options = CreateContainerOptionsBuilder::default().name(&request.name).build();
    let made = client.create_container(Some(options), body).await.map_err(told("create a container"))?;
    let options = AttachContainerOptionsBuilder::default()
        .stream(true)
        .stdin(true)
        .stdout(true)
        .stderr(true)
        .logs(false)
        .build();
    let attached = client.attach_container(&made.id, Some(options)).await;
    let streams = attached.map_err(told("attach to a container"))?;
    let started = client.start_container(&made.id, None::<StartContainerOptions>).await;
    started.map_err(told("start a container"))?;
    let mut waiting = DockerWaiting::new(engine.clone(), &made.id, streams, docker.config());
    waiting.ready().await.map_err(|reason| SandboxError::NotReady { container: made.id.clone(), reason })?;
    let ready = begun.elapsed();

    drop(waiting);
    let mut ends = client.wait_container(&made.id, None::<WaitContainerOptions>);
    // The library takes every code but 0 for an error, and the fetcher has one for the end of its input.
    let ended = tokio::time::timeout(WORK, ends.next()).await;
    if ended.is_err() {
        let source = format!("no end within {WORK:?}");
        return Err(engine.unavailable("wait for a container", source));
    }
    let dead = begun.elapsed();
    if keep {
        return Ok(BareCycle { ready, dead, gone: dead });
    }
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let removed = client.remove_container(&made.id, Some(options)).await;
    removed.map_err(told("remove a container"))?;
    Ok(BareCycle { ready, dead, gone: begun.elapsed() })
}
