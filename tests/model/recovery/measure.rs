//! Why every job ends: a measure that falls with every step that is no fault.
//!
//! It is a row of natural numbers, compared from the left, so that there is no endless fall. From the left:
//!
//! 1. *chances*: attempts that may still be counted, and losses that faults have paid for or may yet. A claim uses one
//!    up; a loss or release turns a counted one into an uncounted one; a job that ends takes its own with it.
//! 2. *workers*: who is gone is found silent, who stands still renews, an empty seat is taken, a dead gateway comes back.
//! 3. *states*: FETCHING, ANALYZING, QUEUED, final.
//! 4. *leases* that have run out: a take-over, a renewal or a confirmation ends that.
//! 5. *condemned*: containers without a job that a reaper may take from a worker that stands still.
//! 6. *unheld*: jobs that a worker is about to find, an orphan or a stray.
//! 7. *unserved*: due rows for which a worker has started no attempt yet.
//! 8. *pool*: containers that will be made before there is a job for them.
//! 9. *effects* that the attempts under way have before them.
//! 10. *containers* and obligations, and 11. reapers with nothing decided: what is left to remove.
//!
//! A step may raise only what stands to the right of something that it lowers. The checker asks that of every step in
//! every state.

use safeurl::domain::state::State;
use safeurl::supervisor::{End, Known};

use super::model::Supervisors;
use super::steps::{able, is_stray};
use super::world::{Attempt, Heartbeat, Order, Process, Row, Stage, World};
use crate::names::Id;

pub(crate) type Measure = [usize; 11];

pub(crate) fn measure(model: &Supervisors, world: &World) -> Measure {
    [
        chances(model, world),
        workers(model, world),
        world.jobs.iter().map(rank_of_state).sum(),
        world.jobs.iter().filter(|row| row.at_work() && !row.leased).count(),
        (0..world.workers.len()).map(|w| condemned(world, w)).sum(),
        unheld(model, world),
        (0..world.workers.len()).map(|w| unserved(world, w)).sum(),
        usize::from(world.pool),
        world.workers.iter().flat_map(|worker| &worker.attempts).map(effects).sum(),
        world.containers.iter().map(|c| rank_of_stage(c.stage) + usize::from(c.written)).sum(),
        world.workers.iter().filter(|worker| worker.reaping.is_none()).count(),
    ]
}

fn chances(model: &Supervisors, world: &World) -> usize {
    let cap = usize::from(model.config.attempts) + 1;
    let open = world.jobs.iter().filter(|row| !row.state.is_final());
    let counted: usize = open.map(|row| cap.saturating_sub(usize::from(row.counted))).sum();
    if counted == 0 {
        return 0;
    }
    let paid = usize::from(model.config.faults) * model.config.jobs;
    counted + paid.saturating_sub(usize::from(world.uncounted))
}

fn workers(model: &Supervisors, world: &World) -> usize {
    let ages = world.workers.iter().map(|worker| {
        let age = match (worker.process, worker.heartbeat) {
            (Process::Running | Process::Stopping, Heartbeat::Fresh) => 0,
            (Process::Running | Process::Stopping, Heartbeat::Old) => 6,
            (Process::Running | Process::Stopping, Heartbeat::Silent) => 5,
            (Process::Gone, Heartbeat::Fresh) => 2,
            (Process::Gone, Heartbeat::Old) => 1,
            (Process::Gone, Heartbeat::Silent) => 0,
        };
        let stops = if worker.process == Process::Stopping { 4 } else { 0 };
        age + stops + usize::from(worker.lives() && !worker.gateway)
    });
    let empty = [0, 1].iter().filter(|e| model.config.seats.contains(e) && world.running(**e) == 0);
    ages.sum::<usize>() + empty.count()
}

fn rank_of_state(row: &Row) -> usize {
    match row.state {
        State::Fetching => 3,
        State::Analyzing => 2,
        State::Queued => 1,
        State::Completed | State::Failed | State::TimedOut => 0,
    }
}

fn condemned(world: &World, w: usize) -> usize {
    let worker = &world.workers[w];
    if worker.lives() && worker.heartbeat != Heartbeat::Fresh { able(world, w).count() } else { 0 }
}

fn unheld(model: &Supervisors, world: &World) -> usize {
    let knows = |w: usize, job: usize| {
        world.workers[w].attempts.iter().any(|a| a.job == Some(job as Id) && a.current && !a.unsure)
    };
    let pairs = (0..world.workers.len()).flat_map(|w| (0..world.jobs.len()).map(move |job| (w, job)));
    let well = |w: usize| world.workers[w].is_well();
    pairs
        .filter(|&(w, job)| well(w) && !knows(w, job))
        .filter(|&(w, job)| model.is_orphan(world, w, job) || is_stray(world, w, job))
        .count()
}

fn unserved(world: &World, w: usize) -> usize {
    let worker = &world.workers[w];
    if !(worker.is_well() && worker.gateway) {
        return 0;
    }
    world.due().saturating_sub(able(world, w).count())
}

fn effects(attempt: &Attempt) -> usize {
    const LONGEST_LIST: usize = 15;
    let rank = match attempt.known {
        Known::SlotFree | Known::Orphaned(_) => 8,
        Known::Ran => 7,
        Known::NotHandedOver => 6,
        Known::Ended(End::Report | End::Accepted) => 5,
        Known::Ended(End::Failure | End::TimedOut | End::Aborted) => 4,
        Known::Ended(End::Cancelled) => 3,
        Known::Unused => 2,
        Known::LeaseLost => 1,
    };
    // An order is heard at most once each; a begun effect is nearer to its end.
    let orders = match attempt.order {
        Order::Wait => 4,
        Order::Drain | Order::Work => 3,
        Order::Cancel => 2,
        Order::Abort => 1,
        Order::Lost => 0,
    };
    64 * rank + 3 * (LONGEST_LIST - usize::from(attempt.at)) + orders + usize::from(!attempt.begun)
}

fn rank_of_stage(stage: Stage) -> usize {
    match stage {
        Stage::Coming => 5,
        Stage::Created | Stage::Running => 3,
        Stage::Dead => 2,
        Stage::Absent | Stage::Removed => 0,
    }
}
