//! The one task that decides. It hears everything as events, owns the counters, and starts everything else; it
//! never waits for a database or an engine itself.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{error, info, warn};

use super::attempt::runner::{Order, Runner, Summary, Trouble, chain, container_name};
use super::progress::{Note, Progress};
use super::retry::trouble_backoff;
use super::slots::{Signal, Slots};
use super::{Finished, Shared, recovery};
use crate::domain::scan::{RENEWAL, ScanId};
use crate::gateway::{Gateway, GatewayConfig, GatewayError, GatewayEvent};
use crate::sandbox::{Sandbox, SandboxError};
use crate::shutdown::{Phase, Shutdown};
use crate::store::{Held, StoreError};

/// How often recovery looks.
const SWEEP: Duration = Duration::from_secs(1);

/// How long the end of the loop waits for what was begun beside the attempts.
const CHORES: Duration = Duration::from_secs(5);

/// How long rows are left alone that the attempts under way will take.
const PARKED: Duration = Duration::from_millis(50);

/// One attempt as the loop knows it.
struct Attempt {
    task: Id,
    orders: watch::Sender<Order>,
    job: Option<ScanId>,
}

/// What a chore brings back. Chores are what the loop would otherwise wait for.
enum Done {
    Renewed { asked_for: Vec<u64>, held: Result<Vec<Held>, StoreError> },
    Looked(Result<usize, StoreError>),
    Swept,
    Requeued,
    Probed(Result<(), SandboxError>),
    GatewayRestarted(Result<Gateway, GatewayError>),
}

/// The loop's own state; nobody else touches it.
pub(super) struct Loop<S: Sandbox> {
    shared: Arc<Shared<S>>,
    gateway_config: GatewayConfig,
    run_base: PathBuf,
    slots: Slots,
    attempts: JoinSet<(u64, Summary)>,
    chores: JoinSet<Done>,
    under_way: HashMap<u64, Attempt>,
    /// Jobs that came back from the last renewal and belong to no attempt.
    unknown: HashSet<ScanId>,
    next_number: u64,
    /// Attempts that had a job and are over, for the worker's row.
    attempts_ended: u64,
    renewing: bool,
    looking: bool,
    sweeping: bool,
    restarting_gateway: bool,
    database_silent: bool,
    troubles: u32,
    probe_at: Option<Instant>,
    parked_until: Option<Instant>,
    phase: Phase,
    abort_at: Option<Instant>,
    aborted: bool,
}

impl<S: Sandbox> Loop<S> {
    pub(super) fn new(shared: Arc<Shared<S>>, gateway_config: GatewayConfig, run_base: PathBuf) -> Self {
        Self {
            slots: Slots::new(shared.config.slots),
            shared,
            gateway_config,
            run_base,
            attempts: JoinSet::new(),
            chores: JoinSet::new(),
            under_way: HashMap::new(),
            unknown: HashSet::new(),
            next_number: 1,
            attempts_ended: 0,
            renewing: false,
            looking: false,
            sweeping: false,
            restarting_gateway: false,
            database_silent: false,
            troubles: 0,
            probe_at: None,
            parked_until: None,
            phase: Phase::Running,
            abort_at: None,
            aborted: false,
        }
    }

    pub(super) async fn run(
        mut self,
        shutdown: Shutdown,
        mut notes: mpsc::UnboundedReceiver<Note>,
    ) -> Finished {
        let shared = Arc::clone(&self.shared);
        let mut renewals = interval(RENEWAL);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweeps = interval(SWEEP);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gateway = shared.gateway();
        loop {
            self.obey(shutdown.phase());
            if self.phase != Phase::Running && self.attempts.is_empty() {
                self.finish_chores().await;
                return Finished { aborted: self.aborted };
            }
            let may_look = self.slots.can_start() && !self.looking && self.parked_until.is_none();
            tokio::select! {
                biased;
                () = beyond(&shutdown, self.phase) => {}
                Some(note) = notes.recv() => self.noted(note),
                Some(ended) = self.attempts.join_next() => self.ended(ended),
                Some(done) = self.chores.join_next() => {
                    if let Some(restarted) = self.done(done) {
                        gateway = restarted;
                    }
                }
                _ = renewals.tick(), if !self.renewing => self.renew(),
                _ = sweeps.tick(), if !self.sweeping => self.sweep(),
                () = at(self.abort_at) => self.abort(),
                () = at(self.probe_at) => self.probe(),
                () = at(self.parked_until) => self.parked_until = None,
                // Asked of a dead one too: its death is news until it was heard.
                event = gateway.next_event() => self.gateway_event(event),
                due = shared.queue.due(), if may_look => self.heard(due),
            }
        }
    }

    /// Recovery may be between taking a dead worker's job over and giving it back.
    async fn finish_chores(&mut self) {
        let finish = async { while self.chores.join_next().await.is_some() {} };
        if timeout(CHORES, finish).await.is_err() {
            warn!("something that was begun is left to the next worker");
        }
    }

    /// Takes over what the signals say; it only gets stronger.
    fn obey(&mut self, phase: Phase) {
        if phase == self.phase || self.phase == Phase::Aborting {
            return;
        }
        self.phase = phase;
        let _ = self.slots.on(Signal::Drain);
        match phase {
            Phase::Running => {}
            Phase::Draining => {
                self.order_all(Order::Drain);
                self.abort_at = Some(Instant::now() + self.shared.config.drain_grace);
            }
            Phase::Aborting => self.abort(),
        }
    }

    fn abort(&mut self) {
        self.abort_at = None;
        self.aborted |= self.under_way.values().any(|attempt| attempt.job.is_some());
        self.order_all(Order::Abort);
    }

    fn order_all(&self, order: Order) {
        for attempt in self.under_way.values() {
            give(attempt, order);
        }
    }

    fn noted(&mut self, note: Note) {
        let Note::Claimed { attempt, job } = note;
        let _ = self.slots.on(Signal::Claimed);
        self.parked_until = None;
        if let Some(attempt) = self.under_way.get_mut(&attempt) {
            attempt.job = Some(job);
            // The claim was under way when the abort came.
            self.aborted |= *attempt.orders.borrow() == Order::Abort;
        }
    }

    fn ended(&mut self, ended: Result<(u64, Summary), JoinError>) {
        self.parked_until = None;
        let (number, summary) = match ended {
            Ok(ended) => ended,
            // A panic fails its attempt only. Its job is a stray from now on, and its container is left.
            Err(error) => {
                error!(error = chain(&error), "an attempt panicked");
                let mut under_way = self.under_way.iter();
                let Some((&number, attempt)) = under_way.find(|(_, attempt)| attempt.task == error.id())
                else {
                    return;
                };
                self.shared.leave(&container_name(&self.shared.worker, number), attempt.job.as_ref());
                (number, Summary { claimed: attempt.job.is_some(), trouble: None })
            }
        };
        self.under_way.remove(&number);
        self.attempts_ended += u64::from(summary.claimed);
        let _ = self.slots.on(Signal::Over { claimed: summary.claimed });
        match summary.trouble {
            Some(trouble) => self.troubled(trouble),
            None if summary.claimed => self.troubles = 0,
            None => {}
        }
    }

    /// Engine, gateway or database did not do their part: nothing is claimed until they answer again.
    fn troubled(&mut self, trouble: Trouble) {
        let Trouble { reason, passing } = trouble;
        self.troubles += 1;
        let _ = self.slots.on(Signal::Trouble);
        let wait = trouble_backoff(self.troubles);
        if self.troubles == 1 {
            warn!(reason, "no scan can be started; trying again until it can");
        }
        self.shared.progress(Progress::Trouble { reason, passing });
        self.probe_at.get_or_insert(Instant::now() + wait);
    }

    /// Asks whether the engine answers again.
    fn probe(&mut self) {
        self.probe_at = None;
        let sandbox = self.shared.sandbox.clone();
        self.chores.spawn(async move { Done::Probed(sandbox.version().await.map(|_| ())) });
    }

    /// Rows are due, or the database could not say.
    fn heard(&mut self, due: Result<(), StoreError>) {
        match due {
            Ok(()) => self.look(),
            Err(error) => self.troubled(Trouble::of("waiting for due jobs", &error)),
        }
    }

    /// Looks how many rows are due.
    fn look(&mut self) {
        self.looking = true;
        let shared = Arc::clone(&self.shared);
        let most = self.shared.config.slots;
        self.chores.spawn(async move { Done::Looked(shared.queue.due_count(most).await) });
    }

    fn renew(&mut self) {
        self.renewing = true;
        let asked_for = self.under_way.iter().filter(|(_, a)| a.job.is_some()).map(|(n, _)| *n).collect();
        let ended = self.attempts_ended;
        let shared = Arc::clone(&self.shared);
        self.chores.spawn(async move {
            let mut held = shared.store.renew(&shared.worker, ended).await;
            // A worker that was stopped for a day is forgotten; it says again who it is.
            if matches!(held, Err(StoreError::UnknownWorker { .. })) && shared.register().await.is_ok() {
                held = shared.store.renew(&shared.worker, ended).await;
            }
            Done::Renewed { asked_for, held }
        });
    }

    fn sweep(&mut self) {
        self.sweeping = true;
        let shared = Arc::clone(&self.shared);
        let run_base = self.run_base.clone();
        self.chores.spawn(async move {
            recovery::sweep(&shared, &run_base).await;
            Done::Swept
        });
    }

    /// Takes what a chore brought; gives back a restarted gateway to listen to.
    fn done(&mut self, done: Result<Done, JoinError>) -> Option<Gateway> {
        match done {
            Ok(Done::Renewed { asked_for, held }) => {
                self.renewing = false;
                self.renewed(&asked_for, held);
            }
            Ok(Done::Looked(rows)) => {
                self.looking = false;
                match rows {
                    Ok(rows) => self.start(rows),
                    Err(error) => self.troubled(Trouble::of("looking for due jobs", &error)),
                }
            }
            Ok(Done::Swept) => self.sweeping = false,
            Ok(Done::Requeued) => {}
            Ok(Done::Probed(Ok(()))) => {
                if self.shared.gateway().is_alive() {
                    let _ = self.slots.on(Signal::Recovered);
                    if self.troubles > 1 {
                        info!("scans can be started again");
                    }
                } else {
                    self.restart_gateway();
                }
            }
            Ok(Done::Probed(Err(_))) => {
                self.troubles += 1;
                self.probe_at = Some(Instant::now() + trouble_backoff(self.troubles));
            }
            Ok(Done::GatewayRestarted(Ok(gateway))) => {
                self.restarting_gateway = false;
                *self.shared.gateway.lock().unwrap_or_else(PoisonError::into_inner) = gateway.clone();
                let _ = self.slots.on(Signal::Recovered);
                info!("the egress gateway runs again");
                return Some(gateway);
            }
            Ok(Done::GatewayRestarted(Err(error))) => {
                self.restarting_gateway = false;
                self.troubled(Trouble::of("starting the egress gateway", &error));
            }
            Err(error) => {
                error!(error = chain(&error), "a chore of the loop panicked");
                (self.renewing, self.looking, self.sweeping) = (false, false, false);
                self.restarting_gateway = false;
                // Had it been the probe, nobody would ask again.
                self.probe_at.get_or_insert(Instant::now() + trouble_backoff(self.troubles));
            }
        }
        None
    }

    /// Starts attempts for due rows; with none to start, looks again only when something has changed.
    fn start(&mut self, rows: usize) {
        let starts = self.slots.on(Signal::Due(rows));
        if starts == 0 {
            self.parked_until = Some(Instant::now() + PARKED);
        }
        for _ in 0..starts {
            let number = self.next_number;
            self.next_number += 1;
            let (orders, receiver) = watch::channel(Order::Work);
            let runner = Runner::new(Arc::clone(&self.shared), number, receiver);
            let task = self.attempts.spawn(async move { (number, runner.run().await) }).id();
            self.under_way.insert(number, Attempt { task, orders, job: None });
        }
    }

    /// A job that was held when the renewal began and does not come back from it is lost. One that ended
    /// meanwhile has written its last edge and does not listen any more.
    fn renewed(&mut self, asked_for: &[u64], held: Result<Vec<Held>, StoreError>) {
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                if !self.database_silent {
                    warn!(error = chain(&error), "leases cannot be renewed; trying again");
                }
                self.database_silent = true;
                return;
            }
        };
        self.database_silent = false;
        self.look_for_strays(&held);
        for (number, attempt) in &self.under_way {
            let Some(job) = &attempt.job else { continue };
            match held.iter().find(|held| held.id == *job) {
                Some(held) if held.cancel_requested => give(attempt, Order::Cancel),
                Some(_) => {}
                None if asked_for.contains(number) => give(attempt, Order::LeaseLost),
                None => {}
            }
        }
    }

    /// A job that we hold without an attempt (its attempt panicked) would be held for ever. One that was just
    /// claimed is known by the next renewal, so a stray is a job that was unknown twice.
    fn look_for_strays(&mut self, held: &[Held]) {
        let known = |id: &ScanId| self.under_way.values().any(|attempt| attempt.job.as_ref() == Some(id));
        let unknown: HashSet<ScanId> =
            held.iter().map(|held| &held.id).filter(|id| !known(id)).cloned().collect();
        for id in self.unknown.intersection(&unknown) {
            let (shared, id) = (Arc::clone(&self.shared), id.clone());
            self.chores.spawn(async move {
                recovery::requeue_stray(&shared, &id).await;
                Done::Requeued
            });
        }
        self.unknown = unknown;
    }

    fn gateway_event(&mut self, event: GatewayEvent) {
        match event {
            GatewayEvent::Died => {
                warn!("the egress gateway died; scans under way are done again");
                let _ = self.slots.on(Signal::Trouble);
                self.restart_gateway();
            }
            // The door stays shut, so nothing got out; the container meets its end with its attempt.
            GatewayEvent::TouchedUnbound { door } => {
                warn!(door.id = door, "a container used its gateway socket before it had a job");
            }
        }
    }

    /// One at a time: an attempt may hear of the death before the loop does.
    fn restart_gateway(&mut self) {
        if std::mem::replace(&mut self.restarting_gateway, true) {
            return;
        }
        let config = self.gateway_config.clone();
        self.chores.spawn(async move { Done::GatewayRestarted(Gateway::spawn(config).await) });
    }
}

/// Tells an attempt, unless it was told something stronger before.
fn give(attempt: &Attempt, order: Order) {
    attempt.orders.send_if_modified(|current| {
        let stronger = order > *current;
        if stronger {
            *current = order;
        }
        stronger
    });
}

/// Sleeps until a moment, or for ever without one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Comes back once the shutdown has gone further than this.
async fn beyond(shutdown: &Shutdown, phase: Phase) {
    match phase {
        Phase::Running => shutdown.draining().await,
        Phase::Draining => shutdown.aborting().await,
        Phase::Aborting => std::future::pending().await,
    }
}
