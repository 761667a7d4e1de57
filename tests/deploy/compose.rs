//! `config/deploy/compose.yaml`, brought up on an engine of its own with images of the same names that are made here.
//!
//! The engine has a network of its own without a way out, so that the services speak to each other and to nobody else.

use std::fs::{DirBuilder, Permissions, metadata, set_permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::engine::TestEngine;
use crate::folder::{Folder, of_repository, text_of};

/// Any but root, those of this machine and those of fetchers (60600 and up).
const USER: u32 = 60_500;

const FILE: &str = "config/deploy/compose.yaml";

/// The services on an engine of their own.
struct Services {
    engine: TestEngine,
    folder: Folder,
}

impl Services {
    fn new() -> Self {
        let services = Self { engine: TestEngine::start(), folder: Folder::new() };
        let sqld =
            std::env::var("SAFEURL_SQLD").map_or_else(|_| of_repository("target/tools/sqld"), PathBuf::from);
        for (service, command, programs) in [
            (
                "worker",
                r#"ENTRYPOINT ["/usr/local/bin/safeurl"]"#,
                vec![(env!("CARGO_BIN_EXE_safeurl").into(), "safeurl")],
            ),
            (
                "redis",
                r#"CMD ["redis-server"]"#,
                ["redis-server", "redis-cli"].map(|name| (program(name), name)).to_vec(),
            ),
            ("sqld", r#"CMD ["/usr/local/bin/sqld"]"#, vec![(sqld, "sqld")]),
        ] {
            let programs =
                programs.iter().map(|(path, name)| format!("{}=/usr/local/bin/{name}", path.display()));
            let mut pack = Command::new(of_repository("tests/support/packed-image.sh"));
            pack.arg(image_of(service))
                .arg(command)
                .args(programs)
                .env("DOCKER_HOST", services.engine.host());
            assert!(pack.status().expect("the script runs").success());
        }
        DirBuilder::new().mode(0o700).create(services.run_dir()).expect("a folder");
        chown(services.run_dir(), Some(USER), Some(USER)).expect("root gives it away");
        // The folder above is this test's own; the worker's user has to get through.
        set_permissions(&services.folder.path, Permissions::from_mode(0o711)).expect("our folder");
        services
    }

    fn run_dir(&self) -> PathBuf {
        self.folder.path.join("run")
    }

    /// What `docker-compose` prints.
    fn compose(&self, arguments: &[&str]) -> String {
        let socket = self.engine.socket();
        let group = metadata(&socket).expect("the engine's socket").gid();
        let mut command = Command::new("docker-compose");
        command.args(["--project-name", "safeurl", "--file"]).arg(of_repository(FILE)).args(arguments);
        command.env("DOCKER_HOST", self.engine.host()).env("DOCKER_SOCKET_PATH", socket);
        command.env("SAFEURL_USER", format!("{USER}:{USER}")).env("DOCKER_GID", group.to_string());
        command.env("SAFEURL_RUN_DIR", self.run_dir());
        // The page that is scanned is that of a service.
        command.env("SAFEURL_GATEWAY_ALLOW_NETWORKS", "172.16.0.0/12");
        let output = command.output().expect("docker-compose is installed");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs the program beside the worker, in its container.
    fn safeurl(&self, arguments: &[&str]) -> String {
        self.compose(&[&["exec", "-T", "worker", "/usr/local/bin/safeurl"], arguments].concat())
    }

    fn redis(&self, arguments: &[&str]) -> String {
        self.compose(&[&["exec", "-T", "redis", "redis-cli"], arguments].concat()).trim().to_owned()
    }

    fn state(&self, job: &str) -> String {
        let shown = self.safeurl(&["jobs", "show", "--json", "--view", "summary", job]);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("one document");
        shown["job"]["state"].as_str().expect("a state").to_owned()
    }

    fn wait_for(&self, what: &str, holds: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < until, "not so: {what}\n{}", self.compose(&["logs", "--no-color"]));
            sleep(Duration::from_millis(200));
        }
    }
}

/// Where a program of this machine is.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("a path");
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|place| place.exists()).unwrap_or_else(|| panic!("{name} is installed"))
}

/// The image of a service, as the file names it.
fn image_of(service: &str) -> String {
    let file = text_of(FILE);
    let (_, of_service) = file.split_once(&format!("\n  {service}:\n")).expect("a service");
    let line = of_service.lines().find_map(|line| line.trim().strip_prefix("image: "));
    line.expect("it has an image").to_owned()
}

#[test]
fn the_compose_file_scans_what_is_submitted_and_keeps_it_over_a_restart() {
    let services = Services::new();
    services.compose(&["up", "--detach", "redis", "sqld"]);
    services.compose(&["run", "--rm", "-T", "worker", "db", "migrate"]);
    services.compose(&["up", "--detach"]);

    let job = services.safeurl(&["submit", "http://sqld:8080/health"]).trim().to_owned();
    services.wait_for("the job is completed", || services.state(&job) == "COMPLETED");
    services.wait_for("so is its entry", || services.redis(&["zcard", "bull:scan-jobs:completed"]) == "1");

    services.compose(&["restart", "redis", "sqld"]);
    services.wait_for("Redis is back", || services.redis(&["ping"]) == "PONG");
    assert_eq!(services.redis(&["zcard", "bull:scan-jobs:completed"]), "1");
    let again = services.safeurl(&["submit", "http://sqld:8080/health"]).trim().to_owned();
    services.wait_for("the worker goes on", || services.state(&again) == "COMPLETED");
    assert_eq!(services.state(&job), "COMPLETED");

    services.compose(&["stop", "worker"]);
    let left = std::fs::read_dir(services.run_dir()).expect("the folder").count();
    assert_eq!(left, 0, "no socket, no ledger");
    services.compose(&["down", "--volumes"]);
    services.engine.has_nothing_left();
}

#[test]
fn the_compose_file_says_what_it_misses() {
    let mut command = Command::new("docker-compose");
    command.arg("--file").arg(of_repository(FILE)).arg("config").env_clear();
    let output = command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).output();
    let output = output.expect("docker-compose is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("SAFEURL_USER") && said.contains("compose.md"),
        "{said}"
    );
}
