//! The connection to a container engine.
//!
//! Owns where the engine is, the version both sides speak, and a deadline on every call. Connects when first
//! asked and again after any failure, so a worker may start before its engine and outlive its restarts. Turns
//! the client library's errors into what a caller can act upon.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::ClientVersion;
use bollard::errors::Error;
use bollard::models::SystemInfoCgroupVersionEnum;
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;

use super::spec::Cgroup;
use super::{EngineVersion, SandboxError};
use crate::domain::timestamp::Timestamp;
use crate::span::span;

/// Where an engine listens unless told otherwise.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// The oldest API that knows everything the container spec asks for (Docker 20.10).
pub const API_FLOOR: &str = "1.41";
const FLOOR: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// A question without work behind it. Generous: a loaded engine takes seconds, a hung one takes forever.
pub(super) const CALL: Duration = Duration::from_secs(10);
/// Creating, attaching, starting, removing: an engine does these under locks of its own.
pub(super) const WORK: Duration = Duration::from_secs(30);
/// Longest pause between two looks at something that is pending.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long an engine may be silent under a container that has a job before the job counts as lost. An engine that
/// is restarted is back in two or three.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// A handle to one engine; clones share the connection's settings.
#[derive(Debug, Clone)]
pub struct Engine {
    host: Arc<str>,
    client: Arc<Mutex<Option<bollard::Docker>>>,
    /// It refused to change a limit, and that was told.
    refuses_changes: Arc<AtomicBool>,
}

/// What an engine says of itself and of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Kept over restarts.
    pub id: String,
    /// Such as `20.10.24`.
    pub version: String,
    /// Generation of control groups.
    pub cgroup: Cgroup,
    /// `cgroupfs` or `systemd`.
    pub cgroup_driver: String,
    /// Names of the OCI runtimes it knows, sorted.
    pub runtimes: Vec<String>,
    /// The one it uses unless told otherwise.
    pub default_runtime: String,
    /// Such as `name=seccomp,profile=default`, `name=apparmor`, `name=rootless`, `name=userns`.
    pub security_options: Vec<String>,
    /// Limits on memory, swap, processor and number of processes that this kernel cannot keep.
    pub missing_limits: Vec<&'static str>,
    /// Such as `6.1.0-18-amd64`.
    pub kernel: String,
}

/// How a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) running: bool,
    pub(super) code: i64,
    pub(super) oom: bool,
    /// Billionths of a processor that it may use; 0: as many as there are.
    pub(super) nano_cpus: i64,
    /// By the engine's clock; `None` before it is true.
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
}

/// How the end of a container was learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exit {
    Code(i64),
    /// Removed by somebody, or the engine is silent; why.
    Unknown(String),
}

impl Engine {
    /// Connects to nothing yet. `host` is `unix:///path`, a bare path, or `tcp://host:port`.
    #[must_use]
    pub fn new(host: Option<&str>) -> Self {
        let host = match host {
            None | Some("") => DEFAULT_HOST.to_owned(),
            Some(path) if path.starts_with('/') => format!("unix://{path}"),
            Some(host) => host.to_owned(),
        };
        Self { host: host.into(), client: Arc::default(), refuses_changes: Arc::default() }
    }

    /// Where the engine is looked for.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Notes that it refused to change a limit; `true` the first time.
    pub(super) fn refused_a_change(&self) -> bool {
        !self.refuses_changes.swap(true, Ordering::Relaxed)
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// It does not, or is too old.
    pub async fn ping(&self) -> Result<(), SandboxError> {
        self.call("ping", CALL, |client| async move { client.ping().await }).await.map(|_| ())
    }

    /// What it is.
    ///
    /// # Errors
    /// It does not answer, or is too old.
    pub async fn version(&self) -> Result<EngineVersion, SandboxError> {
        let version =
            self.call("ask for its version", CALL, |client| async move { client.version().await }).await?;
        Ok(EngineVersion {
            engine: version.version.unwrap_or_default(),
            api: version.api_version.unwrap_or_default(),
        })
    }

    /// What it can do.
    ///
    /// # Errors
    /// It does not answer, or is too old.
    pub async fn info(&self) -> Result<EngineInfo, SandboxError> {
        let info = self.call("describe itself", CALL, |client| async move { client.info().await }).await?;
        let mut runtimes: Vec<_> = info.runtimes.unwrap_or_default().into_keys().collect();
        runtimes.sort();
        let limits = [
            ("memory", info.memory_limit),
            ("swap", info.swap_limit),
            ("cpu", info.cpu_cfs_quota),
            ("pids", info.pids_limit),
        ];
        Ok(EngineInfo {
            id: info.id.unwrap_or_default(),
            version: info.server_version.unwrap_or_default(),
            cgroup: match info.cgroup_version {
                Some(SystemInfoCgroupVersionEnum::_2) => Cgroup::V2,
                Some(SystemInfoCgroupVersionEnum::_1 | SystemInfoCgroupVersionEnum::EMPTY) | None => {
                    Cgroup::V1
                }
            },
            cgroup_driver: info.cgroup_driver.map(|driver| driver.to_string()).unwrap_or_default(),
            runtimes,
            default_runtime: info.default_runtime.unwrap_or_default(),
            security_options: info.security_options.unwrap_or_default(),
            missing_limits: limits
                .into_iter()
                .filter_map(|(name, there)| (there != Some(true)).then_some(name))
                .collect(),
            kernel: info.kernel_version.unwrap_or_default(),
        })
    }

    /// One call under its own deadline. Any failure but an answer of the engine forgets the connection, so
    /// that the next call finds out anew what the engine speaks.
    pub(super) async fn call<T, F, R>(
        &self,
        operation: &'static str,
        deadline: Duration,
        ask: F,
    ) -> Result<T, SandboxError>
    where
        F: FnOnce(bollard::Docker) -> R,
        R: Future<Output = Result<T, Error>>,
    {
        let answer = timeout(deadline, async {
            let client = self.client(operation).await?;
            ask(client).await.map_err(|error| self.error(operation, error))
        })
        .instrument(span!("call", operation = operation, by = "engine"))
        .await
        .unwrap_or_else(|_| Err(self.unavailable(operation, format!("no answer within {deadline:?}"))));
        if let Err(SandboxError::Unavailable { .. }) = answer {
            *self.known() = None;
        }
        answer
    }

    pub(super) async fn client(&self, operation: &'static str) -> Result<bollard::Docker, SandboxError> {
        if let Some(client) = self.known().clone() {
            return Ok(client);
        }
        let fail = |error| self.error(operation, error);
        let client = bollard::Docker::connect_with_host(&self.host).map_err(fail)?;
        let client = client.negotiate_version().await.map_err(fail)?;
        let api = client.client_version();
        if api < FLOOR {
            return Err(SandboxError::TooOld {
                host: self.host.to_string(),
                api: api.to_string(),
                floor: API_FLOOR,
            });
        }
        *self.known() = Some(client.clone());
        Ok(client)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<bollard::Docker>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn error(&self, operation: &'static str, error: Error) -> SandboxError {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                SandboxError::Refused { operation, status: status_code, message }
            }
            // An error in the middle of an answer that began well, such as that of a build.
            Error::DockerStreamError { error } => {
                SandboxError::Refused { operation, status: 200, message: error }
            }
            other => self.unavailable(operation, other),
        }
    }

    pub(super) fn unavailable(
        &self,
        operation: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> SandboxError {
        SandboxError::Unavailable { host: self.host.to_string(), operation, source: source.into() }
    }

    /// How a container stands; `None`: there is none.
    pub(super) async fn status(&self, container: &str) -> Result<Option<Status>, SandboxError> {
        let answer = self
            .call("inspect a container", CALL, |client| async move {
                client.inspect_container(container, None::<InspectContainerOptions>).await
            })
            .await;
        match answer {
            Ok(found) => {
                let state = found.state.unwrap_or_default();
                // The engine writes the year 1 for what has not happened yet.
                let time = |text: Option<String>| {
                    text.as_deref().and_then(Timestamp::parse).filter(|time| time.millis() > 0)
                };
                Ok(Some(Status {
                    running: state.running.unwrap_or(false),
                    code: state.exit_code.unwrap_or_default(),
                    oom: state.oom_killed.unwrap_or(false),
                    nano_cpus: found.host_config.and_then(|host| host.nano_cpus).unwrap_or_default(),
                    started: time(state.started_at),
                    finished: time(state.finished_at),
                }))
            }
            Err(SandboxError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same of an engine that may be away for a moment: asks again until it has been silent for [`SILENCE`].
    pub(super) async fn patient_status(&self, container: &str) -> Result<Option<Status>, SandboxError> {
        let begun = Instant::now();
        let mut pauses = pauses();
        loop {
            match self.status(container).await {
                Err(SandboxError::Unavailable { .. }) if begun.elapsed() < SILENCE => {}
                answer => return answer,
            }
            sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    /// Waits, without a deadline of its own, until a container is dead or cannot be known about. Says by
    /// `broke` that the engine hung up meanwhile, as it does when it is restarted.
    pub(super) async fn exit(&self, container: &str, broke: &AtomicBool) -> Exit {
        let mut silent_since: Option<Instant> = None;
        let mut pauses = pauses();
        loop {
            if let Some(code) = self.wait(container).await {
                return Exit::Code(code);
            }
            broke.store(true, Ordering::Relaxed);
            match self.status(container).await {
                Ok(Some(Status { running: false, code, .. })) => return Exit::Code(code),
                Ok(Some(_)) => silent_since = None,
                Ok(None) => return Exit::Unknown("the container is gone".to_owned()),
                Err(error) => {
                    let since = *silent_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= SILENCE {
                        return Exit::Unknown(error.to_string());
                    }
                }
            }
            sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    /// Waits, without a deadline of its own, for the end of a container; `false` when the engine did not tell of one.
    pub(super) async fn has_ended(&self, container: &str) -> bool {
        self.wait(container).await.is_some()
    }

    /// The engine's own wait. The client library reports every code but 0 as an error.
    async fn wait(&self, container: &str) -> Option<i64> {
        let client = timeout(CALL, self.client("wait for a container")).await.ok()?.ok()?;
        match client.wait_container(container, None::<WaitContainerOptions>).next().await {
            Some(Ok(end)) => Some(end.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Some(code),
            Some(Err(_)) | None => None,
        }
    }

    /// Has it killed. An engine that answers has most likely waited for the death; [`Self::kill`] makes sure.
    pub(super) async fn send_kill(&self, container: &str) -> Result<(), SandboxError> {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        let kill = self.call("kill a container", CALL, |client| async move {
            client.kill_container(container, Some(options)).await
        });
        match kill.await {
            // 409: it is not running.
            Ok(()) | Err(SandboxError::Refused { status: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Kills; returns when the container is dead or gone.
    pub(super) async fn kill(&self, container: &str) -> Result<(), SandboxError> {
        self.send_kill(container).await?;
        let end = Instant::now() + WORK;
        for pause in pauses() {
            match self.status(container).await? {
                Some(Status { running: true, .. }) if Instant::now() < end => sleep(pause).await,
                Some(Status { running: true, .. }) => break,
                Some(_) | None => return Ok(()),
            }
        }
        Err(SandboxError::Pending { operation: "death", container: container.to_owned() })
    }

    /// Removes with its log and volumes; one that is gone is a success. One that the engine says it is removing
    /// already, and may say so for ever, is left pending after [`CALL`].
    pub(super) async fn remove(&self, container: &str) -> Result<(), SandboxError> {
        let end = Instant::now() + CALL;
        for pause in pauses() {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let answer = self
                .call("remove a container", WORK, |client| async move {
                    client.remove_container(container, Some(options)).await
                })
                .await;
            match answer {
                Ok(()) | Err(SandboxError::Refused { status: 404, .. }) => return Ok(()),
                // 409: somebody is at it already. 5xx: a mount is still busy, which passes.
                Err(SandboxError::Refused { status: 409 | 500..=599, .. }) if Instant::now() < end => {
                    sleep(pause).await;
                }
                Err(SandboxError::Refused { status: 409, .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Err(SandboxError::Pending { operation: "removal", container: container.to_owned() })
    }
}

/// Pauses between looks at something pending: 5 ms doubling to [`LONGEST_PAUSE`], without end.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(Duration::from_millis(5)), |pause| Some((*pause * 2).min(LONGEST_PAUSE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_path_is_a_unix_socket_and_nothing_is_the_default() {
        assert_eq!(Engine::new(Some("/run/x.sock")).host(), "unix:///run/x.sock");
        assert_eq!(Engine::new(Some("unix:///run/x.sock")).host(), "unix:///run/x.sock");
        assert_eq!(Engine::new(Some("tcp://127.0.0.1:2375")).host(), "tcp://127.0.0.1:2375");
        assert_eq!(Engine::new(None).host(), DEFAULT_HOST);
        assert_eq!(Engine::new(Some("")).host(), DEFAULT_HOST);
    }

    #[test]
    fn the_floor_is_the_same_in_words_and_numbers() {
        assert_eq!(FLOOR.to_string(), API_FLOOR);
    }

    #[test]
    fn pauses_double_up_to_a_second() {
        let first: Vec<_> = pauses().take(10).map(|pause| pause.as_millis()).collect();
        assert_eq!(first, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
