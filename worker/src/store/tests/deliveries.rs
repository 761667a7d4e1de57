//! What becomes of a delivery by the row that it finds, one course after the other, on a real database.

use std::time::Duration;

use super::documents::body;
use super::fresh;
use crate::domain::delivery::Delivery;
use crate::domain::failure::FailureClass;
use crate::domain::scan::{Job, LEASE, Lease, ScanId, WorkerId};
use crate::domain::state::{Event, State};
use crate::moment::Moment;
use crate::store::deliveries::SOON;
use crate::store::testing::{edge, failure, new_job, ready};
use crate::store::{Advanced, Arrival, Disposition, NewJob, Rows, Serving, Settled, Store, StoreError};

/// A delivery of the entry `1`, whose count of attempts made is `atm`.
pub(in crate::store) fn arrival(id: &ScanId, worker: &WorkerId, atm: u32) -> Arrival {
    Arrival {
        job: NewJob { id: id.clone(), ..new_job("somebody", "https://example.com/") },
        refused: None,
        deferred: None,
        delivery: Delivery { id: "1".to_owned(), token: format!("{worker}:{atm}"), atm: atm + 1 },
        worker: worker.clone(),
        container: ready(worker),
        unleased_after: Duration::from_secs(600),
        taken: Moment::now(),
    }
}

fn deferred(arrival: Arrival) -> Arrival {
    Arrival { deferred: Some("job stalled more than allowable limit".to_owned()), ..arrival }
}

async fn deliver(store: &Store, arrival: Arrival) -> Disposition {
    store.ready(&arrival.worker).await;
    store.deliver(arrival).await.expect("an answer")
}

async fn run(store: &Store, arrival: Arrival) -> Lease {
    match deliver(store, arrival).await {
        Disposition::Run(lease) => lease,
        other => panic!("it is to be run: {other:?}"),
    }
}

async fn job(store: &Store, id: &ScanId) -> Job {
    store.job(id).await.expect("an answer").expect("the job")
}

async fn reasons(store: &Store, id: &ScanId) -> Vec<String> {
    store.transitions(id).await.expect("edges").into_iter().map(|edge| edge.reason).collect()
}

async fn settle(store: &Store, lease: Lease, event: Event) {
    let transition = edge(lease.job().state, event);
    let settled = store.settle(lease, transition, Rows::default()).await.expect("an answer");
    assert!(matches!(settled, Settled::Done { .. }), "{settled:?}");
}

fn failed(reason: &str) -> Disposition {
    Disposition::Fail { state: State::Failed, reason: reason.to_owned() }
}

#[tokio::test]
async fn a_delivery_without_a_row_makes_user_and_row_and_claims_it_at_once() {
    let (_folder, store) = fresh().await;
    let (worker, id) = (store.worker().await, ScanId::fresh());
    let arrival = arrival(&id, &worker, 2);
    let lease = run(&store, arrival.clone()).await;
    let job = lease.job();
    assert_eq!((&job.id, job.state, job.user.as_str()), (&id, State::Fetching, "somebody"));
    assert_eq!(job.delivery.as_ref(), Some(&arrival.delivery));
    assert_eq!(job.lease_owner.as_ref(), Some(&worker));
    assert_eq!(store.rows("SELECT count(*) FROM users WHERE clerk_user_id = 'somebody'").await, ["1"]);
    assert_eq!(reasons(&store, &id).await, ["claimed"]);
}

#[tokio::test]
async fn a_queued_row_is_claimed_as_it_stands_and_not_as_the_payload_says() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://row.example/").await;
    let lease = run(&store, arrival(&id, &worker, 0)).await;
    assert_eq!((lease.job().url.as_str(), lease.job().user.as_str()), ("https://row.example/", "local"));
}

#[tokio::test]
async fn a_queued_row_with_a_deferred_failure_ends_stalled_in_the_queues_own_words() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    let text = "job stalled more than allowable limit";
    assert_eq!(deliver(&store, deferred(arrival(&id, &worker, 0))).await, failed(text));
    let ended = job(&store, &id).await;
    assert_eq!(
        (ended.state, ended.failure.as_ref().map(|it| it.class)),
        (State::Failed, Some(FailureClass::Stalled))
    );
    assert_eq!(ended.delivery.map(|delivery| delivery.atm), Some(1));
    // Told again when Redis missed it, and done again when a producer wants that.
    assert_eq!(deliver(&store, deferred(arrival(&id, &worker, 0))).await, failed(text));
    let _ = run(&store, arrival(&id, &worker, 1)).await;
    assert_eq!(reasons(&store, &id).await, ["refused: stalled", "replayed", "claimed"]);
}

#[tokio::test]
async fn a_retry_that_the_queue_missed_is_told_again_with_what_is_left_of_its_wait() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    for wait in [Duration::ZERO, Duration::from_secs(3600)] {
        let atm = job(&store, &id).await.delivery.map_or(0, |delivery| delivery.atm);
        let lease = run(&store, arrival(&id, &worker, atm)).await;
        settle(&store, lease, Event::Retry { failure: failure(FailureClass::Connect), delay: wait }).await;
        let kept = job(&store, &id).await.delivery.expect("a retry keeps its delivery");
        assert_eq!(kept.atm, atm + 1);
        for entry in [arrival(&id, &worker, atm), deferred(arrival(&id, &worker, atm))] {
            match deliver(&store, entry).await {
                Disposition::Retry { reason, delay } => {
                    assert_eq!(reason, "connect: no connection to the host");
                    assert!(delay <= wait && delay + Duration::from_secs(60) >= wait, "{delay:?}");
                }
                other => panic!("the queue missed a retry: {other:?}"),
            }
        }
    }
    assert_eq!(job(&store, &id).await.state, State::Queued);
}

#[tokio::test]
async fn what_gives_a_delivery_back_leaves_none_in_the_row() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    for event in [Event::Release, Event::Lose(failure(FailureClass::Lost))] {
        let id = store.one("https://example.com/").await;
        let lease = run(&store, arrival(&id, &worker, 4)).await;
        settle(&store, lease, event).await;
        assert_eq!(job(&store, &id).await.delivery, None);
        let _ = run(&store, arrival(&id, &worker, 4)).await;
    }
}

#[tokio::test]
async fn a_claim_of_the_embedded_queue_serves_no_delivery() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    let lease = run(&store, arrival(&id, &worker, 0)).await;
    settle(&store, lease, Event::Retry { failure: failure(FailureClass::Connect), delay: Duration::ZERO })
        .await;
    let lease = store.take(&worker).await.expect("the job");
    assert_eq!(lease.job().delivery, None);
}

#[tokio::test]
async fn a_row_at_work_is_left_to_its_holder_until_a_second_after_its_lease() {
    let (_folder, store) = fresh().await;
    let (holder, other) = (store.worker().await, store.worker().await);
    let id = store.one("https://example.com/").await;
    let before = run(&store, arrival(&id, &holder, 0)).await.job().clone();
    for entry in [arrival(&id, &other, 0), deferred(arrival(&id, &other, 0))] {
        match deliver(&store, entry).await {
            Disposition::Postpone(wait) => {
                assert!(wait > Duration::from_secs(1) && wait <= LEASE + Duration::from_secs(1), "{wait:?}");
            }
            other => panic!("somebody works on it: {other:?}"),
        }
    }
    assert_eq!(job(&store, &id).await, before);
}

#[tokio::test]
async fn a_row_whose_lease_has_run_out_is_to_be_taken_over_or_ends_when_the_queue_gave_up() {
    let (_folder, store) = fresh().await;
    let (dead, other) = (store.worker().await, store.worker().await);
    let id = store.one("https://example.com/").await;
    let before = run(&store, arrival(&id, &dead, 0)).await.job().clone();
    store.age(&dead, Duration::from_secs(60)).await;
    assert_eq!(deliver(&store, arrival(&id, &other, 0)).await, Disposition::TakeOver);
    assert_eq!(job(&store, &id).await.version, before.version, "that is the attempt's to write");
    let text = "job stalled more than allowable limit";
    assert_eq!(deliver(&store, deferred(arrival(&id, &other, 0))).await, failed(text));
    assert_eq!(reasons(&store, &id).await, ["claimed", "failed: stalled"]);
    let attempts = store.attempts(&id).await.expect("attempts");
    assert_eq!(attempts.first().and_then(|attempt| attempt.record.worker.clone()), Some(dead));
}

#[tokio::test]
async fn a_row_that_nobody_leased_counts_as_held_for_the_time_of_the_settings() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    store.run("UPDATE scan_jobs SET state = 'FETCHING', updated_at = unixepoch() - 300").await;
    match deliver(&store, arrival(&id, &worker, 0)).await {
        Disposition::Postpone(wait) => assert!(wait > Duration::from_secs(200), "{wait:?}"),
        other => panic!("another program works on it: {other:?}"),
    }
    let short = Arrival { unleased_after: Duration::from_secs(100), ..arrival(&id, &worker, 0) };
    assert_eq!(deliver(&store, short).await, Disposition::TakeOver);
}

#[tokio::test]
async fn a_take_over_for_a_delivery_names_it_and_one_beside_the_queue_gives_its_lock_a_new_token() {
    let (_folder, store) = fresh().await;
    let (dead, me) = (store.worker().await, store.worker().await);
    let id = store.one("https://example.com/").await;
    let before = run(&store, arrival(&id, &dead, 0)).await.job().clone();
    let first = before.delivery.clone().expect("a delivery");
    let delivery = arrival(&id, &me, 0).delivery;
    let mut now = before;
    for (serving, expected) in [
        (Serving::Nothing, first.clone()),
        (Serving::Token("new:1".to_owned()), Delivery { token: "new:1".to_owned(), ..first }),
        (Serving::Delivery(delivery.clone()), delivery),
    ] {
        store.run("UPDATE scan_jobs SET lease_until = 0").await;
        let lease = store.take_over(&now, &me, serving).await.expect("an answer").expect("a lease");
        assert_eq!(lease.job().delivery.as_ref(), Some(&expected));
        now = lease.job().clone();
    }
}

#[tokio::test]
async fn a_result_is_told_whatever_the_entry_says() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    let lease = run(&store, arrival(&id, &worker, 0)).await;
    let Ok(Advanced::Held(lease)) = store.advance(lease, edge(State::Fetching, Event::Accept)).await else {
        panic!("the lease stays");
    };
    let rows = Rows { body: Some(body()), ..Rows::default() };
    store.settle(lease, edge(State::Analyzing, Event::Complete), rows).await.expect("an answer");
    let stored = store.summary(&id).await.expect("an answer").expect("a summary");
    assert_eq!(stored["job"]["state"], "COMPLETED");
    let refused = Arrival { refused: Some("no URL".to_owned()), ..arrival(&id, &worker, 1) };
    for entry in
        [arrival(&id, &worker, 0), arrival(&id, &worker, 7), deferred(arrival(&id, &worker, 1)), refused]
    {
        assert_eq!(deliver(&store, entry).await, Disposition::Complete { summary: stored.clone() });
    }
    assert_eq!(reasons(&store, &id).await.len(), 3);
}

#[tokio::test]
async fn an_end_that_the_queue_missed_is_told_again_and_one_that_it_knows_is_undone_by_a_further_delivery() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    for (class, state, told) in [
        (FailureClass::Tls, State::Failed, "tls: no TLS session with the host"),
        (FailureClass::Timeout, State::TimedOut, "timeout: no response within the time"),
    ] {
        let id = store.one("https://example.com/").await;
        let lease = run(&store, arrival(&id, &worker, 0)).await;
        settle(&store, lease, Event::Fail(failure(class))).await;
        let reason = told.to_owned();
        let missed = deliver(&store, arrival(&id, &worker, 0)).await;
        assert_eq!(missed, Disposition::Fail { state, reason });
        assert_eq!(job(&store, &id).await.state, state);
        let again = run(&store, arrival(&id, &worker, 1)).await;
        assert_eq!((again.job().attempt, again.job().counted_attempts()), (2, 1), "a fresh count");
        assert_eq!(again.job().delivery.as_ref().map(|delivery| delivery.atm), Some(2));
    }
}

#[tokio::test]
async fn an_end_that_no_delivery_served_is_told_once_and_then_a_delivery_is_a_replay() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    store.request_cancel(&id).await.expect("an answer");
    let version = job(&store, &id).await.version;
    let told = failed("cancelled: cancelled before it was started");
    assert_eq!(deliver(&store, arrival(&id, &worker, 0)).await, told);
    assert_eq!(deliver(&store, arrival(&id, &worker, 0)).await, told, "the answer to the first was lost");
    let now = job(&store, &id).await;
    assert_eq!((now.version, now.delivery.map(|delivery| delivery.atm)), (version, Some(1)));
    let _ = run(&store, arrival(&id, &worker, 1)).await;
}

#[tokio::test]
async fn a_failure_told_again_with_an_older_count_is_remembered_with_that() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = ScanId::fresh();
    let lease = run(&store, arrival(&id, &worker, 3)).await;
    settle(&store, lease, Event::Fail(failure(FailureClass::Tls))).await;
    // The queue came back as it was two attempts ago.
    assert!(matches!(deliver(&store, arrival(&id, &worker, 1)).await, Disposition::Fail { .. }));
    assert_eq!(job(&store, &id).await.delivery.expect("it is written down").atm, 2);
    // It knows of the failure now: whoever wants the entry again gets it.
    let _ = run(&store, arrival(&id, &worker, 2)).await;
}

#[tokio::test]
async fn what_cannot_be_fetched_ends_at_once_in_both() {
    let (_folder, store) = fresh().await;
    let (worker, made) = (store.worker().await, ScanId::fresh());
    let told = "invalid_target: data.url is missing";
    let unusable = |id: &ScanId, atm| Arrival {
        job: NewJob { url: String::new(), ..arrival(id, &worker, atm).job },
        refused: Some("data.url is missing".to_owned()),
        ..arrival(id, &worker, atm)
    };
    let queued = store.one("https://example.com/").await;
    for id in [&made, &queued] {
        assert_eq!(deliver(&store, unusable(id, 0)).await, failed(told));
        let ended = job(&store, id).await;
        assert_eq!((ended.state, ended.delivery.map(|delivery| delivery.atm)), (State::Failed, Some(1)));
    }
    let held = store.one("https://example.com/").await;
    let before = run(&store, arrival(&held, &worker, 0)).await.job().clone();
    assert_eq!(deliver(&store, unusable(&held, 0)).await, failed(told));
    assert_eq!(job(&store, &held).await, before, "what is at work goes on");
    let ftp = store.one("ftp://example.com/").await;
    match deliver(&store, arrival(&ftp, &worker, 0)).await {
        Disposition::Fail { reason, .. } => assert!(reason.starts_with("invalid_target: "), "{reason}"),
        other => panic!("nobody can fetch it: {other:?}"),
    }
    assert_eq!(reasons(&store, &ftp).await, ["refused: invalid_target"]);
}

#[tokio::test]
async fn a_row_of_a_command_is_not_taken_from_a_queue() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let owned = NewJob { reserved_for: Some(worker.clone()), ..new_job("local", "https://example.com/") };
    let id = store.submit(vec![owned]).await.expect("a job").remove(0);
    let before = job(&store, &id).await;
    let refused = Arrival { refused: Some("x".to_owned()), ..arrival(&id, &worker, 0) };
    for entry in [arrival(&id, &worker, 0), deferred(arrival(&id, &worker, 0)), refused] {
        match deliver(&store, entry).await {
            Disposition::Fail { reason, .. } => assert!(reason.contains("by itself"), "{reason}"),
            other => panic!("it is a command's: {other:?}"),
        }
    }
    assert_eq!(job(&store, &id).await, before);
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_one_claim() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = ScanId::fresh();
    store.ready(&worker).await;
    store.lose_answers(1).await;
    let lease = run(&store, arrival(&id, &worker, 0)).await;
    assert_eq!((lease.job().attempt, lease.job().version), (1, 2));
    store.lose_answers(2).await;
    let other = ScanId::fresh();
    let lost = store.deliver(arrival(&other, &worker, 0)).await.expect_err("both answers are lost");
    assert!(lost.is_transient());
    store.renew(&worker, 0).await.expect("an answer");
    let given_back = job(&store, &other).await;
    assert_eq!((given_back.state, given_back.delivery), (State::Queued, None));
}

#[tokio::test]
async fn a_container_that_is_another_workers_gets_no_delivery() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    store
        .run(
            "INSERT INTO containers (name, engine_id, uid, worker, door, created_ms, container_id)
              VALUES ('c', 'engine', 60600, 'other', '/', 0, 'box')",
        )
        .await;
    let id = ScanId::fresh();
    let refused = store.deliver(arrival(&id, &worker, 0)).await.expect_err("it is not ours");
    assert!(matches!(refused, StoreError::ContainerTaken { .. }));
    assert_eq!(store.job(&id).await.expect("an answer"), None, "nothing is left half done");
}

#[tokio::test]
async fn what_waits_without_a_delivery_is_what_was_due_and_untouched_for_long() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let minute = Duration::from_secs(60);
    let old = store.one("https://old.example/").await;
    let due = store.submit(vec![NewJob { delay: Some(minute), ..new_job("local", "https://due.example/") }]);
    let due = due.await.expect("a job").remove(0);
    let owned = NewJob { reserved_for: Some(worker.clone()), ..new_job("local", "https://own.example/") };
    store.submit(vec![owned]).await.expect("a job");
    let _ = run(&store, arrival(&ScanId::fresh(), &worker, 0)).await;
    store.run("UPDATE scan_jobs SET updated_at = updated_at - 61").await;
    store.one("https://new.example/").await;
    let found = async |store: &Store| {
        let mut found: Vec<_> =
            store.undelivered(minute, 10).await.expect("an answer").into_iter().map(|job| job.id).collect();
        found.sort();
        found
    };
    assert_eq!(found(&store).await, std::slice::from_ref(&old));
    store.run("UPDATE scan_jobs SET run_at = run_at - 121000 WHERE ready = 0").await;
    let mut both = vec![old, due];
    both.sort();
    assert_eq!(found(&store).await, both);
    assert_eq!(store.deliveries_at_work().await.expect("an answer"), ["1"]);
}

#[tokio::test]
async fn one_orphan_is_found_by_its_lease_alone() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    let _ = run(&store, arrival(&id, &worker, 0)).await;
    let orphan = async |store: &Store| store.orphan(&id, Duration::from_secs(600)).await.expect("an answer");
    assert!(orphan(&store).await.is_none(), "the lease holds");
    store.run("UPDATE scan_jobs SET lease_until = 0").await;
    let found = orphan(&store).await.expect("its owner lives, and has let it go");
    assert_eq!((found.job.id, found.engine_id.as_deref(), found.abandoned), (id, Some("engine"), false));
}

#[tokio::test]
async fn a_job_that_was_cancelled_between_two_attempts_does_not_run_again() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    let lease = run(&store, arrival(&id, &worker, 0)).await;
    settle(&store, lease, Event::Retry { failure: failure(FailureClass::Tls), delay: Duration::ZERO }).await;
    store.request_cancel(&id).await.expect("an answer");
    let told = failed("cancelled: cancelled before it was started");
    assert_eq!(deliver(&store, arrival(&id, &worker, 1)).await, told);
    let _ = run(&store, arrival(&id, &worker, 2)).await;
}

#[tokio::test]
async fn counts_of_another_entry_say_nothing_about_this_one() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    let entry = |name: &str, atm| {
        let arrival = arrival(&id, &worker, atm);
        Arrival { delivery: Delivery { id: name.to_owned(), ..arrival.delivery.clone() }, ..arrival }
    };
    let lease = run(&store, entry("a", 0)).await;
    settle(&store, lease, Event::Retry { failure: failure(FailureClass::Tls), delay: Duration::ZERO }).await;
    let lease = run(&store, entry("b", 0)).await;
    settle(&store, lease, Event::Fail(failure(FailureClass::Tls))).await;
    let told = failed("tls: no TLS session with the host");
    assert_eq!(deliver(&store, entry("a", 1)).await, told, "it has not heard of the end");
    let _ = run(&store, entry("a", 2)).await;
}

#[tokio::test]
async fn a_delivery_that_asks_too_late_changes_nothing() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    let before = job(&store, &id).await;
    let mut late = arrival(&id, &worker, 0);
    // The clock goes on from the boot, which was longer ago than this.
    late.taken = Moment::at(Moment::now().since(Moment::at(Duration::ZERO)) - SOON - Duration::from_secs(1));
    assert_eq!(deliver(&store, late).await, Disposition::Changed);
    assert_eq!(job(&store, &id).await, before);
}
