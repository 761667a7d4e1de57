//! What the effects of an attempt do to rows and entries: the database first, Redis second.
//!
//! What concerns the container alone is passed over; which effects there are, and what is learnt from them, is asked of
//! the shipped functions.

use safeurl::domain::failure::FailureClass;
use safeurl::domain::state::{Event, State};
use safeurl::supervisor::{Effect, End, Known, Remedy, Seen, learn, plan};

use super::guards::Guard;
use super::model::Deliveries;
use super::rows::Answer;
use super::steps::How;
use super::world::{Attempt, Held, Op, Owed, Phase, World, job_of};
use crate::edges::Edge;
use crate::names::Id;

impl Deliveries {
    /// Carries the next step of an attempt out. `false` when nothing can happen in this way.
    pub(crate) fn act(&self, world: &mut World, w: usize, a: usize, how: How) -> bool {
        match world.workers[w].attempts[a].phase {
            Phase::Unheard => false,
            Phase::Took => self.ask_row(world, w, a, how),
            Phase::Tell(op) => self.tell(world, w, a, op, how),
            Phase::Unsure(op) => self.ask_again(world, w, a, op, how),
            Phase::Ready => match next_effect(world, w, a) {
                Some(effect) => self.carry_out(world, w, a, effect, how),
                None => false,
            },
        }
    }

    fn carry_out(&self, world: &mut World, w: usize, a: usize, effect: Effect, how: How) -> bool {
        match (effect, how) {
            (Effect::Bind, How::Plainly) => learns(world, w, a, Seen::Done),
            (Effect::Bind, How::Refused) => learns(world, w, a, Seen::Trouble),
            (Effect::Run | Effect::Follow, How::Ends(end)) => self.ends(world, w, a, end),
            (Effect::Run | Effect::Follow, How::Hears) if !world.workers[w].attempts[a].current => {
                learns(world, w, a, Seen::Lost);
            }
            (Effect::TakeOver, How::Refused) => learns(world, w, a, Seen::Trouble),
            (Effect::TakeOver, How::Plainly | How::Unanswered) => self.take_over(world, w, a, how),
            (Effect::Advance, How::PutOff) => {
                world.workers[w].attempts[a].put_off = true;
                learns(world, w, a, Seen::Done);
            }
            (Effect::Advance, How::Plainly | How::Unanswered) => {
                self.write_edges(world, w, a, &[Event::Accept], None, how);
            }
            (Effect::Settle, How::Plainly | How::Unanswered) => {
                let event = self.last_event(world, &world.workers[w].attempts[a]);
                self.settle(world, w, a, event, how);
            }
            (Effect::Release, How::Plainly | How::Unanswered) => {
                self.settle(world, w, a, Event::Release, how);
            }
            _ => return false,
        }
        true
    }

    /// The database's half of a delivery.
    fn ask_row(&self, world: &mut World, w: usize, a: usize, how: How) -> bool {
        let Some(held) = world.workers[w].attempts[a].held else { return false };
        // A lock is lost after seconds only, and a delivery that old does not ask any more.
        let locked = world.entry(held.entry).is_some_and(|entry| entry.lock == Some(held.token));
        if how == How::Refused || how == How::Plainly && !locked && !self.lacks(Guard::AsksSoon) {
            // Its token is forgotten, and the keeper finds the entry.
            world.workers[w].attempts.remove(a);
            return true;
        }
        if !matches!(how, How::Plainly | How::Unanswered) || !locked && !self.lacks(Guard::AsksSoon) {
            return false;
        }
        let answer = self.deliver(world, w as Id, held);
        let job = job_of(held.entry);
        let row = &world.rows[job];
        let attempt = &mut world.workers[w].attempts[a];
        (attempt.job, attempt.current, attempt.seen) = (Some(job as Id), true, Some(row.state));
        attempt.phase = Phase::Ready;
        match answer {
            Answer::Claimed if how == How::Unanswered => {
                (attempt.phase, attempt.held) = (Phase::Unheard, None);
            }
            _ if how == How::Unanswered => {
                world.workers[w].attempts.remove(a);
            }
            Answer::Claimed => learns(world, w, a, Seen::Done),
            Answer::Orphan => {
                let found = self.remedy(world, w, job);
                let attempt = &mut world.workers[w].attempts[a];
                (attempt.known, attempt.at) = (Known::Orphaned(found), 0);
                if found == Remedy::LeaveToOthers {
                    unused(attempt, Op::Postpone);
                }
            }
            Answer::Tell(op) => unused(attempt, op),
        }
        settle_down(world, w, a);
        true
    }

    /// Tells Redis; what it does not hear, or whose answer is lost, is owed.
    fn tell(&self, world: &mut World, w: usize, a: usize, op: Op, how: How) -> bool {
        let Some(held) = world.workers[w].attempts[a].held else { return false };
        if !matches!(how, How::Plainly | How::Unanswered | How::Refused) {
            return false;
        }
        let Held { entry, token, .. } = held;
        if op == Op::Adopt {
            let dead = world.workers[w].attempts[a].dead.take();
            let adopted = if how == How::Refused { None } else { self.adopt(world, dead, entry, token) };
            if let (How::Plainly, Some(adopted)) = (how, adopted) {
                world.workers[w].attempts[a].held = Some(adopted);
            }
        } else {
            if how != How::Refused {
                self.move_out(world, op, entry, token);
            }
            let worker = &mut world.workers[w];
            if how != How::Plainly {
                worker.owed.push(Owed { op, entry, token });
            }
            worker.attempts[a].held = None;
        }
        world.workers[w].attempts[a].phase = Phase::Ready;
        if self.lacks(Guard::DatabaseFirst) && world.workers[w].attempts[a].known != Known::Unused {
            return true;
        }
        learns(world, w, a, Seen::Done);
        true
    }

    fn take_over(&self, world: &mut World, w: usize, a: usize, how: How) {
        let attempt = &world.workers[w].attempts[a];
        let Some(job) = attempt.job.map(usize::from) else { return };
        let (delivered, dead) = (attempt.held.is_some(), world.rows[job].owner);
        if self.edge(world, w, a, Event::TakeOver) != Edge::Held {
            return learns(world, w, a, Seen::Lost);
        }
        let held = world.workers[w].attempts[a].held.or_else(|| {
            let entry = world.rows[job].served.as_ref()?.entry;
            let token = world.fresh_token(w as Id);
            Some(Held { entry, token, atm: None, deferred: false })
        });
        if let Some(held) = held {
            Self::serve(world, job, held, delivered);
        }
        if how == How::Unanswered {
            return learns(world, w, a, Seen::Trouble);
        }
        let attempt = &mut world.workers[w].attempts[a];
        attempt.held = held;
        if delivered || held.is_none() {
            return learns(world, w, a, Seen::Done);
        }
        (attempt.phase, attempt.dead) = (Phase::Tell(Op::Adopt), dead);
    }

    /// The container's part is over, and its ledger read.
    fn ends(&self, world: &mut World, w: usize, a: usize, end: End) {
        learns(world, w, a, Seen::Over);
        let attempt = &mut world.workers[w].attempts[a];
        attempt.failure = match end {
            End::Failure => Some(FailureClass::ContainerCrash),
            End::TimedOut => Some(FailureClass::Timeout),
            End::Report | End::Accepted | End::Cancelled | End::Aborted => None,
        };
        let accepted = end == End::Report && attempt.seen == Some(State::Analyzing);
        learns(world, w, a, Seen::Ends(if accepted { End::Accepted } else { end }));
    }

    fn settle(&self, world: &mut World, w: usize, a: usize, event: Event, how: How) {
        let op = told_of(&event);
        let held = world.workers[w].attempts[a].held;
        if let (true, Some(held)) = (self.lacks(Guard::DatabaseFirst), held) {
            // The guard turned round: Redis is told, and then the row is written.
            self.move_out(world, op, held.entry, held.token);
            let attempt = &mut world.workers[w].attempts[a];
            attempt.held = None;
            return;
        }
        let events =
            if world.workers[w].attempts[a].put_off { vec![Event::Accept, event] } else { vec![event] };
        self.write_edges(world, w, a, &events, held.map(|_| op), how);
    }

    /// Edges in one transaction that is tried until it is answered.
    fn write_edges(&self, world: &mut World, w: usize, a: usize, events: &[Event], op: Option<Op>, how: How) {
        for event in events {
            match self.edge(world, w, a, event.clone()) {
                Edge::Held => {}
                Edge::Cancelled => return learns(world, w, a, Seen::CancelFirst),
                Edge::Conflict => return learns(world, w, a, Seen::Lost),
            }
        }
        if how == How::Unanswered {
            world.workers[w].attempts[a].phase = Phase::Unsure(op);
        } else {
            written(world, w, a, op);
        }
    }

    /// Tried again after a lost answer, an edge finds itself, or, where nobody remembers, a conflict.
    fn ask_again(&self, world: &mut World, w: usize, a: usize, op: Option<Op>, how: How) -> bool {
        let current = world.workers[w].attempts[a].current;
        match how {
            How::Plainly => written(world, w, a, op),
            How::Hears if !current => {
                world.workers[w].attempts[a].phase = Phase::Ready;
                learns(world, w, a, Seen::Lost);
            }
            _ => return false,
        }
        true
    }
}

/// What Redis is told after an edge.
const fn told_of(event: &Event) -> Op {
    match event {
        Event::Complete => Op::Complete,
        Event::Fail(_) | Event::Refuse(_) => Op::Fail,
        Event::Retry { .. } => Op::Retry,
        Event::Lose(_) | Event::Release | Event::Claim | Event::Accept | Event::TakeOver | Event::Replay => {
            Op::GiveBack
        }
    }
}

fn written(world: &mut World, w: usize, a: usize, op: Option<Op>) {
    let attempt = &mut world.workers[w].attempts[a];
    match op {
        Some(op) => {
            attempt.phase = Phase::Tell(op);
            // From here on the row is nobody's.
            (attempt.job, attempt.current, attempt.seen) = (None, false, None);
            attempt.put_off = false;
        }
        None => {
            attempt.phase = Phase::Ready;
            learns(world, w, a, Seen::Done);
        }
    }
}

/// The container is free for another delivery; what is learnt from this one goes to Redis.
fn unused(attempt: &mut Attempt, op: Op) {
    (attempt.known, attempt.at, attempt.phase) = (Known::Unused, 0, Phase::Tell(op));
    (attempt.job, attempt.current, attempt.seen) = (None, false, None);
}

pub(crate) fn next_effect(world: &World, w: usize, a: usize) -> Option<Effect> {
    let attempt = &world.workers[w].attempts[a];
    plan(attempt.known).get(usize::from(attempt.at)).copied()
}

/// What follows from what the next effect came back with.
fn learns(world: &mut World, w: usize, a: usize, seen: Seen) {
    let Some(effect) = next_effect(world, w, a) else { return settle_down(world, w, a) };
    let attempt = &mut world.workers[w].attempts[a];
    match learn(effect, seen) {
        Some(known) => (attempt.known, attempt.at) = (known, 0),
        None => attempt.at += 1,
    }
    if attempt.known == Known::Ran {
        return;
    }
    settle_down(world, w, a);
}

/// Passes over what concerns the container alone, and lets go of an attempt whose list is over.
pub(crate) fn settle_down(world: &mut World, w: usize, a: usize) {
    loop {
        let Some(attempt) = world.workers[w].attempts.get(a) else { return };
        if attempt.phase != Phase::Ready {
            return;
        }
        match next_effect(world, w, a) {
            None => {
                world.workers[w].attempts.remove(a);
                return;
            }
            Some(
                Effect::Oblige
                | Effect::OpenDoor
                | Effect::Create
                | Effect::Start
                | Effect::Examine
                | Effect::CloseDoor
                | Effect::Confirm
                | Effect::Kill
                | Effect::Judge
                | Effect::Remove
                | Effect::DiscardDoor,
            ) => world.workers[w].attempts[a].at += 1,
            Some(
                Effect::Claim
                | Effect::Bind
                | Effect::Run
                | Effect::TakeOver
                | Effect::Follow
                | Effect::Advance
                | Effect::Settle
                | Effect::Release,
            ) => return,
        }
    }
}
