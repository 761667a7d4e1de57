//! A worker that is stopped for longer than its lease and goes on, as on a machine that was suspended.

use super::times::{is_running, wait_until};
use super::{Gated, LONG, adopted, count, id_of, requeued, stop};
use crate::leftovers;
use crate::stage::Stage;

#[test]
fn a_worker_that_slept_through_its_lease_touches_nothing_that_another_took() {
    let pages = Gated::start();
    let stage = Stage::new();
    let taken = ["/early/1", "/early/2"];
    pages.submit(&stage, &taken);
    let sleeper = stage.worker(&["--concurrency", "2"]);
    pages.wait_for_hits(&stage, &taken);
    let other = stage.worker(&["--concurrency", "1"]);
    pages.submit(&stage, &["/late/own"]);
    pages.wait_for_hits(&stage, &["/late/own"]);
    let [asleep, awake] = [&sleeper, &other].map(|worker| id_of(&stage, worker));

    sleeper.signal("-STOP");
    let of_other = format!("SELECT count(*) FROM scan_jobs WHERE lease_owner = '{awake}'");
    stage.wait_for(&of_other, "3", LONG);
    let last_edge = &stage.query("SELECT max(seq) FROM transitions")[0][0];
    sleeper.signal("-CONT");

    // The other one is full, so this one is the sleeper's, which has room again once it knows what it lost.
    pages.submit(&stage, &["/new"]);
    stage.wait_for(&count("COMPLETED"), "1", LONG);
    let written = format!(
        "SELECT DISTINCT j.url LIKE '%/new', t.worker FROM transitions t JOIN scan_jobs j ON j.id = t.job_id
         WHERE t.seq > {last_edge} AND t.worker IS NOT NULL"
    );
    assert_eq!(stage.query(&written), [["1", asleep.as_str()]], "it wrote its own job's edges and no others");
    let containers =
        stage.query(&format!("SELECT container_id FROM scan_jobs WHERE lease_owner = '{awake}'"));
    assert_eq!(containers.len(), 3);
    assert!(containers.iter().all(|row| is_running(&row[0])), "it killed none\n{}", stage.log());

    pages.early.open();
    pages.late.open();
    stage.wait_for(&count("COMPLETED"), "4", LONG);
    pages.assert_hits(&["/early/1", "/early/2", "/late/own", "/new"], 1);
    assert!(requeued(&stage).is_empty(), "{:?}", requeued(&stage));
    let expected = [("/early/1", "1"), ("/early/2", "1"), ("/late/own", "0"), ("/new", "0")];
    assert_eq!(adopted(&stage), expected.map(|(path, adopted)| (path.to_owned(), adopted.to_owned())));
    stop(other, &stage);
    leftovers::none_but_of(&sleeper, &stage, LONG);
    wait_until("no lease is left", &stage, || {
        stage.query("SELECT count(*) FROM scan_jobs WHERE lease_owner IS NOT NULL")[0][0] == "0"
    });
    stop(sleeper, &stage);
    leftovers::none_within(&stage, LONG);
}
