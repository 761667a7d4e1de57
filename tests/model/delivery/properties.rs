//! What must hold of every state, and of the way that leads from it to the end.
//!
//! That every job ends is shown by going there: from each state the steps that are no fault are taken in the order in
//! which time brings them, what takes milliseconds before what takes seconds, until nothing is left to do.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use safeurl::domain::state::State;

use super::model::{Deliveries, Delivery};
use super::steps::{How, Step};
use super::world::{Entry, Place, World};
use crate::subject::Rule;

/// What no step may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Broken {
    EndedFirst,
    FinalChanged,
    LivingLeaseTaken,
    CancelForgotten,
    DeferredRan,
    RetryMissed,
    RanUnasked,
    RetrySwallowed,
    Doubled,
}

pub(crate) const ENDS: &str = "every job ends, Redis hears of it, and no lock has to run out for that";
pub(crate) const COUNTED: &str = "Redis counts an attempt only if the database does";

pub(crate) const RULES: &[Rule<Delivery>] = &[
    ("at most one result per job, exactly when COMPLETED", |_, world| {
        world.rows.iter().all(|row| row.results == u8::from(row.state == State::Completed))
    }),
    ("an end is in the database before it is in Redis", |_, world| world.broken != Some(Broken::EndedFirst)),
    ("a final state changes only by replay", |_, world| world.broken != Some(Broken::FinalChanged)),
    ("no living lease is taken over", |_, world| world.broken != Some(Broken::LivingLeaseTaken)),
    ("who asked to cancel does not see the job queued", |_, world| {
        world.broken != Some(Broken::CancelForgotten)
    }),
    (COUNTED, |_, world| {
        world.entries.iter().all(|entry| entry.atm <= world.rows[entry.job()].ends + entry.asks)
    }),
    ("a retry is heard of before the job is tried again", |_, world| {
        world.broken != Some(Broken::RetryMissed)
    }),
    ("what is to fail unrun does not run", |_, world| world.broken != Some(Broken::DeferredRan)),
    ("what has ended runs again only if somebody asks", |_, world| world.broken != Some(Broken::RanUnasked)),
    ("who asks for another run is not told of the last one", |_, world| {
        world.broken != Some(Broken::RetrySwallowed)
    }),
    ("nothing is offered that Redis has", |_, world| world.broken != Some(Broken::Doubled)),
    (ENDS, |model, world| world.broken.is_some() || model.comes_to_an_end(world)),
];

/// More steps than any way to the end has.
const LONGEST: usize = 400;

impl Deliveries {
    /// Goes to the end from here. What was passed before is not gone through again.
    fn comes_to_an_end(&self, world: &World) -> bool {
        let mut world = World { faults: 0, ..world.clone() };
        let mut passed = Vec::new();
        let ends = loop {
            let print = BuildHasherDefault::<DefaultHasher>::default().hash_one(&world);
            let ending = self.own.ending.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if ending.contains(&print) {
                break true;
            }
            drop(ending);
            passed.push(print);
            match self.natural(&world) {
                None => break is_clean(&world),
                Some(_) if passed.len() > LONGEST => break false,
                Some(next) if next.broken.is_some() => break true,
                Some(next) => world = next,
            }
        };
        if ends {
            self.own.ending.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(passed);
        }
        ends
    }

    /// What happens next when nothing goes wrong.
    fn natural(&self, world: &World) -> Option<World> {
        let mut steps = Vec::new();
        self.steps(world, &mut steps);
        // What an old disk brings back may have locks of workers that nobody remembers.
        let locked = world.entries.iter().filter(|entry| world.lossy && entry.lock.is_some());
        steps.extend(locked.map(|entry| Step::ExpireOfficial(entry.id)));
        steps.retain(|step| patience(*step).is_some());
        steps.sort_by_key(|step| patience(*step));
        steps.into_iter().find_map(|step| self.take(world, step))
    }
}

/// How long a step takes, as a rank; `None` for what does not happen by itself.
fn patience(step: Step) -> Option<u8> {
    Some(match step {
        Step::Act(_, _, How::Plainly) => 0,
        Step::Act(_, _, How::Ends(_)) => 1,
        Step::Act(_, _, How::Hears) => 2,
        Step::Repay(..) => 3,
        Step::Renew(_) => 4,
        Step::Take(..) => 5,
        Step::GiveBackStrays(_) => 6,
        Step::Come(_) | Step::Age(_) => 7,
        Step::Find(..) | Step::Stray(..) | Step::HandOver(..) => 8,
        Step::Retire(_) => 9,
        Step::Promote(_) | Step::CheckStalled(_) => 10,
        Step::Look(..) | Step::Offer(_) => 11,
        Step::ExpireOfficial(_) => 12,
        _ => return None,
    })
}

/// Every job has ended, and what Redis still has of it says the same.
fn is_clean(world: &World) -> bool {
    let ended = world.rows.iter().enumerate().all(|(job, row)| {
        // A job of which Redis lost the only trace, or which its producer took back, never was.
        row.state.is_final() || !row.made && world.entries.iter().all(|entry| entry.job() != job)
    });
    let idle = world.workers.iter().all(|worker| worker.attempts.is_empty() && worker.owed.is_empty());
    ended && idle && world.entries.iter().all(|entry| agrees(world, entry))
}

fn agrees(world: &World, entry: &Entry) -> bool {
    let row = &world.rows[entry.job()];
    match entry.place {
        Place::Wait | Place::Active | Place::Delayed => false,
        // Of an older end of a row that was replayed since.
        Place::Completed | Place::Failed if !entry.told => row.replays > 0,
        Place::Completed => row.state == State::Completed,
        Place::Failed => matches!(row.state, State::Failed | State::TimedOut),
    }
}
