//! What can go wrong with the rows, by what the caller can do about it.

use crate::db::DbError;
use crate::domain::scan::WorkerId;

/// Trouble of a call that is nobody's answer. A conflict, an unknown id or an empty queue are answers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Trouble with the database itself.
    #[error(transparent)]
    Db(#[from] DbError),
    /// It has tables, but not ours yet.
    #[error("the database belongs to an existing installation and is not prepared yet")]
    NotMigrated,
    /// It is on a server, and empty or an earlier version's: changing its tables is a decision of a person, because
    /// others may be at work on it.
    #[error("the remote database is not prepared for this version yet")]
    NotPrepared,
    /// A later version of this program was here.
    #[error("the database has schema {found}, this program knows {known} at most")]
    NewerSchema {
        /// Its schema.
        found: u32,
        /// The newest schema of this program.
        known: u32,
    },
    /// The worker's row is gone, and without a heartbeat it counts as dead: it introduces itself again.
    #[error("worker {worker} is not registered")]
    UnknownWorker {
        /// Its name.
        worker: WorkerId,
    },
    /// A row holds what this program cannot read.
    #[error("cannot read row {id:?} of {table}: {what}")]
    Row {
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
        /// What is wrong with it.
        what: String,
    },
    /// The reaper has taken the container that a job was to be claimed for: it goes, and gets no job.
    #[error("container {container} is not this worker's any more")]
    ContainerTaken {
        /// Its name.
        container: String,
    },
    /// As many containers are written down for the engine as there are user ids for them.
    #[error("no user id is left for another container on this engine")]
    NoUserId,
    /// The caller asked for an edge in a way that cannot be written.
    #[error("cannot write this edge: {what}")]
    Unfit {
        /// What is missing or too much.
        what: &'static str,
    },
}

impl StoreError {
    /// Whether the same call may succeed later with nothing changed about it: busy, full, gone for a while.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Db(error) => error.is_transient(),
            Self::NotMigrated
            | Self::NotPrepared
            | Self::NewerSchema { .. }
            | Self::UnknownWorker { .. }
            | Self::ContainerTaken { .. }
            | Self::NoUserId
            | Self::Row { .. }
            | Self::Unfit { .. } => false,
        }
    }
}
