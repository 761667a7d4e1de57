//! Everything that outlives a process, and what the processes hold: rows, containers, doors, workers, attempts.
//!
//! Two worlds that differ only in the names of workers and containers are one: `canonical` forgets what
//! nobody can see any more and puts the rest into an order of its own.

use safeurl::domain::failure::FailureClass;
use safeurl::domain::state::State;
use safeurl::supervisor::Known;

use super::properties::Broken;
use crate::names::{Id, inverse};
use crate::subject;

/// One state of the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) jobs: Vec<Row>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) containers: Vec<Container>,
    /// Faults that may still strike.
    pub(crate) faults: u8,
    /// Containers that may still be made before there is a job for them.
    pub(crate) pool: u8,
    /// Losses and releases so far: attempts that did not count.
    pub(crate) uncounted: u8,
    /// A step did what no step may do.
    pub(crate) broken: Option<Broken>,
}

/// A row of `scan_jobs`. Versions only grow, so that whoever knows one knows the current one or none that will ever
/// be current again: attempts remember which, and the row needs no number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) state: State,
    pub(crate) owner: Option<Id>,
    /// `lease_until` lies in the future.
    pub(crate) leased: bool,
    /// `attempt - attempt_base`.
    pub(crate) counted: u8,
    pub(crate) losses: u8,
    pub(crate) cancel: bool,
    pub(crate) container: Option<Id>,
    /// Rows of `scan_results`.
    pub(crate) results: u8,
}

/// What a worker's process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Process {
    Running,
    /// It was told to stop now, and gives its jobs back.
    Stopping,
    Gone,
}

/// The age of a worker's heartbeat by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Heartbeat {
    Fresh,
    /// Older than `DEAD_AFTER`.
    Old,
    /// Older than `REAP_AFTER`.
    Silent,
}

/// One worker: its row, its process, its gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) heartbeat: Heartbeat,
    /// Its gateway process lives.
    pub(crate) gateway: bool,
    pub(crate) engine: u8,
    /// The container that its reaper has decided to remove.
    pub(crate) reaping: Option<Id>,
    pub(crate) attempts: Vec<Attempt>,
}

/// What the engine has under a container's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Nothing yet.
    Absent,
    /// Nothing yet, but a create is on its way for which nobody waits any more.
    Coming,
    Created,
    Running,
    Dead,
    Removed,
}

/// What a container's log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Printed {
    Nothing,
    /// A report with a response head.
    Page,
    /// A report in which the first hop was refused.
    Refusal,
    /// A report of the fetcher's own deadline.
    Late,
}

/// A container's gateway socket and its ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Door {
    None,
    /// Answers nobody.
    Open,
    /// Bound to the attempt of its container.
    Bound,
    /// The binding is over and the ledger whole.
    Ended,
    /// Its gateway died.
    Broken,
    /// The ledger is gone.
    Discarded,
}

/// A container and its obligation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Container {
    pub(crate) maker: Id,
    pub(crate) engine: u8,
    pub(crate) stage: Stage,
    /// The job it was handed.
    pub(crate) handed: Option<Id>,
    pub(crate) printed: Printed,
    /// Its obligation is in the database.
    pub(crate) written: bool,
    pub(crate) door: Door,
    /// Its maker knows that none of its attempts will remove it.
    pub(crate) left: bool,
    /// Its create was answered late: it comes when nobody waits for it any more.
    pub(crate) late: bool,
    /// A reaper has taken its obligation over.
    pub(crate) taken: bool,
}

/// What the loop told an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Its container waits in the pool.
    Wait,
    /// Its container is thrown away out of the pool.
    Drain,
    Work,
    Cancel,
    Abort,
    Lost,
}

/// What a container's part was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Part {
    Printed(Printed),
    /// Killed at the deadline.
    TimedOut,
    /// Killed because of an order.
    Stopped,
    /// Nobody knows.
    Lost,
}

/// One attempt under way in a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Attempt {
    pub(crate) known: Known,
    /// The next effect of the list.
    pub(crate) at: u8,
    pub(crate) container: Option<Id>,
    pub(crate) job: Option<Id>,
    /// It knows the row's current version.
    pub(crate) current: bool,
    /// The state of the row that it knows.
    pub(crate) seen: Option<State>,
    pub(crate) part: Option<Part>,
    pub(crate) failure: Option<FailureClass>,
    pub(crate) order: Order,
    /// The effect is under way: the job was handed over, or half of two writes is written.
    pub(crate) begun: bool,
    /// The write is done, and its answer was lost.
    pub(crate) unsure: bool,
    /// The edge to ANALYZING is to be written together with the last one.
    pub(crate) put_off: bool,
}

impl Attempt {
    pub(crate) fn new(known: Known) -> Self {
        Self {
            known,
            at: 0,
            container: None,
            job: None,
            current: false,
            seen: None,
            part: None,
            failure: None,
            order: Order::Work,
            begun: false,
            unsure: false,
            put_off: false,
        }
    }
}

impl Row {
    pub(crate) fn queued(losses: u8) -> Self {
        Self {
            state: State::Queued,
            owner: None,
            leased: false,
            counted: 0,
            losses,
            cancel: false,
            container: None,
            results: 0,
        }
    }

    pub(crate) fn at_work(&self) -> bool {
        matches!(self.state, State::Fetching | State::Analyzing)
    }
}

impl Worker {
    pub(crate) fn new(engine: u8) -> Self {
        Self {
            process: Process::Running,
            heartbeat: Heartbeat::Fresh,
            gateway: true,
            engine,
            reaping: None,
            attempts: Vec::new(),
        }
    }

    pub(crate) fn lives(&self) -> bool {
        self.process != Process::Gone
    }

    /// Runs, and the database has just heard of it.
    pub(crate) fn is_well(&self) -> bool {
        self.process == Process::Running && self.heartbeat == Heartbeat::Fresh
    }
}

impl Container {
    /// The engine has it.
    pub(crate) fn exists(&self) -> bool {
        matches!(self.stage, Stage::Created | Stage::Running | Stage::Dead)
    }
}

impl subject::World for World {
    fn faults(&self) -> u8 {
        self.faults
    }

    fn strike(&mut self) {
        self.faults -= 1;
    }

    fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The same world without what nobody can see any more, and with names that follow from what they name.
    fn canonical(mut self) -> Self {
        if self.jobs.iter().all(|row| row.state.is_final()) {
            self.uncounted = 0;
        }
        for row in self.jobs.iter_mut().filter(|row| row.state.is_final()) {
            *row = Row { state: row.state, results: row.results, ..Row::queued(0) };
        }
        for container in self.containers.iter_mut().filter(|c| c.stage == Stage::Removed) {
            (container.handed, container.printed, container.left) =
                (None, Printed::Nothing, container.written);
        }
        self.drop_containers();
        self.drop_workers();
        self.sort_jobs();
        self.sort();
        self
    }
}

impl World {
    /// The first thing that must not be is the one that is told.
    pub(crate) fn breaks(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    pub(crate) fn running(&self, engine: u8) -> usize {
        self.workers.iter().filter(|w| w.engine == engine && w.process != Process::Gone).count()
    }

    pub(crate) fn due(&self) -> usize {
        self.jobs.iter().filter(|row| row.state == State::Queued).count()
    }

    pub(crate) fn container(&self, id: Option<Id>) -> Option<&Container> {
        id.map(|id| &self.containers[id as usize])
    }

    /// The job at work whose row names this container.
    pub(crate) fn bound_to(&self, container: usize) -> Option<usize> {
        self.jobs.iter().position(|row| row.at_work() && row.container == Some(container as Id))
    }

    /// An attempt of a living process has this container in its hands.
    pub(crate) fn in_hands(&self, container: usize) -> bool {
        self.workers.iter().flat_map(|worker| &worker.attempts).any(|a| a.container == Some(container as Id))
    }

    fn drop_containers(&mut self) {
        for id in (0..self.containers.len()).rev() {
            let container = &self.containers[id];
            let there = container.exists() || container.stage == Stage::Coming || container.written;
            if there || self.in_hands(id) || self.bound_to(id).is_some() {
                continue;
            }
            self.containers.remove(id);
            let (id, last) = (id as Id, self.containers.len() as Id);
            self.rename_containers(|other| match other {
                other if other == id => None,
                other if other > id && other <= last => Some(other - 1),
                other => Some(other),
            });
        }
    }

    fn drop_workers(&mut self) {
        for id in (0..self.workers.len()).rev() {
            let named = |name: Id| name == id as Id;
            if self.workers[id].lives()
                || self.containers.iter().any(|container| named(container.maker))
                || self.jobs.iter().any(|row| row.owner.is_some_and(named))
            {
                continue;
            }
            self.workers.remove(id);
            self.rename_workers(|other| if other > id as Id { other - 1 } else { other });
        }
    }

    fn rename_containers(&mut self, name: impl Fn(Id) -> Option<Id>) {
        for row in &mut self.jobs {
            row.container = row.container.and_then(&name);
        }
        for worker in &mut self.workers {
            worker.reaping = worker.reaping.and_then(&name);
            for attempt in &mut worker.attempts {
                attempt.container = attempt.container.and_then(&name);
            }
        }
    }

    fn rename_workers(&mut self, name: impl Fn(Id) -> Id) {
        for row in &mut self.jobs {
            row.owner = row.owner.map(&name);
        }
        for container in &mut self.containers {
            container.maker = name(container.maker);
        }
    }

    fn sort_jobs(&mut self) {
        let looks = |row: &Row| {
            let container = self.container(row.container).map(|c| (c.stage, c.printed, c.door));
            (row.state, row.counted, row.losses, row.cancel, row.leased, row.owner.is_some(), container)
        };
        let mut jobs: Vec<usize> = (0..self.jobs.len()).collect();
        jobs.sort_by_cached_key(|&job| looks(&self.jobs[job]));
        if jobs.is_sorted() {
            return;
        }
        let place = inverse(&jobs);
        let rename = |job: &mut Option<Id>| *job = job.map(|job| place[job as usize]);
        self.jobs = jobs.iter().map(|&job| self.jobs[job].clone()).collect();
        self.containers.iter_mut().for_each(|container| rename(&mut container.handed));
        self.workers.iter_mut().flat_map(|w| &mut w.attempts).for_each(|a| rename(&mut a.job));
    }

    /// Workers by what they are and hold, then containers by their makers: no order depends on a name but where two
    /// are alike in everything, and then either order will do.
    fn sort(&mut self) {
        let mut workers: Vec<usize> = (0..self.workers.len()).collect();
        workers.sort_by_cached_key(|&id| self.looks_of_worker(id));
        if !workers.is_sorted() {
            let place = inverse(&workers);
            self.workers = workers.iter().map(|&id| self.workers[id].clone()).collect();
            self.rename_workers(|id| place[id as usize]);
        }
        let mut containers: Vec<usize> = (0..self.containers.len()).collect();
        containers.sort_by_cached_key(|&id| self.looks_of_container(id));
        if !containers.is_sorted() {
            let place = inverse(&containers);
            self.containers = containers.iter().map(|&id| self.containers[id].clone()).collect();
            self.rename_containers(|id| Some(place[id as usize]));
        }
        for worker in &mut self.workers {
            worker.attempts.sort();
        }
    }

    fn looks_of_worker(&self, id: usize) -> impl Ord + use<> {
        let worker = &self.workers[id];
        let mut attempts: Vec<_> =
            worker.attempts.iter().map(|attempt| Attempt { container: None, ..attempt.clone() }).collect();
        attempts.sort();
        let mut made: Vec<_> = self
            .containers
            .iter()
            .filter(|container| container.maker == id as Id)
            .map(|container| Container { maker: 0, ..container.clone() })
            .collect();
        made.sort();
        let owned: Vec<_> = self.jobs.iter().map(|row| row.owner == Some(id as Id)).collect();
        let facts = (worker.engine, worker.process, worker.heartbeat, worker.gateway);
        (facts, worker.reaping.is_some(), owned, attempts, made)
    }

    fn looks_of_container(&self, id: usize) -> impl Ord + use<> {
        let holders: Vec<_> = self
            .workers
            .iter()
            .enumerate()
            .flat_map(|(w, worker)| worker.attempts.iter().map(move |attempt| (w, attempt)))
            .filter(|(_, attempt)| attempt.container == Some(id as Id))
            .map(|(w, attempt)| (w, attempt.known, attempt.at, attempt.job))
            .collect();
        (self.containers[id].clone(), self.bound_to(id), holders)
    }
}
