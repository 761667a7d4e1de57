//! Whose tables a database has, and what becomes of it.

use super::{folder, fresh};
use crate::store::testing::EXISTING;
use crate::store::{DbError, Migrated, Schema, StoreError};

#[tokio::test]
async fn a_fresh_file_is_migrated_once() {
    let folder = folder();
    let store = folder.open().await;
    assert_eq!(store.schema().await.expect("a look"), Schema::Empty);
    assert!(matches!(store.instance().await, Err(StoreError::NotMigrated)));
    assert_eq!(store.migrate().await.expect("a migration"), Migrated { from: 0, to: 5 });
    assert_eq!(store.schema().await.expect("a look"), Schema::Ours { version: 5 });
    let instance = store.instance().await.expect("an id");
    assert_eq!(store.migrate().await.expect("nothing to do"), Migrated { from: 5, to: 5 });
    store.prepare().await.expect("it is ours");
    assert_eq!(store.instance().await.expect("an id"), instance);
    // A connection that was open before knows the old mode until it reads again.
    assert_eq!(folder.open().await.rows("PRAGMA journal_mode").await, ["wal"]);
    assert_eq!(store.rows("PRAGMA foreign_key_check").await, Vec::<String>::new());
}

#[tokio::test]
async fn an_existing_installations_database_is_taken_over_by_migrate_alone() {
    let folder = folder();
    let store = folder.open().await;
    store.run(EXISTING).await;
    let before = store.rows("SELECT name, sql FROM sqlite_schema ORDER BY name").await;
    assert_eq!(store.schema().await.expect("a look"), Schema::Foreign);
    let error = store.prepare().await.expect_err("a person decides");
    assert!(matches!(error, StoreError::NotMigrated));
    assert!(error.to_string().contains("is not prepared yet"), "{error}");
    assert_eq!(store.rows("SELECT name, sql FROM sqlite_schema ORDER BY name").await, before);
    assert_eq!(store.migrate().await.expect("a migration"), Migrated { from: 0, to: 5 });
    store.prepare().await.expect("it is ours");
}

#[tokio::test]
async fn tables_without_a_schema_number_are_another_programs() {
    let folder = folder();
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
        assert!(matches!(error, StoreError::NewerSchema { found: 7, known: 5 }));
        assert!(error.to_string().contains('7') && error.to_string().contains('5'), "{error}");
    }
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
