//! Draining, aborting, and what follows a supervisor that could do neither.

use std::time::Duration;

use safeurl::domain::state::State;
use safeurl::sandbox::Outcome;
use safeurl::shutdown::Signal;

use super::fake::{Gate, Op, Work};
use super::log::Log;
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_lets_what_runs_finish_and_takes_nothing_new() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let first = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    running.trigger.step(Signal::Terminate);
    let second = stage.submit().await;
    gate.open();
    assert!(!stage.ended(running).await.aborted);
    assert_eq!(stage.job(&first).await.state, State::Completed);
    assert_eq!(stage.reasons(&second).await, [""; 0]);
    assert_eq!(stage.fake.asked(Op::Create).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_throws_a_container_without_a_job_away() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_start(super::fake::Beginning::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Start, 1).await;
    // Nothing is left to take when it is ready, so it waits.
    stage.store.request_cancel(&id).await.expect("an answer");
    gate.open();
    stage.fake.until_asked(Op::Watch, 1).await;
    assert!(!stage.drain(running).await.aborted);
    assert_eq!(stage.fake.asked(Op::Remove), ["c1"]);
    assert_eq!(stage.fake.asked(Op::HandOver), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_kills_what_runs_and_gives_it_back_uncounted() {
    let stage = Stage::new().await;
    stage.fake.next_work(Work::At(Gate::shut()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    running.trigger.step(Signal::Terminate);
    running.trigger.step(Signal::Terminate);
    assert!(stage.ended(running).await.aborted);
    let job = stage.job(&id).await;
    assert_eq!((job.state, job.attempt, job.counted_attempts()), (State::Queued, 1, 0));
    assert_eq!(stage.reasons(&id).await, ["claimed", "released"]);
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_beyond_its_grace_aborts() {
    let (log, mut stage) = (Log::start(), Stage::new().await);
    stage.config.drain_grace = Duration::from_millis(10);
    stage.fake.next_work(Work::At(Gate::shut()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    assert!(stage.drain(running).await.aborted);
    assert_eq!(stage.reasons(&id).await, ["claimed", "released"]);
    for told in ["draining: no new job is taken", "the scans under way are killed"] {
        assert_eq!(log.lines(told).len(), 1, "{told}: {:?}", log.lines(""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_that_cannot_kill_leaves_job_and_container_to_the_next_worker() {
    let stage = Stage::new().await;
    stage.fake.next_work(Work::Ends(Outcome::Lost { reason: "the engine is gone".to_owned() }));
    stage.fake.refuse_kills(true);
    stage.fake.refuse_removals(true);
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Kill, 1).await;
    let dead = running.worker.clone();
    running.trigger.abort();
    assert!(running.finished().await.aborted);
    assert_eq!(stage.job(&id).await.lease_owner.as_ref(), Some(&dead));
    assert_eq!(stage.obligations(&dead).await.len(), 1);

    stage.fake.refuse_kills(false);
    stage.fake.refuse_removals(false);
    stage.bury(&dead).await;
    let kills = stage.fake.asked(Op::Kill).len();
    let running = stage.supervise().await;
    stage.until_state(&id, State::Completed).await;
    assert!(stage.fake.asked(Op::Kill).len() > kills, "nothing runs twice: {:?}", stage.fake.calls());
    stage.until_rows("SELECT name FROM containers", &[]).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_no_last_edge_is_asked_until_it_does() {
    let mut stage = Stage::new().await;
    stage.config.at_once = Duration::ZERO;
    stage.sql(REFUSE_ENDS).await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    gate.open();
    stage.until_state(&id, State::Analyzing).await;
    stage.sql("DROP TRIGGER no_end").await;
    stage.until_state(&id, State::Completed).await;
    stage.drain(running).await;
}

/// An analysis that is done at once leaves both edges to one transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_last_edges_in_one_transaction_both_are_written_or_none() {
    let (log, stage) = (Log::start(), Stage::new().await);
    stage.sql(REFUSE_ENDS).await;
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.until(|| !log.lines("the database does not take a write; trying again").is_empty()).await;
    assert_eq!(stage.job(&id).await.state, State::Fetching);
    assert_eq!(stage.reasons(&id).await, ["claimed"]);
    stage.sql("DROP TRIGGER no_end").await;
    stage.until_state(&id, State::Completed).await;
    assert_eq!(stage.reasons(&id).await, ["claimed", "report accepted", "completed"]);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_ends_although_the_database_takes_no_edge() {
    let mut stage = Stage::new().await;
    stage.config.at_once = Duration::ZERO;
    stage.sql(REFUSE_ENDS).await;
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.until_state(&id, State::Analyzing).await;
    let dead = running.worker.clone();
    running.trigger.abort();
    assert!(running.finished().await.aborted);
    // The container's log is the only copy of the report.
    assert_eq!(stage.fake.containers(), ["c1"]);
    assert_eq!(stage.obligations(&dead).await.len(), 1);

    stage.sql("DROP TRIGGER no_end").await;
    stage.bury(&dead).await;
    let running = stage.supervise().await;
    stage.until_state(&id, State::Completed).await;
    stage.until_rows("SELECT name FROM containers", &[]).await;
    stage.drain(running).await;
}

pub(crate) const REFUSE_ENDS: &str = "CREATE TRIGGER no_end BEFORE UPDATE OF state ON scan_jobs
    WHEN OLD.state = 'ANALYZING' AND NEW.state <> 'ANALYZING' OR NEW.state = 'COMPLETED' BEGIN
      SELECT raise(ABORT, 'not now');
    END";
