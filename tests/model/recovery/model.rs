//! The model: which steps there are in a state, and what each leads to.
//!
//! What a supervisor does next is asked of the shipped functions: [`plan`] and [`learn`] for an attempt, [`remedy`]
//! and [`may_reap`](safeurl::supervisor::may_reap) for what was left, `after_failure` and `step` for the edges. The
//! model holds what they act upon.

use safeurl::domain::state::State;
use safeurl::supervisor::{Effect, Known, learn};

use super::guards::{ALL, Guard, Lists};
use super::measure::measure;
use super::properties::{Broken, RULES};
use super::steps::is_pooled;
use super::world::{Container, Order, Row, Stage, Worker, World};
use crate::names::Id;
use crate::subject::{Fall, Rule, Small, Step as _, Subject};

/// Attempts and their containers.
pub(crate) struct Recovery {
    pub(crate) lists: Lists,
}

/// The model.
pub(crate) type Supervisors = Small<Recovery>;

/// How an effect goes, where it may go in more than one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum How {
    Plainly,
    /// The claim takes this job.
    Takes(Id),
    /// The deadline passes.
    TooLate,
    /// The report is judged at once, and the edge is put off.
    PutOff,
    /// Fault: it is done, and the answer is lost.
    Unanswered,
    /// Fault: it is not done, and the answer is an error.
    Refused,
    /// Fault: the first half is done, and then the process dies.
    Half,
    /// Fault: the answer is an error, and it is done after all, later.
    Later,
    /// Fault: the container printed its report, and the engine does not answer whether it is dead.
    Undead(super::world::Printed),
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// A worker starts an attempt for a due row.
    Start(Id),
    /// A worker makes a container that waits for a job.
    Pool(Id),
    /// A worker calls an attempt whose container waits, for a due row.
    Call(Id, u8),
    /// A worker finds the job of a dead one.
    Find(Id, Id),
    /// A worker finds that it holds a job without an attempt.
    Stray(Id, Id),
    /// An attempt carries out its next effect.
    Act(Id, u8, How),
    /// A worker renews its leases and hears what became of them.
    Renew(Id),
    /// Time passes for a worker that is not heard of.
    Age(Id),
    /// A worker comes where none is.
    Come(u8),
    /// A worker starts its gateway again.
    Gateway(Id),
    /// A worker that stops has nothing left to do.
    Retire(Id),
    /// A container ends.
    Exit(Id, super::world::Printed),
    /// A create arrives for which nobody waits any more.
    Appear(Id),
    /// A reaper decides to remove a container, and does.
    Condemn(Id, Id),
    Reap(Id),
    /// Faults.
    Crash(Id),
    Stall(Id),
    Stop(Id),
    Panic(Id, u8),
    GatewayDies(Id),
    Redeliver(Id),
    Cancel(Id),
    Replay(Id),
}

impl Step {
    /// Whether it is a step wherever it is listed.
    fn is_certain(self) -> bool {
        matches!(
            self,
            Self::Start(_)
                | Self::Pool(_)
                | Self::Call(..)
                | Self::Find(..)
                | Self::Stray(..)
                | Self::Age(_)
                | Self::Come(_)
                | Self::Gateway(_)
                | Self::Exit(..)
                | Self::Appear(_)
                | Self::Condemn(..)
                | Self::Reap(_)
        )
    }
}

impl crate::subject::Step for Step {
    fn is_rare(self) -> bool {
        match self {
            Self::Panic(..) | Self::Stop(_) => true,
            Self::Act(_, _, how) => matches!(how, How::Refused | How::Half | How::Later | How::Undead(_)),
            _ => false,
        }
    }

    fn is_fault(self) -> bool {
        match self {
            Self::Crash(_)
            | Self::Stall(_)
            | Self::Stop(_)
            | Self::Panic(..)
            | Self::GatewayDies(_)
            | Self::Redeliver(_)
            | Self::Cancel(_)
            | Self::Replay(_) => true,
            Self::Act(_, _, how) => match how {
                How::Unanswered | How::Refused | How::Half | How::Later | How::Undead(_) => true,
                How::Plainly | How::Takes(_) | How::TooLate | How::PutOff => false,
            },
            Self::Start(_)
            | Self::Pool(_)
            | Self::Call(..)
            | Self::Find(..)
            | Self::Stray(..)
            | Self::Renew(_)
            | Self::Age(_)
            | Self::Come(_)
            | Self::Gateway(_)
            | Self::Retire(_)
            | Self::Exit(..)
            | Self::Appear(_)
            | Self::Condemn(..)
            | Self::Reap(_) => false,
        }
    }
}

/// What carrying out an effect comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Answered(safeurl::supervisor::Seen),
    /// Something happened, and the effect is still under way.
    Going,
    /// Nothing can happen in this way now.
    Waits,
}

impl Supervisors {
    /// How many attempts the faults so far may have cost without counting: a worker may hold every job when it dies.
    pub(crate) fn losses_paid(&self, world: &World) -> u8 {
        (self.config.faults - world.faults) * self.config.jobs as u8
    }

    /// Whether anything but a fault can happen.
    pub(crate) fn has_work(&self, world: &World) -> bool {
        let mut steps = Vec::new();
        self.steps(world, &mut steps);
        steps.iter().any(|step| step.is_certain())
            || steps.into_iter().any(|step| !step.is_fault() && self.take(world, step).is_some())
    }

    /// Of steps that nobody else can see, and that nothing else can hinder, one is taken before all others: in which
    /// order such steps of several workers come makes no difference. Faults may strike before it all the same.
    fn reduce(&self, world: &World, steps: &mut Vec<Step>) {
        let first = steps.iter().copied().find(|step| match *step {
            Step::Act(w, a, How::Plainly) => {
                let (w, a) = (w as usize, a as usize);
                self.is_hidden(world, w, a) || self.is_in_vain(world, w, a) || is_alone(world, w, a)
            }
            Step::Age(w) => {
                !world.workers[w as usize].lives() && world.jobs.iter().all(|row| row.owner != Some(w))
            }
            Step::Condemn(_, container) => is_garbage(world, container),
            Step::Reap(w) => {
                world.workers[w as usize].reaping.is_some_and(|container| is_garbage(world, container))
            }
            _ => false,
        });
        match first {
            None => {}
            Some(Step::Act(w, a, _)) => {
                let container = world.workers[w as usize].attempts[a as usize].container;
                let alone = is_alone(world, w as usize, a as usize);
                steps.retain(|step| match *step {
                    Step::Act(other_w, other_a, _) if (other_w, other_a) == (w, a) => true,
                    Step::Exit(id, _) => alone && container == Some(id),
                    Step::Renew(worker) => alone && worker == w,
                    step => step.is_fault(),
                });
            }
            Some(first) => steps.retain(|step| *step == first || step.is_fault()),
        }
    }

    /// Whether the next effect of an attempt concerns nothing but its own container, which nobody may touch.
    fn is_hidden(&self, world: &World, w: usize, a: usize) -> bool {
        let worker = &world.workers[w];
        let attempt = &worker.attempts[a];
        let own = |id: Id| {
            let container = &world.containers[id as usize];
            container.maker as usize == w && !container.taken && world.bound_to(id as usize).is_none()
        };
        let listens = !matches!(attempt.order, Order::Wait | Order::Work);
        if !worker.is_well() || listens || !attempt.container.is_none_or(own) {
            return false;
        }
        match self.next_effect(world, w, a) {
            Effect::Oblige | Effect::Create | Effect::Start => true,
            Effect::OpenDoor => worker.gateway,
            // Who finds nothing gives up at once, and may begin anew.
            Effect::Claim => attempt.order == Order::Work && world.due() == 0,
            Effect::CloseDoor | Effect::Remove | Effect::DiscardDoor => attempt.known == Known::Unused,
            _ => false,
        }
    }

    /// Whether the next effect of an attempt can only tell it that the job is another's: versions do not come back.
    fn is_in_vain(&self, world: &World, w: usize, a: usize) -> bool {
        let attempt = &world.workers[w].attempts[a];
        if attempt.current || attempt.job.is_none() {
            return false;
        }
        match self.next_effect(world, w, a) {
            Effect::TakeOver | Effect::Confirm | Effect::Kill => true,
            Effect::Advance | Effect::Settle | Effect::Release => true,
            Effect::Run | Effect::Follow | Effect::CloseDoor => attempt.order == Order::Lost,
            _ => false,
        }
    }

    fn change(&self, world: &mut World, step: Step) -> bool {
        match step {
            Step::Act(worker, attempt, how) => {
                return self.act(world, worker as usize, attempt as usize, how);
            }
            Step::Start(worker) | Step::Redeliver(worker) => {
                let attempt = super::world::Attempt::new(Known::SlotFree);
                world.workers[worker as usize].attempts.push(attempt);
            }
            Step::Pool(worker) => {
                world.pool -= 1;
                let attempt = super::world::Attempt::new(Known::SlotFree);
                let waits = super::world::Attempt { order: Order::Wait, ..attempt };
                world.workers[worker as usize].attempts.push(waits);
            }
            Step::Call(worker, attempt) => {
                world.workers[worker as usize].attempts[attempt as usize].order = Order::Work;
            }
            Step::Find(worker, job) => return self.find(world, worker, job),
            Step::Stray(worker, job) => self.stray(world, worker, job),
            Step::Renew(worker) => self.renew(world, worker),
            Step::Age(worker) => self.age(world, worker),
            Step::Come(engine) => world.workers.push(Worker::new(engine)),
            Step::Gateway(worker) => {
                let worker = &mut world.workers[worker as usize];
                worker.gateway = true;
                // What waited behind the dead one is thrown away.
                for attempt in worker.attempts.iter_mut().filter(|attempt| is_pooled(attempt)) {
                    attempt.order = Order::Drain;
                }
            }
            Step::Retire(worker) => self.retire(world, worker),
            Step::Exit(container, printed) => {
                let container = &mut world.containers[container as usize];
                (container.stage, container.printed) = (Stage::Dead, printed);
            }
            Step::Appear(container) => world.containers[container as usize].stage = Stage::Created,
            Step::Condemn(worker, container) => self.condemn(world, worker, container),
            Step::Reap(worker) => self.reap(world, worker),
            Step::Crash(worker) => self.crash(world, worker),
            Step::Stall(worker) => self.stall(world, worker),
            Step::Stop(worker) => self.stop(world, worker),
            Step::Panic(worker, attempt) => self.panic(world, worker, attempt),
            Step::GatewayDies(worker) => self.gateway_dies(world, worker),
            Step::Cancel(job) => self.cancel(world, job as usize),
            Step::Replay(job) => self.replay(world, job as usize),
        }
        true
    }

    /// Carries out the next effect of an attempt and lets it learn from what it came back with.
    fn act(&self, world: &mut World, w: usize, a: usize, how: How) -> bool {
        let effect = self.next_effect(world, w, a);
        if how == How::Half {
            return self.half(world, w, a, effect);
        }
        match self.carry_out(world, w, a, effect, how) {
            Progress::Waits => false,
            Progress::Going => true,
            Progress::Answered(seen) => {
                let attempt = &mut world.workers[w].attempts[a];
                (attempt.begun, attempt.unsure) = (false, false);
                match learn(effect, seen) {
                    Some(known) => (attempt.known, attempt.at) = (known, 0),
                    None => attempt.at += 1,
                }
                self.settle_down(world, w, a);
                true
            }
        }
    }

    pub(crate) fn next_effect(&self, world: &World, w: usize, a: usize) -> Effect {
        let attempt = &world.workers[w].attempts[a];
        self.own.lists.of(attempt.known)[attempt.at as usize]
    }

    /// Lets go of an attempt whose list is over, and of what it knows and needs no more.
    fn settle_down(&self, world: &mut World, w: usize, a: usize) {
        let worker = &mut world.workers[w];
        let attempt = &mut worker.attempts[a];
        let list = self.own.lists.of(attempt.known);
        if (attempt.at as usize) < list.len() {
            // What is left to do is what counts, not what came before it.
            let unused = self.own.lists.of(Known::Unused);
            if let Some(at) = unused.len().checked_sub(list.len() - attempt.at as usize)
                && unused[at..] == list[attempt.at as usize..]
            {
                (attempt.known, attempt.at) = (Known::Unused, at as u8);
            }
            if matches!(attempt.known, Known::Ended(_) | Known::Unused) {
                attempt.order = Order::Work;
                attempt.part = None;
            }
            return;
        }
        let attempt = worker.attempts.remove(a);
        if let (Known::LeaseLost, Some(container)) = (attempt.known, attempt.container) {
            leave(&mut world.containers[container as usize], w as Id);
        }
    }
}

/// Leaves a container to the reaper of the worker that made it.
pub(crate) fn leave(container: &mut Container, worker: Id) {
    if container.maker == worker {
        container.left = true;
    }
}

/// Whether an attempt holds its job by a lease that lives, and its container alone: nobody else may touch either.
fn is_alone(world: &World, w: usize, a: usize) -> bool {
    let worker = &world.workers[w];
    let attempt = &worker.attempts[a];
    let Some(job) = attempt.job else { return false };
    let row = &world.jobs[job as usize];
    let held = attempt.current && !attempt.unsure && row.leased && row.owner == Some(w as Id);
    let others =
        || {
            world.workers.iter().enumerate().any(|(other_w, other)| {
                other.attempts.iter().enumerate().any(|(other_a, other)| {
                    other.container == attempt.container && (other_w, other_a) != (w, a)
                })
            })
        };
    worker.is_well() && held && (attempt.container.is_none() || !others())
}

/// A container that nobody has in his hands, no row names, and no attempt will come back to.
fn is_garbage(world: &World, id: Id) -> bool {
    let container = &world.containers[id as usize];
    let abandoned = container.left || !world.workers[container.maker as usize].lives();
    abandoned && world.bound_to(id as usize).is_none() && !world.in_hands(id as usize)
}

impl Subject for Recovery {
    type World = World;
    type Step = Step;
    type Guard = Guard;

    const RULES: &'static [Rule<Self>] = RULES;
    const GUARDS: &'static [Fall<Guard>] = ALL;
    const ENOUGH: usize = 2_000_000;

    fn new(without: Option<Guard>) -> Self {
        Self { lists: Lists::new(without) }
    }

    fn begin(model: &Supervisors) -> World {
        let config = &model.config;
        World {
            jobs: vec![Row::queued(config.losses); config.jobs],
            workers: config.seats.iter().map(|engine| Worker::new(*engine)).collect(),
            containers: Vec::new(),
            faults: config.faults,
            pool: config.pool,
            uncounted: 0,
            broken: None,
        }
    }

    fn possible(model: &Supervisors, world: &World, steps: &mut Vec<Step>) {
        model.possible(world, steps);
    }

    fn change(model: &Supervisors, world: &mut World, step: Step) -> bool {
        model.change(world, step)
    }

    fn is_completed(world: &World) -> bool {
        world.jobs.iter().all(|row| row.state == State::Completed)
    }

    fn reduce(model: &Supervisors, world: &World, steps: &mut Vec<Step>) {
        if model.without.is_none() {
            model.reduce(world, steps);
        }
    }

    fn judge(model: &Supervisors, before: &World, step: Step, mut after: World) -> Option<World> {
        if after == *before {
            return None;
        }
        let stands = || measure(model, &after) >= measure(model, before);
        if !step.is_fault() && after.broken.is_none() && stands() {
            after.broken = Some(Broken::MeasureStood);
        }
        Some(after)
    }
}
