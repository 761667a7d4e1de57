//! How much goes to one host at a time. A claim that meets a row whose host is full, or waits, takes the row out of its
//! own way (`ready` 2) instead of passing it over each time; once the host has room, one row after the other comes back,
//! its users taking turns. Jobs at work are counted in their rows, so that no crash leaves a wrong number behind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libsql::params;
use serde_json::json;

use super::claim::{readable_id, shared_due};
use super::jobs::{JOB_COLUMNS, find_by_row, job_columns, read_job};
use super::transitions::millis;
use super::{Result, Store};
use crate::db::{Columns, Found, Unit, now_ms};
use crate::domain::scan::Job;
use crate::domain::target::Target;

/// What one host is spared. The default spares nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Politeness {
    /// Jobs at work at a time, over all workers of the database; 0 for any number.
    pub per_host: u32,
    /// From the beginning of one job to the next one's.
    pub gap: Duration,
    /// How long a host is left alone at most because it asked to be; zero for never.
    pub longest_pause: Duration,
}

impl Politeness {
    /// No host is to wait for longer than this by its time.
    fn longest_wait(self) -> i64 {
        millis(self.gap.max(self.longest_pause))
    }
}

/// A host that asked to be left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// As in the rows of its jobs.
    pub host: String,
    /// From the write on.
    pub wait: Duration,
}

/// How many rows of a user are looked at at once behind one whose host has no room. What is found to wait is not looked
/// at again before its host has room.
const AHEAD: i64 = 64;

/// How many hosts get a row back within one unit.
const WOKEN: i64 = 8;

/// How many more hosts that are not needed any more are forgotten than are written: there are never many of them.
const FORGOTTEN: i64 = 4;

/// A host has room by its jobs at work: `?1` is how many there may be.
macro_rules! has_room {
    () => {
        "(?1 = 0 OR (SELECT count(*) FROM scan_jobs AS busy INDEXED BY scan_jobs_at_host
           WHERE busy.host = hosts.host AND busy.state IN ('FETCHING', 'ANALYZING')) < ?1)"
    };
}

/// A due row with its host, the jobs at work there, and the milliseconds until the next may begin.
macro_rules! host_columns {
    () => {
        "CAST(scan_jobs.host AS BLOB),
         (SELECT count(*) FROM scan_jobs AS busy INDEXED BY scan_jobs_at_host
          WHERE busy.host = scan_jobs.host AND busy.state IN ('FETCHING', 'ANALYZING')),
         (SELECT next_ms FROM hosts WHERE hosts.host = scan_jobs.host) - "
    };
}

/// The first row of the next user: the claim index is in this order, so that this is one look into it.
pub(super) const NEXT_USER: &str = concat!(
    "SELECT ",
    job_columns!(),
    ", ",
    host_columns!(),
    now_ms!(),
    shared_due!(),
    " AND user_id > ?",
    readable_id!(),
    " ORDER BY user_id, priority, created_at, created_ms LIMIT 1"
);

/// The first row of the first user, when the round is over.
pub(super) const FIRST_USER: &str = concat!(
    "SELECT ",
    job_columns!(),
    ", ",
    host_columns!(),
    now_ms!(),
    shared_due!(),
    readable_id!(),
    " ORDER BY user_id, priority, created_at, created_ms LIMIT 1"
);

pub(super) const NEXT_OF_USER: &str = concat!(
    "SELECT scan_jobs.rowid, CAST(scan_jobs.url AS BLOB), CAST(scan_jobs.host AS BLOB)",
    shared_due!(),
    " AND user_id = ?",
    readable_id!(),
    " ORDER BY priority, created_at, created_ms LIMIT ? + 0"
);

/// Of each named host: the jobs at work there, and the milliseconds until the next may begin.
pub(super) const ROOMS: &str = concat!(
    "SELECT CAST(named.value AS BLOB),
       (SELECT count(*) FROM scan_jobs AS busy INDEXED BY scan_jobs_at_host
        WHERE busy.host = named.value AND busy.state IN ('FETCHING', 'ANALYZING')),
       (SELECT next_ms FROM hosts WHERE hosts.host = named.value) - ",
    now_ms!(),
    " FROM json_each(?) AS named"
);

/// No edge: a row keeps its state and its version.
pub(super) const HOLD_BACK: &str = "UPDATE scan_jobs SET ready = 2, host = held.value ->> 1
    FROM json_each(?) AS held WHERE scan_jobs.rowid = held.value ->> 0";

const WAITED_FOR: &str = "INSERT INTO hosts (host, waiting) SELECT value, 1 FROM json_each(?) WHERE true
    ON CONFLICT (host) DO UPDATE SET waiting = 1";

/// The hosts with room of those that rows wait for: behind the full ones, which are few, the first ones whose time has
/// come, whichever was served the longest ago first.
pub(super) const WITH_ROOM: &str = concat!(
    "SELECT CAST(host AS BLOB) FROM hosts INDEXED BY hosts_waiting WHERE waiting = 1 AND next_ms <= ",
    now_ms!(),
    " AND ",
    has_room!(),
    " ORDER BY next_ms LIMIT ?2 + 0"
);

/// Milliseconds until the first host that rows wait for may have a job; what is full is not waited for by time. A time
/// that is further away than `?2` is to be brought near, now.
pub(super) const NEXT_ROOM: &str = concat!(
    "SELECT CASE WHEN next_ms - ",
    now_ms!(),
    " > ?2 THEN 0 ELSE next_ms - ",
    now_ms!(),
    " END FROM hosts INDEXED BY hosts_waiting WHERE waiting = 1 AND ",
    has_room!(),
    " ORDER BY next_ms LIMIT 1"
);

/// Nobody writes down a time that is further away than the settings allow: the clock was put back since, or the settings
/// were others.
pub(super) const BRING_NEAR: &str = concat!(
    "UPDATE hosts INDEXED BY hosts_waiting SET next_ms = ",
    now_ms!(),
    " + ?1 WHERE waiting IN (0, 1) AND next_ms > ",
    now_ms!(),
    " + ?1"
);

/// Rows that would come back one after the other without another one's end, of the first hosts, `?3` of a host at most.
pub(super) const COULD_COME_BACK: &str = concat!(
    "SELECT coalesce(sum(min(CASE WHEN ?1 = 0 THEN ?3 ELSE ?1 - open.busy END, (SELECT count(*) FROM (
       SELECT 1 FROM scan_jobs INDEXED BY scan_jobs_held_back
       WHERE state = 'QUEUED' AND ready = 2 AND scan_jobs.host = open.host LIMIT ?3 + 0)))), 0)
     FROM (SELECT host, (SELECT count(*) FROM scan_jobs AS busy INDEXED BY scan_jobs_at_host
             WHERE busy.host = hosts.host AND busy.state IN ('FETCHING', 'ANALYZING')) AS busy
           FROM hosts INDEXED BY hosts_waiting WHERE waiting = 1 AND next_ms <= ",
    now_ms!(),
    " AND ",
    has_room!(),
    " ORDER BY next_ms LIMIT ?2 + 0) AS open"
);

pub(super) const TURN: &str = concat!(
    "UPDATE hosts SET next_ms = ",
    now_ms!(),
    ", served = coalesce(
       (SELECT user_id FROM scan_jobs INDEXED BY scan_jobs_held_back
        WHERE state = 'QUEUED' AND ready = 2 AND scan_jobs.host = hosts.host AND user_id > hosts.served
        ORDER BY user_id LIMIT 1),
       (SELECT user_id FROM scan_jobs INDEXED BY scan_jobs_held_back
        WHERE state = 'QUEUED' AND ready = 2 AND scan_jobs.host = hosts.host ORDER BY user_id LIMIT 1),
       '')
     WHERE host IN (SELECT value FROM json_each(?))"
);

pub(super) const LET_GO: &str = "UPDATE scan_jobs SET ready = 1 WHERE rowid IN (
    SELECT (SELECT held.rowid FROM scan_jobs AS held INDEXED BY scan_jobs_held_back
            WHERE held.state = 'QUEUED' AND held.ready = 2 AND held.host = hosts.host AND held.user_id = hosts.served
            ORDER BY held.priority, held.created_at, held.created_ms LIMIT 1)
    FROM hosts WHERE host IN (SELECT value FROM json_each(?)))";

pub(super) const STILL_WAITED_FOR: &str = "UPDATE hosts SET waiting = EXISTS (
      SELECT 1 FROM scan_jobs INDEXED BY scan_jobs_held_back
      WHERE state = 'QUEUED' AND ready = 2 AND scan_jobs.host = hosts.host)
    WHERE host IN (SELECT value FROM json_each(?))";

/// Rows that wait for a host that nobody looks at are nobody's: another program on the same tables may have taken one away
/// and put it back by its state alone. Goes from host to host, however many rows wait.
pub(super) const FIND_FORSAKEN: &str = "INSERT INTO hosts (host, waiting)
    WITH RECURSIVE held (host) AS (
      SELECT min(host) FROM scan_jobs INDEXED BY scan_jobs_held_back WHERE state = 'QUEUED' AND ready = 2
      UNION ALL
      SELECT (SELECT min(scan_jobs.host) FROM scan_jobs INDEXED BY scan_jobs_held_back
              WHERE state = 'QUEUED' AND ready = 2 AND scan_jobs.host > held.host)
      FROM held WHERE held.host IS NOT NULL)
    SELECT host, 1 FROM held WHERE host IS NOT NULL
    ON CONFLICT (host) DO UPDATE SET waiting = 1 WHERE hosts.waiting = 0";

/// What is asked for later stands, whoever asked first.
const NOT_BEFORE: &str = concat!(
    "INSERT INTO hosts (host, next_ms) VALUES (?1, ",
    now_ms!(),
    " + ?2) ON CONFLICT (host) DO UPDATE SET next_ms = max(next_ms, excluded.next_ms)"
);

pub(super) const FORGET: &str = concat!(
    "DELETE FROM hosts WHERE host IN (SELECT host FROM hosts INDEXED BY hosts_waiting
       WHERE waiting = 0 AND next_ms < ",
    now_ms!(),
    " LIMIT ? + 0)"
);

/// A due row and whether its host has room.
pub(super) struct Candidate {
    pub(super) job: Job,
    /// The row does not name its host yet: another program made it.
    pub(super) nameless: bool,
    host: Option<String>,
    room: Room,
}

/// What goes on at a host.
#[derive(Debug, Clone, Copy, Default)]
struct Room {
    busy: u32,
    /// Until the next job may begin; not positive when it may.
    wait_ms: i64,
}

impl Room {
    fn read(row: &Columns<'_>, first: i32) -> Result<Self> {
        Ok(Self { busy: row.count(first)?, wait_ms: row.opt_int(first + 1)?.unwrap_or_default() })
    }

    fn is_there(self, politeness: Politeness) -> bool {
        self.wait_ms <= 0 && (politeness.per_host == 0 || self.busy < politeness.per_host)
    }
}

/// The host of a URL as rows name it; `None` for what is no target, which goes nowhere.
pub(super) fn host_of(url: &str) -> Option<String> {
    Target::parse(url).ok().map(|target| target.host().to_owned())
}

impl Store {
    /// The same rows, from which this handle and its clones take jobs only as far as the hosts are to be spared.
    #[must_use]
    pub fn polite(self, politeness: Politeness) -> Self {
        Self { politeness, ..self }
    }
}

/// Reads what [`NEXT_USER`] and [`FIRST_USER`] found.
pub(super) async fn candidate(unit: &Unit, found: &Found) -> Result<Option<Candidate>> {
    let Some((job, host, room)) = found.first(|row| {
        Ok::<_, super::StoreError>((
            read_job(row)?,
            row.opt_text(JOB_COLUMNS)?,
            Room::read(row, JOB_COLUMNS + 1)?,
        ))
    })?
    else {
        return Ok(None);
    };
    if host.is_some() {
        return Ok(Some(Candidate { job, nameless: false, host, room }));
    }
    let host = host_of(&job.url);
    let room = match &host {
        Some(host) => rooms(unit, [host.as_str()]).await?.remove(host).unwrap_or_default(),
        None => Room::default(),
    };
    Ok(Some(Candidate { job, nameless: host.is_some(), host, room }))
}

impl Candidate {
    pub(super) fn has_room(&self, politeness: Politeness) -> bool {
        self.host.is_none() || self.room.is_there(politeness)
    }

    /// Writes down that a job of its host has begun: after the claim, in its unit.
    pub(super) async fn begun(&self, unit: &Unit, politeness: Politeness) -> Result<()> {
        const NAME: &str = "UPDATE scan_jobs SET host = ? WHERE id = ?";
        let Some(host) = &self.host else { return Ok(()) };
        if self.nameless {
            unit.execute_later(NAME, [host.as_str(), self.job.id.as_str()]).await?;
        }
        not_before(unit, host, politeness.gap).await
    }
}

/// Holds back what has no room of a user's first rows, and finds the first of them that has.
pub(super) async fn hold_back(unit: &Unit, user: &str, politeness: Politeness) -> Result<Option<Candidate>> {
    let rows = unit.query(NEXT_OF_USER, params![user, AHEAD], read_ahead).await?;
    let rooms = rooms(unit, rows.iter().filter_map(|row| row.host.as_deref())).await?;
    let room = |host: &str| rooms.get(host).copied().unwrap_or_default();
    let has_room = |row: &Ahead| row.host.as_deref().is_none_or(|host| room(host).is_there(politeness));
    let held: Vec<_> = rows.iter().filter(|row| !has_room(row)).map(|row| (row.rowid, &row.host)).collect();
    if !held.is_empty() {
        let hosts: BTreeSet<_> = held.iter().filter_map(|(_, host)| host.as_deref()).collect();
        forget(unit, hosts.len()).await?;
        unit.execute_later(HOLD_BACK, [json!(held).to_string()]).await?;
        unit.execute_later(WAITED_FOR, [json!(hosts).to_string()]).await?;
    }
    let Some(first) = rows.into_iter().find(has_room) else { return Ok(None) };
    let room = first.host.as_deref().map_or_else(Room::default, room);
    let job = find_by_row(unit, first.rowid).await?;
    let nameless = first.nameless && first.host.is_some();
    Ok(job.map(|job| Candidate { job, nameless, host: first.host, room }))
}

/// A due row, as far as it has to be known to be held back.
struct Ahead {
    rowid: i64,
    host: Option<String>,
    nameless: bool,
}

fn read_ahead(row: &Columns<'_>) -> Result<Ahead> {
    let (rowid, url, host) = (row.int(0)?, row.text(1)?, row.opt_text(2)?);
    let nameless = host.is_none();
    Ok(Ahead { rowid, host: host.or_else(|| host_of(&url)), nameless })
}

async fn rooms<'a>(unit: &Unit, hosts: impl IntoIterator<Item = &'a str>) -> Result<BTreeMap<String, Room>> {
    let hosts: BTreeSet<_> = hosts.into_iter().collect();
    let read = |row: &Columns<'_>| Ok::<_, super::StoreError>((row.text(0)?, Room::read(row, 1)?));
    Ok(unit.query(ROOMS, [json!(hosts).to_string()], read).await?.into_iter().collect())
}

/// What [`WITH_ROOM`] is asked with.
pub(super) fn with_room(politeness: Politeness) -> [i64; 2] {
    [i64::from(politeness.per_host), WOKEN]
}

/// What [`NEXT_ROOM`] is asked with.
pub(super) fn next_room(politeness: Politeness) -> [i64; 2] {
    [i64::from(politeness.per_host), politeness.longest_wait()]
}

/// Lets no host wait for longer than the settings say.
pub(super) async fn bring_near(unit: &Unit, politeness: Politeness) -> Result<()> {
    Ok(unit.execute_later(BRING_NEAR, [politeness.longest_wait()]).await?)
}

/// Lets one row go of each of these hosts. Writes nothing when there is none.
pub(super) async fn wake(unit: &Unit, hosts: &Found, politeness: Politeness) -> Result<bool> {
    if hosts.is_empty() {
        return Ok(false);
    }
    let hosts = hosts.read(|row| row.text(0))?;
    let hosts = json!(hosts).to_string();
    bring_near(unit, politeness).await?;
    for statement in [TURN, LET_GO, STILL_WAITED_FOR] {
        unit.execute_later(statement, [hosts.as_str()]).await?;
    }
    Ok(true)
}

/// Leaves a host alone for this long from now; not shorter than somebody said before.
pub(super) async fn not_before(unit: &Unit, host: &str, wait: Duration) -> Result<()> {
    if wait.is_zero() {
        return Ok(());
    }
    forget(unit, 1).await?;
    Ok(unit.execute_later(NOT_BEFORE, params![host, millis(wait)]).await?)
}

/// Makes place for so many hosts.
async fn forget(unit: &Unit, written: usize) -> Result<()> {
    let written = i64::try_from(written).unwrap_or(i64::MAX);
    Ok(unit.execute_later(FORGET, [FORGOTTEN.saturating_add(written)]).await?)
}
