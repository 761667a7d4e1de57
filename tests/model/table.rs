//! What `make model` prints of either model, and what every run of the tests asks of it.

use crate::explore::{check, counterexample};
use crate::subject::{Config, Fall, Small, Subject};

/// The promises hold in every state of these worlds.
pub(crate) fn assert_whole<S: Subject>(worlds: &[Config]) {
    for config in worlds {
        let checked = check(Small::<S>::new(config.clone(), None), 1);
        assert!(checked.is_whole(), "{}: {checked}", config.name);
    }
}

/// Prints what checking each world comes to. `false` when a promise does not hold.
pub(crate) fn print_worlds<S: Subject>(worlds: &[Config]) -> bool {
    let mut whole = true;
    println!("\n{:<52} {:>10} {:>6} {:>8}", "world", "states", "depth", "time");
    for config in worlds {
        let checked = check(Small::<S>::new(config.clone(), None), 2);
        println!("{:<52} {checked}", config.name);
        whole &= checked.is_whole();
    }
    whole
}

/// Prints in how many steps a promise falls without each guard. `false` when one does not.
pub(crate) fn print_guards<S: Subject>(steps: impl Fn(&Fall<S::Guard>) -> Option<usize>) -> bool {
    let mut whole = true;
    println!("\n{:<48} {:<72} {:>6} {:>6}", "without", "broken", "faults", "steps");
    for fall in S::GUARDS {
        let (_, name, property, faults) = fall;
        let found = steps(fall);
        let steps = found.map_or_else(|| "none".to_owned(), |steps| steps.to_string());
        println!("{name:<48} {property:<72} {faults:>6} {steps:>6}");
        whole &= found.is_some();
    }
    whole
}

/// The length of the shortest way to break a property without a guard.
pub(crate) fn shortest<S: Subject>(
    world: &Config,
    (guard, _, property, _): &Fall<S::Guard>,
) -> Option<usize> {
    let mut shortest = None;
    while let Some(shorter) = counterexample::<S>(world.clone(), *guard, property, shortest) {
        shortest = Some(shorter);
    }
    shortest
}
