//! What both databases have of the shipped edges: a job to ask about, and the event that ends an attempt.

use safeurl::domain::failure::{Failure, FailureClass, FailureStage};
use safeurl::domain::scan::{Job, Method, Options, ScanId};
use safeurl::domain::state::{Event, State};
use safeurl::domain::timestamp::Timestamp;
use safeurl::supervisor::{End, Known};

/// What became of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    Held,
    Cancelled,
    Conflict,
}

/// A job with everything that the shipped functions do not ask about.
pub(crate) fn template(attempts: u8) -> Job {
    Job {
        id: ScanId::parse("job").expect("a short name"),
        user: String::new(),
        url: String::new(),
        kind: String::new(),
        state: State::Queued,
        version: 1,
        options: Options::default(),
        priority: 0,
        attempt: 0,
        attempt_base: 0,
        losses: 0,
        max_attempts: u32::from(attempts),
        lease_owner: None,
        container_id: None,
        cancel_requested: false,
        method: Method::Queue,
        delivery: None,
        failure: None,
        created: Timestamp::default(),
        updated: Timestamp::default(),
        run_at: None,
        started: None,
        finished: None,
    }
}

pub(crate) fn failure(class: FailureClass) -> Failure {
    Failure::new(class, FailureStage::Fetch, "")
}

/// The event that ends an attempt, as `Effect::Settle` chooses it; what follows from a failure is asked.
pub(crate) fn last_event(
    known: Known,
    class: Option<FailureClass>,
    after_failure: impl FnOnce(Failure) -> Event,
) -> Event {
    match known {
        Known::Ended(End::Report | End::Accepted) => Event::Complete,
        Known::Ended(End::Cancelled) => Event::Fail(failure(FailureClass::Cancelled)),
        Known::Ended(End::Aborted) => Event::Release,
        Known::Ended(End::Failure | End::TimedOut)
        | Known::Orphaned(_)
        | Known::SlotFree
        | Known::Unused
        | Known::NotHandedOver
        | Known::Ran
        | Known::LeaseLost => after_failure(failure(class.unwrap_or(FailureClass::Lost))),
    }
}
