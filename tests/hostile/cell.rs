//! One container with the puppet in it, made from the real specification with nothing changed or one thing loosened.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::future::pending;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    KillContainerOptions, KillContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt as _;
use safeurl::sandbox::spec::container_spec;
use safeurl::sandbox::{Engine, Request, SandboxConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::support::{bare_config, puppet};

/// The user of these containers.
pub(crate) const UID: u32 = 60_700;

/// Longer than any act takes; who is not done by then is killed, and the test says so.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A change of the create call.
pub(crate) type Change = fn(&mut ContainerCreateBody);

/// A container that was created; it is removed with this value.
pub(crate) struct Cell {
    client: Docker,
    pub(crate) id: String,
    door: PathBuf,
    listener: UnixListener,
}

/// What a container left behind.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) err: String,
    /// `None` when it had to be killed because its time was over.
    pub(crate) code: Option<i64>,
    pub(crate) out_of_memory: bool,
}

impl Left {
    /// The facts that it told, by name.
    pub(crate) fn facts(&self) -> HashMap<&str, &str> {
        self.err.lines().filter_map(|line| line.split_once('=')).collect()
    }

    pub(crate) fn fact(&self, name: &str) -> &str {
        self.facts().get(name).copied().unwrap_or_else(|| panic!("it did not tell {name}: {self:?}"))
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.fact(name).parse().unwrap_or_else(|_| panic!("{name} is no number: {self:?}"))
    }
}

/// Nothing is changed.
pub(crate) fn strict(_: &mut ContainerCreateBody) {}

/// The half of the create call that has nearly all of it.
pub(crate) fn host(spec: &mut ContainerCreateBody) -> &mut HostConfig {
    spec.host_config.as_mut().expect("every container has one")
}

/// Takes the filter of system calls away.
pub(crate) fn unfiltered(spec: &mut ContainerCreateBody) {
    let options = host(spec).security_opt.as_mut().expect("there are some");
    options.retain(|option| !option.starts_with("seccomp="));
    options.push("seccomp=unconfined".to_owned());
}

/// Makes it what `docker run` makes of the same program and user when nothing else is said, the network left out.
pub(crate) fn ordinary(spec: &mut ContainerCreateBody) {
    let network_mode = host(spec).network_mode.take();
    *spec = ContainerCreateBody {
        image: spec.image.take(),
        cmd: spec.cmd.take(),
        user: spec.user.take(),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig { network_mode, ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
}

/// Runs the steps in a container that is loosened like this, to its end.
pub(crate) async fn run(steps: &str, change: Change) -> Left {
    run_for(steps, change, LONG).await
}

pub(crate) async fn run_for(steps: &str, change: Change, limit: Duration) -> Left {
    let cell = Cell::new(change).await.expect("the engine creates");
    cell.run(steps, limit).await.expect("the engine runs it")
}

/// The settings of these containers: as in the tests of the sandbox, and a second of time.
pub(crate) async fn config() -> SandboxConfig {
    SandboxConfig {
        instance: format!("hostile-{}", uuid::Uuid::new_v4().simple()),
        image: puppet("obedient").await,
        timeout: Duration::from_secs(1),
        ..bare_config()
    }
}

impl Cell {
    /// The error is what the engine said to such a container.
    pub(crate) async fn new(change: Change) -> Result<Self, String> {
        Self::with(config().await, change).await
    }

    /// The same with other settings.
    pub(crate) async fn with(config: SandboxConfig, change: Change) -> Result<Self, String> {
        let token = uuid::Uuid::new_v4().simple().to_string();
        let door = std::env::temp_dir().join(format!("safeurl-cell-{}", &token[..12]));
        fs::create_dir(&door).expect("a new folder");
        let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        allow(&door, 0o711).expect("our own folder");
        let listener = UnixListener::bind(door.join("gw.sock")).expect("a short path");
        allow(&door.join("gw.sock"), 0o666).expect("our own socket");

        let name = format!("safeurl-cell-{token}");
        let request = Request { name: name.clone(), uid: UID, door: door.clone(), role: "fetcher" };
        let cgroup = Engine::new(None).info().await.expect("the engine answers").cgroup;
        let mut spec = container_spec(&request, &config, cgroup);
        change(&mut spec);
        let client = Docker::connect_with_unix_defaults().expect("a socket");
        let client = client.negotiate_version().await.expect("an engine");
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        // Its name is known before it is made, so that it is removed whatever the answer is.
        let mut cell = Self { client, id: name, door, listener };
        let made = cell.client.create_container(Some(options), spec).await;
        cell.id = made.map_err(|error| error.to_string())?.id;
        Ok(cell)
    }

    pub(crate) fn door_on_the_host(&self) -> String {
        self.door.display().to_string()
    }

    pub(crate) async fn inspect(&self) -> ContainerInspectResponse {
        let inspected = self.client.inspect_container(&self.id, None::<InspectContainerOptions>).await;
        inspected.expect("it is there")
    }

    /// How many bytes of its output the engine kept.
    pub(crate) async fn logged(&self) -> usize {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
        let mut log = self.client.logs(&self.id, Some(options));
        let mut bytes = 0;
        while let Some(part) = log.next().await {
            bytes += part.expect("the log can be read").into_bytes().len();
        }
        bytes
    }

    /// Starts it. It waits for its steps as long as what is returned is kept.
    pub(crate) async fn start(&self) -> Result<AttachContainerResults, String> {
        let options = AttachContainerOptionsBuilder::default();
        let options = options.stream(true).stdin(true).stdout(true).stderr(true).build();
        let said = |error: bollard::errors::Error| error.to_string();
        let streams = self.client.attach_container(&self.id, Some(options)).await.map_err(said)?;
        self.client.start_container(&self.id, None::<StartContainerOptions>).await.map_err(said)?;
        Ok(streams)
    }

    /// Stops it as a person does who says no more than that; false when it was not stopped after so long.
    pub(crate) async fn stopped_within(&self, limit: Duration) -> bool {
        let stopping = self.client.stop_container(&self.id, None::<StopContainerOptions>);
        match tokio::time::timeout(limit, stopping).await {
            Ok(stopped) => stopped.map(|()| true).expect("the engine stops it"),
            Err(_) => false,
        }
    }

    /// Gives it the steps and sees it to its end.
    pub(crate) async fn run(&self, steps: &str, limit: Duration) -> Result<Left, String> {
        let mut streams = self.start().await?;
        let _ = streams.input.write_all(format!("{steps}\n").as_bytes()).await;
        let _ = streams.input.flush().await;
        let mut err = Vec::new();
        let listening = async {
            while let Some(Ok(part)) = streams.output.next().await {
                match part {
                    LogOutput::StdErr { message } => err.extend(message),
                    LogOutput::StdOut { .. } | LogOutput::Console { .. } | LogOutput::StdIn { .. } => {}
                }
            }
        };
        let ended = tokio::time::timeout(limit, listening).await.is_ok();
        let (code, out_of_memory) = self.ended(ended).await;
        Ok(Left { err: String::from_utf8_lossy(&err).into_owned(), code, out_of_memory })
    }

    /// Runs the steps; once it has come to `meet` it gets these signals, one after the other, and then goes on.
    pub(crate) async fn run_signalled(&self, steps: &str, signals: &[&str]) -> Left {
        let meeting = async {
            let (mut socket, _) = self.listener.accept().await.expect("it calls");
            socket.read_exact(&mut [0]).await.expect("it speaks");
            for signal in signals {
                let options = KillContainerOptionsBuilder::default().signal(signal).build();
                self.client.kill_container(&self.id, Some(options)).await.expect("it runs");
            }
            // Who was ended by a signal hears nothing.
            let _ = socket.write_all(b"!").await;
            pending::<Infallible>().await
        };
        tokio::select! {
            left = self.run(steps, LONG) => left.expect("the engine runs it"),
            never = meeting => match never {},
        }
    }

    async fn ended(&self, by_itself: bool) -> (Option<i64>, bool) {
        if !by_itself {
            let _ = self.client.kill_container(&self.id, None::<KillContainerOptions>).await;
        }
        // Answers once it is dead, with its exit code as an error when that is not 0.
        let mut end = self.client.wait_container(&self.id, None::<WaitContainerOptions>);
        let _ = end.next().await;
        let state = self.inspect().await.state.expect("a state");
        let code = by_itself.then_some(state.exit_code).flatten();
        (code, state.oom_killed == Some(true))
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let id = self.id.clone();
        // A drop cannot await and may stand inside a runtime, so it gets a thread with one of its own.
        let clean = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let client = Docker::connect_with_unix_defaults().expect("a socket");
                let client = client.negotiate_version().await.expect("an engine");
                let _ = client.kill_container(&id, None::<KillContainerOptions>).await;
                let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
                let _ = client.remove_container(&id, Some(options)).await;
            });
        });
        let _ = clean.join();
        let _ = fs::remove_dir_all(&self.door);
    }
}
