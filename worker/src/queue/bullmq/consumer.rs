//! What a worker does with entries: takes them, keeps their locks, says how far they have come, moves them out of
//! `active`. Each call is one script; nothing here knows the database.
//!
//! **A second call after a lost reply.** Every move out of `active` opens the lock first of all, so once it was carried out
//! the same call is refused and changes nothing: with -2 as long as nobody has taken the entry again, with -6 when
//! somebody has, with -1 when the entry was not kept. [`extend`](Consumer::extend) and
//! [`hand_over`](Consumer::hand_over) say the same again; [`came_to`](Consumer::came_to) writes its line twice. A take
//! cannot be repeated: the entry that it took stays active under its token until that lock is handed over or runs out.
//!
//! **Signals.** An official worker fetches its next entry in the call that ends the last one. This one takes entries when
//! a container is ready, so each move out of `active` leaves the signal that fetching would have made needless: `0` for
//! what can be taken now, or `1` with the time when there will be something; `drained` when there is neither.

pub(crate) mod answer;
mod clock;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::entry::{Entry, Keep, LONGEST};
use super::link::{Link, RedisError};
use super::script::{Operation, operation};
use answer::Answer;
use clock::Clock;

static TAKE: LazyLock<Operation> = LazyLock::new(|| operation!("take", "marker", "place"));
static LOOK: LazyLock<Operation> = LazyLock::new(|| operation!("look", "marker"));
static WAKE: LazyLock<Operation> = LazyLock::new(|| operation!("wake", "marker"));
static COMPLETE: LazyLock<Operation> = LazyLock::new(|| {
    operation!(
        "complete",
        "marker",
        "place",
        "store",
        "entry",
        "deduplication",
        "release",
        "family",
        "finish"
    )
});
static FAIL: LazyLock<Operation> = LazyLock::new(|| {
    operation!("fail", "marker", "place", "store", "entry", "deduplication", "release", "family", "finish")
});
static RETRY: LazyLock<Operation> = LazyLock::new(|| operation!("retry", "marker", "place", "release"));
static POSTPONE: LazyLock<Operation> = LazyLock::new(|| operation!("postpone", "marker", "place", "release"));
static GIVE_BACK: LazyLock<Operation> =
    LazyLock::new(|| operation!("give_back", "marker", "place", "release"));
static EXTEND: LazyLock<Operation> = LazyLock::new(|| operation!("extend"));
static CAME_TO: LazyLock<Operation> = LazyLock::new(|| operation!("came_to"));
static READ: LazyLock<Operation> = LazyLock::new(|| operation!("read"));
static HAND_OVER: LazyLock<Operation> =
    LazyLock::new(|| operation!("hand_over", "marker", "place", "release"));
static CHECK_STALLED: LazyLock<Operation> = LazyLock::new(|| operation!("check_stalled", "marker", "place"));

/// How many locks one script prolongs: a call takes no more than some thousand keys.
const LOCKS_AT_ONCE: usize = 500;

/// How an entry is taken and kept.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// The worker's name, written into the entry (`pb`).
    pub name: Option<String>,
    /// How long a lock holds.
    pub lock: Duration,
    /// Time between two stalled checks of the whole queue.
    pub stalled_interval: Duration,
    /// How often an entry may stall.
    pub max_stalled: u32,
}

/// What a take came back with.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// An entry, active now and locked with our token.
    Entry(Box<Entry>),
    /// Nothing to take now.
    Nothing {
        /// Until the next delayed entry is due, or the rate limit ends.
        next: Option<Duration>,
    },
}

/// What became of a move out of `active`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It is done.
    Done,
    /// The entry is not ours any more, or gone; nothing was changed. The code is BullMQ's (-1 to -9).
    Refused(i64),
}

impl Moved {
    /// The entry has no lock: it ran out, or a move opened it.
    pub const UNLOCKED: Self = Self::Refused(-2);
}

/// An entry that is ours, as its lock is renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: String,
    /// Our lock.
    pub token: String,
    /// How often it was started when we took it. It is one more when somebody has taken it since.
    pub started: u32,
}

/// How long an entry waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// All of it, a year at most. This is what the entry says of itself.
    pub whole: Duration,
    /// How much of it is over: Redis may hear of it late.
    pub over: Duration,
}

impl Wait {
    /// Both in milliseconds, as a script reads them.
    fn millis(self) -> [String; 2] {
        [millis(self.whole.min(LONGEST)), millis(self.over.min(LONGEST))]
    }
}

impl From<Duration> for Wait {
    fn from(whole: Duration) -> Self {
        Self { whole, over: Duration::ZERO }
    }
}

/// What could be taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Entries that a take would give now, counted up to the limit that was asked for; 0 while paused or limited.
    pub due: usize,
    /// Until the next delayed entry is due, or the rate limit ends.
    pub next: Option<Duration>,
}

/// What became of a dead worker's locks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandedOver {
    /// Entries whose lock is ours now.
    pub ours: Vec<String>,
    /// Entries back where they were taken from.
    pub given_back: Vec<String>,
    /// How many active entries still have such a lock because they were to be left alone by their id.
    pub left: usize,
}

/// The operations of a worker.
pub struct Consumer {
    link: Arc<Link>,
    config: ConsumerConfig,
    clock: Clock,
}

impl Consumer {
    /// Over a link.
    #[must_use]
    pub const fn new(link: Arc<Link>, config: ConsumerConfig) -> Self {
        Self { link, config, clock: Clock::System }
    }

    /// The link.
    #[must_use]
    pub const fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// Promotes what is due and takes the next entry (moveToActive). An entry whose hash is gone comes as an empty one, as
    /// with BullMQ's own workers.
    ///
    /// # Errors
    /// [`RedisError`]; whether an entry was taken is not known when it did not answer.
    pub async fn take(&self, token: &str) -> Result<Taken, RedisError> {
        let name = self.config.name.as_deref().unwrap_or("");
        self.run(&TAKE, &[token, &millis(self.config.lock), &self.clock.now(), name]).await?.taken()
    }

    /// Counts what could be taken, and promotes nothing.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn look(&self, limit: usize) -> Result<Look, RedisError> {
        self.run(&LOOK, &[&limit.to_string(), &self.clock.now()]).await?.look()
    }

    /// Puts the marker back, if there is work: somebody who took it does not take the work. Does nothing while the queue is
    /// paused, at its limit of active entries or at its rate limit.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn wake(&self) -> Result<(), RedisError> {
        self.run(&WAKE, &[]).await?.done()
    }

    /// Ends an entry with a result (moveToFinished). `returnvalue` is JSON text; any other is written as a JSON string,
    /// because one text that is no JSON ends the listeners of BullMQ's own clients.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn complete(&self, entry: &Entry, token: &str, returnvalue: &str) -> Result<Moved, RedisError> {
        let [count, age, limit] = kept(entry.options().keep_completed());
        let arguments = [&entry.id, token, &self.clock.now(), &json(returnvalue), &count, &age, &limit];
        self.run(&COMPLETE, &arguments).await?.moved()
    }

    /// Ends an entry without one.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn fail(&self, entry: &Entry, token: &str, reason: &str) -> Result<Moved, RedisError> {
        let options = entry.options();
        let [count, age, limit] = kept(options.keep_failed());
        let (traces, attempts) = (entry.stacktrace_with(reason), options.attempts().to_string());
        let now = self.clock.now();
        let arguments = [&entry.id, token, &now, reason, &traces, &attempts, &count, &age, &limit];
        self.run(&FAIL, &arguments).await?.moved()
    }

    /// Lets an entry be tried again, at once when the wait is over; the attempt counts.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn retry(
        &self,
        entry: &Entry,
        token: &str,
        reason: &str,
        wait: impl Into<Wait>,
    ) -> Result<Moved, RedisError> {
        let lifo = if entry.options().lifo() { "1" } else { "" };
        let traces = entry.stacktrace_with(reason);
        let (now, [delay, over]) = (self.clock.now(), wait.into().millis());
        self.run(&RETRY, &[&entry.id, token, &now, &delay, &over, reason, &traces, lifo]).await?.moved()
    }

    /// Lets an entry come back after a while; no attempt is counted.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn postpone(&self, id: &str, token: &str, wait: impl Into<Wait>) -> Result<Moved, RedisError> {
        let [delay, over] = wait.into().millis();
        self.run(&POSTPONE, &[id, token, &self.clock.now(), &delay, &over]).await?.moved()
    }

    /// Puts an entry back to where it was taken from: the front of `wait`, or of its priority; no attempt is counted, and
    /// none as stalled.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn give_back(&self, id: &str, token: &str) -> Result<Moved, RedisError> {
        self.run(&GIVE_BACK, &[id, token, &self.clock.now()]).await?.moved()
    }

    /// Prolongs locks, and closes those again that ran out without anybody having taken the entry since; the ids whose lock
    /// is not ours come back.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn extend(&self, held: &[Held]) -> Result<Vec<String>, RedisError> {
        let lock = millis(self.config.lock);
        let mut lost = Vec::new();
        for part in held.chunks(LOCKS_AT_ONCE) {
            let started: Vec<_> = part.iter().map(|held| held.started.to_string()).collect();
            let mut arguments = vec![lock.as_str()];
            for (held, started) in part.iter().zip(&started) {
                arguments.extend([held.id.as_str(), held.token.as_str(), started.as_str()]);
            }
            lost.extend(self.run(&EXTEND, &arguments).await?.ids("lost")?);
        }
        Ok(lost)
    }

    /// Writes how far an entry has come (`progress`, JSON text as with [`complete`](Self::complete)) and one line of its
    /// log, keeping as many lines as the entry asks for. Nothing is written of an entry that is gone.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn came_to(&self, entry: &Entry, progress: &str, line: &str) -> Result<(), RedisError> {
        let lines = entry.options().log_lines().unwrap_or(0).to_string();
        self.run(&CAME_TO, &[&entry.id, &json(progress), line, &lines]).await?.done()
    }

    /// An entry as it is now; `None` when it is gone.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn read(&self, id: &str) -> Result<Option<Entry>, RedisError> {
        self.run(&READ, &[id]).await?.found()
    }

    /// Replaces, in one script, the locks of active entries whose token begins with `prefix` (`<worker id>:`; an empty one
    /// is the beginning of none): by the tokens in `mine` (id and token; also where the entry has no lock any more),
    /// leaves those in `leave` (ids) and those whose whole token is in `spare` alone, and puts all others back to where
    /// they were taken from, not counted as stalled.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn hand_over(
        &self,
        prefix: &str,
        mine: &[(String, String)],
        leave: &[String],
        spare: &[String],
    ) -> Result<HandedOver, RedisError> {
        let (lock, now) = (millis(self.config.lock), self.clock.now());
        let lengths = [2 * mine.len(), leave.len(), spare.len()].map(|length| length.to_string());
        let mut arguments = vec![lock.as_str(), &now, prefix, &lengths[0]];
        arguments.extend(mine.iter().flat_map(|(id, token)| [id.as_str(), token.as_str()]));
        for (length, list) in [(&lengths[1], leave), (&lengths[2], spare)] {
            arguments.push(length);
            arguments.extend(list.iter().map(String::as_str));
        }
        self.run(&HAND_OVER, &arguments).await?.handed()
    }

    /// Looks for entries whose worker has let their lock run out, unless somebody did so within the interval; their ids.
    /// They wait at the front again. One that has stalled too often is marked to be failed by whoever takes it.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn check_stalled(&self) -> Result<Vec<String>, RedisError> {
        let (interval, most) = (millis(self.config.stalled_interval), self.config.max_stalled.to_string());
        self.run(&CHECK_STALLED, &[&self.clock.now(), &interval, &most]).await?.ids("stalled")
    }

    async fn run(&self, operation: &Operation, arguments: &[&str]) -> Result<Answer, RedisError> {
        let whole = self.link.run(operation, arguments).await?;
        Ok(Answer::new(operation.name, whole))
    }
}

/// Whole milliseconds; Redis refuses a lock or an interval of none.
fn millis(span: Duration) -> String {
    span.as_millis().to_string()
}

fn json(text: &str) -> Cow<'_, str> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(Value::from(text).to_string()),
    }
}

/// A keep rule as the scripts read it.
fn kept(keep: Keep) -> [String; 3] {
    let count = keep.count.map_or_else(|| "-1".to_owned(), |count| count.to_string());
    let age = keep.age.map_or_else(|| "-1".to_owned(), millis);
    [count, age, keep.limit.to_string()]
}
