//! A database shared with the program that was there before.

use std::time::Duration;

use super::taken_over;
use crate::domain::failure::FailureClass;
use crate::domain::scan::{Method, ScanId};
use crate::domain::state::{Event, State};
use crate::store::testing::{edge, failure};
use crate::store::{Advanced, Applied, JobFilter, Rows, Serving, Settled};

#[tokio::test]
async fn the_rows_of_the_old_program_stay_as_they_were() {
    let (_folder, store) = taken_over().await;
    assert_eq!(store.rows("SELECT id, balance FROM wallets ORDER BY id").await, ["w1|40", "w2|7"]);
    assert_eq!(
        store.rows("SELECT id, state, version, updated_at FROM scan_jobs ORDER BY id").await,
        [
            "Job № 3|QUEUED|1|1700000003",
            "cm1|QUEUED|1|1700000001",
            "cm2|QUEUED|1|1700000002",
            "cm4|FETCHING|2|1700000009",
            "cm5|COMPLETED|4|1700000010",
            "cm6|FAILED|3|1700000011"
        ]
    );
    assert_eq!(store.rows("PRAGMA foreign_key_check").await, Vec::<String>::new());
    assert_eq!(store.rows("PRAGMA integrity_check").await, ["ok"]);
}

#[tokio::test]
async fn the_statements_of_the_old_program_still_work() {
    let (_folder, store) = taken_over().await;
    store
        .run(
            "INSERT INTO users (clerk_user_id) VALUES ('user_3');
             INSERT INTO scan_jobs (id, user_id, url) VALUES ('new', 'user_3', 'https://example.net/');
             UPDATE scan_jobs SET state = 'FETCHING', version = version + 1, updated_at = unixepoch()
               WHERE id = 'cm1' AND version = 1;
             UPDATE scan_jobs SET state = 'TIMED_OUT', version = version + 1 WHERE id = 'cm4' AND version = 2;
             DELETE FROM users WHERE clerk_user_id = 'user_2bOtto';",
        )
        .await;
    let states = store.rows("SELECT id, state, version, ready FROM scan_jobs ORDER BY id").await;
    assert_eq!(
        states,
        ["cm1|FETCHING|2|1", "cm2|QUEUED|1|1", "cm5|COMPLETED|4|1", "cm6|FAILED|3|1", "new|QUEUED|1|1"]
    );
}

#[tokio::test]
async fn rows_of_the_old_program_are_claimed_and_ended() {
    let (_folder, store) = taken_over().await;
    let worker = store.worker().await;
    let mut ids = Vec::new();
    while let Some(lease) = store.take(&worker).await {
        let job = lease.job();
        ids.push(job.id.to_string());
        assert_eq!((job.attempt, job.max_attempts, job.method), (1, 3, Method::Queue));
        assert_eq!(job.created.millis() % 1000, 0);
        let failed = edge(State::Fetching, Event::Fail(failure(FailureClass::Dns)));
        let settled = store.settle(lease, failed, Rows::default()).await.expect("an answer");
        assert_eq!(settled, Settled::Done { version: 3 });
    }
    assert_eq!(ids, ["cm1", "Job № 3", "cm2"], "users take turns, the older row first");
}

#[tokio::test]
async fn neither_a_result_left_behind_nor_a_false_digest_stops_a_result() {
    let (_folder, store) = taken_over().await;
    store
        .run(
            "INSERT INTO scan_results (job_id, risk_score, categories, content_hash, model_used, reasoning,
               indicators) SELECT 'cm1', 99, '[]', content_hash, 'model', 'left behind', '[]' FROM scan_results",
        )
        .await;
    let worker = store.worker().await;
    let lease = store.take(&worker).await.expect("cm1");
    let Ok(Advanced::Held(lease)) = store.advance(lease, edge(State::Fetching, Event::Accept)).await else {
        panic!("the lease stays")
    };
    let mut body = super::documents::body();
    // A container may claim anything; the existing table takes a digest only.
    body.content.as_mut().expect("content").sha256 = "'no digest".to_owned();
    body.requests[0].sha256 = Some("F".repeat(64));
    let rows = Rows { body: Some(body), ..Rows::default() };
    store.settle(lease, edge(State::Analyzing, Event::Complete), rows).await.expect("an answer");
    let nothing = crate::store::results::NOTHING;
    let result = "SELECT risk_score, content_hash FROM scan_results WHERE job_id = 'cm1'";
    assert_eq!(store.rows(result).await, [format!("72|{nothing}")]);
    let audit = "SELECT DISTINCT content_hash FROM audit_logs WHERE scan_job_id = 'cm1'";
    assert_eq!(store.rows(audit).await, [nothing]);
}

#[tokio::test]
async fn a_row_that_nobody_leased_is_taken_over_after_its_time() {
    let (_folder, store) = taken_over().await;
    let worker = store.worker().await;
    let orphans = store.orphans(Duration::from_secs(600)).await.expect("orphans");
    let ids: Vec<_> = orphans.iter().map(|orphan| orphan.job.id.as_str()).collect();
    assert_eq!(ids, ["cm4"]);
    assert_eq!(orphans[0].engine_id, None);
    let century = Duration::from_secs(3_000_000_000);
    assert_eq!(store.orphans(century).await.expect("orphans"), []);
    let lease = store
        .take_over(&orphans[0].job, &worker, Serving::Nothing)
        .await
        .expect("an answer")
        .expect("a lease");
    assert_eq!((lease.job().state, lease.job().version, lease.job().attempt), (State::Fetching, 3, 0));
    let lost = edge(State::Fetching, Event::Lose(failure(FailureClass::Lost)));
    assert_eq!(
        store.apply(lease.job(), lost, Rows::default()).await.expect("an answer"),
        Applied::Done { version: 4 }
    );
}

#[tokio::test]
async fn ids_and_urls_of_any_text_are_read_and_written() {
    let (_folder, store) = taken_over().await;
    store.run("DELETE FROM scan_jobs").await;
    let long = "é".repeat(100);
    store
        .run(&format!(
            "INSERT INTO scan_jobs (id, user_id, url) VALUES
               ('''; DROP TABLE users; --', 'user_2aNna', CAST(x'68747470ff3a' AS TEXT)),
               ('{long}', 'user_2aNna', 'a' || char(0) || 'b'),
               (' ', 'user_2aNna', ''),
               ('', 'user_2aNna', 'https://example.com/'),
               ('{long}x', 'user_2aNna', 'https://example.com/');
             INSERT INTO scan_jobs (id, user_id, url, state, updated_at) VALUES
               ('{long}y', 'user_2aNna', 'https://example.com/', 'FETCHING', 1);"
        ))
        .await;
    let worker = store.worker().await;
    let mut seen = Vec::new();
    while let Some(lease) = store.take(&worker).await {
        seen.push((lease.job().id.to_string(), lease.job().url.clone()));
        let refused = edge(State::Fetching, Event::Fail(failure(FailureClass::InvalidTarget)));
        store.settle(lease, refused, Rows::default()).await.expect("an answer");
    }
    seen.sort();
    assert_eq!(
        seen,
        [
            (" ".to_owned(), String::new()),
            ("'; DROP TABLE users; --".to_owned(), "http\u{fffd}:".to_owned()),
            (long, "a\0b".to_owned()),
        ]
    );
    assert!(!store.due(None).await.expect("an answer").0, "a name that cannot be a job's is not due");
    assert_eq!(store.orphans(Duration::ZERO).await.expect("orphans"), [], "nor an orphan");
    assert_eq!(store.jobs(JobFilter::default()).await.expect("jobs").len(), 3, "nor listed");
    let id = ScanId::parse(" ").expect("an id");
    assert_eq!(store.transitions(&id).await.expect("edges").len(), 2);
}
