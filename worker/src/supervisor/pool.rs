//! Containers that wait for jobs: how many there should be, and which one takes the next job.
//!
//! Pure. The loop tells what happens and does what is asked for; a job for which nothing waits gets a container of its
//! own. An attempt whose container waits holds no slot until it is called for a job.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How long a demand is remembered.
const MEMORY: Duration = Duration::from_secs(60);

/// Jobs within this time count as wanted at once: a container is made about as fast on a machine under load.
const AT_ONCE: Duration = Duration::from_secs(1);

/// From a container that died, or was never ready, to the next one: it may fail as well.
const PAUSE: Duration = Duration::from_secs(1);

/// After a container was called: longer than a hand-over takes, and as long as a small page.
const HAND_OVER: Duration = Duration::from_millis(20);

/// Bounds of the pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolBounds {
    /// Containers that wait although nobody asked for one lately.
    pub min: usize,
    /// Containers that wait at most.
    pub max: usize,
    /// How old one gets, give or take a fifth.
    pub max_age: Duration,
    /// How many jobs there will ever be, where that is known: no container is made beyond them.
    pub jobs: Option<usize>,
}

/// An attempt whose container waits, or will.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiter {
    attempt: u64,
    began: Instant,
    /// Its gateway socket, once the container is ready.
    door: Option<String>,
}

/// The containers that wait.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    bounds: PoolBounds,
    /// The oldest first.
    waiters: VecDeque<Waiter>,
    demand: Demand,
    /// When the next one may be made.
    not_before: Option<Instant>,
    /// When the next one may be made beside scans.
    rest_until: Option<Instant>,
    /// Jobs that were called for.
    called: usize,
}

impl Pool {
    pub(super) const fn new(bounds: PoolBounds) -> Self {
        Self {
            bounds,
            waiters: VecDeque::new(),
            demand: Demand(VecDeque::new()),
            not_before: None,
            rest_until: None,
            called: 0,
        }
    }

    /// When the next container should be made, at once where that is not after now; `None` while none is wanted. One
    /// after the other, and beside scans with rests as long as the making, so that these keep the machine.
    pub(super) fn next_at(&mut self, now: Instant, beside_scans: bool) -> Option<Instant> {
        let wanted = self.making() == 0 && self.waiters.len() < self.size(now);
        let rest = self.rest_until.filter(|_| beside_scans);
        wanted.then(|| self.not_before.max(rest).unwrap_or(now))
    }

    /// Takes out one that waits although it is too many: the demand for which it was made is forgotten.
    pub(super) fn surplus(&mut self, now: Instant) -> Option<u64> {
        let too_many = self.waiters.len() > self.size(now);
        let place = self.waiters.iter().position(|waiter| waiter.door.is_some()).filter(|_| too_many)?;
        self.waiters.remove(place).map(|waiter| waiter.attempt)
    }

    /// How many should wait: as many as were lately wanted at once, within the bounds, and not more than jobs may come.
    fn size(&mut self, now: Instant) -> usize {
        let to_come = self.bounds.jobs.map_or(usize::MAX, |jobs| jobs.saturating_sub(self.called));
        let wanted = self.demand.at_once(now).max(self.bounds.min).min(self.bounds.max);
        wanted.min(to_come)
    }

    /// An attempt makes a container to wait.
    pub(super) fn began(&mut self, attempt: u64, now: Instant) {
        self.waiters.push_back(Waiter { attempt, began: now, door: None });
    }

    /// Its container waits.
    pub(super) fn ready(&mut self, attempt: u64, door: String, now: Instant) {
        if let Some(waiter) = self.waiters.iter_mut().find(|waiter| waiter.attempt == attempt) {
            waiter.door = Some(door);
            self.rest_until = self.rest_until.max(Some(now + now.saturating_duration_since(waiter.began)));
        }
    }

    /// An attempt is over. If it was never called, its container failed, and the next one is not made at once.
    pub(super) fn failed(&mut self, attempt: u64, now: Instant) {
        if self.spent(attempt) {
            self.not_before = Some(now + PAUSE);
        }
    }

    /// A container waited for long enough; another one takes its place. Whether it was still here.
    pub(super) fn spent(&mut self, attempt: u64) -> bool {
        let before = self.waiters.len();
        self.waiters.retain(|waiter| waiter.attempt != attempt);
        self.waiters.len() < before
    }

    /// Takes out the attempt for a job that is due now: the oldest that is ready, else one that soon will be.
    pub(super) fn call(&mut self, now: Instant) -> Option<u64> {
        self.demand.one(now);
        self.called += 1;
        let ready = self.waiters.iter().position(|waiter| waiter.door.is_some());
        let called = self.waiters.remove(ready.unwrap_or(0))?;
        self.rest_until = self.rest_until.max(Some(now + HAND_OVER));
        Some(called.attempt)
    }

    /// Takes out the one with this socket, which it used too early; the next one may do the same.
    pub(super) fn take_door(&mut self, door: &str, now: Instant) -> Option<u64> {
        let place = self.waiters.iter().position(|waiter| waiter.door.as_deref() == Some(door))?;
        self.not_before = Some(now + PAUSE);
        self.waiters.remove(place).map(|waiter| waiter.attempt)
    }

    /// Takes all of them out.
    pub(super) fn take_all(&mut self) -> Vec<u64> {
        self.waiters.drain(..).map(|waiter| waiter.attempt).collect()
    }

    /// Those that are ready, and those that are being made.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.waiters.len() - self.making(), self.making())
    }

    fn making(&self) -> usize {
        self.waiters.iter().filter(|waiter| waiter.door.is_none()).count()
    }
}

/// When jobs were wanted, in the last minute, the oldest first.
#[derive(Debug, Clone)]
struct Demand(VecDeque<(Instant, usize)>);

impl Demand {
    fn one(&mut self, now: Instant) {
        match self.0.back_mut() {
            Some((since, jobs)) if now.saturating_duration_since(*since) < AT_ONCE => *jobs += 1,
            Some(_) | None => self.0.push_back((now, 1)),
        }
    }

    fn at_once(&mut self, now: Instant) -> usize {
        while self.0.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) > MEMORY) {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, jobs)| *jobs).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: PoolBounds = PoolBounds { min: 1, max: 3, max_age: Duration::from_secs(300), jobs: None };

    fn wants_one(pool: &mut Pool, now: Instant) -> bool {
        pool.next_at(now, false).is_some_and(|moment| moment <= now)
    }

    /// Makes what is wanted, each container ready at once.
    fn filled(pool: &mut Pool, now: Instant, first: u64) -> u64 {
        let mut next = first;
        while wants_one(pool, now) {
            pool.began(next, now);
            pool.ready(next, format!("door {next}"), now);
            next += 1;
        }
        next
    }

    #[test]
    fn without_demand_the_least_waits_and_without_bounds_nothing() {
        let now = Instant::now();
        let mut pool = Pool::new(BOUNDS);
        assert_eq!((filled(&mut pool, now, 0), pool.counts()), (1, (1, 0)));
        let mut none = Pool::new(PoolBounds::default());
        assert_eq!(none.call(now), None);
        assert_eq!(none.next_at(now, false), None, "a demand does not go beyond the bounds");
    }

    #[test]
    fn none_is_made_for_which_there_will_be_no_job() {
        let now = Instant::now();
        let mut pool = Pool::new(PoolBounds { min: 3, jobs: Some(2), ..BOUNDS });
        let next = filled(&mut pool, now, 0);
        assert_eq!((next, pool.counts()), (2, (2, 0)));
        pool.call(now);
        assert_eq!((filled(&mut pool, now, next), pool.counts()), (2, (1, 0)));
    }

    #[test]
    fn one_is_made_at_a_time() {
        let now = Instant::now();
        let mut pool = Pool::new(PoolBounds { min: 2, ..BOUNDS });
        assert_eq!(pool.next_at(now, false), Some(now));
        pool.began(0, now);
        assert!(pool.next_at(now, false).is_none() && pool.counts() == (0, 1));
        pool.ready(0, "door".to_owned(), now);
        assert!(pool.next_at(now, false).is_some() && pool.counts() == (1, 0));
    }

    #[test]
    fn beside_scans_there_is_a_rest_as_long_as_the_making_and_after_each_hand_over() {
        let begun = Instant::now();
        let mut pool = Pool::new(PoolBounds { min: 2, ..BOUNDS });
        pool.began(0, begun);
        let made = begun + Duration::from_millis(70);
        pool.ready(0, "door".to_owned(), made);
        assert_eq!(pool.next_at(made, true), Some(made + Duration::from_millis(70)));
        assert_eq!(pool.next_at(made, false), Some(made), "nobody is disturbed");
        let later = made + Duration::from_secs(1);
        pool.call(later);
        assert_eq!(pool.next_at(later, true), Some(later + HAND_OVER));
        assert_eq!(
            (pool.call(later + HAND_OVER), pool.next_at(later + HAND_OVER, true)),
            (None, Some(later + HAND_OVER))
        );
    }

    #[test]
    fn as_many_wait_as_were_wanted_within_a_second_for_a_minute_and_never_more_than_the_most() {
        let begun = Instant::now();
        let mut pool = Pool::new(BOUNDS);
        let mut next = filled(&mut pool, begun, 0);
        for (jobs, waiting) in [(2, 2), (9, 3)] {
            for _ in 0..jobs {
                pool.call(begun);
            }
            next = filled(&mut pool, begun, next);
            assert_eq!(pool.counts().0, waiting, "after {jobs} jobs at once");
        }
        let later = begun + MEMORY;
        assert_eq!((pool.size(later), pool.surplus(later)), (3, None));
        let forgotten = later + Duration::from_millis(1);
        assert_eq!(pool.size(forgotten), 1, "it is forgotten");
        let oldest = next - 3;
        let thrown_away = [pool.surplus(forgotten), pool.surplus(forgotten), pool.surplus(forgotten)];
        assert_eq!(thrown_away, [Some(oldest), Some(oldest + 1), None]);
        for second in 0..50 {
            pool.call(later + Duration::from_secs(1 + second));
        }
        assert_eq!(pool.size(later + Duration::from_secs(51)), 1, "one after the other is one at once");
    }

    #[test]
    fn the_oldest_that_is_ready_is_called_and_then_one_that_will_be() {
        let now = Instant::now();
        let mut pool = Pool::new(BOUNDS);
        for attempt in 0..3 {
            pool.began(attempt, now);
        }
        pool.ready(2, "two".to_owned(), now);
        pool.ready(1, "one".to_owned(), now);
        assert_eq!((pool.call(now), pool.call(now), pool.call(now)), (Some(1), Some(2), Some(0)));
        assert_eq!(pool.call(now), None, "a miss");
    }

    #[test]
    fn what_is_spoilt_or_over_is_called_for_nothing() {
        let now = Instant::now();
        let mut pool = Pool::new(PoolBounds { min: 3, ..BOUNDS });
        filled(&mut pool, now, 0);
        assert!(pool.spent(0) && !pool.spent(0));
        assert!(wants_one(&mut pool, now), "it was well until it was old");
        assert_eq!((pool.take_door("door 1", now), pool.take_door("door 1", now)), (Some(1), None));
        assert_eq!(pool.next_at(now, false), Some(now + PAUSE), "the next one may do the same");
        pool.failed(2, now + PAUSE);
        pool.ready(2, "late".to_owned(), now + PAUSE);
        assert_eq!(pool.call(now + PAUSE), None);
        assert_eq!(pool.next_at(now + PAUSE, false), Some(now + 2 * PAUSE), "the next one may fail as well");
        let later = now + 2 * PAUSE;
        filled(&mut pool, later, 3);
        assert_eq!(pool.call(later), Some(3));
        pool.failed(3, later);
        assert!(wants_one(&mut pool, later), "it had had its job");
        assert_eq!((pool.take_all(), pool.counts()), (vec![4, 5], (0, 0)));
    }
}
