//! When an entry of an outer queue is tried again: its own attempts and backoff decide, as BullMQ's workers compute it
//! (<https://docs.bullmq.io/guide/retrying-failing-jobs>).

use std::time::Duration;

/// How often an entry is tried, and after which waits.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Retries {
    /// Attempts at most; 0 and 1 both mean one.
    pub attempts: u32,
    /// The waits between them.
    pub backoff: Backoff,
}

/// The waits between attempts. `jitter` is the part of a wait, 0 to 1, that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Backoff {
    /// None.
    #[default]
    None,
    /// The same each time.
    Fixed {
        /// The wait.
        delay: Duration,
        /// See above.
        jitter: f64,
    },
    /// Doubles each time.
    Exponential {
        /// The first wait.
        delay: Duration,
        /// See above.
        jitter: f64,
    },
}

impl Retries {
    /// The wait before the next attempt when attempt number `made` (from 1) has failed; `None` when it was the last one.
    /// `draw` is drawn evenly from 0 to 1.
    #[must_use]
    pub fn after(&self, made: u32, draw: f64) -> Option<Duration> {
        if made >= self.attempts {
            return None;
        }
        Some(match self.backoff {
            Backoff::None => Duration::ZERO,
            Backoff::Fixed { delay, jitter } => drawn(millis(delay), jitter, draw),
            Backoff::Exponential { delay, jitter } => {
                // More than any wait long before it could overflow.
                let factor = 2_f64.powi(i32::try_from(made.saturating_sub(1)).unwrap_or(i32::MAX).min(60));
                drawn((millis(delay) * factor).round(), jitter, draw)
            }
        })
    }
}

/// The longest wait, in milliseconds: a year. Longer ones do not fit the queue's scores.
const LONGEST: f64 = 365.0 * 86_400_000.0;

fn millis(delay: Duration) -> f64 {
    delay.as_secs_f64() * 1000.0
}

/// `floor(draw · most · jitter + most · (1 − jitter))`, whole milliseconds.
fn drawn(most: f64, jitter: f64, draw: f64) -> Duration {
    let (most, jitter, draw) = (most.min(LONGEST), jitter.clamp(0.0, 1.0), draw.clamp(0.0, 1.0));
    Duration::from_millis((draw * most * jitter + most * (1.0 - jitter)).floor() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn none_one_and_no_attempts_at_all_mean_one_attempt() {
        for attempts in [0, 1] {
            assert_eq!(Retries { attempts, backoff: Backoff::None }.after(1, 0.5), None);
        }
        assert_eq!(Retries { attempts: 2, backoff: Backoff::None }.after(1, 0.5), Some(Duration::ZERO));
        assert_eq!(Retries { attempts: 2, backoff: Backoff::None }.after(2, 0.5), None);
    }

    #[test]
    fn a_fixed_wait_stays_and_an_exponential_one_doubles() {
        let fixed = Retries { attempts: 9, backoff: Backoff::Fixed { delay: ms(400), jitter: 0.0 } };
        let growing = Retries { attempts: 9, backoff: Backoff::Exponential { delay: ms(300), jitter: 0.0 } };
        for (made, wait) in [(1, 300), (2, 600), (3, 1200), (4, 2400)] {
            assert_eq!(fixed.after(made, 0.9), Some(ms(400)));
            assert_eq!(growing.after(made, 0.9), Some(ms(wait)));
        }
    }

    proptest! {
        #[test]
        fn a_wait_with_jitter_lies_between_its_undrawn_part_and_the_whole(
            delay in 0..10_000_u64, jitter in 0.0..=1.0_f64, draw in 0.0..1.0_f64, made in 1..2000_u32
        ) {
            let retries = |backoff| Retries { attempts: u32::MAX, backoff };
            let fixed = retries(Backoff::Fixed { delay: ms(delay), jitter }).after(made, draw);
            let fixed = fixed.expect("another attempt").as_millis() as f64;
            prop_assert!(fixed <= delay as f64 && fixed + 1.0 >= delay as f64 * (1.0 - jitter));
            let grown = retries(Backoff::Exponential { delay: ms(delay), jitter }).after(made, draw);
            prop_assert!(grown.expect("another attempt").as_millis() as f64 <= LONGEST);
        }
    }
}
