//! The model: what each step leads to.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use safeurl::domain::scan::{Job, Method, Options, ScanId};
use safeurl::domain::state::State;
use safeurl::domain::timestamp::Timestamp;
use safeurl::supervisor::{Effect, End, Known, Place as Where, Remedy, Wanted, plan, remedy};
use stateright::{Model, Property};

use super::attempt::settle_down;
use super::guards::Guard;
use super::properties::{Broken, properties};
use super::redis::strays;
use super::steps::{Step, left};
use super::world::{Attempt, Entry, Held, Id, NAMES, Phase, Place, Process, Row, Worker, World};

/// How large a world is checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) name: &'static str,
    /// The engine of each worker.
    pub(crate) seats: &'static [Id],
    pub(crate) jobs: usize,
    /// Entries that a producer adds for each job, all naming it.
    pub(crate) entries: u8,
    /// The rows are there before the entries are taken.
    pub(crate) rows: bool,
    pub(crate) slots: usize,
    /// `attempts` of each entry.
    pub(crate) attempts: u8,
    /// Losses of each job before the first step.
    pub(crate) losses: u8,
    pub(crate) faults: u8,
    /// With the faults of other people's programs, and those that strike a single attempt.
    pub(crate) rare: bool,
}

/// The model.
#[derive(Clone)]
pub(crate) struct Deliveries {
    pub(crate) config: Config,
    pub(crate) without: Option<Guard>,
    pub(crate) template: Job,
    /// Worlds from which the end is reached when no further fault strikes.
    pub(crate) ending: Arc<Mutex<HashSet<u64>>>,
}

impl Deliveries {
    pub(crate) fn new(config: Config, without: Option<Guard>) -> Self {
        let template = Job {
            id: ScanId::parse("job").expect("a short name"),
            user: String::new(),
            url: String::new(),
            kind: String::new(),
            state: State::Queued,
            version: 1,
            options: Options::default(),
            priority: 0,
            attempt: 0,
            attempt_base: 0,
            losses: 0,
            max_attempts: u32::from(config.attempts),
            lease_owner: None,
            container_id: None,
            cancel_requested: false,
            method: Method::Queue,
            delivery: None,
            failure: None,
            created: Timestamp::default(),
            updated: Timestamp::default(),
            run_at: None,
            started: None,
            finished: None,
        };
        Self { config, without, template, ending: Arc::default() }
    }

    pub(crate) fn lacks(&self, guard: Guard) -> bool {
        self.without == Some(guard)
    }

    fn begin(&self) -> World {
        let row = Row {
            made: self.config.rows,
            state: State::Queued,
            owner: None,
            leased: false,
            engine: None,
            counted: 0,
            losses: self.config.losses,
            cancel: false,
            served: None,
            results: 0,
            ends: 0,
            replays: 0,
        };
        let names = |job: usize| (0..self.config.entries).map(move |n| job as Id * NAMES + 2 * n);
        World {
            rows: vec![row; self.config.jobs],
            entries: (0..self.config.jobs).flat_map(names).map(Entry::new).collect(),
            workers: self.config.seats.iter().map(|engine| Worker::new(*engine)).collect(),
            saved: None,
            faults: self.config.faults,
            lossy: false,
            broken: None,
        }
    }

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

    /// The world after a step; `None` where it is none.
    pub(crate) fn step(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        if step.is_fault() {
            next.faults = next.faults.checked_sub(1)?;
        }
        self.carries(&mut next, step).then(|| next.canonical())
    }

    fn carries(&self, world: &mut World, step: Step) -> bool {
        match step {
            Step::Take(w, entry) => {
                let Some(held) = self.take(world, w, entry) else { return false };
                let claim = plan(Known::SlotFree).iter().position(|effect| *effect == Effect::Claim);
                world.workers[w as usize].attempts.push(Attempt {
                    at: claim.unwrap_or_default() as u8,
                    phase: Phase::Took,
                    held: Some(held),
                    ..Attempt::new(Known::SlotFree)
                });
            }
            Step::TakeUnheard(w, entry) => return self.take(world, w, entry).is_some(),
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

impl Model for Deliveries {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![self.begin().canonical()]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        // Nothing follows from what must not be.
        if world.broken.is_none() {
            self.steps(world, steps);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        self.step(world, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties()
    }
}
