//! News of writes by other processes: a watch on the database's write-ahead log. Any commit of anybody changes
//! that file a little before it can be seen, so news says "look from now on", not "there is something".

use std::future::pending;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

/// A watch on a database file and its log. Without the kernel's help it never has news, and its owner looks by
/// time.
pub(super) struct FileWatch {
    paths: [PathBuf; 2],
    inotify: Option<AsyncFd<OwnedFd>>,
}

impl FileWatch {
    pub(super) fn on_database(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok().and_then(registered);
        Self { paths: [path.to_owned(), PathBuf::from(log)], inotify }
    }

    /// Takes the news so far, says whether there was some, and returns what waits for the next. The files are named anew
    /// each time: the log may not be there yet, or be another one. Watching a file twice is one watch.
    pub(super) fn arm(&self) -> (bool, impl Future<Output = ()> + '_) {
        let mut news = false;
        if let Some(inotify) = &self.inotify {
            for path in &self.paths {
                // A missing file is watched once it is there; until then the owner looks by time.
                let _ = inotify::add_watch(inotify.get_ref(), path, WatchFlags::MODIFY);
            }
            news = drain(inotify.get_ref());
        }
        (news, self.changed())
    }

    async fn changed(&self) {
        let Some(inotify) = &self.inotify else { return pending().await };
        loop {
            let Ok(mut ready) = inotify.readable().await else { return pending().await };
            if drain(inotify.get_ref()) {
                return;
            }
            ready.clear_ready();
        }
    }
}

#[expect(deprecated, reason = "its successor is unsafe, and an OwnedFd is the descriptor that it says it is")]
fn registered(fd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd).ok()
}

/// Reads what is there to read; whether there was something.
fn drain(fd: &OwnedFd) -> bool {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 1024];
    let mut reader = inotify::Reader::new(fd, &mut buffer);
    let mut news = false;
    // The descriptor does not block: reading ends with an error when nothing is left.
    while reader.next().is_ok() {
        news = true;
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Folder;
    use futures_util::FutureExt;

    /// Nothing here looks by time: without the watch a wait would end by its guard.
    async fn heard(news: impl Future<Output = ()>) {
        tokio::time::timeout(std::time::Duration::from_secs(60), news).await.expect("news");
    }

    #[tokio::test]
    async fn a_commit_through_another_connection_is_news() {
        let folder = Folder::new();
        let (mine, theirs) = (folder.open().await, folder.open().await);
        mine.prepare().await.expect("a migrated database");
        let watch = FileWatch::on_database(mine.path().expect("a file"));
        for _ in 0..3 {
            let (_, news) = watch.arm();
            theirs.one("https://example.com/").await;
            heard(news).await;
        }
    }

    #[tokio::test]
    async fn what_happened_before_the_watch_was_armed_is_told_and_no_news_from_then_on() {
        let folder = Folder::new();
        let store = folder.open().await;
        store.prepare().await.expect("a migrated database");
        let watch = FileWatch::on_database(store.path().expect("a file"));
        assert!(!watch.arm().0);
        store.one("https://example.com/").await;
        let (before, from_now_on) = watch.arm();
        assert!(before && from_now_on.now_or_never().is_none());
        assert!(!watch.arm().0, "it is told once");
    }

    #[tokio::test]
    async fn a_log_that_was_made_anew_is_watched_too() {
        let folder = Folder::new();
        let log = folder.path().join("test.db-wal");
        let path = folder.path().join("test.db");
        std::fs::write(&log, b"").expect("a log");
        let watch = FileWatch::on_database(&path);
        drop(watch.arm());
        std::fs::remove_file(&log).expect("the log goes");
        std::fs::write(&log, b"").expect("a new log");
        let (_, news) = watch.arm();
        std::fs::write(&log, b"frames").expect("a commit");
        heard(news).await;
    }
}
