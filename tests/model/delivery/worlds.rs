//! The worlds that are checked, and what checking one comes to.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use super::guards::Guard;
use super::model::{Config, Deliveries};
use super::properties::RULES;
use super::steps::Step;
use super::world::World;

const SMALLEST: Config = Config {
    name: "Redis, 2 supervisors, 1 job, no fault",
    seats: &[0, 0],
    jobs: 1,
    entries: 1,
    rows: false,
    slots: 1,
    attempts: 2,
    losses: 8,
    faults: 0,
    rare: true,
};

/// For every run of the tests.
pub(crate) const SMALL: &[Config] =
    &[SMALLEST, Config { name: "Redis, 2 supervisors, 1 job, 1 fault", faults: 1, ..SMALLEST }];

/// For `make model`.
pub(crate) const LARGE: &[Config] = &[
    SMALLEST,
    Config { name: "Redis, 2 supervisors, 1 job, 1 fault", faults: 1, ..SMALLEST },
    Config { name: "Redis, 2 supervisors, 1 job, 2 faults", faults: 2, ..SMALLEST },
    Config { name: "Redis, 2 engines, 1 job, 2 faults", seats: &[0, 1], faults: 2, ..SMALLEST },
    Config { name: "Redis, 2 supervisors, 1 job added twice, 1 fault", entries: 2, faults: 1, ..SMALLEST },
    Config {
        name: "Redis, 1 supervisor with 2 slots, 1 job, 2 faults",
        seats: &[0],
        slots: 2,
        faults: 2,
        ..SMALLEST
    },
    Config { name: "Redis, 2 supervisors, 2 jobs, 1 fault", jobs: 2, faults: 1, rare: false, ..SMALLEST },
    Config { name: "Redis, 2 supervisors, 1 job, 3 faults", faults: 3, rare: false, ..SMALLEST },
];

/// States in which a counterexample is looked for.
const ENOUGH: usize = 1_000_000;

/// What a check came to.
pub(crate) struct Checked {
    states: usize,
    depth: usize,
    time: Duration,
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
    let begun = Instant::now();
    let checker = Deliveries::new(config.clone(), None)
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
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

/// The shortest way to break a property without a guard.
pub(crate) fn counterexample(guard: Guard, property: &'static str, faults: u8) -> Option<Vec<Step>> {
    [(1, 2), (1, 1), (2, 2), (2, 1)].into_iter().find_map(|(entries, attempts)| {
        let config = Config { faults, entries, attempts, ..SMALLEST };
        let path = Deliveries::new(config, Some(guard))
            .checker()
            .target_state_count(ENOUGH)
            .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property])))
            .spawn_bfs()
            .join()
            .discovery(property)?;
        Some(path.into_actions())
    })
}
