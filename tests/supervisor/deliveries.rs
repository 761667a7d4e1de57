//! Jobs that a queue in Redis delivers: what becomes of the row and of the entry, with a real Redis.

use safeurl::domain::failure::FailureClass;
use safeurl::domain::scan::{Job, ScanId};
use safeurl::domain::state::State;
use safeurl::sandbox::Outcome;
use safeurl::shutdown::Signal;
use serde_json::{Value, json};

use super::fake::{Gate, Op, Work};
use super::redis::Redis;
use super::stage::{Running, Stage};

async fn stage() -> (Stage, Redis) {
    let redis = Redis::start().await;
    let stage = Stage::behind(redis.bullmq()).await;
    (stage, redis)
}

/// A worker that has handed `job-1` of entry `e1` over, to a container that ends once the gate opens.
async fn at_work(stage: &Stage, redis: &Redis) -> (Running, Gate) {
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    redis.add_scan("e1", "job-1", 1).await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    (running, gate)
}

fn id(job: &str) -> ScanId {
    ScanId::parse(job).expect("an id")
}

/// Waits until there is a row in this state.
async fn until(stage: &Stage, job: &str, state: State) -> Job {
    stage.until_rows(&format!("SELECT state FROM scan_jobs WHERE id = '{job}'"), &[state.as_str()]).await;
    stage.job(&id(job)).await
}

async fn stages(redis: &Redis, entry: &str) -> Vec<String> {
    let lines: Vec<String> = redis.ask(&["LRANGE", &format!("P:{entry}:logs"), "0", "-1"]).await;
    lines.iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivered_job_is_scanned_once_and_its_entry_has_the_summary() {
    let (stage, redis) = stage().await;
    redis.add_scan("e1", "job-1", 1).await;
    let running = stage.supervise().await;
    redis.until_state("e1", "completed").await;
    let job = until(&stage, "job-1", State::Completed).await;
    assert_eq!((job.user.as_str(), job.attempt), ("u1", 1));
    assert_eq!(stage.reasons(&job.id).await, ["claimed", "report accepted", "completed"]);
    let returned = redis.field("e1", "returnvalue").await.expect("a value");
    let returned: Value = serde_json::from_str(&returned).expect("JSON");
    assert_eq!(Some(&returned), stage.store.summary(&job.id).await.expect("an answer").as_ref());
    assert_eq!((&returned["job"]["id"], &returned["job"]["state"]), (&json!("job-1"), &json!("COMPLETED")));
    assert_eq!(redis.field("e1", "progress").await.as_deref(), Some(r#"{"stage":"COMPLETED"}"#));
    assert_eq!(redis.field("e1", "atm").await.as_deref(), Some("1"));
    assert_eq!(stages(&redis, "e1").await, ["FETCHING", "ANALYZING", "COMPLETED"]);
    stage.drain(running).await;
    assert_eq!(stage.fake.invocations().len(), 1);
    let locks: Vec<String> = redis.ask(&["KEYS", "*:lock"]).await;
    assert_eq!(locks, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entrys_attempts_decide_alone_whether_a_failure_is_tried_again() {
    let (stage, redis) = stage().await;
    // The row alone would not try this again.
    stage.fake.next_work(Work::Ends(Outcome::OutOfMemory));
    stage.fake.next_work(Work::Ends(Outcome::OutOfMemory));
    redis.add_scan("e1", "job-1", 2).await;
    let running = stage.supervise().await;
    redis.until_state("e1", "failed").await;
    let job = until(&stage, "job-1", State::Failed).await;
    assert_eq!(job.failure.map(|failure| failure.class), Some(FailureClass::OutOfMemory));
    let reason = redis.field("e1", "failedReason").await.expect("a reason");
    assert!(reason.starts_with("out_of_memory: "), "{reason}");
    assert_eq!(redis.field("e1", "atm").await.as_deref(), Some("2"));
    assert_eq!(
        stage.reasons(&job.id).await,
        ["claimed", "retry: out_of_memory", "claimed", "failed: out_of_memory"]
    );
    // A producer wants it again: the row is replayed.
    redis.producer().rerun("e1", &job.id).await.expect("an answer").expect("the entry");
    redis.until_state("e1", "completed").await;
    assert_eq!(until(&stage, "job-1", State::Completed).await.counted_attempts(), 1);
    stage.drain(running).await;
    assert_eq!(stage.fake.invocations().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_container_can_work_on_ends_in_both_at_once() {
    let (stage, redis) = stage().await;
    redis.add("none", json!({"jobId": "job-1"}), 5).await;
    redis.add("ftp", json!({"jobId": "job-2", "url": "ftp://example.test/"}), 5).await;
    let cancelled = stage.submit().await;
    stage.store.request_cancel(&cancelled).await.expect("an answer");
    redis.add_scan("cancelled", cancelled.as_str(), 5).await;
    let owned = stage.submit_reserved(&stage.other_worker().await).await;
    redis.add_scan("owned", owned.as_str(), 5).await;
    let running = stage.supervise().await;
    for (entry, reason) in [
        ("none", "invalid_target: data.url is missing"),
        ("ftp", "invalid_target: the scheme 'ftp' is not supported"),
        ("cancelled", "cancelled: cancelled before it was started"),
        ("owned", "this job belongs to a command"),
    ] {
        redis.until_state(entry, "failed").await;
        let told = redis.field(entry, "failedReason").await.unwrap_or_default();
        assert!(told.starts_with(reason), "{entry}: {told}");
        assert_eq!(redis.field(entry, "atm").await.as_deref(), Some("1"), "{entry}");
        assert_eq!(redis.field(entry, "progress").await.as_deref(), Some(r#"{"stage":"FAILED"}"#), "{entry}");
        assert_eq!(stages(&redis, entry).await, ["FAILED:"], "{entry}");
    }
    for job in ["job-1", "job-2"] {
        assert_eq!(until(&stage, job, State::Failed).await.delivery.map(|it| it.atm), Some(1));
    }
    assert_eq!(stage.job(&owned).await.state, State::Queued);
    stage.drain(running).await;
    assert_eq!(stage.fake.invocations().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_finds_its_job_done_is_completed_without_a_container() {
    let (stage, redis) = stage().await;
    redis.add_scan("e1", "job-1", 1).await;
    let running = stage.supervise().await;
    redis.until_state("e1", "completed").await;
    redis.add_scan("e2", "job-1", 1).await;
    redis.until_state("e2", "completed").await;
    assert_eq!(redis.field("e2", "returnvalue").await, redis.field("e1", "returnvalue").await);
    assert_eq!(stages(&redis, "e2").await, ["COMPLETED"]);
    stage.drain(running).await;
    assert_eq!(stage.fake.invocations().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_a_job_at_work_comes_back_later_and_no_attempt_is_counted() {
    let (stage, redis) = stage().await;
    let (running, gate) = at_work(&stage, &redis).await;
    redis.add_scan("e2", "job-1", 1).await;
    redis.until_state("e2", "delayed").await;
    assert_eq!(redis.field("e2", "atm").await, None);
    gate.open();
    redis.until_state("e1", "completed").await;
    redis.until_state("e2", "completed").await;
    stage.drain(running).await;
    assert_eq!(stage.fake.invocations().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_drains_finishes_what_it_has_and_leaves_what_waits() {
    let (mut stage, redis) = stage().await;
    stage.config.slots = 1;
    let (running, gate) = at_work(&stage, &redis).await;
    redis.add_scan("e2", "job-2", 1).await;
    running.trigger.step(Signal::Terminate);
    gate.open();
    assert!(!stage.ended(running).await.aborted);
    assert_eq!((redis.state("e1").await, redis.state("e2").await), ("completed", "waiting"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_aborted_gives_its_entry_back_to_the_front_uncounted() {
    let (mut stage, redis) = stage().await;
    stage.config.slots = 1;
    let (running, _gate) = at_work(&stage, &redis).await;
    redis.add_scan("e2", "job-2", 1).await;
    running.trigger.step(Signal::Terminate);
    running.trigger.step(Signal::Terminate);
    assert!(stage.ended(running).await.aborted);
    let waiting: Vec<String> = redis.ask(&["LRANGE", "P:wait", "0", "-1"]).await;
    assert_eq!(waiting, ["e2", "e1"], "the right end is the front");
    assert_eq!((redis.field("e1", "atm").await, redis.field("e1", "stc").await), (None, None));
    let job = stage.job(&id("job-1")).await;
    assert_eq!((job.state, job.counted_attempts()), (State::Queued, 0));
    assert_eq!(job.delivery, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_job_of_a_dead_worker_is_gone_on_with_and_its_other_entries_are_delivered_again() {
    let (stage, redis) = stage().await;
    let (running, gate) = at_work(&stage, &redis).await;
    let dead = running.worker.clone();
    // Taken, and not claimed yet.
    redis.add_scan("e2", "job-2", 1).await;
    running.crash().await;
    if redis.state("e2").await == "waiting" {
        let _: String = redis.ask(&["RPOPLPUSH", "P:wait", "P:active"]).await;
        let token = format!("{dead}:0000000099");
        let _: String = redis.ask(&["SET", "P:e2:lock", &token, "PX", "3600000"]).await;
    }
    let _: i64 = redis.ask(&["PEXPIRE", "P:e1:lock", "3600000"]).await;
    stage.bury(&dead).await;
    let next = stage.supervise().await;
    stage.fake.until_asked(Op::Follow, 1).await;
    gate.open();
    for entry in ["e1", "e2"] {
        redis.until_state(entry, "completed").await;
        assert_eq!(redis.field(entry, "stc").await, None, "it does not count as stalled");
        assert_eq!(redis.field(entry, "atm").await.as_deref(), Some("1"));
    }
    assert_eq!(stage.reasons(&id("job-1")).await, ["claimed", "taken over", "report accepted", "completed"]);
    stage.drain(next).await;
    assert_eq!(stage.fake.invocations().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_finds_a_job_without_a_holder_takes_it_over() {
    let (stage, redis) = stage().await;
    let (running, gate) = at_work(&stage, &redis).await;
    running.crash().await;
    // Its heartbeat lives, its lease does not; and Redis has given the entry back.
    stage
        .sql("UPDATE scan_jobs SET lease_until = 0; UPDATE workers SET heartbeat_ms = heartbeat_ms + 3600000")
        .await;
    let _: i64 = redis.ask(&["DEL", "P:e1:lock"]).await;
    let _: i64 = redis.ask(&["LREM", "P:active", "1", "e1"]).await;
    let _: i64 = redis.ask(&["RPUSH", "P:wait", "e1"]).await;
    let next = stage.supervise().await;
    stage.fake.until_asked(Op::Follow, 1).await;
    let job = stage.job(&id("job-1")).await;
    let token = job.delivery.expect("a delivery").token;
    assert!(token.starts_with(next.worker.as_str()), "{token}");
    gate.open();
    redis.until_state("e1", "completed").await;
    stage.drain(next).await;
    assert_eq!(stage.fake.invocations().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_on_one_queue_do_every_job_once() {
    let (stage, redis) = stage().await;
    let first = stage.supervise().await;
    let second = stage.supervise().await;
    for number in 0..20 {
        redis.add_scan(&format!("e{number}"), &format!("job-{number}"), 1).await;
    }
    for number in 0..20 {
        let entry = format!("e{number}");
        redis.until_state(&entry, "completed").await;
        assert_eq!(redis.events("completed", &entry).await, 1);
    }
    stage.drain(first).await;
    stage.drain(second).await;
    assert_eq!(stage.fake.invocations().len(), 20);
    assert_eq!(stage.rows("SELECT count(*) FROM transitions WHERE reason = 'completed'").await, ["20"]);
}
