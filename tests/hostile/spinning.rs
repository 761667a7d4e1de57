//! What a normal scan notices of fetchers beside it that were taken over and take all the processor they get.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::claims;
use crate::neighbours::{HOSTILE, compare, release, scanned, stage, submit};
use crate::stage::{Stage, Worker};
use safeurl::sandbox::easing::LEFT;

/// Processors of a container.
const CPUS: f64 = 0.5;

/// A worker whose fetcher obeys the page.
fn obedient() -> (Stage, Worker) {
    let stage = stage()
        .with("SAFEURL_SANDBOX_IMAGE", claims::obedient())
        .with("SAFEURL_SANDBOX_CPUS", CPUS.to_string());
    let worker = stage.worker(&[]);
    stage.wait_for_tables();
    (stage, worker)
}

fn normal() -> String {
    claims::page(&[&claims::claims("/schema", &safeurl_protocol::SCHEMA.to_string()), "exit 0"])
}

/// Submits the hostile ones and waits until each of them has run for so long that it gets less of the processor.
fn hold(stage: &Stage) {
    for _ in 0..HOSTILE {
        submit(stage, &claims::page(&["spin 0"]));
    }
    let eased = (CPUS * LEFT * 1e9).to_string();
    let until = Instant::now() + Duration::from_secs(60);
    while limits(stage) != vec![eased.clone(); HOSTILE] {
        assert!(Instant::now() < until, "{:?}\n{}", limits(stage), stage.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the containers of this installation have of the processor, in billionths of one.
fn limits(stage: &Stage) -> Vec<String> {
    let label = format!("label=safeurl.instance={}", stage.instance());
    let ids = lines(Command::new("docker").args(["ps", "-q", "--filter", &label]));
    if ids.is_empty() {
        return ids;
    }
    lines(Command::new("docker").args(["inspect", "--format", "{{.HostConfig.NanoCpus}}"]).args(ids))
}

fn lines(command: &mut Command) -> Vec<String> {
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn a_normal_scan_ends_while_four_hostile_ones_spin() {
    let (stage, worker) = obedient();
    hold(&stage);
    let url = normal();
    for _ in 0..3 {
        scanned(&stage, &url);
    }
    release(&stage, &worker);
}

#[test]
#[ignore = "a measurement, for a quiet machine: make neighbours"]
fn how_long_a_normal_scan_takes_alone_and_beside_four_that_spin() {
    let (stage, worker) = obedient();
    compare(&stage, &normal(), || hold(&stage));
    release(&stage, &worker);
}
