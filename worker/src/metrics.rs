//! What a worker tells of itself: numbers for Prometheus, and what it waits for.
//!
//! Owns every metric of the program with its name, help and labels. Labels come from closed sets (state, class,
//! rule, direction, part), never from a URL, a host or an id: a site must not be able to fill the operator's
//! database of series. Each thing that happens has a method, called where it happens; nothing here decides, waits
//! or asks anybody. Clones are the same numbers.

mod book;
mod counted;
mod labels;
mod readiness;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use safeurl_protocol::ledger::{Decision, Ledger};
use tokio::time::Instant;

pub use counted::Counted;
pub use readiness::{Part, PartView, Readiness, Standing};

use crate::domain::failure::FailureClass;
use crate::domain::scan::Job;
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use book::Book;
use labels::{ByDirection, ByPart, ByRule, Direction, Settled};
use readiness::Board;

/// What [`Metrics::text`] is, as HTTP says it.
/// <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The numbers of one process.
#[derive(Debug, Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    book: Book,
    board: Mutex<Board>,
    born: Instant,
    /// When the loop last turned, in milliseconds since `born`.
    turned_ms: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero; every part is waited for.
    #[must_use]
    pub fn new() -> Self {
        let started = now();
        let book = Book::new();
        book.started.set(started.millis() as f64 / 1000.0);
        let inner = Inner {
            book,
            board: Mutex::new(Board::new(started)),
            born: Instant::now(),
            turned_ms: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The text of one scrape. `counted` is what the database holds; without it those numbers are left out and
    /// `safeurl_database_up` is 0.
    #[must_use]
    pub fn text(&self, counted: Option<&Counted>) -> String {
        let book = &self.inner.book;
        for view in self.readiness().parts {
            let ready = matches!(view.standing, Standing::Ready);
            book.ready.get_or_create(&ByPart { part: view.part }).set(i64::from(ready));
        }
        book.text(counted)
    }

    /// The loop has turned; these are its slots: the limit, the attempts without a job yet, those with one.
    pub fn turned(&self, (limit, waiting, working): (usize, usize, usize)) {
        self.alive();
        let book = &self.inner.book;
        book.slots.set(number(limit));
        book.waiting.set(number(waiting));
        book.slots_used.set(number(waiting + working));
    }

    /// Containers that wait for a job, and those that will.
    pub fn pool(&self, (ready, starting): (usize, usize)) {
        self.inner.book.pool_ready.set(number(ready));
        self.inner.book.pool_starting.set(number(starting));
    }

    /// The pool was asked for a container; whether it had one.
    pub fn pool_asked(&self, had_one: bool) {
        let book = &self.inner.book;
        if had_one { &book.pool_hits } else { &book.pool_misses }.inc();
    }

    /// Whatever has to go round went round.
    pub fn alive(&self) {
        self.inner.turned_ms.store(millis(self.inner.born.elapsed()), Ordering::Relaxed);
    }

    /// How long ago that was.
    #[must_use]
    pub fn last_turn(&self) -> Duration {
        let turned = Duration::from_millis(self.inner.turned_ms.load(Ordering::Relaxed));
        self.inner.born.elapsed().saturating_sub(turned)
    }

    /// A job was claimed, after it had waited since it was due.
    pub fn claimed(&self, job: &Job) {
        let book = &self.inner.book;
        book.claimed.inc();
        let due = job.run_at.unwrap_or(job.created).max(job.created);
        if let Some(started) = job.started {
            let waited = u64::try_from(started.millis() - due.millis()).unwrap_or(0);
            book.queue_wait.observe(seconds(Duration::from_millis(waited)));
        }
    }

    /// A container became ready, so long after it was asked for.
    pub fn container_started(&self, start_ms: u64) {
        self.inner.book.container_start.observe(seconds(Duration::from_millis(start_ms)));
    }

    /// A container's part is over, so long after it was given its job.
    pub fn ran(&self, run_ms: u64) {
        self.inner.book.run.observe(seconds(Duration::from_millis(run_ms)));
    }

    /// An analysis took so long.
    pub fn analysed(&self, took: Duration) {
        self.inner.book.analysis.observe(seconds(took));
    }

    /// A job left this worker's hands: it ended, or it went back to the queue.
    pub fn settled(&self, (to, class): (State, Option<FailureClass>)) {
        self.inner.book.settled.get_or_create(&Settled::of(to, class)).inc();
    }

    /// A job was held and is not any more, without an edge of ours.
    pub fn lease_lost(&self) {
        self.inner.book.lease_losses.inc();
    }

    /// A dead worker's job was taken over.
    pub fn taken_over(&self) {
        self.inner.book.take_overs.inc();
    }

    /// A job that was taken over goes on with the container that it had.
    pub fn adopted(&self) {
        self.inner.book.adoptions.inc();
    }

    /// A part did not do what it was asked. Trouble that is nobody's of them is not counted.
    pub fn error(&self, part: Part) {
        let book = &self.inner.book;
        match part {
            Part::Database => book.database_errors.inc(),
            Part::Queue => book.queue_errors.inc(),
            Part::Engine => book.engine_errors.inc(),
            Part::Gateway => book.gateway_errors.inc(),
            Part::Jobs => 0,
        };
    }

    /// An attempt's ledger was read: what went through the gateway, and what it refused.
    pub fn passed(&self, ledger: &Ledger) {
        let book = &self.inner.book;
        let bytes = |direction| book.gateway_bytes.get_or_create(&ByDirection { direction });
        for entry in &ledger.entries {
            match entry.decision {
                Decision::Denied => {
                    book.denials.get_or_create(&ByRule::of(&entry.rule)).inc();
                }
                Decision::Allowed => {
                    if entry.dialed.is_some() {
                        book.connections.inc();
                    }
                }
            }
            bytes(Direction::In).inc_by(entry.bytes_in);
            bytes(Direction::Out).inc_by(entry.bytes_out);
        }
    }

    /// A part was asked and has not answered yet.
    pub fn asked(&self, part: Part) {
        self.board(|board| board.asked(part, now()));
    }

    /// A part answers.
    pub fn answers(&self, part: Part) {
        self.board(|board| board.answers(part));
    }

    /// A part does not do what it has to, and why.
    pub fn silent(&self, part: Part, why: &str) {
        self.board(|board| board.silent(part, why, now()));
    }

    /// No new job is taken from now on.
    pub fn draining(&self) {
        self.board(|board| board.drain(now()));
    }

    /// Whether jobs can be taken, and what is waited for if not.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.board(|board| board.view(now()))
    }

    fn board<T>(&self, with: impl FnOnce(&mut Board) -> T) -> T {
        with(&mut self.inner.board.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The clock of this machine: for people to read, nothing is decided by it.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
