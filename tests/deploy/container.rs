//! The worker in a container beside the engine, run as `config/deploy/container.md` says.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::folder::{Folder, of_repository};
use crate::gate::Gate;
use crate::site::{Site, article};

/// Any but root, those of this machine and those of fetchers (60600 and up).
const USER: u32 = 60_500;

/// A container with a worker, an image for it, and the two folders that it shares with the engine and the next one.
struct Packed {
    folder: Folder,
    name: String,
}

impl Packed {
    fn new() -> Self {
        let folder = Folder::new();
        let name = format!("safeurl-packed-{}", folder.tag);
        let packed = Self { folder, name };
        worker_image(&packed.name);
        for shared in [packed.run_dir(), packed.data()] {
            DirBuilder::new().mode(0o700).create(&shared).expect("a folder");
            chown(&shared, Some(USER), Some(USER)).expect("root gives it away");
        }
        // The folders above are this test's own; their owner has to get through.
        std::fs::set_permissions(&packed.folder.path, Permissions::from_mode(0o711)).expect("our folder");
        packed.start();
        packed
    }

    fn run_dir(&self) -> PathBuf {
        self.folder.path.join("run")
    }

    fn data(&self) -> PathBuf {
        self.folder.path.join("data")
    }

    fn start(&self) {
        let socket = "/var/run/docker.sock";
        let group = std::fs::metadata(socket).expect("the engine's socket").gid();
        let (run, data) = (self.run_dir().display().to_string(), self.data().display().to_string());
        let mut command = Command::new("docker");
        command.args(["run", "--detach", "--name", &self.name, "--stop-timeout", "60"]);
        command.args(["--user", &format!("{USER}:{USER}"), "--group-add", &group.to_string()]);
        command.args(["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]);
        command.arg(format!("--volume={socket}:{socket}")).arg(format!("--volume={run}:{run}"));
        command.arg(format!("--env=SAFEURL_SANDBOX_RUN_DIR={run}"));
        command.arg(format!("--volume={data}:/var/lib/safeurl"));
        command.arg("--env=SAFEURL_DATABASE_URL=file:/var/lib/safeurl/scans.db");
        // The page is on this machine's loopback, which a worker need not have otherwise.
        command.args([
            "--network=host",
            "--env=SAFEURL_GATEWAY_ALLOW_NETWORKS=127.0.0.1/32",
            &self.name,
            "worker",
        ]);
        said(command.output());
        self.wait_for("the worker takes jobs", || self.log().contains("taking jobs"));
    }

    /// Runs the program beside the worker, in its container.
    fn safeurl(&self, arguments: &[&str]) -> String {
        let beside = ["exec", &self.name, "/usr/local/bin/safeurl"];
        docker(&[&beside, arguments].concat())
    }

    /// The state of the only job.
    fn state(&self) -> String {
        let list = self.safeurl(&["jobs", "list", "--json"]);
        let job: serde_json::Value = serde_json::from_str(list.trim()).expect("one JSON document");
        job["state"].as_str().expect("a state").to_owned()
    }

    fn log(&self) -> String {
        let output = Command::new("docker").args(["logs", &self.name]).output().expect("the docker client");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn wait_for(&self, what: &str, holds: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < until, "not so: {what}\n{}", self.log());
            sleep(Duration::from_millis(100));
        }
    }

    /// Stops it in order; nothing is left.
    fn stop(&self) {
        docker(&["stop", &self.name]);
        assert_eq!(
            docker(&["inspect", "--format={{.State.ExitCode}}", &self.name]).trim(),
            "0",
            "{}",
            self.log()
        );
        assert_eq!(std::fs::read_dir(self.run_dir()).expect("the folder").count(), 0, "no socket, no ledger");
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        for arguments in [["rm", "--force", "--volumes", &self.name].as_slice(), &["rmi", &self.name]] {
            let _ = Command::new("docker").args(arguments).output();
        }
    }
}

/// Makes an image with the worker in it.
fn worker_image(reference: &str) {
    let command = r#"ENTRYPOINT ["/usr/local/bin/safeurl"]"#;
    let program = format!("{}=/usr/local/bin/safeurl", env!("CARGO_BIN_EXE_safeurl"));
    let packed = Command::new(of_repository("tests/support/packed-image.sh"))
        .args([reference, command, &program])
        .status();
    assert!(packed.expect("the script runs").success());
}

fn docker(arguments: &[&str]) -> String {
    said(Command::new("docker").args(arguments).output())
}

/// What a docker command that went well printed.
fn said(output: io::Result<Output>) -> String {
    let output = output.expect("the docker client");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_worker_in_a_container_scans_with_the_engine_beside_it() {
    let site = Site::start(article);
    let packed = Packed::new();
    packed.safeurl(&["submit", &site.url("/page")]);
    packed.wait_for("the job is completed", || packed.state() == "COMPLETED");
    assert_eq!(site.hits("/page"), 1);
    packed.stop();
}

#[test]
fn a_container_that_is_killed_takes_the_gateway_along_and_its_scans_are_done_again() {
    let gate = Gate::default();
    let held = gate.clone();
    let site = Site::start(move |path| {
        held.wait();
        article(path)
    });
    let packed = Packed::new();
    packed.safeurl(&["submit", &site.url("/page")]);
    packed.wait_for("the page is asked for", || site.hits("/page") == 1);
    docker(&["kill", &packed.name]);
    gate.open();
    docker(&["rm", &packed.name]);
    packed.start();
    packed.wait_for("the job is completed", || packed.state() == "COMPLETED");
    assert_eq!(site.hits("/page"), 2, "no gateway was left to vouch for the first");
    let folders = || std::fs::read_dir(packed.run_dir()).expect("the folder").count();
    packed.wait_for("the folder of the killed one is gone", || folders() == 1);
    packed.stop();
}
