//! The database: edges, and what a delivery finds.

use std::time::Duration;

use safeurl::domain::delivery::{Backoff, Course, Delivered, Delivery, Found, Retries, course};
use safeurl::domain::failure::{Failure, FailureClass};
use safeurl::domain::scan::Job;
use safeurl::domain::state::{Event, State, Transition, step};
use safeurl::supervisor::{after_delivered_failure, after_failure};

use super::guards::Guard;
use super::model::Deliveries;
use super::properties::Broken;
use super::world::{Attempt, Entry, Held, Op, Row, Served, Token, World, job_of};
use crate::edges::{Edge, failure, last_event};
use crate::names::Id;

/// What the database's half of a delivery came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The row is claimed for it.
    Claimed,
    /// The row is to be taken over for it.
    Orphan,
    /// Redis is to be told.
    Tell(Op),
}

/// Who writes an edge, and for which entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By {
    pub(crate) worker: Id,
    pub(crate) served: Option<(Id, Token, u8)>,
}

impl Deliveries {
    /// The database's half of a delivery: one transaction.
    pub(crate) fn deliver(&self, world: &mut World, worker: Id, held: Held) -> Answer {
        let job = job_of(held.entry);
        loop {
            let row = &world.rows[job];
            let found = row.made.then(|| self.found(row, held));
            let (asked, told) =
                world.entry(held.entry).map_or((true, false), |entry| (entry.asked, entry.told));
            match course(found, self.delivered(held)) {
                Course::Admit => world.rows[job].made = true,
                Course::Claim => {
                    self.claim(world, worker, held);
                    return Answer::Claimed;
                }
                Course::Stall => {
                    self.stall(world, worker, held);
                    return Answer::Tell(Op::Fail);
                }
                Course::RepeatRetry => return Answer::Tell(Op::Retry),
                Course::Postpone(_) => return Answer::Tell(Op::Postpone),
                Course::TakeOver => return Answer::Orphan,
                Course::Complete => return Answer::Tell(Op::Complete),
                Course::RepeatFailure => {
                    // The row remembers one entry: of several, one may be told again what another one was told.
                    let alone = world.entries.iter().filter(|entry| entry.job() == job).count() == 1;
                    // Nor does it remember which end Redis is being told of, when a person replays and cancels meanwhile.
                    let first = world.rows[job].replays == 0 || self.config.faults < 3;
                    if asked && told && alone && first {
                        world.breaks(Broken::RetrySwallowed);
                    }
                    self.record(world, held);
                    return Answer::Tell(Op::Fail);
                }
                Course::Replay => {
                    // A Redis that comes back with an old count, and a settlement from before that arrives late, look
                    // like a producer's retry(). That takes three faults, of which one is Redis' loss.
                    let forgotten = world.lossy && self.config.faults > 2;
                    if !asked && !forgotten {
                        world.breaks(Broken::RanUnasked);
                    }
                    self.replay(world, job);
                    if self.lacks(Guard::AskAgain) {
                        self.claim(world, worker, held);
                        return Answer::Claimed;
                    }
                }
            }
        }
    }

    fn found(&self, row: &Row, held: Held) -> Found {
        let same = |served: &&Served| served.entry == held.entry || self.lacks(Guard::SameEntry);
        let leased = row.leased && !self.lacks(Guard::LeaseSeen);
        Found {
            state: row.state,
            lease: leased.then_some(Duration::from_secs(1)),
            delivery_atm: row.served.as_ref().filter(same).map(|served| u32::from(served.atm)),
        }
    }

    fn delivered(&self, held: Held) -> Delivered {
        let atm = if self.lacks(Guard::Missed) { u32::MAX } else { held.atm.unwrap_or_default().into() };
        Delivered { atm, deferred: held.deferred && !self.lacks(Guard::Deferred) }
    }

    fn claim(&self, world: &mut World, worker: Id, held: Held) {
        let job = job_of(held.entry);
        if held.deferred {
            world.breaks(Broken::DeferredRan);
        }
        let missed = |served: &Served| served.entry == held.entry && Some(served.atm) > held.atm;
        if world.rows[job].served.as_ref().is_some_and(missed) {
            world.breaks(Broken::RetryMissed);
        }
        let served = Some((held.entry, held.token, held.atm.unwrap_or_default() + 1));
        self.apply(world, job, Event::Claim, Some(By { worker, served }));
    }

    /// The queue wants the job ended unrun.
    fn stall(&self, world: &mut World, worker: Id, held: Held) {
        let job = job_of(held.entry);
        if world.rows[job].leased {
            world.breaks(Broken::LivingLeaseTaken);
        }
        let served = Some((held.entry, held.token, held.atm.unwrap_or_default() + 1));
        let stalled = failure(FailureClass::Stalled);
        let event = match world.rows[job].state {
            State::Queued => Event::Refuse(stalled),
            _ => Event::Fail(stalled),
        };
        self.apply(world, job, event, Some(By { worker, served }));
    }

    /// Remembers the count that the entry has once it is told of an end: of one that no delivery of it served, or after
    /// Redis came back with a lower count.
    fn record(&self, world: &mut World, held: Held) {
        if !self.lacks(Guard::Record) {
            let atm = held.atm.unwrap_or_default() + 1;
            world.rows[job_of(held.entry)].served = Some(Served { entry: held.entry, token: None, atm });
        }
    }

    /// The event that ends an attempt.
    pub(crate) fn last_event(&self, world: &World, attempt: &Attempt) -> Event {
        let row = &world.rows[attempt.job.unwrap_or_default() as usize];
        last_event(attempt.known, attempt.failure, |failure| self.after_failure(row, attempt, failure))
    }

    /// The entry decides whether a failure is tried again; where it could not be read, the row does.
    fn after_failure(&self, row: &Row, attempt: &Attempt, failure: Failure) -> Event {
        let job = self.job(row);
        let Some(atm) = attempt.held.and_then(|held| held.atm) else {
            return after_failure(&job, failure, 0.5);
        };
        let delivery = Delivery { id: String::new(), token: String::new(), atm: u32::from(atm) + 1 };
        let retries = Retries { attempts: self.config.attempts.into(), backoff: Backoff::None };
        after_delivered_failure(&job, &delivery, failure, retries, 0.5)
    }

    fn job(&self, row: &Row) -> Job {
        Job {
            state: row.state,
            attempt: u32::from(row.counted),
            losses: u32::from(row.losses),
            cancel_requested: row.cancel,
            ..self.template.clone()
        }
    }

    /// Writes an edge for an attempt: its version decides whether it holds.
    pub(crate) fn edge(&self, world: &mut World, w: usize, a: usize, event: Event) -> Edge {
        let attempt = &world.workers[w].attempts[a];
        let (Some(job), Some(seen), true) = (attempt.job, attempt.seen, attempt.current) else {
            return Edge::Conflict;
        };
        let Ok(transition) = step(seen, event) else { return Edge::Conflict };
        let row = &world.rows[job as usize];
        if *transition.event() == Event::TakeOver && row.leased {
            return Edge::Conflict;
        }
        if transition.yields_to_cancel() && row.cancel {
            return Edge::Cancelled;
        }
        let served = attempt.held.map(|held| (held.entry, held.token, held.atm.unwrap_or_default() + 1));
        self.write(world, job as usize, &transition, Some(By { worker: w as Id, served }));
        let attempt = &mut world.workers[w].attempts[a];
        (attempt.current, attempt.seen) = (true, State::parse(transition.to().as_str()));
        Edge::Held
    }

    fn apply(&self, world: &mut World, job: usize, event: Event, by: Option<By>) {
        if let Ok(transition) = step(world.rows[job].state, event) {
            self.write(world, job, &transition, by);
        }
    }

    /// What an event writes into a row.
    fn write(&self, world: &mut World, job: usize, transition: &Transition, by: Option<By>) {
        let row = &mut world.rows[job];
        let (from, to, event) = (row.state, transition.to(), transition.event());
        let broken = match event {
            _ if from.is_final() && *event != Event::Replay => Some(Broken::FinalChanged),
            Event::TakeOver if row.leased => Some(Broken::LivingLeaseTaken),
            Event::Replay => None,
            _ if to == State::Queued && row.cancel => Some(Broken::CancelForgotten),
            _ => None,
        };
        row.state = to;
        if to.is_final() || to == State::Queued {
            (row.owner, row.leased) = (None, false);
        }
        row.ends += u8::from(to.is_final() || matches!(event, Event::Retry { .. }));
        self.write_event(row, event, by);
        if let (Event::Claim, Some(by)) = (event, by) {
            world.rows[job].engine = Some(world.workers[by.worker as usize].engine);
        }
        if to.is_final() || *event == Event::Replay {
            let own = |entry: &&mut Entry| entry.job() == job;
            let World { entries, saved, .. } = world;
            entries.iter_mut().chain(saved.iter_mut().flatten()).filter(own).for_each(|e| e.told = false);
        }
        for attempt in world.workers.iter_mut().flat_map(|worker| &mut worker.attempts) {
            if attempt.job == Some(job as Id) {
                (attempt.current, attempt.seen) = (false, None);
            }
        }
        if let Some(broken) = broken {
            world.breaks(broken);
        }
    }

    fn write_event(&self, row: &mut Row, event: &Event, by: Option<By>) {
        let worker = by.map(|by| by.worker);
        let served = by.and_then(|by| by.served);
        let serve = |row: &mut Row| {
            row.served = served.map(|(entry, token, atm)| Served { entry, token: Some(token), atm });
        };
        match event {
            Event::Claim => {
                (row.owner, row.leased, row.cancel) = (worker, true, false);
                row.counted += 1;
                serve(row);
            }
            Event::TakeOver => (row.owner, row.leased) = (worker, true),
            Event::Accept => row.leased = row.owner.is_some(),
            Event::Lose(_) => {
                row.counted -= 1;
                row.losses += 1;
                if !self.lacks(Guard::LoseClears) {
                    row.served = None;
                }
            }
            Event::Release => {
                row.counted -= 1;
                if !self.lacks(Guard::ReleaseClears) {
                    row.served = None;
                }
            }
            Event::Replay => {
                (row.counted, row.losses, row.cancel) = (0, self.config.losses, false);
                row.replays += 1;
                row.served = None;
            }
            Event::Complete => row.results += 1,
            // For a delivery that is failed unrun; without one nobody has told Redis anything.
            Event::Refuse(_) if served.is_some() => serve(row),
            Event::Refuse(_) if self.lacks(Guard::RefuseClears) => {}
            Event::Refuse(_) => row.served = None,
            Event::Fail(failure) if failure.class == FailureClass::Stalled => serve(row),
            Event::Fail(_) | Event::Retry { .. } => {}
        }
    }

    /// A take-over for a delivery writes which one; recovery's only writes its token.
    pub(crate) fn serve(world: &mut World, job: usize, held: Held, delivered: bool) {
        let row = &mut world.rows[job];
        match &mut row.served {
            Some(served) if !delivered => {
                served.token = Some(held.token);
            }
            served if delivered => {
                let atm = held.atm.unwrap_or_default() + 1;
                *served = Some(Served { entry: held.entry, token: Some(held.token), atm });
            }
            _ => {}
        }
    }

    pub(crate) fn cancel(&self, world: &mut World, job: usize) {
        if world.rows[job].state == State::Queued {
            self.apply(world, job, Event::Refuse(failure(FailureClass::Cancelled)), None);
        } else {
            world.rows[job].cancel = true;
        }
    }

    pub(crate) fn replay(&self, world: &mut World, job: usize) {
        self.apply(world, job, Event::Replay, None);
    }

    /// A claim of which nobody heard, given back by the next renewal.
    pub(crate) fn release_unheard(&self, world: &mut World, job: usize) {
        let event = if world.rows[job].cancel {
            Event::Fail(failure(FailureClass::Cancelled))
        } else {
            Event::Release
        };
        self.apply(world, job, event, None);
    }
}
