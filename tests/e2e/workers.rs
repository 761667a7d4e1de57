//! Several workers on one database, and the death of one.

use std::time::Duration;

use crate::leftovers;
use crate::site::{Site, article};
use crate::stage::Stage;

fn submit(stage: &Stage, site: &Site, jobs: usize) {
    let lines: String = (0..jobs).map(|n| format!("{}\n", site.url(&format!("/{n}")))).collect();
    let ran = stage.feed(["submit", "-"], &lines);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out.lines().count(), jobs);
}

#[test]
fn two_workers_run_each_of_200_jobs_once() {
    let site = Site::start(article);
    let stage = Stage::new();
    submit(&stage, &site, 200);
    let mut workers = [stage.worker(&["--concurrency", "3"]), stage.worker(&["--concurrency", "3"])];
    stage.wait_for(
        "SELECT count(*) FROM scan_jobs WHERE state = 'COMPLETED'",
        "200",
        Duration::from_secs(180),
    );
    for worker in &mut workers {
        worker.signal("-TERM");
        assert_eq!(worker.end(), Some(0), "{}", stage.log());
    }
    let edges = stage.query(
        "SELECT to_state, count(*), count(DISTINCT job_id) FROM transitions GROUP BY to_state ORDER BY to_state",
    );
    let expected: Vec<Vec<String>> = ["ANALYZING", "COMPLETED", "FETCHING"]
        .map(|state| vec![state.to_owned(), "200".into(), "200".into()])
        .to_vec();
    assert_eq!(edges, expected, "every job took every edge once");
    assert_eq!(stage.query("SELECT count(DISTINCT worker) FROM transitions")[0][0], "2", "both worked");
    assert_eq!(stage.query("SELECT count(*) FROM scan_results")[0][0], "200");
    assert!((0..200).all(|n| site.hits(&format!("/{n}")) == 1), "every page was fetched once");
    leftovers::none_within(&stage, Duration::from_secs(45));
}

#[test]
fn all_jobs_end_and_nothing_is_left_when_a_worker_is_killed() {
    let site = Site::start(|path| {
        std::thread::sleep(Duration::from_millis(200));
        article(path)
    });
    let stage = Stage::new();
    submit(&stage, &site, 60);
    let victim = stage.worker(&["--concurrency", "3"]);
    let mut survivor = stage.worker(&["--concurrency", "3"]);
    let enough = "SELECT count(*) >= 10 FROM scan_jobs WHERE state = 'COMPLETED'";
    stage.wait_for(enough, "1", Duration::from_secs(60));
    victim.signal("-KILL");
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'COMPLETED'", "60", Duration::from_secs(90));
    drop(victim);
    leftovers::none_but_of(&survivor, &stage, Duration::from_secs(45));
    survivor.signal("-TERM");
    assert_eq!(survivor.end(), Some(0), "{}", stage.log());
    assert_eq!(stage.query("SELECT count(*) FROM scan_results")[0][0], "60", "one result each");
    leftovers::none_within(&stage, Duration::from_secs(45));
}
