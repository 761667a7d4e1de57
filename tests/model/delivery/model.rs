//! The model: what each step leads to.

use std::collections::HashSet;
use std::sync::Mutex;

use safeurl::domain::state::State;
use safeurl::supervisor::{Effect, End, Known, Place as Where, Remedy, Wanted, plan, remedy};

use super::attempt::settle_down;
use super::guards::{ALL, Guard};
use super::properties::{Broken, RULES};
use super::redis::strays;
use super::steps::{Step, left};
use super::world::{Attempt, Entry, Held, NAMES, Phase, Place, Process, Row, Worker, World};
use crate::names::Id;
use crate::subject::{Fall, Rule, Small, Subject};

/// The database and Redis.
#[derive(Default)]
pub(crate) struct Delivery {
    /// Worlds from which the end is reached when no further fault strikes.
    pub(crate) ending: Mutex<HashSet<u64>>,
}

/// The model.
pub(crate) type Deliveries = Small<Delivery>;

impl Deliveries {
    pub(crate) fn remedy(&self, world: &World, w: usize, job: usize) -> Remedy {
        let place = match world.rows[job].engine {
            None => Where::Nowhere,
            Some(engine) if engine == world.workers[w].engine => Where::Here,
            Some(engine) => {
                let attended = world.workers.iter().any(|w| w.engine == engine && !w.stale && w.listed);
                Where::Elsewhere { attended }
            }
        };
        remedy(place, Wanted::Still)
    }

    fn carries(&self, world: &mut World, step: Step) -> bool {
        match step {
            Step::Take(w, entry) => {
                let Some(held) = self.take_entry(world, w, entry) else { return false };
                let claim = plan(Known::SlotFree).iter().position(|effect| *effect == Effect::Claim);
                world.workers[w as usize].attempts.push(Attempt {
                    at: claim.unwrap_or_default() as u8,
                    phase: Phase::Took,
                    held: Some(held),
                    ..Attempt::new(Known::SlotFree)
                });
            }
            Step::TakeUnheard(w, entry) => return self.take_entry(world, w, entry).is_some(),
            Step::Act(w, a, how) => return self.act(world, w as usize, a as usize, how),
            Step::Repay(w, owed) => {
                let owed = world.workers[w as usize].owed.remove(owed as usize);
                self.move_out(world, owed.op, owed.entry, owed.token);
            }
            Step::Renew(w) => self.renew(world, w),
            Step::Age(w) | Step::Stall(w) => age(world, w),
            Step::Come(engine) => world.workers.push(Worker::new(engine)),
            Step::Retire(w) => self.retire(world, w),
            Step::Find(w, job) => {
                let found = self.remedy(world, w as usize, job as usize);
                self.attend(world, w, job, Known::Orphaned(found));
            }
            Step::Stray(w, job) => self.attend(world, w, job, Known::Ended(End::Failure)),
            Step::HandOver(w, dead) => {
                let left = left(world, dead);
                self.hand_over(world, dead, &left);
                if self.lacks(Guard::HandOverAgain) {
                    world.workers[w as usize].handed_over.push(dead);
                }
            }
            Step::GiveBackStrays(w) => self.give_back_strays(world, w),
            Step::Look(w, job) => {
                if world.waits(job as usize) {
                    world.breaks(Broken::Doubled);
                }
                let seen = self.end_of(world, job);
                world.workers[w as usize].offering = Some((job, seen));
            }
            Step::Offer(w) => {
                let Some((job, seen)) = world.workers[w as usize].offering.take() else { return false };
                self.offer(world, job, seen);
            }
            Step::CheckStalled(id) => self.check_stalled(world, id),
            Step::Promote(id) => world.entry_mut(id).into_iter().for_each(|entry| entry.place = Place::Wait),
            Step::Expire(id) | Step::ExpireOfficial(id) => {
                world.entry_mut(id).into_iter().for_each(|entry| entry.lock = None);
            }
            Step::Flush => lose(world, Vec::new()),
            Step::FallBehind => world.saved = Some(world.entries.clone()),
            Step::Restart => {
                let saved = world.saved.take().unwrap_or_default();
                lose(world, saved);
            }
            Step::Crash(w) => gone(world, w),
            Step::Stop(w) => world.workers[w as usize].process = Process::Stopping,
            Step::Panic(w, a) => drop(world.workers[w as usize].attempts.remove(a as usize)),
            Step::TakeOfficially(id) => self.take_officially(world, id),
            Step::RetryEnded(id) => self.retry_ended(world, id),
            Step::Remove(id) => world.entries.retain(|entry| entry.id != id),
            Step::Cancel(job) => self.cancel(world, job as usize),
            Step::Replay(job) => self.replay(world, job as usize),
        }
        true
    }

    /// An attempt at a job that was found, at the version that it has.
    fn attend(&self, world: &mut World, w: Id, job: Id, known: Known) {
        let row = &world.rows[job as usize];
        let token = row.served.as_ref().and_then(|served| served.token.map(|token| (served.entry, token)));
        // Its own rows name the lock that it has.
        let own = token.filter(|(_, token)| matches!(known, Known::Ended(_)) && token.worker == w);
        let held = own.map(|(entry, token)| Held { entry, token, atm: None, deferred: false });
        let attempt =
            Attempt { job: Some(job), held, current: true, seen: Some(row.state), ..Attempt::new(known) };
        let worker = &mut world.workers[w as usize];
        worker.attempts.push(attempt);
        let last = worker.attempts.len() - 1;
        settle_down(world, w as usize, last);
    }

    fn renew(&self, world: &mut World, w: Id) {
        world.workers[w as usize].stale = false;
        for row in world.rows.iter_mut().filter(|row| row.at_work() && row.owner == Some(w)) {
            row.leased = true;
        }
        let attempts = std::mem::take(&mut world.workers[w as usize].attempts);
        let (unheard, heard) = attempts.into_iter().partition(|a| a.phase == Phase::Unheard);
        world.workers[w as usize].attempts = heard;
        let unheard: Vec<Attempt> = unheard;
        for attempt in unheard.into_iter().filter(|attempt| attempt.current) {
            self.release_unheard(world, attempt.job.unwrap_or_default() as usize);
        }
    }

    /// Ends in order. Who may leave something behind stays on the list, so that others find it dead.
    fn retire(&self, world: &mut World, w: Id) {
        let owes = !world.workers[w as usize].owed.is_empty() || strays(world, w).next().is_some();
        let holds = world.rows.iter().any(|row| row.at_work() && row.owner == Some(w));
        gone(world, w);
        world.workers[w as usize].listed = holds || owes && !self.lacks(Guard::RetireOwing);
    }
}

fn gone(world: &mut World, w: Id) {
    let worker = &mut world.workers[w as usize];
    *worker = Worker { process: Process::Gone, ..Worker::new(worker.engine) };
}

/// Time passes for a worker of which the database does not hear.
fn age(world: &mut World, w: Id) {
    world.workers[w as usize].stale = true;
    for row in world.rows.iter_mut().filter(|row| row.owner == Some(w)) {
        row.leased = false;
    }
}

/// Redis comes back with this.
fn lose(world: &mut World, entries: Vec<Entry>) {
    world.lossy |= world.entries != entries;
    (world.entries, world.saved) = (entries, None);
}

impl Subject for Delivery {
    type World = World;
    type Step = Step;
    type Guard = Guard;

    const RULES: &'static [Rule<Self>] = RULES;
    const GUARDS: &'static [Fall<Guard>] = ALL;
    const ENOUGH: usize = 1_000_000;

    fn new(_: Option<Guard>) -> Self {
        Self::default()
    }

    fn begin(model: &Deliveries) -> World {
        let config = &model.config;
        let names = |job: usize| (0..config.entries).map(move |n| job as Id * NAMES + 2 * n);
        World {
            rows: vec![Row::unmade(config.losses); config.jobs],
            entries: (0..config.jobs).flat_map(names).map(Entry::new).collect(),
            workers: config.seats.iter().map(|engine| Worker::new(*engine)).collect(),
            saved: None,
            faults: config.faults,
            lossy: false,
            broken: None,
        }
    }

    fn possible(model: &Deliveries, world: &World, steps: &mut Vec<Step>) {
        model.possible(world, steps);
    }

    fn change(model: &Deliveries, world: &mut World, step: Step) -> bool {
        model.carries(world, step)
    }

    fn is_completed(world: &World) -> bool {
        world.rows.iter().all(|row| row.state == State::Completed)
            && world.entries.iter().all(|entry| entry.place == Place::Completed)
    }
}
