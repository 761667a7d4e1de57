//! A database in trouble: what a call says then, that nothing is half written, and that the same call works once the
//! trouble is over.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::domain::scan::Lease;
use crate::domain::state::{Event, State};
use crate::store::testing::{Folder, edge, fresh, new_job};
use crate::store::tests::documents::body;
use crate::store::{Advanced, DbConfig, DbError, OpenMode, Result, Rows, Settled, Store, StoreError};

/// Tells a test of this file that it is the other process, and which database is meant.
const OTHER: &str = "SAFEURL_TEST_DATABASE";

/// This very test again, in a process of its own.
fn again(test: &str, database: &Path) -> Command {
    let exe = std::env::current_exe().expect("this test");
    // What a file may not grow beyond raises a signal that ends a process; ignoring it is inherited.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(exe);
    command.args(["--exact", "--nocapture", &format!("store::file_tests::trouble::{test}")]);
    command.env(OTHER, database).stdout(Stdio::piped());
    command
}

/// Ends with the test.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A job that is about to end with all of its rows.
async fn analyzing(store: &Store) -> Lease {
    let worker = store.worker().await;
    store.one("https://example.com/").await;
    let lease = store.take(&worker).await.expect("the job");
    match store.advance(lease, edge(State::Fetching, Event::Accept)).await {
        Ok(Advanced::Held(lease)) => lease,
        other => panic!("the lease stays: {other:?}"),
    }
}

fn whole() -> Rows {
    Rows { body: Some(body()), ..Rows::default() }
}

fn passing<T: std::fmt::Debug>(told: Result<T>) {
    let error = told.expect_err("the database is in trouble");
    assert!(error.is_transient(), "{error:?}");
}

/// Everything that edges write.
async fn state(store: &Store) -> Vec<String> {
    store
        .rows(
            "SELECT 'job', id, version, lease_until FROM scan_jobs UNION ALL
             SELECT 'edge', job_id, version, seq FROM transitions UNION ALL
             SELECT 'document', job_id, n, 0 FROM documents UNION ALL
             SELECT 'result', job_id, 0, 0 FROM scan_results UNION ALL
             SELECT 'audit', scan_job_id, 0, 0 FROM audit_logs ORDER BY 1, 2, 3",
        )
        .await
}

/// Every kind of write fails as trouble that passes and leaves nothing, while reads answer; then `mend` ends the
/// trouble and each of the same calls works, on the same connections.
async fn weather(store: &Store, lease: Lease, mend: impl FnOnce()) {
    let worker = lease.job().lease_owner.clone().expect("its worker");
    let before = state(store).await;
    let complete = edge(State::Analyzing, Event::Complete);
    let mut lease = lease;
    for _ in 0..3 {
        let error = store.settle(lease, complete.clone(), whole()).await.expect_err("trouble");
        assert!(error.error.is_transient(), "{error:?}");
        lease = *error.lease;
        passing(store.submit(vec![new_job("local", "https://example.com/2")]).await);
        passing(store.renew(&worker, 0).await);
        assert_eq!(state(store).await, before, "all or nothing");
    }
    mend();
    let settled = store.settle(lease, complete, whole()).await.expect("an answer");
    assert!(matches!(settled, Settled::Done { version: 4 }), "{settled:?}");
    store.one("https://example.com/2").await;
    store.renew(&worker, 1).await.expect("an answer");
    assert!(store.take(&worker).await.is_some());
    assert_eq!(store.rows("SELECT count(*) FROM scan_results").await, ["1"]);
    assert_eq!(store.rows("PRAGMA integrity_check").await, ["ok"]);
}

#[tokio::test]
async fn a_process_that_keeps_the_write_lock_makes_calls_busy_and_its_death_ends_that() {
    if let Some(path) = std::env::var_os(OTHER) {
        return hold(PathBuf::from(path)).await;
    }
    let (_folder, store) = fresh().await;
    let lease = analyzing(&store).await;
    let before = state(&store).await;
    let mut other = again(
        "a_process_that_keeps_the_write_lock_makes_calls_busy_and_its_death_ends_that",
        path_of(&store),
    );
    let mut other = Other(other.spawn().expect("a process"));
    let says = BufReader::new(other.0.stdout.take().expect("piped"));
    assert!(says.lines().map_while(std::result::Result::ok).any(|line| line.ends_with("locked")));
    // Longer than a statement waits.
    let complete = edge(State::Analyzing, Event::Complete);
    let error = store.settle(lease, complete.clone(), whole()).await.expect_err("it is locked");
    assert!(matches!(error.error, StoreError::Db(DbError::Busy { .. })), "{error:?}");
    assert_eq!(state(&store).await, before, "reads do not wait");
    other.0.kill().expect("it lived");
    other.0.wait().expect("it ends");
    let settled = store.settle(*error.lease, complete, whole()).await.expect("an answer");
    assert_eq!(settled, Settled::Done { version: 4 });
    assert_eq!(store.rows("SELECT count(*) FROM scan_jobs").await, ["1"], "nothing of the dead one is there");
}

/// Writes a row, says so, and never commits.
async fn hold(path: PathBuf) {
    let config = DbConfig { url: path.display().to_string(), auth_token: None };
    let store = Store::open(&config, OpenMode::Existing).await.expect("the test's database");
    let held: Result<()> = store
        .db
        .write(async |unit: &crate::db::Unit| {
            unit.execute("INSERT INTO scan_jobs (id, user_id, url) VALUES ('half', 'local', 'x')", ())
                .await?;
            println!("locked");
            std::future::pending().await
        })
        .await;
    held.expect("it is killed before");
}

fn path_of(store: &Store) -> &Path {
    store.path().expect("a file")
}

/// A small file system of its own.
struct Volume(Folder);

impl Volume {
    fn new() -> Self {
        let folder = Folder::new();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder.path()).status();
        assert!(mounted.expect("mount").success(), "the test needs the right to mount");
        Self(folder)
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Leaves no page free.
    fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.filler()).expect("a file");
        while file.write_all(&[7; 4096]).is_ok() {}
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: connections that the test leaves open are closed later.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_volume_fails_every_write_as_a_whole_until_there_is_room() {
    let volume = Volume::new();
    let store = volume.0.open().await;
    store.prepare().await.expect("a migrated database");
    let lease = analyzing(&store).await;
    volume.fill();
    weather(&store, lease, || std::fs::remove_file(volume.filler()).expect("room")).await;
}

#[tokio::test]
async fn failing_writes_fail_every_call_as_a_whole_until_they_work() {
    const NAME: &str = "failing_writes_fail_every_call_as_a_whole_until_they_work";
    if std::env::var_os(OTHER).is_none() {
        // The limit that provokes the failure is the whole process's.
        let folder = Folder::new();
        let ran = again(NAME, folder.path()).output().expect("a process");
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let (_folder, store) = fresh().await;
    let lease = analyzing(&store).await;
    let log = path_of(&store).with_extension("db-wal").metadata().expect("the log").len();
    let limits = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(log), ..limits }).expect("lowered");
    let error =
        store.submit(vec![new_job("local", "https://example.com/")]).await.expect_err("no room in the log");
    let source = std::error::Error::source(&error).expect("what libSQL says").to_string();
    assert!(source.contains("disk I/O error"), "{source}");
    weather(&store, lease, || setrlimit(Resource::Fsize, limits).expect("raised")).await;
}

#[tokio::test]
async fn a_file_that_was_moved_or_replaced_is_not_written_and_works_when_it_is_back() {
    let (folder, store) = fresh().await;
    let lease = analyzing(&store).await;
    let (path, away) = (path_of(&store).to_owned(), folder.path().join("away.db"));
    let complete = edge(State::Analyzing, Event::Complete);
    std::fs::rename(&path, &away).expect("moved");
    let moved = store.settle(lease, complete.clone(), whole()).await.expect_err("there is no file");
    assert!(matches!(moved.error, StoreError::Db(DbError::Moved { .. })) && moved.error.is_transient());
    passing(store.job(&moved.lease.job().id).await);
    std::fs::copy(&away, &path).expect("another file");
    let moved = store.settle(*moved.lease, complete.clone(), whole()).await.expect_err("another file");
    assert!(matches!(moved.error, StoreError::Db(DbError::Moved { .. })), "{moved:?}");
    std::fs::rename(&away, &path).expect("back");
    let settled = store.settle(*moved.lease, complete, whole()).await.expect("an answer");
    assert_eq!(settled, Settled::Done { version: 4 });
}

#[tokio::test]
async fn a_unit_that_leaves_a_transaction_open_does_not_hold_up_the_next() {
    let (_folder, store) = fresh().await;
    // As many as there are connections that read: each would see for ever what is there now.
    for _ in 0..4 {
        let left: Result<()> = store
            .db
            .read(async |unit: &crate::db::Unit| Ok(unit.script("BEGIN; SELECT count(*) FROM meta").await?))
            .await;
        left.expect("left open");
    }
    let id = store.one("https://example.com/").await;
    for _ in 0..4 {
        assert!(store.job(&id).await.expect("an answer").is_some());
    }
    let left: Result<()> =
        store.db.write(async |unit: &crate::db::Unit| Ok(unit.script("COMMIT; BEGIN; BEGIN").await?)).await;
    left.expect_err("a transaction in a transaction");
    store.one("https://example.com/2").await;
}
