//! News that only a file gives.

use std::time::Duration;

use tokio::time::timeout;

use super::EmbeddedQueue;
use super::tests::{claim, due, queue};
use crate::domain::failure::FailureClass;
use crate::domain::state::{Event, State, step};
use crate::store::testing::{Folder, failure};
use crate::store::{Politeness, Rows, Settled};

#[tokio::test]
async fn rows_of_other_processes_on_the_file_wake_a_waiting_queue() {
    let folder = Folder::new();
    let (mine, theirs) = (folder.open().await, folder.open().await);
    mine.prepare().await.expect("a migrated database");
    let queue = queue(&mine, false);
    for _ in 0..3 {
        let ((), id) = tokio::join!(due(&queue), theirs.one("https://example.com/"));
        let lease = claim(&queue).await.expect("an answer").expect("the job");
        assert_eq!(lease.job().id, id);
    }
}

#[tokio::test]
async fn the_end_of_another_process_s_job_wakes_a_queue_that_waits_for_room_at_its_host() {
    let folder = Folder::new();
    let one = Politeness { per_host: 1, ..Politeness::default() };
    let (mine, theirs) = (folder.open().await.polite(one), folder.open().await.polite(one));
    mine.prepare().await.expect("a migrated database");
    mine.one("https://example.com/1").await;
    let second = mine.one("https://example.com/2").await;
    let (queue, other) = (queue(&mine, false), queue(&theirs, false));
    let lease = claim(&other).await.expect("an answer").expect("the first");
    assert_eq!(claim(&queue).await.expect("an answer"), None, "it is set aside");
    let failed = step(State::Fetching, Event::Fail(failure(FailureClass::Tls))).expect("an edge");
    let ((), settled) = tokio::join!(due(&queue), theirs.settle(lease, failed, Rows::default()));
    assert_eq!(settled.expect("an answer"), Settled::Done { version: 3 });
    let lease = claim(&queue).await.expect("an answer").expect("the second");
    assert_eq!(lease.job().id, second);
}

/// The commit can be seen only a little after the file has changed, and whoever waits also has other things to hear.
#[tokio::test]
async fn news_are_not_forgotten_with_a_wait_that_is_dropped_before_the_row_can_be_seen() {
    let folder = Folder::new();
    let (mine, theirs) = (folder.open().await, folder.open().await);
    mine.prepare().await.expect("a migrated database");
    // The row itself brings no news here, so that only what was heard before can lead to it.
    let queue = EmbeddedQueue { watch: None, ..queue(&mine, false) };
    // News are worth looks for half a second, in which a busy machine may not come to write the row.
    for _ in 0..5 {
        queue.hear();
        assert!(timeout(Duration::from_millis(5), queue.due()).await.is_err(), "there is no row yet");
        let (found, _) =
            tokio::join!(timeout(Duration::from_secs(2), queue.due()), theirs.one("https://example.com/"));
        let _lease = claim(&queue).await.expect("an answer").expect("the job");
        if found.is_ok() {
            return;
        }
    }
    panic!("nobody looked again");
}
