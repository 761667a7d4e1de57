//! The states of a job and the only function that moves between them.
//!
//! A [`Transition`] comes out of [`step`] and nowhere else; the store writes transitions and nothing else. What
//! is not an edge of the table here cannot be written.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::failure::Failure;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Waits for a worker, or for its time.
    Queued,
    /// A container works on it.
    Fetching,
    /// The report is being judged.
    Analyzing,
    /// Has a result.
    Completed,
    /// Ended without one.
    Failed,
    /// Ended without one because time ran out.
    TimedOut,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Fetching, Self::Analyzing, Self::Completed, Self::Failed, Self::TimedOut];

    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Fetching => "FETCHING",
            Self::Analyzing => "ANALYZING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Nothing but a replay leaves this state.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::TimedOut => true,
            Self::Queued | Self::Fetching | Self::Analyzing => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What happened to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker took it.
    Claim,
    /// It must not start: invalid target, cancelled, stalled.
    Refuse(Failure),
    /// The container's report is whole and was accepted.
    Accept,
    /// The lease expired and another worker goes on with the same attempt.
    TakeOver,
    /// It ended without a result.
    Fail(Failure),
    /// It was judged.
    Complete,
    /// A retryable failure: try again after the delay.
    Retry {
        /// Why the attempt failed.
        failure: Failure,
        /// Until the job is due again.
        delay: Duration,
    },
    /// The attempt is gone through no fault of its own; not counted against the cap.
    Lose(Failure),
    /// The worker gives it back unfinished: shutdown, or an engine error before hand-over. Not counted either.
    Release,
    /// A person or producer wants it done again.
    Replay,
}

impl Event {
    /// The word stored as the reason of a transition.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Claim => "claimed",
            Self::Refuse(_) => "refused",
            Self::Accept => "report accepted",
            Self::TakeOver => "taken over",
            Self::Fail(_) => "failed",
            Self::Complete => "completed",
            Self::Retry { .. } => "retry",
            Self::Lose(_) => "lost",
            Self::Release => "released",
            Self::Replay => "replayed",
        }
    }

    /// The failure that the event carries.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Refuse(failure)
            | Self::Fail(failure)
            | Self::Retry { failure, .. }
            | Self::Lose(failure) => Some(failure),
            Self::Claim | Self::Accept | Self::TakeOver | Self::Complete | Self::Release | Self::Replay => {
                None
            }
        }
    }
}

/// One legal edge. Only [`step`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a transition that is not applied changes nothing"]
pub struct Transition {
    from: State,
    to: State,
    event: Event,
}

impl Transition {
    /// The state that the row must still have.
    #[must_use]
    pub const fn from(&self) -> State {
        self.from
    }

    /// The state that the row gets.
    #[must_use]
    pub const fn to(&self) -> State {
        self.to
    }

    /// What happened.
    #[must_use]
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// Whether the edge must not be taken once a person asked to cancel: the row ends FAILED/cancelled instead.
    #[must_use]
    pub const fn yields_to_cancel(&self) -> bool {
        matches!((self.from, self.to), (State::Fetching | State::Analyzing, State::Queued))
    }
}

/// The event does not lead anywhere from this state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a job in {state} cannot be {}", .event.name())]
pub struct IllegalTransition {
    /// Where the job stands.
    pub state: State,
    /// What was to happen.
    pub event: Event,
}

/// Decides where an event leads from a state. Total: every pair has an answer.
///
/// # Errors
/// [`IllegalTransition`] for a pair that is not an edge.
pub fn step(state: State, event: Event) -> Result<Transition, IllegalTransition> {
    use State::{Analyzing, Completed, Failed, Fetching, Queued, TimedOut};
    let to = match (state, &event) {
        (Queued, Event::Claim) => Fetching,
        (Queued, Event::Refuse(_)) => Failed,
        (Fetching, Event::Accept) => Analyzing,
        (Fetching | Analyzing, Event::TakeOver) => state,
        (Fetching | Analyzing, Event::Fail(failure)) if failure.class.is_timeout() => TimedOut,
        (Fetching | Analyzing, Event::Fail(_)) => Failed,
        (Analyzing, Event::Complete) => Completed,
        (Fetching | Analyzing, Event::Retry { .. } | Event::Lose(_) | Event::Release) => Queued,
        (Failed | TimedOut, Event::Replay) => Queued,
        (Queued | Fetching | Analyzing | Completed | Failed | TimedOut, _) => {
            return Err(IllegalTransition { state, event });
        }
    };
    Ok(Transition { from: state, to, event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::{FailureClass, FailureStage};
    use proptest::prelude::*;

    fn failure(class: FailureClass) -> Failure {
        Failure::new(class, FailureStage::Fetch, "x")
    }

    fn events() -> Vec<Event> {
        let mut events = vec![Event::Claim, Event::Accept, Event::TakeOver, Event::Complete];
        events.extend([Event::Release, Event::Replay, Event::Lose(failure(FailureClass::Lost))]);
        for class in FailureClass::ALL {
            events.push(Event::Refuse(failure(class)));
            events.push(Event::Fail(failure(class)));
            events.push(Event::Retry { failure: failure(class), delay: Duration::from_secs(1) });
        }
        events
    }

    /// The table of the design, written out a second time.
    fn table(state: State, event: &Event) -> Option<State> {
        match state {
            State::Queued => match event {
                Event::Claim => Some(State::Fetching),
                Event::Refuse(_) => Some(State::Failed),
                _ => None,
            },
            State::Fetching | State::Analyzing => match event {
                Event::Accept if state == State::Fetching => Some(State::Analyzing),
                Event::Complete if state == State::Analyzing => Some(State::Completed),
                Event::TakeOver => Some(state),
                Event::Fail(failure) => Some(match failure.class {
                    FailureClass::Timeout | FailureClass::AnalysisTimeout => State::TimedOut,
                    _ => State::Failed,
                }),
                Event::Retry { .. } | Event::Lose(_) | Event::Release => Some(State::Queued),
                _ => None,
            },
            State::Failed | State::TimedOut => matches!(event, Event::Replay).then_some(State::Queued),
            State::Completed => None,
        }
    }

    #[test]
    fn every_pair_of_state_and_event_is_answered_as_the_table_says() {
        for state in State::ALL {
            for event in events() {
                let answer = step(state, event.clone()).map(|transition| transition.to()).ok();
                assert_eq!(answer, table(state, &event), "{state} {event:?}");
            }
        }
    }

    #[test]
    fn names_in_the_database_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).expect("a string"), state.as_str());
        }
        assert_eq!(State::parse("queued"), None);
    }

    proptest! {
        /// Whatever happens in whatever order: a completed job stays so, and a final one moves only by replay.
        #[test]
        fn a_final_state_changes_only_by_replay(picks in proptest::collection::vec(0..52_usize, 0..40)) {
            let events = events();
            let mut state = State::Queued;
            for pick in picks {
                let event = events[pick % events.len()].clone();
                let replay = event == Event::Replay;
                if let Ok(transition) = step(state, event) {
                    prop_assert_eq!(transition.from(), state);
                    if state.is_final() {
                        prop_assert!(replay && state != State::Completed);
                    }
                    state = transition.to();
                }
            }
        }
    }
}
