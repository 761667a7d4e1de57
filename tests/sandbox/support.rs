//! A place for one test: an installation of its own, a door, and an image whose fetcher does as it is told.
//!
//! What a test made is removed when its place is dropped, also after a panic. The images stay: they are named
//! after the digest of their source and serve every later run.

use std::fs;
use std::future::pending;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use safeurl::sandbox::docker::Docker;
use safeurl::sandbox::image;
use safeurl::sandbox::waiting::DockerWaiting;
use safeurl::sandbox::{Engine, Network, Outcome, Ran, Request, Sandbox, SandboxConfig, Waiting};
use sha2::{Digest, Sha256};

use super::own_engine::TestEngine;

const PUPPET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/puppet");

/// The attempt that every job of these tests is.
pub(crate) const ATTEMPT: &str = "0198c5c0-0000-7000-8000-000000000000/1";

pub(crate) const MIB: u64 = 1024 * 1024;

/// Longer than any of these jobs takes: where it passes the test fails.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) struct Place {
    pub(crate) docker: Docker,
    pub(crate) config: SandboxConfig,
    pub(crate) door: PathBuf,
    pub(crate) listener: UnixListener,
    next: AtomicU32,
}

impl Place {
    /// A place whose fetcher says it is ready and then does as it is told.
    pub(crate) async fn new() -> Self {
        Self::with("obedient", |_| {}).await
    }

    /// The same on an engine of the test's own.
    pub(crate) async fn on(engine: &TestEngine) -> Self {
        let place = Self::with("obedient", |config| config.docker_host = Some(engine.host())).await;
        engine.take_image(&place.config.image).await;
        place
    }

    /// The puppet starts in this mode, in containers changed like this.
    pub(crate) async fn with(mode: &str, change: impl FnOnce(&mut SandboxConfig)) -> Self {
        let token = uuid::Uuid::new_v4().simple().to_string();
        let image = puppet(mode).await;
        let mut config = SandboxConfig { instance: format!("test-{token}"), image, ..bare_config() };
        change(&mut config);
        let door = std::env::temp_dir().join(format!("safeurl-test-{}", &token[..12]));
        fs::create_dir(&door).expect("a new folder");
        let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        allow(&door, 0o711).expect("our own folder");
        let socket = door.join("gw.sock");
        let listener = UnixListener::bind(&socket).expect("a short path");
        allow(&socket, 0o666).expect("our own socket");
        Self { docker: Docker::new(config.clone()), config, door, listener, next: AtomicU32::new(0) }
    }

    pub(crate) fn request(&self) -> Request {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        Request {
            name: format!("safeurl-{}-{n}", self.config.instance),
            uid: 60600 + std::process::id() % 4000,
            door: self.door.clone(),
            role: "fetcher",
        }
    }

    pub(crate) async fn waiting(&self) -> DockerWaiting {
        let id = self.docker.create(&self.request()).await.expect("the engine creates");
        self.docker.start(&id).await.expect("the puppet is ready")
    }

    /// One container, one job, its end; and unless it has reported it is dead after that.
    pub(crate) async fn run(&self, steps: &str) -> Ran {
        self.run_for(steps, LONG).await
    }

    pub(crate) async fn run_for(&self, steps: &str, limit: Duration) -> Ran {
        let waiting = self.waiting().await;
        let id = waiting.id().to_owned();
        let ran = waiting.run(steps, ATTEMPT, limit, pending(), allowed()).await;
        let reported = matches!(ran.outcome, Outcome::Reported(_));
        assert!(reported || !self.running(&id).await, "a running container is left");
        ran
    }

    /// A container that has its job and stands at the first `meet` of it, and whose worker is gone. Going on is up to
    /// whoever answers the socket.
    pub(crate) async fn orphaned(&self, steps: &str) -> (String, UnixStream) {
        let waiting = self.waiting().await;
        let id = waiting.id().to_owned();
        // The conversation is dropped as soon as the container has its job, as if the worker were killed.
        let socket = tokio::select! {
            ran = waiting.run(steps, ATTEMPT, LONG, pending(), allowed()) => panic!("it waits to be met: {ran:?}"),
            socket = self.met() => socket,
        };
        assert!(self.running(&id).await);
        (id, socket)
    }

    /// Waits until a container comes to `meet`.
    pub(crate) async fn met(&self) -> UnixStream {
        let listener = self.listener.try_clone().expect("a copy");
        let met = tokio::task::spawn_blocking(move || listener.accept());
        met.await.expect("no panic").expect("it calls").0
    }

    /// Follows a container that may not be killed.
    pub(crate) async fn follow(&self, id: &str) -> Ran {
        let never = async { unreachable!("nobody has to kill it") };
        self.docker.follow(id, ATTEMPT, LONG, pending(), never).await
    }

    pub(crate) async fn running(&self, id: &str) -> bool {
        let found = self.docker.list().await.expect("the engine lists");
        found.iter().find(|container| container.id == id).expect("nobody removed it").running
    }

    /// How many of these events the engine remembers of a container.
    pub(crate) fn events(&self, id: &str, event: &str) -> usize {
        let mut command = Command::new("docker");
        command.args(["events", "--since", "0", "--until", "0s", "--format", "{{.Action}}"]);
        command.args(["--filter", &format!("container={id}"), "--filter", &format!("event={event}")]);
        let told = command.output().expect("the engine's client runs");
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8_lossy(&told.stdout).lines().count()
    }
}

/// A sandbox without an image.
pub(crate) fn bare_config() -> SandboxConfig {
    SandboxConfig {
        docker_host: None,
        instance: "test".to_owned(),
        worker: "tester".to_owned(),
        image: String::new(),
        network: Network::None,
        runtime: None,
        memory_bytes: 64 * MIB,
        cpus: 1.0,
        pids: 64,
        timeout: LONG,
        output_bytes: 9 * MIB,
        accept: Vec::new(),
    }
}

/// The engine of the machine, for what the sandbox has no word for.
pub(crate) async fn client() -> bollard::Docker {
    let client = bollard::Docker::connect_with_unix_defaults().expect("a socket");
    client.negotiate_version().await.expect("an engine")
}

/// The right to kill, given.
pub(crate) async fn allowed() -> bool {
    true
}

/// Lets a container go on that was met.
pub(crate) fn go_on(mut socket: &UnixStream) {
    socket.read_exact(&mut [0]).and_then(|()| socket.write_all(b"!")).expect("it listens");
}

impl Drop for Place {
    fn drop(&mut self) {
        let docker = Docker::new(self.config.clone());
        let (network, bridged) =
            (format!("safeurl-{}", self.config.instance), self.config.network == Network::Bridge);
        // A drop cannot await and may stand inside a runtime, so it gets a thread with one of its own.
        let clean = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                for container in docker.list().await.unwrap_or_default() {
                    let _ = docker.remove(&container.id).await;
                }
                if bridged {
                    let _ = client().await.remove_network(&network).await;
                }
            });
        });
        let _ = clean.join();
        let _ = fs::remove_dir_all(&self.door);
    }
}

/// The header line of a report, as the puppet prints it.
pub(crate) fn header(attempt: &str, bytes: u64, sha256: &str) -> String {
    format!("{{\"report\":1,\"attempt\":\"{attempt}\",\"bytes\":{bytes},\"sha256\":\"{sha256}\"}}\\n")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the puppet's `fill` writes.
pub(crate) fn filled(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|place| b'a' + (place % 23) as u8).collect()
}

/// Steps that print a good report of so many bytes.
pub(crate) fn report(bytes: u64) -> String {
    format!("print {}|fill {bytes}|print \\n", header(ATTEMPT, bytes, &sha256(&filled(bytes))))
}

/// Reference of the puppet's image in this mode; built when it is not there. Tests run in processes of their own,
/// so a lock on a file makes them take turns.
pub(crate) async fn puppet(mode: &str) -> String {
    let engine = Engine::new(None);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let turn = fs::File::create(folder.join("puppet.lock")).expect("a folder of ours");
    turn.lock().expect("a file system with locks");
    let source = sha256(&sources());
    let tag = format!("safeurl-test-puppet:{mode}-{}", &source[..12]);
    if image::resolve(&engine, Some(&tag)).await.is_err() {
        let dockerfile = format!(
            "FROM scratch\nCOPY staged-by-make-image/safeurl-fetcher /safeurl-fetcher\n\
             LABEL safeurl.test=sandbox safeurl.protocol=2 safeurl.fetcher={source}\n\
             ENTRYPOINT [\"/safeurl-fetcher\", \"{mode}\"]\n"
        );
        let program = compiled(&folder.join(format!("puppet-{}", &source[..12])));
        image::build(&engine, &tag, &dockerfile, &program).await.expect("the image builds");
    }
    tag
}

/// All files of the puppet, in a fixed order.
fn sources() -> Vec<u8> {
    let entries = fs::read_dir(PUPPET).expect("the puppet's sources");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().flat_map(|file| fs::read(file).expect("a source")).collect()
}

/// The puppet as a static program.
fn compiled(program: &Path) -> Vec<u8> {
    if !program.exists() {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let status = Command::new(rustc)
            .args(["--edition=2024", "-Copt-level=1", "-Cstrip=symbols", "-Cpanic=abort"])
            .args(["-Ctarget-feature=+crt-static", &format!("{PUPPET}/main.rs"), "-o"])
            .arg(program)
            .status()
            .expect("rustc runs");
        assert!(status.success(), "the puppet does not compile");
    }
    fs::read(program).expect("just compiled")
}
