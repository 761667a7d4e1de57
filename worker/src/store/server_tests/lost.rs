//! Answers that are lost on the way back: the server has committed, and nobody is told.

use super::proxy::Proxy;
use super::{Folder, analyzing, claimed, fresh, whole};
use crate::domain::failure::FailureClass;
use crate::domain::scan::ScanId;
use crate::domain::state::{Event, State};
use crate::store::testing::{edge, failure, new_job};
use crate::store::{
    CancelOutcome, DbConfig, DbError, Obligation, OpenMode, ReplayOutcome, Rows, SettleError, Settled, Store,
    StoreError, WorkerRow,
};

async fn behind_a_proxy() -> (Folder, Store, Proxy) {
    let (mut folder, _) = fresh().await;
    let proxy = Proxy::before(folder.server().address()).await;
    let config = DbConfig { url: proxy.url(), auth_token: None };
    let store = Store::open(&config, OpenMode::Existing).await.expect("the server, through the proxy");
    (folder, store, proxy)
}

#[tokio::test]
async fn an_end_whose_answer_is_lost_is_found_by_the_next_try_with_its_rows_once() {
    let (_folder, store, proxy) = behind_a_proxy().await;
    let (_, lease) = analyzing(&store).await;
    let complete = edge(State::Analyzing, Event::Complete);
    proxy.lose(1);
    let SettleError { lease, error } =
        store.settle(lease, complete.clone(), whole()).await.expect_err("no answer came");
    assert!(matches!(error, StoreError::Db(DbError::Unanswered { .. })), "{error:?}");
    assert_eq!(proxy.left(), 0);
    let settled = store.settle(*lease, complete, whole()).await.expect("an answer");
    assert_eq!(settled, Settled::Done { version: 4 });
    let counts = "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM scan_results),
        (SELECT count(*) FROM transitions)";
    assert_eq!(store.rows(counts).await, ["1|1|3"]);
}

#[tokio::test]
async fn a_submission_whose_answer_is_lost_is_one_submission() {
    let (_folder, store, proxy) = behind_a_proxy().await;
    proxy.lose(1);
    let job = new_job("somebody", "https://example.com/");
    let ids = store.submit(vec![job.clone(), new_job("somebody", "https://example.com/2")]).await;
    assert_eq!((proxy.left(), ids.expect("an answer").len()), (0, 2));
    assert_eq!(store.rows("SELECT count(*) FROM scan_jobs").await, ["2"]);
    let again = store.submit(vec![job]).await.expect_err("its id is there");
    assert!(matches!(again, StoreError::Db(DbError::Rejected { .. })), "{again:?}");
}

#[tokio::test]
async fn two_lost_answers_leave_a_doubt_and_the_error_says_so() {
    let (_folder, store, proxy) = behind_a_proxy().await;
    proxy.lose(2);
    let error =
        store.submit(vec![new_job("local", "https://example.com/")]).await.expect_err("no answer came");
    assert!(matches!(error, StoreError::Db(DbError::Unanswered { .. })), "{error:?}");
    assert_eq!(store.rows("SELECT count(*) FROM scan_jobs").await, ["1"]);
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_one_claim() {
    let (_folder, store, proxy) = behind_a_proxy().await;
    let worker = store.worker().await;
    store.one("https://example.com/").await;
    store.ready(&worker).await;
    proxy.lose(1);
    let lease = store.take(&worker).await.expect("the job");
    assert_eq!((proxy.left(), lease.job().version, lease.job().attempt), (0, 2, 1));
    assert_eq!(store.renew(&worker, 0).await.expect("an answer").len(), 1, "nothing is given back");
}

#[tokio::test]
async fn what_a_person_asks_of_a_job_is_done_once_and_told_as_done() {
    let (_folder, store, proxy) = behind_a_proxy().await;
    let id = store.one("https://example.com/").await;
    proxy.lose(1);
    assert_eq!(store.request_cancel(&id).await.expect("an answer"), CancelOutcome::Cancelled);
    proxy.lose(1);
    assert_eq!(store.replay(&id).await.expect("an answer"), ReplayOutcome::Replayed { version: 3 });
    let seen = || async { vec![store.job(&id).await.expect("an answer").expect("the job")] };
    proxy.lose(1);
    assert_eq!(store.cancel_seen(seen().await).await.expect("an answer"), [CancelOutcome::Cancelled]);
    proxy.lose(1);
    let replayed = store.replay_seen(seen().await).await.expect("an answer");
    assert_eq!(replayed, [ReplayOutcome::Replayed { version: 5 }]);
    assert_eq!(proxy.left(), 0);
    assert_eq!(edges(&store, &id).await, ["2 failed", "3 replayed", "4 failed", "5 replayed"]);
}

/// Version and first word of each recorded edge.
async fn edges(store: &Store, id: &ScanId) -> Vec<String> {
    let edges = store.transitions(id).await.expect("edges");
    edges
        .into_iter()
        .map(|edge| {
            let word = edge.reason.split(':').next().unwrap_or_default().to_owned();
            format!("{} {}", edge.version, word.replace("refused", "failed"))
        })
        .collect()
}

#[tokio::test]
async fn obligations_and_workers_are_written_once() {
    let (_folder, store, proxy) = behind_a_proxy().await;
    proxy.lose(1);
    let worker = store.worker().await;
    let obligation = Obligation {
        name: "box-1".to_owned(),
        engine_id: "engine".to_owned(),
        worker: worker.clone(),
        door: "/run/1".to_owned(),
        attestation: None,
    };
    proxy.lose(1);
    let uid = store.oblige(obligation).await.expect("an answer");
    assert_eq!(store.rows("SELECT name, uid FROM containers").await, [format!("box-1|{uid}")]);
    let heir = store.worker().await;
    store.age(&worker, std::time::Duration::from_secs(60)).await;
    proxy.lose(1);
    assert!(store.take_obligation("box-1", &worker, &heir).await.expect("an answer"));
    proxy.lose(1);
    store.container_gone("box-1").await.expect("an answer");
    proxy.lose(1);
    store.retire(&heir).await.expect("an answer");
    assert_eq!(proxy.left(), 0);
    assert_eq!(store.rows("SELECT count(*) FROM containers").await, ["0"]);
    let row = WorkerRow {
        id: worker,
        host: "host".to_owned(),
        pid: 1,
        version: "0".to_owned(),
        engine_id: "engine".to_owned(),
        slots: 2,
    };
    store.register(&row).await.expect("an answer");
    assert_eq!(store.workers().await.expect("workers").len(), 1);
}

#[tokio::test]
async fn a_migration_whose_answer_is_lost_is_found_to_be_done() {
    let mut folder = Folder::of(super::Kind::Server);
    let proxy = Proxy::before(folder.server().address()).await;
    let config = DbConfig { url: proxy.url(), auth_token: None };
    let store = Store::open(&config, OpenMode::Create).await.expect("the server, through the proxy");
    proxy.lose(1);
    let migrated = store.migrate().await.expect("an answer");
    assert_eq!((proxy.left(), migrated.to), (0, Store::SCHEMA));
    store.prepare().await.expect("it is ours");
}

#[tokio::test]
async fn an_edge_that_the_server_refused_is_certain() {
    let (_folder, store, _proxy) = behind_a_proxy().await;
    let (_, lease) = claimed(&store).await;
    store.run("CREATE TRIGGER no BEFORE INSERT ON transitions BEGIN SELECT RAISE(ABORT, 'no'); END;").await;
    let end = edge(State::Fetching, Event::Fail(failure(FailureClass::Tls)));
    let SettleError { lease, error } =
        store.settle(lease, end.clone(), Rows::default()).await.expect_err("a row is refused");
    assert!(matches!(error, StoreError::Db(DbError::Rejected { .. })), "{error:?}");
    assert_eq!(store.job(&lease.job().id).await.expect("an answer").as_ref(), Some(lease.job()));
    store.run("DROP TRIGGER no;").await;
    let settled = store.settle(*lease, end, Rows::default()).await.expect("an answer");
    assert_eq!(settled, Settled::Done { version: 3 });
}
