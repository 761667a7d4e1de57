//! The numbers of a moment for whoever watches the worker: read often, so each is one look however many jobs there
//! are.

use std::time::Duration;

use libsql::params;

use super::claim::readable_id;
use super::{Result, Store, StoreError};
use crate::db::{Unit, now_ms};
use crate::domain::failure::FailureClass;
use crate::domain::state::State;

/// The queue and what is written down of an engine, at one moment. The jobs are exact but for rows that another
/// program replaced by `INSERT OR REPLACE`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueGauges {
    /// Jobs in each of the six states.
    pub states: Vec<(State, u64)>,
    /// Queued jobs that any worker may claim now.
    pub ready: u64,
    /// Queued jobs whose time has not come, or has and nobody has looked since.
    pub delayed: u64,
    /// Queued jobs that are due and wait until their host has room.
    pub held_back: u64,
    /// Queued jobs that only one worker may claim.
    pub reserved: u64,
    /// How long the first of the ready ones has been due: since its submission or, after a delay, since its time.
    pub oldest_due: Option<Duration>,
    /// Containers that are written down for the engine: those that exist or may exist.
    pub containers: u64,
    /// FAILED and TIMED_OUT jobs by class, of those classes that there are.
    pub failures: Vec<(FailureClass, u64)>,
}

/// A few dozen rows at most.
pub(super) const COUNTED: &str =
    "SELECT state, ready, reserved, failure_class, jobs FROM job_counts WHERE jobs > 0";

/// The expression and the condition are the index's.
pub(super) const OLDEST_DUE: &str = concat!(
    "SELECT max(0, ",
    now_ms!(),
    " - coalesce(run_at, CASE WHEN created_ms > 0 THEN created_ms ELSE created_at * 1000 END))
     FROM scan_jobs INDEXED BY scan_jobs_oldest_due
     WHERE state = 'QUEUED' AND ready = 1 AND reserved_for IS NULL",
    readable_id!(),
    " ORDER BY coalesce(run_at, CASE WHEN created_ms > 0 THEN created_ms ELSE created_at * 1000 END) LIMIT 1"
);

pub(super) const CONTAINERS: &str = "SELECT count(*) FROM containers WHERE engine_id = ?";

/// `ready` of a row that waits for its host.
const HELD_BACK: i64 = 2;

impl Store {
    /// The numbers as they are now; the containers are this engine's.
    ///
    /// # Errors
    /// The database's.
    pub async fn queue_gauges(&self, engine_id: &str) -> Result<QueueGauges> {
        let values = params![engine_id];
        self.db
            .read(async move |unit| {
                let mut gauges = counted(unit).await?;
                let oldest = unit.first(OLDEST_DUE, (), |row| row.int(0)).await?;
                gauges.oldest_due = oldest.map(|ms| Duration::from_millis(count(ms)));
                gauges.containers = unit.first(CONTAINERS, values, |row| row.int(0)).await?.map_or(0, count);
                Ok(gauges)
            })
            .await
    }
}

async fn counted(unit: &Unit) -> Result<QueueGauges> {
    let rows = unit
        .query(COUNTED, (), |row| {
            Ok::<_, StoreError>((row.text(0)?, row.int(1)?, row.flag(2)?, row.text(3)?, count(row.int(4)?)))
        })
        .await?;
    let mut states = State::ALL.map(|state| (state, 0));
    let mut gauges = QueueGauges::default();
    for (state, ready, reserved, class, jobs) in rows {
        // The table of jobs admits no other state.
        let Some((state, counted)) = states.iter_mut().find(|(known, _)| known.as_str() == state) else {
            continue;
        };
        *counted += jobs;
        match state {
            State::Queued if reserved => gauges.reserved += jobs,
            State::Queued if ready == HELD_BACK => gauges.held_back += jobs,
            State::Queued if ready != 0 => gauges.ready += jobs,
            State::Queued => gauges.delayed += jobs,
            State::Failed | State::TimedOut => add(&mut gauges.failures, &class, jobs),
            State::Fetching | State::Analyzing | State::Completed => {}
        }
    }
    gauges.states = states.into();
    Ok(gauges)
}

/// A failure without a class is another program's.
fn add(failures: &mut Vec<(FailureClass, u64)>, class: &str, jobs: u64) {
    let Some(class) = FailureClass::parse(class) else { return };
    match failures.iter_mut().find(|(known, _)| *known == class) {
        Some((_, counted)) => *counted += jobs,
        None => failures.push((class, jobs)),
    }
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
