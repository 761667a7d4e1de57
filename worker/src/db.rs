//! A libSQL database, in a file or on a server, and the connections to it: one writer, some readers, each owned by a
//! thread of its own because libSQL's local calls block. A unit of work runs on such a thread from beginning to end;
//! the caller may stop waiting for it but cannot stop it half way. Knows no table and never builds SQL from values.
//! Writes that wait for a file at the same time share its next commit.
//!
//! A server has one writer too: it would carry out transactions one after the other anyway, and what was written first
//! is answered first, which the renewals of leases rely on.

mod error;
mod file;
pub(crate) mod hrana;
mod location;
mod thread;
mod unit;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libsql::{Builder, Connection, OpenFlags};
use tokio::time::{Instant, sleep};

pub use error::DbError;
pub(crate) use unit::{Ask, Columns, Found, Unit};

use file::File;
use hrana::{Client, Stream};
use location::{Location, OpenFile};
use thread::ConnectionThreads;
use unit::Link;
use writer::Writer;

/// Milliseconds since the epoch by the database's clock, as an SQL expression. Leases, heartbeats and due times
/// are compared by this clock alone: hosts may disagree, the database does not.
macro_rules! now_ms {
    () => {
        "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"
    };
}
pub(crate) use now_ms;

/// Between two tries to make a file keep a write-ahead log.
const SWITCH_PAUSE: Duration = Duration::from_millis(10);

/// How long a statement waits for another process's write before it gives up as busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that only read. Two, so that a long listing does not hold up the short looks of the queue.
const READERS: usize = 2;

/// Units that only read, at a time, on a server: each waits for the network and not for a disk.
const REMOTE_READERS: usize = 4;

/// How long a call to a server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// What a worker does all the time. A server lets others wait 5 s for a writer before it says busy, and that answer
    /// is to come through; what comes later than the end of a lease is of no use to its holder.
    Short,
    /// What a person asks, over as many rows as there are.
    Long,
    /// A change of the tables, over all rows.
    Unhurried,
}

impl Patience {
    const fn deadline(self) -> Duration {
        match self {
            Self::Short => Duration::from_secs(6),
            Self::Long => Duration::from_secs(60),
            Self::Unhurried => Duration::from_secs(900),
        }
    }
}

/// Which database.
#[derive(Clone, PartialEq, Eq)]
pub struct DbConfig {
    /// `file:./local.db`, `file:/abs/local.db` or a path; `libsql://`, `https://` or `http://` for one on a server.
    pub url: String,
    /// For one on a server.
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
    place: Place,
    writer: Writer,
    readers: ConnectionThreads,
}

/// Where an open database is.
#[derive(Clone)]
enum Place {
    File(Arc<OpenFile>),
    Server(Client),
}

impl Place {
    fn check(&self) -> Result<(), DbError> {
        match self {
            Self::File(file) => file.check(),
            Self::Server(_) => Ok(()),
        }
    }
}

impl Db {
    pub(crate) async fn open(config: &DbConfig, mode: OpenMode) -> Result<Self, DbError> {
        match Location::parse(&config.url)? {
            Location::File(path) => Self::open_file(path, mode).await,
            Location::Remote(remote) => {
                Self::open_server(Client::new(remote, config.auth_token.as_deref())?).await
            }
        }
    }

    async fn open_file(path: PathBuf, mode: OpenMode) -> Result<Self, DbError> {
        match mode {
            OpenMode::Existing if !path.exists() => return Err(DbError::NotFound { path }),
            OpenMode::Existing => {}
            OpenMode::Create => location::check_folder(&path)?,
        }
        let file = |connection| Link::File(Box::new(File::new(connection)));
        let writer = connect(&path, mode, Use::Write).await?;
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            readers.push(file(connect(&path, OpenMode::Existing, Use::Read).await?));
        }
        Self::on(Place::File(Arc::new(OpenFile::at(path)?)), file(writer), readers)
    }

    /// A server makes databases for itself, so that there is nothing to create; that it answers is seen here.
    async fn open_server(client: Client) -> Result<Self, DbError> {
        let link = || Link::Server(Box::new(Stream::new(client.clone())));
        let readers = (0..REMOTE_READERS).map(|_| link()).collect();
        let db = Self::on(Place::Server(client.clone()), link(), readers)?;
        db.read(async |unit: &Unit| unit.query(FIRST_LOOK, (), |row| row.int(0)).await.map(|_: Vec<i64>| ()))
            .await?;
        Ok(db)
    }

    fn on(place: Place, writer: Link, readers: Vec<Link>) -> Result<Self, DbError> {
        #[cfg(test)]
        let deaf = Arc::default();
        let unit = |link| {
            #[cfg(test)]
            return Unit::on(link, Arc::clone(&deaf));
            #[cfg(not(test))]
            Unit::on(link)
        };
        Ok(Self {
            writer: Writer::start(unit(writer))?,
            readers: ConnectionThreads::start("safeurl-db-read", readers.into_iter().map(unit).collect())?,
            place,
        })
    }

    /// The database's file, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(file) => Some(file.path()),
            Place::Server(_) => None,
        }
    }

    /// The file, or the server's address without anything secret.
    pub(crate) fn place(&self) -> String {
        match &self.place {
            Place::File(file) => file.path().display().to_string(),
            Place::Server(client) => client.remote().to_string(),
        }
    }

    /// How many calls a server got from here.
    #[cfg(test)]
    pub(crate) fn round_trips(&self) -> u64 {
        match &self.place {
            Place::File(_) => 0,
            Place::Server(client) => client.calls(),
        }
    }

    /// How many rows a server read for these.
    #[cfg(test)]
    pub(crate) fn rows_read(&self) -> u64 {
        match &self.place {
            Place::File(_) => 0,
            Place::Server(client) => client.rows_read(),
        }
    }

    /// Runs a unit of work that only reads, without a transaction around it.
    pub(crate) async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Send + 'static,
    {
        self.look(Patience::Short, work).await
    }

    /// The same, for what may go over all rows.
    pub(crate) async fn survey<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Send + 'static,
    {
        self.look(Patience::Long, work).await
    }

    async fn look<T, E, W>(&self, patience: Patience, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Send + 'static,
    {
        let place = self.place.clone();
        let look = async move |unit: &Unit| {
            place.check()?;
            unit.is_patient(patience);
            work(unit).await
        };
        self.readers.run(look).await
    }

    /// Runs a unit of work in one transaction that has the write lock from the start: what it reads first
    /// still holds when it writes. An error undoes all of it. Runs it anew where the transaction came to nothing.
    pub(crate) async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Clone + Send + 'static,
    {
        self.writer.change(self.place.clone(), work).await
    }

    /// The same for what nobody is in a hurry for: it costs a file no commit of its own where others are written soon.
    pub(crate) async fn write_lingering<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Clone + Send + 'static,
    {
        self.writer.change_lingering(self.place.clone(), work).await
    }

    /// The same, for what changes the tables.
    pub(crate) async fn overhaul<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Clone + Send + 'static,
    {
        let place = self.place.clone();
        let overhaul = async move |unit: &Unit| {
            place.check()?;
            unit.is_patient(Patience::Unhurried);
            unit.transaction(work).await
        };
        self.writer.run(overhaul).await
    }

    /// Makes a file keep a write-ahead log, so that readers and the writer do not wait for each other. Lasts. A server
    /// keeps its own.
    pub(crate) async fn keep_wal(&self) -> Result<(), DbError> {
        if matches!(self.place, Place::Server(_)) {
            return Ok(());
        }
        let until = Instant::now() + BUSY_TIMEOUT;
        loop {
            match self.switch_to_wal().await {
                // Whoever else switches at the same moment is not waited for by SQLite itself.
                Err(DbError::Busy { .. }) if Instant::now() < until => sleep(SWITCH_PAUSE).await,
                switched => return switched,
            }
        }
    }

    async fn switch_to_wal(&self) -> Result<(), DbError> {
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

/// The first statement that touches the database: what is none is found here and not in a claim.
const FIRST_LOOK: &str = "SELECT count(*) FROM sqlite_schema";

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
        connection.query(FIRST_LOOK, ()).await?.next().await?;
        Ok(connection)
    };
    opened.await.map_err(|source| DbError::on_open(path, source))
}
