//! What follows from a failed attempt: the end, another attempt, or a loss that does not count.

use rand::RngExt as _;
use std::time::Duration;

use crate::domain::delivery::{Delivery, Retries};
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

/// The event for a failed attempt that serves a delivery: its entry's attempts and backoff decide alone, whatever the class,
/// but for what another attempt cannot change. A loss is our own trouble here too. `draw` is drawn evenly from 0 to 1.
#[must_use]
pub fn after_delivered_failure(
    job: &Job,
    delivery: &Delivery,
    failure: Failure,
    retries: Retries,
    draw: f64,
) -> Event {
    if failure.class == FailureClass::Lost && job.losses + 1 < MAX_LOSSES {
        return Event::Lose(failure);
    }
    let unrecoverable = matches!(
        failure.class,
        FailureClass::InvalidTarget | FailureClass::Cancelled | FailureClass::Stalled
    );
    match retries.after(delivery.atm, draw) {
        Some(delay) if !unrecoverable => Event::Retry { failure, delay },
        Some(_) | None => Event::Fail(failure),
    }
}

/// A number for [`after_failure`] and [`after_delivered_failure`].
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
    use crate::domain::delivery::Backoff;
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

    fn delivered(class: FailureClass, losses: u32, atm: u32, attempts: u32) -> Event {
        let delivery = Delivery { id: "1".into(), token: "w:1".into(), atm };
        let delay = Duration::from_millis(400);
        let retries = Retries { attempts, backoff: Backoff::Fixed { delay, jitter: 0.0 } };
        after_delivered_failure(&job(1, 0, losses), &delivery, failure(class), retries, 0.5)
    }

    #[test]
    fn an_entrys_attempts_decide_whatever_the_class_but_for_what_no_attempt_changes() {
        for class in FailureClass::ALL {
            let again = match delivered(class, 0, 1, 2) {
                Event::Retry { delay, .. } => Some(delay),
                Event::Lose(_) => {
                    assert_eq!(class, FailureClass::Lost);
                    continue;
                }
                _ => None,
            };
            let never = [FailureClass::InvalidTarget, FailureClass::Cancelled, FailureClass::Stalled];
            let expected = (!never.contains(&class)).then_some(Duration::from_millis(400));
            assert_eq!(again, expected, "{class:?}");
            assert!(matches!(delivered(class, 0, 2, 2), Event::Fail(_)), "the last attempt: {class:?}");
            assert!(matches!(delivered(class, 0, 1, 0), Event::Fail(_)), "no attempts mean one: {class:?}");
        }
    }

    #[test]
    fn the_tenth_loss_of_a_delivered_job_is_a_failure_like_any_other() {
        let lost = FailureClass::Lost;
        assert!(matches!(delivered(lost, 8, 2, 2), Event::Lose(_)), "attempts do not count losses");
        assert!(matches!(delivered(lost, 9, 1, 2), Event::Retry { .. }));
        assert!(matches!(delivered(lost, 9, 2, 2), Event::Fail(_)));
    }

    /// What happens to a job that is claimed, as the store writes it down.
    #[derive(Debug, Clone, Copy)]
    enum Fate {
        Crashes,
        Refused,
        Lost,
        Released,
    }

    fn fate() -> impl Strategy<Value = Fate> {
        prop_oneof![
            3 => Just(Fate::Crashes), 1 => Just(Fate::Refused), 3 => Just(Fate::Lost), 1 => Just(Fate::Released)
        ]
    }

    fn class(fate: Fate) -> Option<FailureClass> {
        match fate {
            Fate::Crashes => Some(FailureClass::ContainerCrash),
            Fate::Refused => Some(FailureClass::Connect),
            Fate::Lost => Some(FailureClass::Lost),
            Fate::Released => None,
        }
    }

    /// One attempt of a queued job. `false` when the job is final after it.
    fn live(job: &mut Job, fate: Fate) -> bool {
        job.attempt += 1;
        let event = match class(fate) {
            Some(class) => after_failure(job, failure(class), 0.5),
            None => Event::Release,
        };
        match event {
            Event::Retry { .. } => {}
            Event::Lose(_) => {
                job.attempt_base += 1;
                job.losses += 1;
            }
            Event::Release => job.attempt_base += 1,
            Event::Fail(_) => return false,
            other => panic!("{other:?} does not follow from an attempt"),
        }
        true
    }

    proptest! {
        #[test]
        fn a_wait_lies_evenly_between_nothing_and_its_ceiling(attempt in 1..3_u32, jitter in -1.0..2.0_f64) {
            let wait = |jitter| {
                match after_failure(&job(attempt, 0, 0), failure(FailureClass::ContainerCrash), jitter) {
                    Event::Retry { delay, .. } => delay,
                    other => panic!("{other:?} is no retry"),
                }
            };
            let ceiling = backoff_ceiling(attempt);
            prop_assert_eq!((wait(0.0), wait(1.0)), (Duration::ZERO, ceiling));
            prop_assert!(wait(jitter) <= ceiling);
            let share = wait(jitter).as_secs_f64() / ceiling.as_secs_f64();
            prop_assert!((share - jitter.clamp(0.0, 1.0)).abs() < 1e-6, "{} of {}", share, jitter);
        }

        #[test]
        fn ceilings_and_waits_for_trouble_double_up_to_their_caps(n in 1..u32::MAX) {
            for (wait, first, longest) in [
                (backoff_ceiling as fn(u32) -> Duration, Duration::from_secs(2), Duration::from_secs(60)),
                (trouble_backoff, Duration::from_millis(250), Duration::from_secs(5)),
            ] {
                prop_assert_eq!(wait(1), first);
                prop_assert!(wait(n) >= first && wait(n) <= longest);
                prop_assert_eq!(wait(n.saturating_add(1)), (wait(n) * 2).min(longest));
            }
        }

        #[test]
        fn a_draw_is_a_part_of_one(_n in 0..100_u8) {
            prop_assert!((0.0..1.0).contains(&jitter()));
        }

        /// Whatever happens to it, and however often somebody wants it again, a job ends within its caps.
        #[test]
        fn attempts_and_losses_never_exceed_their_caps_between_replays(
            fates in proptest::collection::vec(fate(), 0..60), max_attempts in 0..6_u32
        ) {
            let mut job = Job { attempt: 0, max_attempts, ..sample("http://example.test/") };
            let mut released = 0;
            let mut replayed_at = 0;
            for fate in fates {
                let counted = job.counted_attempts();
                let goes_on = live(&mut job, fate);
                released += u32::from(matches!(fate, Fate::Released));
                // A job whose cap is nothing has one attempt all the same: it was claimed to find out.
                prop_assert!(job.counted_attempts() <= max_attempts.max(1));
                prop_assert!(job.losses < MAX_LOSSES);
                prop_assert!(job.attempt - replayed_at <= max_attempts.max(1) + MAX_LOSSES + released);
                if goes_on {
                    let counts = matches!(fate, Fate::Crashes);
                    prop_assert_eq!(job.counted_attempts(), counted + u32::from(counts));
                } else {
                    let last = match fate {
                        Fate::Crashes => counted + 1 >= max_attempts,
                        Fate::Refused => true,
                        Fate::Lost => job.losses + 1 == MAX_LOSSES,
                        Fate::Released => false,
                    };
                    prop_assert!(last, "{:?} ended it at {:?}", fate, job);
                    (job.attempt_base, job.losses) = (job.attempt, 0);
                    (replayed_at, released) = (job.attempt, 0);
                }
            }
        }
    }
}
