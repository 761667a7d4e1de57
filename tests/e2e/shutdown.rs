//! Signals: the first drains, the second kills and gives back.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::leftovers;
use crate::site::{Answer, Site, article};
use crate::stage::{Stage, Worker};

#[test]
fn the_first_signal_lets_running_scans_end() {
    let site = Site::start(|_| {
        std::thread::sleep(Duration::from_millis(1500));
        article("slow")
    });
    let stage = Stage::new();
    stage.run(["submit", &site.url("/slow")]);
    let mut worker = stage.worker(&[]);
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'FETCHING'", "1", Duration::from_secs(20));
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0), "{}", stage.log());
    assert_eq!(stage.query("SELECT state FROM scan_jobs")[0][0], "COMPLETED");
    leftovers::none_within(&stage, Duration::from_secs(45));
}

#[test]
fn the_second_signal_kills_and_gives_the_job_back_uncounted() {
    let site = Site::start(|_| Answer::Silence);
    let stage = Stage::new();
    stage.run(["submit", &site.url("/never")]);
    let mut worker = stage.worker(&[]);
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'FETCHING'", "1", Duration::from_secs(20));
    worker.signal("-TERM");
    std::thread::sleep(Duration::from_millis(300));
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(143), "{}", stage.log());
    let row = &stage.query("SELECT state, attempt - attempt_base FROM scan_jobs")[0];
    assert_eq!((row[0].as_str(), row[1].as_str()), ("QUEUED", "0"));
    leftovers::none_within(&stage, Duration::from_secs(45));
}

#[test]
fn a_scan_that_is_interrupted_ends_with_130_and_leaves_nothing() {
    let site = Site::start(|_| Answer::Silence);
    let stage = Stage::new();
    let mut command = stage.command(["scan", &site.url("/never"), "--json"]);
    let scan = Worker(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    stage.wait_for_tables();
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'FETCHING'", "1", Duration::from_secs(20));
    scan.signal("-INT");
    let mut scan = scan;
    assert_eq!(scan.end(), Some(130));
    let row = &stage.query("SELECT state, failure_class FROM scan_jobs")[0];
    assert_eq!(row, &["FAILED", "cancelled"]);
    leftovers::none_within(&stage, Duration::from_secs(45));
}

#[test]
fn what_a_killed_scan_leaves_is_cleaned_by_the_next_worker() {
    let site = Site::start(|_| Answer::Silence);
    let stage = Stage::new();
    let mut command = stage.command(["scan", &site.url("/never"), "--json"]);
    let mut scan = Worker(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    stage.wait_for_tables();
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'FETCHING'", "1", Duration::from_secs(20));
    scan.signal("-KILL");
    assert_eq!(scan.end(), None);
    let mut worker = stage.worker(&[]);
    stage.wait_for("SELECT failure_class FROM scan_jobs", "cancelled", Duration::from_secs(45));
    leftovers::none_but_of(&worker, &stage, Duration::from_secs(45));
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0), "{}", stage.log());
    assert_eq!(site.total(), 1, "nobody fetches for a person who is gone");
}

#[test]
fn a_scan_that_is_cut_short_tells_what_ran_from_what_never_did() {
    let site = Site::start(|_| Answer::Silence);
    let stage = Stage::new();
    let mut command =
        stage.command(["scan", "--concurrency", "1", &site.url("/first"), &site.url("/second")]);
    let mut scan = Worker(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    stage.wait_for_tables();
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'FETCHING'", "1", Duration::from_secs(20));
    scan.signal("-INT");
    assert_eq!(scan.end(), Some(130));
    let rows = stage.query("SELECT state, failure_class, attempt, failure_stage FROM scan_jobs ORDER BY url");
    assert_eq!(rows, [["FAILED", "cancelled", "1", "fetch"], ["FAILED", "cancelled", "0", "claim"]]);
    leftovers::none_within(&stage, Duration::from_secs(45));
}

#[test]
fn a_scan_that_counted_as_dead_while_it_was_stopped_hears_what_became_of_its_job() {
    let site = Site::start(|_| Answer::Silence);
    let stage = Stage::new();
    let mut command = stage.command(["scan", &site.url("/never"), "--json"]);
    let mut scan = Worker(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    stage.wait_for_tables();
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'FETCHING'", "1", Duration::from_secs(20));
    scan.signal("-STOP");
    let mut worker = stage.worker(&[]);
    stage.wait_for("SELECT failure_class FROM scan_jobs", "cancelled", Duration::from_secs(45));
    scan.signal("-CONT");
    let until = Instant::now() + Duration::from_secs(45);
    while scan.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it waits for what has ended");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(scan.end(), Some(1), "a scan without a result is told by the exit code");
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0), "{}", stage.log());
    leftovers::none_within(&stage, Duration::from_secs(45));
}
