//! Whose tables a database has, and what becomes of it.

use crate::store::testing::{EXISTING, Folder, fresh};
use crate::store::{DbConfig, DbError, Migrated, OpenMode, Schema, Store, StoreError};

#[tokio::test]
async fn a_fresh_file_is_migrated_once() {
    let folder = Folder::new();
    let store = folder.open().await;
    assert_eq!(store.schema().await.expect("a look"), Schema::Empty);
    assert!(matches!(store.instance().await, Err(StoreError::NotMigrated)));
    assert_eq!(store.migrate().await.expect("a migration"), Migrated { from: 0, to: 3 });
    assert_eq!(store.schema().await.expect("a look"), Schema::Ours { version: 3 });
    let instance = store.instance().await.expect("an id");
    assert_eq!(store.migrate().await.expect("nothing to do"), Migrated { from: 3, to: 3 });
    store.prepare().await.expect("it is ours");
    assert_eq!(store.instance().await.expect("an id"), instance);
    // A connection that was open before knows the old mode until it reads again.
    assert_eq!(folder.open().await.rows("PRAGMA journal_mode").await, ["wal"]);
    assert_eq!(store.rows("PRAGMA foreign_key_check").await, Vec::<String>::new());
}

#[tokio::test]
async fn an_existing_installations_database_is_taken_over_by_migrate_alone() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.run(EXISTING).await;
    let before = store.rows("SELECT name, sql FROM sqlite_schema ORDER BY name").await;
    assert_eq!(store.schema().await.expect("a look"), Schema::Foreign);
    let error = store.prepare().await.expect_err("a person decides");
    assert!(matches!(error, StoreError::NotMigrated));
    assert!(error.to_string().contains("is not prepared yet"), "{error}");
    assert_eq!(store.rows("SELECT name, sql FROM sqlite_schema ORDER BY name").await, before);
    assert_eq!(store.migrate().await.expect("a migration"), Migrated { from: 0, to: 3 });
    store.prepare().await.expect("it is ours");
}

#[tokio::test]
async fn tables_without_a_schema_number_are_another_programs() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.run(include_str!("../../../../migrations/0001_safeurl_tables.sql")).await;
    store.run("CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);").await;
    assert_eq!(store.schema().await.expect("a look"), Schema::Foreign);
}

#[tokio::test]
async fn a_later_programs_database_is_left_alone() {
    let (_folder, store) = fresh().await;
    store.run("UPDATE meta SET value = '7' WHERE key = 'schema'").await;
    assert_eq!(store.schema().await.expect("a look"), Schema::Newer { version: 7 });
    for error in [store.prepare().await.expect_err("too new"), store.migrate().await.expect_err("too new")] {
        assert!(matches!(error, StoreError::NewerSchema { found: 7, known: 3 }));
        assert!(error.to_string().contains('7') && error.to_string().contains('3'), "{error}");
    }
}

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
    assert!(matches!(
        Store::open(&remote, OpenMode::Existing).await.map(|_| ()),
        Err(StoreError::Db(DbError::Remote { .. }))
    ));
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
async fn a_unit_of_work_that_panics_or_fails_changes_nothing_and_the_next_one_runs() {
    let (_folder, store) = fresh().await;
    let id = store.one("https://example.com/").await;
    let panicked: Result<(), StoreError> = store
        .db
        .write(async |unit: &crate::db::Unit| {
            unit.execute("DELETE FROM scan_jobs", ()).await?;
            panic!("in the middle")
        })
        .await;
    assert!(matches!(panicked, Err(StoreError::Db(DbError::Ended))));
    let failed: Result<(), StoreError> = store
        .db
        .write(async |unit: &crate::db::Unit| {
            unit.execute("DELETE FROM scan_jobs", ()).await?;
            Err(StoreError::NotMigrated)
        })
        .await;
    assert!(matches!(failed, Err(StoreError::NotMigrated)));
    let second = store.one("https://example.com/2").await;
    let ids: Vec<_> =
        store.jobs(Default::default()).await.expect("jobs").into_iter().map(|job| job.id).collect();
    assert_eq!(ids, [second, id]);
}

#[tokio::test]
async fn a_connection_that_reads_cannot_write() {
    let (_folder, store) = fresh().await;
    let written: Result<u64, DbError> =
        store.db.read(async |unit: &crate::db::Unit| unit.execute("DELETE FROM meta", ()).await).await;
    assert!(matches!(written, Err(DbError::NotWritable { .. })), "{written:?}");
    assert!(store.instance().await.is_ok());
}
