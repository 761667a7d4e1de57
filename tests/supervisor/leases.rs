//! Jobs that change hands, and wishes to cancel.

use safeurl::domain::failure::FailureClass;
use safeurl::domain::scan::{ScanId, WorkerId};
use safeurl::domain::state::State;
use safeurl::sandbox::Outcome;
use safeurl::shutdown::Signal;
use safeurl::store::{CancelOutcome, Claim, Obligation, Ready};

use super::fake::{Gate, Op, Work};
use super::stage::Stage;

/// Takes a job away as another worker does.
pub(crate) async fn take_away(stage: &Stage, id: &ScanId, other: &WorkerId) {
    stage
        .sql(&format!(
            "UPDATE scan_jobs SET lease_owner = '{other}', lease_until = lease_until + 3600000,
                 version = version + 1 WHERE id = '{id}'"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_a_lease_writes_nothing_kills_nothing_and_removes_nothing() {
    let stage = Stage::new().await;
    stage.fake.next_work(Work::At(Gate::shut()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let other = stage.other_worker().await;
    take_away(&stage, &id, &other).await;
    let taken = stage.job(&id).await;
    stage.fake.until_asked(Op::LetGo, 1).await;

    // It goes on with other jobs, and ends.
    let next = stage.submit().await;
    stage.until_state(&next, State::Completed).await;
    let worker = running.worker.clone();
    running.trigger.step(Signal::Terminate);
    running.finished().await;

    assert_eq!(stage.job(&id).await, taken);
    assert_eq!(stage.fake.done_to("c1"), [Op::Start, Op::HandOver, Op::LetGo]);
    assert_eq!(stage.fake.containers(), ["c1"]);
    assert_eq!(stage.obligations(&worker).await.len(), 1);
    let ledgers = safeurl::gateway::leftovers(&stage.run_dir(&worker)).expect("listed");
    assert_eq!(ledgers.len(), 1, "the new holder needs the ledger");
    assert_eq!(stage.fake.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_job_leaves_is_removed_once_its_row_does_not_need_it() {
    let stage = Stage::new().await;
    stage.fake.next_work(Work::At(Gate::shut()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let other = stage.other_worker().await;
    take_away(&stage, &id, &other).await;
    stage.fake.until_asked(Op::LetGo, 1).await;
    stage
        .sql(&format!("UPDATE scan_jobs SET state = 'FAILED', version = version + 1 WHERE id = '{id}'"))
        .await;
    stage.until_rows("SELECT name FROM containers", &[]).await;
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_end_of_a_job_that_another_holds_writes_nothing() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let other = stage.other_worker().await;
    take_away(&stage, &id, &other).await;
    let taken = stage.job(&id).await;
    // Before any renewal says so.
    gate.open();
    let next = stage.submit().await;
    stage.until_state(&next, State::Completed).await;
    running.trigger.step(Signal::Terminate);
    running.finished().await;
    assert_eq!(stage.job(&id).await, taken);
    assert_eq!(stage.reasons(&id).await, ["claimed"]);
    assert_eq!(stage.fake.containers(), ["c1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_is_cancelled_by_the_next_renewal() {
    let stage = Stage::new().await;
    stage.fake.next_work(Work::At(Gate::shut()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let asked = stage.store.request_cancel(&id).await.expect("an answer");
    assert_eq!(asked, CancelOutcome::Requested);
    let job = stage.until_state(&id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::Cancelled);
    stage.drain(running).await;
    let done = [Op::Start, Op::HandOver, Op::AskKill, Op::Kill, Op::Remove];
    assert_eq!(stage.fake.done_to("c1"), done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_to_cancel_wins_over_another_attempt() {
    let stage = Stage::new().await;
    // The wish comes with the crash, and before any renewal.
    stage
        .sql(
            "CREATE TRIGGER wish AFTER UPDATE OF state ON scan_jobs WHEN NEW.state = 'FETCHING' BEGIN
               UPDATE scan_jobs SET cancel_requested = 1 WHERE id = NEW.id;
             END",
        )
        .await;
    stage.fake.next_work(Work::Ends(Outcome::Crashed { code: 1 }));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::Cancelled);
    stage.drain(running).await;
    assert_eq!(stage.reasons(&id).await, ["claimed", "failed: cancelled"]);
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
}

/// A job of a worker that died an hour ago, with its container `c1`.
async fn orphan(stage: &Stage) -> ScanId {
    let dead = stage.other_worker().await;
    let id = stage.submit().await;
    let obligation = Obligation {
        name: "gone".to_owned(),
        engine_id: "engine".to_owned(),
        worker: dead.clone(),
        door: String::new(),
        attestation: None,
    };
    stage.store.oblige(obligation).await.expect("a user id");
    let container = stage.fake.made("gone");
    let container = Ready { name: "gone".to_owned(), id: container };
    let claim = Claim { worker: &dead, container: &container, reserved: false };
    let lease = stage.store.claim(claim).await.expect("an answer").expect("the job");
    assert_eq!((&lease.job().id, container.id.as_str()), (&id, "c1"));
    stage.bury(&dead).await;
    stage.bury(&dead).await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_workers_container_is_killed_before_its_job_is_done_again() {
    let stage = Stage::new().await;
    let id = orphan(&stage).await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::Completed).await;
    stage.drain(running).await;
    let calls = stage.fake.calls();
    let killed = calls.iter().position(|call| call.op == Op::Kill).expect("killed");
    let handed = calls.iter().position(|call| call.op == Op::HandOver).expect("done again");
    assert!(killed < handed && calls[killed].container == "c1", "{calls:?}");
    assert_eq!((job.attempt, job.counted_attempts()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_workers_job_stays_held_until_its_container_could_be_killed() {
    let stage = Stage::new().await;
    let id = orphan(&stage).await;
    stage.fake.refuse_kills(true);
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Kill, 2).await;
    assert_eq!(stage.job(&id).await.state, State::Fetching);
    stage.fake.refuse_kills(false);
    stage.until_state(&id, State::Completed).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_ends_gives_back_first_what_it_took_over() {
    let stage = Stage::new().await;
    let id = orphan(&stage).await;
    let gate = Gate::shut();
    stage.fake.kill_at(&gate);
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Kill, 1).await;
    running.trigger.step(Signal::Terminate);
    gate.open();
    stage.ended(running).await;
    let job = stage.job(&id).await;
    assert_eq!((job.state, job.lease_owner), (State::Queued, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_ends_while_it_holds_a_job_stays_on_the_list() {
    let stage = Stage::new().await;
    let id = orphan(&stage).await;
    stage.fake.refuse_kills(true);
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Kill, 1).await;
    let worker = running.worker.clone();
    running.trigger.abort();
    running.finished().await;
    assert_eq!(stage.job(&id).await.lease_owner.as_ref(), Some(&worker));
    let workers = stage.store.workers().await.expect("the workers");
    assert!(workers.iter().any(|other| other.row.id == worker), "who takes over must know the engine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_workers_job_that_was_to_be_cancelled_is_cancelled() {
    let stage = Stage::new().await;
    let id = orphan(&stage).await;
    let asked = stage.store.request_cancel(&id).await.expect("an answer");
    assert_eq!(asked, CancelOutcome::Requested);
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::Cancelled);
    stage.drain(running).await;
    assert_eq!(stage.reasons(&id).await, ["claimed", "taken over", "failed: cancelled"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_attempt_panicked_and_that_was_to_be_cancelled_is_cancelled() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::PanicsAt(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let asked = stage.store.request_cancel(&id).await.expect("an answer");
    assert_eq!(asked, CancelOutcome::Requested);
    gate.open();
    let job = stage.until_state(&id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::Cancelled);
    stage.until_rows("SELECT name FROM containers", &[]).await;
    stage.drain(running).await;
}
