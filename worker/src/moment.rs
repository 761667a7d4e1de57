//! Moments of this machine's own clock, for what must not hang on a clock that people set: how old is what we know.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment of this machine's own clock: it never goes back, and goes on while the machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// This one.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        Self(Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default()))
    }

    /// Time from another moment to this one; none when that one is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The same; `None` when that one is later: clocks that contradict themselves make nothing certain.
    #[must_use]
    pub const fn checked_since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0)
    }

    /// This long after the clock began.
    #[cfg(test)]
    pub(crate) const fn at(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    #[cfg(test)]
    pub(crate) fn plus(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}
