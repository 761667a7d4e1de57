//! The queue on real databases: in files, and once more on real servers.

use super::*;
use crate::domain::state::{Event, State, step};
use crate::store::testing::{Folder, Kind, fresh_on, new_job};
use crate::store::{NewJob, Politeness, Rows, Settled};

const KIND: Kind = Kind::of(module_path!());

/// Without the net, so that what a test waits for is what it says.
pub(super) fn queue(store: &Store, reserved_only: bool) -> EmbeddedQueue {
    let queue = EmbeddedQueue::new(store.clone(), WorkerId::fresh(), reserved_only);
    EmbeddedQueue { poll: Duration::from_secs(3600), ..queue }
}

/// Claims for a container of the queue's worker.
pub(super) async fn claim(queue: &EmbeddedQueue) -> Result<Option<Lease>> {
    let container = queue.store.ready(&queue.worker).await;
    queue.claim(&container).await
}

pub(super) async fn due(queue: &EmbeddedQueue) {
    let due = tokio::time::timeout(Duration::from_secs(60), queue.due()).await;
    due.expect("news of a row").expect("an answer");
}

#[tokio::test]
async fn a_row_that_is_there_is_due_at_once_and_claimed() {
    let (_folder, store) = fresh_on(KIND).await;
    let id = store.one("https://example.com/").await;
    let queue = queue(&store, false);
    due(&queue).await;
    let lease = claim(&queue).await.expect("an answer").expect("the job");
    assert_eq!(lease.job().id, id);
    assert_eq!(lease.job().lease_owner.as_ref(), Some(&queue.worker));
    assert_eq!(claim(&queue).await.expect("an answer"), None);
}

#[tokio::test]
async fn rows_of_the_same_process_wake_a_waiting_queue_without_the_file() {
    let (_folder, store) = fresh_on(KIND).await;
    let queue = EmbeddedQueue { watch: None, ..queue(&store, false) };
    let ((), id) = tokio::join!(due(&queue), store.one("https://example.com/"));
    let lease = claim(&queue).await.expect("an answer").expect("the job");
    assert_eq!(lease.job().id, id);
    let release = step(State::Fetching, Event::Release).expect("an edge");
    let ((), settled) = tokio::join!(due(&queue), store.settle(lease, release, Rows::default()));
    assert_eq!(settled.expect("an answer"), Settled::Done { version: 3 });
}

#[tokio::test]
async fn rows_are_found_by_looking_when_no_news_comes() {
    let folder = Folder::of(KIND);
    let (mine, theirs) = (folder.open().await, folder.open().await);
    mine.migrate().await.expect("a migrated database");
    let queue = EmbeddedQueue { watch: None, poll: Duration::from_millis(20), ..queue(&mine, false) };
    tokio::join!(due(&queue), theirs.one("https://example.com/"));
}

#[tokio::test]
async fn a_queue_of_reserved_rows_sees_no_others() {
    let (_folder, store) = fresh_on(KIND).await;
    let queue = queue(&store, true);
    store.one("anybody's").await;
    let mine = NewJob { reserved_for: Some(queue.worker.clone()), ..new_job("local", "mine") };
    store.submit(vec![mine]).await.expect("a job");
    due(&queue).await;
    let lease = claim(&queue).await.expect("an answer").expect("the job");
    assert_eq!(lease.job().url, "mine");
    assert_eq!(claim(&queue).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_delayed_row_becomes_due_by_its_time_alone() {
    let (_folder, store) = fresh_on(KIND).await;
    let delay = Some(Duration::from_millis(30));
    store.submit(vec![NewJob { delay, ..new_job("local", "later") }]).await.expect("a job");
    let queue = queue(&store, false);
    assert_eq!(claim(&queue).await.expect("an answer"), None);
    due(&queue).await;
    assert!(claim(&queue).await.expect("an answer").is_some());
}

#[tokio::test]
async fn the_end_of_a_job_wakes_a_queue_that_waits_for_room_at_its_host() {
    let (_folder, store) = fresh_on(KIND).await;
    let store = store.polite(Politeness { per_host: 1, ..Politeness::default() });
    let queue = EmbeddedQueue { watch: None, ..queue(&store, false) };
    store.one("https://example.com/1").await;
    let second = store.one("https://example.com/2").await;
    let lease = claim(&queue).await.expect("an answer").expect("the first");
    assert_eq!(claim(&queue).await.expect("an answer"), None);
    let failed = crate::store::testing::failure(crate::domain::failure::FailureClass::Tls);
    let failed = step(State::Fetching, Event::Fail(failed)).expect("an edge");
    let ((), settled) = tokio::join!(due(&queue), store.settle(lease, failed, Rows::default()));
    assert_eq!(settled.expect("an answer"), Settled::Done { version: 3 });
    let lease = claim(&queue).await.expect("an answer").expect("the second");
    assert_eq!(lease.job().id, second);
}

#[tokio::test]
async fn a_queue_that_waits_for_a_host_s_time_is_woken_by_it() {
    let (_folder, store) = fresh_on(KIND).await;
    let store = store.polite(Politeness { gap: Duration::from_millis(50), ..Politeness::default() });
    let queue = EmbeddedQueue { watch: None, ..queue(&store, false) };
    let ids = [store.one("https://example.com/1").await, store.one("https://example.com/2").await];
    for id in ids {
        let lease = loop {
            due(&queue).await;
            if let Some(lease) = claim(&queue).await.expect("an answer") {
                break lease;
            }
        };
        assert_eq!(lease.job().id, id);
    }
}
