//! What people ask of a job: to stop it, to do it again.

use super::jobs::find;
use super::settle::{Stored, twice, write};
use super::transitions::{Edge, written};
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
        let op = OpId::fresh();
        twice(|| {
            let (id, op) = (id.clone(), op.clone());
            self.db.write(async move |unit| match find(unit, &id).await? {
                Some(job) => cancel(unit, &job, &op).await,
                None => Ok(CancelOutcome::NotFound),
            })
        })
        .await
    }

    /// Queues a failed or timed-out job again, with a fresh count of attempts.
    ///
    /// # Errors
    /// The database's.
    pub async fn replay(&self, id: &ScanId) -> Result<ReplayOutcome> {
        let op = OpId::fresh();
        let replayed = twice(|| {
            let (id, op) = (id.clone(), op.clone());
            self.db.write(async move |unit| match find(unit, &id).await? {
                Some(job) => replay(unit, &job, &op).await,
                None => Ok(ReplayOutcome::NotFound),
            })
        });
        let outcome = replayed.await;
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
        let op = OpId::fresh();
        twice(|| {
            let (jobs, op) = (jobs.clone(), op.clone());
            self.db.write(async move |unit| {
                let mut outcomes = Vec::with_capacity(jobs.len());
                for job in &jobs {
                    outcomes.push(match find(unit, &job.id).await? {
                        Some(now) if now.version == job.version => cancel(unit, &now, &op).await?,
                        Some(now) if written(unit, &now.id, &op).await?.is_some() => CancelOutcome::Cancelled,
                        Some(_) => CancelOutcome::Changed,
                        None => CancelOutcome::NotFound,
                    });
                }
                Ok(outcomes)
            })
        })
        .await
    }

    /// Queues jobs again as they were looked at, in one transaction; the outcomes are in the order of the jobs.
    ///
    /// # Errors
    /// The database's; nothing is written then.
    pub async fn replay_seen(&self, jobs: Vec<Job>) -> Result<Vec<ReplayOutcome>> {
        let op = OpId::fresh();
        let replayed = twice(|| {
            let (jobs, op) = (jobs.clone(), op.clone());
            self.db.write(async move |unit| {
                let mut outcomes = Vec::with_capacity(jobs.len());
                for job in &jobs {
                    outcomes.push(replay(unit, job, &op).await?);
                }
                Ok::<_, StoreError>(outcomes)
            })
        });
        let outcomes = replayed.await?;
        if outcomes.iter().any(|outcome| matches!(outcome, ReplayOutcome::Replayed { .. })) {
            self.announce_due();
        }
        Ok(outcomes)
    }
}

/// Tried again with the same `op`, it finds what it wrote.
async fn replay(unit: &Unit, job: &Job, op: &OpId) -> Result<ReplayOutcome> {
    let Ok(replay) = step(job.state, Event::Replay) else {
        return Ok(match written(unit, &job.id, op).await? {
            Some(version) => ReplayOutcome::Replayed { version },
            None => ReplayOutcome::NotReplayable(job.state),
        });
    };
    Ok(match write(unit, job, &replay, &Stored::default(), op).await? {
        Edge::Held(Job { version, .. }) | Edge::Before { version, .. } => ReplayOutcome::Replayed { version },
        Edge::Cancelled | Edge::Conflict => ReplayOutcome::Changed,
    })
}

/// Tried again with the same `op`, it finds what it wrote.
async fn cancel(unit: &Unit, job: &Job, op: &OpId) -> Result<CancelOutcome> {
    const REQUEST: &str = "UPDATE scan_jobs SET cancel_requested = 1
        WHERE id = ? AND state IN ('FETCHING', 'ANALYZING')";
    match job.state {
        State::Queued => {
            let failure =
                Failure::new(FailureClass::Cancelled, FailureStage::Claim, "cancelled before it was started");
            let refused = step(job.state, Event::Refuse(failure))
                .map_err(|_| StoreError::Unfit { what: "a queued job cannot be refused" })?;
            write(unit, job, &refused, &Stored::default(), op).await?;
            Ok(CancelOutcome::Cancelled)
        }
        State::Fetching | State::Analyzing => {
            unit.execute_later(REQUEST, [job.id.as_str()]).await?;
            Ok(CancelOutcome::Requested)
        }
        State::Completed | State::Failed | State::TimedOut => Ok(match written(unit, &job.id, op).await? {
            Some(_) => CancelOutcome::Cancelled,
            None => CancelOutcome::AlreadyFinal(job.state),
        }),
    }
}
