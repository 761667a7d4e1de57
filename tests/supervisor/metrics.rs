//! What a worker tells of itself, in numbers and in words.

use safeurl::domain::state::State;
use safeurl::metrics::{Metrics, Part, Standing};
use safeurl::sandbox::Outcome;
use safeurl::shutdown::Signal;
use tokio::time::{Instant, sleep};

use super::fake::{Creation, Gate, Op, Work};
use super::stage::{LONG, Stage};

/// One number of a scrape.
pub(crate) fn value(metrics: &Metrics, series: &str) -> f64 {
    let text = metrics.text(None);
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
    line.parse().expect("a number")
}

fn reason(metrics: &Metrics, part: Part) -> Option<String> {
    let found = metrics.readiness().parts.into_iter().find(|view| view.part == part);
    match found.expect("every part is there").standing {
        Standing::Ready => None,
        Standing::Waiting { reason, .. } => Some(reason),
    }
}

/// Looks until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scans_are_counted_from_the_claim_to_the_verdict() {
    let stage = Stage::new().await;
    stage.fake.next_work(Work::Ends(Outcome::OutOfMemory));
    let failed = stage.submit().await;
    let refused = stage.submit_url("ftp://example.test/").await;
    let running = stage.supervise().await;
    stage.until_state(&failed, State::Failed).await;
    stage.until_state(&refused, State::Failed).await;
    let done = stage.submit().await;
    stage.until_state(&done, State::Completed).await;
    stage.drain(running).await;
    for (series, expected) in [
        ("safeurl_jobs_claimed_total", 3.0),
        (r#"safeurl_jobs_settled_total{state="COMPLETED",class="none"}"#, 1.0),
        (r#"safeurl_jobs_settled_total{state="FAILED",class="out_of_memory"}"#, 1.0),
        (r#"safeurl_jobs_settled_total{state="FAILED",class="invalid_target"}"#, 1.0),
        ("safeurl_queue_wait_seconds_count", 3.0),
        ("safeurl_run_seconds_count", 2.0),
        ("safeurl_analysis_seconds_count", 1.0),
        ("safeurl_slots_used", 0.0),
        ("safeurl_lease_losses_total", 0.0),
        ("safeurl_engine_errors_total", 0.0),
        ("safeurl_database_errors_total", 0.0),
    ] {
        assert_eq!(value(&stage.metrics, series), expected, "{series}");
    }
    assert!(value(&stage.metrics, "safeurl_container_start_seconds_count") >= 1.0);
    assert_eq!(value(&stage.metrics, "safeurl_slots"), stage.config.slots as f64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_and_a_dead_worker_s_job_are_counted() {
    let stage = Stage::new().await;
    stage.fake.next_work(Work::At(Gate::shut()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let other = stage.other_worker().await;
    let taken = format!(
        "UPDATE scan_jobs SET lease_owner = '{other}', lease_until = lease_until + 3600000, \
         container_id = NULL, version = version + 1 WHERE id = '{id}'"
    );
    stage.sql(&taken).await;
    stage.fake.until_asked(Op::LetGo, 1).await;
    until("the lease was lost", || value(&stage.metrics, "safeurl_lease_losses_total") == 1.0).await;
    stage.bury(&other).await;
    stage.sql(&format!("UPDATE scan_jobs SET lease_until = 0 WHERE lease_owner = '{other}'")).await;
    stage.until_state(&id, State::Completed).await;
    assert_eq!(value(&stage.metrics, "safeurl_take_overs_total"), 1.0);
    assert_eq!(value(&stage.metrics, r#"safeurl_jobs_settled_total{state="QUEUED",class="lost"}"#), 1.0);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_says_what_it_waits_for_while_the_engine_refuses() {
    let stage = Stage::new().await;
    let running = stage.supervise().await;
    // Nobody but the command asks the engine while nothing is to be done.
    stage.metrics.answers(Part::Engine);
    until("it is ready", || stage.metrics.readiness().is_ready()).await;
    stage.fake.next_create(Creation::Refused);
    stage.fake.set_silent(true);
    let id = stage.submit().await;
    until("it waits", || reason(&stage.metrics, Part::Jobs).is_some()).await;
    assert!(value(&stage.metrics, "safeurl_engine_errors_total") >= 1.0);
    stage.fake.set_silent(false);
    stage.until_state(&id, State::Completed).await;
    until("it is ready again", || stage.metrics.readiness().is_ready()).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_says_that_its_gateway_died_and_that_it_is_back() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.metrics.answers(Part::Engine);
    stage.fake.until_asked(Op::HandOver, 1).await;
    until("it is ready", || stage.metrics.readiness().is_ready()).await;
    stage.gateway_killer()();
    until("the death is counted", || value(&stage.metrics, "safeurl_gateway_errors_total") >= 1.0).await;
    until("it is ready again", || stage.metrics.readiness().is_ready()).await;
    gate.open();
    stage.until_state(&id, State::Completed).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_worker_says_so_until_its_last_scan_has_ended() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    running.trigger.step(Signal::Terminate);
    until("it drains", || reason(&stage.metrics, Part::Jobs).is_some_and(|why| why.contains("draining")))
        .await;
    gate.open();
    stage.until_state(&id, State::Completed).await;
    stage.ended(running).await;
}
