//! Obligations and their user ids.

use std::collections::BTreeSet;

use super::{folder, fresh};
use crate::domain::failure::FailureClass;
use crate::domain::scan::{LEASE, Lease, REAP_AFTER, WorkerId};
use crate::domain::state::{Event, State};
use crate::store::testing::edge;
use crate::store::{Claim, ContainerRow, Obligation, Ready, Rows, Serving, Store, StoreError};

pub(super) fn obligation(name: &str, engine: &str, worker: &WorkerId) -> Obligation {
    Obligation {
        name: name.to_owned(),
        engine_id: engine.to_owned(),
        worker: worker.clone(),
        door: format!("/run/{name}"),
        attestation: None,
    }
}

/// What nobody will remove and no job needs.
async fn abandoned(store: &Store) -> Vec<ContainerRow> {
    let rows = store.remnants("engine").await.expect("an answer");
    rows.into_iter().filter(|row| row.silent && !row.bound).map(|row| row.container).collect()
}

async fn names(store: &Store) -> Vec<String> {
    abandoned(store).await.into_iter().map(|row| row.obligation.name).collect()
}

/// Claims for the container `left`, which the engine calls `box`.
async fn take_for_left(store: &Store, worker: &WorkerId) -> Result<Option<Lease>, StoreError> {
    let container = Ready { name: "left".to_owned(), id: "box".to_owned() };
    store.claim(Claim { worker, container: &container, reserved: false }).await
}

#[tokio::test]
async fn a_container_gets_the_lowest_user_id_that_no_other_of_its_engine_has() {
    let (_folder, store) = fresh().await;
    let me = store.worker().await;
    let oblige = async |name, engine| store.oblige(obligation(name, engine, &me)).await.expect("a user id");
    assert_eq!(oblige("a", "engine").await, 60600);
    assert_eq!(oblige("b", "engine").await, 60601);
    assert_eq!(oblige("c", "engine").await, 60602);
    assert_eq!(oblige("d", "other engine").await, 60600);
    store.container_gone("a").await.expect("an answer");
    store.container_gone("b").await.expect("an answer");
    assert_eq!(oblige("e", "engine").await, 60600);
    assert_eq!(oblige("f", "engine").await, 60601);
    assert_eq!(oblige("g", "engine").await, 60603);
    assert!(store.oblige(obligation("g", "engine", &me)).await.is_err(), "a name is an obligation's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_never_give_out_one_user_id_twice() {
    let folder = folder();
    let stores = [folder.open().await, folder.open().await];
    stores[0].migrate().await.expect("a migrated database");
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let store = stores[n % 2].clone();
            let wanted = obligation(&format!("box {n}"), "engine", &WorkerId::fresh());
            tokio::spawn(async move { store.oblige(wanted).await.expect("a user id") })
        })
        .collect();
    let mut uids = BTreeSet::new();
    for task in tasks {
        uids.insert(task.await.expect("a task"));
    }
    assert_eq!(uids, (60600..60620).collect());
}

#[tokio::test]
async fn several_are_written_down_at_once_each_with_the_lowest_user_id_that_is_free() {
    let (_folder, store) = fresh().await;
    let me = store.worker().await;
    let all = |names: &[&str]| names.iter().map(|name| obligation(name, "engine", &me)).collect::<Vec<_>>();
    assert_eq!(store.oblige_all(all(&["a", "b", "c"])).await.expect("user ids"), [60600, 60601, 60602]);
    store
        .containers_gone(&["a".to_owned(), "c".to_owned(), "of nobody".to_owned()])
        .await
        .expect("an answer");
    assert_eq!(store.rows("SELECT name FROM containers").await, ["b"]);
    assert_eq!(store.oblige_all(all(&["d", "e", "f"])).await.expect("user ids"), [60600, 60602, 60603]);
    let rows = "SELECT name, uid, door, worker = (SELECT id FROM workers), created_ms > 0 FROM containers ORDER BY uid";
    let written = ["d|60600", "b|60601", "e|60602", "f|60603"];
    let written = written.map(|row| format!("{row}|/run/{}|1|1", &row[..1]));
    assert_eq!(store.rows(rows).await, written);
    let twice = store.oblige_all(all(&["g", "b"])).await.expect_err("a name is an obligation's own");
    assert!(!twice.is_transient(), "{twice}");
    assert_eq!(store.rows("SELECT count(*) FROM containers").await, ["4"], "all or nothing");
    assert_eq!(store.oblige_all(Vec::new()).await.expect("nothing to do"), [0; 0]);
}

#[tokio::test]
async fn where_few_user_ids_are_left_the_first_ones_get_them() {
    let (_folder, store) = fresh().await;
    let me = store.worker().await;
    store
        .run(&format!(
            "WITH RECURSIVE ids (uid) AS (SELECT 60600 UNION ALL SELECT uid + 1 FROM ids WHERE uid < 65533)
             INSERT INTO containers (name, engine_id, uid, worker, door, created_ms)
             SELECT 'old ' || uid, 'engine', uid, '{me}', '', 0 FROM ids WHERE uid NOT IN (61000, 65533)"
        ))
        .await;
    let all = ["a", "b", "c"].map(|name| obligation(name, "engine", &me)).to_vec();
    assert_eq!(store.oblige_all(all).await.expect("user ids"), [61000, 65533]);
    assert_eq!(store.rows("SELECT name FROM containers WHERE name < 'd' ORDER BY uid").await, ["a", "b"]);
    let one = store.oblige(obligation("d", "engine", &me)).await.expect_err("none is left");
    assert!(matches!(one, StoreError::NoUserId), "{one}");
    store.oblige(obligation("d", "another engine", &me)).await.expect("another engine has its own");
}

#[tokio::test]
async fn several_that_are_written_down_without_an_answer_are_written_down_once() {
    let (_folder, store) = fresh().await;
    let me = store.worker().await;
    store.lose_answers(1).await;
    let all = ["b", "a"].map(|name| obligation(name, "engine", &me)).to_vec();
    assert_eq!(store.oblige_all(all).await.expect("user ids"), [60600, 60601]);
    assert_eq!(store.rows("SELECT name, uid FROM containers ORDER BY uid").await, ["b|60600", "a|60601"]);
}

#[tokio::test]
async fn what_silent_workers_left_on_an_engine_is_abandoned() {
    let (_folder, store) = fresh().await;
    let (me, silent, living) = (store.worker().await, store.worker().await, store.worker().await);
    for (name, engine, worker) in [
        ("mine", "engine", &me),
        ("left", "engine", &silent),
        ("elsewhere", "other engine", &silent),
        ("used", "engine", &living),
        ("of nobody", "engine", &WorkerId::fresh()),
    ] {
        store.oblige(obligation(name, engine, worker)).await.expect("a user id");
    }
    store.run("UPDATE containers SET container_id = 'c0ffee' WHERE name = 'left'").await;
    assert_eq!(names(&store).await, ["of nobody"]);
    store.age(&silent, REAP_AFTER * 2).await;
    let rows = abandoned(&store).await;
    let left = rows.iter().find(|row| row.obligation.name == "left").expect("it was left");
    assert_eq!(left.container_id.as_deref(), Some("c0ffee"));
    assert_eq!((left.obligation.door.as_str(), left.uid), ("/run/left", 60601));
    assert_eq!(rows.len(), 2);
}

#[tokio::test]
async fn a_container_whose_job_is_at_work_is_not_reaped_however_silent_its_worker() {
    let (_folder, store) = fresh().await;
    let (me, silent) = (store.worker().await, store.worker().await);
    store.oblige(obligation("left", "engine", &silent)).await.expect("a user id");
    store.one("https://example.com/").await;
    let lease = take_for_left(&store, &silent).await.expect("an answer").expect("the job");
    store.age(&silent, REAP_AFTER * 2 + LEASE).await;
    assert_eq!(names(&store).await, Vec::<String>::new(), "its log may be the only copy of a report");
    let taken =
        store.take_over(lease.job(), &me, Serving::Nothing).await.expect("an answer").expect("a lease");
    assert_eq!(names(&store).await, Vec::<String>::new());
    let released = edge(State::Fetching, Event::Release);
    store.settle(taken, released, Rows::default()).await.expect("an answer");
    assert_eq!(names(&store).await, ["left"]);
}

#[tokio::test]
async fn a_reaper_takes_the_obligation_of_a_silent_worker_and_of_no_other() {
    let (_folder, store) = fresh().await;
    let (me, other) = (store.worker().await, store.worker().await);
    store.oblige(obligation("left", "engine", &other)).await.expect("a user id");
    let take = async || store.take_obligation("left", &other, &me).await.expect("an answer");
    assert!(!take().await, "its worker lives");
    store.age(&other, REAP_AFTER * 2).await;
    store.one("https://example.com/").await;
    let lease = take_for_left(&store, &other).await.expect("an answer").expect("the job");
    assert!(!take().await, "a job at work is bound to it");
    let released = edge(State::Fetching, Event::Release);
    store.settle(lease, released, Rows::default()).await.expect("an answer");
    assert!(take().await);
    assert!(!take().await, "it is not that worker's any more");
}

#[tokio::test]
async fn a_worker_that_was_stopped_claims_nothing_for_a_container_that_was_taken_from_it() {
    let (_folder, store) = fresh().await;
    let (me, other) = (store.worker().await, store.worker().await);
    store.oblige(obligation("left", "engine", &other)).await.expect("a user id");
    store.age(&other, REAP_AFTER * 2).await;
    assert!(store.take_obligation("left", &other, &me).await.expect("an answer"));
    let id = store.one("https://example.com/").await;
    let refused = take_for_left(&store, &other).await.expect_err("the reaper removes the container");
    assert!(matches!(refused, StoreError::ContainerTaken { .. }), "{refused}");
    store.container_gone("left").await.expect("an answer");
    let refused = take_for_left(&store, &other).await.expect_err("it is removed");
    assert!(matches!(refused, StoreError::ContainerTaken { .. }), "{refused}");
    let job = store.job(&id).await.expect("an answer").expect("the job");
    assert_eq!((job.state, job.attempt), (State::Queued, 0));
}

#[tokio::test]
async fn a_container_is_bound_and_a_worker_holds_something_while_a_job_is_at_work() {
    let (_folder, store) = fresh().await;
    let (me, other) = (store.worker().await, store.worker().await);
    let bound = async |id, name| store.is_bound(id, name).await.expect("an answer");
    let holds = async |worker| store.holds_anything(worker).await.expect("an answer");
    store.one("https://example.com/").await;
    assert!(!bound("box", "left").await && !holds(&me).await);
    store.oblige(obligation("left", "engine", &me)).await.expect("a user id");
    let lease = take_for_left(&store, &me).await.expect("an answer").expect("the job");
    store.container_gone("left").await.expect("an answer");
    assert!(bound("box", "name").await && bound("another", "box").await && !bound("another", "name").await);
    assert!(holds(&me).await && !holds(&other).await);
    let end = edge(State::Fetching, Event::Fail(crate::store::testing::failure(FailureClass::Tls)));
    store.settle(lease, end, Rows::default()).await.expect("an answer");
    assert!(!bound("box", "name").await, "an ended row still names it");
    assert!(!holds(&me).await);
    store.oblige(obligation("made", "another engine", &me)).await.expect("a user id");
    assert!(holds(&me).await && !holds(&other).await);
}
