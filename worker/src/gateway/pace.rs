//! The rate at which a flood passes, so that it leaves the machine to other jobs. Pure: the caller waits.

use std::time::Duration;

use tokio::time::Instant;

/// What a pause of the server earns it: a connection that was held back is not woken to the microsecond.
pub(super) const CREDIT: Duration = Duration::from_millis(100);

/// Where a flood has got to.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the bytes that come next are due.
    next: Option<Instant>,
}

impl Pace {
    /// When these bytes are due at this rate, in bytes a second: the next ones are after the time that these take.
    pub(super) fn due(&mut self, bytes: usize, rate: u64, now: Instant) -> Instant {
        let due = self.next.map_or(now, |next| next.max(now.checked_sub(CREDIT).unwrap_or(now)));
        self.next = Some(due + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_at_the_rate_and_a_pause_earns_little() {
        let start = Instant::now() + Duration::from_secs(60);
        let mut pace = Pace::default();
        let mut due = |bytes, now: Instant| pace.due(bytes, 100, now);
        assert_eq!(due(50, start), start, "the first need not wait");
        let second = start + Duration::from_millis(500);
        assert_eq!(due(200, start), second, "fifty bytes take half a second");
        assert_eq!(due(1, second), second + Duration::from_secs(2));
        let late = start + Duration::from_secs(100);
        assert_eq!(due(5, late), late - CREDIT);
        assert_eq!(due(5, late), late - CREDIT / 2);
        assert_eq!(due(5, late), late);
    }

    #[test]
    fn no_rate_is_too_small_or_too_large_to_reckon_with() {
        for rate in [0, 1, u64::MAX] {
            let mut pace = Pace::default();
            let now = Instant::now();
            for _ in 0..100 {
                assert!(pace.due(16 * 1024, rate, now) >= now);
            }
        }
    }
}
