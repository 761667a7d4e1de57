//! What becomes of a file that is no database, or not one to write to.

use crate::store::testing::{Folder, fresh};
use crate::store::{DbConfig, DbError, OpenMode, Store, StoreError};

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_that_migrate_at_once_agree() {
    let folder = Folder::new();
    let (one, two) = (folder.open().await, folder.open().await);
    let (first, second) = tokio::join!(one.prepare(), two.prepare());
    first.expect("one migrates");
    second.expect("the other sees it");
    assert_eq!(one.instance().await.expect("an id"), two.instance().await.expect("the same"));
}

#[tokio::test]
async fn a_database_that_cannot_be_used_says_why() {
    let folder = Folder::new();
    let open = async |name: &str, mode| {
        let url = folder.path().join(name).display().to_string();
        Store::open(&DbConfig { url, auth_token: None }, mode).await.map(|_| ()).expect_err("no database")
    };
    assert!(matches!(open("missing.db", OpenMode::Existing).await, StoreError::Db(DbError::NotFound { .. })));
    let error = open("no/such/folder.db", OpenMode::Create).await;
    assert!(error.to_string().contains("no/such does not exist"), "{error}");
    let error = open("", OpenMode::Create).await;
    assert!(error.to_string().contains("it is a folder"), "{error}");
    std::fs::write(folder.path().join("text.db"), "this is a text and no database, ".repeat(64))
        .expect("a file");
    assert!(matches!(open("text.db", OpenMode::Create).await, StoreError::Db(DbError::Corrupt { .. })));
    let remote = DbConfig { url: "libsql://db.example".to_owned(), auth_token: Some("s3cret".to_owned()) };
    assert!(!format!("{remote:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_read_and_says_so_at_the_first_write() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.prepare().await.expect("a migrated database");
    let id = store.one("https://example.com/").await;
    let checkpoint = folder.open().await.rows("PRAGMA wal_checkpoint(TRUNCATE)").await;
    assert_eq!(checkpoint, ["0|0|0"], "no statement is left open");
    // A format version above 2 makes SQLite read a file only, even as root: https://sqlite.org/fileformat2.html
    let file = folder.path().join("test.db");
    let mut bytes = std::fs::read(&file).expect("the database");
    bytes[18] = 3;
    let copy = folder.path().join("copy.db");
    std::fs::write(&copy, bytes).expect("a copy");
    let config = DbConfig { url: copy.display().to_string(), auth_token: None };
    let store = Store::open(&config, OpenMode::Existing).await.expect("a readable database");
    assert_eq!(store.job(&id).await.expect("a look").map(|job| job.id), Some(id.clone()));
    let error = store.request_cancel(&id).await.expect_err("a write");
    assert!(matches!(error, StoreError::Db(DbError::NotWritable { .. })), "{error:?}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_busy_and_nothing_else() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.prepare().await.expect("a migrated database");
    let other = folder.open().await;
    let error = other
        .db
        .write(async move |_unit: &crate::db::Unit| {
            // The lock is held until the other's patience has run out.
            Ok::<_, StoreError>(store.submit(vec![crate::store::testing::new_job("local", "x")]).await)
        })
        .await
        .expect("the lock")
        .expect_err("the other holds it");
    assert!(matches!(error, StoreError::Db(DbError::Busy { .. })), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_connection_that_reads_cannot_write() {
    let (_folder, store) = fresh().await;
    let written: Result<u64, DbError> =
        store.db.read(async |unit: &crate::db::Unit| unit.execute("DELETE FROM meta", ()).await).await;
    assert!(matches!(written, Err(DbError::NotWritable { .. })), "{written:?}");
    assert!(store.instance().await.is_ok());
}
