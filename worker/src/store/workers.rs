//! Worker processes and their heartbeats.

use libsql::params;

use super::hosts::FIND_FORSAKEN;
use super::settle::twice;
use super::{Result, Store, StoreError};
use crate::db::now_ms;
use crate::domain::scan::WorkerId;
use crate::domain::timestamp::Timestamp;

/// A worker process as it introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRow {
    /// Its name.
    pub id: WorkerId,
    /// The host it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// The engine whose containers it uses.
    pub engine_id: String,
    /// Attempts at a time.
    pub slots: u32,
}

/// A worker process as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerView {
    /// What it said of itself.
    pub row: WorkerRow,
    /// When it introduced itself.
    pub started: Timestamp,
    /// When it was last heard of.
    pub heartbeat: Timestamp,
    /// Attempts that it has ended, as of its last renewal.
    pub done: u64,
}

/// Rows of workers silent for this long go when the next one introduces itself, unless containers or jobs at work name
/// them: the row says which engine these are on.
const FORGET_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

pub(super) const FORGET: &str = concat!(
    "DELETE FROM workers WHERE heartbeat_ms < ",
    now_ms!(),
    " - ? AND NOT EXISTS (SELECT 1 FROM containers WHERE containers.worker = workers.id)
      AND NOT EXISTS (SELECT 1 FROM scan_jobs INDEXED BY scan_jobs_leased
        WHERE state IN ('FETCHING', 'ANALYZING') AND lease_owner = workers.id)"
);

impl Store {
    /// Introduces a worker, with its first heartbeat, and puts what wrongly waits into its way.
    ///
    /// # Errors
    /// The database's.
    pub async fn register(&self, worker: &WorkerRow) -> Result<()> {
        const REGISTER: &str = concat!(
            "INSERT OR REPLACE INTO workers (id, host, pid, version, engine_id, slots, started_ms, heartbeat_ms)
             VALUES (?, ?, ?, ?, ?, ?, ",
            now_ms!(),
            ", ",
            now_ms!(),
            ")"
        );
        twice(|| {
            let worker = worker.clone();
            self.db.write(async move |unit| {
                unit.execute_later(FORGET, [FORGET_AFTER_MS]).await?;
                unit.execute_later(FIND_FORSAKEN, ()).await?;
                let WorkerRow { id, host, pid, version, engine_id, slots } = worker;
                let values = params![id.as_str(), host, pid, version, engine_id, slots];
                Ok(unit.execute_later(REGISTER, values).await?)
            })
        })
        .await
    }

    /// Takes a worker off the list. It is dead from now on: call it when it holds nothing any more.
    ///
    /// # Errors
    /// The database's.
    pub async fn retire(&self, worker: &WorkerId) -> Result<()> {
        twice(|| {
            let worker = worker.clone();
            self.db.write(async move |unit| {
                Ok(unit.execute_later("DELETE FROM workers WHERE id = ?", [worker.as_str()]).await?)
            })
        })
        .await
    }

    /// All workers, the newest first; dead ones too.
    ///
    /// # Errors
    /// The database's.
    pub async fn workers(&self) -> Result<Vec<WorkerView>> {
        const ALL: &str = "SELECT id, host, pid, version, engine_id, slots, started_ms, heartbeat_ms,
            done FROM workers ORDER BY started_ms DESC, id DESC";
        self.db
            .read(async |unit| {
                unit.query(ALL, (), |row| {
                    Ok::<_, StoreError>(WorkerView {
                        row: WorkerRow {
                            id: WorkerId::from_row(row.text(0)?),
                            host: row.text(1)?,
                            pid: row.count(2)?,
                            version: row.text(3)?,
                            engine_id: row.text(4)?,
                            slots: row.count(5)?,
                        },
                        started: Timestamp::from_millis(row.int(6)?),
                        heartbeat: Timestamp::from_millis(row.int(7)?),
                        done: u64::try_from(row.int(8)?).unwrap_or_default(),
                    })
                })
                .await
            })
            .await
    }
}
