//! `safeurl bench` on the real engine: what it says, and that it leaves nothing. How fast anything is, is no test.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::leftovers;
use crate::stage::{Ran, Stage, Worker};

/// Turns, and scans of each way of doing many.
const RUNS: usize = 2;
const SCANS: usize = 4;

/// Every measurement that needs an engine only, and how many samples it has.
const MEASUREMENTS: &[(&str, usize)] = &[
    ("dockerRun", RUNS),
    ("bareReady", RUNS),
    ("bareDead", RUNS),
    ("bareGone", RUNS),
    ("coldScan", RUNS),
    ("warmScan", RUNS),
    ("warmScanByAnother", RUNS),
    ("claimToWrite", 2 * RUNS),
    ("handOver", 2 * RUNS),
    ("fetch", 2 * RUNS),
    ("bareThroughput", SCANS),
    ("throughput", SCANS),
    ("queue5", 3),
    ("queue100", 3),
    ("claim1000", RUNS),
    ("list1000", RUNS),
    ("cpuPerScan", 1),
    ("cpuPerScanOfTenths", SCANS),
    ("resident", SCANS),
    ("directFlood", 3),
    ("gatewayFlood", 3),
    ("directConnection", RUNS),
    ("gatewayConnection", RUNS),
    ("directCrowd", 5),
    ("gatewayCrowd", 5),
];

const RATIOS: &[&str] =
    &["dockerRunToWarm", "dockerRunToWarmByAnother", "coldToBare", "throughputToBare", "gatewayToDirect"];

fn report(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let mut documents = ran.json();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn array<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("{name} is no list")).as_slice()
}

fn samples(measurement: &Value) -> Vec<f64> {
    array(measurement, "samples").iter().map(|sample| sample.as_f64().expect("a number")).collect()
}

fn median(measurement: &Value) -> f64 {
    let mut sorted = samples(measurement);
    sorted.sort_by(f64::total_cmp);
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= expected.abs() * 1e-9
}

/// Names of the containers whose gateway's socket is below the test's folder.
fn containers(stage: &Stage) -> BTreeSet<String> {
    let asked = ["ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.Mounts}}"];
    let listed = Command::new("docker").args(asked).output().expect("the docker client");
    let listed = String::from_utf8(listed.stdout).expect("text");
    let folder = stage.dir.display().to_string();
    let ours =
        listed.lines().filter_map(|line| line.split_once(' ')).filter(|(_, mounts)| mounts.contains(&folder));
    ours.map(|(name, _)| name.to_owned()).collect()
}

fn left_in(stage: &Stage) -> Vec<String> {
    let entries = |folder| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let all = entries(stage.dir.clone()).chain(entries(stage.dir.join("run")));
    let names = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "run").collect()
}

#[test]
fn it_measures_each_thing_so_often_computes_ratios_of_it_and_leaves_nothing() {
    let stage = Stage::new();
    let (runs, scans) = (RUNS.to_string(), SCANS.to_string());
    let ran = stage.run([
        "bench",
        "--json",
        "--runs",
        &runs,
        "--scans",
        &scans,
        "--most-rows",
        "1000",
        "--volume",
        "8",
    ]);
    let report = report(&ran);
    let measurements = array(&report, "measurements");
    let counts: Vec<_> =
        measurements.iter().map(|one| (one["name"].as_str().expect("a name"), samples(one).len())).collect();
    assert_eq!(counts, MEASUREMENTS, "{}", report["notMeasured"]);
    for one in measurements {
        let name = &one["name"];
        assert!(samples(one).iter().all(|sample| sample.is_finite() && *sample >= 0.0), "{name}");
        assert_eq!(one["runs"], samples(one).len(), "{name}");
        assert!(close(one["median"].as_f64().expect("a number"), median(one)), "{name}");
        let largest = samples(one).into_iter().fold(0.0, f64::max);
        assert!(close(one["p99"].as_f64().expect("a number"), largest), "{name}");
    }
    let by_name = |name: &Value| {
        let found = measurements.iter().find(|one| one["name"] == *name);
        median(found.unwrap_or_else(|| panic!("{name} was not measured")))
    };
    let ratios = array(&report, "ratios");
    assert_eq!(ratios.iter().map(|one| one["name"].as_str().expect("a name")).collect::<Vec<_>>(), RATIOS);
    for one in ratios {
        let divisor: f64 = array(one, "by").iter().map(by_name).sum();
        assert!(close(one["ratio"].as_f64().expect("a number"), by_name(&one["of"]) / divisor), "{one}");
    }
    assert_eq!((array(&report, "kept").len(), left_in(&stage)), (0, Vec::new()));
    assert_eq!(containers(&stage), BTreeSet::new());
    leftovers::nothing_running(&stage, Duration::from_secs(20));
}

#[test]
fn one_container_of_each_kind_is_left_where_that_is_asked_for() {
    let stage = Stage::new();
    let ran = stage.run(["bench", "--json", "--only", "scans", "--runs", "1", "--keep"]);
    let report = report(&ran);
    let kept = array(&report, "kept");
    let kinds: Vec<_> = kept.iter().map(|one| one["kind"].as_str().expect("a kind")).collect();
    let names: BTreeSet<_> =
        kept.iter().map(|one| one["container"].as_str().expect("a name").to_owned()).collect();
    let there = containers(&stage);
    for name in &there {
        let _ = Command::new("docker").args(["rm", "-f", name]).output();
    }
    assert_eq!(kinds, ["dockerRun", "bare", "coldScan", "warmScan"]);
    assert_eq!(names, there);
    assert_eq!(left_in(&stage), Vec::<String>::new());
}

#[test]
fn what_a_signal_cuts_short_leaves_nothing() {
    let stage = Stage::new();
    let image = stage.run(["image", "build"]);
    assert_eq!(image.code, Some(0), "{}", image.err);
    let mut command = stage.command(["bench", "--only", "throughput", "--scans", "100000"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    // Killed with the test, should that fail.
    let mut bench = Worker(child);
    let until = Instant::now() + Duration::from_secs(60);
    while containers(&stage).is_empty() {
        assert!(Instant::now() < until, "it makes no container");
        std::thread::sleep(Duration::from_millis(10));
    }
    bench.signal("-INT");
    assert_eq!(bench.end(), Some(130));
    assert_eq!((containers(&stage), left_in(&stage)), (BTreeSet::new(), Vec::new()));
    leftovers::nothing_running(&stage, Duration::from_secs(20));
}
