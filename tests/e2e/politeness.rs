//! Hosts that are spared, through the whole program.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::site::{Answer, Site, article};
use crate::stage::Stage;

const LONG: Duration = Duration::from_secs(90);

fn submit(stage: &Stage, urls: &[String]) {
    let ran = stage.feed(["submit", "-"], &urls.join("\n"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn two_workers_with_free_slots_have_one_scan_of_a_host_at_a_time_if_no_more_may_be() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = (Arc::clone(&now), Arc::clone(&most));
    let site = Site::start(move |path| {
        seen.1.fetch_max(seen.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(100));
        seen.0.fetch_sub(1, Ordering::SeqCst);
        article(path)
    });
    let stage = Stage::new().with("SAFEURL_POLITENESS_PER_HOST", "1");
    let urls: Vec<_> = (0..8).map(|n| site.url(&format!("/{n}"))).collect();
    submit(&stage, &urls);
    let mut workers = [stage.worker(&["--concurrency", "3"]), stage.worker(&["--concurrency", "3"])];
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'COMPLETED'", "8", LONG);
    for worker in &mut workers {
        worker.signal("-TERM");
        assert_eq!(worker.end(), Some(0), "{}", stage.log());
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert!((0..8).all(|n| site.hits(&format!("/{n}")) == 1), "every page was fetched once");
}

#[test]
fn a_host_that_says_it_is_too_much_is_left_alone_for_no_longer_than_the_setting_says() {
    let site = Site::start(|path| match path {
        "/busy" => Answer::Head(429, vec![("Retry-After", "36000".into())]),
        _ => article(path),
    });
    let stage = Stage::new();
    let mut worker = stage.worker(&["--concurrency", "1"]);
    submit(&stage, &[site.url("/busy")]);
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'COMPLETED'", "1", LONG);
    submit(&stage, &[site.url("/later")]);
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'QUEUED' AND ready = 2", "1", LONG);
    let waits = "SELECT host, next_ms / 1000 - unixepoch() BETWEEN 1 AND 300, waiting FROM hosts";
    assert_eq!(stage.query(waits), [["127.0.0.1", "1", "1"]]);
    assert_eq!(site.hits("/later"), 0);
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0), "{}", stage.log());
}
