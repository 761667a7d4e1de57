//! What an operator sees of a worker: whether it lives, what it waits for, and its numbers; from its first moment on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::site::{Answer, Site, article};
use crate::stage::{Stage, Worker};

/// Where the engine of the tests listens.
const ENGINE: &str = "/var/run/docker.sock";

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A worker that answers at a port of its own.
struct Watched {
    worker: Worker,
    address: String,
    log: PathBuf,
}

impl Watched {
    fn start(stage: &Stage, change: impl FnOnce(&mut Command)) -> Self {
        let log = stage.dir.join("watched.log");
        let file = std::fs::File::create(&log).unwrap();
        let mut command = stage.command(["worker", "--health", "127.0.0.1:0"]);
        change(command.env("SAFEURL_LOG_FORMAT", "json").stdout(Stdio::null()).stderr(file));
        let mut worker = Worker(command.spawn().unwrap());
        let until = Instant::now() + LONG;
        loop {
            let text = std::fs::read_to_string(&log).unwrap();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let address = lines.filter_map(|line| found(&line, "address")).next();
            if let Some(address) = address {
                return Self { worker, address, log };
            }
            assert!(worker.0.try_wait().unwrap().is_none() && Instant::now() < until, "{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Looks until a part is waited for, with these words in the reason; all that time the worker lives.
    fn until_waiting(&self, part: &str, words: &str) {
        self.until(part, |parts| {
            let waits = parts.iter().find(|line| line["part"] == part)?["waitsFor"].as_str()?.to_owned();
            waits.contains(words).then_some(())
        });
        assert_eq!(self.get("/readyz").0, 503, "{}", self.log());
    }

    fn until_ready(&self) {
        self.until("all", |parts| parts.iter().all(|line| line["ready"] == true).then_some(()));
        assert_eq!(self.get("/readyz").0, 200, "{}", self.log());
    }

    fn until(&self, what: &str, is_so: impl Fn(&[Value]) -> Option<()>) {
        let until = Instant::now() + LONG;
        loop {
            let (_, body) = self.get("/readyz");
            let readiness: Value = serde_json::from_str(&body).unwrap();
            if is_so(readiness["parts"].as_array().unwrap()).is_some() {
                return;
            }
            let (alive, told) = self.get("/livez");
            assert_eq!(alive, 200, "{told}");
            assert!(Instant::now() < until, "{what}: {body}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How often it said that it waits.
    fn said(&self) -> usize {
        self.log().matches("not everything answers yet").count()
    }

    fn number(&self, series: &str) -> f64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200, "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
    }

    fn end(mut self) {
        self.worker.signal("-TERM");
        assert_eq!(self.worker.end(), Some(0), "{}", self.log());
    }
}

/// A field of a log line, wherever the line keeps its fields.
fn found(line: &Value, name: &str) -> Option<String> {
    let field = line.get(name).or_else(|| line.get("fields")?.get(name))?;
    Some(field.as_str()?.to_owned())
}

#[test]
fn a_worker_waits_for_an_engine_that_is_not_there_then_silent_then_there() {
    let stage = Stage::new();
    let socket = stage.dir.join("engine.sock");
    let watched = Watched::start(&stage, |command| {
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    });
    watched.until_waiting("engine", "engine.sock");
    assert_eq!(watched.number("safeurl_database_up"), 1.0, "the database answers all the same");
    assert_eq!(watched.number(r#"safeurl_ready{part="engine"}"#), 0.0);
    // A socket that nobody listens at any more.
    drop(UnixListener::bind(&socket).unwrap());
    watched.until_waiting("engine", "engine.sock");
    std::fs::remove_file(&socket).unwrap();
    std::os::unix::fs::symlink(ENGINE, &socket).unwrap();
    watched.until_ready();
    assert_eq!(watched.said(), 1, "{}", watched.log());
    assert!(watched.log().contains("safeurl doctor"), "what to do: {}", watched.log());
    // It goes again while there is nothing to do, and comes back.
    std::fs::remove_file(&socket).unwrap();
    watched.until_waiting("engine", "engine.sock");
    std::os::unix::fs::symlink(ENGINE, &socket).unwrap();
    watched.until_ready();
    watched.end();
}

#[test]
fn a_worker_waits_for_a_database_whose_folder_is_not_there_and_for_one_that_is_a_folder() {
    let stage = Stage::new();
    let folder = stage.dir.join("volume");
    let database = folder.join("scans.db");
    let watched = Watched::start(&stage, |command| {
        command.env("SAFEURL_DATABASE_URL", format!("file:{}", database.display()));
    });
    watched.until_waiting("database", "does not exist");
    assert_eq!(watched.number("safeurl_database_up"), 0.0);
    std::fs::create_dir_all(&database).unwrap();
    watched.until_waiting("database", "it is a folder");
    std::fs::remove_dir(&database).unwrap();
    watched.until_ready();
    assert_eq!(watched.said(), 1, "{}", watched.log());
    watched.end();
}

#[test]
fn a_worker_waits_for_a_database_that_another_program_has_locked_before_and_after_its_start() {
    let stage = Stage::new();
    assert_eq!(stage.run(["db", "migrate"]).code, Some(0));
    // Without a log nobody reads while somebody writes.
    stage.query("PRAGMA journal_mode = DELETE");
    let watched = stage.while_exclusive(|| {
        let watched = Watched::start(&stage, |_| {});
        watched.until_waiting("database", "busy");
        watched
    });
    watched.until_ready();
    stage.while_locked(|| watched.until_waiting("database", "busy"));
    watched.until_ready();
    assert!(watched.number("safeurl_database_errors_total") >= 2.0);
    watched.end();
}

#[test]
fn what_no_waiting_makes_right_ends_a_worker_with_the_cure() {
    let stage = Stage::new();
    let image = stage.run(["worker", "--image", "safeurl-no-such-image:none"]);
    assert_eq!(image.code, Some(1), "{image:?}");
    assert!(image.err.contains("safeurl-no-such-image:none") && image.err.contains("hint:"), "{image:?}");
    // The folder of the gateway's sockets is a file.
    std::fs::write(stage.dir.join("run"), "").unwrap();
    let gateway = stage.run(["worker"]);
    assert_eq!(gateway.code, Some(1), "{gateway:?}");
    assert!(gateway.err.contains("/run") && gateway.err.contains("hint:"), "{gateway:?}");
    let letter = "a letter and no database, however long it goes on ".repeat(20);
    std::fs::write(stage.dir.join("letter.db"), letter).unwrap();
    let database = stage.run(["worker", "--database", "file:letter.db"]);
    assert!(database.code == Some(1) && database.err.contains("not a database"), "{database:?}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let health = stage.run(["worker", "--health", &address]);
    assert!(health.code == Some(1) && health.err.contains(&address), "{health:?}");
    assert!(health.err.contains("hint:"), "{health:?}");
    for wrong in ["9464", "localhost:9464", "127.0.0.1", "127.0.0.1:99999"] {
        let ran = stage.run(["worker", "--health", wrong]);
        assert!(ran.code == Some(2) && ran.err.contains("worker.health"), "{ran:?}");
    }
}

#[test]
fn a_worker_counts_its_scans_and_is_not_ready_while_it_drains() {
    let site = Site::start(|path| match path {
        "/slow" => {
            std::thread::sleep(Duration::from_millis(3000));
            article(path)
        }
        "/never" => Answer::Silence,
        path => article(path),
    });
    let stage = Stage::new();
    let watched = Watched::start(&stage, |_| {});
    watched.until_ready();
    let metadata = "http://169.254.169.254/";
    assert_eq!(stage.run(["submit", &site.url("/a"), metadata]).code, Some(0));
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE finished_ms > 0", "2", LONG);
    for (series, expected) in [
        (r#"safeurl_jobs_settled_total{state="COMPLETED",class="none"}"#, 1.0),
        (r#"safeurl_jobs_settled_total{state="FAILED",class="egress_denied"}"#, 1.0),
        (r#"safeurl_gateway_denials_total{rule="metadata"}"#, 1.0),
        (r#"safeurl_gateway_denials_total{rule="other"}"#, 0.0),
        ("safeurl_run_seconds_count", 2.0),
        ("safeurl_analysis_seconds_count", 1.0),
        (r#"safeurl_failed_jobs{class="egress_denied"}"#, 1.0),
        ("safeurl_engine_errors_total", 0.0),
    ] {
        assert_eq!(watched.number(series), expected, "{series}");
    }
    assert!(watched.number("safeurl_gateway_connections_total") >= 1.0);
    assert!(watched.number(r#"safeurl_gateway_passed_bytes_total{direction="in"}"#) > 400.0);
    let listed = stage.run(["workers", "--json"]).json();
    assert_eq!((listed.len(), &listed[0]["alive"]), (1, &Value::Bool(true)), "{listed:?}");
    assert_eq!(listed[0]["pid"], watched.worker.0.id());
    assert_eq!(stage.run(["submit", &site.url("/slow")]).code, Some(0));
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'FETCHING'", "1", LONG);
    watched.worker.signal("-TERM");
    watched.until_waiting("jobs", "draining");
    let mut watched = watched;
    assert_eq!(watched.worker.end(), Some(0), "{}", watched.log());
    assert_eq!(watched.log().matches("draining: no new job is taken").count(), 1, "{}", watched.log());
    assert!(stage.run(["workers", "--json"]).out.is_empty());
}
