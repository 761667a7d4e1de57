//! Writing edges together with what belongs to them: the attempt's record, the document, the result and the
//! audit go into the transaction of the UPDATE, or nothing does.

use super::attempts::{self, AttemptRecord};
use super::hosts::{Pause, not_before};
use super::transitions::{Edge, write_edge};
use super::{Result, Store, StoreError, audit, documents, results};
use crate::db::{DbError, Unit};
use crate::domain::document::{Body, EgressEntry};
use crate::domain::scan::{Job, Lease, OpId};
use crate::domain::state::{Event, State, Transition};

/// What is stored with an edge.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// The attempt that ended by it.
    pub attempt: Option<AttemptRecord>,
    /// What was seen and judged. COMPLETED needs one; FAILED and TIMED_OUT get an empty one when it is missing.
    pub body: Option<Body>,
    /// What left the machine, for edges without a body; with one, its own list counts.
    pub egress: Vec<EgressEntry>,
    /// A host that asked to be left alone.
    pub pause: Option<Pause>,
}

/// What became of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It holds, with all of its rows.
    Done {
        /// The version that it gave the row.
        version: i64,
    },
    /// An edge to QUEUED was not taken because a person asked to cancel; the row is unchanged and is to end
    /// FAILED/cancelled.
    Cancelled,
    /// Somebody else changed the row; nothing was written.
    Conflict,
}

/// What became of a lease that stays.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one per edge, moved at once")]
pub enum Advanced {
    /// The lease with the row as it is now.
    Held(Lease),
    /// Somebody else has the row; the lease is gone.
    Conflict,
}

/// What became of a lease that was to end.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one per edge, moved at once")]
pub enum Settled {
    /// The edge holds, with all of its rows.
    Done {
        /// The version that it gave the row.
        version: i64,
    },
    /// An edge to QUEUED was not taken because a person asked to cancel; the row is unchanged and is to end
    /// FAILED/cancelled with this lease.
    Cancelled(Lease),
    /// Somebody else has the row; the lease is gone.
    Conflict,
}

/// The database did not answer; the lease is still there and the edge may be tried again. Whether it was written is
/// not known when the error came from the commit ([`DbError::Unanswered`](super::DbError::Unanswered)): the second
/// try then finds it by the lease's id of the write, and is answered as the first one would have been. Another edge
/// than the one that was written is a conflict.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the end of {}", .lease.job().attempt_name())]
pub struct SettleError {
    /// The lease, unused.
    pub lease: Box<Lease>,
    /// What went wrong.
    #[source]
    pub error: StoreError,
}

impl Store {
    /// Moves a leased job on while its worker keeps it: FETCHING to ANALYZING. Prolongs the lease.
    ///
    /// # Errors
    /// The database's, with the lease.
    pub async fn advance(
        &self,
        lease: Lease,
        transition: Transition,
    ) -> std::result::Result<Advanced, SettleError> {
        let keeps = matches!(transition.event(), Event::Accept);
        let what = "only an accepted report lets its worker keep the lease";
        let edge = if keeps {
            self.edge(lease.job().clone(), transition, Rows::default(), lease.op().clone()).await
        } else {
            Err(StoreError::Unfit { what })
        };
        match edge {
            Ok(Edge::Held(job) | Edge::Before { now: Some(job), .. }) => {
                Ok(Advanced::Held(Lease::granted(job)))
            }
            Ok(Edge::Before { now: None, .. } | Edge::Cancelled | Edge::Conflict) => Ok(Advanced::Conflict),
            Err(error) => Err(SettleError { lease: Box::new(lease), error }),
        }
    }

    /// Ends a lease by an edge to a final state or back to QUEUED.
    ///
    /// # Errors
    /// The database's, with the lease.
    pub async fn settle(
        &self,
        lease: Lease,
        transition: Transition,
        rows: Rows,
    ) -> std::result::Result<Settled, SettleError> {
        match self.end(lease.job(), transition, rows, lease.op().clone()).await {
            Ok(Applied::Done { version }) => Ok(Settled::Done { version }),
            Ok(Applied::Cancelled) => Ok(Settled::Cancelled(lease)),
            Ok(Applied::Conflict) => Ok(Settled::Conflict),
            Err(error) => Err(SettleError { lease: Box::new(lease), error }),
        }
    }

    /// Ends a lease by COMPLETED together with the edge before it, FETCHING to ANALYZING, which was put off: both hold, or
    /// neither does.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] for other edges, and the database's, with the lease.
    pub async fn accept_and_complete(
        &self,
        lease: Lease,
        [accept, complete]: [Transition; 2],
        rows: Rows,
    ) -> std::result::Result<Settled, SettleError> {
        let (job, op) = (lease.job().clone(), lease.op().clone());
        let written =
            self.db.write(async move |unit| both(unit, &job, [&accept, &complete], &rows, &op).await);
        match written.await {
            Ok(Edge::Held(Job { version, .. }) | Edge::Before { version, .. }) => {
                self.announce_due();
                Ok(Settled::Done { version })
            }
            Ok(Edge::Cancelled | Edge::Conflict) => Ok(Settled::Conflict),
            Err(error) => Err(SettleError { lease: Box::new(lease), error }),
        }
    }

    /// Writes one edge that leaves nobody with a lease, together with its rows: all of it or nothing. When the answer
    /// to the first try is lost, the second one finds out within this call; after an error of that one too, a
    /// further call may be told of a conflict with the edge that this one wrote.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] for an edge that gives or keeps a lease, and for COMPLETED without a body. The
    /// database's.
    pub async fn apply(&self, job: &Job, transition: Transition, rows: Rows) -> Result<Applied> {
        let op = OpId::fresh();
        twice(|| self.end(job, transition.clone(), rows.clone(), op.clone())).await
    }

    async fn end(&self, job: &Job, transition: Transition, rows: Rows, op: OpId) -> Result<Applied> {
        if matches!(transition.to(), State::Fetching | State::Analyzing) {
            return Err(StoreError::Unfit { what: "it gives or keeps a lease" });
        }
        Ok(match self.edge(job.clone(), transition, rows, op).await? {
            Edge::Held(Job { version, .. }) | Edge::Before { version, .. } => Applied::Done { version },
            Edge::Cancelled => Applied::Cancelled,
            Edge::Conflict => Applied::Conflict,
        })
    }

    async fn edge(&self, job: Job, transition: Transition, rows: Rows, op: OpId) -> Result<Edge> {
        let edge = self.db.write(async move |unit| write(unit, &job, &transition, &rows, &op).await).await?;
        // A row that ends may leave room at its host, for which others wait.
        if matches!(edge, Edge::Held(_) | Edge::Before { .. }) {
            self.announce_due();
        }
        Ok(edge)
    }
}

/// Tries again, once, what ended without saying whether it was written; trying waits for no condition to change,
/// and what else goes wrong is the caller's to wait out.
pub(super) async fn twice<T, F: Future<Output = Result<T>>>(attempt: impl Fn() -> F) -> Result<T> {
    settled(attempt().await, attempt()).await
}

/// The answer to the second try, if the first one's was lost. When that one comes to nothing too, whether the first one
/// was written stays unknown, and the error says so.
pub(super) async fn settled<T>(first: Result<T>, second: impl Future<Output = Result<T>>) -> Result<T> {
    let doubt = match first {
        Err(doubt @ StoreError::Db(DbError::Unanswered { .. })) => doubt,
        answered => return answered,
    };
    match second.await {
        Err(error) if error.is_transient() => Err(doubt),
        answered => answered,
    }
}

/// Two edges of one attempt, one behind the other.
async fn both(
    unit: &Unit,
    job: &Job,
    [accept, complete]: [&Transition; 2],
    rows: &Rows,
    op: &OpId,
) -> Result<Edge> {
    if !matches!((accept.event(), complete.event()), (Event::Accept, Event::Complete)) {
        return Err(StoreError::Unfit {
            what: "only a report that is accepted and judged makes two edges at once",
        });
    }
    let last = op.next();
    match write_edge(unit, job, accept, None, op).await? {
        Edge::Held(job) => match write(unit, &job, complete, rows, &last).await? {
            Edge::Held(job) => Ok(Edge::Held(job)),
            // What has just been written is as it was written; whatever else is seen, nothing of it is to stay.
            Edge::Before { .. } | Edge::Cancelled | Edge::Conflict => {
                Err(StoreError::Unfit { what: "a row that has just changed has another version" })
            }
        },
        // The second edge is there as well, or it is to be written now.
        Edge::Before { version, now } => {
            let job = now.unwrap_or_else(|| Job { state: accept.to(), version, ..job.clone() });
            write(unit, &job, complete, rows, &last).await
        }
        other @ (Edge::Cancelled | Edge::Conflict) => Ok(other),
    }
}

/// One edge with its rows, within a unit of work.
pub(super) async fn write(
    unit: &Unit,
    job: &Job,
    transition: &Transition,
    rows: &Rows,
    op: &OpId,
) -> Result<Edge> {
    if transition.to() == State::Completed && rows.body.is_none() {
        return Err(StoreError::Unfit { what: "a completed scan has a document" });
    }
    let after = match write_edge(unit, job, transition, None, op).await? {
        Edge::Held(after) => after,
        // Its rows are there, or it is not: they share a transaction.
        other @ (Edge::Before { .. } | Edge::Cancelled | Edge::Conflict) => return Ok(other),
    };
    if let Some(attempt) = &rows.attempt {
        attempts::insert(unit, &after, attempt, transition.event()).await?;
    }
    let empty;
    let body = match (&rows.body, after.state) {
        (Some(body), State::Completed | State::Failed | State::TimedOut) => Some(body),
        (None, State::Failed | State::TimedOut) => {
            empty = documents::not_evaluated(&after, &rows.egress);
            Some(&empty)
        }
        // An attempt that is tried again leaves its record and its audit; the document is the last one's.
        (_, State::Queued | State::Fetching | State::Analyzing | State::Completed) => None,
    };
    if let Some(body) = body {
        documents::insert(unit, &after, body).await?;
        if after.state == State::Completed {
            results::insert(unit, &after, body).await?;
        }
    }
    audit::insert(unit, &after, &audit::entries(rows.body.as_ref(), &rows.egress)).await?;
    if let Some(Pause { host, wait }) = &rows.pause {
        not_before(unit, host, *wait).await?;
    }
    Ok(Edge::Held(after))
}
