//! The sandbox on a Docker engine.
//!
//! Owns the order create, attach, start, ready: attached before started, so that no byte is lost. Refuses to
//! start a container that the engine made weaker than asked for, and removes nothing unasked.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    ListContainersOptionsBuilder, StartContainerOptions,
};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::attestation::AS_ASKED;
use super::death::Witness;
use super::engine::{CALL, Engine, Status, WORK};
use super::following::{Followed, follow};
use super::spec::{self, Cgroup, LABEL_INSTANCE, LABEL_ROLE, LABEL_WORKER, container_spec};
use super::waiting::DockerWaiting;
use super::{
    Attestation, EngineVersion, Found, Network, Ran, Request, Sandbox, SandboxConfig, SandboxError, Standing,
    bridge, probe,
};
use crate::span::span;

/// From the start to the ready line. A fetcher needs milliseconds; a host that swaps needs seconds.
const READY: Duration = Duration::from_secs(10);

/// From a whole report to the end of its container, which then has nothing left to do: 30 to 50 ms on an idle engine, as
/// long again for each start that it is busy with. A kill that comes too early costs the engine more than the wait.
const FAREWELL: Duration = Duration::from_millis(500);

/// Containers being created or started at the same time: beyond this an engine only gets slower.
const STARTS: usize = 4;

/// Throw-away containers on a Docker engine. Clones share everything.
#[derive(Debug, Clone)]
pub struct Docker {
    engine: Engine,
    config: Arc<SandboxConfig>,
    starts: Arc<Semaphore>,
    cgroup: Arc<OnceCell<Cgroup>>,
    /// A container of this engine was looked at and is protected as asked for.
    checked: Arc<AtomicBool>,
}

impl Docker {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(config: SandboxConfig) -> Self {
        Self {
            engine: Engine::new(config.docker_host.as_deref()),
            config: Arc::new(config),
            starts: Arc::new(Semaphore::new(STARTS)),
            cgroup: Arc::default(),
            checked: Arc::default(),
        }
    }

    /// The engine behind it.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Asked once: control groups do not change under a running kernel.
    pub(super) async fn cgroup(&self) -> Result<Cgroup, SandboxError> {
        let ask = || async { Ok(self.engine.info().await?.cgroup) };
        self.cgroup.get_or_try_init(ask).await.copied()
    }

    /// How containers are made.
    pub(super) fn config(&self) -> &SandboxConfig {
        &self.config
    }

    /// Takes the network away that containers were made on, for who belongs to no installation.
    pub async fn forget_network(&self) {
        if self.config.network == Network::Bridge {
            bridge::remove(&self.engine, &self.config.instance).await;
        }
    }

    /// Creates a container, on its network where it has one.
    pub(super) async fn make(&self, name: &str, body: ContainerCreateBody) -> Result<String, SandboxError> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let _turn = self.starts.acquire().await;
        if self.config.network == Network::Bridge {
            bridge::ensure(&self.engine, &self.config).await?;
        }
        let answer = self
            .engine
            .call("create a container", WORK, |client| async move {
                client.create_container(Some(options), body).await
            })
            .await;
        match answer {
            Ok(made) => Ok(made.id),
            Err(SandboxError::Refused { status: 404, .. }) => {
                Err(SandboxError::ImageMissing { image: self.config.image.clone() })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the engine keeps the protections asked for, looked at with the first container.
    async fn check(&self, asked: &ContainerCreateBody, container: &str) -> Result<(), SandboxError> {
        if self.checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let made = self
            .engine
            .call("inspect a container", CALL, |client| async move {
                client.inspect_container(container, None::<InspectContainerOptions>).await
            })
            .await?;
        let weakened = spec::weakened(asked, &made);
        if !weakened.is_empty() && !self.config.accept.iter().any(|name| name == AS_ASKED) {
            return Err(SandboxError::Weakened { fields: weakened.join(", ") });
        }
        self.checked.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Sandbox for Docker {
    type Waiting = DockerWaiting;

    async fn engine_id(&self) -> Result<String, SandboxError> {
        Ok(self.engine.info().await?.id)
    }

    async fn create(&self, request: &Request) -> Result<String, SandboxError> {
        let body = container_spec(request, &self.config, self.cgroup().await?);
        let id = self.make(&request.name, body.clone()).await?;
        self.check(&body, &id).await?;
        Ok(id)
    }

    async fn probe(&self, request: &Request) -> Result<Attestation, SandboxError> {
        probe::probe(self, request).await
    }

    async fn start(&self, container: &str) -> Result<DockerWaiting, SandboxError> {
        let turn = self.starts.acquire().await;
        let begun = Instant::now();
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .logs(false)
            .build();
        let streams = self
            .engine
            .call("attach to a container", WORK, |client| async move {
                client.attach_container(container, Some(options)).await
            })
            .await?;
        self.engine
            .call("start a container", WORK, |client| async move {
                client.start_container(container, None::<StartContainerOptions>).await
            })
            .await?;
        // The rest is the container's work, not the engine's.
        drop(turn);
        let mut waiting = DockerWaiting::new(self.engine.clone(), container, streams, &self.config);
        let ready = waiting.ready().instrument(span!("ready line", by = "container"));
        let ready = timeout(READY, ready).await;
        let reason = match ready {
            Ok(Ok(())) => {
                waiting.started(begun.elapsed());
                return Ok(waiting);
            }
            Ok(Err(reason)) => reason,
            Err(_) => format!("no ready line within {READY:?}"),
        };
        Err(SandboxError::NotReady { container: container.to_owned(), reason })
    }

    async fn kill(&self, container: &str) -> Result<(), SandboxError> {
        self.engine.kill(container).await
    }

    async fn see_off(
        &self,
        container: &str,
        may_kill: impl Future<Output = bool> + Send,
    ) -> Result<bool, SandboxError> {
        let has_ended = timeout(FAREWELL, self.engine.has_ended(container)).await.unwrap_or(false);
        if !has_ended && may_kill.await {
            self.engine.kill(container).await?;
            return Ok(true);
        }
        Ok(has_ended)
    }

    async fn remove(&self, container: &str) -> Result<(), SandboxError> {
        // An engine that removes a container while it is ending by itself may keep a ghost of it in its lists
        // (seen with Docker 20.10: "Removal In Progress" for ever). So it is dead first, where that can be had.
        let _ = self.engine.send_kill(container).await;
        self.engine.remove(container).await
    }

    async fn remove_dead(&self, container: &str) -> Result<(), SandboxError> {
        // Who waits for a death hears of it once the engine has written it down, so no ghost comes after.
        self.engine.remove(container).await
    }

    async fn standing(&self, container: &str) -> Result<Standing, SandboxError> {
        Ok(match self.engine.status(container).await? {
            Some(Status { running: true, .. }) => Standing::Running,
            Some(_) => Standing::Dead,
            None => Standing::Gone,
        })
    }

    async fn follow(
        &self,
        container: &str,
        attempt: &str,
        timeout: Duration,
        cancel: impl Future<Output = ()> + Send,
        may_kill: impl Future<Output = bool> + Send,
    ) -> Ran {
        let SandboxConfig { cpus, output_bytes: limit, .. } = *self.config;
        let followed = Followed { engine: &self.engine, id: container, attempt, cpus: Some(cpus), limit };
        follow(followed, Witness::Afterwards, Instant::now() + timeout, cancel, may_kill).await
    }

    async fn list(&self) -> Result<Vec<Found>, SandboxError> {
        let label = format!("{LABEL_INSTANCE}={}", self.config.instance);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&HashMap::from([("label", vec![label])]))
            .build();
        let list = self
            .engine
            .call(
                "list containers",
                CALL,
                |client| async move { client.list_containers(Some(options)).await },
            )
            .await?;
        Ok(list.into_iter().map(found).collect())
    }

    async fn version(&self) -> Result<EngineVersion, SandboxError> {
        self.engine.version().await
    }
}

fn found(summary: ContainerSummary) -> Found {
    let mut labels = summary.labels.unwrap_or_default();
    let name = summary.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    Found {
        id: summary.id.unwrap_or_default(),
        name: name.trim_start_matches('/').to_owned(),
        worker: labels.remove(LABEL_WORKER).unwrap_or_default(),
        role: labels.remove(LABEL_ROLE).unwrap_or_default(),
        running: matches!(
            summary.state,
            Some(
                ContainerSummaryStateEnum::RUNNING
                    | ContainerSummaryStateEnum::PAUSED
                    | ContainerSummaryStateEnum::RESTARTING
                    | ContainerSummaryStateEnum::STOPPING
            )
        ),
    }
}
