//! What the database holds, counted by whoever may ask it.

use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::book::{Seconds, Shelf};
use super::labels::{ByClass, ByState};
use crate::domain::failure::FailureClass;
use crate::domain::state::State;

/// One look at all jobs, of whatever worker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Jobs by state.
    pub states: Vec<(State, u64)>,
    /// Jobs that ended without a result by class.
    pub classes: Vec<(FailureClass, u64)>,
    /// QUEUED jobs that any worker may claim now.
    pub ready: u64,
    /// QUEUED jobs whose time has not come.
    pub delayed: u64,
    /// QUEUED jobs that wait until their host has room.
    pub held_back: u64,
    /// QUEUED jobs that one process alone may claim.
    pub reserved: u64,
    /// How long the one of the ready jobs has been due that waits the longest; `None` when there is none.
    pub oldest: Option<Duration>,
    /// Containers that are written down for this worker's engine; `None` while that is not known.
    pub containers: Option<u64>,
}

/// These numbers under their names. Made anew for each scrape: what nobody could count is left out, nothing is not
/// zero.
pub(super) fn shelf(counted: Option<&Counted>) -> Shelf {
    let mut shelf = Shelf::empty();
    let up: Gauge = Gauge::default();
    up.set(i64::from(counted.is_some()));
    shelf.put(
        "database_up",
        "1 when the database could be counted for this scrape; else what follows is left out",
        up,
    );
    let Some(counted) = counted else { return shelf };
    let jobs: Family<ByState, Gauge> = shelf.put("jobs", "Jobs in the database by state", Family::default());
    for state in State::ALL {
        let found = counted.states.iter().find(|(counted, _)| *counted == state);
        let count = found.map_or(0, |(_, count)| *count);
        jobs.get_or_create_owned(&ByState { state: state.as_str() }).set(wide(count));
    }
    let failed: Family<ByClass, Gauge> =
        shelf.put("failed_jobs", "FAILED and TIMED_OUT jobs in the database by class", Family::default());
    for class in FailureClass::ALL {
        let found = counted.classes.iter().find(|(counted, _)| *counted == class);
        let count = found.map_or(0, |(_, count)| *count);
        failed.get_or_create_owned(&ByClass { class: class.as_str() }).set(wide(count));
    }
    let mut put = |name, help, count| {
        let gauge: Gauge = shelf.put(name, help, Gauge::default());
        gauge.set(wide(count));
    };
    put("queue_ready", "QUEUED jobs that any worker may claim now", counted.ready);
    put("queue_delayed", "QUEUED jobs whose time has not come", counted.delayed);
    put("queue_held_back", "QUEUED jobs that are due and wait until their host has room", counted.held_back);
    put("queue_reserved", "QUEUED jobs that one process alone may claim", counted.reserved);
    if let Some(containers) = counted.containers {
        put(
            "containers",
            "Containers that are written down for the engine of this worker, some of them before they are made",
            containers,
        );
    }
    let oldest = shelf.put_in(
        "queue_oldest_age",
        Unit::Seconds,
        "How long the first of the ready jobs has been due, 0 when there is none",
        Seconds::default(),
    );
    oldest.set(counted.oldest.unwrap_or_default().as_secs_f64());
    shelf
}

fn wide(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
