//! Workers and gateways that are killed.

use std::process::{Command, Stdio};

use super::times::{Orphaned, wait_until};
use super::{
    Gated, LONG, LOST, adopted, children_of, count, gateway_of, id_of, is_running, kill, requeued, stop,
};
use crate::leftovers;
use crate::stage::{Stage, Worker};

#[test]
fn scans_of_a_killed_worker_are_adopted_and_no_page_is_fetched_twice() {
    let pages = Gated::start();
    let stage = Stage::new();
    let orphans = ["/early/1", "/early/2", "/early/3", "/late/1", "/late/2", "/late/3"];
    pages.submit(&stage, &orphans);
    let victim = stage.worker(&["--concurrency", "6"]);
    pages.wait_for_hits(&stage, &orphans);
    // The other one has its only slot taken: who has no room for new scans still sees to those of the dead.
    let survivor = stage.worker(&["--concurrency", "1"]);
    pages.submit(&stage, &["/late/own"]);
    pages.wait_for_hits(&stage, &["/late/own"]);

    let orphaned = Orphaned::of(&stage, &id_of(&stage, &victim));
    victim.signal("-KILL");
    // These end while nobody looks.
    pages.early.open();
    let hands = orphaned.recovered(&stage);
    assert!(hands["queued"].is_empty(), "nothing is given back: {hands:?}");
    assert_eq!(hands.values().map(Vec::len).sum::<usize>(), orphans.len());
    drop(victim);
    stage.wait_for(&count("COMPLETED"), "3", LONG);
    // And these under the eyes of the one that adopted them.
    pages.late.open();
    stage.wait_for(&count("COMPLETED"), "7", LONG);

    pages.assert_hits(&orphans, 1);
    pages.assert_hits(&["/late/own"], 1);
    assert!(requeued(&stage).is_empty(), "{:?}", requeued(&stage));
    let mut expected: Vec<_> = orphans.map(|path| (path.to_owned(), "1".to_owned())).to_vec();
    expected.push(("/late/own".into(), "0".into()));
    assert_eq!(adopted(&stage), expected);
    assert_eq!(stage.query("SELECT DISTINCT attempt - attempt_base FROM scan_jobs"), [["1"]]);
    leftovers::none_but_of(&survivor, &stage, LONG);
    stop(survivor, &stage);
    leftovers::none_within(&stage, LONG);
}

#[test]
fn scans_whose_worker_and_gateway_are_killed_are_done_again_uncounted() {
    let pages = Gated::start();
    let stage = Stage::new();
    let orphans = ["/early/1", "/early/2", "/early/3"];
    pages.submit(&stage, &orphans);
    let victim = stage.worker(&["--concurrency", "3"]);
    pages.wait_for_hits(&stage, &orphans);
    let survivor = stage.worker(&["--concurrency", "3"]);
    id_of(&stage, &survivor);

    let orphaned = Orphaned::of(&stage, &id_of(&stage, &victim));
    kill(&[victim.0.id(), gateway_of(&victim)]);
    pages.early.open();
    let hands = orphaned.recovered(&stage);
    assert_eq!(
        hands["queued"].len(),
        orphans.len(),
        "without its gateway nobody vouches for a report: {hands:?}"
    );
    drop(victim);
    stage.wait_for(&count("COMPLETED"), "3", LONG);

    pages.assert_hits(&orphans, 2);
    assert!(requeued(&stage).iter().all(|edge| edge[1] == LOST), "{:?}", requeued(&stage));
    let counted = stage.query("SELECT DISTINCT attempt, attempt - attempt_base, losses FROM scan_jobs");
    assert_eq!(counted, [["2", "1", "1"]]);
    assert!(adopted(&stage).iter().all(|(_, adopted)| adopted == "0"));
    leftovers::none_but_of(&survivor, &stage, LONG);
    stop(survivor, &stage);
    leftovers::none_within(&stage, LONG);
}

#[test]
fn scans_whose_gateway_alone_is_killed_are_done_again_by_the_same_worker_through_another() {
    let pages = Gated::start();
    let stage = Stage::new();
    let orphans = ["/early/1", "/early/2", "/early/3"];
    pages.submit(&stage, &orphans);
    let worker = stage.worker(&["--concurrency", "3"]);
    pages.wait_for_hits(&stage, &orphans);
    let first = gateway_of(&worker);
    kill(&[first]);
    wait_until("another gateway runs", &stage, || children_of(&worker).iter().any(|pid| *pid != first));
    pages.early.open();
    stage.wait_for(&count("COMPLETED"), "3", LONG);

    pages.assert_hits(&orphans, 2);
    assert_eq!(requeued(&stage).len(), orphans.len());
    assert!(requeued(&stage).iter().all(|edge| edge[1] == LOST), "{:?}", requeued(&stage));
    let counted = stage.query("SELECT DISTINCT attempt, attempt - attempt_base, losses FROM scan_jobs");
    assert_eq!(counted, [["2", "1", "1"]]);
    leftovers::none_but_of(&worker, &stage, LONG);
    stop(worker, &stage);
    leftovers::none_within(&stage, LONG);
}

#[test]
fn scans_that_ended_while_no_worker_lived_are_settled_by_the_next() {
    let pages = Gated::start();
    let stage = Stage::new().with("SAFEURL_SANDBOX_TIMEOUT", "6s");
    let answered = ["/early/1", "/early/2"];
    let all = ["/early/1", "/early/2", "/never/1"];
    pages.submit(&stage, &all);
    let mut victim = stage.worker(&["--concurrency", "3"]);
    pages.wait_for_hits(&stage, &all);
    let gateway = gateway_of(&victim);
    victim.signal("-KILL");
    assert_eq!(victim.end(), None);
    pages.early.open();
    // The gateway serves them to their end and goes: nothing but files and the containers' logs is left.
    wait_until("the gateway has ended by itself", &stage, || !is_running(gateway));
    assert_eq!(stage.query(&count("FETCHING")), [["3"]]);

    let next = stage.worker(&[]);
    stage.wait_for(&count("COMPLETED"), "2", LONG);
    stage.wait_for(&count("TIMED_OUT"), "1", LONG);
    pages.assert_hits(&all, 1);
    assert!(requeued(&stage).is_empty(), "{:?}", requeued(&stage));
    assert_eq!(adopted(&stage), all.map(|path| (path.to_owned(), "1".to_owned())));
    let connected = "SELECT count(*) FROM audit_logs WHERE url_accessed LIKE '%/early/%'";
    assert_eq!(
        stage.query(connected),
        [[answered.len().to_string()]],
        "what the dead one's gateway saw is on record"
    );
    leftovers::none_but_of(&next, &stage, LONG);
    stop(next, &stage);
    leftovers::none_within(&stage, LONG);
}

#[test]
fn a_worker_whose_program_was_replaced_starts_its_gateway_again() {
    let pages = Gated::start();
    let stage = Stage::new();
    let program = stage.dir.join("program");
    std::fs::copy(env!("CARGO_BIN_EXE_safeurl"), &program).unwrap();
    let settings = stage.command(["worker"]);
    let mut command = Command::new(&program);
    command.args(settings.get_args()).current_dir(&stage.dir).env_clear().stdin(Stdio::null());
    command.envs(settings.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let worker = Worker(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    id_of(&stage, &worker);
    pages.submit(&stage, &["/1"]);
    stage.wait_for(&count("COMPLETED"), "1", LONG);
    // As an upgrade does it.
    std::fs::write(stage.dir.join("next"), "not this version").unwrap();
    std::fs::rename(stage.dir.join("next"), &program).unwrap();
    let first = gateway_of(&worker);
    kill(&[first]);
    wait_until("another gateway runs", &stage, || children_of(&worker).iter().any(|pid| *pid != first));
    pages.submit(&stage, &["/2"]);
    stage.wait_for(&count("COMPLETED"), "2", LONG);
    let gateway = gateway_of(&worker);
    let listed = |file: &str| std::fs::read_to_string(format!("/proc/{gateway}/{file}")).unwrap();
    assert_eq!((listed("cmdline").as_str(), listed("comm").as_str()), ("safeurl\0gateway\0", "safeurl\n"));
    stop(worker, &stage);
    leftovers::none_within(&stage, LONG);
}
