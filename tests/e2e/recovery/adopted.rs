//! What becomes of scans after their adoption: they are scans like others.

use super::times::is_running;
use super::{Gated, LONG, adopted, count, id_of, requeued, stop};
use crate::leftovers;
use crate::stage::{Stage, Worker};

const PATH: &str = "/early/1";

/// A worker that has adopted the running scan of one that was killed.
fn adopter(stage: &Stage, pages: &Gated) -> Worker {
    pages.submit(stage, &[PATH]);
    let mut victim = stage.worker(&["--concurrency", "1"]);
    pages.wait_for_hits(stage, &[PATH]);
    victim.signal("-KILL");
    assert_eq!(victim.end(), None);
    heir(stage)
}

/// A new worker, once it holds the job with its container running.
fn heir(stage: &Stage) -> Worker {
    let worker = stage.worker(&["--concurrency", "1"]);
    let held = format!("SELECT count(*) FROM scan_jobs WHERE lease_owner = '{}'", id_of(stage, &worker));
    stage.wait_for(&held, "1", LONG);
    assert!(is_running(&stage.query("SELECT container_id FROM scan_jobs")[0][0]), "{}", stage.log());
    worker
}

#[test]
fn a_scan_outlives_two_workers() {
    let (pages, stage) = (Gated::start(), Stage::new());
    let mut first_heir = adopter(&stage, &pages);
    first_heir.signal("-KILL");
    assert_eq!(first_heir.end(), None);
    let second_heir = heir(&stage);
    pages.early.open();
    stage.wait_for(&count("COMPLETED"), "1", LONG);
    pages.assert_hits(&[PATH], 1);
    assert_eq!(adopted(&stage), [(PATH.to_owned(), "1".to_owned())]);
    assert_eq!(
        stage.query("SELECT count(DISTINCT worker) FROM transitions WHERE worker IS NOT NULL"),
        [["3"]]
    );
    assert!(requeued(&stage).is_empty(), "{:?}", requeued(&stage));
    leftovers::none_but_of(&second_heir, &stage, LONG);
    stop(second_heir, &stage);
    leftovers::none_within(&stage, LONG);
}

#[test]
fn an_adopted_scan_may_end_while_its_worker_drains() {
    let (pages, stage) = (Gated::start(), Stage::new());
    let mut heir = adopter(&stage, &pages);
    heir.signal("-TERM");
    pages.early.open();
    assert_eq!(heir.end(), Some(0), "{}", stage.log());
    assert_eq!(stage.query(&count("COMPLETED")), [["1"]], "{}", stage.log());
    pages.assert_hits(&[PATH], 1);
    // Somebody has to live until the folder of the dead one may go.
    let next = stage.worker(&[]);
    id_of(&stage, &next);
    leftovers::none_but_of(&next, &stage, LONG);
    stop(next, &stage);
    leftovers::none_within(&stage, LONG);
}

#[test]
fn an_adopted_scan_is_killed_and_given_back_uncounted_by_the_second_signal() {
    let (pages, stage) = (Gated::start(), Stage::new());
    let mut heir = adopter(&stage, &pages);
    let container = stage.query("SELECT container_id FROM scan_jobs")[0][0].clone();
    heir.signal("-TERM");
    // A signal that comes before the first was heard is the same signal.
    std::thread::sleep(std::time::Duration::from_millis(300));
    heir.signal("-TERM");
    assert_eq!(heir.end(), Some(143), "{}", stage.log());
    let row = stage.query("SELECT state, attempt - attempt_base, losses FROM scan_jobs");
    assert_eq!(row, [["QUEUED", "0", "0"]]);
    assert!(!is_running(&container));
    pages.early.open();
    let next = stage.worker(&[]);
    stage.wait_for(&count("COMPLETED"), "1", LONG);
    pages.assert_hits(&[PATH], 2);
    leftovers::none_but_of(&next, &stage, LONG);
    stop(next, &stage);
    leftovers::none_within(&stage, LONG);
}

#[test]
fn an_orphan_that_was_cancelled_is_killed_by_its_heir() {
    let (pages, stage) = (Gated::start(), Stage::new());
    let heir = adopter(&stage, &pages);
    let id = stage.query("SELECT id FROM scan_jobs")[0][0].clone();
    let cancelled = stage.run(["jobs", "cancel", &id]);
    assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    stage.wait_for("SELECT failure_class FROM scan_jobs WHERE state = 'FAILED'", "cancelled", LONG);
    leftovers::none_but_of(&heir, &stage, LONG);
    pages.assert_hits(&[PATH], 1);
    stop(heir, &stage);
    leftovers::none_within(&stage, LONG);
}

#[test]
fn a_scan_whose_ledger_is_gone_is_done_again_although_its_report_is_there() {
    let (pages, stage) = (Gated::start(), Stage::new());
    pages.submit(&stage, &[PATH]);
    let mut victim = stage.worker(&["--concurrency", "1"]);
    pages.wait_for_hits(&stage, &[PATH]);
    victim.signal("-KILL");
    assert_eq!(victim.end(), None);
    // As after a reboot with the folder in memory.
    std::fs::remove_dir_all(stage.dir.join("run")).expect("the folder is there");
    pages.early.open();
    let next = stage.worker(&[]);
    stage.wait_for(&count("COMPLETED"), "1", LONG);
    pages.assert_hits(&[PATH], 2);
    assert_eq!(stage.query("SELECT attempt - attempt_base, losses FROM scan_jobs"), [["1", "1"]]);
    assert_eq!(adopted(&stage).last().map(|(_, adopted)| adopted.as_str()), Some("0"));
    leftovers::none_but_of(&next, &stage, LONG);
    stop(next, &stage);
}
