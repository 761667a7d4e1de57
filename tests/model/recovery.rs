//! The shipped plan of an attempt and the shipped decisions of recovery, driven through crashes, lost leases, lost
//! answers, dead gateways, and what people ask for.
//!
//! The world (rows, containers, doors, processes) is the model's; every decision is asked of the shipped functions.

mod database;
mod effects;
mod guards;
mod measure;
mod model;
mod properties;
mod steps;
mod world;
mod worlds;

use guards::{Guard, Lists};

#[test]
fn the_promises_hold_in_the_smallest_worlds() {
    for config in worlds::SMALL {
        let checked = worlds::check(config, 1);
        assert!(checked.is_whole(), "{}: {checked}", config.name);
    }
}

#[test]
fn without_each_guard_a_promise_is_broken() {
    for (guard, name, property) in Guard::ALL {
        let found = worlds::counterexample(guard, property, None);
        assert!(found.is_some(), "without {name} nothing breaks: {property}");
    }
}

#[test]
#[ignore = "takes minutes: make model"]
fn the_promises_hold_in_every_world_and_fall_with_every_guard() {
    let mut whole = true;
    println!("\n{:<48} {:>10} {:>6} {:>8}", "world", "states", "depth", "time");
    for config in worlds::LARGE {
        let checked = worlds::check(config, 2);
        println!("{:<48} {checked}", config.name);
        whole &= checked.is_whole();
    }
    println!("\n{:<36} {:<66} {:>6}", "without", "broken", "steps");
    for (guard, name, property) in Guard::ALL {
        let found = worlds::shortest_counterexample(guard, property);
        let steps = found.map_or_else(|| "none".to_owned(), |steps| steps.to_string());
        println!("{name:<36} {property:<66} {steps:>6}");
        whole &= found.is_some();
    }
    println!("\n{:<36} {:<20} needed", "list", "effect");
    for (known, effect, lists) in Lists::each_shorter() {
        let needed = worlds::is_needed(known, lists);
        println!("{:<36} {:<20} {needed}", format!("{known:?}"), format!("{effect:?}"));
        whole &= needed || worlds::is_beyond_the_model(known, effect);
    }
    assert!(whole, "a property does not hold, or does not fall with its guard");
}
