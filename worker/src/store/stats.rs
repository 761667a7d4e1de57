//! What goes on, in numbers: a few aggregates over the jobs that came since a moment, and the queue as it is now.

use libsql::params;

use super::listing::{behind_scheme, created, host, verdict};
use super::{Result, Store, StoreError};
use crate::db::{Unit, now_ms};
use crate::domain::failure::FailureClass;
use crate::domain::scan::ScanId;
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::VerdictState;

/// Hours told one by one.
pub const HOURS: usize = 24;

/// Rows of the lists.
const TOP: u32 = 10;

/// The numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// The database's clock when they were taken.
    pub now: Timestamp,
    /// Jobs by state, of those that came since.
    pub states: Vec<(State, u64)>,
    /// Failures by class, of those.
    pub classes: Vec<(FailureClass, u64)>,
    /// Results by verdict, of those; `None` for results of another program.
    pub verdicts: Vec<(Option<VerdictState>, u64)>,
    /// What came in each of the last [`HOURS`] hours, the oldest first; whole hours of the clock.
    pub hours: Vec<Hour>,
    /// The longest runs, of those.
    pub slowest: Vec<Slow>,
    /// From due to claimed, of the attempts of those.
    pub queue_wait: Percentiles,
    /// From handed over to ended.
    pub run: Percentiles,
    /// Attempts of those that were tried again after a failure.
    pub retries: u64,
    /// Attempts of those that were lost through no fault of their own.
    pub losses: u64,
    /// What waits now.
    pub queue: Queue,
}

/// One hour of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    /// When it began.
    pub from: Timestamp,
    /// What came in it.
    pub jobs: u64,
    /// How many of these ended without a result.
    pub failed: u64,
}

/// A long run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow {
    /// Which job.
    pub id: ScanId,
    /// Where it led.
    pub host: String,
    /// From claimed to ended.
    pub ms: u64,
}

/// Two marks of many durations in milliseconds, by the nearest rank; `None` of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    /// Half take at most this long.
    pub p50: Option<u64>,
    /// 19 of 20 take at most this long.
    pub p95: Option<u64>,
}

/// What waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queue {
    /// All of it.
    pub depth: u64,
    /// How many of it wait for their time.
    pub delayed: u64,
    /// The one that came first, and when.
    pub oldest: Option<(ScanId, Timestamp)>,
    /// Users with the most, and how much.
    pub users: Vec<(String, u64)>,
}

/// Jobs that came since a moment, found by the index of their creation.
macro_rules! since {
    () => {
        concat!(
            " FROM scan_jobs INDEXED BY scan_jobs_recent
              WHERE scan_jobs.created_at >= ?1 / 1000 AND ",
            created!(),
            " >= ?1"
        )
    };
}

pub(super) const STATES: &str =
    concat!("SELECT scan_jobs.state, count(*)", since!(), " GROUP BY 1 ORDER BY 1");

const CLASSES: &str = concat!(
    "SELECT scan_jobs.failure_class, count(*)",
    since!(),
    " AND scan_jobs.state IN ('FAILED', 'TIMED_OUT') AND scan_jobs.failure_class IS NOT NULL
      GROUP BY 1 ORDER BY 2 DESC, 1"
);

const VERDICTS: &str = concat!(
    "SELECT CAST(",
    verdict!(),
    " AS BLOB), count(*) FROM scan_jobs INDEXED BY scan_jobs_recent
      JOIN scan_results ON scan_results.job_id = scan_jobs.id
      WHERE scan_jobs.created_at >= ?1 / 1000 AND ",
    created!(),
    " >= ?1 GROUP BY 1"
);

const PER_HOUR: &str = "SELECT created_at / 3600, count(*), sum(state IN ('FAILED', 'TIMED_OUT'))
    FROM scan_jobs INDEXED BY scan_jobs_recent WHERE created_at >= ? GROUP BY 1";

pub(super) const SLOWEST: &str = concat!(
    "SELECT CAST(scan_jobs.id AS BLOB), CAST(",
    host!(),
    " AS BLOB), scan_jobs.finished_ms - scan_jobs.started_ms",
    since!(),
    " AND scan_jobs.finished_ms > scan_jobs.started_ms ORDER BY 3 DESC LIMIT ?2"
);

/// The nearest rank of a percentile among `total` values is `ceil(total * percent / 100)`.
macro_rules! percentiles {
    ($column:literal) => {
        concat!(
            "SELECT value FROM (SELECT attempts.",
            $column,
            " AS value, row_number() OVER (ORDER BY attempts.",
            $column,
            ") AS place, count(*) OVER () AS total
              FROM scan_jobs INDEXED BY scan_jobs_recent JOIN attempts ON attempts.job_id = scan_jobs.id
              WHERE scan_jobs.created_at >= ?1 / 1000 AND ",
            created!(),
            " >= ?1 AND attempts.",
            $column,
            " IS NOT NULL)
              WHERE place IN ((total * 50 + 99) / 100, (total * 95 + 99) / 100) ORDER BY place"
        )
    };
}

const QUEUE_WAIT: &str = percentiles!("queue_ms");
const RUN: &str = percentiles!("run_ms");

const AGAIN: &str = concat!(
    "SELECT count(*) FILTER (WHERE transitions.reason GLOB 'retry*'),
       count(*) FILTER (WHERE transitions.reason GLOB 'lost*')
     FROM scan_jobs INDEXED BY scan_jobs_recent JOIN transitions ON transitions.job_id = scan_jobs.id
     WHERE scan_jobs.created_at >= ?1 / 1000 AND ",
    created!(),
    " >= ?1 AND transitions.to_state = 'QUEUED'"
);

const DEPTH: &str = "SELECT count(*), coalesce(sum(ready = 0), 0) FROM scan_jobs WHERE state = 'QUEUED'";

pub(super) const OLDEST: &str = concat!(
    "SELECT CAST(id AS BLOB), ",
    created!(),
    " FROM scan_jobs WHERE state = 'QUEUED' ORDER BY created_at, created_ms LIMIT 1"
);

const USERS: &str = "SELECT CAST(user_id AS BLOB), count(*) FROM scan_jobs WHERE state = 'QUEUED'
    GROUP BY user_id ORDER BY 2 DESC, 1 LIMIT ?";

impl Store {
    /// The numbers of the jobs that came since a moment, and of the queue.
    ///
    /// # Errors
    /// The database's.
    pub async fn stats(&self, since: Timestamp) -> Result<Stats> {
        self.db.survey(async move |unit| read(unit, since).await).await
    }
}

async fn read(unit: &Unit, since: Timestamp) -> Result<Stats> {
    const NOW: &str = concat!("SELECT ", now_ms!());
    let from = since.millis();
    let now = Timestamp::from_millis(unit.first(NOW, (), |row| row.int(0)).await?.unwrap_or_default());
    let states = counted(unit, STATES, from).await?;
    let classes = counted(unit, CLASSES, from).await?;
    let verdicts = counted(unit, VERDICTS, from).await?;
    let slow = unit.query(SLOWEST, params![from, TOP], |row| {
        Ok::<_, StoreError>((row.text(0)?, row.opt_text(1)?.unwrap_or_default(), row.int(2)?))
    });
    let slowest = slow.await?.into_iter().filter_map(|(id, host, ms)| {
        Some(Slow { id: ScanId::parse(id).ok()?, host, ms: u64::try_from(ms).unwrap_or_default() })
    });
    let again = unit
        .first(AGAIN, [from], |row| Ok::<_, StoreError>((count(row.int(0)?), count(row.int(1)?))))
        .await?;
    let (retries, losses) = again.unwrap_or_default();
    Ok(Stats {
        now,
        states: states.into_iter().filter_map(|(name, n)| Some((State::parse(&name?)?, n))).collect(),
        classes: classes
            .into_iter()
            .filter_map(|(name, n)| Some((FailureClass::parse(&name?)?, n)))
            .collect(),
        verdicts: verdicts
            .into_iter()
            .map(|(name, n)| (name.and_then(|name| serde_json::from_value(name.into()).ok()), n))
            .collect(),
        hours: hours(unit, now).await?,
        slowest: slowest.collect(),
        queue_wait: percentiles(unit, QUEUE_WAIT, from).await?,
        run: percentiles(unit, RUN, from).await?,
        retries,
        losses,
        queue: queue(unit).await?,
    })
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

async fn counted(unit: &Unit, sql: &str, from: i64) -> Result<Vec<(Option<String>, u64)>> {
    unit.query(sql, [from], |row| Ok((row.opt_text(0)?, count(row.int(1)?)))).await
}

async fn hours(unit: &Unit, now: Timestamp) -> Result<Vec<Hour>> {
    let last = now.millis().div_euclid(3_600_000);
    let first = last - (HOURS as i64 - 1);
    let counted = unit
        .query(PER_HOUR, [first * 3600], |row| {
            Ok::<_, StoreError>((row.int(0)?, count(row.int(1)?), count(row.int(2)?)))
        })
        .await?;
    let hour = |hour: i64| {
        let found = counted.iter().find(|(counted, _, _)| *counted == hour);
        let (jobs, failed) = found.map_or((0, 0), |(_, jobs, failed)| (*jobs, *failed));
        Hour { from: Timestamp::from_seconds(hour * 3600), jobs, failed }
    };
    Ok((first..=last).map(hour).collect())
}

async fn percentiles(unit: &Unit, sql: &str, from: i64) -> Result<Percentiles> {
    // Of very few values both marks are the same one.
    let marks = unit.query(sql, [from], |row| Ok::<_, StoreError>(count(row.int(0)?))).await?;
    Ok(Percentiles { p50: marks.first().copied(), p95: marks.last().copied() })
}

async fn queue(unit: &Unit) -> Result<Queue> {
    let counted =
        unit.first(DEPTH, (), |row| Ok::<_, StoreError>((count(row.int(0)?), count(row.int(1)?)))).await?;
    let (depth, delayed) = counted.unwrap_or_default();
    let oldest = unit.first(OLDEST, (), |row| Ok::<_, StoreError>((row.text(0)?, row.int(1)?))).await?;
    let users =
        unit.query(USERS, [TOP], |row| Ok::<_, StoreError>((row.text(0)?, count(row.int(1)?)))).await?;
    Ok(Queue {
        depth,
        delayed,
        oldest: oldest.and_then(|(id, at)| Some((ScanId::parse(id).ok()?, Timestamp::from_millis(at)))),
        users,
    })
}
