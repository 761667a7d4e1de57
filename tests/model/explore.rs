//! Going through a world, and what that comes to.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model as _};

use crate::subject::{Config, Small, Subject};

/// What a check came to.
pub(crate) struct Checked<S: Subject> {
    states: usize,
    depth: usize,
    time: Duration,
    broken: Vec<Fallen<S>>,
    completes: bool,
}

/// A property that does not hold, with the steps of a counterexample and where they lead.
struct Fallen<S: Subject> {
    property: &'static str,
    steps: Vec<S::Step>,
    last: S::World,
}

impl<S: Subject> Checked<S> {
    pub(crate) fn is_whole(&self) -> bool {
        self.broken.is_empty() && self.completes
    }
}

impl<S: Subject> fmt::Display for Checked<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10} {:>6} {:>6.1} s", self.states, self.depth, self.time.as_secs_f64())?;
        if !self.completes {
            write!(f, "\n  no job completes")?;
        }
        for Fallen { property, steps, last } in &self.broken {
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
pub(crate) fn check<S: Subject>(model: Small<S>, threads: usize) -> Checked<S> {
    let begun = Instant::now();
    let depth_first = model.config.depth_first;
    let checker = model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    if depth_first {
        checked(&checker.spawn_dfs().join(), begun)
    } else {
        checked(&checker.spawn_bfs().join(), begun)
    }
}

fn checked<S: Subject>(checker: &impl Checker<Small<S>>, begun: Instant) -> Checked<S> {
    let mut checked = Checked {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        time: begun.elapsed(),
        broken: Vec::new(),
        completes: false,
    };
    for (name, path) in checker.discoveries() {
        if S::RULES.iter().any(|(rule, _)| *rule == name) {
            let last = path.last_state().clone();
            checked.broken.push(Fallen { property: name, steps: path.into_actions(), last });
        } else {
            checked.completes = true;
        }
    }
    checked
}

/// The length of a way to break a property without a guard, shorter than one that is known.
pub(crate) fn counterexample<S: Subject>(
    config: Config,
    guard: S::Guard,
    property: &'static str,
    known: Option<usize>,
) -> Option<usize> {
    let mut builder = Small::<S>::new(config, Some(guard))
        .checker()
        // What is not found among that many states would be looked for in millions.
        .target_state_count(S::ENOUGH)
        .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property])));
    // A path of n steps has n + 1 states; what is that long is not looked at again.
    if let Some(steps) = known {
        builder = builder.target_max_depth(steps + 1);
    }
    let path = builder.spawn_bfs().join().discovery(property)?;
    Some(path.into_actions().len())
}
