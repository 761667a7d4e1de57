//! A Docker engine of a test's own, which may be stopped, killed and started again.
//!
//! It has its own socket, data, control groups, pid file and (empty) network, and stands beside the engine of the
//! machine. It ends with its owner, also after a panic, and with the thread that started it: start it on the test's
//! own thread. Needs root, `dockerd`, and util-linux.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bollard::query_parameters::ImportImageOptions;
use bytes::BytesMut;
use futures_util::{StreamExt as _, TryStreamExt as _};
use rustix::process::{Pid, Signal, kill_process};

/// Long enough for an engine on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// An engine of its own.
pub(crate) struct TestEngine {
    dir: PathBuf,
    token: String,
    /// Kept open over restarts, as a service manager does that starts an engine by its socket.
    listener: Option<UnixListener>,
    process: Option<Child>,
}

impl TestEngine {
    /// One that opens its socket itself, and answers.
    pub(crate) fn start() -> Self {
        Self::new(false)
    }

    /// One whose socket is kept open for it: who asks while it is away is answered by its successor.
    pub(crate) fn start_by_socket() -> Self {
        Self::new(true)
    }

    fn new(by_socket: bool) -> Self {
        let token = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        // Short: a socket's path has 107 bytes, and containerd puts some below this.
        let dir = std::env::temp_dir().join(format!("safeurl-engine-{token}"));
        fs::create_dir(&dir).expect("a new folder");
        fs::write(dir.join("daemon.json"), "{}").expect("a file of ours");
        let listener = by_socket.then(|| UnixListener::bind(dir.join("docker.sock")).expect("a short path"));
        let mut engine = Self { dir, token, listener, process: None };
        engine.start_again();
        engine
    }

    /// Where it listens, as `docker_host` wants it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("docker.sock")
    }

    /// Whether its socket is kept open for it.
    pub(crate) fn is_started_by_socket(&self) -> bool {
        self.listener.is_some()
    }

    /// Control groups of its containers are below this name.
    pub(crate) fn cgroup(&self) -> String {
        format!("/safeurl-engine-{}", self.token)
    }

    /// Starts it after [`stop`](Self::stop) or [`kill`](Self::kill); returns when it answers.
    pub(crate) fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let log = fs::File::options().create(true).append(true).open(self.dir.join("log")).expect("our file");
        let host = if self.listener.is_some() { "fd://".to_owned() } else { self.host() };
        // An engine finds the sockets kept open for it by number and by its own process id.
        let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
        // In a network of its own: an engine without a bridge removes the default one that it finds, whoever made it.
        let mut command = Command::new("unshare");
        command.args([
            "--net",
            "setpriv",
            "--pdeathsig",
            "TERM",
            "sh",
            "-c",
            script,
            "sh",
            "dockerd",
            "-H",
            &host,
        ]);
        for (flag, value) in [("data-root", "data"), ("exec-root", "exec"), ("pidfile", "pid")] {
            command.arg(format!("--{flag}={}", self.dir.join(value).display()));
        }
        command
            .arg(format!("--config-file={}", self.dir.join("daemon.json").display()))
            .arg(format!("--cgroup-parent={}", self.cgroup()))
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
            .stdout(log.try_clone().expect("a copy"))
            .stderr(log);
        match &self.listener {
            Some(listener) => command.stdin(OwnedFd::from(listener.try_clone().expect("a copy"))),
            None => command.stdin(Stdio::null()),
        };
        self.process = Some(command.spawn().expect("dockerd starts"));
        until("the engine answers", || {
            let ended =
                self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(Some(_))));
            assert!(
                !ended,
                "the engine ended:\n{}",
                fs::read_to_string(self.dir.join("log")).unwrap_or_default()
            );
            answers(&self.socket())
        });
    }

    /// Ends it in order: it kills its containers first.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Ends it like a crash: its containers run on, until the next one that is started finds them.
    pub(crate) fn kill(&mut self) {
        let containerd = self.containerd();
        self.signal(Signal::KILL);
        // Its containerd dies with it, a moment later; a new engine that met it would wait for it in vain.
        until("containerd is dead", || {
            containerd.is_none_or(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        });
    }

    /// Gives it an image of the engine of the machine.
    pub(crate) async fn take_image(&self, reference: &str) {
        let shared = bollard::Docker::connect_with_unix_defaults().expect("a socket");
        let shared = shared.negotiate_version().await.expect("an engine");
        let image: BytesMut = shared.export_image(reference).try_collect().await.expect("the image is there");
        let ours = bollard::Docker::connect_with_host(&self.host()).expect("a socket");
        let ours = ours.negotiate_version().await.expect("an engine");
        let mut loading = Box::pin(ours.import_image(
            ImportImageOptions::default(),
            bollard::body_full(image.freeze()),
            None,
        ));
        while let Some(step) = loading.next().await {
            step.expect("the image is loaded");
        }
    }

    /// What there is beside the engine itself: processes of its folder (shims of containers, their leftovers after a
    /// crash), mounts below it, and control groups of containers.
    pub(crate) fn remains(&self) -> Vec<String> {
        let own = [self.process.as_ref().map(Child::id), self.containerd()];
        let (data, group) = (self.dir.join("data"), self.cgroup());
        let processes = self.processes().into_iter().filter(|(pid, _)| !own.contains(&Some(*pid)));
        let mounts = self.mounts().into_iter().filter(|mount| *mount != data);
        let groups = self.cgroups().into_iter().filter(|dir| !dir.ends_with(group.trim_start_matches('/')));
        processes
            .map(|(pid, line)| format!("process {pid}: {line}"))
            .chain(mounts.chain(groups).map(|path| path.display().to_string()))
            .collect()
    }

    /// Waits until there is nothing beside the engine itself: a shim ends a moment after its container is removed.
    pub(crate) fn has_nothing_left(&self) {
        let end = Instant::now() + PATIENCE / 6;
        while !self.remains().is_empty() && Instant::now() < end {
            std::thread::sleep(PAUSE);
        }
        assert_eq!(self.remains(), Vec::<String>::new());
    }

    fn containerd(&self) -> Option<u32> {
        fs::read_to_string(self.dir.join("exec/containerd/containerd.pid")).ok()?.trim().parse().ok()
    }

    fn signal(&mut self, signal: Signal) {
        let mut process = self.process.take().expect("it runs");
        let pid = Pid::from_child(&process);
        kill_process(pid, signal).expect("it is ours");
        until("the engine is dead", || matches!(process.try_wait(), Ok(Some(_))));
    }

    /// Processes with our folder in their command lines.
    fn processes(&self) -> Vec<(u32, String)> {
        let dir = self.dir.display().to_string();
        let entries = fs::read_dir("/proc").expect("a proc file system").flatten();
        entries
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let line = fs::read(entry.path().join("cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                line.contains(&dir).then_some((pid, line))
            })
            .collect()
    }

    /// Deepest first.
    fn mounts(&self) -> Vec<PathBuf> {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("a proc file system");
        let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        let mut ours: Vec<_> = points.filter(|point| point.starts_with(&self.dir)).collect();
        ours.reverse();
        ours
    }

    /// In every hierarchy, deepest first.
    fn cgroups(&self) -> Vec<PathBuf> {
        let name = self.cgroup();
        let name = name.trim_start_matches('/');
        let roots = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let tops = roots.map(|root| root.path().join(name)).chain([Path::new("/sys/fs/cgroup").join(name)]);
        tops.filter(|top| top.is_dir()).flat_map(|top| folders(&top)).collect()
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = kill_process(Pid::from_child(&process), Signal::TERM);
            let end = Instant::now() + PATIENCE / 4;
            while matches!(process.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(PAUSE);
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        // What outlives it are shims of containers, and they do not let go by themselves.
        for (pid, _) in self.processes() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        for mount in self.mounts() {
            let _ = Command::new("umount").arg("-l").arg(mount).status();
        }
        for group in self.cgroups() {
            for pid in fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default().lines() {
                if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            let end = Instant::now() + PATIENCE / 12;
            while fs::remove_dir(&group).is_err() && group.exists() && Instant::now() < end {
                std::thread::sleep(PAUSE);
            }
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A folder and all below it, deepest first.
fn folders(top: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<_> = below.filter(|path| path.is_dir()).flat_map(|path| folders(&path)).collect();
    all.push(top.to_owned());
    all
}

/// Whether an engine answers there; one that is asked too early has only its socket.
fn answers(socket: &Path) -> bool {
    use std::io::{Read as _, Write as _};
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok::<_, std::io::Error>(head.ends_with(b"200"))
    };
    ask().unwrap_or(false)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(PAUSE);
    }
}
