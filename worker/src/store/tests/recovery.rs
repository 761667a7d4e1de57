//! Leases, heartbeats, and jobs whose worker is gone.

use std::time::Duration;

use super::containers::obligation;
use super::fresh;
use crate::domain::failure::FailureClass;
use crate::domain::scan::{DEAD_AFTER, LEASE, WorkerId};
use crate::domain::state::{Event, State};
use crate::store::testing::{edge, new_job, ready};
use crate::store::{Applied, Claim, NewJob, Ready, Rows, Serving, StoreError};

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
        store.renew(&me, 0).await.expect("an answer").into_iter().map(|held| held.id).collect();
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
    store.renew(&me, 0).await.expect("an answer");
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
    assert_eq!(
        store.take_over(lease.job(), &new, Serving::Nothing).await.expect("an answer"),
        None,
        "the lease holds"
    );
    store.age(&old, LEASE * 2).await;
    let orphan = store.orphans(LONG).await.expect("orphans").remove(0).job;
    let taken = store.take_over(&orphan, &new, Serving::Nothing).await.expect("an answer").expect("a lease");
    let job = taken.job();
    assert_eq!((job.state, job.version, job.attempt), (State::Fetching, 3, 1), "the same attempt");
    assert_eq!(
        (job.lease_owner.as_ref(), job.container_id.as_deref()),
        (Some(&new), Some(ready(&old).id.as_str()))
    );
    assert_eq!(
        store.take_over(&orphan, &old, Serving::Nothing).await.expect("an answer"),
        None,
        "somebody was faster"
    );
    let late = edge(State::Fetching, Event::Fail(crate::store::testing::failure(FailureClass::Tls)));
    let applied = store.apply(lease.job(), late, Rows::default()).await.expect("an answer");
    assert_eq!(applied, Applied::Conflict, "the old holder writes nothing");
    assert_eq!(store.renew(&old, 0).await.expect("an answer"), [], "and learns that it lost the job");
    let edges = store.transitions(&job.id).await.expect("edges");
    assert_eq!(edges.last().map(|edge| edge.reason.as_str()), Some("taken over"));
}

#[tokio::test]
async fn the_engine_of_an_orphan_is_its_containers_even_when_the_worker_is_unknown() {
    let (_folder, store) = fresh().await;
    let gone = store.worker().await;
    let waiting = Ready { name: "waiting".to_owned(), id: "its id".to_owned() };
    store.oblige(obligation("waiting", "its engine", &gone)).await.expect("a user id");
    store.one("https://example.com/").await;
    let claim = Claim { worker: &gone, container: &waiting, reserved: false };
    let lease = store.claim(claim).await.expect("an answer").expect("the job");
    store.age(&gone, LEASE * 2).await;
    store.retire(&gone).await.expect("an answer");
    let orphan = store.orphans(LONG).await.expect("orphans").remove(0);
    assert_eq!(&orphan.job, lease.job());
    assert_eq!(orphan.engine_id.as_deref(), Some("its engine"));
    let container = orphan.container.expect("it is written down");
    assert_eq!((container.obligation.name.as_str(), container.uid), ("waiting", 60600));
    assert_eq!(container.obligation.worker, gone);
    store.container_gone("waiting").await.expect("an answer");
    let orphan = store.orphans(LONG).await.expect("orphans").remove(0);
    assert_eq!((orphan.container, orphan.engine_id), (None, None), "nobody knows it any more");
}

#[tokio::test]
async fn a_worker_that_a_job_or_a_container_names_is_not_forgotten() {
    let (_folder, store) = fresh().await;
    let [holder, maker, nobody] = [store.worker().await, store.worker().await, store.worker().await];
    store.one("https://example.com/").await;
    let lease = store.take(&holder).await.expect("the job");
    store.oblige(obligation("left", "engine", &maker)).await.expect("a user id");
    for worker in [&holder, &maker, &nobody] {
        store.age(worker, Duration::from_secs(25 * 60 * 60)).await;
    }
    let ids = async || {
        let new = store.worker().await;
        let all = store.workers().await.expect("workers").into_iter().map(|worker| worker.row.id);
        let mut ids: Vec<_> = all.filter(|id| *id != new).collect();
        store.retire(&new).await.expect("an answer");
        ids.sort_by_key(ToString::to_string);
        ids
    };
    assert_eq!(ids().await, [holder.clone(), maker]);
    store.container_gone("left").await.expect("an answer");
    assert_eq!(ids().await, std::slice::from_ref(&holder));
    let orphan = store.orphans(LONG).await.expect("orphans").remove(0);
    assert_eq!(orphan.engine_id.as_deref(), Some("engine"), "the row says where the job is");
    store.container_gone(&ready(&holder).name).await.expect("an answer");
    let end = edge(State::Fetching, Event::Fail(crate::store::testing::failure(FailureClass::Tls)));
    store.settle(lease, end, Rows::default()).await.expect("an answer");
    assert_eq!(ids().await, []);
}

#[tokio::test]
async fn a_lease_that_lives_again_is_neither_an_orphan_nor_taken_over() {
    let (_folder, store) = fresh().await;
    let (stopped, other) = (store.worker().await, store.worker().await);
    store.one("https://example.com/").await;
    let lease = store.take(&stopped).await.expect("the job");
    store.age(&stopped, LEASE * 2).await;
    let orphan = store.orphans(LONG).await.expect("orphans").remove(0).job;
    assert_eq!(store.renew(&stopped, 0).await.expect("an answer").len(), 1, "it was continued in time");
    assert_eq!(store.orphans(LONG).await.expect("orphans"), []);
    assert_eq!(store.take_over(&orphan, &other, Serving::Nothing).await.expect("an answer"), None);
    assert!(store.confirm(lease.job(), &stopped).await.expect("an answer"));
}

#[tokio::test]
async fn a_lease_that_ran_out_is_confirmed_until_somebody_took_it() {
    let (_folder, store) = fresh().await;
    let (slow, other) = (store.worker().await, store.worker().await);
    store.one("https://example.com/").await;
    let lease = store.take(&slow).await.expect("the job");
    store.age(&slow, LEASE * 2).await;
    let orphan = store.orphans(LONG).await.expect("orphans").remove(0).job;
    assert!(!store.confirm(lease.job(), &other).await.expect("an answer"), "another worker's");
    assert!(store.confirm(lease.job(), &slow).await.expect("an answer"), "nobody wrote the row since");
    assert_eq!(store.job(&orphan.id).await.expect("an answer").as_ref(), Some(lease.job()), "it is no edge");
    assert_eq!(
        store.take_over(&orphan, &other, Serving::Nothing).await.expect("an answer"),
        None,
        "it holds again"
    );
    store.age(&slow, LEASE * 2).await;
    let taken =
        store.take_over(&orphan, &other, Serving::Nothing).await.expect("an answer").expect("a lease");
    assert!(!store.confirm(lease.job(), &slow).await.expect("an answer"), "taken");
    assert!(store.confirm(taken.job(), &other).await.expect("an answer"));
    let end = edge(State::Fetching, Event::Fail(crate::store::testing::failure(FailureClass::Tls)));
    let done = taken.job().clone();
    store.settle(taken, end, Rows::default()).await.expect("an answer");
    assert!(!store.confirm(&done, &other).await.expect("an answer"), "ended");
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
    assert_eq!(store.end_abandoned_reserved(&living).await.expect("an answer"), 0);
    store.age(&dead, DEAD_AFTER * 2).await;
    assert_eq!(store.end_abandoned_reserved(&dead).await.expect("an answer"), 0, "who asks lives");
    assert_eq!(store.end_abandoned_reserved(&living).await.expect("an answer"), 2);
    for (id, state) in ids.iter().zip([State::Queued, State::Failed, State::Failed, State::Queued]) {
        let job = store.job(id).await.expect("an answer").expect("the job");
        assert_eq!(job.state, state);
        let class = job.failure.map(|failure| failure.class);
        assert_eq!(class, (state == State::Failed).then_some(FailureClass::Cancelled));
    }
    assert_eq!(store.end_abandoned_reserved(&living).await.expect("an answer"), 0);
}

#[tokio::test]
async fn an_orphan_is_abandoned_when_the_worker_that_it_is_reserved_for_is_dead() {
    let (_folder, store) = fresh().await;
    let (dead, holder) = (store.worker().await, store.worker().await);
    let job = NewJob { reserved_for: Some(dead.clone()), ..new_job("local", "https://example.com/") };
    let id = store.submit(vec![job]).await.expect("a job").remove(0);
    let _ = store.take_of(&dead, true).await.expect("the job");
    store.one("https://example.com/").await;
    let _ = store.take(&holder).await.expect("the other job");
    store.age(&dead, LEASE * 2).await;
    store.age(&holder, LEASE * 2).await;
    let abandoned = async || {
        let orphans = store.orphans(LONG).await.expect("orphans");
        assert_eq!(orphans.len(), 2);
        orphans.into_iter().filter(|orphan| orphan.abandoned).map(|orphan| orphan.job.id).collect::<Vec<_>>()
    };
    assert_eq!(abandoned().await, std::slice::from_ref(&id));
    // Whoever has taken it over and died as well changes nothing about who wanted it.
    let orphan = store.job(&id).await.expect("an answer").expect("the job");
    let _ = store.take_over(&orphan, &holder, Serving::Nothing).await.expect("an answer").expect("a lease");
    store.age(&holder, LEASE * 2).await;
    assert_eq!(abandoned().await, [id]);
    store.renew(&dead, 0).await.expect("an answer");
    assert_eq!(abandoned().await, [], "it was only stopped");
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
    store.renew(&new, 7).await.expect("an answer");
    assert_eq!((workers[0].done, store.workers().await.expect("workers")[0].done), (0, 7));
    store.retire(&new).await.expect("an answer");
    for gone in [old, new] {
        let renewed = store.renew(&gone, 0).await;
        assert!(matches!(renewed, Err(StoreError::UnknownWorker { .. })), "a dead worker must learn of it");
    }
    assert_eq!(store.workers().await.expect("workers"), []);
}
