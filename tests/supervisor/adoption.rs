//! Jobs that outlive their worker.

use std::time::Duration;

use safeurl::domain::failure::FailureClass;
use safeurl::domain::scan::{ScanId, WorkerId};
use safeurl::domain::state::State;
use safeurl::sandbox::Outcome;
use safeurl::shutdown::Signal;
use safeurl::store::Claim;

use super::fake::{Gate, Op, Work};
use super::stage::{Running, Stage};

/// A worker that was killed while its container worked on the one job; the container reports when the gate opens.
async fn killed(stage: &Stage, gate: &Gate) -> (ScanId, WorkerId) {
    stage.fake.next_work(Work::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    (id, crashed(stage, running).await)
}

async fn crashed(stage: &Stage, running: Running) -> WorkerId {
    let dead = running.worker.clone();
    running.crash().await;
    stage.bury(&dead).await;
    dead
}

/// Whether the document of the job says that it was adopted.
async fn is_adopted(stage: &Stage, id: &ScanId) -> bool {
    let document = stage.store.document(id).await.expect("an answer").expect("a document");
    document.body.sandbox.adopted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_outlives_its_worker_is_waited_for_and_fetches_once() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    let (id, dead) = killed(&stage, &gate).await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Follow, 1).await;
    assert_eq!(stage.job(&id).await.lease_owner.as_ref(), Some(&running.worker));
    gate.open();
    let job = stage.until_state(&id, State::Completed).await;
    assert_eq!((job.attempt, job.counted_attempts(), job.losses), (1, 1, 0));
    assert_eq!(stage.reasons(&id).await, ["claimed", "taken over", "report accepted", "completed"]);
    assert!(is_adopted(&stage, &id).await);
    stage.until_rows("SELECT name FROM containers", &[]).await;
    stage.until_gone(&dead).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.invocations().len(), 1);
    assert_eq!((stage.fake.asked(Op::Kill), stage.fake.asked(Op::Create).len()), (Vec::new(), 1));
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
    let attempts = stage.store.attempts(&id).await.expect("the attempts");
    assert_eq!(attempts.len(), 1);
    assert_ne!(attempts[0].record.worker, Some(dead), "who ended it is on record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_was_printed_while_nobody_listened_is_read_from_the_log() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    let (id, _) = killed(&stage, &gate).await;
    gate.open();
    stage.fake.die("c1");
    let running = stage.supervise().await;
    stage.until_state(&id, State::Completed).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.invocations().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_report_was_accepted_is_judged_without_being_accepted_again() {
    let mut stage = Stage::new().await;
    stage.config.at_once = Duration::ZERO;
    stage.sql(super::ends::REFUSE_ENDS).await;
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.until_state(&id, State::Analyzing).await;
    crashed(&stage, running).await;
    stage.sql("DROP TRIGGER no_end").await;
    let running = stage.supervise().await;
    stage.until_state(&id, State::Completed).await;
    assert_eq!(stage.reasons(&id).await, ["claimed", "report accepted", "taken over", "completed"]);
    stage.drain(running).await;
    assert_eq!(stage.fake.invocations().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_worker_takes_over_all_the_same_and_claims_nothing_meanwhile() {
    let mut stage = Stage::new().await;
    stage.config.slots = 1;
    let gate = Gate::shut();
    let (id, _) = killed(&stage, &gate).await;
    let busy = Gate::shut();
    stage.fake.next_work(Work::At(busy.clone()));
    // It takes the new job before the old one's lease has run out.
    stage.sql(&format!("UPDATE scan_jobs SET lease_until = lease_until + 7200000 WHERE id = '{id}'")).await;
    let own = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 2).await;
    stage.sql(&format!("UPDATE scan_jobs SET lease_until = 0 WHERE id = '{id}'")).await;
    stage.fake.until_asked(Op::Follow, 1).await;
    let waiting = stage.submit().await;
    busy.open();
    stage.until_state(&own, State::Completed).await;
    assert_eq!(stage.job(&waiting).await.state, State::Queued, "the slot is taken by the adopted one");
    gate.open();
    stage.until_state(&id, State::Completed).await;
    stage.until_state(&waiting, State::Completed).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_only_worker_is_started_again_goes_on_with_all_of_it() {
    let stage = Stage::new().await;
    let (gate, mut ids) = (Gate::shut(), Vec::new());
    for _ in 0..2 {
        stage.fake.next_work(Work::At(gate.clone()));
        ids.push(stage.submit().await);
    }
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 2).await;
    let waiting = stage.submit().await;
    crashed(&stage, running).await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Follow, 2).await;
    gate.open();
    for id in ids.iter().chain([&waiting]) {
        stage.until_state(id, State::Completed).await;
    }
    stage.drain(running).await;
    assert_eq!(stage.fake.invocations().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_workers_that_find_the_same_job_one_takes_it_over() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    let (id, _) = killed(&stage, &gate).await;
    let (first, second) = (stage.supervise().await, stage.supervise().await);
    stage.fake.until_asked(Op::Follow, 1).await;
    gate.open();
    stage.until_state(&id, State::Completed).await;
    stage.drain(first).await;
    stage.drain(second).await;
    assert_eq!(stage.fake.asked(Op::Follow), ["c1"]);
    assert_eq!(stage.reasons(&id).await, ["claimed", "taken over", "report accepted", "completed"]);
}

/// A killed worker's job that cannot be gone on with is done again, by another container.
async fn is_lost(stage: &Stage, id: &ScanId) {
    let running = stage.supervise().await;
    let job = stage.until_state(id, State::Completed).await;
    assert_eq!((job.attempt, job.counted_attempts(), job.losses), (2, 1, 1));
    let expected = ["claimed", "taken over", "lost: lost", "claimed", "report accepted", "completed"];
    assert_eq!(stage.reasons(id).await, expected);
    assert!(!is_adopted(stage, id).await);
    stage.until_rows("SELECT name FROM containers", &[]).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_whose_gateway_died_with_its_worker_is_killed_and_its_job_done_again() {
    let stage = Stage::new().await;
    let (id, _) = killed(&stage, &Gate::shut()).await;
    stage.gateway_killer()();
    is_lost(&stage, &id).await;
    assert_eq!(stage.fake.asked(Op::Follow), Vec::<String>::new());
    assert_eq!(stage.fake.asked(Op::Kill), ["c1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_whose_gateway_dies_while_it_is_waited_for_is_killed() {
    let stage = Stage::new().await;
    let (id, _) = killed(&stage, &Gate::shut()).await;
    let killer = stage.gateway_killer();
    // Once it is waited for, and before there is a second gateway's door.
    stage.fake.at_follow(killer);
    is_lost(&stage, &id).await;
    assert_eq!(stage.fake.asked(Op::Kill), ["c1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_is_gone_means_that_its_job_is_lost() {
    let stage = Stage::new().await;
    let (id, _) = killed(&stage, &Gate::shut()).await;
    stage.fake.vanish("c1");
    is_lost(&stage, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_never_got_its_job_is_lost_and_not_counted() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    let (id, _) = killed(&stage, &gate).await;
    stage.fake.forget_job("c1");
    is_lost(&stage, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_container_gets_no_more_than_the_rest_of_its_time() {
    let mut stage = Stage::new().await;
    stage.config.timeout = Duration::from_secs(2);
    let (id, _) = killed(&stage, &Gate::shut()).await;
    // The binding ends in order with the time it was made for.
    stage.sql(&format!("UPDATE scan_jobs SET started_ms = started_ms - 60000 WHERE id = '{id}'")).await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::TimedOut).await;
    assert_eq!(stage.failure(&job).await, FailureClass::Timeout);
    assert!(is_adopted(&stage, &id).await);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_job_is_cancelled_like_any_other() {
    let stage = Stage::new().await;
    let (id, _) = killed(&stage, &Gate::shut()).await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Follow, 1).await;
    stage.store.request_cancel(&id).await.expect("an answer");
    let job = stage.until_state(&id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::Cancelled);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_lets_an_adopted_container_finish() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    let (id, _) = killed(&stage, &gate).await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Follow, 1).await;
    running.trigger.step(Signal::Terminate);
    gate.open();
    assert!(!stage.ended(running).await.aborted);
    assert_eq!(stage.job(&id).await.state, State::Completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_kills_an_adopted_container_and_gives_its_job_back() {
    let stage = Stage::new().await;
    let (id, _) = killed(&stage, &Gate::shut()).await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Follow, 1).await;
    running.trigger.abort();
    assert!(stage.ended(running).await.aborted);
    let job = stage.job(&id).await;
    assert_eq!((job.state, job.counted_attempts()), (State::Queued, 0));
    assert_eq!(stage.reasons(&id).await, ["claimed", "taken over", "released"]);
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_job_that_is_taken_away_is_let_go() {
    let stage = Stage::new().await;
    let (id, _) = killed(&stage, &Gate::shut()).await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Follow, 1).await;
    let other = stage.other_worker().await;
    super::leases::take_away(&stage, &id, &other).await;
    stage.fake.until_asked(Op::LetGo, 2).await;
    running.trigger.step(Signal::Terminate);
    running.finished().await;
    assert_eq!(stage.fake.asked(Op::Kill), Vec::<String>::new());
    assert_eq!(stage.fake.containers(), ["c1"]);
    assert_eq!(stage.fake.violations(), Vec::<String>::new());
}

/// A job that a worker of another engine held when it died.
async fn elsewhere(stage: &Stage) -> (ScanId, WorkerId) {
    let dead = stage.worker_on("another engine").await;
    let id = stage.submit().await;
    let claim = Claim { worker: &dead, container: &stage.ready(&dead).await, reserved: false };
    let _ = stage.store.claim(claim).await.expect("an answer").expect("the job");
    stage.bury(&dead).await;
    stage.bury(&dead).await;
    (id, dead)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_an_engine_without_a_worker_is_given_back_and_its_container_left_alone() {
    let stage = Stage::new().await;
    let (id, _) = elsewhere(&stage).await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::Completed).await;
    assert_eq!((job.attempt, job.counted_attempts(), job.losses), (2, 1, 1));
    stage.drain(running).await;
    let far = |call: &super::fake::Call| call.container == "far away";
    assert!(!stage.fake.calls().iter().any(far), "{:?}", stage.fake.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_another_engine_is_left_to_a_worker_that_lives_there() {
    let stage = Stage::new().await;
    let (id, _) = elsewhere(&stage).await;
    let neighbour = stage.worker_on("another engine").await;
    let running = stage.supervise().await;
    let own = stage.submit().await;
    stage.until_state(&own, State::Completed).await;
    assert_eq!(stage.reasons(&id).await, ["claimed"]);
    stage.bury(&neighbour).await;
    stage.bury(&neighbour).await;
    stage.until_state(&id, State::Completed).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_lost_ten_times_ends() {
    let stage = Stage::new().await;
    let (id, _) = elsewhere(&stage).await;
    stage.sql(&format!("UPDATE scan_jobs SET losses = 9 WHERE id = '{id}'")).await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::Lost);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_workers_job_with_a_url_that_cannot_be_fetched_ends() {
    let stage = Stage::new().await;
    let (id, _) = killed(&stage, &Gate::shut()).await;
    stage.sql(&format!("UPDATE scan_jobs SET url = 'ftp://x.test/' WHERE id = '{id}'")).await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::InvalidTarget);
    stage.drain(running).await;
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_another_program_that_nobody_works_on_is_done() {
    let stage = Stage::new().await;
    let id = stage.submit().await;
    stage.sql(&format!("UPDATE scan_jobs SET state = 'FETCHING', updated_at = 0 WHERE id = '{id}'")).await;
    let running = stage.supervise().await;
    stage.until_state(&id, State::Completed).await;
    assert_eq!(stage.reasons(&id).await[..2], ["taken over", "lost: lost"]);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_adopted_container_failed_of_is_told_as_if_its_worker_had_lived() {
    let stage = Stage::new().await;
    let (id, _) = killed(&stage, &Gate::shut()).await;
    stage.fake.log("c1", Outcome::TooLarge);
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::OutputTooLarge);
    stage.drain(running).await;
}
