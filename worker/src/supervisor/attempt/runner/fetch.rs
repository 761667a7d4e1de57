//! From the hand-over to the end of the container's part.

use std::future::pending;
use std::sync::Arc;

use safeurl_protocol::Report;
use safeurl_protocol::ledger::Ledger;
use tokio::sync::watch;
use tracing::{Instrument as _, info, warn};

use super::{Order, Origin, Runner, again, chain};
use crate::domain::state::State;
use crate::metrics::Part;
use crate::sandbox::{Network, Outcome, Ran, Sandbox, Waiting as _};
use crate::span::span;
use crate::supervisor::attempt::{End, Seen};
use crate::supervisor::ending::{Ending, Watched, decide, outcome_name};
use crate::supervisor::trouble::is_silence;

impl<S: Sandbox> Runner<S> {
    pub(super) async fn hand_over(&mut self) -> Seen {
        let (Some(work), Some(hold), Some(waiting)) = (&self.work, self.hold(), self.waiting.take()) else {
            return Seen::Trouble;
        };
        let Some(target) = &work.target else { return Seen::Trouble };
        let invocation = work.terms.invocation(&work.job, target, &self.shared.config);
        let line = match serde_json::to_string(&invocation) {
            Ok(line) => line,
            Err(error) => {
                return self.troubled("writing an invocation", &error);
            }
        };
        let attempt = work.job.attempt_name();
        let stopped = std::pin::pin!(stopped(self.lines.orders.clone()));
        let may_kill = async move { hold.is_ours().await };
        let ran = tokio::select! {
            // A job that is lost already is not handed over at all.
            biased;
            () = lost_lease(self.lines.orders.clone()) => return Seen::Lost,
            ran = waiting.run(&line, &attempt, work.terms.timeout, stopped, may_kill) => ran,
        };
        self.ran(ran)
    }

    /// Takes down how the container's part went.
    pub(super) fn ran(&mut self, ran: Ran) -> Seen {
        let Some(work) = &mut self.work else { return Seen::Lost };
        info!(
            scan.id = %work.job.id,
            container.id = self.container.as_deref().unwrap_or_default(),
            outcome = ?outcome_name(&ran.outcome),
            exit_code = ran.exit_code,
            start_ms = self.start_ms,
            run_ms = ran.run_ms,
            adopted = self.origin == Origin::Adopted,
            "the container's part is over"
        );
        let Ran { outcome, stderr_tail, run_ms, exit_code } = ran;
        self.dead = exit_code.is_some();
        if outcome == Outcome::Disowned {
            return Seen::Lost;
        }
        self.shared.metrics.ran(run_ms);
        work.ended = Some(outcome_name(&outcome));
        work.outcome = Some(outcome);
        (work.stderr_tail, work.run_ms, work.exit_code) = (stderr_tail, run_ms, exit_code);
        Seen::Over
    }

    pub(super) async fn close_door(&mut self) -> Seen {
        let ledger = match &self.way {
            Some(way) => match way.close().await {
                Ok(ledger) => ledger,
                Err(error) => {
                    self.shared.metrics.error(Part::Gateway);
                    // An incomplete ledger makes the attempt count as lost, which is what it is.
                    warn!(error = chain(&error), "the gateway's ledger cannot be read");
                    Ledger::default()
                }
            },
            None => Ledger::default(),
        };
        let Some(work) = &mut self.work else { return Seen::Done };
        let Some(outcome) = work.outcome.take() else { return Seen::Done };
        self.shared.metrics.passed(&ledger);
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
        match *self.lines.orders.borrow() {
            Order::LeaseLost => return Seen::Lost,
            Order::Abort if !matches!(ending, Ending::Report(_)) => ending = Ending::Aborted,
            Order::Wait | Order::Work | Order::Drain | Order::Cancel | Order::Abort => {}
        }
        let end = match ending.end() {
            End::Report if work.job.state == State::Analyzing => End::Accepted,
            end => end,
        };
        work.ending = Some(ending);
        if matches!(end, End::Report | End::Accepted) {
            self.begin_to_see_off();
        }
        Seen::Ends(end)
    }

    /// Nothing that the container does from here on counts, and nothing of it is lost with its death: the engine keeps
    /// what it said. So it need not live until the database has the result. One that does not end by itself is killed
    /// for who surely holds the job and for nobody else; where that cannot be known, its removal sees to it. To all
    /// others this looks as if it had ended by itself, which it may do at any moment: no plan depends on when.
    fn begin_to_see_off(&mut self) {
        let (Some(container), Some(hold), false) = (self.container.clone(), self.hold(), self.dead) else {
            return;
        };
        // Nobody waits for it before the removal, which has a part of its own.
        let part = span!(of: &self.span, "see off");
        let see_off = async move {
            let sandbox = hold.shared.sandbox.clone();
            // What is in the engine's way is in that of the removal, too, which tells of it.
            sandbox.see_off(&container, async move { hold.is_ours().await }).await.unwrap_or(false)
        };
        self.leaving.spawn(see_off.instrument(part));
    }

    /// Nothing is settled before the container is surely dead, so this goes on until the engine says so.
    pub(super) async fn kill(&mut self) -> Seen {
        let Some(id) = self.container.clone() else { return Seen::Done };
        let mut failures = 0;
        while let Err(error) = self.shared.sandbox.kill(&id).await {
            failures += 1;
            if is_silence(&error) {
                self.shared.trouble("killing a container", &error);
            } else if failures == 1 {
                warn!(container.id = id, error = chain(&error), "a container cannot be killed yet");
            }
            // What was ours before the wait need not be ours after it.
            if !again(&self.lines.orders, failures).await || self.confirm().await != Seen::Done {
                return Seen::Lost;
            }
        }
        self.dead = true;
        Seen::Done
    }
}

/// Waits for a wish to stop the container.
pub(super) async fn stopped(mut orders: watch::Receiver<Order>) {
    // The loop holds the sender for as long as the attempt runs; should it be gone, nobody cancels.
    if orders.wait_for(|order| matches!(order, Order::Cancel | Order::Abort)).await.is_err() {
        pending::<()>().await;
    }
}

/// Waits until the lease is somebody else's.
pub(super) async fn lost_lease(mut orders: watch::Receiver<Order>) {
    if orders.wait_for(|order| *order == Order::LeaseLost).await.is_err() {
        pending::<()>().await;
    }
}
