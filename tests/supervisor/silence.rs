//! A Redis that goes away, forgets, or whose answers get lost.

use safeurl::domain::scan::ScanId;
use safeurl::domain::state::State;
use safeurl::shutdown::Signal;

use super::fake::{Gate, Op, Work};
use super::redis::{Lost, Redis};
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_ends_while_redis_is_gone_and_jobs_are_taken_once_it_is_back_although_it_forgot_all() {
    let mut redis = Redis::start().await;
    let stage = Stage::behind(redis.bullmq()).await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    redis.add_scan("e1", "job-1", 1).await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    redis.kill();
    gate.open();
    let first = ScanId::parse("job-1").expect("an id");
    stage.until_state(&first, State::Completed).await;
    redis.begin().await;
    redis.add_scan("e2", "job-2", 1).await;
    redis.until_state("e2", "completed").await;
    // Added once more by whoever missed the result.
    redis.add_scan("e1", "job-1", 1).await;
    redis.until_state("e1", "completed").await;
    stage.drain(running).await;
    assert_eq!(stage.fake.invocations().len(), 2);
}

/// A job needs fewer questions than this; what comes after it is asked again and again.
const MOST: usize = 16;

/// The take, three times how far it has come, its end.
const LEAST: usize = 5;

/// One job from its entry to its end, with one thing lost on the way to Redis; how often Redis was asked.
async fn with_a_loss(lost: Lost) -> usize {
    let redis = Redis::start().await;
    let (way, bullmq) = redis.way(lost);
    let stage = Stage::behind(bullmq).await;
    let running = stage.supervise().await;
    way.arm();
    redis.add_scan("e1", "job-1", 1).await;
    redis.until_state("e1", "completed").await;
    let asked = way.asked();
    assert_eq!(redis.events("completed", "e1").await, 1, "{lost:?}");
    assert_eq!(redis.field("e1", "atm").await.as_deref(), Some("1"), "{lost:?}");
    // A worker that is not sure to have left nothing in Redis stays listed, and is buried once it is silent.
    running.trigger.step(Signal::Terminate);
    running.finished().await;
    assert_eq!(stage.fake.violations(), Vec::<String>::new(), "{lost:?}");
    assert_eq!(stage.rows("SELECT state FROM scan_jobs").await, ["COMPLETED"], "{lost:?}");
    assert_eq!(stage.rows("SELECT count(*) FROM transitions WHERE reason = 'completed'").await, ["1"]);
    assert_eq!(stage.fake.invocations().len(), 1, "{lost:?}");
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_question_to_redis_is_lost_a_job_is_done_once_and_its_entry_completed_once() {
    for number in 1..MOST {
        if with_a_loss(Lost::Question(number)).await < number {
            assert!(number > LEAST, "a job has at least {LEAST} questions");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_answer_of_redis_is_lost_a_job_is_done_once_and_its_entry_completed_once() {
    for number in 1..MOST {
        if with_a_loss(Lost::Answer(number)).await < number {
            assert!(number > LEAST, "a job has at least {LEAST} questions");
            return;
        }
    }
}
