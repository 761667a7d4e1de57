//! The one task that decides. It hears everything as events, owns the counters, and starts everything else; it
//! never waits for a database or an engine itself.

mod deliveries;
mod gateway;
mod starts;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{Instrument as _, error, info, warn};

use super::attempt::runner::{Beginning, Order, Stray, Summary, chain};
use super::lease::Moment;
use super::pool::Pool;
use super::progress::{Note, Progress};
use super::recovery::{Remedy, orphans, reaper, run_dirs};
use super::slots::{Signal, Slots};
use super::trouble::{Side, Trouble, Troubles};
use super::under_way::{Origin, Over, UnderWay};
use super::{Finished, Shared};
use crate::domain::delivery::Delivery;
use crate::domain::scan::RENEWAL;
use crate::gateway::{Gateway, GatewayConfig, GatewayError, GatewayEvent};
use crate::metrics::Part;
use crate::queue::QueueError;
use crate::sandbox::{Sandbox, SandboxError};
use crate::shutdown::{Phase, Shutdown};
use crate::span::span;
use crate::store::{Held, Orphan, StoreError};

/// How often recovery looks.
const SWEEP: Duration = Duration::from_secs(1);

/// How often the loop turns although nothing happens, so that it is seen to.
const TURN: Duration = Duration::from_secs(1);

/// How often the reaper asks the engine what there is, besides looking at what is written down.
const LISTING: Duration = Duration::from_secs(10);

/// How long the end of the loop waits for what was begun beside the attempts.
const CHORES: Duration = Duration::from_secs(5);

/// What a chore brings back. Chores are what the loop would otherwise wait for.
enum Done {
    Renewed {
        asked_for: Vec<u64>,
        sent: Moment,
        held: Result<Vec<Held>, StoreError>,
    },
    /// How many rows were due, and how many jobs had been claimed when that was asked.
    Looked {
        claims: usize,
        rows: Result<usize, QueueError>,
    },
    Orphans(Result<Vec<(Orphan, Remedy)>, StoreError>),
    Delivered(Delivery, Result<Option<Box<(Orphan, Remedy)>>, StoreError>),
    Stray(Result<Option<Box<Stray>>, StoreError>),
    Obliged,
    Buried,
    Cleared,
    Probed {
        sent: Moment,
        answer: Result<(), SandboxError>,
        queue: Result<(), QueueError>,
    },
    GatewayRestarted(Result<Gateway, GatewayError>),
}

/// The loop's own state; nobody else touches it.
pub(super) struct Loop<S: Sandbox> {
    shared: Arc<Shared<S>>,
    gateway_config: GatewayConfig,
    run_base: PathBuf,
    slots: Slots,
    pool: Pool,
    under_way: UnderWay<S>,
    chores: JoinSet<Done>,
    /// Attempts that had a job and are over, for the worker's row.
    attempts_ended: u64,
    claims: usize,
    renewing: bool,
    looking: bool,
    seeking: bool,
    burying: bool,
    clearing: bool,
    obliging: bool,
    list_at: Instant,
    restarting_gateway: bool,
    troubles: Troubles,
    probe_at: Option<Instant>,
    refill_at: Option<Instant>,
    parked_until: Option<Instant>,
    phase: Phase,
    abort_at: Option<Instant>,
    aborted: bool,
}

impl<S: Sandbox> Loop<S> {
    pub(super) fn new(shared: Arc<Shared<S>>, gateway_config: GatewayConfig, run_base: PathBuf) -> Self {
        Self {
            slots: Slots::new(shared.config.slots),
            pool: Pool::new(shared.config.pool),
            under_way: UnderWay::new(Arc::clone(&shared)),
            shared,
            gateway_config,
            run_base,
            chores: JoinSet::new(),
            attempts_ended: 0,
            claims: 0,
            renewing: false,
            looking: false,
            seeking: false,
            burying: false,
            clearing: false,
            obliging: false,
            list_at: Instant::now(),
            restarting_gateway: false,
            troubles: Troubles::default(),
            probe_at: None,
            refill_at: None,
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
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gateway = shared.gateway();
        shared.metrics.answers(Part::Jobs);
        self.oblige_ahead();
        loop {
            shared.metrics.turned(self.slots.counts());
            self.obey(shutdown.phase());
            self.refill();
            if self.phase != Phase::Running && self.under_way.is_empty() {
                self.finish_chores().await;
                return Finished { aborted: self.aborted };
            }
            let may_look = self.slots.can_start() && !self.looking && self.parked_until.is_none();
            tokio::select! {
                biased;
                () = beyond(&shutdown, self.phase) => {}
                Some(note) = notes.recv() => self.noted(note),
                Some(ended) = self.under_way.join_next() => self.ended(ended),
                Some(done) = self.chores.join_next() => {
                    if let Some(restarted) = self.done(done) {
                        gateway = restarted;
                    }
                }
                _ = renewals.tick(), if !self.renewing => self.renew(),
                _ = sweeps.tick() => self.sweep(),
                _ = turns.tick() => {}
                () = at(self.abort_at) => self.abort(),
                () = at(self.probe_at) => self.probe(),
                () = at(self.refill_at) => {}
                () = at(self.parked_until) => self.parked_until = None,
                // Asked of a dead one too: its death is news until it was heard.
                event = gateway.next_event() => self.gateway_event(event),
                due = shared.queue.due(), if may_look => self.heard(due),
            }
        }
    }

    /// The reaper may be between removing a container and writing that down.
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
        self.shared.metrics.draining();
        match phase {
            Phase::Running => {}
            Phase::Draining => {
                let (scans, grace) = (self.under_way.holders().len(), self.shared.config.drain_grace);
                info!(scans, grace_s = grace.as_secs(), "draining: no new job is taken, scans may finish");
                self.under_way.order_all(Order::Drain);
                self.abort_at = Some(Instant::now() + self.shared.config.drain_grace);
            }
            Phase::Aborting => self.abort(),
        }
    }

    fn abort(&mut self) {
        self.abort_at = None;
        let scans = self.under_way.holders().len();
        if scans > 0 {
            info!(scans, "the scans under way are killed");
        }
        self.aborted |= self.under_way.hold_jobs();
        self.under_way.order_all(Order::Abort);
    }

    fn noted(&mut self, note: Note) {
        match note {
            Note::Claimed { attempt, job } => {
                self.parked_until = None;
                self.claims += 1;
                let Some((origin, aborting)) = self.under_way.claimed(attempt, job) else { return };
                let _ = self.slots.on(match origin {
                    Origin::Slot => Signal::Claimed,
                    // Nobody in the pool claims uncalled.
                    Origin::Left | Origin::Pool => Signal::TakenOver,
                });
                // The claim was under way when the abort came.
                self.aborted |= aborting;
            }
            Note::Freed { attempt } => {
                if let Some(claimed) = self.under_way.freed(attempt) {
                    self.parked_until = None;
                    let _ = self.slots.on(Signal::Over { claimed });
                }
            }
            Note::Waits { attempt, door } => {
                self.pool.ready(attempt, door, Instant::now());
                self.shared.progress(Progress::ContainerWaits);
            }
            Note::Died { attempt } => self.pool.failed(attempt, Instant::now()),
            Note::Old { attempt } => {
                self.pool.spent(attempt);
            }
            Note::Orphan { job, delivery } => self.delivered(job, delivery),
            Note::FewObliged => self.oblige_ahead(),
            Note::Trouble(trouble) => self.troubled(trouble),
        }
    }

    fn ended(&mut self, ended: Result<(u64, Summary), JoinError>) {
        self.parked_until = None;
        let Some(Over { number, summary, origin, frees }) = self.under_way.ended(ended) else { return };
        let Summary { claimed, trouble } = summary;
        self.attempts_ended += u64::from(claimed);
        self.pool.failed(number, Instant::now());
        if frees {
            let _ = self.slots.on(Signal::Over { claimed });
        }
        match trouble {
            Some(trouble) => self.troubled(trouble),
            None if claimed && origin == Origin::Slot => {
                self.troubles.answered(Side::Start, Moment::now());
                self.troubles.calm();
            }
            None => {}
        }
    }

    /// Engine, gateway, database or queue did not do their part: nothing is claimed until they answer again.
    fn troubled(&mut self, trouble: Trouble) {
        self.troubles.begin(&trouble);
        let _ = self.slots.on(Signal::Trouble);
        let Trouble { part, reason, passing, .. } = trouble;
        self.shared.metrics.error(part);
        self.shared.metrics.silent(Part::Jobs, &reason);
        self.shared.progress(Progress::Trouble { reason, passing });
        self.probe_later();
    }

    fn probe_later(&mut self) {
        if self.probe_at.is_none() {
            self.probe_at = Some(Instant::now() + self.troubles.next_look());
        }
    }

    /// Asks whether engine and queue answer again.
    fn probe(&mut self) {
        self.probe_at = None;
        let (shared, sandbox) = (Arc::clone(&self.shared), self.shared.sandbox.clone());
        self.chores.spawn(async move {
            let sent = Moment::now();
            let (answer, queue) = tokio::join!(sandbox.version(), shared.queue.ping());
            Done::Probed { sent, answer: answer.map(|_| ()), queue }
        });
    }

    /// Jobs are due, or nobody could say.
    fn heard(&mut self, due: Result<(), QueueError>) {
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
        let claims = self.claims;
        let look = async move { Done::Looked { claims, rows: shared.queue.due_count(most).await } };
        self.chores.spawn(look.instrument(span!("look", by = "database")));
    }

    fn renew(&mut self) {
        self.renewing = true;
        self.troubles.settle(Moment::now());
        match self.shared.queue.silence() {
            None => self.shared.metrics.answers(Part::Queue),
            Some(reason) => self.shared.metrics.silent(Part::Queue, &reason),
        }
        self.shared.metrics.asked(Part::Database);
        let asked_for = self.under_way.holders();
        let ended = self.attempts_ended;
        let shared = Arc::clone(&self.shared);
        self.chores.spawn(async move {
            let mut sent = Moment::now();
            let mut held = shared.store.renew(&shared.worker, ended).await;
            // A worker that was stopped for a day is forgotten; it says again who it is.
            if matches!(held, Err(StoreError::UnknownWorker { .. })) && shared.register().await.is_ok() {
                sent = Moment::now();
                held = shared.store.renew(&shared.worker, ended).await;
            }
            Done::Renewed { asked_for, sent, held }
        });
    }

    /// Chores of their own, because engine and queue may be slow and a dead worker's job must not wait for that.
    fn sweep(&mut self) {
        let may_judge = self.shared.hearing().may_judge(Moment::now());
        if may_judge && self.phase == Phase::Running && !std::mem::replace(&mut self.seeking, true) {
            let shared = Arc::clone(&self.shared);
            self.chores.spawn(async move { Done::Orphans(orphans::find(&shared).await) });
        }
        let outer = self.shared.queue.is_outer() && may_judge && self.phase == Phase::Running;
        if outer && !std::mem::replace(&mut self.burying, true) {
            let shared = Arc::clone(&self.shared);
            self.chores.spawn(async move {
                orphans::bury(&shared).await;
                Done::Buried
            });
        }
        if !std::mem::replace(&mut self.clearing, true) {
            let (shared, run_base) = (Arc::clone(&self.shared), self.run_base.clone());
            let by_listing = Instant::now() >= self.list_at;
            if by_listing {
                self.list_at = Instant::now() + LISTING;
            }
            self.chores.spawn(async move {
                reaper::reap(&shared, by_listing).await;
                run_dirs::clear(&shared, &run_base).await;
                Done::Cleared
            });
        }
    }

    /// Takes what a chore brought; gives back a restarted gateway to listen to.
    fn done(&mut self, done: Result<Done, JoinError>) -> Option<Gateway> {
        match done {
            Ok(Done::Renewed { asked_for, sent, held }) => {
                self.renewing = false;
                self.renewed(&asked_for, sent, held);
            }
            Ok(Done::Looked { claims, rows }) => {
                self.looking = false;
                match rows {
                    Ok(rows) => self.start(rows, self.claims - claims),
                    Err(error) => self.troubled(Trouble::of("looking for due jobs", &error)),
                }
            }
            Ok(Done::Orphans(found)) => {
                self.seeking = false;
                self.adopt(found);
            }
            Ok(Done::Delivered(delivery, found)) => self.adopt_delivered(delivery, found),
            Ok(Done::Stray(found)) => self.take_in(found),
            Ok(Done::Obliged) => self.obliging = false,
            Ok(Done::Buried) => self.burying = false,
            Ok(Done::Cleared) => self.clearing = false,
            Ok(Done::Probed { sent, answer, queue }) => self.probed(sent, answer, queue),
            Ok(Done::GatewayRestarted(Ok(gateway))) => {
                self.restarting_gateway = false;
                *self.shared.gateway.lock().unwrap_or_else(PoisonError::into_inner) = gateway.clone();
                self.shared.metrics.answers(Part::Gateway);
                self.recovered();
                info!("the egress gateway runs again");
                return Some(gateway);
            }
            Ok(Done::GatewayRestarted(Err(error))) => {
                self.restarting_gateway = false;
                self.shared.metrics.silent(Part::Gateway, &chain(&error));
                self.troubled(Trouble::of("starting the egress gateway", &error));
            }
            Err(error) => {
                error!(error = chain(&error), "a chore of the loop panicked");
                (self.renewing, self.looking, self.seeking, self.clearing) = (false, false, false, false);
                (self.burying, self.obliging, self.restarting_gateway) = (false, false, false);
                // Had it been the probe, nobody would ask again.
                self.probe_later();
            }
        }
        None
    }

    /// Starts an attempt for each job of a dead worker: at once, because it has waited long enough.
    fn adopt(&mut self, found: Result<Vec<(Orphan, Remedy)>, StoreError>) {
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.troubled(Trouble::of("looking for jobs of dead workers", &error)),
        };
        for (orphan, remedy) in found {
            if self.phase == Phase::Running && !self.under_way.knows(&orphan.job.id) {
                self.under_way.start(Beginning::Orphan(Box::new(orphan), remedy, None));
            }
        }
    }

    fn take_in(&mut self, found: Result<Option<Box<Stray>>, StoreError>) {
        // What cannot be read now is a stray at the next renewal too.
        let Ok(Some(stray)) = found else { return };
        if self.phase != Phase::Aborting && !self.under_way.knows(&stray.lease.job().id) {
            let _ = self.slots.on(Signal::TakenOver);
            self.under_way.start(Beginning::Stray(stray));
        }
    }

    fn probed(&mut self, sent: Moment, answer: Result<(), SandboxError>, queue: Result<(), QueueError>) {
        match answer {
            Ok(()) => self.troubles.answered(Side::Engine, sent),
            Err(error) => return self.troubled(Trouble::of("asking the engine who it is", &error)),
        }
        match queue {
            Ok(()) => self.troubles.answered(Side::Queue, sent),
            Err(error) => return self.troubled(Trouble::of("asking the queue", &error)),
        }
        if !self.shared.gateway().is_alive() {
            self.restart_gateway();
        } else {
            self.recovered();
        }
    }

    /// Scans may start again, unless something else keeps them.
    fn recovered(&mut self) {
        if self.troubles.is_silent() {
            self.probe_later();
        } else {
            let _ = self.slots.on(Signal::Recovered);
            self.shared.metrics.answers(Part::Jobs);
        }
    }

    fn renewed(&mut self, asked_for: &[u64], sent: Moment, held: Result<Vec<Held>, StoreError>) {
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                self.shared.metrics.silent(Part::Database, &chain(&error));
                return self.troubled(Trouble::of("renewing leases", &error));
            }
        };
        self.shared.metrics.answers(Part::Database);
        self.shared.hearing().got_through(sent);
        self.troubles.answered(Side::Database, sent);
        for id in self.under_way.strays(&held) {
            let shared = Arc::clone(&self.shared);
            self.chores.spawn(async move { Done::Stray(orphans::stray(&shared, &id).await) });
        }
        self.under_way.renewed(asked_for, sent, &held);
    }
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
