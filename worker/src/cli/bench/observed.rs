//! The engine as the supervisor uses it, with the moments that a measurement needs written down beside it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::sandbox::docker::Docker;
use crate::sandbox::waiting::DockerWaiting;
use crate::sandbox::{
    Attestation, EngineVersion, Found, Outcome, Ran, Request, Sandbox, SandboxError, Standing, Waiting,
};

/// How long containers may take to be made or removed between two measurements.
const QUIET: Duration = Duration::from_secs(60);

/// What is known of the containers of one supervisor.
#[derive(Debug, Clone, Default)]
struct Containers {
    /// Those that are there, by id.
    living: HashMap<String, Living>,
    /// When the last job was handed over, and when that container's part was over.
    last: Option<HandedOver>,
    /// What the container said that had the last job.
    report: Option<Vec<u8>>,
    /// The name of the one that is left to be looked at.
    kept: Option<String>,
}

#[derive(Debug, Clone)]
struct Living {
    name: String,
    /// It said that it is ready.
    ready: bool,
    /// It was given a job.
    used: bool,
}

/// The container's part in a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct HandedOver {
    /// The invocation was about to be written.
    pub(super) at: Instant,
    /// Its report was whole, or it was dead without one.
    pub(super) over: Instant,
}

/// What was seen of the containers of one supervisor.
pub(super) struct Book {
    /// One container that had a job is to be left.
    keep: bool,
    containers: Mutex<Containers>,
    changes: watch::Sender<()>,
}

impl Book {
    pub(super) fn new(keep: bool) -> Self {
        Self { keep, containers: Mutex::default(), changes: watch::Sender::new(()) }
    }

    fn look(&self) -> MutexGuard<'_, Containers> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, change: impl FnOnce(&mut Containers) -> T) -> T {
        let changed = change(&mut self.look());
        self.changes.send_replace(());
        changed
    }

    /// It is removed.
    fn forget(&self, container: &str) {
        self.note(|containers| {
            containers.living.retain(|id, living| id != container && living.name != container);
        });
    }

    /// The container's part in the scan that ended last.
    pub(super) fn last(&self) -> Option<HandedOver> {
        self.look().last
    }

    /// What the container said that had the last job.
    pub(super) fn report(&self) -> Option<Vec<u8>> {
        self.look().report.clone()
    }

    /// The name of the container that was left.
    pub(super) fn kept(&self) -> Option<String> {
        self.look().kept.clone()
    }

    /// Waits until these containers are there, ready and without a job, and no other: nothing that was measured before
    /// takes time from what is measured next.
    pub(super) async fn quiet(&self, waiting: usize) -> anyhow::Result<()> {
        let mut changes = self.changes.subscribe();
        let is_quiet = || {
            let containers = self.look();
            let ready = containers.living.values().filter(|living| living.ready && !living.used).count();
            ready == waiting && containers.living.len() == waiting
        };
        let quiet = async {
            // The sender lives as long as this book.
            while !is_quiet() && changes.changed().await.is_ok() {}
        };
        if timeout(QUIET, quiet).await.is_err() {
            bail!("the engine was not done with its containers within {} s", QUIET.as_secs());
        }
        Ok(())
    }
}

/// The engine, observed. Clones share the book.
#[derive(Clone)]
pub(super) struct Observed {
    docker: Docker,
    book: Arc<Book>,
}

impl Observed {
    pub(super) const fn new(docker: Docker, book: Arc<Book>) -> Self {
        Self { docker, book }
    }

    /// Whether this container is to be left; the first that had a job is.
    fn leaves(&self, handle: &str) -> bool {
        self.book.note(|containers| {
            let named = |(id, living): &(&String, &Living)| *id == handle || living.name == handle;
            let Some((id, living)) = containers.living.iter().find(named) else { return false };
            let (id, living) = (id.clone(), living.clone());
            if !self.book.keep || containers.kept.is_some() || !living.used {
                return false;
            }
            containers.living.remove(&id);
            containers.kept = Some(living.name);
            true
        })
    }
}

impl Sandbox for Observed {
    type Waiting = ObservedWaiting;

    async fn engine_id(&self) -> Result<String, SandboxError> {
        self.docker.engine_id().await
    }

    async fn create(&self, request: &Request) -> Result<String, SandboxError> {
        let id = self.docker.create(request).await?;
        let living = Living { name: request.name.clone(), ready: false, used: false };
        self.book.note(|containers| containers.living.insert(id.clone(), living));
        Ok(id)
    }

    async fn start(&self, container: &str) -> Result<ObservedWaiting, SandboxError> {
        let waiting = self.docker.start(container).await?;
        self.book.note(|containers| {
            if let Some(living) = containers.living.get_mut(container) {
                living.ready = true;
            }
        });
        Ok(ObservedWaiting { waiting, book: Arc::clone(&self.book) })
    }

    async fn kill(&self, container: &str) -> Result<(), SandboxError> {
        self.docker.kill(container).await
    }

    async fn see_off(
        &self,
        container: &str,
        may_kill: impl Future<Output = bool> + Send,
    ) -> Result<bool, SandboxError> {
        self.docker.see_off(container, may_kill).await
    }

    async fn remove(&self, container: &str) -> Result<(), SandboxError> {
        if self.leaves(container) {
            return Ok(());
        }
        self.docker.remove(container).await?;
        self.book.forget(container);
        Ok(())
    }

    async fn remove_dead(&self, container: &str) -> Result<(), SandboxError> {
        if self.leaves(container) {
            return Ok(());
        }
        self.docker.remove_dead(container).await?;
        self.book.forget(container);
        Ok(())
    }

    async fn standing(&self, container: &str) -> Result<Standing, SandboxError> {
        self.docker.standing(container).await
    }

    async fn follow(
        &self,
        container: &str,
        attempt: &str,
        timeout: Duration,
        cancel: impl Future<Output = ()> + Send,
        may_kill: impl Future<Output = bool> + Send,
    ) -> Ran {
        self.docker.follow(container, attempt, timeout, cancel, may_kill).await
    }

    async fn list(&self) -> Result<Vec<Found>, SandboxError> {
        let kept = self.book.kept();
        let mut found = self.docker.list().await?;
        // Nobody has it on record, so the reaper would take it.
        found.retain(|found| Some(&found.name) != kept.as_ref());
        Ok(found)
    }

    async fn probe(&self, request: &Request) -> Result<Attestation, SandboxError> {
        self.docker.probe(request).await
    }

    async fn version(&self) -> Result<EngineVersion, SandboxError> {
        self.docker.version().await
    }
}

/// A container that waits, observed.
pub(super) struct ObservedWaiting {
    waiting: DockerWaiting,
    book: Arc<Book>,
}

impl Waiting for ObservedWaiting {
    fn id(&self) -> &str {
        self.waiting.id()
    }

    fn start_ms(&self) -> u64 {
        self.waiting.start_ms()
    }

    async fn died(&mut self) {
        self.waiting.died().await;
    }

    async fn run(
        self,
        invocation: &str,
        attempt: &str,
        timeout: Duration,
        cancel: impl Future<Output = ()> + Send,
        may_kill: impl Future<Output = bool> + Send,
    ) -> Ran {
        let Self { waiting, book } = self;
        let id = waiting.id().to_owned();
        book.note(|containers| {
            if let Some(living) = containers.living.get_mut(&id) {
                living.used = true;
            }
        });
        let at = Instant::now();
        let ran = waiting.run(invocation, attempt, timeout, cancel, may_kill).await;
        let over = Instant::now();
        book.note(|containers| {
            containers.last = Some(HandedOver { at, over });
            if let Outcome::Reported(said) = &ran.outcome {
                containers.report = Some(said.clone());
            }
        });
        ran
    }
}
