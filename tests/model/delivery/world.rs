//! What outlives a process, on both sides: rows in the database, entries in Redis; and what the workers hold.
//!
//! Containers, doors and reports are the other model's. Of an attempt only those effects are steps here that read or
//! write a row or an entry.

use std::collections::BTreeMap;

use safeurl::domain::failure::FailureClass;
use safeurl::domain::state::State;
use safeurl::supervisor::Known;

use super::properties::Broken;
use crate::names::{Id, inverse};
use crate::subject;

/// The owner of locks that are none of ours: a worker of BullMQ's own.
pub(crate) const OFFICIAL: Id = Id::MAX;

/// Names of entries per job: the first one that a producer added, the one that has the job's own id, and a second one
/// of the producer's.
pub(crate) const NAMES: Id = 3;
pub(crate) const OWN_NAME: Id = 1;

/// The token of a lock: `<worker id>:<n>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Token {
    pub(crate) worker: Id,
    pub(crate) n: u8,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    /// `wait` or `prioritized`.
    Wait,
    Active,
    Delayed,
    Completed,
    Failed,
}

/// An entry that Redis has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) id: Id,
    pub(crate) place: Place,
    pub(crate) atm: u8,
    pub(crate) lock: Option<Token>,
    /// It stalled as often as it may.
    pub(crate) stalled: bool,
    /// `defa` is set.
    pub(crate) deferred: bool,
    /// How often somebody let it run again after its end.
    pub(crate) asks: u8,
    /// A producer's `retry()` has not been answered yet.
    pub(crate) asked: bool,
    /// It was ended by the end that its row has now.
    pub(crate) told: bool,
}

/// A row's `delivery_*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Served {
    pub(crate) entry: Id,
    /// Of interest while somebody works on the row.
    pub(crate) token: Option<Token>,
    pub(crate) atm: u8,
}

/// A row of `scan_jobs`. Attempts remember whether the version that they know is the current one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Row {
    /// There is one; otherwise a delivery makes it.
    pub(crate) made: bool,
    pub(crate) state: State,
    pub(crate) owner: Option<Id>,
    pub(crate) leased: bool,
    /// The engine of its container.
    pub(crate) engine: Option<Id>,
    /// `attempt - attempt_base`.
    pub(crate) counted: u8,
    pub(crate) losses: u8,
    pub(crate) cancel: bool,
    pub(crate) served: Option<Served>,
    pub(crate) results: u8,
    /// Attempts that counted, and ends, since it was made.
    pub(crate) ends: u8,
    pub(crate) replays: u8,
}

/// What a worker's process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Process {
    Running,
    Stopping,
    Gone,
}

/// What Redis is told of an entry by whoever has its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Op {
    Complete,
    Fail,
    Retry,
    Postpone,
    GiveBack,
    /// Takes the lock of a dead worker over (`hand_over` with `mine`).
    Adopt,
}

/// What Redis is still to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Owed {
    pub(crate) op: Op,
    pub(crate) entry: Id,
    pub(crate) token: Token,
}

/// An entry as a worker took or adopted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) entry: Id,
    pub(crate) token: Token,
    /// `None` for an adopted one that could not be read.
    pub(crate) atm: Option<u8>,
    pub(crate) deferred: bool,
}

/// Where an attempt is within an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Before the next one.
    Ready,
    /// An entry was taken, and its row is not asked yet.
    Took,
    /// An edge was written and its answer was lost; then Redis is told this.
    Unsure(Option<Op>),
    /// Redis is told this.
    Tell(Op),
    /// The claim was written, and nobody heard of it.
    Unheard,
}

/// An attempt, or a delivery on its way to be one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Attempt {
    pub(crate) known: Known,
    pub(crate) at: u8,
    pub(crate) phase: Phase,
    pub(crate) job: Option<Id>,
    pub(crate) held: Option<Held>,
    /// It knows the row's current version.
    pub(crate) current: bool,
    pub(crate) seen: Option<State>,
    pub(crate) failure: Option<FailureClass>,
    /// The edge to ANALYZING is to be written together with the last one.
    pub(crate) put_off: bool,
    /// The worker from which its job was taken over.
    pub(crate) dead: Option<Id>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Worker {
    pub(crate) engine: Id,
    pub(crate) process: Process,
    /// Its heartbeat is older than `DEAD_AFTER`.
    pub(crate) stale: bool,
    /// Its row is there: others can find it dead.
    pub(crate) listed: bool,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) owed: Vec<Owed>,
    /// The job that its reconciler has decided to offer, and with which end it saw the entry of that name.
    pub(crate) offering: Option<(Id, Option<u8>)>,
    /// Dead workers whose locks it has handed over.
    pub(crate) handed_over: Vec<Id>,
}

/// One state of the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) rows: Vec<Row>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) workers: Vec<Worker>,
    /// What is on Redis' disk, where that falls behind.
    pub(crate) saved: Option<Vec<Entry>>,
    pub(crate) faults: u8,
    /// Redis has lost something that it had acknowledged.
    pub(crate) lossy: bool,
    pub(crate) broken: Option<Broken>,
}

impl Entry {
    pub(crate) fn new(id: Id) -> Self {
        Self {
            id,
            place: Place::Wait,
            atm: 0,
            lock: None,
            stalled: false,
            deferred: false,
            asks: 0,
            asked: false,
            told: false,
        }
    }

    pub(crate) const fn job(&self) -> usize {
        job_of(self.id)
    }

    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.place, Place::Completed | Place::Failed)
    }
}

/// The job that an entry's payload names.
pub(crate) const fn job_of(entry: Id) -> usize {
    (entry / NAMES) as usize
}

impl Row {
    /// None yet: a delivery makes it.
    pub(crate) fn unmade(losses: u8) -> Self {
        Self {
            made: false,
            state: State::Queued,
            owner: None,
            leased: false,
            engine: None,
            counted: 0,
            losses,
            cancel: false,
            served: None,
            results: 0,
            ends: 0,
            replays: 0,
        }
    }

    pub(crate) fn at_work(&self) -> bool {
        matches!(self.state, State::Fetching | State::Analyzing)
    }
}

impl Attempt {
    pub(crate) fn new(known: Known) -> Self {
        Self {
            known,
            at: 0,
            phase: Phase::Ready,
            job: None,
            held: None,
            current: false,
            seen: None,
            failure: None,
            put_off: false,
            dead: None,
        }
    }
}

impl Worker {
    pub(crate) const fn new(engine: Id) -> Self {
        Self {
            engine,
            process: Process::Running,
            stale: false,
            listed: true,
            attempts: Vec::new(),
            owed: Vec::new(),
            offering: None,
            handed_over: Vec::new(),
        }
    }

    pub(crate) fn lives(&self) -> bool {
        self.process != Process::Gone
    }

    /// Runs, and the database has just heard of it.
    pub(crate) fn is_well(&self) -> bool {
        self.process == Process::Running && !self.stale
    }

    /// Whether the keeper has this token: an attempt serves its entry, or something is owed under it.
    pub(crate) fn keeps(&self, token: Token) -> bool {
        self.attempts.iter().any(|a| a.held.is_some_and(|held| held.token == token))
            || self.owed.iter().any(|owed| owed.token == token)
    }
}

impl subject::World for World {
    fn faults(&self) -> u8 {
        self.faults
    }

    fn strike(&mut self) {
        self.faults -= 1;
    }

    fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The same world without what nobody can see any more, and with names that follow from what they name.
    fn canonical(mut self) -> Self {
        for row in self.rows.iter_mut().filter(|row| !row.at_work()) {
            (row.engine, row.leased) = (None, false);
            if let Some(served) = &mut row.served {
                served.token = None;
            }
            if row.state.is_final() {
                (row.counted, row.losses, row.cancel) = (0, 0, false);
            }
        }
        self.drop_workers();
        for worker in &mut self.workers {
            worker.attempts.sort();
            worker.owed.sort();
        }
        self.sort_workers();
        self.number_tokens();
        self
    }
}

impl World {
    /// The first thing that must not be is the one that is told.
    pub(crate) fn breaks(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    pub(crate) fn entry(&self, id: Id) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    pub(crate) fn entry_mut(&mut self, id: Id) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    /// Whether an entry of this job will run, or runs.
    pub(crate) fn waits(&self, job: usize) -> bool {
        self.entries.iter().any(|entry| entry.job() == job && !entry.has_ended())
    }

    pub(crate) fn running(&self, engine: Id) -> bool {
        self.workers.iter().any(|w| w.engine == engine && w.lives())
    }

    fn tokens_mut(&mut self) -> impl Iterator<Item = &mut Token> {
        let Self { rows, entries, workers, saved, .. } = self;
        let locks = entries.iter_mut().chain(saved.iter_mut().flatten()).filter_map(|e| e.lock.as_mut());
        let served = rows.iter_mut().filter_map(|row| row.served.as_mut()?.token.as_mut());
        let own = workers.iter_mut().flat_map(|worker| {
            let held = worker.attempts.iter_mut().filter_map(|a| a.held.as_mut().map(|held| &mut held.token));
            held.chain(worker.owed.iter_mut().map(|owed| &mut owed.token))
        });
        locks.chain(served).chain(own)
    }

    /// A token that no lock has, and nobody remembers.
    pub(crate) fn fresh_token(&mut self, worker: Id) -> Token {
        let used: Vec<_> = self.tokens_mut().filter(|token| token.worker == worker).map(|t| t.n).collect();
        Token { worker, n: (0..=u8::MAX).find(|n| !used.contains(n)).unwrap_or_default() }
    }

    fn drop_workers(&mut self) {
        for id in (0..self.workers.len()).rev() {
            let named = |name: Id| name == id as Id;
            if self.workers[id].lives()
                || self.rows.iter().any(|row| row.owner.is_some_and(named))
                || self.tokens_mut().any(|token| named(token.worker))
            {
                continue;
            }
            self.workers.remove(id);
            for worker in &mut self.workers {
                worker.handed_over.retain(|other| !named(*other));
                worker.attempts.iter_mut().for_each(|a| a.dead = a.dead.filter(|dead| !named(*dead)));
            }
            self.rename_workers(|other| if other > id as Id { other - 1 } else { other });
        }
    }

    fn rename_workers(&mut self, name: impl Fn(Id) -> Id) {
        let renamed = |id: Id| if id == OFFICIAL { id } else { name(id) };
        self.tokens_mut().for_each(|token| token.worker = renamed(token.worker));
        for row in &mut self.rows {
            row.owner = row.owner.map(renamed);
        }
        for worker in &mut self.workers {
            worker.handed_over.iter_mut().for_each(|id| *id = renamed(*id));
            worker.handed_over.sort_unstable();
            worker.attempts.iter_mut().for_each(|attempt| attempt.dead = attempt.dead.map(renamed));
        }
    }

    fn sort_workers(&mut self) {
        let mut order: Vec<usize> = (0..self.workers.len()).collect();
        order.sort_by_cached_key(|&id| self.looks_of_worker(id));
        if order.is_sorted() {
            return;
        }
        let place = inverse(&order);
        self.workers = order.iter().map(|&id| self.workers[id].clone()).collect();
        self.rename_workers(|id| place[id as usize]);
    }

    /// What can be said of a worker without anybody's name. Where two are alike in it, either order will do.
    fn looks_of_worker(&self, id: usize) -> impl Ord + use<> {
        let worker = &self.workers[id];
        let own = |lock: Option<Token>| lock.filter(|token| token.worker == id as Id).map(|token| token.n);
        let owned: Vec<_> = self.rows.iter().map(|row| row.owner == Some(id as Id)).collect();
        let locks: Vec<_> = self.entries.iter().map(|entry| own(entry.lock)).collect();
        let nameless = |token: Token| Token { worker: 0, ..token };
        let attempts: Vec<_> = (worker.attempts.iter())
            .map(|attempt| {
                let held = attempt.held.map(|held| Held { token: nameless(held.token), ..held });
                Attempt { held, dead: None, ..attempt.clone() }
            })
            .collect();
        let owed: Vec<_> =
            worker.owed.iter().map(|owed| Owed { token: nameless(owed.token), ..*owed }).collect();
        let facts = (worker.engine, worker.process, worker.stale, worker.listed, worker.offering);
        (facts, owned, locks, attempts, owed, worker.handed_over.len())
    }

    /// Counts each worker's tokens in the order in which they are found.
    fn number_tokens(&mut self) {
        let mut numbers: BTreeMap<Token, u8> = BTreeMap::new();
        let mut next: BTreeMap<Id, u8> = BTreeMap::new();
        for token in self.tokens_mut() {
            let n = *numbers.entry(*token).or_insert_with(|| {
                let n = next.entry(token.worker).or_default();
                *n += 1;
                *n
            });
            token.n = n;
        }
    }
}
