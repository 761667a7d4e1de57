//! From an ending to a settled row and a removed container.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::{Instrument as _, warn};

use super::told::{Told, logged};
use super::{Order, Runner, again, chain};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::{Job, Lease};
use crate::domain::state::{Event, Transition, step};
use crate::queue::Settlement;
use crate::sandbox::Sandbox;
use crate::span::span;
use crate::store::{Advanced, Rows, SettleError, Settled, StoreError};
use crate::supervisor::Shared;
use crate::supervisor::attempt::Seen;
use crate::supervisor::ending::Ending;
use crate::supervisor::judge::Judging;
use crate::supervisor::progress::{Note, Progress};
use crate::supervisor::recovery::Wanted;
use crate::supervisor::retry::{after_delivered_failure, after_failure, jitter};
use crate::supervisor::rows::{self, Account};
use crate::supervisor::trouble::is_silence;

impl<S: Sandbox> Runner<S> {
    /// The analysis begins before the edge is written: it changes nothing, and what comes of it counts only once the edge
    /// is there. Where it is done at once, the edge is put off, and is written in one transaction with the last one: until
    /// then nothing is different from a report that nobody has read yet.
    pub(super) async fn advance(&mut self) -> Seen {
        let judging = self.begin_judging();
        let Some(work) = &mut self.work else { return Seen::Lost };
        work.judging = judging;
        let at_once = self.shared.config.at_once;
        if let Some(judging) = &mut work.judging
            && !at_once.is_zero()
            && judging.is_done_within(at_once).await
            && let Ok(accept) = step(work.job.state, Event::Accept)
        {
            work.put_off = Some(accept);
            return Seen::Done;
        }
        self.write_advance().instrument(span!("advance", by = "database")).await
    }

    async fn write_advance(&mut self) -> Seen {
        let Some(work) = &mut self.work else { return Seen::Lost };
        let mut failures = 0;
        while let Some(lease) = work.lease.take() {
            let Ok(transition) = step(lease.job().state, Event::Accept) else {
                return Seen::Lost;
            };
            let told = Told::of(&transition);
            match self.shared.store.advance(lease, transition).await {
                Ok(Advanced::Held(lease)) => {
                    work.job = lease.job().clone();
                    work.lease = Some(lease);
                    logged(&work.job, &told);
                    self.shared.queue.came_to(&work.job);
                    self.shared.progress(Progress::Analyzing(work.job.id.clone()));
                    return Seen::Done;
                }
                Ok(Advanced::Conflict) => return Seen::Lost,
                Err(SettleError { lease, error }) => {
                    failures += 1;
                    not_written(&self.shared, failures, &work.job, &error);
                    work.lease = Some(*lease);
                    if !again(&self.lines.orders, failures).await {
                        return Seen::Lost;
                    }
                }
            }
        }
        Seen::Lost
    }

    fn begin_judging(&self) -> Option<Judging> {
        let work = self.work.as_ref()?;
        let (Some(Ending::Report(report)), Some(target)) = (&work.ending, &work.target) else { return None };
        let limit = self.shared.config.analysis_timeout;
        let rules = Arc::clone(&self.shared.rules);
        let part = span!(of: &self.span, "judge", by = "analysis");
        Some(Judging::begin(limit, rules, target.clone(), report.clone(), work.ledger.clone(), part))
    }

    pub(super) async fn judge(&mut self) -> Seen {
        let begun = self.work.as_mut().and_then(|work| work.judging.take());
        let Some(judging) = begun.or_else(|| self.begin_judging()) else { return Seen::Lost };
        let (judged, took) = judging.end().await;
        self.shared.metrics.analysed(took);
        let Some(work) = &mut self.work else { return Seen::Lost };
        match judged {
            Ok(assessment) => {
                work.assessment = Some(assessment);
                Seen::Done
            }
            Err(failure) => {
                let Some(Ending::Report(report)) = work.ending.take() else { return Seen::Lost };
                let ending = Ending::Failure { failure, report: Some(report) };
                let end = ending.end();
                work.ending = Some(ending);
                Seen::Ends(end)
            }
        }
    }

    pub(super) async fn settle(&mut self) -> Seen {
        let facts = self.facts();
        let Some(work) = &mut self.work else { return Seen::Lost };
        let (Some(lease), Some(ending)) = (work.lease.take(), work.ending.take()) else {
            return Seen::Lost;
        };
        let event = match &ending {
            Ending::Report(_) => Event::Complete,
            Ending::Failure { failure, .. } => next(&self.shared, &work.job, failure.clone()).await,
            Ending::Cancelled => Event::Fail(cancelled(work.wanted)),
            Ending::Aborted => Event::Release,
        };
        let put_off = work.put_off.take();
        let from = put_off.as_ref().map_or(work.job.state, Transition::to);
        let Ok(transition) = step(from, event) else { return Seen::Lost };
        let account = Account {
            job: &work.job,
            target: work.target.as_ref(),
            terms: &work.terms,
            ledger: &work.ledger,
            ending: &ending,
            assessment: work.assessment.as_ref(),
            stderr_tail: &work.stderr_tail,
            facts,
        };
        let rows = rows::of_attempt(&self.shared, account, &transition);
        let (to, told) = (transition.to(), Told::of(&transition));
        let settlement = Settlement::of(&transition);
        let accepted = put_off.as_ref().map(Told::of);
        match settle_until_answered(&self.shared, &self.lines.orders, lease, (put_off, transition), rows)
            .await
        {
            Settled::Done { .. } => {
                if let Some(accepted) = accepted {
                    logged(&work.job, &accepted);
                    self.shared.queue.came_to(&Job { state: from, ..work.job.clone() });
                    self.shared.progress(Progress::Analyzing(work.job.id.clone()));
                }
                logged(&work.job, &told);
                told_queue(&self.shared, &work.job, settlement);
                self.shared.metrics.settled(told.end());
                if to.is_final() {
                    if let Some(whole) = work.whole.take() {
                        self.shared.progress(Progress::Reported(work.job.id.clone(), whole));
                    }
                    self.shared.progress(Progress::Ended(work.job.id.clone(), to));
                } else {
                    self.shared.progress(Progress::Queued(work.job.id.clone()));
                }
                Seen::Done
            }
            Settled::Cancelled(lease) => {
                work.lease = Some(lease);
                work.ending = Some(Ending::Cancelled);
                Seen::CancelFirst
            }
            Settled::Conflict => Seen::Lost,
        }
    }

    /// The job was claimed and not handed over: it goes back as if it had not been claimed.
    pub(super) async fn release(&mut self) -> Seen {
        let Some(work) = &mut self.work else { return Seen::Done };
        let Some(lease) = work.lease.take() else { return Seen::Lost };
        let Ok(transition) = step(work.job.state, Event::Release) else { return Seen::Lost };
        let told = Told::of(&transition);
        let written = settle_until_answered(
            &self.shared,
            &self.lines.orders,
            lease,
            (None, transition),
            Rows::default(),
        );
        match written.await {
            Settled::Done { .. } => {
                logged(&work.job, &told);
                told_queue(&self.shared, &work.job, Some(Settlement::GivenBack));
                self.shared.metrics.settled(told.end());
                self.shared.progress(Progress::Queued(work.job.id.clone()));
                Seen::Done
            }
            Settled::Cancelled(lease) => {
                work.lease = Some(lease);
                work.ending = Some(Ending::Cancelled);
                Seen::CancelFirst
            }
            Settled::Conflict => Seen::Lost,
        }
    }

    /// What cannot be removed now is found by the reaper: its obligation stays.
    pub(super) async fn remove(&mut self) -> Seen {
        drop(self.waiting.take());
        // Without a user id nothing was to be created.
        if self.uid.is_none() {
            return Seen::Done;
        }
        // Without an id the create may still have reached the engine: the name finds it.
        let handle = self.container.clone().unwrap_or_else(|| self.name.clone());
        while let Some(left) = self.leaving.join_next().await {
            self.dead |= left.unwrap_or_default();
        }
        let sandbox = &self.shared.sandbox;
        let removed =
            if self.dead { sandbox.remove_dead(&handle).await } else { sandbox.remove(&handle).await };
        match removed {
            Ok(()) => {
                // What is left to write down takes nothing that another attempt needs.
                self.shared.notes.send(Note::Freed { attempt: self.number });
                let store = &self.shared.store;
                let written = async {
                    // Who is done with its last job waits for this, and for nothing else.
                    match self.shared.config.pool.jobs {
                        Some(_) => store.container_gone(&self.name).await,
                        None => store.container_gone_by_and_by(&self.name).await,
                    }
                };
                if let Err(error) = written.instrument(span!("note it gone", by = "database")).await {
                    // Removing it again does no harm, and ends in writing that down.
                    self.shared.leave(&self.name);
                    self.shared.trouble("writing down that a container is gone", &error);
                }
            }
            Err(error) => {
                self.shared.leave(&self.name);
                if is_silence(&error) {
                    self.shared.trouble("removing a container", &error);
                } else {
                    warn!(
                        container.name = self.name,
                        error = chain(&error),
                        "a container is left to the reaper"
                    );
                }
            }
        }
        Seen::Done
    }
}

/// What follows from a failed attempt. The entry that it serves decides, where there is one and anybody knows it; else the
/// job's row.
async fn next<S: Sandbox>(shared: &Shared<S>, job: &Job, failure: Failure) -> Event {
    match (&job.delivery, shared.queue.retries(job).await) {
        (Some(delivery), Some(retries)) => after_delivered_failure(job, delivery, failure, retries, jitter()),
        _ => after_failure(job, failure, jitter()),
    }
}

/// The database has the end of an attempt; the queue is told.
pub(super) fn told_queue<S: Sandbox>(shared: &Shared<S>, job: &Job, settlement: Option<Settlement>) {
    if let Some(settlement) = settlement {
        shared.queue.settled(job, settlement);
    }
}

fn cancelled(wanted: Wanted) -> Failure {
    let why = match wanted {
        Wanted::Still => "the scan was cancelled",
        Wanted::NoMore => "the command that asked for this scan has ended",
    };
    Failure::new(FailureClass::Cancelled, FailureStage::Fetch, why)
}

/// Writes an edge, behind the one that was put off, for as long as it takes: an attempt does not fail because the
/// database was busy. Who took the job over meanwhile makes it a conflict, and so does giving up: whoever takes it over
/// then goes on.
pub(super) async fn settle_until_answered<S: Sandbox>(
    shared: &Shared<S>,
    orders: &watch::Receiver<Order>,
    mut lease: Lease,
    (put_off, last): (Option<Transition>, Transition),
    rows: Rows,
) -> Settled {
    let mut failures = 0;
    loop {
        let (last, rows) = (last.clone(), rows.clone());
        let settled = match &put_off {
            Some(accept) => shared.store.accept_and_complete(lease, [accept.clone(), last], rows).await,
            None => shared.store.settle(lease, last, rows).await,
        };
        match settled {
            Ok(settled) => return settled,
            Err(SettleError { lease: kept, error }) => {
                failures += 1;
                not_written(shared, failures, kept.job(), &error);
                lease = *kept;
                if !again(orders, failures).await {
                    return Settled::Conflict;
                }
            }
        }
    }
}

/// Waiting cures what is passing, and that is told once for all attempts; what the database refuses is told of the job.
fn not_written<S: Sandbox>(shared: &Shared<S>, failures: u32, job: &Job, error: &StoreError) {
    if error.is_transient() {
        shared.trouble("writing how far a scan has come", error);
    } else if failures == 1 {
        warn!(scan.id = %job.id, error = chain(error), "the database does not take a write; trying again");
    }
}
