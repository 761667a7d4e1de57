//! How much runs at a time, and what waits for nothing.

use std::time::Duration;

use safeurl::domain::state::State;
use safeurl::store::CancelOutcome;
use safeurl::supervisor::Progress;

use super::fake::{Beginning, Gate, Op, Work};
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_more_due_rows_than_slots_never_more_than_slots_run_at_once() {
    let mut stage = Stage::new().await;
    stage.config.slots = 3;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(stage.submit().await);
    }
    let gate = Gate::shut();
    for _ in 0..3 {
        stage.fake.next_work(Work::At(gate.clone()));
    }
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 3).await;
    gate.open();
    for id in &ids {
        stage.until_state(id, State::Completed).await;
    }
    stage.drain(running).await;
    assert_eq!(stage.fake.most_working(), 3);
    assert_eq!(stage.fake.asked(Op::HandOver).len(), 12, "each once");
}

#[tokio::test]
async fn a_container_with_nothing_to_take_is_thrown_away_after_its_time() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_start(Beginning::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Start, 1).await;
    // The row that it was started for is gone when it is ready.
    let cancelled = stage.store.request_cancel(&id).await.expect("an answer");
    assert_eq!(cancelled, CancelOutcome::Cancelled);
    gate.open();
    let began = tokio::time::Instant::now();
    stage.fake.until_asked(Op::Remove, 1).await;
    assert!(began.elapsed() >= Duration::from_secs(5), "a job may still come");
    assert_eq!(stage.fake.asked(Op::HandOver), [""; 0]);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_comes_while_a_container_waits_gets_that_container() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_start(Beginning::At(gate.clone()));
    let first = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Start, 1).await;
    stage.store.request_cancel(&first).await.expect("an answer");
    gate.open();
    let second = stage.submit().await;
    stage.until_state(&second, State::Completed).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.asked(Op::HandOver), ["c1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_hears_where_a_scan_has_come_to() {
    let stage = Stage::new().await;
    let id = stage.submit().await;
    let wrong = stage.submit_url("ftp://example.test/").await;
    let mut running = stage.supervise().await;
    let (mut of_right, mut of_wrong) = (Vec::new(), Vec::new());
    while of_right.len() < 3 || of_wrong.is_empty() {
        let next = tokio::time::timeout(super::stage::LONG, running.progress.recv()).await;
        let step = next.unwrap_or_else(|_| panic!("{of_right:?} {of_wrong:?}")).expect("a step");
        let (Progress::Fetching(of)
        | Progress::Analyzing(of)
        | Progress::Queued(of)
        | Progress::Reported(of, _)
        | Progress::Ended(of, _)) = &step
        else {
            panic!("{step:?}");
        };
        if *of == id { of_right.push(step) } else { of_wrong.push(step) }
    }
    stage.drain(running).await;
    let ended = Progress::Ended(id.clone(), State::Completed);
    assert_eq!(of_right, [Progress::Fetching(id.clone()), Progress::Analyzing(id), ended]);
    assert_eq!(of_wrong, [Progress::Ended(wrong, State::Failed)]);
}
