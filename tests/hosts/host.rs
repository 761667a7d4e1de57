//! One host: an engine of its own, a folder, and a worker on it that may be killed and started again.

use std::fs::{File, create_dir_all, read_to_string};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::engine::TestEngine;
use crate::shared::Shared;

pub(crate) struct Host {
    pub(crate) engine: TestEngine,
    folder: PathBuf,
    settings: Vec<(&'static str, String)>,
    worker: Option<Child>,
}

impl Host {
    pub(crate) fn new(shared: &Shared, name: &str) -> Self {
        let engine = TestEngine::start();
        let folder = shared.folder.join(name);
        create_dir_all(&folder).expect("a folder");
        let settings = vec![
            ("TURSO_CONNECTION_URL", shared.sqld.url()),
            ("REDIS_URL", shared.redis_url()),
            ("SAFEURL_SANDBOX_DOCKER_HOST", engine.host()),
            ("SAFEURL_SANDBOX_RUN_DIR", folder.join("run").display().to_string()),
            ("SAFEURL_GATEWAY_ALLOW_NETWORKS", "127.0.0.1/32".to_owned()),
            ("SAFEURL_LOG_FORMAT", "json".to_owned()),
            ("WORKER_CONCURRENCY", "4".to_owned()),
        ];
        Self { engine, folder, settings, worker: None }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_safeurl"));
        command.args(arguments).current_dir(&self.folder).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program and gives what it prints.
    pub(crate) fn safeurl(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("the program starts");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    pub(crate) fn start_worker(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.join("worker.log"));
        let mut command = self.command(&["worker"]);
        command.stdout(Stdio::null()).stderr(log.expect("a log file"));
        self.worker = Some(command.spawn().expect("the worker starts"));
    }

    /// Kills the worker like a crash; its gateway and its containers live on.
    pub(crate) fn kill_worker(&mut self) {
        let mut worker = self.worker.take().expect("it runs");
        worker.kill().expect("it ran");
        worker.wait().expect("it is dead");
    }

    /// Asks the worker to end; it does in good order.
    pub(crate) fn stop_worker(&mut self) {
        let mut worker = self.worker.take().expect("it runs");
        let told = Command::new("kill").args(["-TERM", &worker.id().to_string()]).status();
        assert!(told.expect("kill runs").success());
        assert_eq!(worker.wait().expect("it ends").code(), Some(0), "{}", self.log());
    }

    /// Nothing of its workers is left, on the engine or beside it.
    pub(crate) fn has_nothing_left(&self, shared: &Shared) {
        let folders = || std::fs::read_dir(self.folder.join("run")).expect("the folder").count();
        shared.wait_for("no socket and no ledger is left", Duration::from_secs(30), || folders() == 0);
        let socket = format!("unix://{}", self.engine.socket().display());
        let listed = Command::new("docker").args(["--host", &socket, "ps", "--all", "--quiet"]).output();
        let listed = listed.expect("the docker client");
        assert!(listed.status.success() && listed.stdout.is_empty(), "containers: {listed:?}");
        self.engine.has_nothing_left();
    }

    pub(crate) fn log(&self) -> String {
        read_to_string(self.folder.join("worker.log")).unwrap_or_default()
    }

    /// Whether a worker of this host has this id.
    pub(crate) fn had(&self, worker: &str) -> bool {
        self.log().lines().any(|line| line.contains("taking jobs") && line.contains(worker))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}
