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
pub(crate) mod worlds;

#[test]
fn deliveries_keep_their_promises_in_the_smallest_worlds() {
    for config in worlds::SMALL {
        let checked = worlds::check(config, 1);
        assert!(checked.is_whole(), "{}: {checked}", config.name);
    }
}

#[test]
fn without_each_guard_that_one_fault_passes_a_promise_is_broken() {
    for (guard, name, property, faults) in guards::ALL.iter().filter(|(.., faults)| *faults < 2) {
        let found = worlds::counterexample(*guard, property, *faults);
        assert!(found.is_some(), "without {name} nothing breaks: {property}");
    }
}

#[test]
#[ignore = "takes minutes: make model"]
fn deliveries_keep_their_promises_in_every_world_and_break_them_without_each_guard() {
    let mut whole = true;
    println!("\n{:<52} {:>10} {:>6} {:>8}", "world", "states", "depth", "time");
    for config in worlds::LARGE {
        let checked = worlds::check(config, 2);
        println!("{:<52} {checked}", config.name);
        whole &= checked.is_whole();
    }
    println!("\n{:<48} {:<72} {:>6} {:>6}", "without", "broken", "faults", "steps");
    for (guard, name, property, faults) in guards::ALL {
        let found = worlds::counterexample(*guard, property, *faults);
        let steps = found.as_ref().map_or_else(|| "none".to_owned(), |steps| steps.len().to_string());
        println!("{name:<48} {property:<72} {faults:>6} {steps:>6}");
        whole &= found.is_some();
    }
    assert!(whole, "a property does not hold, or does not fall with its guard");
}
