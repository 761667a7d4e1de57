//! Whether a job is surely ours, asked before anything is done to its container.
//!
//! A worker may be stopped for longer than its lease (SIGSTOP, a swapped-out or suspended host) and wake up in the
//! middle of an attempt that somebody else holds by now. So what cannot be undone waits for certainty: by our own clock
//! while the lease cannot have run out, by the database's word after that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Shared;
use super::attempt::runner::{Order, again};
use crate::domain::scan::{Job, LEASE};
pub(super) use crate::moment::Moment;
use crate::sandbox::Sandbox;

/// What is kept back from a lease: for the time that an engine needs to carry out what was allowed, and for clocks that
/// do not run alike. Two renewals have to be missing before the database is asked.
const MARGIN: Duration = Duration::from_secs(2);

/// Whether a lease that was asked for at one moment cannot have run out at another. The database counts from when it
/// wrote the lease, which was not before it was asked.
const fn is_certain(asked: Moment, now: Moment) -> bool {
    match now.checked_since(asked) {
        Some(age) => age.as_nanos() < LEASE.as_nanos() - MARGIN.as_nanos(),
        None => false,
    }
}

/// When the lease that an attempt has now was asked for; the loop's renewals move it on.
pub(super) type Asked = watch::Sender<Option<Moment>>;

/// Moves the moment on; answers may arrive in another order than they were asked for.
pub(super) fn renewed(asked: &Asked, sent: Moment) {
    asked.send_if_modified(|known| {
        let later = *known < Some(sent);
        if later {
            *known = Some(sent);
        }
        later
    });
}

/// An attempt's hold on its job.
pub(super) struct Hold<S: Sandbox> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) job: Job,
    pub(super) orders: watch::Receiver<Order>,
    pub(super) asked: Asked,
}

impl<S: Sandbox> Hold<S> {
    /// Whether the job is surely ours. Asks the database where the clock alone does not say so, for as long as that
    /// takes; `false` when somebody else has the job, and when nobody can say and this worker has to end.
    pub(super) async fn is_ours(&self) -> bool {
        let mut failures = 0;
        loop {
            if *self.orders.borrow() == Order::LeaseLost {
                return false;
            }
            let now = Moment::now();
            if self.asked.borrow().is_some_and(|asked| is_certain(asked, now)) {
                return true;
            }
            match self.shared.store.confirm(&self.job, &self.shared.worker).await {
                Ok(true) => renewed(&self.asked, now),
                Ok(false) => return false,
                Err(error) => {
                    failures += 1;
                    self.shared.trouble("asking who holds a job", &error);
                    if !again(&self.orders, failures).await {
                        return false;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::scan::RENEWAL;

    fn at(millis: u64) -> Moment {
        Moment::at(Duration::from_millis(millis))
    }

    #[test]
    fn a_lease_is_certain_until_its_margin_and_never_before_it_was_asked_for() {
        assert!(is_certain(at(10_000), at(10_000)));
        assert!(is_certain(at(10_000), at(13_999)));
        assert!(!is_certain(at(10_000), at(14_000)));
        assert!(!is_certain(at(10_000), at(9_999)));
    }

    #[test]
    fn a_renewal_that_is_late_once_leaves_the_lease_certain() {
        assert!(is_certain(at(0), Moment::at(RENEWAL + RENEWAL / 2)));
    }

    #[test]
    fn the_clock_goes_on() {
        let before = Moment::now();
        assert!(before <= Moment::now());
        assert!(is_certain(before, Moment::now()));
    }

    proptest! {
        /// The database writes the lease at some moment after it was asked and before it answered.
        #[test]
        fn what_is_certain_has_not_run_out(asked in 0..1_u64 << 40, written in 0..10_000_u64, now in 0..30_000_u64) {
            let (written, now) = (asked + written, asked + now);
            let runs_out = written + u64::try_from(LEASE.as_millis()).expect("a short time");
            if is_certain(at(asked), at(now)) {
                prop_assert!(now + 2000 <= runs_out);
            }
        }

        #[test]
        fn a_later_moment_never_makes_it_certain_again(asked in 0..10_000_u64, now in 0..20_000_u64, more in 0..9_000_u64) {
            prop_assume!(now >= asked);
            prop_assert!(is_certain(at(asked), at(now)) || !is_certain(at(asked), at(now + more)));
        }

        #[test]
        fn answers_in_any_order_leave_the_latest_moment(moments in proptest::collection::vec(0..9_000_u64, 1..9)) {
            let asked = watch::Sender::new(None);
            for &moment in &moments {
                renewed(&asked, at(moment));
            }
            prop_assert_eq!(*asked.borrow(), moments.iter().max().map(|&latest| at(latest)));
        }
    }
}
