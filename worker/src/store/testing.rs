//! What the store's and the queue's tests share: databases in folders that go with the test, jobs and edges.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Claim, DbConfig, NewJob, OpenMode, Ready, Store, WorkerRow};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::{Lease, Method, Options, ScanId, WorkerId};
use crate::domain::state::{Event, State, Transition, step};

/// The tables, indexes and rows of an installation as it was before this program came.
pub(crate) const EXISTING: &str = include_str!("../../../tests/fixtures/existing.sql");

#[path = "../../../tests/support/sqld.rs"]
#[expect(dead_code, reason = "the tests of the whole program use the rest")]
pub(crate) mod sqld;

/// What keeps a test's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Server,
}

impl Kind {
    /// The kind that a module of tests is for, by its name.
    pub(crate) const fn of(module: &str) -> Self {
        match module.as_bytes().split_last_chunk() {
            Some((_, b"_on_sqld")) => Self::Server,
            _ => Self::File,
        }
    }
}

/// A folder that goes with the value, and the server on it if there is one.
pub(crate) struct Folder {
    // First, so that the server is gone before its files.
    server: Option<sqld::Sqld>,
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self::of(Kind::File)
    }

    pub(crate) fn of(kind: Kind) -> Self {
        let path = std::env::temp_dir().join(format!("safeurl-store-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).expect("a folder for the test");
        let server = (kind == Kind::Server).then(|| sqld::Sqld::start(&path));
        Self { server, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn server(&mut self) -> &mut sqld::Sqld {
        self.server.as_mut().expect("a database on a server")
    }

    pub(crate) fn database(&self) -> DbConfig {
        let url = match &self.server {
            Some(server) => server.url(),
            None => self.path.join("test.db").display().to_string(),
        };
        DbConfig { url, auth_token: None }
    }

    /// Opens the folder's database without preparing it.
    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.database(), OpenMode::Create).await.expect("a database in the test's folder")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.server = None;
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A store on a fresh database.
pub(crate) async fn fresh() -> (Folder, Store) {
    fresh_on(Kind::File).await
}

/// The same, on either kind.
pub(crate) async fn fresh_on(kind: Kind) -> (Folder, Store) {
    let folder = Folder::of(kind);
    let store = folder.open().await;
    store.migrate().await.expect("a migrated database");
    (folder, store)
}

/// A store on a database that was an existing installation's, taken over.
pub(crate) async fn taken_over_on(kind: Kind) -> (Folder, Store) {
    let folder = Folder::of(kind);
    let store = folder.open().await;
    store.run(EXISTING).await;
    store.migrate().await.expect("a migrated database");
    (folder, store)
}

impl Store {
    /// Runs a script, as another program on the same database would.
    pub(crate) async fn run(&self, sql: &str) {
        let sql = sql.to_owned();
        let done: super::Result<()> = self.db.write(async move |unit| Ok(unit.script(&sql).await?)).await;
        done.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    }

    /// All rows of a statement, the columns of each joined by `|`.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let sql = sql.to_owned();
        let rows: super::Result<_> = self
            .db
            .read(async move |unit| {
                unit.query(&sql, (), |row| {
                    let mut columns = Vec::new();
                    for column in 0..row.len() {
                        columns.push(row.opt_text(column)?.unwrap_or_else(|| "null".to_owned()));
                    }
                    Ok(columns.join("|"))
                })
                .await
            })
            .await;
        rows.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
    }

    /// Commits and then fails, so many times from now on.
    pub(crate) async fn lose_answers(&self, count: u32) {
        let told: super::Result<()> = self
            .db
            .write(async move |unit| {
                // This unit's own answer is the first one lost.
                unit.deaf.store(count + 1, std::sync::atomic::Ordering::Relaxed);
                // Something has to be committed.
                Ok(unit.execute("UPDATE meta SET value = value", ()).await.map(|_| ())?)
            })
            .await;
        assert!(matches!(told, Err(super::StoreError::Db(super::DbError::Unanswered { .. }))));
    }

    /// Submits one job of `local`.
    pub(crate) async fn one(&self, url: &str) -> ScanId {
        self.submit(vec![new_job("local", url)]).await.expect("a job").remove(0)
    }

    /// A container of a worker, which is written down where it is not yet.
    pub(crate) async fn ready(&self, worker: &WorkerId) -> Ready {
        let ready = ready(worker);
        let name = &ready.name;
        if self.rows(&format!("SELECT 1 FROM containers WHERE name = '{name}'")).await.is_empty() {
            self.run(&format!(
                "INSERT OR IGNORE INTO containers (name, engine_id, uid, worker, door, created_ms)
                 SELECT '{name}', 'engine', coalesce(max(uid), 60599) + 1, '{worker}', '/run/{name}', 0
                 FROM containers WHERE engine_id = 'engine'"
            ))
            .await;
        }
        ready
    }

    /// Claims what comes first for a container of the worker.
    pub(crate) async fn take(&self, worker: &WorkerId) -> Option<Lease> {
        self.take_of(worker, false).await
    }

    /// The same of the rows reserved for the worker, or of those reserved for nobody.
    pub(crate) async fn take_of(&self, worker: &WorkerId, reserved: bool) -> Option<Lease> {
        self.try_to_take(worker, reserved).await.expect("an answer")
    }

    pub(crate) async fn try_to_take(
        &self,
        worker: &WorkerId,
        reserved: bool,
    ) -> super::Result<Option<Lease>> {
        let container = self.ready(worker).await;
        self.claim(Claim { worker, container: &container, reserved }).await
    }

    /// Registers a worker with a living heartbeat.
    pub(crate) async fn worker(&self) -> WorkerId {
        let id = WorkerId::fresh();
        let row = WorkerRow {
            id: id.clone(),
            host: "host".to_owned(),
            pid: 1,
            version: "0".to_owned(),
            engine_id: "engine".to_owned(),
            slots: 2,
        };
        self.register(&row).await.expect("a worker");
        id
    }

    /// Moves a worker's heartbeat and its leases into the past.
    pub(crate) async fn age(&self, worker: &WorkerId, by: Duration) {
        let by = by.as_millis();
        self.run(&format!(
            "UPDATE workers SET heartbeat_ms = heartbeat_ms - {by} WHERE id = '{worker}';
             UPDATE scan_jobs SET lease_until = lease_until - {by} WHERE lease_owner = '{worker}';"
        ))
        .await;
    }
}

/// The names of a worker's container in tests.
pub(crate) fn ready(worker: &WorkerId) -> Ready {
    Ready { name: format!("box-{worker}"), id: format!("id-{worker}") }
}

pub(crate) fn new_job(user: &str, url: &str) -> NewJob {
    NewJob {
        id: ScanId::fresh(),
        user: user.to_owned(),
        url: url.to_owned(),
        options: Options::default(),
        priority: 0,
        method: Method::Cli,
        max_attempts: 3,
        reserved_for: None,
        delay: None,
    }
}

pub(crate) fn edge(state: State, event: Event) -> Transition {
    step(state, event).expect("an edge of the table")
}

pub(crate) fn failure(class: FailureClass) -> Failure {
    Failure::new(class, FailureStage::Fetch, "why")
}
