//! Carries out the effects of one attempt, in order, until the plan is empty.
//!
//! Everything an attempt holds (its socket, its container, its lease) is in here and nowhere else. Dropping it
//! half way is what a crash does: the obligation row, the labels and the lease say what is left, and recovery
//! finds it.

mod adopt;
mod fetch;
mod settle;
mod start;
mod told;

use std::io;
use std::sync::Arc;

use safeurl_protocol::Report;
use safeurl_protocol::ledger::Ledger;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{Instrument as _, Span, warn};

use super::{Effect, Known, Seen, learn, plan};
use crate::domain::delivery::{AFTER_LEASE, Delivery};
use crate::domain::document::{Assessment, OutcomeName, SandboxFacts};
use crate::domain::scan::{Job, LEASE, Lease, ScanId};
use crate::domain::state::Transition;
use crate::domain::target::Target;
use crate::gateway::{AdoptedDoor, Door, DoorFiles, GatewayError};
use crate::sandbox::{Outcome, Sandbox};
use crate::span::span;
use crate::store::{ContainerRow, Orphan};
use crate::supervisor::Shared;
use crate::supervisor::ending::Ending;
use crate::supervisor::invocation::{Terms, millis};
use crate::supervisor::judge::Judging;
use crate::supervisor::lease::{Asked, Hold};
use crate::supervisor::recovery::{Remedy, Wanted};
use crate::supervisor::retry::trouble_backoff;
use crate::supervisor::trouble::Trouble;

/// What the loop may tell a running attempt. Later orders outrank earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::supervisor) enum Order {
    /// Make a container and wait with it.
    Wait,
    /// Go on.
    Work,
    /// Claim nothing new; what is claimed goes on.
    Drain,
    /// A person asked to stop this job.
    Cancel,
    /// Stop now and give the job back.
    Abort,
    /// Somebody else holds the job.
    LeaseLost,
}

/// Where an attempt begins.
pub(in crate::supervisor) enum Beginning {
    /// With a free slot.
    FreeSlot,
    /// With room in the pool, for whichever job it will be called for.
    Pool,
    /// With the job of a dead worker, and the delivery that it is taken over for.
    Orphan(Box<Orphan>, Remedy, Option<Delivery>),
    /// With a job of ours whose attempt broke off.
    Stray(Box<Stray>),
}

impl Beginning {
    /// The job, where it is known from the beginning.
    pub(in crate::supervisor) fn job(&self) -> Option<&ScanId> {
        match self {
            Self::FreeSlot | Self::Pool => None,
            Self::Orphan(orphan, ..) => Some(&orphan.job.id),
            Self::Stray(stray) => Some(&stray.lease.job().id),
        }
    }
}

/// A job that this worker holds although no attempt of it works on it.
#[derive(Debug)]
pub(in crate::supervisor) struct Stray {
    pub(in crate::supervisor) lease: Lease,
    /// What was written down of its container.
    pub(in crate::supervisor) container: Option<ContainerRow>,
}

/// What an attempt hears from the loop.
pub(in crate::supervisor) struct Lines {
    pub(in crate::supervisor) orders: watch::Receiver<Order>,
    /// When the lease that it has now was asked for.
    pub(in crate::supervisor) asked: Asked,
}

/// How an attempt went, for the loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) struct Summary {
    /// It had claimed a row.
    pub(in crate::supervisor) claimed: bool,
    /// Engine, gateway or database did not do their part before the hand-over.
    pub(in crate::supervisor) trouble: Option<Trouble>,
}

/// One attempt under way.
pub(in crate::supervisor) struct Runner<S: Sandbox> {
    shared: Arc<Shared<S>>,
    lines: Lines,
    number: u64,
    /// Its part of the trace, which gets the job's name.
    span: Span,
    name: String,
    uid: Option<u32>,
    /// What its container is like, as far as that is known.
    attestation: Option<String>,
    /// What the door is to be, until it is opened.
    files: Option<DoorFiles>,
    way: Option<Way>,
    container: Option<String>,
    /// The engine said that its container is dead.
    dead: bool,
    /// Sees the container off while the result of its report is written; says whether it is dead then. Dropped with this,
    /// it does nothing more.
    leaving: JoinSet<bool>,
    waiting: Option<S::Waiting>,
    start_ms: Option<u64>,
    /// Its container is made for whichever job it will be called for.
    pooled: bool,
    /// Its container had waited for the job.
    warm: bool,
    /// What is to be taken over, until it is.
    orphan: Option<(Box<Orphan>, Remedy)>,
    /// The delivery that this is done for, until the job is ours.
    delivery: Option<Delivery>,
    origin: Origin,
    work: Option<Work>,
    claimed: bool,
    trouble: Option<Trouble>,
}

/// Whose container it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Made for this attempt.
    Own,
    /// A dead worker's.
    Adopted,
    /// Out of our reach, if there is one.
    Elsewhere,
}

/// The container's way out.
enum Way {
    Own(Door),
    /// Of a gateway without a supervisor.
    Adopted(AdoptedDoor),
    /// Of an attempt of ours that broke off: its gateway does not know that.
    Stray(DoorFiles),
}

impl Way {
    async fn close(&self) -> Result<Ledger, GatewayError> {
        match self {
            Self::Own(door) => door.close().await,
            Self::Adopted(door) => door.close().await,
            Self::Stray(files) => crate::gateway::read_ledger(&files.ledger_path)
                .map_err(|source| GatewayError::Files { path: files.ledger_path.clone(), source }),
        }
    }

    fn discard(self) -> io::Result<()> {
        match self {
            Self::Own(door) => door.discard(),
            Self::Adopted(door) => door.discard(),
            Self::Stray(files) => files.remove(),
        }
    }
}

/// What there is from the claim on.
struct Work {
    lease: Option<Lease>,
    job: Job,
    /// `None` for a row whose URL cannot be fetched.
    target: Option<Target>,
    terms: Terms,
    wanted: Wanted,
    outcome: Option<Outcome>,
    ended: Option<OutcomeName>,
    exit_code: Option<i64>,
    run_ms: u64,
    stderr_tail: String,
    ledger: Ledger,
    ending: Option<Ending>,
    /// Begun, and not asked for its result yet.
    judging: Option<Judging>,
    /// The edge to ANALYZING, where it is to be written together with the last one.
    put_off: Option<Transition>,
    assessment: Option<Assessment>,
    /// The report with the body, where evidence is kept.
    whole: Option<Arc<Report>>,
}

impl Work {
    fn new(lease: Lease, target: Option<Target>, terms: Terms) -> Self {
        Self {
            job: lease.job().clone(),
            lease: Some(lease),
            target,
            terms,
            wanted: Wanted::Still,
            outcome: None,
            ended: None,
            exit_code: None,
            run_ms: 0,
            stderr_tail: String::new(),
            ledger: Ledger::default(),
            ending: None,
            judging: None,
            put_off: None,
            assessment: None,
            whole: None,
        }
    }
}

impl<S: Sandbox> Runner<S> {
    fn new(shared: Arc<Shared<S>>, number: u64, lines: Lines) -> Self {
        Self {
            shared,
            lines,
            number,
            span: span!("attempt", job = tracing::field::Empty),
            name: String::new(),
            uid: None,
            attestation: None,
            files: None,
            way: None,
            container: None,
            dead: false,
            leaving: JoinSet::new(),
            waiting: None,
            start_ms: None,
            pooled: false,
            warm: false,
            orphan: None,
            delivery: None,
            origin: Origin::Own,
            work: None,
            claimed: false,
            trouble: None,
        }
    }

    /// Runs an attempt from where it begins to its end.
    pub(in crate::supervisor) async fn run(
        shared: Arc<Shared<S>>,
        number: u64,
        lines: Lines,
        beginning: Beginning,
    ) -> Summary {
        let runner = Self::new(shared, number, lines);
        let span = runner.span.clone();
        runner.go(beginning).instrument(span).await
    }

    async fn go(mut self, beginning: Beginning) -> Summary {
        let known = match beginning {
            Beginning::FreeSlot => Known::SlotFree,
            Beginning::Pool => {
                self.pooled = true;
                Known::SlotFree
            }
            Beginning::Orphan(orphan, remedy, delivery) => {
                self.delivery = delivery;
                self.orphaned(orphan, remedy)
            }
            Beginning::Stray(stray) => self.strayed(*stray).await,
        };
        self.go_on(known).await;
        // Somebody else was faster, or this worker is to end.
        if let Some(delivery) = self.delivery.take() {
            self.shared.queue.postpone(&delivery, LEASE + AFTER_LEASE);
        }
        Summary { claimed: self.claimed, trouble: self.trouble }
    }

    async fn go_on(&mut self, known: Known) {
        let mut known = Some(known);
        while let Some(now) = known.take() {
            if now == Known::LeaseLost {
                if let Some(work) = &self.work {
                    warn!(scan.id = %work.job.id, "lost the lease of a job; whoever has it now sees to its end");
                    self.shared.metrics.lease_lost();
                    if let Some(delivery) = &work.job.delivery {
                        self.shared.queue.let_go(&delivery.token);
                    }
                }
                if self.origin == Origin::Own {
                    // The new holder decides; what its last edge leaves behind is ours to remove then.
                    self.shared.leave(&self.name);
                }
            }
            for effect in plan(now) {
                known = learn(*effect, self.carry_out(*effect).await);
                if known.is_some() {
                    break;
                }
            }
        }
    }

    async fn carry_out(&mut self, effect: Effect) -> Seen {
        match effect {
            Effect::Oblige => self.oblige().instrument(span!("oblige", by = "database")).await,
            Effect::OpenDoor => self.open_door().instrument(span!("open door", by = "gateway")).await,
            Effect::Create => self.create().instrument(span!("create")).await,
            Effect::Start => self.start().instrument(span!("start")).await,
            // Two parts: the wait for a job has a span of its own.
            Effect::Claim => self.claim().await,
            Effect::Bind => self.bind().instrument(span!("bind", by = "gateway")).await,
            Effect::Run => self.hand_over().instrument(span!("run")).await,
            Effect::TakeOver => self.take_over().instrument(span!("take over", by = "database")).await,
            Effect::Examine => self.examine().instrument(span!("examine")).await,
            Effect::Follow => self.follow().instrument(span!("follow", by = "container")).await,
            Effect::CloseDoor => self.close_door().instrument(span!("close door", by = "gateway")).await,
            Effect::Confirm => self.confirm().instrument(span!("confirm")).await,
            Effect::Kill => self.kill().instrument(span!("kill")).await,
            // It may be written together with the last edge.
            Effect::Advance => self.advance().await,
            // It may have begun before; its part of the trace begins and ends with it.
            Effect::Judge => self.judge().await,
            Effect::Settle => self.settle().instrument(span!("settle", by = "database")).await,
            Effect::Release => self.release().instrument(span!("release", by = "database")).await,
            Effect::Remove => self.remove().instrument(span!("remove")).await,
            Effect::DiscardDoor => {
                let _span = span!("discard door").entered();
                if let Some(way) = self.way.take()
                    && let Err(error) = way.discard()
                {
                    warn!(
                        container.name = self.name,
                        error = chain(&error),
                        "a gateway socket is left to the end"
                    );
                }
                Seen::Done
            }
        }
    }

    /// The attempt's hold on its job; `None` without one.
    fn hold(&self) -> Option<Hold<S>> {
        let work = self.work.as_ref()?;
        Some(Hold {
            shared: Arc::clone(&self.shared),
            job: work.job.clone(),
            orders: self.lines.orders.clone(),
            asked: self.lines.asked.clone(),
        })
    }

    async fn confirm(&mut self) -> Seen {
        match self.hold() {
            Some(hold) if hold.is_ours().await => Seen::Done,
            Some(_) | None => Seen::Lost,
        }
    }

    fn facts(&self) -> SandboxFacts {
        if self.origin == Origin::Elsewhere {
            return SandboxFacts::default();
        }
        let config = &self.shared.config;
        let work = self.work.as_ref();
        let queue_ms = work.and_then(|work| {
            let due = work.job.run_at.unwrap_or(work.job.created).max(work.job.created);
            work.job.started.map(|started| u64::try_from(started.millis() - due.millis()).unwrap_or(0))
        });
        let mut limits = config.limits;
        if let Some(work) = work {
            limits.timeout_ms = millis(work.terms.timeout);
        }
        SandboxFacts {
            engine: Some(config.engine.engine.clone()),
            runtime: config.engine.runtime.clone(),
            image: Some(config.engine.image.clone()),
            image_digest: Some(config.engine.image_digest.clone()),
            network: Some(config.engine.network.clone()),
            limits,
            outcome: work.and_then(|work| work.ended),
            exit_code: work.and_then(|work| work.exit_code),
            warm: self.warm,
            queue_ms,
            start_ms: self.start_ms,
            run_ms: work.filter(|work| work.ended.is_some()).map(|work| work.run_ms),
            attestation: self.attestation.clone(),
            adopted: self.origin == Origin::Adopted,
        }
    }
}

/// Waits before something is tried again that must succeed before the attempt can go on. `false` when there is no
/// point in it any more: the job is somebody else's, or this worker has to end.
pub(in crate::supervisor) async fn again(orders: &watch::Receiver<Order>, failures: u32) -> bool {
    const TRIES_AT_ABORT: u32 = 3;
    let mut orders = orders.clone();
    let order = *orders.borrow_and_update();
    if order == Order::LeaseLost || order == Order::Abort && failures > TRIES_AT_ABORT {
        return false;
    }
    tokio::select! {
        Ok(()) = orders.changed() => {}
        () = sleep(trouble_backoff(failures)) => {}
    }
    true
}

/// An error with its causes on one line.
pub(in crate::supervisor) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
