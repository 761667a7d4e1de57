//! Leases, heartbeats, and jobs whose worker is gone.

use std::time::Duration;

use crate::domain::failure::FailureClass;
use crate::domain::scan::{DEAD_AFTER, LEASE, WorkerId};
use crate::domain::state::{Event, State};
use crate::store::testing::{edge, fresh, new_job};
use crate::store::{Applied, NewJob, Rows, StoreError};

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_renewal_prolongs_every_lease_of_the_worker_and_no_others() {
    let (_folder, store) = fresh().await;
    let (me, other) = (store.worker().await, store.worker().await);
    store.submit(vec![new_job("a", "1"), new_job("b", "2"), new_job("c", "3")]).await.expect("jobs");
    let mine = [store.take(&me).await.expect("1"), store.take(&me).await.expect("2")];
    let theirs = store.take(&other).await.expect("3");
    store.age(&me, LEASE * 2).await;
    store.age(&other, LEASE * 2).await;
    let mut held: Vec<_> =
        store.renew(&me).await.expect("an answer").into_iter().map(|held| held.id).collect();
    held.sort();
    let mut expected: Vec<_> = mine.iter().map(|lease| lease.job().id.clone()).collect();
    expected.sort();
    assert_eq!(held, expected);
    let orphans = store.orphans(LONG).await.expect("orphans");
    assert_eq!(orphans.len(), 1);
    assert_eq!(orphans[0].job.id, theirs.job().id);
    assert_eq!(orphans[0].engine_id.as_deref(), Some("engine"));
    assert_eq!(orphans[0].job.version, 2, "a renewal is no edge");
}

#[tokio::test]
async fn a_job_is_an_orphan_only_when_its_lease_is_over_and_its_worker_dead() {
    let (_folder, store) = fresh().await;
    let me = store.worker().await;
    store.one("https://example.com/").await;
    let lease = store.take(&me).await.expect("the job");
    let orphans = async || store.orphans(LONG).await.expect("orphans").len();
    assert_eq!(orphans().await, 0);
    store.run("UPDATE scan_jobs SET lease_until = lease_until - 7000").await;
    assert_eq!(orphans().await, 0, "a living worker renews");
    store.renew(&me).await.expect("an answer");
    let silent = DEAD_AFTER.as_millis() + 1000;
    store.run(&format!("UPDATE workers SET heartbeat_ms = heartbeat_ms - {silent}")).await;
    assert_eq!(orphans().await, 0, "the lease still holds");
    store.run("UPDATE scan_jobs SET lease_until = lease_until - 7000").await;
    assert_eq!(orphans().await, 1);
    store.retire(&me).await.expect("an answer");
    assert_eq!(orphans().await, 1, "a worker without a row is dead");
    drop(lease);
}

#[tokio::test]
async fn a_take_over_needs_the_version_and_a_lease_that_is_over() {
    let (_folder, store) = fresh().await;
    let (old, new) = (store.worker().await, store.worker().await);
    store.one("https://example.com/").await;
    let lease = store.take(&old).await.expect("the job");
    assert_eq!(store.take_over(lease.job(), &new).await.expect("an answer"), None, "the lease holds");
    store.age(&old, LEASE * 2).await;
    let orphan = store.orphans(LONG).await.expect("orphans").remove(0).job;
    let taken = store.take_over(&orphan, &new).await.expect("an answer").expect("a lease");
    let job = taken.job();
    assert_eq!((job.state, job.version, job.attempt), (State::Fetching, 3, 1), "the same attempt");
    assert_eq!((job.lease_owner.as_ref(), job.container_id.as_deref()), (Some(&new), Some("box")));
    assert_eq!(store.take_over(&orphan, &old).await.expect("an answer"), None, "somebody was faster");
    let late = edge(State::Fetching, Event::Fail(crate::store::testing::failure(FailureClass::Tls)));
    let applied = store.apply(lease.job(), late, Rows::default()).await.expect("an answer");
    assert_eq!(applied, Applied::Conflict, "the old holder writes nothing");
    assert_eq!(store.renew(&old).await.expect("an answer"), [], "and learns that it lost the job");
    let edges = store.transitions(&job.id).await.expect("edges");
    assert_eq!(edges.last().map(|edge| edge.reason.as_str()), Some("taken over"));
}

#[tokio::test]
async fn rows_reserved_for_a_dead_worker_end_cancelled() {
    let (_folder, store) = fresh().await;
    let (living, dead) = (store.worker().await, store.worker().await);
    let job = |worker: &WorkerId, delay| NewJob {
        reserved_for: Some(worker.clone()),
        delay,
        ..new_job("local", "https://example.com/")
    };
    let jobs = vec![job(&living, None), job(&dead, None), job(&dead, Some(LONG)), new_job("local", "x")];
    let ids = store.submit(jobs).await.expect("jobs");
    assert_eq!(store.end_abandoned_reserved().await.expect("an answer"), 0);
    store.age(&dead, DEAD_AFTER * 2).await;
    assert_eq!(store.end_abandoned_reserved().await.expect("an answer"), 2);
    for (id, state) in ids.iter().zip([State::Queued, State::Failed, State::Failed, State::Queued]) {
        let job = store.job(id).await.expect("an answer").expect("the job");
        assert_eq!(job.state, state);
        let class = job.failure.map(|failure| failure.class);
        assert_eq!(class, (state == State::Failed).then_some(FailureClass::Cancelled));
    }
    assert_eq!(store.end_abandoned_reserved().await.expect("an answer"), 0);
}

#[tokio::test]
async fn workers_are_listed_and_old_ones_forgotten() {
    let (_folder, store) = fresh().await;
    let old = store.worker().await;
    store.age(&old, Duration::from_secs(25 * 60 * 60)).await;
    let new = store.worker().await;
    let workers = store.workers().await.expect("workers");
    assert_eq!(workers.iter().map(|worker| &worker.row.id).collect::<Vec<_>>(), [&new]);
    assert_eq!((workers[0].row.slots, workers[0].row.host.as_str()), (2, "host"));
    assert_eq!(workers[0].started, workers[0].heartbeat);
    store.retire(&new).await.expect("an answer");
    for gone in [old, new] {
        let renewed = store.renew(&gone).await;
        assert!(matches!(renewed, Err(StoreError::UnknownWorker { .. })), "a dead worker must learn of it");
    }
    assert_eq!(store.workers().await.expect("workers"), []);
}
