//! The database and Redis side by side: what becomes of a job when either misses what the other has.
//!
//! Beside the model of attempts and containers, and not within it: containers multiply the states, and nothing that is
//! done to an entry hangs on them. Here an attempt is only what it reads from and writes to rows and entries, which
//! leaves room for a Redis that forgets, locks that run out, answers that are lost, and other people's programs.
//!
//! The decision about a delivery is asked of the shipped `course`, that about a failed attempt of
//! `after_delivered_failure`, the steps of an attempt of `plan` and `learn`. What the Lua scripts do to an entry is the
//! model's own small statement, named after them.

mod attempt;
mod guards;
mod model;
mod properties;
mod redis;
mod rows;
mod steps;
mod world;
mod worlds;

use crate::explore::counterexample;
use crate::subject::{Config, Fall, Subject as _};
use crate::table;

use guards::Guard;
use model::Delivery;

#[test]
fn deliveries_keep_their_promises_in_the_smallest_worlds() {
    table::assert_whole::<Delivery>(worlds::SMALL);
}

#[test]
fn without_each_guard_that_one_fault_passes_a_promise_is_broken() {
    for fall in Delivery::GUARDS.iter().filter(|(.., faults)| *faults < 2) {
        let (_, name, property, _) = fall;
        assert!(steps(fall).is_some(), "without {name} nothing breaks: {property}");
    }
}

#[test]
#[ignore = "takes minutes: make model"]
fn deliveries_keep_their_promises_in_every_world_and_break_them_without_each_guard() {
    let mut whole = table::print_worlds::<Delivery>(worlds::LARGE);
    whole &= table::print_guards::<Delivery>(steps);
    assert!(whole, "a property does not hold, or does not fall with its guard");
}

/// The length of the shortest way to break a property without a guard, in the first world in which it breaks.
fn steps((guard, _, property, faults): &Fall<Guard>) -> Option<usize> {
    [(1, 2), (1, 1), (2, 2), (2, 1)].into_iter().find_map(|(entries, attempts)| {
        let world = Config { faults: *faults, entries, attempts, ..worlds::SMALLEST };
        counterexample::<Delivery>(world, *guard, property, None)
    })
}
