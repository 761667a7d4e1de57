//! The rows of safeurl: jobs and their edges, attempts, results, documents, audit, containers and workers.
//!
//! Owns every statement but the migrations'. Every edge of a job is one version-checked UPDATE in
//! `transitions`, and what belongs to the edge is written in the same transaction, so that a crash leaves either
//! both or none. Decides nothing: which edge is right is the caller's business, the store says whether it held.
//! Leases, heartbeats and due times are moments of the database's clock.

mod attempts;
mod attestations;
mod audit;
mod claim;
mod containers;
mod deliveries;
mod documents;
mod error;
#[cfg(test)]
mod file_tests;
mod gauges;
mod hosts;
mod jobs;
mod leases;
mod listing;
mod recovery;
mod requests;
mod results;
mod schema;
#[cfg(test)]
mod server_tests;
mod settle;
mod stats;
mod submit;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
/// The same tests again, on a server.
#[cfg(test)]
#[path = "store/tests.rs"]
#[expect(clippy::duplicate_mod, reason = "each kind of database has them")]
mod tests_on_sqld;
mod transitions;
mod workers;

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

pub use crate::db::{DbConfig, DbError, OpenMode};
pub use attempts::{AttemptRecord, AttemptView};
pub use attestations::AttestationRow;
pub use audit::AuditView;
pub use claim::{Claim, Ready};
pub use containers::{ContainerRow, Obligation, Remnant};
pub use deliveries::{Arrival, Disposition};
pub use error::StoreError;
pub use gauges::QueueGauges;
pub use hosts::{Pause, Politeness};
pub use jobs::JobFilter;
pub use leases::Held;
pub use listing::{Listed, Page, Search, Sort};
pub use recovery::Orphan;
pub use requests::{CancelOutcome, ReplayOutcome};
pub use schema::{Migrated, Schema};
pub use settle::{Advanced, Applied, Rows, SettleError, Settled};
pub use stats::{HOURS, Hour, Percentiles, Queue, Slow, Stats};
pub use submit::NewJob;
pub use transitions::Serving;
pub use workers::{WorkerRow, WorkerView};

use crate::db::{Db, now_ms};
use crate::domain::timestamp::Timestamp;

/// What a call of the store comes back with.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A handle to the rows. Clones are the same handle: they share the connections, the turn of the users and the
/// news of due rows.
#[derive(Clone)]
pub struct Store {
    db: Db,
    /// The user whose job was claimed last; the next claim begins behind it.
    served: Arc<Mutex<String>>,
    /// Claims to give back.
    unheard: claim::Unheard,
    /// How far hosts are spared by the claims of this handle.
    politeness: Politeness,
    /// Counts up whenever this handle made a row due.
    due: Arc<watch::Sender<u64>>,
}

impl Store {
    /// Opens a database without looking at what is in it; [`Store::prepare`] does that.
    ///
    /// # Errors
    /// A missing or unreadable file, a missing folder, something that is not a database; a server that does not answer
    /// or does not let this program in.
    pub async fn open(config: &DbConfig, mode: OpenMode) -> Result<Self> {
        Ok(Self {
            db: Db::open(config, mode).await?,
            served: Arc::default(),
            unheard: Arc::default(),
            politeness: Politeness::default(),
            due: Arc::new(watch::Sender::new(0)),
        })
    }

    /// The database's file; `None` for one on a server.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.db.path()
    }

    /// The database's file, or its server's address without anything secret.
    #[must_use]
    pub fn place(&self) -> String {
        self.db.place()
    }

    /// The database's clock.
    ///
    /// # Errors
    /// The database's.
    pub async fn now(&self) -> Result<Timestamp> {
        const NOW: &str = concat!("SELECT ", now_ms!());
        self.db
            .read(async |unit| {
                let now = unit.first(NOW, (), |row| row.int(0)).await?;
                Ok(Timestamp::from_millis(now.unwrap_or_default()))
            })
            .await
    }

    /// Changes whenever this handle made a row due: by a submission, a release, a replay or a promotion.
    #[must_use]
    pub fn made_due(&self) -> watch::Receiver<u64> {
        self.due.subscribe()
    }

    fn announce_due(&self) {
        self.due.send_modify(|count| *count = count.wrapping_add(1));
    }
}
