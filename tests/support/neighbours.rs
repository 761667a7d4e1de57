//! Normal scans beside hostile ones that run on: what they notice of each other, by the wall clock.

use std::time::Duration;

use crate::leftovers;
use crate::stage::{Stage, Worker};

/// Hostile scans at a time; one place of the worker's is left.
pub(crate) const HOSTILE: usize = 4;

/// A stage where nothing ends a hostile scan before its time.
pub(crate) fn stage() -> Stage {
    Stage::new()
        .with("SAFEURL_SANDBOX_TIMEOUT", "10m")
        .with("SAFEURL_GATEWAY_BYTES_IN", "16GiB")
        .with("SAFEURL_WORKER_CONCURRENCY", (HOSTILE + 1).to_string())
}

/// Submits one job.
pub(crate) fn submit(stage: &Stage, url: &str) -> String {
    let ran = stage.run(["submit", url]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.out.trim().to_owned()
}

/// Submits a normal one and waits for its end.
pub(crate) fn scanned(stage: &Stage, url: &str) -> String {
    let id = submit(stage, url);
    stage.wait_for(
        &format!("SELECT state FROM scan_jobs WHERE id = '{id}'"),
        "COMPLETED",
        Duration::from_secs(60),
    );
    id
}

/// Ends the hostile ones.
pub(crate) fn release(stage: &Stage, worker: &Worker) {
    let ran = stage.run(["jobs", "cancel", "--state", "fetching"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let cancelled = "SELECT count(*) FROM scan_jobs WHERE failure_class = 'cancelled'";
    stage.wait_for(cancelled, &HOSTILE.to_string(), Duration::from_secs(60));
    leftovers::none_but_of(worker, stage, Duration::from_secs(60));
}

/// Prints how long a normal scan takes alone, and while four hostile ones are held.
pub(crate) fn compare(stage: &Stage, url: &str, hold: impl FnOnce()) {
    const SCANS: usize = 60;
    let load = || std::fs::read_to_string("/proc/loadavg").unwrap();
    times(stage, url, 3);
    print!("load before: {}", load());
    let alone = told("alone", &times(stage, url, SCANS));
    hold();
    let beside = told("beside four", &times(stage, url, SCANS));
    print!("load after: {}", load());
    let ratio = |beside: u64, alone: u64| beside as f64 / alone as f64;
    println!("ratio: median {:.2}, p95 {:.2}", ratio(beside.0, alone.0), ratio(beside.1, alone.1));
}

/// Milliseconds from submission to end of so many normal scans, one after the other, in order of length.
fn times(stage: &Stage, url: &str, count: usize) -> Vec<u64> {
    let mut times: Vec<u64> = (0..count)
        .map(|_| {
            let id = scanned(stage, url);
            let rows =
                stage.query(&format!("SELECT finished_ms - created_ms FROM scan_jobs WHERE id = '{id}'"));
            rows[0][0].parse().unwrap()
        })
        .collect();
    times.sort_unstable();
    times
}

fn told(what: &str, times: &[u64]) -> (u64, u64) {
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
    println!("{what}: median {} ms, p95 {} ms, longest {} ms", at(50), at(95), at(100));
    (at(50), at(95))
}
