//! Which steps there are in a state.

use safeurl::domain::state::State;
use safeurl::supervisor::{Effect, End, Remedy};

use super::attempt::next_effect;
use super::guards::Guard;
use super::model::Deliveries;
use super::redis::strays;
use super::world::{Attempt, Entry, OFFICIAL, Phase, Place, Process, Row, World};
use crate::names::Id;

/// How a step goes, where it may go in more than one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum How {
    Plainly,
    /// The container's part ends so.
    Ends(End),
    /// The report is judged at once, and the edge is put off.
    PutOff,
    /// A renewal tells that the job is lost.
    Hears,
    /// Fault: it is done, and the answer is lost.
    Unanswered,
    /// Fault: it is not done, and the answer is an error.
    Refused,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// A worker takes an entry.
    Take(Id, Id),
    Act(Id, u8, How),
    /// What is owed is told.
    Repay(Id, u8),
    Renew(Id),
    Age(Id),
    Come(Id),
    Retire(Id),
    /// A worker finds the job of a dead one, or one of its own without an attempt.
    Find(Id, Id),
    Stray(Id, Id),
    /// A worker hands the locks of a dead one over, and gives back what it took unknowingly.
    HandOver(Id, Id),
    GiveBackStrays(Id),
    /// The reconciler finds a row that Redis does not have, and offers it.
    Look(Id, Id),
    Offer(Id),
    /// A delayed entry is due; a stalled one is found; the lock of an official worker runs out.
    Promote(Id),
    CheckStalled(Id),
    ExpireOfficial(Id),
    /// Redis comes back with what is on its disk, which may be old.
    Restart,
    /// Faults.
    TakeUnheard(Id, Id),
    Crash(Id),
    Stall(Id),
    Stop(Id),
    Panic(Id, u8),
    Expire(Id),
    Flush,
    FallBehind,
    TakeOfficially(Id),
    RetryEnded(Id),
    Remove(Id),
    Cancel(Id),
    Replay(Id),
}

impl crate::subject::Step for Step {
    fn is_fault(self) -> bool {
        match self {
            Self::Act(_, _, how) => matches!(how, How::Unanswered | How::Refused),
            Self::TakeUnheard(..)
            | Self::Crash(_)
            | Self::Stall(_)
            | Self::Stop(_)
            | Self::Panic(..)
            | Self::Expire(_)
            | Self::Flush
            | Self::FallBehind
            | Self::TakeOfficially(_)
            | Self::RetryEnded(_)
            | Self::Remove(_)
            | Self::Cancel(_)
            | Self::Replay(_) => true,
            _ => false,
        }
    }

    fn is_rare(self) -> bool {
        matches!(self, Self::Stop(_) | Self::Panic(..) | Self::TakeOfficially(_) | Self::Remove(_))
    }
}

impl Deliveries {
    /// Every step that may be one in this world, were there no bounds.
    pub(crate) fn possible(&self, world: &World, steps: &mut Vec<Step>) {
        for w in 0..world.workers.len() {
            self.steps_of_worker(world, w, steps);
        }
        for engine in [0, 1] {
            if self.config.seats.contains(&engine) && !world.running(engine) {
                steps.push(Step::Come(engine));
            }
        }
        for entry in &world.entries {
            self.steps_of_entry(world, entry, steps);
        }
        if world.saved.is_some() {
            steps.push(Step::Restart);
        } else {
            steps.push(Step::FallBehind);
        }
        steps.push(Step::Flush);
        for (job, row) in world.rows.iter().enumerate().filter(|(_, row)| row.made) {
            match row.state {
                State::Queued => steps.push(Step::Cancel(job as Id)),
                State::Fetching | State::Analyzing if !row.cancel => steps.push(Step::Cancel(job as Id)),
                State::Failed | State::TimedOut => steps.push(Step::Replay(job as Id)),
                State::Fetching | State::Analyzing | State::Completed => {}
            }
        }
    }

    fn steps_of_entry(&self, world: &World, entry: &Entry, steps: &mut Vec<Step>) {
        let id = entry.id;
        match (entry.place, entry.lock) {
            (Place::Wait, _) => steps.extend([Step::TakeOfficially(id), Step::Remove(id)]),
            (Place::Delayed, _) => steps.extend([Step::Promote(id), Step::Remove(id)]),
            (Place::Active, None) => steps.push(Step::CheckStalled(id)),
            (Place::Active, Some(lock)) if lock.worker == OFFICIAL => {
                steps.push(Step::ExpireOfficial(id));
            }
            (Place::Active, Some(_)) => steps.push(Step::Expire(id)),
            (Place::Completed | Place::Failed, _) => steps.extend([Step::RetryEnded(id), Step::Remove(id)]),
        }
        let free =
            |w: &usize| world.workers[*w].is_well() && world.workers[*w].attempts.len() < self.config.slots;
        if entry.place == Place::Wait {
            for w in (0..world.workers.len()).filter(free) {
                steps.extend([Step::Take(w as Id, id), Step::TakeUnheard(w as Id, id)]);
            }
        }
    }

    fn steps_of_worker(&self, world: &World, w: usize, steps: &mut Vec<Step>) {
        let (id, worker) = (w as Id, &world.workers[w]);
        if !worker.lives() {
            if !worker.stale {
                steps.push(Step::Age(id));
            }
            return;
        }
        steps.push(Step::Crash(id));
        if !worker.stale {
            steps.push(Step::Stall(id));
        }
        if worker.process == Process::Running {
            steps.push(Step::Stop(id));
        } else if worker.attempts.is_empty() {
            steps.push(Step::Retire(id));
        }
        let lapsed = |row: &Row| row.at_work() && row.owner == Some(id) && !row.leased;
        let unheard = |attempt: &Attempt| attempt.phase == Phase::Unheard;
        if worker.stale || world.rows.iter().any(lapsed) || worker.attempts.iter().any(unheard) {
            steps.push(Step::Renew(id));
        }
        for a in 0..worker.attempts.len() {
            self.steps_of_attempt(world, w, a, steps);
        }
        steps.extend((0..worker.owed.len()).map(|owed| Step::Repay(id, owed as u8)));
        if !self.lacks(Guard::GiveBackStrays) && strays(world, id).next().is_some() {
            steps.push(Step::GiveBackStrays(id));
        }
        if worker.is_well() {
            self.steps_of_recovery(world, w, steps);
        }
    }

    fn steps_of_recovery(&self, world: &World, w: usize, steps: &mut Vec<Step>) {
        let (id, worker) = (w as Id, &world.workers[w]);
        for (job, row) in world.rows.iter().enumerate() {
            if worker.attempts.iter().any(|attempt| attempt.job == Some(job as Id)) {
                continue;
            }
            if self.is_orphan(world, w, job) {
                steps.push(Step::Find(id, job as Id));
            } else if row.at_work() && row.leased && row.owner == Some(id) {
                steps.push(Step::Stray(id, job as Id));
            }
        }
        for d in (0..world.workers.len()).filter(|d| *d != w) {
            if self.may_hand_over(world, w, d as Id) {
                steps.push(Step::HandOver(id, d as Id));
            }
        }
        if worker.offering.is_some() {
            steps.push(Step::Offer(id));
        } else if !self.lacks(Guard::Reconciler) {
            let missing = |job: &usize| {
                let row = &world.rows[*job];
                row.made && row.state == State::Queued && (!world.waits(*job) || self.lacks(Guard::OfferGone))
            };
            let missing = (0..world.rows.len()).filter(missing);
            steps.extend(missing.map(|job| Step::Look(id, job as Id)));
        }
    }

    fn steps_of_attempt(&self, world: &World, w: usize, a: usize, steps: &mut Vec<Step>) {
        let attempt = &world.workers[w].attempts[a];
        let mut push = |how| steps.push(Step::Act(w as Id, a as u8, how));
        match attempt.phase {
            Phase::Unheard => {}
            Phase::Took | Phase::Tell(_) => {
                push(How::Plainly);
                push(How::Unanswered);
                push(How::Refused);
            }
            Phase::Unsure(_) => {
                push(How::Plainly);
                push(How::Hears);
            }
            Phase::Ready => match next_effect(world, w, a) {
                Some(Effect::Run | Effect::Follow) => {
                    if attempt.job.is_some_and(|job| world.rows[job as usize].cancel) {
                        push(How::Ends(End::Cancelled));
                    }
                    if world.workers[w].process == Process::Stopping {
                        push(How::Ends(End::Aborted));
                    }
                    push(How::Ends(End::Report));
                    push(How::Ends(End::Failure));
                    push(How::Hears);
                }
                Some(effect) => {
                    if effect == Effect::Advance {
                        push(How::PutOff);
                    }
                    push(How::Plainly);
                    push(How::Unanswered);
                    push(How::Refused);
                }
                None => {}
            },
        }
        steps.push(Step::Panic(w as Id, a as u8));
    }

    fn is_orphan(&self, world: &World, w: usize, job: usize) -> bool {
        let row = &world.rows[job];
        let dead = |owner: Id| world.workers[owner as usize].stale || !world.workers[owner as usize].listed;
        row.at_work()
            && !row.leased
            && row.owner.is_none_or(dead)
            && self.remedy(world, w, job) != Remedy::LeaveToOthers
    }

    /// A dead worker's locks are looked at for as long as it is on the list.
    fn may_hand_over(&self, world: &World, w: usize, dead: Id) -> bool {
        let worker = &world.workers[dead as usize];
        let has_rows = world.rows.iter().any(|row| row.at_work() && row.owner == Some(dead));
        let once = world.workers[w].handed_over.contains(&dead) && !has_rows;
        let left = left(world, dead);
        let locked = world.entries.iter().any(|entry| {
            entry.place == Place::Active
                && entry.lock.is_some_and(|lock| lock.worker == dead)
                && !left.contains(&entry.id)
        });
        worker.stale && worker.listed && !once && locked && !self.lacks(Guard::HandOver)
    }
}

/// The entries of a dead worker's rows: whoever takes these over takes their locks.
pub(crate) fn left(world: &World, dead: Id) -> Vec<Id> {
    let rows = world.rows.iter().filter(|row| row.at_work() && row.owner == Some(dead));
    rows.filter_map(|row| row.served.as_ref().map(|served| served.entry)).collect()
}
