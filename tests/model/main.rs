//! Every order of events in two small models: `recovery` has attempts and containers, `delivery` the database and Redis
//! side by side.
//!
//! `subject` is what both are made of, `explore` goes through their worlds, `table` prints what that comes to. That a
//! model can fail is shown by taking one guard at a time out of it.

mod delivery;
mod edges;
mod explore;
mod names;
mod recovery;
mod subject;
mod table;

use safeurl::domain::failure::{Failure, FailureClass, FailureStage};
use safeurl::domain::state::{Event, State};
use std::time::Duration;

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
