//! Whether other workers may be judged by their heartbeats.
//!
//! A heartbeat is old when its worker is dead, and also when nobody could write one: the database was locked, full or
//! slow, or this worker stood still itself. So nobody is judged by one that could not have been newer: ours must get
//! through, and have got through for as long as the others need to be heard again.

use std::time::Duration;

use crate::domain::scan::{DEAD_AFTER, RENEWAL};
use crate::supervisor::lease::Moment;

/// The longest time between two heartbeats of ours that is no break: one may be late.
const BREAK: Duration = Duration::from_secs(2 * RENEWAL.as_secs());

/// When our own heartbeats got through.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Hearing {
    /// When the last one was asked for that did.
    last: Option<Moment>,
    /// The same of the first one after a break.
    again: Option<Moment>,
}

impl Hearing {
    /// Takes in that a heartbeat got through which was asked for at this moment.
    pub(in crate::supervisor) fn got_through(&mut self, asked: Moment) {
        if self.last.is_some_and(|last| asked.since(last) > BREAK) {
            self.again = Some(asked);
        }
        self.last = Some(asked);
    }

    /// Whether an old heartbeat of another worker means that it is dead. A worker that has just begun has seen no
    /// break, and finds at once what was left.
    pub(in crate::supervisor) fn may_judge(&self, now: Moment) -> bool {
        let deaf = self.last.is_some_and(|last| now.since(last) > BREAK);
        let heard_again = self.again.is_none_or(|again| now.since(again) >= DEAD_AFTER);
        !deaf && heard_again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Moment, millis: u64) -> Moment {
        start.plus(Duration::from_millis(millis))
    }

    #[test]
    fn whoever_begins_judges_at_once() {
        assert!(Hearing::default().may_judge(Moment::now()));
    }

    #[test]
    fn nobody_is_judged_while_our_own_heartbeats_do_not_get_through() {
        let (start, mut hearing) = (Moment::now(), Hearing::default());
        hearing.got_through(start);
        assert!(hearing.may_judge(after(start, 4000)));
        assert!(!hearing.may_judge(after(start, 4001)));
    }

    #[test]
    fn after_a_break_the_others_get_the_time_to_be_heard_again() {
        let (start, mut hearing) = (Moment::now(), Hearing::default());
        for millis in [0, 2000, 12_000, 14_000, 16_000] {
            hearing.got_through(after(start, millis));
        }
        assert!(!hearing.may_judge(after(start, 17_999)));
        assert!(hearing.may_judge(after(start, 18_000)));
    }
}
