//! Containers that are written down before anybody wants one.

use std::collections::BTreeSet;

use safeurl::domain::state::State;

use super::fake::{Gate, Op, Work};
use super::stage::Stage;

const AHEAD: usize = 4;

/// One whose supervisors write so many down ahead.
async fn stage() -> Stage {
    let mut stage = Stage::new().await;
    stage.config.ahead = AHEAD;
    stage
}

/// Waits until so many are written down, whether they are there or not.
async fn until_written(stage: &Stage, count: usize) {
    stage.until_rows("SELECT count(*) FROM containers", &[&count.to_string()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_down_ahead_is_no_container_and_is_taken_back_at_the_end() {
    let stage = stage().await;
    let running = stage.supervise().await;
    until_written(&stage, AHEAD).await;
    stage.drain(running).await;
    until_written(&stage, 0).await;
    assert_eq!(stage.fake.asked(Op::Create), [""; 0]);
    assert_eq!(stage.fake.asked(Op::Remove), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_container_has_a_name_and_a_user_id_of_its_own_and_more_are_written_down_meanwhile() {
    const JOBS: usize = 10;
    let mut stage = stage().await;
    stage.config.slots = JOBS;
    let running = stage.supervise().await;
    let gate = Gate::shut();
    let mut jobs = Vec::new();
    for _ in 0..JOBS {
        stage.fake.next_work(Work::At(gate.clone()));
        jobs.push(stage.submit().await);
    }
    stage.fake.until_asked(Op::HandOver, JOBS).await;
    let made = "SELECT count(DISTINCT name) || '|' || count(DISTINCT uid) || '|' || count(DISTINCT door)
        FROM containers WHERE container_id IS NOT NULL";
    assert_eq!(stage.rows(made).await, [format!("{JOBS}|{JOBS}|{JOBS}")]);
    gate.open();
    for id in &jobs {
        stage.until_state(id, State::Completed).await;
    }
    stage.fake.until_asked(Op::Remove, JOBS).await;
    let removed: BTreeSet<_> = stage.fake.asked(Op::Remove).into_iter().collect();
    assert_eq!(removed.len(), JOBS);
    stage.drain(running).await;
    until_written(&stage, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_worker_had_written_down_ahead_goes_with_the_next_one() {
    let stage = stage().await;
    let running = stage.supervise().await;
    until_written(&stage, AHEAD).await;
    let dead = running.worker.clone();
    running.crash().await;
    assert_eq!(stage.obligations(&dead).await.len(), AHEAD);
    stage.bury(&dead).await;
    let running = stage.supervise().await;
    stage.until_rows(&format!("SELECT 1 FROM containers WHERE worker = '{dead}'"), &[]).await;
    until_written(&stage, AHEAD).await;
    stage.drain(running).await;
    until_written(&stage, 0).await;
}
