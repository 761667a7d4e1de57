//! What people ask of a job: to stop it, to do it again.

use super::jobs::find;
use super::settle::{Rows, write};
use super::transitions::Edge;
use super::{Result, Store, StoreError};
use crate::db::Unit;
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::{Job, OpId, ScanId};
use crate::domain::state::{Event, State, step};

/// What became of a wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It was queued and is FAILED/cancelled now.
    Cancelled,
    /// Its owner will see the wish at the next renewal.
    Requested,
    /// It has ended.
    AlreadyFinal(State),
    /// Somebody else changed it since it was looked at; nothing was written.
    Changed,
    /// There is no such job.
    NotFound,
}

/// What became of a wish to do a job again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// It is queued.
    Replayed {
        /// The row's version now.
        version: i64,
    },
    /// Only a failed or timed-out job is done again.
    NotReplayable(State),
    /// Somebody else changed it since it was looked at; nothing was written.
    Changed,
    /// There is no such job.
    NotFound,
}

impl Store {
    /// Cancels a job, or asks its owner to.
    ///
    /// # Errors
    /// The database's.
    pub async fn request_cancel(&self, id: &ScanId) -> Result<CancelOutcome> {
        let id = id.clone();
        self.db
            .write(async move |unit| match find(unit, &id).await? {
                Some(job) => cancel(unit, &job).await,
                None => Ok(CancelOutcome::NotFound),
            })
            .await
    }

    /// Queues a failed or timed-out job again, with a fresh count of attempts.
    ///
    /// # Errors
    /// The database's.
    pub async fn replay(&self, id: &ScanId) -> Result<ReplayOutcome> {
        let id = id.clone();
        let outcome = self
            .db
            .write(async move |unit| match find(unit, &id).await? {
                Some(job) => replay(unit, &job).await,
                None => Ok(ReplayOutcome::NotFound),
            })
            .await;
        if matches!(outcome, Ok(ReplayOutcome::Replayed { .. })) {
            self.announce_due();
        }
        outcome
    }

    /// Cancels jobs as they were looked at, in one transaction; the outcomes are in the order of the jobs.
    ///
    /// # Errors
    /// The database's; nothing is written then.
    pub async fn cancel_seen(&self, jobs: Vec<Job>) -> Result<Vec<CancelOutcome>> {
        self.db
            .write(async move |unit| {
                let mut outcomes = Vec::with_capacity(jobs.len());
                for job in &jobs {
                    outcomes.push(match find(unit, &job.id).await? {
                        Some(now) if now.version == job.version => cancel(unit, &now).await?,
                        Some(_) => CancelOutcome::Changed,
                        None => CancelOutcome::NotFound,
                    });
                }
                Ok(outcomes)
            })
            .await
    }

    /// Queues jobs again as they were looked at, in one transaction; the outcomes are in the order of the jobs.
    ///
    /// # Errors
    /// The database's; nothing is written then.
    pub async fn replay_seen(&self, jobs: Vec<Job>) -> Result<Vec<ReplayOutcome>> {
        let outcomes: Vec<ReplayOutcome> = self
            .db
            .write(async move |unit| {
                let mut outcomes = Vec::with_capacity(jobs.len());
                for job in &jobs {
                    outcomes.push(replay(unit, job).await?);
                }
                Ok::<_, StoreError>(outcomes)
            })
            .await?;
        if outcomes.iter().any(|outcome| matches!(outcome, ReplayOutcome::Replayed { .. })) {
            self.announce_due();
        }
        Ok(outcomes)
    }
}

async fn replay(unit: &Unit, job: &Job) -> Result<ReplayOutcome> {
    let Ok(replay) = step(job.state, Event::Replay) else {
        return Ok(ReplayOutcome::NotReplayable(job.state));
    };
    Ok(match write(unit, job, &replay, &Rows::default(), &OpId::fresh()).await? {
        Edge::Held(Job { version, .. }) | Edge::Before { version, .. } => ReplayOutcome::Replayed { version },
        Edge::Cancelled | Edge::Conflict => ReplayOutcome::Changed,
    })
}

async fn cancel(unit: &Unit, job: &Job) -> Result<CancelOutcome> {
    const REQUEST: &str = "UPDATE scan_jobs SET cancel_requested = 1
        WHERE id = ? AND state IN ('FETCHING', 'ANALYZING')";
    match job.state {
        State::Queued => {
            let failure =
                Failure::new(FailureClass::Cancelled, FailureStage::Claim, "cancelled before it was started");
            let refused = step(job.state, Event::Refuse(failure))
                .map_err(|_| StoreError::Unfit { what: "a queued job cannot be refused" })?;
            write(unit, job, &refused, &Rows::default(), &OpId::fresh()).await?;
            Ok(CancelOutcome::Cancelled)
        }
        State::Fetching | State::Analyzing => {
            unit.execute(REQUEST, [job.id.as_str()]).await?;
            Ok(CancelOutcome::Requested)
        }
        State::Completed | State::Failed | State::TimedOut => Ok(CancelOutcome::AlreadyFinal(job.state)),
    }
}
