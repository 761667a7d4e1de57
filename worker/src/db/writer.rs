//! The thread that owns the connection that writes.
//!
//! Units that wait for a file share a transaction: a disk that has to keep a commit takes as long for many writes as for
//! one. Each is answered after the COMMIT. When one of them fails, all is undone, and each gets a transaction of its own:
//! what went wrong is told to the one that it went wrong for. Savepoints would let the others go on, and cost every page
//! that is written a copy, for the sake of failures that are rare.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

use super::file::File;
use super::thread::{Work, carry_out, do_it, packed};
use super::{DbError, Place, Unit};

/// Units that share a transaction at most: the first of them waits for the last, and so does another process.
const SHARING: usize = 64;

/// How long a unit that nobody is in a hurry for waits for others to share a transaction with: a busy worker commits more
/// often.
const LINGER: Duration = Duration::from_millis(25);

/// A handle to the thread, which ends with the last of them.
#[derive(Clone)]
pub(super) struct Writer {
    queue: Sender<Turn>,
}

/// What waits for the connection.
enum Turn {
    /// May be one of several in a transaction.
    Change(Box<dyn Change>),
    /// The same, and may wait for them.
    Lingering(Box<dyn Change>),
    /// Has the connection to itself.
    Other(Work),
}

/// Work in a transaction, and the way of its answer.
trait Change: Send {
    /// Does it within the transaction that is open and keeps the answer; `false` when all of that is to be undone.
    fn join_in<'a>(&'a mut self, unit: &'a Unit) -> Pin<Box<dyn Future<Output = bool> + 'a>>;
    /// Answers, now that the transaction has ended.
    fn answer(self: Box<Self>, committed: Result<(), DbError>);
    /// Does it anew in a transaction of its own, and answers.
    fn alone(self: Box<Self>, unit: &Unit);
}

impl Writer {
    pub(super) fn start(unit: Unit) -> Result<Self, DbError> {
        let (queue, turns) = channel();
        let runtime = Builder::new_current_thread().build().map_err(|_| DbError::Ended)?;
        std::thread::Builder::new()
            .name("safeurl-db-write".to_owned())
            .spawn(move || serve(&unit, &runtime, &turns))
            .map_err(|_| DbError::Ended)?;
        Ok(Self { queue })
    }

    /// Runs the work in a transaction. Dropping the returned future does not stop work already queued.
    pub(super) async fn change<T, E, W>(&self, place: Place, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Clone + Send + 'static,
    {
        self.ask(place, work, Turn::Change).await
    }

    /// The same within the next transaction, or after [`LINGER`] where none comes.
    pub(super) async fn change_lingering<T, E, W>(&self, place: Place, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Clone + Send + 'static,
    {
        self.ask(place, work, Turn::Lingering).await
    }

    async fn ask<T, E, W>(
        &self,
        place: Place,
        work: W,
        turn: impl FnOnce(Box<dyn Change>) -> Turn,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Clone + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { place, work, caller: Handle::current(), kept: None, answer };
        self.queue.send(turn(Box::new(waiting))).map_err(|_| DbError::Ended)?;
        answered.await.map_err(|_| DbError::Ended)?
    }

    /// Runs the work on the connection with nothing around it.
    pub(super) async fn run<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Send + 'static,
    {
        let (work, answered) = packed(work);
        self.queue.send(Turn::Other(work)).map_err(|_| DbError::Ended)?;
        answered.await.map_err(|_| DbError::Ended)?
    }
}

/// Takes turns in the order in which they came, until nobody can ask for one any more.
fn serve(unit: &Unit, runtime: &Runtime, turns: &Receiver<Turn>) {
    let (mut next, mut lingering) = (VecDeque::new(), Lingering::default());
    loop {
        match lingering.next(turns) {
            Ok(turn) => next.push_back(turn),
            Err(ended) => {
                if let Some(file) = unit.file() {
                    together(unit, file, runtime, lingering.take(SHARING));
                }
                // Whoever asked for the last of it may be gone, and it is done all the same.
                if ended == RecvTimeoutError::Disconnected && lingering.changes.is_empty() {
                    return;
                }
            }
        }
        while let Some(turn) = next.pop_front() {
            next.extend(turns.try_iter());
            match (turn, unit.file()) {
                (Turn::Other(work), _) => do_it(unit, work),
                (Turn::Change(change) | Turn::Lingering(change), None) => {
                    do_it(unit, |unit| change.alone(unit))
                }
                (Turn::Lingering(change), Some(_)) => lingering.add(change),
                (Turn::Change(change), Some(file)) => {
                    // What waits was asked for before.
                    let mut changes = lingering.take(SHARING - 1);
                    changes.push(change);
                    while changes.len() < SHARING
                        && let Some(Turn::Change(_) | Turn::Lingering(_)) = next.front()
                        && let Some(Turn::Change(change) | Turn::Lingering(change)) = next.pop_front()
                    {
                        changes.push(change);
                    }
                    together(unit, file, runtime, changes);
                }
            }
        }
    }
}

/// What waits for something to share a transaction with.
#[derive(Default)]
struct Lingering {
    changes: Vec<Box<dyn Change>>,
    /// Until then, while there is something.
    until: Option<Instant>,
}

impl Lingering {
    fn add(&mut self, change: Box<dyn Change>) {
        self.changes.push(change);
        self.until.get_or_insert_with(|| Instant::now() + LINGER);
    }

    /// So many of them, those that have waited the longest.
    fn take(&mut self, most: usize) -> Vec<Box<dyn Change>> {
        let rest = self.changes.split_off(most.min(self.changes.len()));
        if rest.is_empty() {
            self.until = None;
        }
        std::mem::replace(&mut self.changes, rest)
    }

    /// The next turn; [`RecvTimeoutError::Timeout`] when what waits has waited for long enough.
    fn next(&self, turns: &Receiver<Turn>) -> Result<Turn, RecvTimeoutError> {
        match self.until {
            Some(until) => turns.recv_timeout(until.saturating_duration_since(Instant::now())),
            None => turns.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }
}

fn together(unit: &Unit, file: &File, runtime: &Runtime, mut changes: Vec<Box<dyn Change>>) {
    let ended = match &mut *changes {
        [] => return,
        [_] => Ended::Undone,
        several => runtime.block_on(share(unit, file, several)),
    };
    for change in changes {
        match &ended {
            Ended::Committed => change.answer(Ok(())),
            Ended::Busy(source) => change.answer(Err(DbError::Busy { source: copy_of(source) })),
            Ended::Unanswered(source) => {
                change.answer(Err(DbError::Unanswered { source: copy_of(source) }));
            }
            Ended::Undone => do_it(unit, |unit| change.alone(unit)),
        }
    }
}

/// How a transaction of several ended.
enum Ended {
    Committed,
    /// It could not begin beside another process's, for which all have waited.
    Busy(libsql::Error),
    /// All of it is there or nothing.
    Unanswered(libsql::Error),
    /// Nothing of it is there.
    Undone,
}

async fn share(unit: &Unit, file: &File, changes: &mut [Box<dyn Change>]) -> Ended {
    match file.execute("BEGIN IMMEDIATE", ()).await.map_err(DbError::from) {
        Ok(_) => {}
        Err(DbError::Busy { source }) => return Ended::Busy(source),
        Err(_) => return Ended::Undone,
    }
    for change in changes {
        // An error may have ended the transaction, as that of a full disk does.
        if !change.join_in(unit).await || file.is_autocommit() {
            unit.abandon().await;
            return Ended::Undone;
        }
    }
    match unit.commit(file).await {
        Ok(()) => Ended::Committed,
        Err(DbError::Unanswered { source }) => Ended::Unanswered(source),
        Err(_) => {
            unit.abandon().await;
            Ended::Undone
        }
    }
}

/// One error, told to several.
fn copy_of(error: &libsql::Error) -> libsql::Error {
    match error {
        libsql::Error::SqliteFailure(code, said) => libsql::Error::SqliteFailure(*code, said.clone()),
        other => libsql::Error::Misuse(other.to_string()),
    }
}

/// A change that waits for its turn or for its answer.
struct Waiting<T, E, W> {
    place: Place,
    work: W,
    caller: Handle,
    kept: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, W> Change for Waiting<T, E, W>
where
    T: Send,
    E: From<DbError> + Send,
    W: AsyncFnOnce(&Unit) -> Result<T, E> + Clone + Send,
{
    fn join_in<'a>(&'a mut self, unit: &'a Unit) -> Pin<Box<dyn Future<Output = bool> + 'a>> {
        Box::pin(async move {
            let work = self.work.clone();
            let done = async {
                self.place.check()?;
                work(unit).await
            };
            // A panic fails the unit that caused it: its caller sees the answer's channel closed.
            self.kept = AssertUnwindSafe(done).catch_unwind().await.ok();
            matches!(self.kept, Some(Ok(_)))
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), DbError>) {
        let answer = match (committed, self.kept) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(kept)) => kept,
            (Ok(()), None) => return,
        };
        // A caller that no longer waits does not hear it; the work is done all the same.
        let _ = self.answer.send(answer);
    }

    fn alone(self: Box<Self>, unit: &Unit) {
        let Self { place, work, caller, answer, kept } = *self;
        // First: a value that nobody gets says so when it is dropped, and must not say it of this run.
        drop(kept);
        let work = async move |unit: &Unit| {
            place.check()?;
            unit.transaction(work).await
        };
        carry_out(unit, &caller, work, answer);
    }
}

#[cfg(test)]
mod tests;
