use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;

use tokio::task::JoinHandle;

use super::*;
use crate::db::{Db, DbConfig, OpenMode};

type Written = JoinHandle<Result<i64, DbError>>;

/// A folder of this test alone, removed at its end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file with an empty table, and the folder that it goes with.
async fn fresh() -> (Folder, Db) {
    let folder = std::env::temp_dir().join(format!("safeurl-writer-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&folder).expect("a new folder");
    let url = folder.join("shared.db").display().to_string();
    let folder = Folder(folder);
    let db = Db::open(&DbConfig { url, auth_token: None }, OpenMode::Create).await.expect("opens");
    db.keep_wal().await.expect("a write-ahead log");
    let made = db.write(async |unit: &Unit| unit.script("CREATE TABLE said (word TEXT UNIQUE)").await);
    made.await.expect("a table");
    (folder, db)
}

/// Has the connection until what is returned is dropped, so that whatever else is asked for waits.
async fn occupied(db: &Db) -> mpsc::Sender<()> {
    let (free, held) = mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let writer = db.writer.clone();
    tokio::spawn(async move {
        let hold = async move |_: &Unit| {
            let _ = begun.send(());
            // Ends with the sender.
            let _ = held.recv();
            Ok::<_, DbError>(())
        };
        writer.run(hold).await
    });
    has_begun.await.expect("it has the connection");
    free
}

async fn count(unit: &Unit) -> Result<i64, DbError> {
    unit.first("SELECT count(*) FROM said", (), |row| row.int(0)).await.map(Option::unwrap_or_default)
}

async fn there(db: &Db) -> i64 {
    db.read(count).await.expect("read")
}

async fn put(unit: &Unit, word: &str) -> Result<i64, DbError> {
    unit.execute("INSERT INTO said VALUES (?)", [word]).await?;
    count(unit).await
}

/// Queues a word, behind what was queued before. Answered with how many there are then.
async fn queued(db: &Db, word: &'static str) -> Written {
    queue(db, async move |unit: &Unit| put(unit, word).await).await
}

async fn queue<W>(db: &Db, work: W) -> Written
where
    W: AsyncFnOnce(&Unit) -> Result<i64, DbError> + Clone + Send + 'static,
{
    let db = db.clone();
    let queued = tokio::spawn(async move { db.write(work).await });
    // Its first poll queues it.
    tokio::task::yield_now().await;
    queued
}

async fn answer(written: Written) -> Result<i64, DbError> {
    written.await.expect("no panic of the caller")
}

#[tokio::test]
async fn what_waits_shares_a_commit_and_is_answered_after_it() {
    let (_folder, db) = fresh().await;
    let free = occupied(&db).await;
    let first = queued(&db, "one").await;
    let reader = db.clone();
    let seen = async move |unit: &Unit| {
        assert_eq!(count(unit).await?, 1, "the first is in the same transaction");
        assert_eq!(reader.read(count).await?, 0, "which has not ended");
        put(unit, "two").await
    };
    let second = queue(&db, seen).await;
    assert!(!first.is_finished());
    drop(free);
    assert_eq!(answer(first).await.expect("written"), 1);
    assert_eq!(answer(second).await.expect("written"), 2);
    assert_eq!(there(&db).await, 2);
}

#[tokio::test]
async fn one_that_fails_is_undone_without_the_others() {
    let (_folder, db) = fresh().await;
    let free = occupied(&db).await;
    let first = queued(&db, "one").await;
    let half = async |unit: &Unit| {
        put(unit, "half").await?;
        put(unit, "one").await
    };
    let twice = queue(&db, half).await;
    let breaks = async |unit: &Unit| {
        put(unit, "broken").await?;
        panic!("it breaks");
    };
    let broken = queue(&db, breaks).await;
    let last = queued(&db, "two").await;
    drop(free);
    assert_eq!(answer(first).await.expect("written"), 1);
    assert!(matches!(answer(twice).await, Err(DbError::Rejected { .. })));
    assert!(matches!(answer(broken).await, Err(DbError::Ended)));
    assert_eq!(answer(last).await.expect("written"), 2, "neither half is there");
    assert_eq!(there(&db).await, 2);
}

#[tokio::test]
async fn no_room_for_one_ends_the_transaction_of_all_and_is_told_to_that_one() {
    let (_folder, db) = fresh().await;
    let room = async |unit: &Unit| {
        let pages = unit.first("PRAGMA page_count", (), |row| row.int(0)).await?.unwrap_or_default();
        unit.query(&format!("PRAGMA max_page_count = {pages}"), (), |row| row.int(0))
            .await
            .map(|_: Vec<i64>| ())
    };
    db.writer.run(room).await.expect("no page more");
    let free = occupied(&db).await;
    let first = queued(&db, "one").await;
    let too_large = async |unit: &Unit| {
        let done = unit.execute("INSERT INTO said VALUES (zeroblob(100000))", ()).await;
        let open = unit.file().is_some_and(|file| !file.is_autocommit());
        assert!(!open, "what the first did is gone with it");
        done.map(|_| 0)
    };
    let full = queue(&db, too_large).await;
    let last = queued(&db, "two").await;
    drop(free);
    assert_eq!(answer(first).await.expect("written anew"), 1);
    assert!(matches!(answer(full).await, Err(DbError::Unavailable { .. })));
    assert_eq!(answer(last).await.expect("written"), 2);
    assert_eq!(there(&db).await, 2);
}

#[tokio::test]
async fn a_commit_without_an_answer_has_none_for_all_that_share_it() {
    let (_folder, db) = fresh().await;
    let free = occupied(&db).await;
    let deafened = async |unit: &Unit| {
        unit.deaf.store(1, Relaxed);
        put(unit, "one").await
    };
    let first = queue(&db, deafened).await;
    let second = queued(&db, "two").await;
    drop(free);
    assert!(matches!(answer(first).await, Err(DbError::Unanswered { .. })));
    assert!(matches!(answer(second).await, Err(DbError::Unanswered { .. })));
    assert_eq!(there(&db).await, 2, "they were there all the same");
}

#[tokio::test]
async fn a_transaction_that_cannot_begin_is_told_to_all_after_one_wait() {
    let (_folder, db) = fresh().await;
    let other = libsql::Builder::new_local(db.path().expect("a file")).build().await.expect("opens");
    let other = other.connect().expect("connects");
    other.execute("BEGIN IMMEDIATE", ()).await.expect("the lock");
    let free = occupied(&db).await;
    let waiting = [queued(&db, "one").await, queued(&db, "two").await, queued(&db, "three").await];
    drop(free);
    for written in waiting {
        assert!(matches!(answer(written).await, Err(DbError::Busy { .. })));
    }
    other.execute("ROLLBACK", ()).await.expect("free");
    assert_eq!(answer(queued(&db, "four").await).await.expect("written"), 1);
}

/// Asks for one that nobody is in a hurry for, in the order of the calls.
async fn lingering(db: &Db, word: &'static str) -> Written {
    let db = db.clone();
    let queued =
        tokio::spawn(async move { db.write_lingering(async |unit: &Unit| put(unit, word).await).await });
    tokio::task::yield_now().await;
    queued
}

#[tokio::test]
async fn what_nobody_is_in_a_hurry_for_is_written_with_the_next_before_it() {
    let (_folder, db) = fresh().await;
    let free = occupied(&db).await;
    let unhurried = lingering(&db, "one").await;
    let reader = db.clone();
    let next = async move |unit: &Unit| {
        assert_eq!(reader.read(count).await?, 0, "neither is there yet");
        put(unit, "two").await
    };
    let next = queue(&db, next).await;
    drop(free);
    assert_eq!(answer(unhurried).await.expect("written"), 1);
    assert_eq!(answer(next).await.expect("written"), 2);
    assert_eq!(there(&db).await, 2);
}

#[tokio::test]
async fn what_nobody_is_in_a_hurry_for_is_written_by_itself_when_nothing_else_is() {
    let (_folder, db) = fresh().await;
    assert_eq!(answer(lingering(&db, "one").await).await.expect("written"), 1);
    // Also when nobody is left who could ask for anything.
    let last = lingering(&db, "two").await;
    last.abort();
    let (path, again) = (db.path().expect("a file").display().to_string(), OpenMode::Existing);
    drop(db);
    let db = Db::open(&DbConfig { url: path, auth_token: None }, again).await.expect("opens");
    let written = async {
        while there(&db).await < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), written).await.expect("it is written");
}
