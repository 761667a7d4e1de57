//! Every edge of a job, as it stands in the database afterwards.

use std::time::Duration;

use super::documents::body;
use super::fresh;
use crate::domain::failure::FailureClass;
use crate::domain::scan::{Lease, ScanId, WorkerId};
use crate::domain::state::{Event, State, Transition};
use crate::store::testing::{edge, failure};
use crate::store::{Advanced, Applied, CancelOutcome, ReplayOutcome, Rows, Settled, Store, StoreError};

/// The columns that edges write, in one line.
async fn row(store: &Store, id: &ScanId) -> String {
    let columns = "state, version, ready, run_at IS NOT NULL, attempt, attempt_base, losses,
        lease_owner IS NOT NULL, lease_until IS NOT NULL, substr(container_id, 1, 3), cancel_requested, failure_class,
        started_ms IS NOT NULL, finished_ms IS NOT NULL, delivery_id, last_op IS NOT NULL";
    store.rows(&format!("SELECT {columns} FROM scan_jobs WHERE id = '{id}'")).await.remove(0)
}

async fn fetching(store: &Store) -> (ScanId, WorkerId, Lease) {
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    let lease = store.take(&worker).await.expect("the job");
    (id, worker, lease)
}

async fn analyzing(store: &Store) -> (ScanId, WorkerId, Lease) {
    let (id, worker, lease) = fetching(store).await;
    match store.advance(lease, edge(State::Fetching, Event::Accept)).await {
        Ok(Advanced::Held(lease)) => (id, worker, lease),
        other => panic!("the lease stays: {other:?}"),
    }
}

async fn settle(store: &Store, lease: Lease, transition: Transition) -> Settled {
    store.settle(lease, transition, Rows::default()).await.expect("an answer")
}

#[tokio::test]
async fn a_claim_writes_owner_lease_container_and_attempt() {
    let (_folder, store) = fresh().await;
    let (id, worker, lease) = fetching(&store).await;
    assert_eq!(row(&store, &id).await, "FETCHING|2|1|0|1|0|0|1|1|id-|0|null|1|0|null|1");
    assert_eq!(lease.job().lease_owner.as_ref(), Some(&worker));
    assert_eq!(lease.job().attempt_name(), format!("{id}/1"));
    assert_eq!(store.job(&id).await.expect("an answer").as_ref(), Some(lease.job()));
    let left = "SELECT lease_until - started_ms FROM scan_jobs";
    assert_eq!(store.rows(left).await, ["6000"], "a lease of six seconds by one clock");
    let edges = store.transitions(&id).await.expect("edges");
    assert_eq!(edges.len(), 1);
    assert_eq!((edges[0].worker.as_deref(), edges[0].reason.as_str()), (Some(worker.as_str()), "claimed"));
}

#[tokio::test]
async fn an_accepted_report_keeps_the_lease() {
    let (_folder, store) = fresh().await;
    let (id, _, lease) = analyzing(&store).await;
    assert_eq!(lease.job().version, 3);
    assert_eq!(row(&store, &id).await, "ANALYZING|3|1|0|1|0|0|1|1|id-|0|null|1|0|null|1");
}

#[tokio::test]
async fn ends_clear_the_lease_and_keep_why() {
    let (_folder, store) = fresh().await;
    for (class, end) in [
        (FailureClass::Tls, "FAILED|3|1|0|1|0|0|0|0|id-|0|tls"),
        (FailureClass::Timeout, "TIMED_OUT|3|1|0|1|0|0|0|0|id-|0|timeout"),
    ] {
        let (id, _, lease) = fetching(&store).await;
        let failed = edge(State::Fetching, Event::Fail(failure(class)));
        assert_eq!(settle(&store, lease, failed).await, Settled::Done { version: 3 });
        assert_eq!(row(&store, &id).await, format!("{end}|1|1|null|1"));
        assert_eq!(store.job(&id).await.expect("an answer").expect("the job").failure, Some(failure(class)));
    }
    let (id, _, lease) = analyzing(&store).await;
    let rows = Rows { body: Some(body()), ..Rows::default() };
    let done = store.settle(lease, edge(State::Analyzing, Event::Complete), rows).await.expect("an answer");
    assert_eq!(done, Settled::Done { version: 4 });
    assert_eq!(row(&store, &id).await, "COMPLETED|4|1|0|1|0|0|0|0|id-|0|null|1|1|null|1");
}

#[tokio::test]
async fn a_retry_waits_for_its_time_and_counts() {
    let (_folder, store) = fresh().await;
    let (id, _, lease) = fetching(&store).await;
    let event =
        Event::Retry { failure: failure(FailureClass::ContainerCrash), delay: Duration::from_secs(60) };
    assert_eq!(settle(&store, lease, edge(State::Fetching, event)).await, Settled::Done { version: 3 });
    assert_eq!(row(&store, &id).await, "QUEUED|3|0|1|1|0|0|0|0|null|0|container_crash|1|0|null|1");
    let job = store.job(&id).await.expect("an answer").expect("the job");
    assert_eq!(job.counted_attempts(), 1);
    assert_eq!(
        store.rows("SELECT run_at - updated_at * 1000 BETWEEN 60000 AND 61000 FROM scan_jobs").await,
        ["1"]
    );
}

#[tokio::test]
async fn a_loss_and_a_release_do_not_count_and_are_due_at_once() {
    let (_folder, store) = fresh().await;
    let (id, worker, lease) = analyzing(&store).await;
    store.run("UPDATE scan_jobs SET delivery_id = 'd', delivery_token = 't', delivery_atm = 1").await;
    let lost = edge(State::Analyzing, Event::Lose(failure(FailureClass::Lost)));
    assert_eq!(settle(&store, lease, lost).await, Settled::Done { version: 4 });
    assert_eq!(row(&store, &id).await, "QUEUED|4|1|0|1|1|1|0|0|null|0|lost|1|0|null|1");
    let lease = store.take(&worker).await.expect("due at once");
    store.run("UPDATE scan_jobs SET delivery_id = 'd', delivery_token = 't', delivery_atm = 1").await;
    assert_eq!(lease.job().failure, None, "a new attempt has not failed yet");
    let released = edge(State::Fetching, Event::Release);
    assert_eq!(settle(&store, lease, released).await, Settled::Done { version: 6 });
    assert_eq!(row(&store, &id).await, "QUEUED|6|1|0|2|2|1|0|0|null|0|null|1|0|null|1");
    let lease = store.take(&worker).await.expect("due at once");
    assert_eq!((lease.job().attempt, lease.job().counted_attempts()), (3, 1));
}

#[tokio::test]
async fn a_replay_begins_the_count_anew_but_never_an_attempts_number() {
    let (_folder, store) = fresh().await;
    let (id, worker, lease) = fetching(&store).await;
    assert_eq!(store.replay(&id).await.expect("an answer"), ReplayOutcome::NotReplayable(State::Fetching));
    settle(&store, lease, edge(State::Fetching, Event::Fail(failure(FailureClass::Timeout)))).await;
    store.run("UPDATE scan_jobs SET losses = 4, reserved_for = 'gone', cancel_requested = 1").await;
    assert_eq!(store.replay(&id).await.expect("an answer"), ReplayOutcome::Replayed { version: 4 });
    assert_eq!(row(&store, &id).await, "QUEUED|4|1|0|1|1|0|0|0|null|0|null|0|0|null|1");
    let lease = store.take(&worker).await.expect("due, and for anybody");
    assert_eq!((lease.job().attempt, lease.job().counted_attempts()), (2, 1));
    let nobody = ScanId::parse("nobody").expect("an id");
    assert_eq!(store.replay(&nobody).await.expect("an answer"), ReplayOutcome::NotFound);
}

#[tokio::test]
async fn a_job_that_must_not_start_is_refused_in_the_queue() {
    let (_folder, store) = fresh().await;
    let id = store.one("nonsense").await;
    let job = store.job(&id).await.expect("an answer").expect("the job");
    let refused = edge(State::Queued, Event::Refuse(failure(FailureClass::InvalidTarget)));
    let applied = store.apply(&job, refused, Rows::default()).await.expect("an answer");
    assert_eq!(applied, Applied::Done { version: 2 });
    assert_eq!(row(&store, &id).await, "FAILED|2|1|0|0|0|0|0|0|null|0|invalid_target|0|1|null|1");
}

#[tokio::test]
async fn an_edge_on_another_version_or_state_changes_nothing() {
    let (_folder, store) = fresh().await;
    let (id, worker, lease) = fetching(&store).await;
    let stale = lease.job().clone();
    let lost = edge(State::Fetching, Event::Lose(failure(FailureClass::Lost)));
    settle(&store, lease, lost.clone()).await;
    let lease = store.take(&worker).await.expect("due at once");
    let before = row(&store, &id).await;
    for event in [
        Event::Fail(failure(FailureClass::Tls)),
        Event::Lose(failure(FailureClass::Lost)),
        Event::Release,
        Event::Retry { failure: failure(FailureClass::Lost), delay: Duration::ZERO },
    ] {
        let late = edge(State::Fetching, event);
        let rows = Rows { body: Some(body()), ..Rows::default() };
        assert_eq!(store.apply(&stale, late, rows).await.expect("an answer"), Applied::Conflict);
    }
    // The right version in another state.
    let complete = edge(State::Analyzing, Event::Complete);
    let rows = Rows { body: Some(body()), ..Rows::default() };
    let applied = store.apply(lease.job(), complete, rows).await.expect("an answer");
    assert_eq!(applied, Applied::Conflict);
    assert_eq!(row(&store, &id).await, before);
    let counts = "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM scan_results),
        (SELECT count(*) FROM audit_logs), (SELECT count(*) FROM transitions)";
    assert_eq!(store.rows(counts).await, ["0|0|0|3"]);
    store.run("UPDATE scan_jobs SET version = version + 1").await;
    assert_eq!(
        store.advance(lease, edge(State::Fetching, Event::Accept)).await.expect("an answer"),
        Advanced::Conflict
    );
}

#[tokio::test]
async fn a_deleted_row_is_a_conflict() {
    let (_folder, store) = fresh().await;
    let (_, _, lease) = fetching(&store).await;
    store.run("DELETE FROM users").await;
    assert_eq!(settle(&store, lease, edge(State::Fetching, Event::Release)).await, Settled::Conflict);
    let left = "SELECT (SELECT count(*) FROM scan_jobs), (SELECT count(*) FROM transitions)";
    assert_eq!(store.rows(left).await, ["0|0"], "what is ours goes with the job");
}

#[tokio::test]
async fn edges_that_give_a_lease_need_somebody_to_get_it() {
    let (_folder, store) = fresh().await;
    let (_, _, lease) = fetching(&store).await;
    for (state, event) in
        [(State::Queued, Event::Claim), (State::Fetching, Event::TakeOver), (State::Fetching, Event::Accept)]
    {
        let refused = store.apply(lease.job(), edge(state, event), Rows::default()).await;
        assert!(matches!(refused, Err(StoreError::Unfit { .. })), "{refused:?}");
    }
    let refused =
        store.advance(lease, edge(State::Fetching, Event::Release)).await.expect_err("it ends the lease");
    assert!(matches!(refused.error, StoreError::Unfit { .. }));
}

#[tokio::test]
async fn a_queued_job_is_cancelled_at_once() {
    let (_folder, store) = fresh().await;
    let id = store.one("https://example.com/").await;
    assert_eq!(store.request_cancel(&id).await.expect("an answer"), CancelOutcome::Cancelled);
    assert_eq!(row(&store, &id).await, "FAILED|2|1|0|0|0|0|0|0|null|0|cancelled|0|1|null|1");
    assert_eq!(
        store.request_cancel(&id).await.expect("an answer"),
        CancelOutcome::AlreadyFinal(State::Failed)
    );
    let nobody = ScanId::parse("nobody").expect("an id");
    assert_eq!(store.request_cancel(&nobody).await.expect("an answer"), CancelOutcome::NotFound);
    assert!(store.document(&id).await.expect("an answer").is_some());
}

#[tokio::test]
async fn a_job_at_work_that_is_to_be_cancelled_never_goes_back_to_the_queue() {
    let (_folder, store) = fresh().await;
    for event in [
        Event::Lose(failure(FailureClass::Lost)),
        Event::Release,
        Event::Retry { failure: failure(FailureClass::Lost), delay: Duration::ZERO },
    ] {
        let (id, worker, lease) = fetching(&store).await;
        assert_eq!(store.request_cancel(&id).await.expect("an answer"), CancelOutcome::Requested);
        let held = store.renew(&worker, 0).await.expect("an answer");
        assert_eq!(
            held.iter().map(|held| (&held.id, held.cancel_requested)).collect::<Vec<_>>(),
            [(&id, true)]
        );
        let before = row(&store, &id).await;
        let Settled::Cancelled(lease) = settle(&store, lease, edge(State::Fetching, event)).await else {
            panic!("the edge yields to the wish")
        };
        assert_eq!(row(&store, &id).await, before);
        let cancelled = edge(State::Fetching, Event::Fail(failure(FailureClass::Cancelled)));
        assert_eq!(settle(&store, lease, cancelled).await, Settled::Done { version: 3 });
        assert!(row(&store, &id).await.starts_with("FAILED|3|"));
    }
}

#[tokio::test]
async fn a_wish_to_cancel_that_comes_with_a_conflict_is_a_conflict() {
    let (_folder, store) = fresh().await;
    let (id, _, lease) = fetching(&store).await;
    store.request_cancel(&id).await.expect("an answer");
    store.run("UPDATE scan_jobs SET version = version + 1").await;
    assert_eq!(settle(&store, lease, edge(State::Fetching, Event::Release)).await, Settled::Conflict);
}
