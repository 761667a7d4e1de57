//! The worlds that are checked, and what checking one comes to.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use safeurl::supervisor::{Effect, End, Known, Remedy};
use stateright::{Checker, HasDiscoveries, Model};

use super::guards::{Guard, Lists};
use super::model::{Config, Step, Supervisors};
use super::properties::RULES;
use super::world::World;

/// Two losses from the last one, so that faults reach the cap.
const LOSSES: u8 = 8;

const SMALLEST: Config = Config {
    name: "2 supervisors, 1 job, no fault",
    seats: &[0, 0],
    jobs: 1,
    slots: 2,
    max_attempts: 2,
    losses: LOSSES,
    faults: 0,
    rare: true,
};

/// States in which a counterexample is looked for; every guard needs far fewer.
const ENOUGH: usize = 2_000_000;

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
];

/// For `make model`.
pub(crate) const LARGE: &[Config] = &[
    SMALLEST,
    Config { name: "2 supervisors, 1 job, 1 fault of any kind", faults: 1, ..SMALLEST },
    Config { name: "2 supervisors on 2 engines, 1 job, 1 fault", seats: &[0, 1], faults: 1, ..SMALLEST },
    Config { name: "2 supervisors, 2 jobs, 1 fault", jobs: 2, slots: 1, faults: 1, rare: false, ..SMALLEST },
    Config { name: "2 supervisors, 1 job, 2 faults of any kind", faults: 2, ..SMALLEST },
    Config { name: "2 supervisors, 1 job, 3 faults", slots: 1, faults: 3, rare: false, ..SMALLEST },
];

/// What a check came to.
pub(crate) struct Checked {
    states: usize,
    depth: usize,
    time: Duration,
    /// The properties that do not hold, each with the steps of a counterexample.
    broken: Vec<(&'static str, Vec<Step>, World)>,
    completes: bool,
}

impl Checked {
    pub(crate) fn is_whole(&self) -> bool {
        self.broken.is_empty() && self.completes
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10} {:>6} {:>6.1} s", self.states, self.depth, self.time.as_secs_f64())?;
        if !self.completes {
            write!(f, "\n  no job completes")?;
        }
        for (property, steps, last) in &self.broken {
            write!(f, "\n  broken after {} steps: {property}\n", steps.len())?;
            for step in steps {
                writeln!(f, "    {step:?}")?;
            }
            write!(f, "    {last:?}")?;
        }
        Ok(())
    }
}

/// Goes through every state of a world.
pub(crate) fn check(config: &Config, threads: usize) -> Checked {
    check_model(Supervisors::new(config.clone(), None), threads)
}

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
    !check_model(Supervisors { lists, ..Supervisors::new(config, None) }, 2).is_whole()
}

fn check_model(model: Supervisors, threads: usize) -> Checked {
    let begun = Instant::now();
    let faults = model.config.faults;
    let checker = model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    // Breadth first finds short counterexamples; the largest world does not fit into memory that way.
    if faults < 3 {
        checked(&checker.spawn_bfs().join(), begun)
    } else {
        checked(&checker.spawn_dfs().join(), begun)
    }
}

fn checked(checker: &impl Checker<Supervisors>, begun: Instant) -> Checked {
    let mut checked = Checked {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        time: begun.elapsed(),
        broken: Vec::new(),
        completes: false,
    };
    for (name, path) in checker.discoveries() {
        if RULES.iter().any(|(rule, _)| *rule == name) {
            let last = path.last_state().clone();
            checked.broken.push((name, path.into_actions(), last));
        } else {
            checked.completes = true;
        }
    }
    checked
}

/// The length of the shortest way to break a property without a guard.
pub(crate) fn shortest_counterexample(guard: Guard, property: &'static str) -> Option<usize> {
    let mut shortest = None;
    while let Some(shorter) = counterexample(guard, property, shortest) {
        shortest = Some(shorter);
    }
    shortest
}

/// The length of a way to break a property without a guard, shorter than one that is known.
pub(crate) fn counterexample(guard: Guard, property: &'static str, known: Option<usize>) -> Option<usize> {
    let config = Config { faults: guard.faults(), ..SMALLEST };
    let mut builder = Supervisors::new(config, Some(guard))
        .checker()
        // What is not found among that many states would be looked for in millions.
        .target_state_count(ENOUGH)
        .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property])));
    // A path of n steps has n + 1 states; what is that long is not looked at again.
    if let Some(steps) = known {
        builder = builder.target_max_depth(steps + 1);
    }
    let path = builder.spawn_bfs().join().discovery(property)?;
    Some(path.into_actions().len())
}
