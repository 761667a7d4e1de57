//! Writing edges together with what belongs to them: the attempt's record, the document, the result and the
//! audit go into the transaction of the UPDATE, or nothing does.

use std::sync::Arc;

use super::attempts::{self, AttemptRecord};
use super::audit::AuditRow;
use super::hosts::{Pause, not_before};
use super::results::ResultRow;
use super::transitions::{Edge, write_edge, write_edges};
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

/// [`Rows`] as the tables have them: made before the connection that writes is waited for, because all others wait for it
/// meanwhile.
#[derive(Default)]
pub(super) struct Stored {
    attempt: Option<AttemptRecord>,
    document: Option<(String, ResultRow)>,
    audit: Vec<AuditRow>,
    egress: Vec<EgressEntry>,
    pause: Option<Pause>,
}

impl Stored {
    pub(super) fn of(rows: Rows) -> Result<Self> {
        let Rows { attempt, body, egress, pause } = rows;
        let document = match &body {
            Some(body) => Some((documents::text(body)?, ResultRow::of(body))),
            None => None,
        };
        let audit = audit::entries(body.as_ref(), &egress);
        Ok(Self { attempt, document, audit, egress, pause })
    }
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
        let written = async {
            let all = Arc::new((job, [accept, complete], Stored::of(rows)?, op));
            let work = async move |unit: &Unit| {
                let (job, [accept, complete], rows, op) = &*all;
                both(unit, job, [accept, complete], rows, op).await
            };
            self.db.write(work).await
        };
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
        let all = Arc::new((job, transition, Stored::of(rows)?, op));
        let work = async move |unit: &Unit| {
            let (job, transition, rows, op) = &*all;
            write(unit, job, transition, rows, op).await
        };
        let edge = self.db.write(work).await?;
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
    rows: &Stored,
    op: &OpId,
) -> Result<Edge> {
    if !matches!((accept.event(), complete.event()), (Event::Accept, Event::Complete)) {
        return Err(StoreError::Unfit {
            what: "only a report that is accepted and judged makes two edges at once",
        });
    }
    has_document(complete, rows)?;
    let last = op.next();
    match write_edges(unit, job, [(accept, op), (complete, &last)]).await? {
        Edge::Held(after) => {
            add(unit, &after, complete, rows).await?;
            Ok(Edge::Held(after))
        }
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
    rows: &Stored,
    op: &OpId,
) -> Result<Edge> {
    has_document(transition, rows)?;
    let after = match write_edge(unit, job, transition, None, op).await? {
        Edge::Held(after) => after,
        // Its rows are there, or it is not: they share a transaction.
        other @ (Edge::Before { .. } | Edge::Cancelled | Edge::Conflict) => return Ok(other),
    };
    add(unit, &after, transition, rows).await?;
    Ok(Edge::Held(after))
}

fn has_document(transition: &Transition, rows: &Stored) -> Result<()> {
    if transition.to() == State::Completed && rows.document.is_none() {
        return Err(StoreError::Unfit { what: "a completed scan has a document" });
    }
    Ok(())
}

/// The rows of an edge that has just been written.
async fn add(unit: &Unit, after: &Job, transition: &Transition, rows: &Stored) -> Result<()> {
    if let Some(attempt) = &rows.attempt {
        attempts::insert(unit, after, attempt, transition.event()).await?;
    }
    match (&rows.document, after.state) {
        (Some((text, result)), State::Completed) => {
            documents::insert(unit, after, text).await?;
            results::insert(unit, after, result).await?;
        }
        (Some((text, _)), State::Failed | State::TimedOut) => documents::insert(unit, after, text).await?,
        (None, State::Failed | State::TimedOut) => {
            let empty = documents::not_evaluated(after, &rows.egress);
            documents::insert(unit, after, &documents::text(&empty)?).await?;
        }
        // An attempt that is tried again leaves its record and its audit; the document is the last one's.
        (_, State::Queued | State::Fetching | State::Analyzing | State::Completed) => {}
    }
    audit::insert(unit, after, &rows.audit).await?;
    if let Some(Pause { host, wait }) = &rows.pause {
        not_before(unit, host, *wait).await?;
    }
    Ok(())
}
