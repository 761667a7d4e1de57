//! What can go wrong with a database, by what the caller can do about it.

use std::path::{Path, PathBuf};

/// Trouble with the database itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// The setting is wrong.
    #[error("cannot read {url:?} as the place of a database: {reason}")]
    Location {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nothing is there.
    #[error("there is no database at {}", .path.display())]
    NotFound {
        /// Where.
        path: PathBuf,
    },
    /// Its folder is missing, or the process may not write there.
    #[error("the database {} cannot be opened: {reason}", .path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It is there and can be read, but not written.
    #[error("the database cannot be written to")]
    NotWritable {
        /// What libSQL says.
        source: libsql::Error,
    },
    /// Another program writes for too long. A retry may succeed.
    #[error("the database is busy")]
    Busy {
        /// What libSQL says.
        source: libsql::Error,
    },
    /// The disk is full, reading or writing it failed, or the server does not answer; nothing was written. A retry may
    /// succeed once that is over.
    #[error("the database is not available")]
    Unavailable {
        /// What libSQL says.
        source: libsql::Error,
    },
    /// The disk or the connection failed at the end of a transaction: it is there as a whole or not at all, but which is not known. A
    /// retry may succeed, and has to look whether the first try did.
    #[error("the database did not say whether it took the write")]
    Unanswered {
        /// What libSQL says.
        source: libsql::Error,
    },
    /// Its file was removed, moved or replaced while it was open. What is written would be lost with the old file, or
    /// hold for another database; a retry succeeds once the file is back.
    #[error("the database file {} is not the one that was opened", .path.display())]
    Moved {
        /// Where it was.
        path: PathBuf,
    },
    /// The server does not let this program in.
    #[error("{url} refuses the token (HTTP status {status}): {said}")]
    Denied {
        /// Which server.
        url: String,
        /// 401 or 403.
        status: u16,
        /// What it says.
        said: String,
    },
    /// The server has no such database.
    #[error("there is no database at {url}: {said}")]
    Absent {
        /// Where it was looked for.
        url: String,
        /// What the server says.
        said: String,
    },
    /// The server is not the one that it should be, or speaks no TLS that this program speaks.
    #[error("the server at {url} cannot be trusted")]
    Untrusted {
        /// Which server.
        url: String,
        /// What TLS says.
        source: rustls::Error,
    },
    /// Not a database, or a damaged one.
    #[error("the file is not a database or is damaged")]
    Corrupt {
        /// What libSQL says.
        source: libsql::Error,
    },
    /// A constraint of a table forbids the row.
    #[error("the database refuses the row")]
    Rejected {
        /// What libSQL says.
        source: libsql::Error,
    },
    /// The statement cannot be carried out: the tables are not those that this program made.
    #[error("a statement failed")]
    Statement {
        /// What libSQL says.
        source: libsql::Error,
    },
    /// A column holds something else than its table says.
    #[error("column {column} of a row holds {found}")]
    Column {
        /// Its place in the statement.
        column: i32,
        /// What was there.
        found: &'static str,
    },
    /// The file system cannot keep a write-ahead log.
    #[error("the database cannot keep a write-ahead log, its journal mode stays {mode:?}")]
    NoWal {
        /// What it keeps instead.
        mode: String,
    },
    /// The unit of work panicked or the connection is closed.
    #[error("the database connection ended before it answered")]
    Ended,
}

impl DbError {
    /// Whether the same call may succeed later with nothing changed about it: the trouble is around the database.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. } | Self::Unavailable { .. } | Self::Unanswered { .. } | Self::Moved { .. }
        )
    }

    /// The error of opening a file.
    pub(super) fn on_open(path: &Path, source: libsql::Error) -> Self {
        match source {
            libsql::Error::ConnectionFailed(reason) => Self::Unusable { path: path.to_owned(), reason },
            other => match Self::from(other) {
                Self::Unavailable { source } => {
                    Self::Unusable { path: path.to_owned(), reason: source.to_string() }
                }
                other => other,
            },
        }
    }
}

impl From<libsql::Error> for DbError {
    fn from(source: libsql::Error) -> Self {
        // The low byte of an extended code is the code: https://sqlite.org/rescode.html
        let code = match &source {
            libsql::Error::SqliteFailure(code, _) => *code & 0xff,
            _ => return Self::Statement { source },
        };
        match code {
            5 | 6 => Self::Busy { source },
            8 => Self::NotWritable { source },
            7 | 10 | 13 | 14 | 15 => Self::Unavailable { source },
            11 | 26 => Self::Corrupt { source },
            19 => Self::Rejected { source },
            _ => Self::Statement { source },
        }
    }
}
