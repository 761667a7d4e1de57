//! Every order of events in a small world: the shipped plan of an attempt and the shipped decisions of recovery, driven
//! through crashes, lost leases, lost answers, dead gateways, and what people ask for.
//!
//! The world (rows, containers, doors, processes) is the model's; every decision is asked of the shipped functions.
//! That the model can fail is shown by taking one guard at a time out of it.

mod database;
mod delivery;
mod effects;
mod guards;
mod measure;
mod model;
mod properties;
mod recovery;
mod table;
mod world;

use safeurl::domain::failure::{Failure, FailureClass, FailureStage};
use safeurl::domain::state::{Event, State};
use std::time::Duration;

use guards::{Guard, Lists};

#[test]
fn the_promises_hold_in_the_smallest_worlds() {
    for config in table::SMALL {
        let checked = table::check(config, 1);
        assert!(checked.is_whole(), "{}: {checked}", config.name);
    }
}

#[test]
fn without_each_guard_a_promise_is_broken() {
    for (guard, name, property) in Guard::ALL {
        let found = table::counterexample(guard, property, None);
        assert!(found.is_some(), "without {name} nothing breaks: {property}");
    }
}

#[test]
#[ignore = "takes minutes: make model"]
fn the_promises_hold_in_every_world_and_fall_with_every_guard() {
    let mut whole = true;
    println!("\n{:<48} {:>10} {:>6} {:>8}", "world", "states", "depth", "time");
    for config in table::LARGE {
        let checked = table::check(config, 2);
        println!("{:<48} {checked}", config.name);
        whole &= checked.is_whole();
    }
    println!("\n{:<36} {:<66} {:>6}", "without", "broken", "steps");
    for (guard, name, property) in Guard::ALL {
        let found = table::shortest_counterexample(guard, property);
        let steps = found.map_or_else(|| "none".to_owned(), |steps| steps.to_string());
        println!("{name:<36} {property:<66} {steps:>6}");
        whole &= found.is_some();
    }
    println!("\n{:<36} {:<20} needed", "list", "effect");
    for (known, effect, lists) in Lists::each_shorter() {
        let needed = table::is_needed(known, lists);
        println!("{:<36} {:<20} {needed}", format!("{known:?}"), format!("{effect:?}"));
        whole &= needed || table::is_beyond_the_model(known, effect);
    }
    assert!(whole, "a property does not hold, or does not fall with its guard");
}

#[test]
fn states_and_events_have_names_of_their_own() {
    let failure = Failure::new(FailureClass::Lost, FailureStage::Fetch, "");
    let events = [
        Event::Claim,
        Event::Refuse(failure.clone()),
        Event::Accept,
        Event::TakeOver,
        Event::Fail(failure.clone()),
        Event::Complete,
        Event::Retry { failure: failure.clone(), delay: Duration::ZERO },
        Event::Lose(failure.clone()),
        Event::Release,
        Event::Replay,
    ];
    let names = events.each_ref().map(Event::name);
    let expected = [
        "claimed",
        "refused",
        "report accepted",
        "taken over",
        "failed",
        "completed",
        "retry",
        "lost",
        "released",
        "replayed",
    ];
    assert_eq!(names, expected);
    let failed = events.map(|event| event.failure() == Some(&failure));
    assert_eq!(failed, [false, true, false, false, true, false, true, true, false, false]);
    let states = State::ALL.map(|state| state.to_string());
    assert_eq!(states, ["QUEUED", "FETCHING", "ANALYZING", "COMPLETED", "FAILED", "TIMED_OUT"]);
    assert_eq!(State::ALL.map(State::is_final), [false, false, false, true, true, true]);
}
