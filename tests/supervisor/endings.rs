//! How attempts end, and what their rows say then.

use std::time::Duration;

use safeurl::domain::document::OutcomeName;
use safeurl::domain::failure::FailureClass;
use safeurl::domain::state::State;
use safeurl::sandbox::Outcome;

use super::fake::{Beginning, Gate, Op, Work};
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_was_accepted_completes_its_job_and_nothing_is_left() {
    let stage = Stage::new().await;
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.until_state(&id, State::Completed).await;
    assert!(!stage.drain(running).await.aborted);
    assert_eq!(stage.reasons(&id).await, ["claimed", "report accepted", "completed"]);
    assert_eq!(stage.rows("SELECT http_status FROM scan_results").await, ["204"]);
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_is_tried_again_with_growing_waits_until_the_attempts_are_used_up() {
    let stage = Stage::new().await;
    // Writes down how long each wait was to be, and ends it.
    stage
        .sql(
            "CREATE TABLE waits (attempt INTEGER, ms INTEGER);
             CREATE TRIGGER no_wait AFTER UPDATE OF run_at ON scan_jobs WHEN NEW.ready = 0 BEGIN
               INSERT INTO waits VALUES (NEW.attempt, NEW.run_at - unixepoch('subsec') * 1000);
               UPDATE scan_jobs SET ready = 1, run_at = NULL WHERE id = NEW.id;
             END",
        )
        .await;
    for _ in 0..3 {
        stage.fake.next_work(Work::Ends(Outcome::Crashed { code: 101 }));
    }
    let id = stage.submit().await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::ContainerCrash);
    stage.drain(running).await;
    let again = "retry: container_crash";
    let expected = ["claimed", again, "claimed", again, "claimed", "failed: container_crash"];
    assert_eq!(stage.reasons(&id).await, expected);
    let waits = "SELECT attempt FROM waits WHERE ms <= CASE attempt WHEN 1 THEN 2000 ELSE 4000 END";
    assert_eq!(stage.rows(waits).await, ["1", "2"]);
    let attempts = stage.store.attempts(&id).await.expect("the attempts");
    assert_eq!(attempts.len(), 3);
    for attempt in &attempts {
        assert_eq!(attempt.record.outcome, Some(OutcomeName::Exited));
        assert_eq!(attempt.record.stderr_tail, "the last words");
    }
    assert_eq!(stage.fake.asked(Op::HandOver), ["c1", "c2", "c3"], "a container has one job");
}

/// One job whose container ends like this ends in this state, with this class, after one attempt.
async fn ends(work: Work, state: State, class: FailureClass) {
    let stage = Stage::new().await;
    stage.fake.next_work(work);
    let id = stage.submit().await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, state).await;
    assert_eq!(stage.failure(&job).await, class);
    assert_eq!((job.attempt, job.counted_attempts()), (1, 1));
    stage.drain(running).await;
    assert_eq!(stage.fake.asked(Op::HandOver), ["c1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_of_another_attempt_is_invalid_output() {
    ends(Work::ReportsForAnother, State::Failed, FailureClass::OutputInvalid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_that_is_no_report_is_invalid_output() {
    let outcome = Outcome::Invalid { reason: "noise".to_owned() };
    ends(Work::Ends(outcome), State::Failed, FailureClass::OutputInvalid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_output_fails_as_such() {
    ends(Work::Ends(Outcome::TooLarge), State::Failed, FailureClass::OutputTooLarge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_out_of_memory_fails_as_such() {
    ends(Work::Ends(Outcome::OutOfMemory), State::Failed, FailureClass::OutOfMemory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_had_to_be_killed_is_timed_out_and_dead_before() {
    let stage = Stage::new().await;
    stage.fake.next_work(Work::Ends(Outcome::TimedOut));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::TimedOut).await;
    assert!(stage.fake.is_dead("c1"));
    assert_eq!(stage.failure(&job).await, FailureClass::Timeout);
    stage.drain(running).await;
    assert_eq!(stage.fake.done_to("c1"), [Op::Start, Op::HandOver, Op::Kill, Op::Remove]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_cannot_be_fetched_fails_and_the_same_container_takes_the_next_job() {
    let mut stage = Stage::new().await;
    stage.config.slots = 1;
    let wrong = stage.submit_url("ftp://example.test/").await;
    let right = stage.submit().await;
    let running = stage.supervise().await;
    let job = stage.until_state(&wrong, State::Failed).await;
    stage.until_state(&right, State::Completed).await;
    stage.drain(running).await;
    assert_eq!(job.failure.as_ref().expect("a failure").class, FailureClass::InvalidTarget);
    let document = stage.store.document(&wrong).await.expect("an answer").expect("a document");
    assert_eq!(document.job.failure, job.failure);
    assert_eq!(stage.fake.asked(Op::Create).len(), 1);
    assert_eq!(stage.fake.asked(Op::HandOver), ["c1"]);
}

#[test]
fn an_analysis_beyond_its_limit_times_out() {
    // The one thread for work like the analysis is taken.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut stage = Stage::new().await;
        stage.config.analysis_timeout = Duration::from_millis(50);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let taken = tokio::task::spawn_blocking(move || released.recv());
        let id = stage.submit().await;
        let running = stage.supervise().await;
        let job = stage.until_state(&id, State::TimedOut).await;
        drop(release);
        let _ = taken.await.expect("no panic");
        assert_eq!(stage.failure(&job).await, FailureClass::AnalysisTimeout);
        stage.drain(running).await;
        assert_eq!(stage.reasons(&id).await, ["claimed", "report accepted", "failed: analysis_timeout"]);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_fails_its_attempt_only_and_the_job_is_done_again() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let calm = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    stage.fake.next_work(Work::Panics);
    let struck = stage.submit().await;
    stage.until_state(&struck, State::Completed).await;
    assert_eq!(stage.job(&calm).await.state, State::Fetching);
    gate.open();
    stage.until_state(&calm, State::Completed).await;
    stage.drain(running).await;
    assert_eq!(stage.reasons(&calm).await, ["claimed", "report accepted", "completed"]);
    let expected = ["claimed", "lost: lost", "claimed", "report accepted", "completed"];
    assert_eq!(stage.reasons(&struck).await, expected);
    assert_eq!(stage.job(&struck).await.counted_attempts(), 1, "a loss is not counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_before_the_claim_leaves_no_container() {
    let stage = Stage::new().await;
    stage.fake.next_start(Beginning::Panics);
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.until_state(&id, State::Completed).await;
    // While the worker lives nobody else would remove it.
    stage.until_rows("SELECT name FROM containers", &[]).await;
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
    stage.drain(running).await;
    assert_eq!(stage.job(&id).await.counted_attempts(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_attempts_that_end_at_once_the_one_that_panicked_is_given_back() {
    let mut stage = Stage::new().await;
    stage.config.slots = 8;
    let (gate, mut ids) = (Gate::shut(), Vec::new());
    for number in 0..8 {
        stage.fake.next_work(if number % 2 == 0 {
            Work::At(gate.clone())
        } else {
            Work::PanicsAt(gate.clone())
        });
        ids.push(stage.submit().await);
    }
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 8).await;
    gate.open();
    for id in &ids {
        stage.until_state(id, State::Completed).await;
    }
    stage.drain(running).await;
}
