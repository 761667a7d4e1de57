//! How many attempts run, and when another one starts. One synchronous [`Slots::on`] owns the counters.

/// What the loop hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// This many rows are due (more may be).
    Due(usize),
    /// An attempt claimed a row.
    Claimed,
    /// A dead worker's job was taken over, whether or not a slot is free for it.
    TakenOver,
    /// An attempt is over; `claimed` says whether it had a row.
    Over {
        /// It had claimed a row.
        claimed: bool,
    },
    /// Engine or database do not answer.
    Trouble,
    /// They answer again.
    Recovered,
    /// No new attempt from now on.
    Drain,
}

/// Counters of the loop.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    limit: usize,
    waiting: usize,
    working: usize,
    trouble: bool,
    draining: bool,
}

impl Slots {
    /// Empty slots.
    #[must_use]
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, waiting: 0, working: 0, trouble: false, draining: false }
    }

    /// Takes a signal and says how many attempts to start now. Those that started and have not claimed yet count
    /// against the due rows: each of them will take one.
    #[must_use]
    pub(super) fn on(&mut self, signal: Signal) -> usize {
        match signal {
            Signal::Due(rows) => {
                if !self.is_well() {
                    return 0;
                }
                let free = self.limit.saturating_sub(self.waiting + self.working);
                let start = rows.saturating_sub(self.waiting).min(free);
                self.waiting += start;
                return start;
            }
            Signal::Claimed => {
                self.waiting = self.waiting.saturating_sub(1);
                self.working += 1;
            }
            Signal::TakenOver => self.working += 1,
            Signal::Over { claimed: true } => self.working = self.working.saturating_sub(1),
            Signal::Over { claimed: false } => self.waiting = self.waiting.saturating_sub(1),
            Signal::Trouble => self.trouble = true,
            Signal::Recovered => self.trouble = false,
            Signal::Drain => self.draining = true,
        }
        0
    }

    /// The limit, the attempts without a row yet, those with one.
    #[must_use]
    pub(super) const fn counts(&self) -> (usize, usize, usize) {
        (self.limit, self.waiting, self.working)
    }

    /// Whether nothing keeps new containers from being made.
    #[must_use]
    pub(super) const fn is_well(&self) -> bool {
        !self.trouble && !self.draining
    }

    /// Whether a due row could be taken now.
    #[must_use]
    pub(super) const fn can_start(&self) -> bool {
        self.is_well() && self.waiting + self.working < self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_many_start_as_rows_are_due_and_slots_are_free() {
        let mut slots = Slots::new(3);
        assert_eq!(slots.on(Signal::Due(2)), 2);
        assert_eq!(slots.on(Signal::Due(2)), 0, "the two that wait will take them");
        assert_eq!(slots.on(Signal::Claimed), 0);
        assert_eq!(slots.on(Signal::Due(5)), 1);
        assert!(!slots.can_start());
        let _ = slots.on(Signal::Over { claimed: true });
        assert!(slots.can_start());
    }

    #[test]
    fn nothing_starts_in_trouble_or_when_draining() {
        let mut slots = Slots::new(3);
        let _ = slots.on(Signal::Trouble);
        assert_eq!(slots.on(Signal::Due(1)), 0);
        let _ = slots.on(Signal::Recovered);
        assert_eq!(slots.on(Signal::Due(1)), 1);
        let _ = slots.on(Signal::Drain);
        assert_eq!(slots.on(Signal::Due(9)), 0);
    }

    #[test]
    fn what_was_taken_over_counts_although_no_slot_was_free() {
        let mut slots = Slots::new(1);
        assert_eq!(slots.on(Signal::Due(1)), 1);
        let _ = slots.on(Signal::Claimed);
        let _ = slots.on(Signal::TakenOver);
        let _ = slots.on(Signal::Over { claimed: true });
        assert!(!slots.can_start() && slots.on(Signal::Due(1)) == 0, "the other one still works");
        let _ = slots.on(Signal::Over { claimed: true });
        assert!(slots.can_start());
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit(limit in 1..6_usize, rows in proptest::collection::vec(0..9_usize, 0..40)) {
            let mut slots = Slots::new(limit);
            let mut waiting = 0;
            let mut working = 0;
            for row in rows {
                match row {
                    0 if waiting > 0 => { let _ = slots.on(Signal::Claimed); waiting -= 1; working += 1; }
                    1 if working > 0 => { let _ = slots.on(Signal::Over { claimed: true }); working -= 1; }
                    2 if waiting > 0 => { let _ = slots.on(Signal::Over { claimed: false }); waiting -= 1; }
                    rows => waiting += slots.on(Signal::Due(rows)),
                }
                prop_assert!(waiting + working <= limit);
                prop_assert_eq!(slots.can_start(), waiting + working < limit);
            }
        }
    }
}
