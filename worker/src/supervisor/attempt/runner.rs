//! Carries out the effects of one attempt, in order, until the plan is empty.
//!
//! Everything an attempt holds (its socket, its container, its lease) is in here and nowhere else. Dropping it
//! half way is what a crash does: the obligation row, the labels and the lease say what is left, and recovery
//! finds it.

mod settle;
mod start;

use std::sync::Arc;
use std::time::Duration;

use safeurl_protocol::Report;
use safeurl_protocol::ledger::Ledger;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{Effect, Known, Seen, learn, plan};
use crate::domain::document::{Assessment, OutcomeName, SandboxFacts};
use crate::domain::failure::{Failure, FailureStage};
use crate::domain::scan::{Job, Lease, WorkerId};
use crate::domain::state::{Event, State, Transition};
use crate::domain::target::{Masked, Target};
use crate::gateway::{Door, DoorFiles};
use crate::sandbox::{Network, Outcome, Ran, Sandbox, SandboxError, Waiting as _};
use crate::supervisor::Shared;
use crate::supervisor::ending::{Ending, Watched, decide, outcome_name};
use crate::supervisor::invocation::{Terms, millis};

/// How long a ready container waits for a job before it is thrown away.
const IDLE: Duration = Duration::from_secs(5);

/// What did not do its part before the hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) struct Trouble {
    pub(in crate::supervisor) reason: String,
    /// Waiting may cure it.
    pub(in crate::supervisor) passing: bool,
}

impl Trouble {
    pub(in crate::supervisor) fn of(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let refused = error.downcast_ref::<SandboxError>().is_some_and(SandboxError::is_lasting);
        Self { reason: format!("{what}: {}", chain(error)), passing: !refused }
    }
}

/// What the loop may tell a running attempt. Later orders outrank earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::supervisor) enum Order {
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
    orders: watch::Receiver<Order>,
    number: u64,
    name: String,
    uid: Option<u32>,
    /// What the door is to be, until it is opened.
    files: Option<DoorFiles>,
    door: Option<Door>,
    container: Option<String>,
    waiting: Option<S::Waiting>,
    start_ms: Option<u64>,
    work: Option<Work>,
    claimed: bool,
    trouble: Option<Trouble>,
}

/// What there is from the claim on.
struct Work {
    lease: Option<Lease>,
    job: Job,
    target: Target,
    terms: Terms,
    outcome: Option<Outcome>,
    ended: Option<OutcomeName>,
    exit_code: Option<i64>,
    run_ms: u64,
    stderr_tail: String,
    ledger: Ledger,
    ending: Option<Ending>,
    assessment: Option<Assessment>,
    /// The report with the body, where evidence is kept.
    whole: Option<Arc<Report>>,
}

impl<S: Sandbox> Runner<S> {
    pub(in crate::supervisor) fn new(
        shared: Arc<Shared<S>>,
        number: u64,
        orders: watch::Receiver<Order>,
    ) -> Self {
        let name = container_name(&shared.worker, number);
        Self {
            shared,
            orders,
            number,
            name,
            uid: None,
            files: None,
            door: None,
            container: None,
            waiting: None,
            start_ms: None,
            work: None,
            claimed: false,
            trouble: None,
        }
    }

    /// Runs the attempt to its end.
    pub(in crate::supervisor) async fn run(mut self) -> Summary {
        let mut known = Some(Known::SlotFree);
        while let Some(now) = known.take() {
            if let (Known::LeaseLost, Some(work)) = (now, &self.work) {
                // The new holder decides; what its last edge leaves behind is ours to remove then.
                self.shared.leave(&self.name, Some(&work.job.id));
            }
            for effect in plan(now) {
                known = learn(*effect, self.carry_out(*effect).await);
                if known.is_some() {
                    break;
                }
            }
        }
        Summary { claimed: self.claimed, trouble: self.trouble }
    }

    async fn carry_out(&mut self, effect: Effect) -> Seen {
        match effect {
            Effect::Oblige => self.oblige().await,
            Effect::OpenDoor => self.open_door().await,
            Effect::Create => self.create().await,
            Effect::Start => self.start().await,
            Effect::Claim => self.claim().await,
            Effect::Bind => self.bind().await,
            Effect::Run => self.hand_over().await,
            Effect::TakeOver | Effect::Examine | Effect::Follow => Seen::Lost,
            Effect::CloseDoor => self.close_door().await,
            Effect::Confirm => Seen::Done,
            Effect::Kill => self.kill().await,
            Effect::Advance => self.advance().await,
            Effect::Judge => self.judge().await,
            Effect::Settle => self.settle().await,
            Effect::Release => self.release().await,
            Effect::Remove => self.remove().await,
            Effect::DiscardDoor => {
                if let Some(door) = self.door.take()
                    && let Err(error) = door.discard()
                {
                    warn!(door.id = door.id, error = chain(&error), "a gateway socket is left to the end");
                }
                Seen::Done
            }
        }
    }

    async fn hand_over(&mut self) -> Seen {
        let (Some(work), Some(waiting)) = (&mut self.work, self.waiting.take()) else {
            return Seen::Trouble;
        };
        let invocation = work.terms.invocation(&work.job, &work.target, &self.shared.config);
        let line = match serde_json::to_string(&invocation) {
            Ok(line) => line,
            Err(error) => {
                return self.troubled("writing an invocation", &error);
            }
        };
        let mut orders = self.orders.clone();
        let stopped = async move {
            // The loop holds the sender for as long as the attempt runs; should it be gone, nobody cancels.
            if orders.wait_for(|order| matches!(order, Order::Cancel | Order::Abort)).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::pin!(stopped);
        let attempt = work.job.attempt_name();
        let lost = lost_lease(self.orders.clone());
        let ran = tokio::select! {
            // A job that is lost already is not handed over at all.
            biased;
            () = lost => return Seen::Lost,
            ran = waiting.run(&line, &attempt, work.terms.timeout, stopped, async { true }) => ran,
        };
        info!(
            scan.id = %work.job.id,
            container.id = self.container.as_deref().unwrap_or_default(),
            outcome = ?outcome_name(&ran.outcome),
            exit_code = ran.exit_code,
            start_ms = self.start_ms,
            run_ms = ran.run_ms,
            "container ended"
        );
        let Ran { outcome, stderr_tail, run_ms, exit_code } = ran;
        if outcome == Outcome::Disowned {
            return Seen::Lost;
        }
        work.ended = Some(outcome_name(&outcome));
        work.outcome = Some(outcome);
        (work.stderr_tail, work.run_ms, work.exit_code) = (stderr_tail, run_ms, exit_code);
        Seen::Over
    }

    async fn close_door(&mut self) -> Seen {
        let Some(door) = &self.door else { return Seen::Done };
        let ledger = match door.close().await {
            Ok(ledger) => ledger,
            Err(error) => {
                // An incomplete ledger makes the attempt count as lost, which is what it is.
                warn!(error = chain(&error), "the gateway's ledger cannot be read");
                Ledger::default()
            }
        };
        let Some(work) = &mut self.work else { return Seen::Done };
        let Some(outcome) = work.outcome.take() else { return Seen::Done };
        work.ledger = ledger;
        let watched = match self.shared.config.network {
            Network::None => Watched::Gateway(&work.ledger),
            Network::Bridge => Watched::Bridge,
        };
        let mut ending = decide(outcome, &work.job.attempt_name(), watched);
        // A body nobody asked for is dropped as well.
        let body = ending.take_body();
        ending.without_secrets(&work.terms.headers);
        if self.shared.config.evidence {
            work.whole = ending.report().map(|report| Arc::new(Report { body, ..report.clone() }));
        }
        match *self.orders.borrow() {
            Order::LeaseLost => return Seen::Lost,
            Order::Abort if !matches!(ending, Ending::Report(_)) => ending = Ending::Aborted,
            Order::Work | Order::Drain | Order::Cancel | Order::Abort => {}
        }
        let end = ending.end();
        work.ending = Some(ending);
        Seen::Ends(end)
    }

    /// Nothing is settled before the container is surely dead, so this goes on until the engine says so.
    async fn kill(&mut self) -> Seen {
        let Some(id) = self.container.clone() else { return Seen::Done };
        let mut failures = 0;
        while let Err(error) = self.shared.sandbox.kill(&id).await {
            failures += 1;
            if failures == 1 {
                warn!(container.id = id, error = chain(&error), "a container cannot be killed yet");
            }
            if !settle::again(&self.orders, failures).await {
                return Seen::Lost;
            }
        }
        Seen::Done
    }

    fn facts(&self) -> SandboxFacts {
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
            warm: false,
            queue_ms,
            start_ms: self.start_ms,
            run_ms: work.filter(|work| work.ended.is_some()).map(|work| work.run_ms),
            adopted: false,
        }
    }
}

/// The name of an attempt's container, which its obligation has before the container is there.
pub(in crate::supervisor) fn container_name(worker: &WorkerId, number: u64) -> String {
    format!("safeurl-{worker}-{number}")
}

/// Waits until the lease is somebody else's.
async fn lost_lease(mut orders: watch::Receiver<Order>) {
    if orders.wait_for(|order| *order == Order::LeaseLost).await.is_err() {
        std::future::pending::<()>().await;
    }
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

/// What the log says of an edge, kept until the edge is written.
pub(in crate::supervisor) struct Told {
    from: State,
    to: State,
    reason: &'static str,
    failure: Option<Failure>,
}

impl Told {
    pub(in crate::supervisor) fn of(transition: &Transition) -> Self {
        Self {
            from: transition.from(),
            to: transition.to(),
            reason: transition.event().name(),
            failure: transition.event().failure().cloned(),
        }
    }

    fn of_claim() -> Self {
        Self { from: State::Queued, to: State::Fetching, reason: Event::Claim.name(), failure: None }
    }
}

/// The reason, where no container had a part in it: one from there may quote a page, or the query of an address.
fn ours(failure: &Failure) -> Option<&str> {
    match failure.stage {
        FailureStage::Fetch | FailureStage::Report => None,
        FailureStage::Claim | FailureStage::Start | FailureStage::Analyse | FailureStage::Store => {
            Some(&failure.message)
        }
    }
}

/// One line per transition.
pub(in crate::supervisor) fn logged(job: &Job, told: &Told) {
    let Told { from, to, reason, failure } = told;
    let target = Target::parse(&job.url).ok();
    let url = target.as_ref().map(|target| Masked(target.url()).to_string()).unwrap_or_default();
    info!(
        scan.id = %job.id,
        scan.attempt = job.attempt,
        from = %from,
        to = %to,
        reason,
        failure.class = failure.as_ref().map(|failure| failure.class.as_str()),
        failure.message = failure.as_ref().and_then(ours),
        url,
        "transition"
    );
}
