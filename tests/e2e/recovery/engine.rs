//! An engine that goes away under running scans and comes back: one of the test's own, beside the machine's.

#[path = "../../support/engine.rs"]
#[expect(dead_code, reason = "shared with the tests of the sandbox")]
mod own;

use std::process::Command;

use self::own::TestEngine;
use super::times::wait_until;
use super::{Gated, LONG, LOST, count, kill, requeued, stop};
use crate::leftovers;
use crate::stage::Stage;

const PATHS: [&str; 2] = ["/early/1", "/early/2"];

/// Whether the engine has no container, dead ones included.
fn is_empty(engine: &TestEngine) -> bool {
    let listed = Command::new("docker").args(["--host", &engine.host(), "ps", "--all", "--quiet"]).output();
    let listed = listed.expect("the docker client");
    listed.status.success() && listed.stdout.is_empty()
}

/// What holds for scans that an engine took along: done again, not counted, nothing left of the first time.
fn assert_done_again(stage: &Stage, engine: &TestEngine, pages: &Gated) {
    stage.wait_for(&count("COMPLETED"), &PATHS.len().to_string(), LONG);
    pages.assert_hits(&PATHS, 2);
    assert!(requeued(stage).iter().all(|edge| edge[1] == LOST), "{:?}", requeued(stage));
    let counted = stage.query("SELECT DISTINCT attempt - attempt_base, losses FROM scan_jobs");
    assert_eq!(counted, [["1", "1"]], "a loss is no attempt");
    wait_until("no container is left", stage, || is_empty(engine));
    engine.has_nothing_left();
}

#[test]
fn scans_under_way_when_the_engine_restarts_are_done_again_uncounted() {
    let mut engine = TestEngine::start();
    let pages = Gated::start();
    let stage = Stage::new().with("SAFEURL_SANDBOX_DOCKER_HOST", engine.host());
    pages.submit(&stage, &PATHS);
    let worker = stage.worker(&["--concurrency", "2"]);
    pages.wait_for_hits(&stage, &PATHS);
    engine.stop();
    engine.start_again();
    pages.early.open();
    assert_done_again(&stage, &engine, &pages);
    stop(worker, &stage);
    leftovers::nothing_running(&stage, LONG);
}

#[test]
fn scans_whose_worker_and_engine_are_killed_are_done_again_uncounted() {
    let mut engine = TestEngine::start();
    let pages = Gated::start();
    let stage = Stage::new().with("SAFEURL_SANDBOX_DOCKER_HOST", engine.host());
    pages.submit(&stage, &PATHS);
    let mut victim = stage.worker(&["--concurrency", "2"]);
    pages.wait_for_hits(&stage, &PATHS);
    kill(&[victim.0.id()]);
    assert_eq!(victim.end(), None);
    engine.kill();
    // Started again it kills what it finds running, before it answers.
    engine.start_again();
    pages.early.open();
    let next = stage.worker(&["--concurrency", "2"]);
    assert_done_again(&stage, &engine, &pages);
    // Somebody has to live to remove what is on the host.
    leftovers::none_but_of(&next, &stage, LONG);
    stop(next, &stage);
    leftovers::nothing_running(&stage, LONG);
}

#[test]
fn a_worker_waits_while_its_engine_is_away_and_says_so_once() {
    let mut engine = TestEngine::start();
    let pages = Gated::start();
    let stage = Stage::new().with("SAFEURL_SANDBOX_DOCKER_HOST", engine.host());
    let worker = stage.worker(&["--concurrency", "2"]);
    pages.submit(&stage, &["/before"]);
    stage.wait_for(&count("COMPLETED"), "1", LONG);
    engine.stop();
    pages.submit(&stage, &["/meanwhile/1", "/meanwhile/2", "/meanwhile/3"]);
    let warnings = || stage.log().lines().filter(|line| line.contains(" WARN ")).count();
    wait_until("the worker says what it waits for", &stage, || warnings() > 0);
    // Some of its further looks at the engine, which it takes with growing pauses.
    std::thread::sleep(std::time::Duration::from_secs(5));
    engine.start_again();
    stage.wait_for(&count("COMPLETED"), "4", LONG);
    assert_eq!(warnings(), 1, "{}", stage.log());
    pages.assert_hits(&["/meanwhile/1", "/meanwhile/2", "/meanwhile/3"], 1);
    assert_eq!(stage.query("SELECT DISTINCT attempt - attempt_base, losses FROM scan_jobs"), [["1", "0"]]);
    stop(worker, &stage);
    leftovers::nothing_running(&stage, LONG);
}
