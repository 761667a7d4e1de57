//! The worlds that are checked, and what checking one comes to.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::guards::Guard;
use crate::model::{Config, Step, Supervisors};
use crate::properties::RULES;
use crate::world::World;

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

/// For every run of the tests.
pub(crate) const SMALL: &[Config] =
    &[SMALLEST, Config { name: "1 supervisor, 1 job, 1 fault", seats: &[0], faults: 1, ..SMALLEST }];

/// For `make model`.
pub(crate) const LARGE: &[Config] = &[
    SMALLEST,
    Config { name: "2 supervisors, 1 job, 1 fault of any kind", faults: 1, ..SMALLEST },
    Config { name: "2 supervisors on 2 engines, 1 job, 1 fault", seats: &[0, 1], faults: 1, ..SMALLEST },
    Config { name: "2 supervisors, 2 jobs, 1 fault", jobs: 2, slots: 1, faults: 1, rare: false, ..SMALLEST },
    Config { name: "2 supervisors, 1 job, 2 faults of any kind", faults: 2, ..SMALLEST },
    Config { name: "2 supervisors, 1 job, 3 faults", faults: 3, rare: false, ..SMALLEST },
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
    let begun = Instant::now();
    let checker = Supervisors::new(config.clone(), None)
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

/// The length of the shortest way to break a property without a guard.
pub(crate) fn counterexample(guard: Guard, property: &'static str) -> Option<usize> {
    let mut shortest = None;
    loop {
        let config = Config { faults: guard.faults(), ..SMALLEST };
        let mut builder = Supervisors::new(config, Some(guard))
            .checker()
            .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property])));
        // A path of n steps has n + 1 states; what is that long is not looked at again.
        if let Some(states) = shortest.and_then(|steps| NonZeroUsize::new(steps + 1)) {
            builder = builder.target_max_depth(states.get());
        }
        let checker = builder.spawn_bfs().join();
        match checker.discovery(property) {
            Some(path) => shortest = Some(path.into_actions().len()),
            None => return shortest,
        }
    }
}
