//! Writes whose answer is lost: the database took them, and the caller was told that it may not have.

use std::time::Duration;

use super::documents::body;
use super::fresh;
use crate::domain::failure::FailureClass;
use crate::domain::scan::{LEASE, Lease, ScanId, WorkerId};
use crate::domain::state::{Event, State};
use crate::store::testing::{edge, failure};
use crate::store::{Advanced, Applied, DbError, Rows, Serving, SettleError, Settled, Store, StoreError};

async fn claimed(store: &Store) -> (ScanId, WorkerId, Lease) {
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    let lease = store.take(&worker).await.expect("the job");
    (id, worker, lease)
}

async fn analyzing(store: &Store) -> (ScanId, WorkerId, Lease) {
    let (id, worker, lease) = claimed(store).await;
    match store.advance(lease, edge(State::Fetching, Event::Accept)).await {
        Ok(Advanced::Held(lease)) => (id, worker, lease),
        other => panic!("the lease stays: {other:?}"),
    }
}

/// The edges as they are recorded.
async fn edges(store: &Store, id: &ScanId) -> Vec<String> {
    let edges = store.transitions(id).await.expect("edges");
    edges.into_iter().map(|edge| format!("{} {}", edge.version, edge.reason)).collect()
}

fn doubtful<T: std::fmt::Debug>(told: Result<T, SettleError>) -> Lease {
    let SettleError { lease, error } = told.expect_err("its answer is lost");
    assert!(matches!(error, StoreError::Db(DbError::Unanswered { .. })) && error.is_transient(), "{error:?}");
    *lease
}

#[tokio::test]
async fn an_end_that_is_written_twice_is_one_end_with_its_rows_once() {
    let (_folder, store) = fresh().await;
    let (id, _, lease) = analyzing(&store).await;
    let rows = Rows { body: Some(body()), ..Rows::default() };
    let complete = edge(State::Analyzing, Event::Complete);
    store.lose_answers(2).await;
    let lease = doubtful(store.settle(lease, complete.clone(), rows.clone()).await);
    // What only asks commits too: its answer may be lost like the first.
    let lease = doubtful(store.settle(lease, complete.clone(), rows.clone()).await);
    let settled = store.settle(lease, complete, rows).await.expect("an answer");
    assert_eq!(settled, Settled::Done { version: 4 });
    assert_eq!(edges(&store, &id).await, ["2 claimed", "3 report accepted", "4 completed"]);
    let counts = "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM scan_results)";
    assert_eq!(store.rows(counts).await, ["1|1"]);
    assert_eq!(
        store.rows("SELECT last_op = (SELECT op FROM transitions WHERE version = 4) FROM scan_jobs").await,
        ["1"]
    );
}

#[tokio::test]
async fn two_last_edges_that_are_written_twice_are_there_once_with_their_rows() {
    let (_folder, store) = fresh().await;
    let (id, _, lease) = claimed(&store).await;
    let rows = Rows { body: Some(body()), ..Rows::default() };
    let both = || [edge(State::Fetching, Event::Accept), edge(State::Analyzing, Event::Complete)];
    store.lose_answers(2).await;
    let lease = doubtful(store.accept_and_complete(lease, both(), rows.clone()).await);
    let lease = doubtful(store.accept_and_complete(lease, both(), rows.clone()).await);
    let settled = store.accept_and_complete(lease, both(), rows).await.expect("an answer");
    assert_eq!(settled, Settled::Done { version: 4 });
    assert_eq!(edges(&store, &id).await, ["2 claimed", "3 report accepted", "4 completed"]);
    let counts = "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM scan_results)";
    assert_eq!(store.rows(counts).await, ["1|1"]);
    assert_eq!(store.rows("SELECT count(DISTINCT op) FROM transitions").await, ["3"], "each is a write");
    let by_whom = "SELECT DISTINCT worker = (SELECT id FROM workers) FROM transitions";
    assert_eq!(store.rows(by_whom).await, ["1"], "and whose it was is told of each");
}

/// The first of them was written by itself, and nobody heard of that.
#[tokio::test]
async fn the_second_of_two_last_edges_is_written_where_the_first_one_is_there() {
    let (_folder, store) = fresh().await;
    let (id, _, lease) = claimed(&store).await;
    let rows = Rows { body: Some(body()), ..Rows::default() };
    let both = [edge(State::Fetching, Event::Accept), edge(State::Analyzing, Event::Complete)];
    store.lose_answers(1).await;
    let lease = doubtful(store.advance(lease, both[0].clone()).await);
    let settled = store.accept_and_complete(lease, both, rows).await.expect("an answer");
    assert_eq!(settled, Settled::Done { version: 4 });
    assert_eq!(edges(&store, &id).await, ["2 claimed", "3 report accepted", "4 completed"]);
    assert_eq!(store.rows("SELECT count(*) FROM scan_results").await, ["1"]);
}

#[tokio::test]
async fn of_two_last_edges_neither_is_written_where_one_cannot_be() {
    let (_folder, store) = fresh().await;
    let accept = edge(State::Fetching, Event::Accept);
    let complete = edge(State::Analyzing, Event::Complete);
    let rows = Rows { body: Some(body()), ..Rows::default() };
    let (id, _, lease) = claimed(&store).await;
    let before = store.job(&id).await.expect("an answer");
    for (both, rows) in [
        // Without a document, and edges that are not those two.
        ([accept.clone(), complete.clone()], Rows::default()),
        ([accept.clone(), edge(State::Analyzing, Event::Fail(failure(FailureClass::Tls)))], rows.clone()),
        ([edge(State::Fetching, Event::Release), complete.clone()], rows.clone()),
    ] {
        let lease = Lease::granted(lease.job().clone());
        let refused = store.accept_and_complete(lease, both, rows).await.expect_err("it is unfit");
        assert!(matches!(refused.error, StoreError::Unfit { .. }), "{refused:?}");
    }
    assert_eq!(store.job(&id).await.expect("an answer"), before);
    assert_eq!(edges(&store, &id).await, ["2 claimed"]);
    store.run(&format!("UPDATE scan_jobs SET version = version + 1 WHERE id = '{id}'")).await;
    let settled = store.accept_and_complete(lease, [accept, complete], rows).await.expect("an answer");
    assert_eq!(settled, Settled::Conflict);
    assert_eq!(store.rows("SELECT count(*) FROM documents").await, ["0"]);
}

#[tokio::test]
async fn an_edge_to_the_queue_is_found_even_when_the_row_was_claimed_again() {
    let (_folder, store) = fresh().await;
    for event in [
        Event::Release,
        Event::Lose(failure(FailureClass::Lost)),
        Event::Retry { failure: failure(FailureClass::ContainerCrash), delay: Duration::ZERO },
    ] {
        let (id, _, lease) = claimed(&store).await;
        let back = edge(State::Fetching, event);
        store.lose_answers(1).await;
        let lease = doubtful(store.settle(lease, back.clone(), Rows::default()).await);
        let other = store.worker().await;
        let next = store.take(&other).await.expect("it is due at once");
        let settled = store.settle(lease, back, Rows::default()).await.expect("an answer");
        assert_eq!(settled, Settled::Done { version: 3 });
        assert_eq!(edges(&store, &id).await.len(), 3, "claimed, back, claimed");
        let row = store.job(&id).await.expect("an answer").expect("the job");
        assert_eq!(&row, next.job(), "the other's claim is untouched");
        let end = edge(State::Fetching, Event::Fail(failure(FailureClass::Tls)));
        store.settle(next, end, Rows::default()).await.expect("an answer");
    }
}

#[tokio::test]
async fn an_accepted_report_that_is_written_twice_keeps_the_lease() {
    let (_folder, store) = fresh().await;
    let (id, _, lease) = claimed(&store).await;
    store.lose_answers(1).await;
    let accept = edge(State::Fetching, Event::Accept);
    let lease = doubtful(store.advance(lease, accept.clone()).await);
    let Ok(Advanced::Held(lease)) = store.advance(lease, accept).await else { panic!("it is still ours") };
    assert_eq!(store.job(&id).await.expect("an answer").as_ref(), Some(lease.job()));
    let end = edge(State::Analyzing, Event::Fail(failure(FailureClass::AnalysisTimeout)));
    let settled = store.settle(lease, end, Rows::default()).await.expect("an answer");
    assert_eq!(settled, Settled::Done { version: 4 }, "and ends by a write of its own");
}

#[tokio::test]
async fn a_lease_that_others_took_meanwhile_does_not_come_back_by_trying_again() {
    let (_folder, store) = fresh().await;
    let (_, worker, lease) = claimed(&store).await;
    let accept = edge(State::Fetching, Event::Accept);
    store.lose_answers(1).await;
    let lease = doubtful(store.advance(lease, accept.clone()).await);
    store.age(&worker, LEASE * 2).await;
    let now = store.job(&lease.job().id).await.expect("an answer").expect("the job");
    let other = store.worker().await;
    let taken = store.take_over(&now, &other, Serving::Nothing).await.expect("an answer").expect("a lease");
    assert_eq!(store.advance(lease, accept).await.expect("an answer"), Advanced::Conflict);
    assert_eq!(taken.job().version, 4);
}

#[tokio::test]
async fn a_lease_that_ended_by_one_edge_does_not_end_by_another() {
    let (_folder, store) = fresh().await;
    let (id, _, lease) = claimed(&store).await;
    let first = edge(State::Fetching, Event::Fail(failure(FailureClass::Tls)));
    store.lose_answers(1).await;
    let lease = doubtful(store.settle(lease, first, Rows::default()).await);
    let second = edge(State::Fetching, Event::Fail(failure(FailureClass::Dns)));
    assert_eq!(store.settle(lease, second, Rows::default()).await.expect("an answer"), Settled::Conflict);
    assert_eq!(edges(&store, &id).await, ["2 claimed", "3 failed: tls"]);
}

#[tokio::test]
async fn an_edge_that_was_not_written_is_written_by_the_second_try() {
    let (_folder, store) = fresh().await;
    let (id, _, lease) = claimed(&store).await;
    refuse_commits(&store, true).await;
    let end = edge(State::Fetching, Event::Fail(failure(FailureClass::Tls)));
    let SettleError { lease, error } =
        store.settle(lease, end.clone(), Rows::default()).await.expect_err("the commit is refused");
    assert!(matches!(error, StoreError::Db(DbError::Rejected { .. })), "it is certain: {error:?}");
    assert_eq!(store.job(&id).await.expect("an answer").as_ref(), Some(lease.job()), "nothing was written");
    refuse_commits(&store, false).await;
    let settled = store.settle(*lease, end, Rows::default()).await.expect("an answer");
    assert_eq!(settled, Settled::Done { version: 3 });
    assert_eq!(edges(&store, &id).await, ["2 claimed", "3 failed: tls"]);
}

/// Makes SQLite refuse, at the COMMIT and not before, whatever changes a job.
async fn refuse_commits(store: &Store, on: bool) {
    store
        .run(if on {
            "CREATE TABLE owed (id TEXT REFERENCES owed_to (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TABLE owed_to (id TEXT PRIMARY KEY);
             CREATE TRIGGER owe AFTER UPDATE ON scan_jobs BEGIN INSERT INTO owed VALUES ('nobody'); END;"
        } else {
            "DROP TRIGGER owe; DROP TABLE owed; DROP TABLE owed_to;"
        })
        .await;
}

#[tokio::test]
async fn edges_without_a_lease_find_out_within_the_call() {
    let (_folder, store) = fresh().await;
    let (id, worker, lease) = claimed(&store).await;
    store.age(&worker, LEASE * 2).await;
    let other = store.worker().await;
    store.lose_answers(1).await;
    let taken =
        store.take_over(lease.job(), &other, Serving::Nothing).await.expect("an answer").expect("a lease");
    assert_eq!((taken.job().version, taken.job().lease_owner.as_ref()), (3, Some(&other)));
    assert_eq!(
        store.take_over(lease.job(), &other, Serving::Nothing).await.expect("an answer"),
        None,
        "one holder, by one call"
    );
    store.lose_answers(1).await;
    let lost = edge(State::Fetching, Event::Lose(failure(FailureClass::Lost)));
    let applied = store.apply(taken.job(), lost, Rows::default()).await.expect("an answer");
    assert_eq!(applied, Applied::Done { version: 4 });
    store.lose_answers(1).await;
    let lease = store.take(&worker).await.expect("the job");
    assert_eq!((lease.job().version, lease.job().attempt), (5, 2), "claimed once");
    assert_eq!(edges(&store, &id).await, ["2 claimed", "3 taken over", "4 lost: lost", "5 claimed"]);
    assert_eq!(store.renew(&worker, 0).await.expect("an answer").len(), 1, "nothing is given back");
}

#[tokio::test]
async fn a_claim_that_is_never_answered_goes_back_to_the_queue() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    store.ready(&worker).await;
    store.lose_answers(2).await;
    let error = store.try_to_take(&worker, false).await.expect_err("no answer came");
    assert!(matches!(error, StoreError::Db(DbError::Unanswered { .. })), "{error:?}");
    // The answer of the renewal that gives it back is lost too, and the next one finds nothing to give back.
    store.lose_answers(1).await;
    store.renew(&worker, 0).await.expect_err("no answer came");
    assert_eq!(store.renew(&worker, 0).await.expect("an answer"), []);
    let job = store.job(&id).await.expect("an answer").expect("the job");
    assert_eq!((job.state, job.version, job.counted_attempts()), (State::Queued, 3, 0));
}

#[tokio::test]
async fn a_claim_that_was_not_written_does_not_give_back_what_another_worker_claimed() {
    let (_folder, store) = fresh().await;
    let (mine, other) = (store.worker().await, store.worker().await);
    let id = store.one("https://example.com/").await;
    store.ready(&mine).await;
    refuse_commits(&store, true).await;
    store.try_to_take(&mine, false).await.expect_err("the commit is refused");
    refuse_commits(&store, false).await;
    let lease = store.take(&other).await.expect("it is still queued");
    assert_eq!(store.renew(&mine, 0).await.expect("an answer"), []);
    // The same version and state as the claim that was not written: only the id of the write tells them apart.
    assert_eq!(store.job(&id).await.expect("an answer").as_ref(), Some(lease.job()));
}
