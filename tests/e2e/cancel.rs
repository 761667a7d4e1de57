//! A person stops a job.

use std::time::Duration;

use crate::leftovers;
use crate::site::{Answer, Site};
use crate::stage::Stage;

#[test]
fn a_running_job_is_killed_and_a_waiting_one_never_starts() {
    let site = Site::start(|_| Answer::Silence);
    let stage = Stage::new();
    let submitted = stage.run(["submit", &site.url("/first"), &site.url("/second")]);
    assert_eq!(submitted.code, Some(0), "{submitted:?}");
    let ids: Vec<&str> = submitted.out.split_whitespace().collect();
    let mut worker = stage.worker(&["--concurrency", "1"]);
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'FETCHING'", "1", Duration::from_secs(20));

    for id in &ids {
        let cancelled = stage.run(["jobs", "cancel", id]);
        assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    }
    let ended = "SELECT count(*) FROM scan_jobs WHERE state = 'FAILED' AND failure_class = 'cancelled'";
    stage.wait_for(ended, "2", Duration::from_secs(15));
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0));
    assert_eq!(site.total(), 1, "the second was never fetched");
    leftovers::none_within(&stage, Duration::from_secs(45));

    let again = stage.run(["jobs", "retry", ids[1]]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(stage.query("SELECT count(*) FROM scan_jobs WHERE state = 'QUEUED'")[0][0], "1");
}
