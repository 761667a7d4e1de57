//! An engine that refuses, forgets, is silent or slow.

use safeurl::domain::state::State;

use super::fake::{Beginning, Creation, Gate, Op, Work};
use super::stage::Stage;

/// The job was completed by its first claim: whatever failed before claimed nothing and counted nothing.
async fn untouched(stage: &Stage, id: &safeurl::domain::scan::ScanId) {
    let job = stage.until_state(id, State::Completed).await;
    assert_eq!((job.attempt, job.attempt_base, job.losses), (1, 0, 0));
    assert_eq!(stage.reasons(id).await, ["claimed", "report accepted", "completed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_refuses_a_create_claims_nothing_and_loses_nothing() {
    let stage = Stage::new().await;
    stage.fake.next_create(Creation::Refused);
    stage.fake.next_create(Creation::Refused);
    let id = stage.submit().await;
    let running = stage.supervise().await;
    untouched(&stage, &id).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_refuses_a_start_claims_nothing_and_its_container_is_removed() {
    let stage = Stage::new().await;
    stage.fake.next_start(Beginning::Refused);
    let id = stage.submit().await;
    let running = stage.supervise().await;
    untouched(&stage, &id).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.asked(Op::Remove), ["c1", "c2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_never_becomes_ready_gets_no_job_and_is_removed() {
    let stage = Stage::new().await;
    stage.fake.next_start(Beginning::NotReady);
    let id = stage.submit().await;
    let running = stage.supervise().await;
    untouched(&stage, &id).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.asked(Op::HandOver), ["c2"]);
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_died_while_it_waited_gets_no_job() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_start(Beginning::At(gate.clone()));
    let gone = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Start, 1).await;
    // Nothing is left to take when it is ready, so it waits.
    stage.store.request_cancel(&gone).await.expect("an answer");
    gate.open();
    stage.fake.until_asked(Op::Watch, 1).await;
    stage.fake.die("c1");
    let id = stage.submit().await;
    untouched(&stage, &id).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.asked(Op::HandOver), ["c2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_whose_create_was_not_answered_is_removed_by_its_name() {
    let stage = Stage::new().await;
    stage.fake.next_create(Creation::AnswerLost);
    let id = stage.submit().await;
    let running = stage.supervise().await;
    untouched(&stage, &id).await;
    stage.drain(running).await;
    let name = stage.fake.asked(Op::Create).remove(0);
    assert_eq!(stage.fake.asked(Op::Remove), [name.as_str(), "c2"]);
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_engine_is_silent_jobs_wait_and_then_they_run() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_create(Creation::AnswerLost);
    stage.fake.next_start(Beginning::At(gate.clone()));
    let first = stage.submit().await;
    let running = stage.supervise().await;
    // The second container waits to start when the engine falls silent.
    stage.fake.until_asked(Op::Start, 1).await;
    stage.fake.set_silent(true);
    gate.open();
    let second = stage.submit().await;
    // It was ready, and serves its job; to start another one the engine is needed.
    stage.until_rows("SELECT count(*) FROM scan_jobs WHERE state = 'COMPLETED'", &["1"]).await;
    assert_eq!(stage.rows("SELECT state FROM scan_jobs WHERE attempt = 0").await, ["QUEUED"]);
    stage.fake.set_silent(false);
    untouched(&stage, &first).await;
    untouched(&stage, &second).await;
    // What could not be removed meanwhile was left to the reaper.
    stage.until_rows("SELECT name FROM containers", &[]).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_cannot_be_removed_stays_written_down_until_the_reaper_could() {
    let stage = Stage::new().await;
    stage.fake.refuse_removals(true);
    let id = stage.submit().await;
    let running = stage.supervise().await;
    untouched(&stage, &id).await;
    // The attempt's own try and one of the reaper.
    stage.fake.until_asked(Op::Remove, 2).await;
    assert_eq!(stage.obligations(&running.worker).await.len(), 1);
    assert_eq!(stage.fake.containers(), ["c1"]);
    stage.fake.refuse_removals(false);
    stage.until_rows("SELECT name FROM containers", &[]).await;
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_settled_before_its_container_is_surely_dead() {
    let stage = Stage::new().await;
    stage.fake.next_work(Work::Ends(safeurl::sandbox::Outcome::TimedOut));
    stage.fake.refuse_kills(true);
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Kill, 2).await;
    assert_eq!(stage.job(&id).await.state, State::Fetching);
    stage.fake.refuse_kills(false);
    stage.until_state(&id, State::TimedOut).await;
    stage.drain(running).await;
}
