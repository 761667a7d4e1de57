//! Calls whose writes share a transaction.

use std::sync::{Arc, Mutex, mpsc};

use tokio::task::JoinHandle;

use crate::db::{DbError, Unit};
use crate::domain::scan::{Lease, WorkerId};
use crate::store::testing::{fresh, new_job};
use crate::store::{Store, StoreError};

/// Has the connection that writes until what is returned is dropped, so that whatever else is asked for waits.
async fn occupied(store: &Store) -> mpsc::Sender<()> {
    let (free, held) = mpsc::channel::<()>();
    let (begun, mut has_begun) = tokio::sync::mpsc::channel(1);
    let (db, held) = (store.db.clone(), Arc::new(Mutex::new(held)));
    tokio::spawn(async move {
        let hold = async move |_: &Unit| {
            let _ = begun.try_send(());
            // Ends with the sender.
            let _ = held.lock().expect("no panic").recv();
            Ok::<_, DbError>(())
        };
        db.write(hold).await
    });
    has_begun.recv().await.expect("it has the connection");
    free
}

/// A claim that waits behind what was asked for before.
async fn claiming(store: &Store, worker: &WorkerId) -> JoinHandle<Option<Lease>> {
    let (store, worker) = (store.clone(), worker.clone());
    let claiming = tokio::spawn(async move { store.take(&worker).await });
    // Its first poll queues it.
    tokio::task::yield_now().await;
    claiming
}

#[tokio::test]
async fn claims_that_share_a_transaction_get_a_job_each() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    for number in 0..3 {
        store.one(&format!("https://example.com/{number}")).await;
    }
    let free = occupied(&store).await;
    let mut claims = Vec::new();
    for _ in 0..4 {
        claims.push(claiming(&store, &worker).await);
    }
    drop(free);
    let mut urls = Vec::new();
    for claim in claims {
        urls.extend(claim.await.expect("no panic").map(|lease| lease.job().url.clone()));
    }
    urls.sort();
    assert_eq!(urls, ["https://example.com/0", "https://example.com/1", "https://example.com/2"]);
}

#[tokio::test]
async fn a_claim_that_was_undone_with_others_and_done_anew_is_kept() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    let free = occupied(&store).await;
    let claim = claiming(&store, &worker).await;
    let db = store.db.clone();
    let ends = tokio::spawn(async move {
        let ends = async |unit: &Unit| {
            // As SQLite itself does when there is no room: the claim is gone with it.
            unit.script("ROLLBACK").await?;
            Err::<(), _>(DbError::Ended)
        };
        db.write(ends).await
    });
    tokio::task::yield_now().await;
    drop(free);
    let lease = claim.await.expect("no panic").expect("the job");
    assert_eq!(lease.job().id, id);
    ends.await.expect("no panic").expect_err("its own error");
    // Renewing gives back what nobody heard of.
    let held = store.renew(&worker, 1).await.expect("an answer");
    assert_eq!(held.len(), 1, "the claim was heard of");
    assert_eq!(store.rows("SELECT state FROM scan_jobs").await, ["FETCHING"]);
}

#[tokio::test]
async fn a_file_that_was_moved_is_what_each_of_several_is_told() {
    let (folder, store) = fresh().await;
    let (path, away) = (store.path().expect("a file").to_owned(), folder.path().join("away.db"));
    let free = occupied(&store).await;
    let mut submits = Vec::new();
    for _ in 0..3 {
        let store = store.clone();
        submits.push(tokio::spawn(async move {
            store.submit(vec![new_job("local", "https://example.com/")]).await.map(|_| ())
        }));
        tokio::task::yield_now().await;
    }
    std::fs::rename(&path, &away).expect("moved");
    std::fs::copy(&away, &path).expect("another file");
    drop(free);
    for submit in submits {
        let error = submit.await.expect("no panic").expect_err("it is another file");
        assert!(matches!(error, StoreError::Db(DbError::Moved { .. })), "{error:?}");
    }
    std::fs::rename(&away, &path).expect("back");
    assert_eq!(store.rows("SELECT count(*) FROM scan_jobs").await, ["0"]);
    store.one("https://example.com/").await;
}
