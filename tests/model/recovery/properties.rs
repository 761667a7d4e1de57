//! What must hold: of every state, and of every step.
//!
//! A step that does what no step may do is remembered in the state it leads to, so that the checker, which looks at
//! states, finds it.

use safeurl::domain::scan::MAX_LOSSES;
use safeurl::domain::state::State;

use super::model::Recovery;
use super::steps::is_pooled;
use super::world::{Stage, World};
use crate::names::Id;
use crate::subject::Rule;

/// What no step may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Broken {
    StaleWrite,
    FinalChanged,
    LivingLeaseTaken,
    TimedOutAlive,
    WronglyEnded,
    CancelForgotten,
    RemovedFromHolder,
    RemovedTooEarly,
    KilledForAnother,
    HandedOverUnbound,
    FetchedTwice,
    LedgerUnread,
    GaveUpEarly,
    RetriedInVain,
    MeasureStood,
}

pub(crate) const RULES: &[Rule<Recovery>] = &[
    ("at most one result per job", |_, world| world.jobs.iter().all(|row| row.results <= 1)),
    ("a result exactly when COMPLETED", |_, world| {
        world.jobs.iter().all(|row| (row.results > 0) == (row.state == State::Completed))
    }),
    ("only the current version changes anything", |_, world| world.broken != Some(Broken::StaleWrite)),
    ("a final state changes only by replay", |_, world| world.broken != Some(Broken::FinalChanged)),
    ("attempts never exceed the cap", |model, world| {
        world.jobs.iter().all(|row| row.counted <= model.config.attempts)
    }),
    ("TIMED_OUT only after the container is dead", |_, world| world.broken != Some(Broken::TimedOutAlive)),
    ("TIMED_OUT when time ran out, FAILED for all else", |_, world| {
        world.broken != Some(Broken::WronglyEnded)
    }),
    ("no container of a living lease is removed by another", |_, world| {
        world.broken != Some(Broken::RemovedFromHolder)
    }),
    ("a report is read and its row moved on before the container goes", |_, world| {
        world.broken != Some(Broken::RemovedTooEarly)
    }),
    ("a ledger is read before it goes", |_, world| world.broken != Some(Broken::LedgerUnread)),
    ("no living lease is taken over", |_, world| world.broken != Some(Broken::LivingLeaseTaken)),
    ("nobody kills for a job that is another's", |_, world| world.broken != Some(Broken::KilledForAnother)),
    ("a job is handed over only behind a bound door", |_, world| {
        world.broken != Some(Broken::HandedOverUnbound)
    }),
    ("one container at a time works on a job", |_, world| world.broken != Some(Broken::FetchedTwice)),
    ("who asked to cancel does not see the job queued", |_, world| {
        world.broken != Some(Broken::CancelForgotten)
    }),
    ("only what may end differently is tried again", |_, world| world.broken != Some(Broken::RetriedInVain)),
    ("a lost job ends at its tenth loss", |_, world| {
        world.broken != Some(Broken::GaveUpEarly)
            && world.jobs.iter().all(|row| u32::from(row.losses) < MAX_LOSSES)
    }),
    ("a container is written down before it is there", |_, world| {
        world.containers.iter().all(|c| c.written || c.late || c.taken || !c.exists())
    }),
    ("nothing is lost or given back but by a fault", |model, world| {
        world.uncounted <= model.losses_paid(world)
    }),
    ("every step that is no fault comes nearer to the end", |_, world| {
        world.broken != Some(Broken::MeasureStood)
    }),
    ("where nothing is left to do, every job is final and nothing is left", |model, world| {
        world.broken.is_some() || (is_clean(world) || model.has_work(world))
    }),
];

/// Every job has ended, and no container or obligation is left but those that wait for the next job.
fn is_clean(world: &World) -> bool {
    let waiting = world.workers.iter().flat_map(|worker| worker.attempts.iter().filter(|a| is_pooled(a)));
    let waiting: Vec<_> = waiting.filter_map(|attempt| attempt.container).collect();
    let mut others = world.containers.iter().enumerate().filter(|(id, _)| !waiting.contains(&(*id as Id)));
    world.jobs.iter().all(|row| row.state.is_final())
        && others.all(|(_, c)| !c.written && matches!(c.stage, Stage::Absent | Stage::Removed))
}
