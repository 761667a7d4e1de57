//! News that only a file gives.

use super::tests::{due, queue};
use crate::store::testing::Folder;

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
