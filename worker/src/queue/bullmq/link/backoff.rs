//! Waits between attempts to reach a Redis that is not there, drawn so that many workers do not come at once.

use std::time::Duration;

use rand::RngExt as _;

/// The first wait; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(100);

/// The longest: Redis is found again this late.
const LONGEST: Duration = Duration::from_secs(5);

/// How often it was tried in vain.
#[derive(Debug, Default)]
pub(in crate::queue::bullmq) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait: half of it is drawn.
    pub(in crate::queue::bullmq) fn next(&mut self) -> Duration {
        let most = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        most.mul_f64(rand::rng().random_range(0.5..1.0))
    }

    /// It worked.
    pub(in crate::queue::bullmq) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next()).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        assert!(waits[6..].iter().all(|wait| *wait >= LONGEST / 2), "{waits:?}");
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
