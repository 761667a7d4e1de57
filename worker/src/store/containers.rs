//! Obligations: the containers that exist or may exist, each with the user id that it alone has on its engine.

use libsql::params;

use super::transitions::millis;
use super::{Result, Store};
use crate::db::{Columns, DbError, now_ms};
use crate::domain::scan::{REAP_AFTER, WorkerId};
use crate::domain::timestamp::Timestamp;

/// A container that is about to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obligation {
    /// The name that it gets.
    pub name: String,
    /// The engine that it gets it from.
    pub engine_id: String,
    /// Who removes it.
    pub worker: WorkerId,
    /// The folder of its gateway socket.
    pub door: String,
}

/// A container that exists or may exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRow {
    /// What was written before its creation.
    pub obligation: Obligation,
    /// Its user id.
    pub uid: u32,
    /// The engine's name for it; `None` when the create was never answered.
    pub container_id: Option<String>,
    /// When the obligation was written.
    pub created: Timestamp,
}

/// Containers of silent workers, but none that a job at work is bound to: its log may be the only copy of a
/// report.
pub(super) const TO_REAP: &str = concat!(
    "SELECT c.name, c.engine_id, c.worker, c.door, c.uid, c.container_id, c.created_ms FROM containers AS c
     WHERE c.engine_id = ? AND c.worker <> ?
       AND NOT EXISTS (SELECT 1 FROM workers WHERE id = c.worker AND heartbeat_ms >= ",
    now_ms!(),
    " - ?)
       AND NOT EXISTS (
         SELECT 1 FROM scan_jobs INDEXED BY scan_jobs_leased
         WHERE state IN ('FETCHING', 'ANALYZING') AND scan_jobs.container_id IN (c.container_id, c.name))
     ORDER BY c.created_ms"
);

pub(super) const ON_ENGINE: &str =
    "SELECT name, engine_id, worker, door, uid, container_id, created_ms FROM containers WHERE engine_id = ?";

fn read_container(row: &Columns) -> Result<ContainerRow> {
    Ok(ContainerRow {
        obligation: Obligation {
            name: row.text(0)?,
            engine_id: row.text(1)?,
            worker: WorkerId::from_row(row.text(2)?),
            door: row.text(3)?,
        },
        uid: row.count(4)?,
        container_id: row.opt_text(5)?,
        created: Timestamp::from_millis(row.int(6)?),
    })
}

impl Store {
    /// Writes down that a container is about to be created, and gives it the lowest user id, from 60600 up,
    /// that no other container of the engine has.
    ///
    /// # Errors
    /// [`DbError::Rejected`] for a name that exists already, and when no user id is left; the database's.
    pub async fn oblige(&self, obligation: Obligation) -> Result<u32> {
        const OBLIGE: &str = concat!(
            "INSERT INTO containers (name, engine_id, uid, worker, door, created_ms)
             SELECT ?1, ?2, min(free), ?3, ?4, ",
            now_ms!(),
            " FROM (SELECT 60600 AS free UNION ALL SELECT uid + 1 FROM containers WHERE engine_id = ?2)
             WHERE free NOT IN (SELECT uid FROM containers WHERE engine_id = ?2)
             RETURNING uid"
        );
        self.db
            .write(async move |unit| {
                let Obligation { name, engine_id, worker, door } = obligation;
                let values = params![name, engine_id, worker.as_str(), door];
                let uid = unit.first(OBLIGE, values, |row| row.count(0)).await?;
                Ok(uid.ok_or(DbError::Column { column: 0, found: "nothing where a user id belongs" })?)
            })
            .await
    }

    /// Adds the engine's name of a container once the create was answered.
    ///
    /// # Errors
    /// The database's.
    pub async fn container_created(&self, name: &str, container_id: &str) -> Result<()> {
        let values = params![container_id, name];
        self.db
            .write(async move |unit| {
                unit.execute("UPDATE containers SET container_id = ? WHERE name = ?", values).await?;
                Ok(())
            })
            .await
    }

    /// Ends an obligation: the container is removed, or certainly was never created. Its user id is free again.
    ///
    /// # Errors
    /// The database's.
    pub async fn container_gone(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.db
            .write(async move |unit| {
                unit.execute("DELETE FROM containers WHERE name = ?", [name]).await?;
                Ok(())
            })
            .await
    }

    /// Containers of this engine whose worker has been silent for [`REAP_AFTER`] and that no job at work is
    /// bound to. The caller's own are never among them: it knows those itself.
    ///
    /// # Errors
    /// The database's.
    pub async fn containers_to_reap(&self, engine_id: &str, me: &WorkerId) -> Result<Vec<ContainerRow>> {
        let values = params![engine_id, me.as_str(), millis(REAP_AFTER)];
        self.db.read(async move |unit| unit.query(TO_REAP, values, read_container).await).await
    }

    /// Every container of an engine that exists or may exist.
    ///
    /// # Errors
    /// The database's.
    pub async fn containers(&self, engine_id: &str) -> Result<Vec<ContainerRow>> {
        let values = params![engine_id];
        self.db.read(async move |unit| unit.query(ON_ENGINE, values, read_container).await).await
    }
}
