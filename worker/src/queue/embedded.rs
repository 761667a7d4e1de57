//! The queue that is the database itself. Rows of this process announce themselves, rows of other processes on
//! the same file by the file's change, delayed rows by their time; a slow look is the net below.

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
    watch: FileWatch,
    poll: Duration,
}

impl EmbeddedQueue {
    /// A queue for one worker: of the rows reserved for it, or of those reserved for nobody.
    #[must_use]
    pub fn new(store: Store, worker: WorkerId, reserved_only: bool) -> Self {
        let watch = FileWatch::on_database(store.path());
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
            let theirs = self.watch.arm();
            let next = self.store.promote_due().await?;
            if self.store.has_due(self.reserved_only.then_some(&self.worker)).await? {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::state::{Event, State, step};
    use crate::store::testing::{Folder, fresh, new_job};
    use crate::store::{NewJob, Rows, Settled};

    /// Without the net, so that what a test waits for is what it says.
    fn queue(store: &Store, reserved_only: bool) -> EmbeddedQueue {
        let queue = EmbeddedQueue::new(store.clone(), WorkerId::fresh(), reserved_only);
        EmbeddedQueue { poll: Duration::from_secs(3600), ..queue }
    }

    async fn due(queue: &EmbeddedQueue) {
        let due = tokio::time::timeout(Duration::from_secs(60), queue.due()).await;
        due.expect("news of a row").expect("an answer");
    }

    #[tokio::test]
    async fn a_row_that_is_there_is_due_at_once_and_claimed() {
        let (_folder, store) = fresh().await;
        let id = store.one("https://example.com/").await;
        let queue = queue(&store, false);
        due(&queue).await;
        let lease = queue.claim("box").await.expect("an answer").expect("the job");
        assert_eq!(lease.job().id, id);
        assert_eq!(lease.job().lease_owner.as_ref(), Some(&queue.worker));
        assert_eq!(queue.claim("box").await.expect("an answer"), None);
    }

    #[tokio::test]
    async fn rows_of_other_processes_on_the_file_wake_a_waiting_queue() {
        let folder = Folder::new();
        let (mine, theirs) = (folder.open().await, folder.open().await);
        mine.prepare().await.expect("a migrated database");
        let queue = queue(&mine, false);
        for _ in 0..3 {
            let ((), id) = tokio::join!(due(&queue), theirs.one("https://example.com/"));
            let lease = queue.claim("box").await.expect("an answer").expect("the job");
            assert_eq!(lease.job().id, id);
        }
    }

    #[tokio::test]
    async fn rows_of_the_same_process_wake_a_waiting_queue_without_the_file() {
        let (folder, store) = fresh().await;
        let queue = EmbeddedQueue {
            watch: FileWatch::on_database(&folder.path().join("other")),
            ..queue(&store, false)
        };
        let ((), id) = tokio::join!(due(&queue), store.one("https://example.com/"));
        let lease = queue.claim("box").await.expect("an answer").expect("the job");
        assert_eq!(lease.job().id, id);
        let release = step(State::Fetching, Event::Release).expect("an edge");
        let ((), settled) = tokio::join!(due(&queue), store.settle(lease, release, Rows::default()));
        assert_eq!(settled.expect("an answer"), Settled::Done { version: 3 });
    }

    #[tokio::test]
    async fn rows_are_found_by_looking_when_no_news_comes() {
        let folder = Folder::new();
        let (mine, theirs) = (folder.open().await, folder.open().await);
        mine.prepare().await.expect("a migrated database");
        let deaf = FileWatch::on_database(&folder.path().join("other"));
        let queue = EmbeddedQueue { watch: deaf, poll: Duration::from_millis(20), ..queue(&mine, false) };
        tokio::join!(due(&queue), theirs.one("https://example.com/"));
    }

    #[tokio::test]
    async fn a_queue_of_reserved_rows_sees_no_others() {
        let (_folder, store) = fresh().await;
        let queue = queue(&store, true);
        store.one("anybody's").await;
        let mine = NewJob { reserved_for: Some(queue.worker.clone()), ..new_job("local", "mine") };
        store.submit(vec![mine]).await.expect("a job");
        due(&queue).await;
        let lease = queue.claim("box").await.expect("an answer").expect("the job");
        assert_eq!(lease.job().url, "mine");
        assert_eq!(queue.claim("box").await.expect("an answer"), None);
    }

    #[tokio::test]
    async fn a_delayed_row_becomes_due_by_its_time_alone() {
        let (_folder, store) = fresh().await;
        let delay = Some(Duration::from_millis(30));
        store.submit(vec![NewJob { delay, ..new_job("local", "later") }]).await.expect("a job");
        let queue = queue(&store, false);
        assert_eq!(queue.claim("box").await.expect("an answer"), None);
        due(&queue).await;
        assert!(queue.claim("box").await.expect("an answer").is_some());
    }
}
