//! What of ours does not do its part. It is told once when it begins and once when it is over, whoever runs into it
//! meanwhile and how often.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::attempt::runner::chain;
use super::lease::Moment;
use super::retry::trouble_backoff;
use crate::gateway::GatewayError;
use crate::metrics::Part;
use crate::queue::{QueueError, RedisError};
use crate::sandbox::SandboxError;
use crate::store::StoreError;

/// Which part of ours it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The engine does not answer.
    Engine,
    /// The database does not answer, or takes no writes.
    Database,
    /// The queue in front of the database does not answer.
    Queue,
    /// They answer, and no container comes of it.
    Start,
}

/// Something that did not do its part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) side: Side,
    /// Whose it is, for the metrics.
    pub(super) part: Part,
    pub(super) reason: String,
    /// Waiting may cure it.
    pub(super) passing: bool,
}

impl Trouble {
    pub(super) fn of(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let error: &(dyn std::error::Error + 'static) = match error.downcast_ref::<QueueError>() {
            Some(QueueError::Store(error)) => error,
            Some(QueueError::Redis(error)) => error,
            None => error,
        };
        let redis = error.downcast_ref::<RedisError>();
        let engine = error.downcast_ref::<SandboxError>();
        let side = if engine.is_some_and(is_silence) {
            Side::Engine
        } else if error.downcast_ref::<StoreError>().is_some_and(StoreError::is_transient) {
            Side::Database
        } else if redis.is_some() {
            Side::Queue
        } else {
            Side::Start
        };
        let part = if error.is::<StoreError>() {
            Part::Database
        } else if error.is::<GatewayError>() {
            Part::Gateway
        } else if error.is::<SandboxError>() {
            Part::Engine
        } else if redis.is_some() {
            Part::Queue
        } else {
            Part::Jobs
        };
        let lasting =
            engine.is_some_and(SandboxError::is_lasting) || redis.is_some_and(|redis| !redis.is_transient());
        Self { side, part, reason: format!("{what}: {}", chain(error)), passing: !lasting }
    }
}

/// Whether the engine as a whole did not answer; all else is about one container.
pub(super) const fn is_silence(error: &SandboxError) -> bool {
    matches!(error, SandboxError::Unavailable { .. })
}

/// How long nothing of a trouble must be seen before it counts as over: the longest wait between two tries. An engine
/// that is overloaded answers one question and not the next.
const QUIET: Duration = Duration::from_secs(5);

/// A trouble that is not over.
#[derive(Debug, Clone, Copy)]
struct Ongoing {
    /// When it was seen last.
    seen: Moment,
    /// Something was answered after that.
    answered: bool,
}

/// The troubles there are.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    engine: Option<Ongoing>,
    database: Option<Ongoing>,
    queue: Option<Ongoing>,
    start: Option<Ongoing>,
    /// Looks in vain whether they are over.
    rounds: u32,
}

impl Troubles {
    /// Takes one in; the first of its side is told.
    pub(super) fn begin(&mut self, trouble: &Trouble) {
        let now = Ongoing { seen: Moment::now(), answered: false };
        if self.of(trouble.side).replace(now).is_some() {
            return;
        }
        let reason = &trouble.reason;
        match trouble.side {
            Side::Engine => warn!(reason, "the container engine does not answer; scans wait until it does"),
            Side::Database => warn!(reason, "the database does not answer; scans wait until it does"),
            // Its connection tells the same when it breaks, and when it is back.
            Side::Queue => debug!(reason, "the queue does not answer; no job is taken until it does"),
            Side::Start => warn!(reason, "no scan can be started; trying again until it can"),
        }
    }

    /// Something worked that was asked for at this moment. What failed after that is not over by it.
    pub(super) fn answered(&mut self, side: Side, asked: Moment) {
        if let Some(ongoing) = self.of(side) {
            ongoing.answered |= ongoing.seen <= asked;
        }
    }

    /// Tells of what has been over for a while.
    pub(super) fn settle(&mut self, now: Moment) {
        for side in [Side::Engine, Side::Database, Side::Queue, Side::Start] {
            let ongoing = self.of(side);
            if !ongoing.is_some_and(|it| it.answered && now.since(it.seen) >= QUIET) {
                continue;
            }
            *ongoing = None;
            match side {
                Side::Engine => info!("the container engine answers again"),
                Side::Database => info!("the database answers again"),
                Side::Queue => debug!("the queue answers again"),
                Side::Start => info!("scans can be started again"),
            }
        }
    }

    /// Whether engine, database or queue do not answer, as far as is known.
    pub(super) fn is_silent(&self) -> bool {
        [self.engine, self.database, self.queue].into_iter().flatten().any(|ongoing| !ongoing.answered)
    }

    /// How long to wait before the next look.
    pub(super) fn next_look(&mut self) -> Duration {
        self.rounds = self.rounds.saturating_add(1);
        trouble_backoff(self.rounds)
    }

    /// A scan got through, so the next trouble is a new one.
    pub(super) const fn calm(&mut self) {
        self.rounds = 0;
    }

    const fn of(&mut self, side: Side) -> &mut Option<Ongoing> {
        match side {
            Side::Engine => &mut self.engine,
            Side::Database => &mut self.database,
            Side::Queue => &mut self.queue,
            Side::Start => &mut self.start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(side: Side) -> Trouble {
        Trouble { side, part: Part::Jobs, reason: "x".to_owned(), passing: true }
    }

    #[test]
    fn what_was_asked_before_the_last_failure_ends_no_trouble() {
        let mut troubles = Troubles::default();
        let before = Moment::now();
        troubles.begin(&trouble(Side::Database));
        troubles.answered(Side::Database, before);
        assert!(troubles.is_silent());
        troubles.answered(Side::Engine, Moment::now());
        assert!(troubles.is_silent(), "each side has an end of its own");
        troubles.answered(Side::Database, Moment::now());
        assert!(!troubles.is_silent());
        troubles.begin(&trouble(Side::Start));
        assert!(!troubles.is_silent(), "only another try tells whether that is over");
    }

    #[test]
    fn a_trouble_is_over_once_nothing_of_it_was_seen_for_a_while() {
        let mut troubles = Troubles::default();
        troubles.begin(&trouble(Side::Engine));
        let later = Moment::now().plus(QUIET);
        troubles.settle(later);
        assert!(troubles.engine.is_some(), "nothing was answered");
        troubles.answered(Side::Engine, Moment::now());
        troubles.settle(Moment::now());
        assert!(troubles.engine.is_some(), "it may come back at once");
        troubles.begin(&trouble(Side::Engine));
        troubles.settle(later.plus(QUIET));
        assert!(troubles.engine.is_some(), "it came back");
        troubles.answered(Side::Engine, Moment::now());
        troubles.settle(later.plus(QUIET));
        assert!(troubles.engine.is_none());
    }

    #[test]
    fn the_looks_come_further_apart_until_a_scan_got_through() {
        let mut troubles = Troubles::default();
        let first = troubles.next_look();
        assert!(troubles.next_look() > first);
        troubles.calm();
        assert_eq!(troubles.next_look(), first);
    }

    #[test]
    fn an_error_about_one_container_does_not_silence_the_engine() {
        let refused = SandboxError::Refused { operation: "start", status: 500, message: String::new() };
        assert_eq!(Trouble::of("x", &refused).side, Side::Start);
        let unavailable =
            SandboxError::Unavailable { host: String::new(), operation: "kill", source: "x".into() };
        assert_eq!(Trouble::of("x", &unavailable).side, Side::Engine);
        let silent = RedisError::Unavailable { source: None };
        let of_queue = Trouble::of("x", &QueueError::Redis(silent));
        assert_eq!((of_queue.side, of_queue.part, of_queue.passing), (Side::Queue, Part::Queue, true));
        let of_store = Trouble::of("x", &QueueError::Store(StoreError::Unfit { what: "x" }));
        assert_eq!((of_store.side, of_store.part), (Side::Start, Part::Database));
        let wrong = StoreError::Unfit { what: "x" };
        assert_eq!(Trouble::of("x", &wrong).side, Side::Start, "waiting does not make it right");
    }
}
