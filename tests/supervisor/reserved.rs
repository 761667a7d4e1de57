//! Jobs that one command alone waits for, and what becomes of them when it dies.

use safeurl::domain::failure::FailureClass;
use safeurl::domain::scan::{ScanId, WorkerId};
use safeurl::domain::state::State;
use safeurl::store::Claim;

use super::fake::{Gate, Op, Work};
use super::stage::Stage;

/// A scan that was killed while its container worked on its one job.
async fn killed(stage: &Stage) -> (ScanId, WorkerId) {
    stage.fake.next_work(Work::At(Gate::shut()));
    let running = stage.supervise_reserved().await;
    let id = stage.submit_reserved(&running.worker).await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let dead = running.worker.clone();
    running.crash().await;
    stage.bury(&dead).await;
    (id, dead)
}

/// The job ended because nobody waits for it, was fetched once, and left nothing.
async fn is_ended(stage: &Stage, id: &ScanId, dead: &WorkerId) {
    let job = stage.until_state(id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::Cancelled);
    let why = job.failure.map(|failure| failure.message);
    assert_eq!(why.as_deref(), Some("the command that asked for this scan has ended"));
    assert_eq!(stage.reasons(id).await, ["claimed", "taken over", "failed: cancelled"]);
    stage.until_rows(&format!("SELECT name FROM containers WHERE worker = '{dead}'"), &[]).await;
    stage.until_gone(dead).await;
    assert_eq!(stage.fake.asked(Op::Follow), Vec::<String>::new());
    assert_eq!(stage.fake.asked(Op::Kill), ["c1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_job_of_a_killed_scan_ends_cancelled_and_its_container_dies() {
    let stage = Stage::new().await;
    let (id, dead) = killed(&stage).await;
    let running = stage.supervise().await;
    is_ended(&stage, &id, &dead).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
    assert_eq!(stage.fake.invocations().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_ends_what_a_killed_one_left() {
    let stage = Stage::new().await;
    let (id, dead) = killed(&stage).await;
    let running = stage.supervise_reserved().await;
    is_ended(&stage, &id, &dead).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_scan_left_ends_although_its_gateway_is_dead_and_its_container_gone() {
    let stage = Stage::new().await;
    let (id, dead) = killed(&stage).await;
    stage.gateway_killer()();
    stage.fake.vanish("c1");
    let running = stage.supervise().await;
    is_ended(&stage, &id, &dead).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_scan_left_on_an_engine_without_a_worker_ends_and_is_not_touched() {
    let stage = Stage::new().await;
    let dead = stage.worker_on("another engine").await;
    let id = stage.submit_reserved(&dead).await;
    let claim = Claim { worker: &dead, container: &stage.ready(&dead).await, reserved: true };
    let _ = stage.store.claim(claim).await.expect("an answer").expect("the job");
    stage.bury(&dead).await;
    stage.bury(&dead).await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::Cancelled);
    stage.drain(running).await;
    let far = |call: &super::fake::Call| call.container == "far away";
    assert!(!stage.fake.calls().iter().any(far), "{:?}", stage.fake.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_leaves_the_jobs_of_dead_workers_to_workers() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let id = stage.submit().await;
    let worker = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let dead = worker.worker.clone();
    worker.crash().await;
    stage.bury(&dead).await;
    // What the scan looks for comes with one look: it has seen the worker's job when it has ended the other one.
    let scan = stage.supervise_reserved().await;
    let gone = stage.other_worker().await;
    let unwanted = stage.submit_reserved(&gone).await;
    stage.bury(&gone).await;
    stage.bury(&gone).await;
    stage.until_state(&unwanted, State::Failed).await;
    let own = stage.submit_reserved(&scan.worker).await;
    stage.until_state(&own, State::Completed).await;
    stage.drain(scan).await;
    assert_eq!(stage.reasons(&id).await, ["claimed"]);
    assert_eq!(stage.fake.asked(Op::Follow), Vec::<String>::new());
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Follow, 1).await;
    gate.open();
    stage.until_state(&id, State::Completed).await;
    stage.drain(running).await;
}
