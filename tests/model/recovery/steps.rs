//! Time, faults, and what the living do about the dead: renewal, recovery's look, the reaper.

use safeurl::domain::state::State;
use safeurl::supervisor::{Effect, End, Known, Maker, Place, Remains, Remedy, Wanted, may_reap, remedy};

use super::effects::lose_hold;
use super::guards::Guard;
use super::model::{How, Step, Supervisors, leave};
use super::world::{Attempt, Door, Heartbeat, Order, Printed, Process, Stage, World};
use crate::names::Id;

const REPORTS: [Printed; 3] = [Printed::Page, Printed::Refusal, Printed::Late];

impl Supervisors {
    /// Every step that may be one in this world, were there no bounds.
    pub(crate) fn possible(&self, world: &World, steps: &mut Vec<Step>) {
        for (w, worker) in world.workers.iter().enumerate() {
            let id = w as Id;
            if worker.lives() {
                self.steps_of_worker(world, w, steps);
            } else if worker.heartbeat != Heartbeat::Silent {
                steps.push(Step::Age(id));
            }
            if worker.gateway && (worker.lives() || holds_doors(world, w)) {
                steps.push(Step::GatewayDies(id));
            }
        }
        for engine in [0, 1] {
            // Somebody starts another when none is left.
            if self.config.seats.contains(&engine) && world.running(engine) == 0 {
                steps.push(Step::Come(engine));
            }
        }
        for (c, container) in world.containers.iter().enumerate() {
            let id = c as Id;
            match container.stage {
                Stage::Coming => steps.push(Step::Appear(id)),
                Stage::Running if world.bound_to(c).is_none() && !world.in_hands(c) => {}
                Stage::Running if container.handed.is_some() => {
                    steps.push(Step::Exit(id, Printed::Nothing));
                    let reports = if self.config.rare { &REPORTS[..] } else { &REPORTS[..1] };
                    steps.extend(reports.iter().map(|printed| Step::Exit(id, *printed)));
                }
                Stage::Running if !has_stdin(world, c) => steps.push(Step::Exit(id, Printed::Nothing)),
                Stage::Running | Stage::Absent | Stage::Created | Stage::Dead | Stage::Removed => {}
            }
        }
        for (job, row) in world.jobs.iter().enumerate() {
            let id = job as Id;
            match row.state {
                State::Queued => steps.push(Step::Cancel(id)),
                State::Fetching | State::Analyzing if !row.cancel => steps.push(Step::Cancel(id)),
                State::Failed | State::TimedOut => steps.push(Step::Replay(id)),
                State::Fetching | State::Analyzing | State::Completed => {}
            }
        }
    }

    fn steps_of_worker(&self, world: &World, w: usize, steps: &mut Vec<Step>) {
        let (id, worker) = (w as Id, &world.workers[w]);
        steps.push(Step::Crash(id));
        if worker.heartbeat == Heartbeat::Fresh {
            steps.push(Step::Stall(id));
        }
        if worker.heartbeat == Heartbeat::Old {
            steps.push(Step::Age(id));
        }
        steps.push(Step::Renew(id));
        if worker.process == Process::Stopping && worker.attempts.is_empty() && worker.reaping.is_none() {
            steps.push(Step::Retire(id));
        }
        if worker.process == Process::Running {
            steps.push(Step::Stop(id));
        }
        if !worker.gateway {
            steps.push(Step::Gateway(id));
        }
        if worker.is_well() {
            if worker.gateway && world.pool > 0 {
                steps.push(Step::Pool(id));
            }
            if worker.gateway && self.may_start(world, w) {
                let pooled: Vec<_> =
                    (0..worker.attempts.len()).filter(|a| is_pooled(&worker.attempts[*a])).collect();
                if pooled.is_empty() {
                    steps.push(Step::Start(id));
                }
                steps.extend(pooled.into_iter().map(|a| Step::Call(id, a as u8)));
            } else if worker.gateway && waiting(world, w) == 0 {
                steps.push(Step::Redeliver(id));
            }
            for job in 0..world.jobs.len() {
                if worker.attempts.iter().any(|attempt| attempt.job == Some(job as Id)) {
                    continue;
                }
                if self.is_orphan(world, w, job) {
                    steps.push(Step::Find(id, job as Id));
                } else if is_stray(world, w, job) {
                    steps.push(Step::Stray(id, job as Id));
                }
            }
        }
        if worker.reaping.is_some() {
            steps.push(Step::Reap(id));
        } else if worker.heartbeat == Heartbeat::Fresh {
            let condemned = (0..world.containers.len()).filter(|c| self.may_condemn(world, w, *c));
            steps.extend(condemned.map(|c| Step::Condemn(id, c as Id)));
        }
        for a in 0..worker.attempts.len() {
            self.steps_of_attempt(world, w, a, steps);
        }
    }

    fn steps_of_attempt(&self, world: &World, w: usize, a: usize, steps: &mut Vec<Step>) {
        let (id, at) = (w as Id, a as u8);
        let mut push = |how| steps.push(Step::Act(id, at, how));
        push(How::Plainly);
        if world.faults > 0 {
            push(How::Unanswered);
        }
        match self.next_effect(world, w, a) {
            Effect::Claim => {
                for job in 0..world.jobs.len() {
                    if world.jobs[job].state == State::Queued {
                        push(How::Takes(job as Id));
                    }
                }
                push(How::Refused);
            }
            Effect::Run | Effect::Follow => {
                push(How::TooLate);
                for printed in REPORTS {
                    push(How::Undead(printed));
                }
            }
            Effect::Judge if !world.workers[w].attempts[a].put_off => push(How::TooLate),
            Effect::Advance | Effect::Settle | Effect::Release if world.workers[w].attempts[a].unsure => {
                push(How::TooLate);
            }
            Effect::Advance => push(How::PutOff),
            Effect::Create => {
                push(How::Refused);
                push(How::Later);
            }
            Effect::Remove => {
                push(How::Refused);
                push(How::Half);
            }
            Effect::Oblige | Effect::Start | Effect::Bind | Effect::TakeOver => push(How::Refused),
            Effect::OpenDoor
            | Effect::Examine
            | Effect::CloseDoor
            | Effect::Confirm
            | Effect::Kill
            | Effect::Judge
            | Effect::Settle
            | Effect::Release
            | Effect::DiscardDoor => {}
        }
        steps.push(Step::Panic(id, at));
    }

    /// A row is due that none of the worker's waiting attempts will take, and a slot is free. What it adopts takes none.
    fn may_start(&self, world: &World, w: usize) -> bool {
        world.due() > waiting(world, w) && self.free_slots(world, w) > 0
    }

    pub(crate) fn free_slots(&self, world: &World, w: usize) -> usize {
        let attempts = world.workers[w].attempts.iter();
        // What waits in the pool, or is thrown away out of it, has no slot.
        self.config.slots.saturating_sub(attempts.filter(|a| is_waiting(a) || !is_free(a)).count())
    }

    /// Whether recovery of a worker sees that it should do something about a job.
    pub(crate) fn is_orphan(&self, world: &World, w: usize, job: usize) -> bool {
        let row = &world.jobs[job];
        let dead = |owner: Id| world.workers[owner as usize].heartbeat != Heartbeat::Fresh;
        row.at_work()
            && !row.leased
            && row.owner.is_none_or(dead)
            && self.remedy(world, w, job) != Remedy::LeaveToOthers
    }

    pub(crate) fn remedy(&self, world: &World, w: usize, job: usize) -> Remedy {
        let Some(container) = world.container(world.jobs[job].container) else {
            return remedy(Place::Nowhere, Wanted::Still);
        };
        if container.engine == world.workers[w].engine {
            return remedy(Place::Here, Wanted::Still);
        }
        let there = |worker: &&super::world::Worker| worker.engine == container.engine;
        let attended = world.workers.iter().filter(there).any(|worker| worker.heartbeat == Heartbeat::Fresh);
        remedy(Place::Elsewhere { attended }, Wanted::Still)
    }

    pub(crate) fn find(&self, world: &mut World, worker: Id, job: Id) -> bool {
        let found = self.remedy(world, worker as usize, job as usize);
        let row = &world.jobs[job as usize];
        world.workers[worker as usize].attempts.push(Attempt {
            container: if found == Remedy::Adopt { row.container } else { None },
            job: Some(job),
            current: true,
            seen: Some(row.state),
            ..Attempt::new(Known::Orphaned(found))
        });
        true
    }

    /// An attempt that ends what a broken one left: as a failure, and lost.
    pub(crate) fn stray(&self, world: &mut World, worker: Id, job: Id) {
        let row = &world.jobs[job as usize];
        let here = |c: &&super::world::Container| c.engine == world.workers[worker as usize].engine;
        let attempt = Attempt {
            container: row.container.filter(|_| world.container(row.container).as_ref().is_some_and(here)),
            job: Some(job),
            current: true,
            seen: Some(row.state),
            ..Attempt::new(Known::Ended(End::Failure))
        };
        world.workers[worker as usize].attempts.push(attempt);
    }

    pub(crate) fn may_condemn(&self, world: &World, w: usize, c: usize) -> bool {
        let container = &world.containers[c];
        let there = container.exists() || container.written;
        if !there || container.engine != world.workers[w].engine {
            return false;
        }
        let maker = if container.maker as usize == w {
            Maker::Me { left: container.left || !container.written }
        } else {
            let silent = world.workers[container.maker as usize].heartbeat == Heartbeat::Silent;
            // Whoever has taken it and died is as silent as its maker was.
            Maker::Other { silent: silent || container.taken || self.lacks(Guard::Silence) }
        };
        let bound = world.bound_to(c).is_some() && !self.lacks(Guard::Bound);
        may_reap(Remains { bound, maker })
    }

    /// Takes the obligation over, unless the container was bound to a job meanwhile.
    pub(crate) fn condemn(&self, world: &mut World, worker: Id, container: Id) {
        world.workers[worker as usize].reaping = Some(container);
        if !self.lacks(Guard::TakenObligation) {
            world.containers[container as usize].taken = true;
        }
    }

    pub(crate) fn reap(&self, world: &mut World, worker: Id) {
        let Some(id) = world.workers[worker as usize].reaping.take() else { return };
        self.take_away(world, worker as usize, id);
        world.containers[id as usize].written = false;
    }

    pub(crate) fn renew(&self, world: &mut World, worker: Id) {
        let World { jobs, workers, .. } = world;
        let own = &mut workers[worker as usize];
        own.heartbeat = Heartbeat::Fresh;
        for row in jobs.iter_mut().filter(|row| row.at_work() && row.owner == Some(worker)) {
            row.leased = true;
        }
        for attempt in own.attempts.iter_mut().filter(|attempt| hears(attempt)) {
            let Some(job) = attempt.job else { continue };
            let row = &jobs[job as usize];
            let order = if !(row.at_work() && row.owner == Some(worker)) {
                Order::Lost
            } else if row.cancel {
                Order::Cancel
            } else {
                Order::Work
            };
            attempt.order = attempt.order.max(order);
        }
    }

    /// Time passes for a worker of which the database does not hear.
    pub(crate) fn age(&self, world: &mut World, worker: Id) {
        let heartbeat = &mut world.workers[worker as usize].heartbeat;
        *heartbeat = match heartbeat {
            Heartbeat::Fresh => Heartbeat::Old,
            Heartbeat::Old | Heartbeat::Silent => Heartbeat::Silent,
        };
        expire(world, worker);
    }

    pub(crate) fn retire(&self, world: &mut World, worker: Id) {
        let w = worker as usize;
        let holds = world.containers.iter().any(|c| c.maker == worker && c.written)
            || world.jobs.iter().any(|row| row.owner == Some(worker));
        lose_hold(world, w);
        // With nothing to see to, it takes its row with it.
        world.workers[w].heartbeat = if holds { Heartbeat::Fresh } else { Heartbeat::Silent };
    }

    pub(crate) fn crash(&self, world: &mut World, worker: Id) {
        lose_hold(world, worker as usize);
        world.workers[worker as usize].heartbeat = Heartbeat::Fresh;
    }

    /// The worker stands still, or does not reach the database, for longer than a lease.
    pub(crate) fn stall(&self, world: &mut World, worker: Id) {
        world.workers[worker as usize].heartbeat = Heartbeat::Old;
        expire(world, worker);
    }

    pub(crate) fn stop(&self, world: &mut World, worker: Id) {
        let worker = &mut world.workers[worker as usize];
        worker.process = Process::Stopping;
        for attempt in worker.attempts.iter_mut().filter(|attempt| hears(attempt)) {
            // Who was never called asks for no job any more; who was may be asking for one.
            attempt.order =
                if attempt.order < Order::Work { Order::Drain } else { attempt.order.max(Order::Abort) };
        }
    }

    /// One attempt breaks off, its process does not.
    pub(crate) fn panic(&self, world: &mut World, worker: Id, attempt: u8) {
        let attempt = world.workers[worker as usize].attempts.remove(attempt as usize);
        if let Some(container) = attempt.container {
            leave(&mut world.containers[container as usize], worker);
        }
    }

    pub(crate) fn gateway_dies(&self, world: &mut World, worker: Id) {
        world.workers[worker as usize].gateway = false;
        for container in world.containers.iter_mut().filter(|c| c.maker == worker) {
            if matches!(container.door, Door::Open | Door::Bound) {
                container.door = Door::Broken;
            }
        }
    }
}

fn expire(world: &mut World, worker: Id) {
    for row in world.jobs.iter_mut().filter(|row| row.owner == Some(worker)) {
        row.leased = false;
    }
}

/// Whether an order still changes what the attempt does.
fn hears(attempt: &Attempt) -> bool {
    match attempt.known {
        Known::SlotFree | Known::Ran => true,
        // Before the take-over there is nothing yet to lose.
        Known::Orphaned(_) => attempt.at > 0,
        Known::Unused | Known::NotHandedOver | Known::Ended(_) | Known::LeaseLost => false,
    }
}

fn holds_doors(world: &World, w: usize) -> bool {
    world.containers.iter().any(|c| c.maker as usize == w && c.door == Door::Bound)
}

/// The attempt that made the container has its standard input open.
fn has_stdin(world: &World, c: usize) -> bool {
    let maker = &world.workers[world.containers[c].maker as usize];
    maker.attempts.iter().any(|attempt| {
        attempt.container == Some(c as Id)
            && matches!(attempt.known, Known::SlotFree | Known::Unused | Known::NotHandedOver)
    })
}

/// It has no job and may get one.
fn is_free(attempt: &Attempt) -> bool {
    attempt.known == Known::SlotFree && attempt.job.is_none()
}

/// It waits in the pool, called for nothing.
pub(crate) fn is_pooled(attempt: &Attempt) -> bool {
    attempt.order == Order::Wait && is_free(attempt)
}

/// It will take a due row.
fn is_waiting(attempt: &Attempt) -> bool {
    attempt.order == Order::Work && is_free(attempt)
}

pub(crate) fn waiting(world: &World, w: usize) -> usize {
    world.workers[w].attempts.iter().filter(|attempt| is_waiting(attempt)).count()
}

/// Attempts that will take a due row, as far as anybody can see.
pub(crate) fn able(world: &World, w: usize) -> impl Iterator<Item = &Attempt> {
    world.workers[w].attempts.iter().filter(|attempt| is_waiting(attempt)).filter(|attempt| {
        world.container(attempt.container).is_none_or(|container| {
            container.stage != Stage::Removed && container.door != Door::Broken && !container.taken
        })
    })
}

/// A job that the worker holds; a stray, where none of its attempts works on it.
pub(crate) fn is_stray(world: &World, w: usize, job: usize) -> bool {
    let row = &world.jobs[job];
    row.at_work() && row.leased && row.owner == Some(w as Id)
}
