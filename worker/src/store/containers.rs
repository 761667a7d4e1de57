//! Obligations: the containers that exist or may exist, each with the user id that it alone has on its engine.

use std::ops::RangeInclusive;

use libsql::params;
use serde_json::json;

use super::settle::{settled, twice};
use super::transitions::millis;
use super::{Result, Store, StoreError};
use crate::db::{Columns, Unit, now_ms};
use crate::domain::scan::{REAP_AFTER, WorkerId};
use crate::domain::timestamp::Timestamp;

/// The user ids of containers, as the table's check has them too.
const USER_IDS: RangeInclusive<u32> = 60600..=65533;

/// A container that is about to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obligation {
    /// The name that it gets.
    pub name: String,
    /// The engine that it gets it from.
    pub engine_id: String,
    /// Who removes it.
    pub worker: WorkerId,
    /// The folder that holds its gateway socket and nothing else.
    pub door: String,
    /// Digest of the attestation that its worker had.
    pub attestation: Option<String>,
}

/// A container that exists or may exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRow {
    /// What was written before its creation.
    pub obligation: Obligation,
    /// Its user id.
    pub uid: u32,
    /// The engine's name for it; `None` for one that no job was claimed for.
    pub container_id: Option<String>,
    /// When the obligation was written.
    pub created: Timestamp,
}

/// A container that is written down, and what decides whether it may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remnant {
    /// The row.
    pub container: ContainerRow,
    /// Its worker has not been heard of for [`REAP_AFTER`].
    pub silent: bool,
    /// A job at work is bound to it: its log may be the only copy of a report.
    pub bound: bool,
}

/// The columns that [`read_container`] reads, of a table or alias named `c`.
macro_rules! container_columns {
    () => {
        "c.name, c.engine_id, c.worker, c.door, c.uid, c.container_id, c.created_ms, c.attestation"
    };
}
pub(super) use container_columns;

/// How many columns [`container_columns`] has.
pub(super) const CONTAINER_COLUMNS: i32 = 8;

/// What was written down, with what decides whether it may be removed.
pub(super) const REMNANTS: &str = concat!(
    "SELECT ",
    container_columns!(),
    ", NOT EXISTS (SELECT 1 FROM workers WHERE id = c.worker AND heartbeat_ms >= ",
    now_ms!(),
    " - ?2), EXISTS (
       SELECT 1 FROM scan_jobs INDEXED BY scan_jobs_bound
       WHERE state IN ('FETCHING', 'ANALYZING') AND scan_jobs.container_id IN (c.container_id, c.name))
     FROM containers AS c WHERE c.engine_id = ?1 ORDER BY c.created_ms"
);

/// The conditions are those of [`REMNANTS`], looked at again in the statement that acts on them.
pub(super) const TAKE_OBLIGATION: &str = concat!(
    "UPDATE containers SET worker = ?1 WHERE name = ?2 AND worker = ?3
       AND NOT EXISTS (SELECT 1 FROM workers WHERE id = ?3 AND heartbeat_ms >= ",
    now_ms!(),
    " - ?4)
       AND NOT EXISTS (
         SELECT 1 FROM scan_jobs INDEXED BY scan_jobs_bound WHERE state IN ('FETCHING', 'ANALYZING')
           AND container_id IS NOT NULL AND container_id IN (containers.container_id, containers.name))"
);

pub(super) const ON_ENGINE: &str =
    concat!("SELECT ", container_columns!(), " FROM containers AS c WHERE c.engine_id = ?");

pub(super) fn read_container(row: &Columns, first: i32) -> Result<ContainerRow> {
    Ok(ContainerRow {
        obligation: Obligation {
            name: row.text(first)?,
            engine_id: row.text(first + 1)?,
            worker: WorkerId::from_row(row.text(first + 2)?),
            door: row.text(first + 3)?,
            attestation: row.opt_text(first + 7)?,
        },
        uid: row.count(first + 4)?,
        container_id: row.opt_text(first + 5)?,
        created: Timestamp::from_millis(row.int(first + 6)?),
    })
}

impl Store {
    /// Writes down that a container is about to be created, and gives it the lowest user id, from 60600 up, that no other
    /// container of the engine has.
    ///
    /// # Errors
    /// [`StoreError::NoUserId`]; [`DbError::Rejected`](super::DbError::Rejected) for a name that exists already; the
    /// database's.
    pub async fn oblige(&self, obligation: Obligation) -> Result<u32> {
        self.oblige_all(vec![obligation]).await?.pop().ok_or(StoreError::NoUserId)
    }

    /// The same for several of one worker, in the order of their names; for the first ones only where not enough user ids
    /// are left.
    ///
    /// # Errors
    /// As of [`Self::oblige`].
    pub async fn oblige_all(&self, obligations: Vec<Obligation>) -> Result<Vec<u32>> {
        let Some(Obligation { engine_id, worker, attestation, .. }) = obligations.first().cloned() else {
            return Ok(Vec::new());
        };
        let named: Vec<_> = obligations.into_iter().map(|one| (one.name, one.door)).collect();
        let oblige = |again: bool| {
            let (engine_id, worker, named) = (engine_id.clone(), worker.clone(), named.clone());
            let attestation = attestation.clone();
            self.db.write(async move |unit| {
                if again {
                    let values = params![json!(named).to_string(), worker.as_str()];
                    let before = unit.query(OBLIGED, values, |row| row.count(0)).await?;
                    if !before.is_empty() {
                        return Ok(before);
                    }
                }
                let in_use = unit.query(IN_USE, [engine_id.as_str()], |row| row.count(0)).await?;
                let free: Vec<_> = free(&in_use).take(named.len()).collect();
                let rows: Vec<_> =
                    named.iter().zip(&free).map(|((name, door), uid)| (name, door, uid)).collect();
                let values = params![json!(rows).to_string(), engine_id, worker.as_str(), attestation];
                unit.execute(OBLIGE, values).await?;
                Ok::<_, StoreError>(free)
            })
        };
        settled(oblige(false).await, oblige(true)).await
    }

    /// Takes the obligation of a silent worker over, so that this one may remove the container: a worker that was only
    /// stopped cannot claim a job for it any more. `false` when it was heard of, a job at work is bound to it, or it is
    /// gone.
    ///
    /// # Errors
    /// The database's.
    pub async fn take_obligation(&self, name: &str, from: &WorkerId, me: &WorkerId) -> Result<bool> {
        const MINE: &str = "SELECT 1 FROM containers WHERE name = ? AND worker = ?";
        let take = |again: bool| {
            let (name, from, me) = (name.to_owned(), from.clone(), me.clone());
            self.db.write(async move |unit| {
                let values = params![me.as_str(), name.as_str(), from.as_str(), millis(REAP_AFTER)];
                if unit.execute(TAKE_OBLIGATION, values).await? > 0 {
                    return Ok::<_, StoreError>(true);
                }
                let mine = params![name.as_str(), me.as_str()];
                Ok(again && unit.first(MINE, mine, |row| row.int(0)).await?.is_some())
            })
        };
        settled(take(false).await, take(true)).await
    }

    /// Ends an obligation: the container is removed, or certainly was never created. Its user id is free again.
    ///
    /// # Errors
    /// The database's.
    pub async fn container_gone(&self, name: &str) -> Result<()> {
        twice(|| self.db.write(gone(name))).await
    }

    /// The same for several, of which no container was ever made.
    ///
    /// # Errors
    /// The database's.
    pub async fn containers_gone(&self, names: &[String]) -> Result<()> {
        const GONE: &str = "DELETE FROM containers WHERE name IN (SELECT value FROM json_each(?))";
        let names = json!(names).to_string();
        twice(|| {
            let names = names.clone();
            self.db.write(async move |unit| Ok(unit.execute_later(GONE, [names]).await?))
        })
        .await
    }

    /// The same with whatever is written next, or a moment later: nobody waits for that user id.
    ///
    /// # Errors
    /// The database's.
    pub async fn container_gone_by_and_by(&self, name: &str) -> Result<()> {
        twice(|| self.db.write_lingering(gone(name))).await
    }

    /// Every container of an engine that is written down, with what decides whether it may be removed.
    ///
    /// # Errors
    /// The database's.
    pub async fn remnants(&self, engine_id: &str) -> Result<Vec<Remnant>> {
        let values = params![engine_id, millis(REAP_AFTER)];
        let read = |row: &Columns<'_>| {
            let container = read_container(row, 0)?;
            Ok::<_, StoreError>(Remnant {
                container,
                silent: row.flag(CONTAINER_COLUMNS)?,
                bound: row.flag(CONTAINER_COLUMNS + 1)?,
            })
        };
        self.db.read(async move |unit| unit.query(REMNANTS, values, read).await).await
    }

    /// Every container of an engine that exists or may exist.
    ///
    /// # Errors
    /// The database's.
    pub async fn containers(&self, engine_id: &str) -> Result<Vec<ContainerRow>> {
        let values = params![engine_id];
        self.db
            .read(async move |unit| unit.query(ON_ENGINE, values, |row| read_container(row, 0)).await)
            .await
    }
}

/// The user ids that are left, from the lowest on; `in_use` is in order.
fn free(in_use: &[u32]) -> impl Iterator<Item = u32> {
    USER_IDS.filter(|uid| in_use.binary_search(uid).is_err())
}

/// Ends one obligation.
fn gone(name: &str) -> impl AsyncFnOnce(&Unit) -> Result<()> + Clone + Send + 'static {
    let name = name.to_owned();
    async move |unit: &Unit| Ok(unit.execute_later("DELETE FROM containers WHERE name = ?", [name]).await?)
}

/// User ids that containers of an engine have.
pub(super) const IN_USE: &str = "SELECT uid FROM containers WHERE engine_id = ? ORDER BY uid";

/// `?1` has a name, its door and its user id for each.
const OBLIGE: &str = concat!(
    "INSERT INTO containers (name, engine_id, uid, worker, door, attestation, created_ms)
     SELECT value ->> 0, ?2, value ->> 2, ?3, value ->> 1, ?4, ",
    now_ms!(),
    " FROM json_each(?1)"
);

/// What an earlier try of the same wrote.
const OBLIGED: &str = "SELECT containers.uid FROM json_each(?1) AS named
     JOIN containers ON containers.name = named.value ->> 0 AND containers.worker = ?2 ORDER BY containers.uid";

/// Whether a job at work is bound to a container, by the engine's name or by ours.
pub(super) const IS_BOUND: &str = "SELECT 1 FROM scan_jobs INDEXED BY scan_jobs_bound
     WHERE state IN ('FETCHING', 'ANALYZING') AND container_id IN (?, ?) LIMIT 1";

/// Whether a worker holds a job or has a container written down.
pub(super) const HOLDS: &str = "SELECT EXISTS (SELECT 1 FROM containers WHERE worker = ?1)
       OR EXISTS (SELECT 1 FROM scan_jobs INDEXED BY scan_jobs_leased
         WHERE state IN ('FETCHING', 'ANALYZING') AND lease_owner = ?1)";

impl Store {
    /// Whether a job at work is bound to the container of this id or name.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_bound(&self, container_id: &str, name: &str) -> Result<bool> {
        let values = params![container_id, name];
        let found = self.db.read(async move |unit| unit.first(IS_BOUND, values, |row| row.int(0)).await);
        Ok(found.await?.is_some())
    }

    /// Whether a job is held by this worker, or a container of it is or may be there.
    ///
    /// # Errors
    /// The database's.
    pub async fn holds_anything(&self, worker: &WorkerId) -> Result<bool> {
        let values = params![worker.as_str()];
        let found = self.db.read(async move |unit| unit.first(HOLDS, values, |row| row.flag(0)).await);
        Ok(found.await?.unwrap_or_default())
    }

    /// The folders of the gateway sockets of all containers that are written down, whichever engine has them.
    ///
    /// # Errors
    /// The database's.
    pub async fn doors(&self) -> Result<Vec<String>> {
        const DOORS: &str = "SELECT door FROM containers";
        Ok(self.db.read(async |unit| unit.query(DOORS, (), |row| row.text(0)).await).await?)
    }
}
