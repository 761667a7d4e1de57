//! The queue that is the database itself. Rows of this process announce themselves, rows of other processes on
//! the same file by the file's change, delayed rows by their time; a slow look is the net below, and all there is for
//! the rows of others on a server.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::scan::{Lease, WorkerId};
use crate::queue::watch::FileWatch;
use crate::store::{Claim, Ready, Result, Store};

/// The longest time between two looks: rows are found this late when no news of them came through.
const POLL: Duration = Duration::from_secs(1);

/// The first wait after another process wrote to the log; each further one is as long as all before. The log is written
/// before the disk has it, and only then the commit can be seen, of which the file system says nothing more.
/// Measured: a row of another process is seen 1.4 ms (median) after its submission was answered.
const FIRST_LOOK: Duration = Duration::from_millis(1);

/// No further look later than this after the news.
const LAST_LOOK: Duration = Duration::from_millis(512);

/// Due jobs of a database, for one worker.
pub struct EmbeddedQueue {
    store: Store,
    worker: WorkerId,
    reserved_only: bool,
    /// A database on a server tells nobody of its writes: it is looked at by time.
    watch: Option<FileWatch>,
    /// When another process was last heard to write, kept for a wait that is dropped and begun again.
    heard: Mutex<Option<Instant>>,
    poll: Duration,
}

impl EmbeddedQueue {
    /// A queue for one worker: of the rows reserved for it, or of those reserved for nobody.
    #[must_use]
    pub fn new(store: Store, worker: WorkerId, reserved_only: bool) -> Self {
        let watch = store.path().map(FileWatch::on_database);
        Self { store, worker, reserved_only, watch, heard: Mutex::default(), poll: POLL }
    }

    /// Waits until a row is likely to be claimable. May be dropped and called again at any time. Another worker
    /// may be faster at the claim.
    ///
    /// # Errors
    /// The database's.
    pub async fn due(&self) -> Result<()> {
        let mut ours = self.store.made_due();
        loop {
            // News from here on is not lost: both are armed before the look.
            ours.mark_unchanged();
            let theirs = self.armed();
            let (due, next) = self.store.due(self.reserved_only.then_some(&self.worker)).await?;
            if due {
                return Ok(());
            }
            let wait = [next, self.again()].into_iter().flatten().fold(self.poll, Duration::min);
            tokio::select! {
                // The sender lives as long as the store that this queue holds.
                _ = ours.changed() => {}
                () = theirs => self.hear(),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Waits for others to write from now on.
    fn armed(&self) -> impl Future<Output = ()> {
        let theirs = self.watch.as_ref().map(FileWatch::arm);
        if theirs.as_ref().is_some_and(|(news, _)| *news) {
            self.hear();
        }
        async move {
            match theirs {
                Some((_, theirs)) => theirs.await,
                None => std::future::pending().await,
            }
        }
    }

    fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// When to look again because others wrote a short while ago.
    fn again(&self) -> Option<Duration> {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.map(|heard| heard.elapsed().max(FIRST_LOOK)).filter(|wait| *wait <= LAST_LOOK)
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
    pub async fn claim(&self, container: &Ready) -> Result<Option<Lease>> {
        let claim = Claim { worker: &self.worker, container, reserved: self.reserved_only };
        self.store.claim(claim).await
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
