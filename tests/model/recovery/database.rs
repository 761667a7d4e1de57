//! The database of the model: edges as `store::transitions` writes them, leases as `store::leases` keeps them.

use safeurl::domain::failure::{Failure, FailureClass};
use safeurl::domain::scan::Job;
use safeurl::domain::state::{Event, State, Transition, step};
use safeurl::supervisor::after_failure;
use std::time::Duration;

use super::guards::Guard;
use super::model::Supervisors;
use super::properties::Broken;
use super::world::{Attempt, Row, Stage, World};
use crate::edges::{Edge, failure, last_event};
use crate::names::Id;

impl Supervisors {
    /// The row as the shipped functions see it.
    pub(crate) fn job(&self, row: &Row) -> Job {
        let endless = self.lacks(Guard::AttemptCap);
        Job {
            state: row.state,
            attempt: u32::from(row.counted),
            losses: u32::from(row.losses),
            max_attempts: if endless { u32::MAX } else { self.template.max_attempts },
            cancel_requested: row.cancel,
            ..self.template.clone()
        }
    }

    /// The event that ends an attempt, as `Effect::Settle` chooses it.
    pub(crate) fn last_event(&self, world: &World, attempt: &Attempt) -> Event {
        let row = &world.jobs[attempt.job.unwrap_or_default() as usize];
        last_event(attempt.known, attempt.failure, |failure| after_failure(&self.job(row), failure, 0.5))
    }

    /// Writes an edge for an attempt: its version and the state it knows decide whether it holds.
    pub(crate) fn edge(&self, world: &mut World, w: usize, a: usize, event: Event) -> Edge {
        let attempt = &world.workers[w].attempts[a];
        let (Some(job), Some(seen), current) = (attempt.job, attempt.seen, attempt.current) else {
            return Edge::Conflict;
        };
        let Ok(transition) = step(seen, event) else { return Edge::Conflict };
        let row = &world.jobs[job as usize];
        // The row keeps the name of its state, not the state.
        let fits = State::parse(transition.from().as_str()) == Some(row.state);
        if !fits || !(current || self.lacks(Guard::Version)) {
            return Edge::Conflict;
        }
        if *transition.event() == Event::TakeOver && row.leased && !self.lacks(Guard::Lease) {
            return Edge::Conflict;
        }
        if transition.yields_to_cancel() && row.cancel && !self.lacks(Guard::CancelFirst) {
            return Edge::Cancelled;
        }
        if !current {
            world.breaks(Broken::StaleWrite);
        }
        self.write(world, job as usize, &transition, Some((w, a)));
        let attempt = &mut world.workers[w].attempts[a];
        attempt.seen = State::parse(transition.to().as_str());
        Edge::Held
    }

    /// What an event writes into a row.
    fn write(&self, world: &mut World, job: usize, transition: &Transition, by: Option<(usize, usize)>) {
        let container = world.jobs[job].container.map(|id| world.containers[id as usize].stage);
        let row = &mut world.jobs[job];
        let (from, to, event) = (row.state, transition.to(), transition.event());
        let broken = match event {
            _ if from.is_final() && *event != Event::Replay => Some(Broken::FinalChanged),
            Event::TakeOver if row.leased => Some(Broken::LivingLeaseTaken),
            Event::Fail(_) if to == State::TimedOut && container == Some(Stage::Running) => {
                Some(Broken::TimedOutAlive)
            }
            Event::Fail(failure) if ran_out_of_time(failure) != (to == State::TimedOut) => {
                Some(Broken::WronglyEnded)
            }
            Event::Retry { failure, .. } if !failure.retryable => Some(Broken::RetriedInVain),
            Event::Retry { delay, .. } if *delay == Duration::ZERO => Some(Broken::RetriedInVain),
            Event::Fail(failure) if gave_up_early(&self.job(row), failure) => Some(Broken::GaveUpEarly),
            Event::Replay => None,
            _ if to == State::Queued && row.cancel => Some(Broken::CancelForgotten),
            _ => None,
        };
        row.state = to;
        if to.is_final() || to == State::Queued {
            (row.owner, row.leased) = (None, false);
        }
        if to == State::Queued {
            row.container = None;
        }
        match event {
            Event::Claim => {
                (row.owner, row.leased, row.cancel) = (by.map(|(w, _)| w as Id), true, false);
                row.counted += 1;
            }
            Event::TakeOver => (row.owner, row.leased) = (by.map(|(w, _)| w as Id), true),
            Event::Accept => row.leased = row.owner.is_some(),
            Event::Lose(_) => {
                row.counted -= 1;
                row.losses += 1;
                world.uncounted += 1;
            }
            Event::Release => {
                row.counted -= 1;
                world.uncounted += 1;
            }
            Event::Replay => (row.counted, row.losses, row.cancel) = (0, self.config.losses, false),
            Event::Complete if !self.lacks(Guard::OneTransaction) => row.results += 1,
            Event::Complete | Event::Refuse(_) | Event::Fail(_) | Event::Retry { .. } => {}
        }
        for (w, worker) in world.workers.iter_mut().enumerate() {
            for (a, attempt) in worker.attempts.iter_mut().enumerate() {
                if attempt.job == Some(job as Id) && by != Some((w, a)) {
                    forget_version(attempt, self.lacks(Guard::Version));
                }
            }
        }
        if let Some(broken) = broken {
            world.breaks(broken);
        }
    }

    /// Takes a due row: the edge, its holder and its container in one statement.
    pub(crate) fn claim(&self, world: &mut World, w: usize, a: usize, job: usize) -> bool {
        let Ok(transition) = step(State::Queued, Event::Claim) else { return false };
        if world.jobs[job].state != transition.from() {
            return false;
        }
        self.write(world, job, &transition, Some((w, a)));
        let attempt = &mut world.workers[w].attempts[a];
        world.jobs[job].container = attempt.container;
        (attempt.job, attempt.current, attempt.seen) = (Some(job as Id), true, Some(transition.to()));
        true
    }

    /// `Store::confirm`: prolongs the lease of a row that is still the attempt's.
    pub(crate) fn confirm(&self, world: &mut World, w: usize, a: usize) -> bool {
        let attempt = &world.workers[w].attempts[a];
        let Some(job) = attempt.job else { return true };
        let row = &mut world.jobs[job as usize];
        let held = attempt.current && row.at_work() && row.owner == Some(w as Id);
        row.leased |= held;
        held
    }

    /// `Store::request_cancel`.
    pub(crate) fn cancel(&self, world: &mut World, job: usize) {
        if world.jobs[job].state != State::Queued {
            world.jobs[job].cancel = true;
            return;
        }
        if let Ok(refused) = step(State::Queued, Event::Refuse(failure(FailureClass::Cancelled))) {
            self.write(world, job, &refused, None);
        }
    }

    /// `Store::replay`.
    pub(crate) fn replay(&self, world: &mut World, job: usize) {
        if let Ok(replay) = step(world.jobs[job].state, Event::Replay) {
            self.write(world, job, &replay, None);
        }
    }
}

/// The version that an attempt knows is an old one from now on. What it takes the state for matters only where the
/// version is not asked for.
fn forget_version(attempt: &mut Attempt, keep_state: bool) {
    attempt.current = false;
    if !keep_state {
        attempt.seen = None;
    }
}

fn ran_out_of_time(failure: &Failure) -> bool {
    matches!(failure.class, FailureClass::Timeout | FailureClass::AnalysisTimeout)
}

/// Whether a job ends by a failure after which another attempt was due.
fn gave_up_early(job: &Job, failure: &Failure) -> bool {
    match failure.class {
        FailureClass::Lost => job.losses + 1 < safeurl::domain::scan::MAX_LOSSES,
        _ => failure.retryable && job.counted_attempts() < job.max_attempts,
    }
}
