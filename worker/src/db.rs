//! A libSQL database and the connections to it: one writer, some readers, each owned by a thread of its own
//! because libSQL's local calls block. A unit of work runs on such a thread from beginning to end; the caller
//! may stop waiting for it but cannot stop it half way. Knows no table and never builds SQL from values.

mod error;
mod location;
mod thread;
mod unit;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use libsql::{Builder, Connection, OpenFlags};

pub use error::DbError;
pub(crate) use unit::{Columns, Unit};

use location::{Location, OpenFile};
use thread::ConnectionThreads;

/// Milliseconds since the epoch by the database's clock, as an SQL expression. Leases, heartbeats and due times
/// are compared by this clock alone: hosts may disagree, the database does not.
macro_rules! now_ms {
    () => {
        "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"
    };
}
pub(crate) use now_ms;

/// How long a statement waits for another process's write before it gives up as busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that only read. Two, so that a long listing does not hold up the short looks of the queue.
const READERS: usize = 2;

/// Which database.
#[derive(Clone, PartialEq, Eq)]
pub struct DbConfig {
    /// `file:./local.db`, `file:/abs/local.db` or a path.
    pub url: String,
    /// For remote databases.
    pub auth_token: Option<String>,
}

impl std::fmt::Debug for DbConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.auth_token.as_ref().map(|_| "***");
        f.debug_struct("DbConfig").field("url", &self.url).field("auth_token", &token).finish()
    }
}

/// Whether a missing database is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Make it.
    Create,
    /// It is an error.
    Existing,
}

/// An open database. Clones share the connections; with the last one they are closed.
#[derive(Clone)]
pub(crate) struct Db {
    file: Arc<OpenFile>,
    writer: ConnectionThreads,
    readers: ConnectionThreads,
}

impl Db {
    pub(crate) async fn open(config: &DbConfig, mode: OpenMode) -> Result<Self, DbError> {
        let Location::File(path) = Location::parse(&config.url)?;
        match mode {
            OpenMode::Existing if !path.exists() => return Err(DbError::NotFound { path }),
            OpenMode::Existing => {}
            OpenMode::Create => location::check_folder(&path)?,
        }
        let writer = connect(&path, mode, Use::Write).await?;
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            readers.push(connect(&path, OpenMode::Existing, Use::Read).await?);
        }
        Ok(Self {
            writer: ConnectionThreads::start("safeurl-db-write", vec![writer])?,
            readers: ConnectionThreads::start("safeurl-db-read", readers)?,
            file: Arc::new(OpenFile::at(path)?),
        })
    }

    /// The database's file.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Runs a unit of work that only reads, without a transaction around it.
    pub(crate) async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Send + 'static,
    {
        let file = Arc::clone(&self.file);
        let look = async move |unit: &Unit| {
            file.check()?;
            work(unit).await
        };
        self.readers.run(look).await
    }

    /// Runs a unit of work in one transaction that has the write lock from the start: what it reads first
    /// still holds when it writes. An error undoes all of it.
    pub(crate) async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Send + 'static,
    {
        let file = Arc::clone(&self.file);
        let change = async move |unit: &Unit| {
            file.check()?;
            unit.transaction(work).await
        };
        self.writer.run(change).await
    }

    /// Makes the file keep a write-ahead log, so that readers and the writer do not wait for each other. Lasts.
    pub(crate) async fn keep_wal(&self) -> Result<(), DbError> {
        self.writer
            .run(async |unit: &Unit| {
                let mode = unit.query("PRAGMA journal_mode = WAL", (), |row| row.text(0)).await?;
                match mode.first().map(String::as_str) {
                    Some("wal") => Ok(()),
                    other => Err(DbError::NoWal { mode: other.unwrap_or_default().to_owned() }),
                }
            })
            .await
    }
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Write,
    Read,
}

async fn connect(path: &Path, mode: OpenMode, purpose: Use) -> Result<Connection, DbError> {
    let flags = match mode {
        OpenMode::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        OpenMode::Existing => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let opened = async {
        let connection = Builder::new_local(path).flags(flags).build().await?.connect()?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // FULL: a commit that was answered is on the disk. Foreign keys are checked as the existing program does.
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON").await?;
        if purpose == Use::Read {
            connection.execute_batch("PRAGMA query_only = ON").await?;
        }
        // The first statement that touches the file: what is no database is found here and not in a claim.
        connection.query("SELECT count(*) FROM sqlite_schema", ()).await?.next().await?;
        Ok(connection)
    };
    opened.await.map_err(|source| DbError::on_open(path, source))
}
