//! Containers that wait for jobs.

use std::process::Command;
use std::time::Duration;

use safeurl::domain::state::State;
use safeurl::supervisor::PoolBounds;

use super::fake::{Beginning, Gate, Op, Work};
use super::metrics::value;
use super::stage::Stage;

/// One whose supervisors keep so many containers waiting.
async fn with_pool(min: usize, max: usize) -> Stage {
    let mut stage = Stage::new().await;
    stage.config.pool = PoolBounds { min, max, max_age: Duration::from_secs(300), jobs: None };
    stage
}

/// Waits until so many containers wait.
async fn until_waiting(stage: &Stage, count: usize) {
    let holds = || value(&stage.metrics, "safeurl_pool_ready") == count as f64;
    stage.until(holds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_takes_the_next_job_and_another_one_takes_its_place() {
    let stage = with_pool(1, 1).await;
    let running = stage.supervise().await;
    for scan in 1..=3 {
        until_waiting(&stage, 1).await;
        let id = stage.submit().await;
        stage.until_state(&id, State::Completed).await;
        assert_eq!(stage.fake.asked(Op::HandOver).last(), Some(&format!("c{scan}")));
        assert_eq!(stage.reasons(&id).await[0], "claimed");
    }
    assert_eq!(value(&stage.metrics, "safeurl_pool_hits_total"), 3.0);
    assert_eq!(value(&stage.metrics, "safeurl_pool_misses_total"), 0.0);
    stage.drain(running).await;
    assert_eq!(stage.fake.containers(), Vec::<String>::new(), "what waited is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_has_its_container_before_it_is_written_down_and_no_other_one() {
    let mut stage = with_pool(1, 1).await;
    stage.config.pool.jobs = Some(1);
    let running = stage.supervise_reserved().await;
    until_waiting(&stage, 1).await;
    let id = stage.submit_reserved(&running.worker).await;
    stage.until_state(&id, State::Completed).await;
    stage.fake.until_asked(Op::Remove, 1).await;
    assert_eq!(value(&stage.metrics, "safeurl_pool_starting"), 0.0);
    stage.drain(running).await;
    assert_eq!(
        (stage.fake.asked(Op::Create).len(), stage.fake.asked(Op::HandOver)),
        (1, vec!["c1".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_for_which_nothing_waits_get_containers_of_their_own() {
    let mut stage = with_pool(1, 1).await;
    stage.config.slots = 3;
    let gate = Gate::shut();
    let mut jobs = Vec::new();
    for _ in 0..3 {
        stage.fake.next_work(Work::At(gate.clone()));
        jobs.push(stage.submit().await);
    }
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 3).await;
    assert_eq!(value(&stage.metrics, "safeurl_pool_misses_total"), 2.0);
    gate.open();
    for id in &jobs {
        stage.until_state(id, State::Completed).await;
    }
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_comes_while_one_is_made_gets_that_one() {
    let stage = with_pool(1, 1).await;
    let gate = Gate::shut();
    stage.fake.next_start(Beginning::At(gate.clone()));
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Start, 1).await;
    let id = stage.submit().await;
    stage.until(|| value(&stage.metrics, "safeurl_pool_hits_total") == 1.0).await;
    gate.open();
    stage.until_state(&id, State::Completed).await;
    assert_eq!(stage.fake.asked(Op::HandOver), ["c1"]);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_holds_no_slot_and_gets_no_job_beyond_them() {
    let mut stage = with_pool(2, 2).await;
    stage.config.slots = 1;
    let running = stage.supervise().await;
    until_waiting(&stage, 2).await;
    assert_eq!(value(&stage.metrics, "safeurl_slots_used"), 0.0);
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let (first, second) = (stage.submit().await, stage.submit().await);
    stage.until_state(&first, State::Fetching).await;
    until_waiting(&stage, 2).await;
    assert_eq!(stage.job(&second).await.state, State::Queued);
    gate.open();
    stage.until_state(&second, State::Completed).await;
    assert_eq!(stage.fake.most_working(), 1);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_workers_that_see_a_job_the_one_that_comes_too_late_keeps_its_container() {
    let stage = with_pool(1, 1).await;
    let gate = Gate::shut();
    for _ in 0..2 {
        stage.fake.next_start(Beginning::At(gate.clone()));
    }
    let (one, other) = (stage.supervise().await, stage.supervise().await);
    stage.fake.until_asked(Op::Start, 2).await;
    // Both see the job before either of them has a container for it.
    let id = stage.submit().await;
    stage.until(|| value(&stage.metrics, "safeurl_pool_hits_total") == 2.0).await;
    gate.open();
    stage.until_state(&id, State::Completed).await;
    // Longer than a container of no pool waits for a job.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(stage.fake.asked(Op::HandOver).len(), 1);
    assert_eq!(
        stage.fake.until_asked(Op::Remove, 1).await.len(),
        1,
        "the job's, and none that had waited in vain"
    );
    stage.drain(one).await;
    stage.drain(other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_dies_is_removed_and_another_one_made() {
    let stage = with_pool(1, 1).await;
    let running = stage.supervise().await;
    until_waiting(&stage, 1).await;
    stage.fake.die("c1");
    assert_eq!(stage.fake.until_asked(Op::Remove, 1).await, ["c1"]);
    until_waiting(&stage, 1).await;
    let id = stage.submit().await;
    stage.until_state(&id, State::Completed).await;
    assert_eq!(stage.fake.asked(Op::HandOver), ["c2"]);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_waited_too_long_is_removed_and_another_one_made() {
    let mut stage = with_pool(1, 1).await;
    stage.config.pool.max_age = Duration::from_millis(100);
    let running = stage.supervise().await;
    // Meanwhile more of them grow old.
    assert_eq!(stage.fake.until_asked(Op::Remove, 2).await[..2], ["c1", "c2"]);
    stage.drain(running).await;
    assert_eq!(stage.fake.asked(Op::HandOver), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_waits_for_one_that_is_being_thrown_away() {
    for grows_old in [true, false] {
        let mut stage = with_pool(1, 1).await;
        if grows_old {
            stage.config.pool.max_age = Duration::from_millis(200);
        }
        let removals = Gate::shut();
        stage.fake.remove_at(&removals);
        let running = stage.supervise().await;
        until_waiting(&stage, 1).await;
        if !grows_old {
            stage.fake.die("c1");
        }
        assert_eq!(stage.fake.until_asked(Op::Remove, 1).await[0], "c1");
        let id = stage.submit().await;
        stage.until_state(&id, State::Completed).await;
        assert_ne!(stage.fake.asked(Op::HandOver), ["c1"]);
        removals.open();
        stage.drain(running).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_is_made_while_a_job_that_is_due_has_no_container_yet() {
    let mut stage = with_pool(1, 1).await;
    stage.config.slots = 2;
    let [first, second, working] = [Gate::shut(), Gate::shut(), Gate::shut()];
    for gate in [&first, &second] {
        stage.fake.next_start(Beginning::At(gate.clone()));
        stage.fake.next_work(Work::At(working.clone()));
    }
    let jobs = [stage.submit().await, stage.submit().await];
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Start, 2).await;
    first.open();
    stage.fake.until_asked(Op::HandOver, 1).await;
    assert_eq!(stage.fake.asked(Op::Start).len(), 2, "the engine has a job's container to start");
    second.open();
    until_waiting(&stage, 1).await;
    working.open();
    for id in &jobs {
        stage.until_state(id, State::Completed).await;
    }
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_uses_its_socket_before_it_has_a_job_is_thrown_away_and_gets_none() {
    let stage = with_pool(1, 1).await;
    let running = stage.supervise().await;
    until_waiting(&stage, 1).await;
    let row = stage.rows("SELECT door, uid FROM containers").await.remove(0);
    let (folder, uid) = row.rsplit_once('|').expect("two columns");
    knock(folder, uid);
    assert_eq!(stage.fake.until_asked(Op::Remove, 1).await, ["c1"]);
    let id = stage.submit().await;
    stage.until_state(&id, State::Completed).await;
    assert_eq!((stage.fake.asked(Op::HandOver), stage.reasons(&id).await.len()), (vec!["c2".to_owned()], 3));
    stage.drain(running).await;
}

/// Connects as a container's user does who sees the socket's folder and nothing above it, and is hung up on.
fn knock(folder: &str, uid: &str) {
    const CONNECT: &str = "use IO::Socket::UNIX; my $door = IO::Socket::UNIX->new('gw.sock') or die $!; \
                           print sysread($door, my $answer, 1) // 0";
    let enter = r#"cd "$0" && exec setpriv --reuid "$1" --regid "$1" --clear-groups perl -e "$2""#;
    let knocked = Command::new("sh").args(["-c", enter, folder, uid, CONNECT]).output().expect("a shell");
    assert_eq!(String::from_utf8_lossy(&knocked.stdout).trim(), "0", "{knocked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_ends_with_its_gateway_and_jobs_get_what_was_made_with_the_next() {
    let stage = with_pool(2, 2).await;
    let running = stage.supervise().await;
    until_waiting(&stage, 2).await;
    stage.gateway_killer()();
    assert_eq!(stage.fake.until_asked(Op::Remove, 2).await.len(), 2);
    let id = stage.submit().await;
    stage.until_state(&id, State::Completed).await;
    assert_eq!(stage.reasons(&id).await.len(), 3, "claimed, advanced, settled: it was never given back");
    let fetched = stage.fake.asked(Op::HandOver);
    assert!(fetched.len() == 1 && !["c1", "c2"].contains(&fetched[0].as_str()), "{fetched:?}");
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_cannot_start_containers_is_not_asked_over_and_over() {
    let stage = with_pool(1, 1).await;
    for _ in 0..1000 {
        stage.fake.next_start(Beginning::NotReady);
    }
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Start, 2).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = stage.fake.asked(Op::Start).len();
    assert!(asked < 20, "{asked} times in two seconds");
    stage.drain(running).await;
}
