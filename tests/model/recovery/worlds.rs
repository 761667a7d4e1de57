//! The worlds that are checked, and what their model cannot see.

use safeurl::supervisor::{Effect, End, Known, Remedy};

use super::guards::Lists;
use super::model::{Recovery, Supervisors};
use crate::explore::check;
use crate::subject::Config;

/// Two losses from the last one, so that faults reach the cap.
const LOSSES: u8 = 8;

/// Where a counterexample is looked for.
pub(crate) const SMALLEST: Config = Config {
    name: "2 supervisors, 1 job, no fault",
    seats: &[0, 0],
    jobs: 1,
    entries: 0,
    slots: 2,
    pool: 0,
    attempts: 2,
    losses: LOSSES,
    faults: 0,
    rare: true,
    depth_first: false,
};

/// Containers wait for jobs.
const POOL: Config = Config {
    name: "1 supervisor, 1 job, 2 containers that wait, 1 fault",
    seats: &[0],
    pool: 2,
    faults: 1,
    ..SMALLEST
};

/// For every run of the tests.
pub(crate) const SMALL: &[Config] = &[
    SMALLEST,
    Config { name: "1 supervisor, 1 job, 1 fault", seats: &[0], faults: 1, ..SMALLEST },
    Config {
        name: "1 supervisor, 1 job before its last loss, 1 fault",
        seats: &[0],
        losses: 9,
        faults: 1,
        ..SMALLEST
    },
    POOL,
];

/// For `make model`.
pub(crate) const LARGE: &[Config] = &[
    SMALLEST,
    Config { name: "2 supervisors, 1 job, 1 fault of any kind", faults: 1, ..SMALLEST },
    Config { name: "2 supervisors on 2 engines, 1 job, 1 fault", seats: &[0, 1], faults: 1, ..SMALLEST },
    Config { name: "2 supervisors, 2 jobs, 1 fault", jobs: 2, slots: 1, faults: 1, rare: false, ..SMALLEST },
    Config { name: "2 supervisors, 1 job, 2 faults of any kind", faults: 2, ..SMALLEST },
    POOL,
    Config { name: "2 supervisors, 1 job, a container that waits, 1 fault", pool: 1, faults: 1, ..SMALLEST },
    // Does not fit into memory breadth first.
    Config {
        name: "2 supervisors, 1 job, 3 faults",
        slots: 1,
        faults: 3,
        rare: false,
        depth_first: true,
        ..SMALLEST
    },
];

/// Effects whose absence the model cannot see: a report is not judged, files are not removed before their folder is,
/// `Examine` and `Confirm` only say sooner what `Follow` and `Kill` find out themselves, what was stopped by an order is
/// dead, where the maker is gone or goes the reaper is behind `Remove`, and of what is given back the version alone decides
/// who does it: who stops half way holds a stray. No row of the
/// model is reserved for anybody.
pub(crate) fn is_beyond_the_model(known: Known, effect: Effect) -> bool {
    match effect {
        Effect::Judge | Effect::DiscardDoor | Effect::Examine | Effect::Confirm => true,
        Effect::CloseDoor => known != Known::Ran,
        Effect::TakeOver => matches!(known, Known::Orphaned(Remedy::GiveBack | Remedy::End)),
        Effect::Settle => known == Known::Orphaned(Remedy::GiveBack),
        Effect::Kill => matches!(known, Known::Ended(End::Cancelled | End::Aborted)),
        Effect::Remove => matches!(known, Known::Ended(End::Accepted | End::Aborted)),
        _ => false,
    }
}

/// Whether the plan breaks a promise without one effect of one list.
pub(crate) fn is_needed(known: Known, lists: Lists) -> bool {
    // A job is given back only where its container is out of reach.
    let seats: &[u8] = if known == Known::Orphaned(Remedy::GiveBack) { &[0, 1] } else { &[0, 0] };
    let config = Config { name: "one effect less", seats, faults: 1, ..SMALLEST };
    !check(Supervisors { own: Recovery { lists }, ..Supervisors::new(config, None) }, 2).is_whole()
}
