//! What each effect of an attempt does to the world, and what it comes back with: what `attempt::runner` does.

use safeurl::domain::failure::FailureClass;
use safeurl::domain::state::{Event, State};
use safeurl::supervisor::{Effect, End, Known, Seen};

use super::guards::Guard;
use super::model::{How, Progress, Supervisors, leave};
use super::preparing::{bind, create, oblige, open_door, start};
use super::properties::Broken;
use super::world::{Container, Door, Order, Part, Printed, Process, Stage, World};
use crate::edges::Edge;
use crate::names::Id;
use Progress::{Answered, Going, Waits};

impl Supervisors {
    pub(crate) fn carry_out(
        &self,
        world: &mut World,
        w: usize,
        a: usize,
        effect: Effect,
        how: How,
    ) -> Progress {
        match effect {
            Effect::Oblige => oblige(world, w, a, how),
            Effect::OpenDoor => open_door(world, w, a, how),
            Effect::Create => create(world, w, a, how),
            Effect::Start => start(world, w, a, how),
            Effect::Claim => self.take_job(world, w, a, how),
            Effect::Bind => bind(world, w, a, how),
            Effect::Run => self.run(world, w, a, how),
            Effect::TakeOver => self.take_over(world, w, a, how),
            Effect::Examine => examine(world, w, a, how),
            Effect::Follow => self.follow(world, w, a, how),
            Effect::CloseDoor => close_door(world, w, a, how),
            Effect::Confirm => self.confirm_lease(world, w, a, how),
            Effect::Kill => self.kill(world, w, a, how),
            Effect::Advance if how == How::PutOff => {
                world.workers[w].attempts[a].put_off = true;
                Answered(Seen::Done)
            }
            Effect::Advance => self.write_edges(world, w, a, how, &[Event::Accept]),
            Effect::Judge => judge(world, w, a, how),
            Effect::Settle => {
                let event = self.last_event(world, &world.workers[w].attempts[a]);
                self.settle(world, w, a, how, event)
            }
            Effect::Release => self.settle(world, w, a, how, Event::Release),
            Effect::Remove => self.remove(world, w, a, how),
            Effect::DiscardDoor => discard_door(world, w, a, how),
        }
    }

    fn take_job(&self, world: &mut World, w: usize, a: usize, how: How) -> Progress {
        let attempt = &world.workers[w].attempts[a];
        // The statement asks whether the container is still the worker's: a reaper may have taken it.
        let taken = world.container(attempt.container).is_none_or(|container| container.taken);
        if attempt.order == Order::Drain {
            return if how == How::Plainly { Answered(Seen::Nothing) } else { Waits };
        }
        if attempt.order == Order::Wait {
            let container = world.container(attempt.container);
            let is_fit = container.is_some_and(|c| c.stage == Stage::Running && c.door == Door::Open);
            return match how {
                // It died, or its gateway did.
                How::Plainly if !is_fit => Answered(Seen::Nothing),
                // It grew old.
                How::Refused => Answered(Seen::Nothing),
                _ => Waits,
            };
        }
        match how {
            How::Plainly if world.due() == 0 || attempt.order != Order::Work || taken => {
                Answered(Seen::Nothing)
            }
            How::Refused => Answered(Seen::Trouble),
            _ if taken => Waits,
            How::Takes(job) if self.claim(world, w, a, job as usize) => Answered(Seen::Done),
            How::Unanswered => {
                let Some(job) = world.jobs.iter().position(|row| row.state == State::Queued) else {
                    return Waits;
                };
                self.claim(world, w, a, job);
                // The attempt does not know of the job; the next renewals find it.
                let attempt = &mut world.workers[w].attempts[a];
                (attempt.job, attempt.current, attempt.seen) = (None, false, None);
                Answered(Seen::Trouble)
            }
            _ => Waits,
        }
    }

    /// Hands the job over, and waits for the container's part.
    fn run(&self, world: &mut World, w: usize, a: usize, how: How) -> Progress {
        let attempt = &world.workers[w].attempts[a];
        if attempt.order == Order::Lost {
            return if how == How::Plainly { Answered(Seen::Lost) } else { Waits };
        }
        if attempt.begun {
            return self.wait_for_part(world, w, a, how);
        }
        let (Some(id), Some(job)) = (attempt.container, attempt.job) else { return Waits };
        if how != How::Plainly {
            return Waits;
        }
        world.workers[w].attempts[a].begun = true;
        let Container { stage, door, engine, .. } = world.containers[id as usize];
        if stage == Stage::Running {
            if !matches!(door, Door::Bound | Door::Broken) {
                world.breaks(Broken::HandedOverUnbound);
            }
            let works =
                |c: &Container| c.engine == engine && c.stage == Stage::Running && c.handed == Some(job);
            // A job that was given back on another engine may be fetched twice.
            let one_engine = self.config.seats.iter().all(|seat| *seat == engine);
            if one_engine && world.containers.iter().any(works) {
                world.breaks(Broken::FetchedTwice);
            }
            world.containers[id as usize].handed = Some(job);
        }
        Going
    }

    /// Waits for the end of a container that another worker handed the job to.
    fn follow(&self, world: &mut World, w: usize, a: usize, how: How) -> Progress {
        let attempt = &world.workers[w].attempts[a];
        if attempt.order == Order::Lost {
            return if how == How::Plainly { Answered(Seen::Lost) } else { Waits };
        }
        let broken = world.container(attempt.container).is_none_or(|c| c.door == Door::Broken);
        if how == How::Plainly && broken {
            return over(world, w, a, Part::Lost);
        }
        self.wait_for_part(world, w, a, how)
    }

    fn wait_for_part(&self, world: &mut World, w: usize, a: usize, how: How) -> Progress {
        let attempt = &world.workers[w].attempts[a];
        let Some(id) = attempt.container else { return Waits };
        let container = &world.containers[id as usize];
        let running = container.stage == Stage::Running;
        let part = match how {
            How::Plainly if !running && container.stage == Stage::Dead && container.handed.is_some() => {
                Part::Printed(container.printed)
            }
            // Gone, or it never got the job.
            How::Plainly if !running => Part::Lost,
            How::Plainly if matches!(attempt.order, Order::Cancel | Order::Abort) => Part::Stopped,
            How::TooLate if running => Part::TimedOut,
            How::Undead(printed) if running && container.handed.is_some() => {
                world.containers[id as usize].printed = printed;
                Part::Printed(printed)
            }
            _ => return Waits,
        };
        if matches!(part, Part::Stopped | Part::TimedOut) {
            // The sandbox asks before it kills.
            if !self.may_kill(world, w, a) {
                return Answered(Seen::Lost);
            }
            world.containers[id as usize].stage = Stage::Dead;
        }
        over(world, w, a, part)
    }

    /// Whether the job is surely ours, with the lease prolonged to make it so.
    fn may_kill(&self, world: &mut World, w: usize, a: usize) -> bool {
        if self.confirm(world, w, a) {
            return true;
        }
        if self.lacks(Guard::Confirm) {
            world.breaks(Broken::KilledForAnother);
        }
        self.lacks(Guard::Confirm)
    }

    fn take_over(&self, world: &mut World, w: usize, a: usize, how: How) -> Progress {
        match how {
            How::Refused => return Answered(Seen::Trouble),
            How::Plainly | How::Unanswered => {}
            _ => return Waits,
        }
        match self.edge(world, w, a, Event::TakeOver) {
            Edge::Held if how == How::Unanswered => Answered(Seen::Trouble),
            Edge::Held => Answered(Seen::Done),
            Edge::Cancelled | Edge::Conflict => Answered(Seen::Lost),
        }
    }

    fn confirm_lease(&self, world: &mut World, w: usize, a: usize, how: How) -> Progress {
        let lost = !self.lacks(Guard::Confirm) && !self.confirm(world, w, a);
        match how {
            How::Plainly if lost => Answered(Seen::Lost),
            How::Plainly => Answered(Seen::Done),
            _ => Waits,
        }
    }

    fn kill(&self, world: &mut World, w: usize, a: usize, how: How) -> Progress {
        if how != How::Plainly {
            return Waits;
        }
        let Some(id) = world.workers[w].attempts[a].container else { return Answered(Seen::Done) };
        if !self.may_kill(world, w, a) {
            return Answered(Seen::Lost);
        }
        let container = &mut world.containers[id as usize];
        if container.exists() {
            container.stage = Stage::Dead;
        }
        Answered(Seen::Done)
    }

    /// Edges in one transaction that is tried until it is answered. Tried again after a lost answer it finds itself, or,
    /// where nobody remembers, a conflict.
    fn write_edges(&self, world: &mut World, w: usize, a: usize, how: How, events: &[Event]) -> Progress {
        let attempt = &mut world.workers[w].attempts[a];
        if attempt.unsure {
            return match how {
                How::Plainly if attempt.current => Answered(Seen::Done),
                How::Plainly | How::TooLate => Answered(Seen::Lost),
                _ => Waits,
            };
        }
        if !matches!(how, How::Plainly | How::Unanswered) {
            return Waits;
        }
        for event in events {
            match self.edge(world, w, a, event.clone()) {
                Edge::Held => {}
                Edge::Cancelled => return Answered(Seen::CancelFirst),
                Edge::Conflict => return Answered(Seen::Lost),
            }
        }
        if how == How::Unanswered {
            world.workers[w].attempts[a].unsure = true;
            return Going;
        }
        Answered(Seen::Done)
    }

    /// The last edge of an attempt, behind the one that was put off.
    fn settle(&self, world: &mut World, w: usize, a: usize, how: How, event: Event) -> Progress {
        let completes = event == Event::Complete;
        let attempt = &world.workers[w].attempts[a];
        if attempt.begun {
            // Only where state and result are two writes.
            let job = attempt.job.unwrap_or_default();
            world.jobs[job as usize].results += 1;
            return if how == How::Plainly { Answered(Seen::Done) } else { Waits };
        }
        let events = if attempt.put_off { vec![Event::Accept, event] } else { vec![event] };
        let progress = self.write_edges(world, w, a, how, &events);
        if progress == Answered(Seen::Done) {
            let attempt = &mut world.workers[w].attempts[a];
            if completes && self.lacks(Guard::OneTransaction) {
                attempt.begun = true;
                return Going;
            }
            (attempt.job, attempt.current, attempt.seen, attempt.failure) = (None, false, None, None);
            attempt.put_off = false;
        }
        progress
    }

    /// Removes the container and then, once the engine has answered, its obligation.
    fn remove(&self, world: &mut World, w: usize, a: usize, how: How) -> Progress {
        let Some(id) = world.workers[w].attempts[a].container else {
            return if how == How::Plainly { Answered(Seen::Done) } else { Waits };
        };
        match how {
            How::Plainly => {
                self.take_away(world, w, id);
                world.containers[id as usize].written = false;
            }
            // The engine did it and its answer was lost, or it did not.
            How::Unanswered => {
                self.take_away(world, w, id);
                leave(&mut world.containers[id as usize], w as Id);
            }
            How::Refused => leave(&mut world.containers[id as usize], w as Id),
            _ => return Waits,
        }
        Answered(Seen::Done)
    }

    /// What the engine does when it is told to remove a container.
    pub(crate) fn take_away(&self, world: &mut World, w: usize, id: Id) {
        let container = &world.containers[id as usize];
        if let Some(job) = world.bound_to(id as usize) {
            let row = &world.jobs[job];
            if row.leased && row.owner != Some(w as Id) {
                world.breaks(Broken::RemovedFromHolder);
            } else if container.handed.is_some() {
                world.breaks(Broken::RemovedTooEarly);
            }
        }
        let container = &mut world.containers[id as usize];
        if container.exists() {
            container.stage = Stage::Removed;
        }
        for worker in &mut world.workers {
            if worker.reaping == Some(id) {
                worker.reaping = None;
            }
        }
    }

    /// Dies between the two writes of an effect that has two.
    pub(crate) fn half(&self, world: &mut World, w: usize, a: usize, effect: Effect) -> bool {
        let Some(id) = world.workers[w].attempts[a].container else { return false };
        if effect != Effect::Remove {
            return false;
        }
        self.take_away(world, w, id);
        self.crash(world, w as Id);
        true
    }
}

/// Whether the container is there and what went through its door can be vouched for.
fn examine(world: &mut World, w: usize, a: usize, how: How) -> Progress {
    if how != How::Plainly {
        return Waits;
    }
    let attempt = &mut world.workers[w].attempts[a];
    let found = attempt.container.map(|id| &world.containers[id as usize]).is_some_and(|container| {
        container.written
            && matches!(container.stage, Stage::Running | Stage::Dead)
            && matches!(container.door, Door::Bound | Door::Ended)
    });
    if found {
        return Answered(Seen::Done);
    }
    attempt.failure = Some(FailureClass::Lost);
    Answered(Seen::Ends(End::Failure))
}

pub(crate) fn over(world: &mut World, w: usize, a: usize, part: Part) -> Progress {
    world.workers[w].attempts[a].part = Some(part);
    Answered(Seen::Over)
}

/// Ends the binding, reads the ledger, and says how the attempt ended.
fn close_door(world: &mut World, w: usize, a: usize, how: How) -> Progress {
    let attempt = &world.workers[w].attempts[a];
    let ran = attempt.known == Known::Ran;
    let id = attempt.container;
    if !(how == How::Plainly || how == How::Unanswered && ran) {
        return Waits;
    }
    let mut complete = false;
    if let Some(id) = id {
        let door = &mut world.containers[id as usize].door;
        if matches!(door, Door::Open | Door::Bound) {
            *door = Door::Ended;
        }
        // Who has lost the job reads it in vain.
        if *door == Door::Discarded && ran && attempt.current {
            world.breaks(Broken::LedgerUnread);
        }
        complete = world.containers[id as usize].door == Door::Ended && how == How::Plainly;
    }
    let attempt = &mut world.workers[w].attempts[a];
    let Some(part) = attempt.part.take() else { return Answered(Seen::Done) };
    if attempt.order == Order::Lost {
        return Answered(Seen::Lost);
    }
    let (end, failure) = match part {
        Part::Stopped => (End::Cancelled, None),
        _ if !complete => (End::Failure, Some(FailureClass::Lost)),
        Part::Printed(Printed::Page) if attempt.seen == Some(State::Analyzing) => (End::Accepted, None),
        Part::Printed(Printed::Page) => (End::Report, None),
        Part::Printed(Printed::Refusal) => (End::Failure, Some(FailureClass::Connect)),
        Part::Printed(Printed::Nothing) => (End::Failure, Some(FailureClass::ContainerCrash)),
        Part::Printed(Printed::Late) | Part::TimedOut => (End::TimedOut, Some(FailureClass::Timeout)),
        Part::Lost => (End::Failure, Some(FailureClass::Lost)),
    };
    let stops = attempt.order == Order::Abort && !matches!(end, End::Report | End::Accepted);
    (attempt.failure, attempt.order) = (failure.filter(|_| !stops), Order::Work);
    Answered(Seen::Ends(if stops { End::Aborted } else { end }))
}

fn judge(world: &mut World, w: usize, a: usize, how: How) -> Progress {
    match how {
        How::Plainly => Answered(Seen::Done),
        How::TooLate => {
            world.workers[w].attempts[a].failure = Some(FailureClass::AnalysisTimeout);
            Answered(Seen::Ends(End::TimedOut))
        }
        _ => Waits,
    }
}

fn discard_door(world: &mut World, w: usize, a: usize, how: How) -> Progress {
    if how != How::Plainly {
        return Waits;
    }
    if let Some(id) = world.workers[w].attempts[a].container {
        world.containers[id as usize].door = Door::Discarded;
    }
    Answered(Seen::Done)
}

/// A worker whose process has gone holds nothing in its hands any more.
pub(crate) fn lose_hold(world: &mut World, w: usize) {
    let worker = &mut world.workers[w];
    worker.attempts.clear();
    worker.reaping = None;
    worker.process = Process::Gone;
    for container in world.containers.iter_mut().filter(|c| c.maker as usize == w) {
        container.left = false;
    }
}
