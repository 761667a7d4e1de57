//! What follows from a failed attempt: the end, another attempt, or a loss that does not count.

use rand::RngExt as _;
use std::time::Duration;

use crate::domain::failure::{Failure, FailureClass, backoff_ceiling};
use crate::domain::scan::{Job, MAX_LOSSES};
use crate::domain::state::Event;

/// The event for a failed attempt. `jitter` is drawn evenly from 0 to 1; the wait before the next attempt is that
/// part of the ceiling ("full jitter").
#[must_use]
pub fn after_failure(job: &Job, failure: Failure, jitter: f64) -> Event {
    if failure.class == FailureClass::Lost {
        // Our own trouble is not the job's fault, until it happens to this job again and again.
        return if job.losses + 1 < MAX_LOSSES { Event::Lose(failure) } else { Event::Fail(failure) };
    }
    if failure.retryable && job.may_retry() {
        let ceiling = backoff_ceiling(job.counted_attempts());
        return Event::Retry { failure, delay: ceiling.mul_f64(jitter.clamp(0.0, 1.0)) };
    }
    Event::Fail(failure)
}

/// A number for [`after_failure`].
#[must_use]
pub(super) fn jitter() -> f64 {
    rand::rng().random_range(0.0..1.0)
}

/// Wait before asking an engine or database again that did not answer: doubles from a quarter second to 5 s.
#[must_use]
pub fn trouble_backoff(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(5);
    FIRST.saturating_mul(1_u32 << failures.saturating_sub(1).min(10)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::FailureStage;
    use crate::domain::scan::sample;
    use proptest::prelude::*;

    fn job(attempt: u32, attempt_base: u32, losses: u32) -> Job {
        Job { attempt, attempt_base, losses, ..sample("http://example.test/") }
    }

    fn failure(class: FailureClass) -> Failure {
        Failure::new(class, FailureStage::Fetch, "x")
    }

    #[test]
    fn a_crash_is_retried_until_the_attempts_are_used_up() {
        for (attempt, base, again) in [(1, 0, true), (2, 0, true), (3, 0, false), (5, 3, true), (6, 3, false)]
        {
            let event = after_failure(&job(attempt, base, 0), failure(FailureClass::ContainerCrash), 0.5);
            assert_eq!(matches!(event, Event::Retry { .. }), again, "attempt {attempt} after {base}");
        }
    }

    #[test]
    fn a_refused_connection_is_final_at_once() {
        let event = after_failure(&job(1, 0, 0), failure(FailureClass::Connect), 0.5);
        assert!(matches!(event, Event::Fail(_)));
    }

    #[test]
    fn a_loss_does_not_count_until_there_were_ten() {
        let lost = || failure(FailureClass::Lost);
        assert!(matches!(after_failure(&job(3, 0, 0), lost(), 0.5), Event::Lose(_)));
        assert!(matches!(after_failure(&job(3, 0, 8), lost(), 0.5), Event::Lose(_)));
        assert!(matches!(after_failure(&job(3, 0, 9), lost(), 0.5), Event::Fail(_)));
    }

    proptest! {
        #[test]
        fn the_wait_is_never_longer_than_its_ceiling(attempt in 1..3_u32, jitter in -1.0..2.0_f64) {
            let event = after_failure(&job(attempt, 0, 0), failure(FailureClass::ContainerCrash), jitter);
            let Event::Retry { delay, .. } = event else { panic!("not a retry") };
            prop_assert!(delay <= backoff_ceiling(attempt));
        }
    }
}
