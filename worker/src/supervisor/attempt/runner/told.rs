//! What the log says of an attempt's edges.

use tracing::info;

use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::Job;
use crate::domain::state::{Event, State, Transition};
use crate::domain::target::{Masked, Target};

/// What the log says of an edge, kept until the edge is written.
pub(super) struct Told {
    from: State,
    to: State,
    reason: &'static str,
    failure: Option<Failure>,
}

impl Told {
    /// Where it leads, and the class of the failure that it is about.
    pub(super) fn end(&self) -> (State, Option<FailureClass>) {
        (self.to, self.failure.as_ref().map(|failure| failure.class))
    }

    pub(super) fn of(transition: &Transition) -> Self {
        Self {
            from: transition.from(),
            to: transition.to(),
            reason: transition.event().name(),
            failure: transition.event().failure().cloned(),
        }
    }

    pub(super) const fn of_claim() -> Self {
        Self { from: State::Queued, to: State::Fetching, reason: Event::Claim.name(), failure: None }
    }

    pub(super) const fn of_take_over(state: State) -> Self {
        Self { from: state, to: state, reason: Event::TakeOver.name(), failure: None }
    }
}

/// The reason, where no container had a part in it: one from there may quote a page, or the query of an address.
fn ours(failure: &Failure) -> Option<&str> {
    match failure.stage {
        FailureStage::Fetch | FailureStage::Report => None,
        FailureStage::Claim | FailureStage::Start | FailureStage::Analyse | FailureStage::Store => {
            Some(&failure.message)
        }
    }
}

/// One line per transition.
pub(super) fn logged(job: &Job, told: &Told) {
    let Told { from, to, reason, failure } = told;
    let target = Target::parse(&job.url).ok();
    let url = target.as_ref().map(|target| Masked(target.url()).to_string()).unwrap_or_default();
    info!(
        scan.id = %job.id,
        scan.attempt = job.attempt,
        from = %from,
        to = %to,
        reason,
        failure.class = failure.as_ref().map(|failure| failure.class.as_str()),
        failure.message = failure.as_ref().and_then(ours),
        url,
        "transition"
    );
}
