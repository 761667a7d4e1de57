//! The queue that is the database itself. Rows of this process announce themselves, rows of other processes on
//! the same file by the file's change, delayed rows by their time; a slow look is the net below, and all there is for
//! the rows of others on a server.

use std::time::Duration;

use crate::domain::scan::{Lease, WorkerId};
use crate::queue::watch::FileWatch;
use crate::store::{Claim, Result, Store};

/// The longest time between two looks: rows are found this late when no news of them came through.
const POLL: Duration = Duration::from_secs(1);

/// The first wait after another process wrote to the log; each further one is twice as long. The log is written
/// before the disk has it, and only then the commit can be seen, of which the file system says nothing more.
/// Measured: a row of another process is seen 1.4 ms (median) after its submission was answered.
const FIRST_LOOK: Duration = Duration::from_millis(1);

/// No further look after a wait of this length.
const LAST_LOOK: Duration = Duration::from_millis(512);

/// Due jobs of a database, for one worker.
pub struct EmbeddedQueue {
    store: Store,
    worker: WorkerId,
    reserved_only: bool,
    /// A database on a server tells nobody of its writes: it is looked at by time.
    watch: Option<FileWatch>,
    poll: Duration,
}

impl EmbeddedQueue {
    /// A queue for one worker: of the rows reserved for it, or of those reserved for nobody.
    #[must_use]
    pub fn new(store: Store, worker: WorkerId, reserved_only: bool) -> Self {
        let watch = store.path().map(FileWatch::on_database);
        Self { store, worker, reserved_only, watch, poll: POLL }
    }

    /// Waits until a row is likely to be claimable. May be dropped and called again at any time. Another worker
    /// may be faster at the claim.
    ///
    /// # Errors
    /// The database's.
    pub async fn due(&self) -> Result<()> {
        let mut ours = self.store.made_due();
        let mut again = None;
        loop {
            // News from here on is not lost: both are armed before the look.
            ours.mark_unchanged();
            let theirs = armed(self.watch.as_ref());
            let (due, next) = self.store.due(self.reserved_only.then_some(&self.worker)).await?;
            if due {
                return Ok(());
            }
            let wait = [next, again].into_iter().flatten().fold(self.poll, Duration::min);
            tokio::select! {
                // The sender lives as long as the store that this queue holds.
                _ = ours.changed() => {}
                () = theirs => again = Some(FIRST_LOOK),
                () = tokio::time::sleep(wait) => again = again.map(|wait| wait * 2).filter(|&wait| wait <= LAST_LOOK),
            }
        }
    }

    /// How many rows could be claimed now, counted up to a limit.
    ///
    /// # Errors
    /// The database's.
    pub async fn due_count(&self, limit: usize) -> Result<usize> {
        self.store.due_count(self.reserved_only.then_some(&self.worker), limit).await
    }

    /// Takes the next due job for a waiting container.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim(&self, container: &str) -> Result<Option<Lease>> {
        let claim = Claim { worker: &self.worker, container, reserved: self.reserved_only };
        self.store.claim(claim).await
    }
}

fn armed(watch: Option<&FileWatch>) -> impl Future<Output = ()> {
    let theirs = watch.map(FileWatch::arm);
    async move {
        match theirs {
            Some(theirs) => theirs.await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod tests;
/// The same tests again, on a server.
#[cfg(test)]
#[path = "embedded/tests.rs"]
#[expect(clippy::duplicate_mod, reason = "each kind of database has them")]
mod tests_on_sqld;
