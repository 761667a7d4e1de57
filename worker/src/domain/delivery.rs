//! Deliveries of an outer queue, and what becomes of one that finds its job in some state.
//!
//! Two truths, one rule: the database says what became of a scan, the queue says when a delivery runs. A delivery may
//! come twice, late, or after the settlement that it should have heard of, so what is done with it hangs on the row that
//! it finds. [`course`] is that decision, in production and in the model checker.

mod retries;

use std::time::Duration;

pub use retries::{Backoff, Retries};

use super::state::State;

/// The entry of an outer queue that an attempt serves, as the claim writes it into the row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// The entry's id in the queue.
    pub id: String,
    /// The token of its lock: `<worker id>:<n>`.
    pub token: String,
    /// The count of attempts made (`atm`) that the entry has once this attempt is settled in the queue.
    pub atm: u32,
}

/// What the queue knows of an entry that it delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivered {
    /// Attempts made before this one.
    pub atm: u32,
    /// The queue wants the entry failed without running it (`defa`): it stalled too often, or a job that it depends on
    /// failed.
    pub deferred: bool,
}

/// What the row says that a delivery finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Found {
    /// Where the job stands.
    pub state: State,
    /// What is left of its lease; `None` when it has run out or there is none.
    pub lease: Option<Duration>,
    /// The count that the last attempt's settlement produces in the queue; `None` when no delivery served the row's last
    /// attempt, or its delivery was given back.
    pub delivery_atm: Option<u32>,
}

/// What is done with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Course {
    /// There is no row: it is made from the payload and looked at again.
    Admit,
    /// The row is claimed for it.
    Claim,
    /// The row ends FAILED/stalled, and the entry is failed unrun with the queue's own text.
    Stall,
    /// The queue missed that the last attempt is to be tried again: the entry is delayed, or retried, as that attempt
    /// decided.
    RepeatRetry,
    /// Somebody works on the job: the entry comes back after this time. No attempt is counted.
    Postpone(Duration),
    /// Its holder is gone: the job is taken over.
    TakeOver,
    /// The job has its result: the entry is completed with the stored summary.
    Complete,
    /// The queue missed the settlement: the entry is failed with the stored reason.
    RepeatFailure,
    /// A producer wants the job again: the row goes back to QUEUED and is claimed.
    Replay,
}

/// How long after the end of a living lease its entry comes back.
pub const AFTER_LEASE: Duration = Duration::from_secs(1);

/// What is done with a delivery that finds this row, or none. Total.
#[must_use]
pub const fn course(row: Option<Found>, entry: Delivered) -> Course {
    let Some(Found { state, lease, delivery_atm }) = row else {
        return Course::Admit;
    };
    let missed = match delivery_atm {
        Some(settled) => entry.atm < settled,
        None => false,
    };
    match state {
        State::Queued if missed => Course::RepeatRetry,
        State::Queued if entry.deferred => Course::Stall,
        State::Queued => Course::Claim,
        State::Fetching | State::Analyzing => match lease {
            Some(left) => Course::Postpone(left.saturating_add(AFTER_LEASE)),
            None if entry.deferred => Course::Stall,
            None => Course::TakeOver,
        },
        State::Completed => Course::Complete,
        // Refused or cancelled while no delivery served it: the queue has not heard of that end either.
        State::Failed | State::TimedOut if missed || delivery_atm.is_none() => Course::RepeatFailure,
        State::Failed | State::TimedOut => Course::Replay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn found(state: State, lease: Option<Duration>, delivery_atm: Option<u32>) -> Option<Found> {
        Some(Found { state, lease, delivery_atm })
    }

    fn entry(atm: u32) -> Delivered {
        Delivered { atm, deferred: false }
    }

    fn deferred(atm: u32) -> Delivered {
        Delivered { atm, deferred: true }
    }

    #[test]
    fn a_delivery_without_a_row_makes_one() {
        assert_eq!(course(None, entry(0)), Course::Admit);
        assert_eq!(course(None, deferred(0)), Course::Admit);
    }

    #[test]
    fn a_queued_row_is_claimed_unless_the_queue_missed_a_retry_or_defers_a_failure() {
        for (atm, settled, then) in [
            (0, None, Course::Claim),
            (2, None, Course::Claim),
            (1, Some(1), Course::Claim),
            (2, Some(1), Course::Claim),
            (0, Some(1), Course::RepeatRetry),
        ] {
            assert_eq!(course(found(State::Queued, None, settled), entry(atm)), then, "{atm} {settled:?}");
        }
        assert_eq!(course(found(State::Queued, None, None), deferred(0)), Course::Stall);
        assert_eq!(course(found(State::Queued, None, Some(1)), deferred(0)), Course::RepeatRetry);
    }

    #[test]
    fn a_row_at_work_is_left_to_its_holder_while_the_lease_lives() {
        for state in [State::Fetching, State::Analyzing] {
            for entry in [entry(0), deferred(0)] {
                let then = course(found(state, Some(SECOND), Some(1)), entry);
                assert_eq!(then, Course::Postpone(2 * SECOND), "{state} {entry:?}");
            }
            assert_eq!(course(found(state, None, Some(1)), entry(0)), Course::TakeOver);
            assert_eq!(course(found(state, None, Some(1)), deferred(0)), Course::Stall);
        }
    }

    #[test]
    fn a_result_is_final_whatever_the_queue_wants() {
        for entry in [entry(0), entry(5), deferred(0)] {
            for settled in [None, Some(1)] {
                assert_eq!(course(found(State::Completed, None, settled), entry), Course::Complete);
            }
        }
    }

    #[test]
    fn an_end_is_repeated_until_the_queue_has_heard_of_it_and_then_a_delivery_is_a_replay() {
        for state in [State::Failed, State::TimedOut] {
            assert_eq!(course(found(state, None, Some(1)), entry(0)), Course::RepeatFailure);
            assert_eq!(course(found(state, None, Some(1)), entry(1)), Course::Replay);
            assert_eq!(course(found(state, None, None), entry(1)), Course::RepeatFailure);
        }
    }
}
