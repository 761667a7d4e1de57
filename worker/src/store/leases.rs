//! Keeping leases, and what is due when.

use std::sync::Arc;
use std::time::Duration;

use libsql::params;

use super::claim::{lock, readable_id, release_unheard, reserved_due, shared_due};
use super::hosts::{self, COULD_COME_BACK, NEXT_ROOM, Politeness, WITH_ROOM};
use super::transitions::millis;
use super::{Result, Store, StoreError};
use crate::db::{Ask, Found, Unit, now_ms};
use crate::domain::scan::{LEASE, ScanId, WorkerId};

/// A lease that was prolonged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its job.
    pub id: ScanId,
    /// A person asked to stop it.
    pub cancel_requested: bool,
}

pub(super) const RENEW: &str = concat!(
    "UPDATE scan_jobs INDEXED BY scan_jobs_leased SET lease_until = ",
    now_ms!(),
    " + ? WHERE lease_owner = ? AND state IN ('FETCHING', 'ANALYZING')
     RETURNING CAST(id AS BLOB), cancel_requested"
);

/// Milliseconds until the next delayed row is due; negative when it is.
pub(super) const NEXT_DELAYED: &str = concat!(
    "SELECT run_at - ",
    now_ms!(),
    " FROM scan_jobs INDEXED BY scan_jobs_delayed
     WHERE state = 'QUEUED' AND ready = 0 AND run_at IS NOT NULL ORDER BY run_at LIMIT 1"
);

pub(super) const PROMOTE: &str = concat!(
    "UPDATE scan_jobs INDEXED BY scan_jobs_delayed SET ready = 1
     WHERE state = 'QUEUED' AND ready = 0 AND run_at <= ",
    now_ms!()
);

pub(super) const SHARED_DUE: &str = concat!("SELECT 1", shared_due!(), readable_id!(), " LIMIT 1");

pub(super) const RESERVED_DUE: &str = concat!("SELECT 1", reserved_due!(), readable_id!(), " LIMIT 1");

/// `LIMIT ? + 0` and not `LIMIT ?`, as in all that is asked often: SQLite plans a statement with the limit that is bound,
/// and so plans it anew each time it is.
pub(super) const SHARED_COUNT: &str = "SELECT count(*) FROM (
    SELECT 1 FROM scan_jobs INDEXED BY scan_jobs_claim
    WHERE state = 'QUEUED' AND ready = 1 AND reserved_for IS NULL LIMIT ? + 0)";

pub(super) const RESERVED_COUNT: &str = "SELECT count(*) FROM (
    SELECT 1 FROM scan_jobs INDEXED BY scan_jobs_reserved
    WHERE state = 'QUEUED' AND ready = 1 AND reserved_for = ? LIMIT ? + 0)";

impl Store {
    /// Prolongs all leases of a worker and writes its heartbeat. A job that the worker holds and that is not in
    /// the answer is lost. One in the answer that it does not hold any more is to be released by it: as long as
    /// the worker lives, its leases do not run out. Claims whose answer nobody waited for are released here.
    /// `done` is how many attempts the worker has ended so far, for those who list the workers.
    ///
    /// # Errors
    /// [`StoreError::UnknownWorker`] for one that is not registered; the database's.
    pub async fn renew(&self, worker: &WorkerId, done: u64) -> Result<Vec<Held>> {
        const HEARTBEAT: &str =
            concat!("UPDATE workers SET heartbeat_ms = ", now_ms!(), ", done = ? WHERE id = ? RETURNING 1");
        let done = i64::try_from(done).unwrap_or(i64::MAX);
        let worker = worker.clone();
        let unheard = Arc::clone(&self.unheard);
        let (held, released) = self
            .db
            .write(async move |unit| {
                // Read here and not before: a claim that is still in front of this unit may be dropped too.
                let released = lock(&unheard).clone();
                release_unheard(unit, &released).await?;
                let [known, held] = unit
                    .together([
                        Ask::new(HEARTBEAT, params![done, worker.as_str()])?,
                        Ask::new(RENEW, params![millis(LEASE), worker.as_str()])?,
                    ])
                    .await?;
                if known.is_empty() {
                    return Err(StoreError::UnknownWorker { worker });
                }
                let held = held.read(|row| {
                    let id = row.text(0)?;
                    let wrong = |error: crate::domain::scan::ScanIdError| StoreError::Row {
                        table: "scan_jobs",
                        id: id.clone(),
                        what: error.to_string(),
                    };
                    let id = ScanId::parse(id.as_str()).map_err(wrong)?;
                    Ok::<_, StoreError>(Held { id, cancel_requested: row.flag(1)? })
                });
                Ok::<_, StoreError>((held?, released))
            })
            .await?;
        if !released.is_empty() {
            lock(&self.unheard).retain(|claimed| !released.contains(claimed));
            self.announce_due();
        }
        Ok(held)
    }

    /// Makes rows claimable whose time has come or whose host has room now, and says how long until the next one's time.
    /// Writes only when there is one.
    ///
    /// # Errors
    /// The database's.
    pub async fn promote_due(&self) -> Result<Option<Duration>> {
        let politeness = self.politeness;
        let next = self.db.read(async move |unit| next_due(unit, politeness).await).await?;
        if next != Some(Duration::ZERO) {
            return Ok(next);
        }
        let (promoted, next) = self
            .db
            .write(async move |unit| {
                let promoted = unit.execute(PROMOTE, ()).await?;
                hosts::bring_near(unit, politeness).await?;
                let open = Ask::new(WITH_ROOM, hosts::with_room(politeness))?;
                let [open] = unit.together([open]).await?;
                let woken = hosts::wake(unit, &open, politeness).await?;
                Ok::<_, StoreError>((promoted > 0 || woken, next_due(unit, politeness).await?))
            })
            .await?;
        if promoted {
            self.announce_due();
        }
        Ok(next)
    }

    /// Whether a row can be claimed, one reserved for this worker or one reserved for nobody, and how long until the
    /// next one's time; those that are due already are made claimable first. One look when there are none.
    ///
    /// # Errors
    /// The database's.
    pub async fn due(&self, reserved_for: Option<&WorkerId>) -> Result<(bool, Option<Duration>)> {
        match self.look(reserved_for).await? {
            (_, Some(Duration::ZERO)) => {
                self.promote_due().await?;
                self.look(reserved_for).await
            }
            seen => Ok(seen),
        }
    }

    pub(super) async fn look(&self, reserved_for: Option<&WorkerId>) -> Result<(bool, Option<Duration>)> {
        let (worker, politeness) = (reserved_for.cloned(), self.politeness);
        self.db
            .read(async move |unit| {
                let delayed = Ask::new(NEXT_DELAYED, ())?;
                let [due, delayed, room] = match &worker {
                    Some(worker) => {
                        let due = Ask::new(RESERVED_DUE, [worker.as_str()])?;
                        let [due, delayed] = unit.together([due, delayed]).await?;
                        [due, delayed, Found::default()]
                    }
                    None => {
                        unit.together([Ask::new(SHARED_DUE, ())?, delayed, next_room(politeness)?]).await?
                    }
                };
                Ok((!due.is_empty(), sooner(&delayed, &room)?))
            })
            .await
    }
}

impl Store {
    /// How many rows could be claimed, counted up to a limit.
    ///
    /// # Errors
    /// The database's.
    pub async fn due_count(&self, reserved_for: Option<&WorkerId>, limit: usize) -> Result<usize> {
        let (worker, politeness) = (reserved_for.cloned(), self.politeness);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let counted = self
            .db
            .read(async move |unit| match &worker {
                Some(worker) => {
                    unit.first(RESERVED_COUNT, libsql::params![worker.as_str(), limit], |row| row.int(0))
                        .await
                }
                None => {
                    let [per_host, hosts] = hosts::with_room(politeness);
                    // With a gap the second one waits for it.
                    let of_each = if politeness.gap.is_zero() { limit } else { 1.min(limit) };
                    let back = Ask::new(COULD_COME_BACK, [per_host, hosts, of_each])?;
                    let [due, back] = unit.together([Ask::new(SHARED_COUNT, [limit])?, back]).await?;
                    let due = due.first(|row| row.int(0))?.unwrap_or_default();
                    let back = back.first(|row| row.int(0))?.unwrap_or_default();
                    Ok(Some(due.saturating_add(back).min(limit)))
                }
            })
            .await?;
        Ok(usize::try_from(counted.unwrap_or_default()).unwrap_or_default())
    }
}

async fn next_due(unit: &Unit, politeness: Politeness) -> Result<Option<Duration>> {
    let [delayed, room] = unit.together([Ask::new(NEXT_DELAYED, ())?, next_room(politeness)?]).await?;
    sooner(&delayed, &room)
}

fn next_room(politeness: Politeness) -> Result<Ask> {
    Ok(Ask::new(NEXT_ROOM, hosts::next_room(politeness))?)
}

/// The time until the first of two moments.
fn sooner(one: &Found, other: &Found) -> Result<Option<Duration>> {
    let (one, other) = (one.first(|row| row.int(0))?, other.first(|row| row.int(0))?);
    Ok([one, other].into_iter().flatten().min().map(from_now))
}

/// What is due already is due now.
fn from_now(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
