//! Containers that wait for jobs, with the real engine.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::leftovers;
use crate::site::{Site, article};
use crate::stage::{Stage, Worker};

const LONG: Duration = Duration::from_secs(60);

/// Ids of the installation's containers, of which only those in this state.
fn containers(stage: &Stage, state: &str) -> Vec<String> {
    let (label, state) = (format!("label=safeurl.instance={}", stage.instance()), format!("status={state}"));
    let asked = ["ps", "-a", "--filter", &label, "--filter", &state, "--format", "{{.ID}}", "--no-trunc"];
    let mut ids: Vec<_> = docker(&asked).lines().map(str::to_owned).collect();
    ids.sort();
    ids
}

/// What the only document says of its container.
fn fetched_by(stage: &Stage) -> Value {
    let body = stage.query("SELECT body FROM documents").remove(0).remove(0);
    let mut document: Value = serde_json::from_str(&body).expect("a document");
    document["sandbox"].take()
}

/// An image with our fetcher in it that somebody builds anew under the same name; removed with this.
struct Image {
    name: String,
    ids: Vec<String>,
}

impl Image {
    fn new() -> Self {
        Self { name: format!("safeurl-e2e-anew-{}", std::process::id()), ids: Vec::new() }
    }

    /// Its id.
    fn build(&mut self, stage: &Stage) -> String {
        let shown = stage.run(["image", "show", "--json"]);
        let ours = shown.json()[0]["reference"].as_str().expect("a name").to_owned();
        let context = stage.dir.join("anew");
        std::fs::create_dir_all(&context).expect("a folder");
        let built = format!("FROM {ours}\nLABEL test.build={}\n", self.ids.len());
        std::fs::write(context.join("Dockerfile"), built).expect("written");
        let built = docker(&["build", "-q", "-t", &self.name, context.to_str().expect("UTF-8")]);
        self.ids.push(built.clone());
        built
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        for id in &self.ids {
            let _ = Command::new("docker").args(["rmi", "-f", id]).output();
        }
    }
}

fn docker(args: &[&str]) -> String {
    let ran = Command::new("docker").env("DOCKER_BUILDKIT", "0").args(args).output();
    let ran = ran.expect("the docker client");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).trim().to_owned()
}

fn until_running(stage: &Stage, count: usize) -> Vec<String> {
    let until = Instant::now() + LONG;
    loop {
        let running = containers(stage, "running");
        if running.len() == count {
            return running;
        }
        assert!(Instant::now() < until, "{running:?}\n{}", stage.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn with_two_waiting(stage: &Stage) -> Worker {
    let worker = stage.worker(&["--warm-pool", "2"]);
    stage.wait_for_tables();
    worker
}

#[test]
fn a_job_gets_a_container_that_waits_and_another_one_takes_its_place() {
    let site = Site::start(|_| article("Warm"));
    let stage = Stage::new();
    let mut worker = with_two_waiting(&stage);
    let before = until_running(&stage, 2);
    assert_eq!(stage.run(["submit", &site.url("/")]).code, Some(0));
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'COMPLETED'", "1", LONG);
    let used = stage.query("SELECT container_id FROM attempts").remove(0).remove(0);
    assert_eq!(fetched_by(&stage)["warm"], true);
    assert!(before.contains(&used), "{used} is none of {before:?}");
    assert_eq!(site.hits("/"), 1);
    stage.wait_for(&format!("SELECT count(*) FROM containers WHERE container_id = '{used}'"), "0", LONG);
    let after = until_running(&stage, 2);
    assert!(!after.contains(&used), "{after:?}");
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0), "{}", stage.log());
    leftovers::none_within(&stage, LONG);
}

#[test]
fn what_waits_dies_with_its_worker_and_the_next_worker_removes_it() {
    let stage = Stage::new();
    let worker = with_two_waiting(&stage);
    let waiting = until_running(&stage, 2);
    worker.signal("-KILL");
    drop(worker);
    // Nobody tells them.
    let until = Instant::now() + LONG;
    while containers(&stage, "exited") != waiting {
        assert!(Instant::now() < until, "{:?}", containers(&stage, "running"));
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut next = stage.worker(&[]);
    let until = Instant::now() + LONG;
    while !containers(&stage, "exited").is_empty() {
        assert!(Instant::now() < until, "{}", stage.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    next.signal("-TERM");
    assert_eq!(next.end(), Some(0), "{}", stage.log());
    leftovers::none_within(&stage, LONG);
}

#[test]
fn what_waits_has_the_image_and_settings_that_its_worker_started_with_and_goes_with_it() {
    let site = Site::start(|_| article("Anew"));
    let stage = Stage::new();
    assert_eq!(stage.run(["image", "build"]).code, Some(0));
    let mut image = Image::new();
    let first = image.build(&stage);
    let made_as =
        |container: &str| docker(&["inspect", "-f", "{{.Image}} {{.HostConfig.PidsLimit}}", container]);
    let name = image.name.clone();
    let mut worker = stage.worker(&["--warm-pool", "1", "--image", &name]);
    stage.wait_for_tables();
    let as_before = made_as(&until_running(&stage, 1)[0]);
    assert!(as_before.starts_with(&first), "{as_before} is not of {first}");

    let second = image.build(&stage);
    assert_ne!(first, second);
    assert_eq!(stage.run(["submit", &site.url("/")]).code, Some(0));
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'COMPLETED'", "1", LONG);
    let fetched_by = fetched_by(&stage);
    assert_eq!(
        (fetched_by["warm"].as_bool(), fetched_by["imageDigest"].as_str()),
        (Some(true), Some(&*first))
    );
    let another = until_running(&stage, 1).remove(0);
    assert_eq!(made_as(&another), as_before, "a worker has one image for as long as it lives");
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0), "{}", stage.log());
    leftovers::none_within(&stage, LONG);

    let stage = stage.with("SAFEURL_SANDBOX_PIDS", "77");
    let mut worker = stage.worker(&["--warm-pool", "1", "--image", &name]);
    let after = until_running(&stage, 1).remove(0);
    assert_eq!(made_as(&after), format!("{second} 77"));
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0), "{}", stage.log());
}
