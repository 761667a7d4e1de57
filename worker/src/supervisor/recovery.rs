//! Finds what dead workers left: jobs without a holder, containers without a supervisor, folders without a gateway.
//!
//! What is decided is decided here and is pure: [`remedy`] about one job, [`may_reap`] about one container. `orphans`
//! finds the jobs and hands them to the loop, which starts an attempt for each; `reaper` and `run_dirs` clear away.
//! Everything here may be done by several workers at once and again: the version of a row decides who does it, and
//! removal of what is gone is a success.

pub(super) mod hearing;
pub(super) mod orphans;
pub(super) mod reaper;
pub(super) mod run_dirs;

use std::time::Duration;

use crate::domain::scan::DEAD_AFTER;
use crate::domain::timestamp::Timestamp;
use crate::store::WorkerView;

/// What to do with a job that nobody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Remedy {
    /// Its container is on our engine: go on with it, or see to its end.
    Adopt,
    /// Nobody waits for it any more: it ends cancelled, and its container, where it is in reach, dies.
    End,
    /// There is no container, or its engine has no worker any more: give the job back.
    GiveBack,
    /// A worker of the container's engine lives; it is that one's.
    LeaveToOthers,
}

/// Where the container of a job is that nobody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere: none is bound to the job.
    Nowhere,
    /// On the engine of the worker that asks.
    Here,
    /// On another engine, which has a worker that lives, or has not.
    Elsewhere {
        /// A worker of that engine lives.
        attended: bool,
    },
}

/// Whom a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wanted {
    /// Any worker may do it, or the one that lives for which it is reserved.
    Still,
    /// It is reserved for a dead worker: the command that asked for it has ended.
    NoMore,
}

/// Decides about one job whose holder is dead.
#[must_use]
pub const fn remedy(container: Place, wanted: Wanted) -> Remedy {
    match (container, wanted) {
        (Place::Elsewhere { attended: true }, _) => Remedy::LeaveToOthers,
        (_, Wanted::NoMore) => Remedy::End,
        (Place::Here, Wanted::Still) => Remedy::Adopt,
        (Place::Nowhere | Place::Elsewhere { attended: false }, Wanted::Still) => Remedy::GiveBack,
    }
}

/// What is known of a container of this installation on our engine, whether or not anybody wrote it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Remains {
    /// A job at work is bound to it: its log may be the only copy of a report.
    pub bound: bool,
    /// Whose it is.
    pub maker: Maker,
}

/// The worker that made a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Maker {
    /// The worker that asks.
    Me {
        /// None of its attempts will remove it any more.
        left: bool,
    },
    /// Another one.
    Other {
        /// Its heartbeat is older than [`REAP_AFTER`](crate::domain::scan::REAP_AFTER), or it has none.
        silent: bool,
    },
}

/// Whether the reaper may remove a container.
#[must_use]
pub const fn may_reap(remains: Remains) -> bool {
    let abandoned = match remains.maker {
        Maker::Me { left } => left,
        Maker::Other { silent } => silent,
    };
    abandoned && !remains.bound
}

/// Whether a worker was heard of within this time, by the database's clock.
fn is_heard(worker: &WorkerView, now: Timestamp, within: Duration) -> bool {
    let silent = now.millis().saturating_sub(worker.heartbeat.millis());
    u128::try_from(silent).unwrap_or(0) < within.as_millis()
}

/// Whether a worker counts as living.
fn is_alive(worker: &WorkerView, now: Timestamp) -> bool {
    is_heard(worker, now, DEAD_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_touched_only_by_a_worker_of_its_engine() {
        let still = |place| remedy(place, Wanted::Still);
        assert_eq!(still(Place::Here), Remedy::Adopt);
        assert_eq!(still(Place::Elsewhere { attended: true }), Remedy::LeaveToOthers);
        assert_eq!(still(Place::Elsewhere { attended: false }), Remedy::GiveBack);
        assert_eq!(still(Place::Nowhere), Remedy::GiveBack);
    }

    #[test]
    fn what_nobody_waits_for_ends_wherever_its_container_can_be_seen_to() {
        for place in [Place::Here, Place::Nowhere, Place::Elsewhere { attended: false }] {
            assert_eq!(remedy(place, Wanted::NoMore), Remedy::End, "{place:?}");
        }
        let attended = Place::Elsewhere { attended: true };
        assert_eq!(remedy(attended, Wanted::NoMore), Remedy::LeaveToOthers);
    }

    #[test]
    fn a_container_is_reaped_when_nobody_else_will_and_no_job_needs_it() {
        for bound in [false, true] {
            for left in [false, true] {
                assert_eq!(may_reap(Remains { bound, maker: Maker::Me { left } }), left && !bound);
            }
            for silent in [false, true] {
                assert_eq!(may_reap(Remains { bound, maker: Maker::Other { silent } }), silent && !bound);
            }
        }
    }
}
