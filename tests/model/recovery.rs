//! The shipped plan of an attempt and the shipped decisions of recovery, driven through crashes, lost leases, lost
//! answers, dead gateways, and what people ask for.
//!
//! The world (rows, containers, doors, processes) is the model's; every decision is asked of the shipped functions.

mod database;
mod effects;
mod guards;
mod measure;
mod model;
mod preparing;
mod properties;
mod steps;
mod world;
mod worlds;

use crate::explore::counterexample;
use crate::subject::{Config, Fall, Subject as _};
use crate::table;

use guards::{Guard, Lists};
use model::Recovery;

#[test]
fn the_promises_hold_in_the_smallest_worlds() {
    table::assert_whole::<Recovery>(worlds::SMALL);
}

#[test]
fn without_each_guard_a_promise_is_broken() {
    for (guard, name, property, faults) in Recovery::GUARDS {
        let world = Config { faults: *faults, ..worlds::SMALLEST };
        let found = counterexample::<Recovery>(world, *guard, property, None);
        assert!(found.is_some(), "without {name} nothing breaks: {property}");
    }
}

#[test]
#[ignore = "takes minutes: make model"]
fn the_promises_hold_in_every_world_and_fall_with_every_guard() {
    let mut whole = table::print_worlds::<Recovery>(worlds::LARGE);
    whole &= table::print_guards::<Recovery>(shortest);
    println!("\n{:<36} {:<20} needed", "list", "effect");
    for (known, effect, lists) in Lists::each_shorter() {
        let needed = worlds::is_needed(known, lists);
        println!("{:<36} {:<20} {needed}", format!("{known:?}"), format!("{effect:?}"));
        whole &= needed || worlds::is_beyond_the_model(known, effect);
    }
    assert!(whole, "a property does not hold, or does not fall with its guard");
}

fn shortest(fall: &Fall<Guard>) -> Option<usize> {
    table::shortest::<Recovery>(&Config { faults: fall.3, ..worlds::SMALLEST }, fall)
}
