//! Opening the database for a command, and what its troubles mean to a person.

use super::assemble;
use super::problem::Annotate;
use crate::config::Settings;
use crate::store::{DbError, OpenMode, Store, StoreError};

/// Opens it as it is.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn open(settings: &Settings, mode: OpenMode) -> anyhow::Result<Store> {
    Store::open(&assemble::database(settings), mode).await.or_else(explain)
}

/// Opens it for work: a file that is empty or an older one of ours is migrated.
///
/// # Errors
/// As [`open`]; and a database that is an existing installation's or of a newer program.
pub(super) async fn open_ready(settings: &Settings, mode: OpenMode) -> anyhow::Result<Store> {
    let store = open(settings, mode).await?;
    store.prepare().await.or_else(explain)?;
    Ok(store)
}

fn explain<T>(error: StoreError) -> anyhow::Result<T> {
    match error {
        StoreError::Db(DbError::Location { .. }) => Err(error).usage(),
        other => Err(other.into()),
    }
}
