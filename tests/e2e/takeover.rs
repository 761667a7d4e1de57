//! A database of an existing installation is taken over with its rows.

use std::time::Duration;

use crate::leftovers;
use crate::site::{Site, article};
use crate::stage::Stage;

/// What the program that was there before made.
const EXISTING: &str = include_str!("../fixtures/existing.sql");

#[test]
fn queued_rows_of_the_old_program_are_scanned_and_its_tables_stay_usable() {
    let site = Site::start(|_| article("old"));
    let stage = Stage::new();
    stage.execute(EXISTING);
    stage.execute(&format!(
        "INSERT INTO users (clerk_user_id, created_at, updated_at) VALUES ('user_e2e', 1700000000, 1700000000);
         INSERT INTO scan_jobs (id, user_id, url, created_at, updated_at) VALUES
           ('old-1', 'user_e2e', '{}', 1700000000, 1700000000),
           ('old-2', 'user_e2e', 'not a url', 1700000001, 1700000001);",
        site.url("/old")
    ));

    let refused = stage.run(["worker"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("safeurl db migrate"), "{}", refused.err);

    let migrated = stage.run(["db", "migrate"]);
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let mut worker = stage.worker(&[]);
    stage.wait_for("SELECT state FROM scan_jobs WHERE id = 'old-1'", "COMPLETED", Duration::from_secs(30));
    stage.wait_for("SELECT state FROM scan_jobs WHERE id = 'old-2'", "FAILED", Duration::from_secs(30));
    // The old program goes on submitting with the columns it knows.
    stage.execute(&format!(
        "INSERT INTO scan_jobs (id, user_id, url, created_at, updated_at)
         VALUES ('old-3', 'user_e2e', '{}', unixepoch(), unixepoch());",
        site.url("/later")
    ));
    stage.wait_for("SELECT state FROM scan_jobs WHERE id = 'old-3'", "COMPLETED", Duration::from_secs(30));
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0), "{}", stage.log());

    let class = &stage.query("SELECT failure_class FROM scan_jobs WHERE id = 'old-2'")[0][0];
    assert_eq!(class, "invalid_target");
    let result = &stage.query(
        "SELECT risk_score BETWEEN 0 AND 100, json_valid(categories), length(content_hash), http_status
         FROM scan_results WHERE job_id = 'old-1'",
    )[0];
    assert_eq!(result, &["1", "1", "64", "200"]);
    leftovers::none_within(&stage, Duration::from_secs(45));
}
