//! A server that is killed, stands still, or has forgotten a stream.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{analyzing, fresh, whole};
use crate::db::Unit;
use crate::domain::state::{Event, State};
use crate::store::testing::{edge, new_job};
use crate::store::{DbError, Result, Settled, Store, StoreError};

const FIRST: &str = "INSERT INTO users (clerk_user_id, created_at, updated_at) VALUES ('first', 1, 1)";
const SECOND: &str = "INSERT INTO users (clerk_user_id, created_at, updated_at) VALUES ('second', 1, 1)";
const USERS: &str = "SELECT clerk_user_id FROM users WHERE clerk_user_id <> 'local' ORDER BY 1";

/// A unit of two statements, and between them, the first time, `trouble`. Says how often it was run.
async fn two_statements<F: Future<Output = ()>>(
    store: &Store,
    trouble: impl FnOnce() -> F + Send + 'static,
) -> (u32, Result<()>) {
    let runs = Arc::<AtomicU32>::default();
    let (counted, trouble) = (Arc::clone(&runs), Arc::new(Mutex::new(Some(trouble))));
    let done = store
        .db
        .write(async move |unit: &Unit| {
            counted.fetch_add(1, Ordering::SeqCst);
            unit.execute(FIRST, ()).await?;
            let trouble = trouble.lock().expect("nobody panics").take();
            if let Some(trouble) = trouble {
                trouble().await;
            }
            unit.execute(SECOND, ()).await?;
            Ok(())
        })
        .await;
    (runs.load(Ordering::SeqCst), done)
}

#[tokio::test]
async fn a_unit_whose_server_is_killed_and_comes_back_in_the_middle_is_done_once_from_its_beginning() {
    let (folder, store) = fresh().await;
    let folder = Arc::new(Mutex::new(folder));
    let killed = Arc::clone(&folder);
    let (runs, done) = two_statements(&store, move || async move {
        let mut folder = killed.lock().expect("nobody panics");
        folder.server().kill();
        folder.server().go_on();
    })
    .await;
    done.expect("an answer");
    assert_eq!((runs, store.rows(USERS).await), (2, vec!["first".to_owned(), "second".to_owned()]));
}

#[tokio::test]
async fn a_unit_whose_server_is_killed_in_the_middle_leaves_nothing() {
    let (folder, store) = fresh().await;
    let folder = Arc::new(Mutex::new(folder));
    let killed = Arc::clone(&folder);
    let kill = move || async move { killed.lock().expect("nobody panics").server().kill() };
    let (_, done) = two_statements(&store, kill).await;
    let error = done.expect_err("nobody is there");
    assert!(matches!(error, StoreError::Db(DbError::Unavailable { .. })), "{error:?}");
    let error = store.one_more().await.expect_err("nobody is there");
    assert!(matches!(error, StoreError::Db(DbError::Unavailable { .. })), "it is certain: {error:?}");
    folder.lock().expect("nobody panics").server().go_on();
    assert_eq!(store.rows(USERS).await, Vec::<String>::new(), "nothing is half written");
    store.one_more().await.expect("an answer");
}

/// After this the server has forgotten a stream: it does so 10 s after the last statement, and nothing that could be
/// asked meanwhile would leave the stream idle.
const FORGOTTEN: Duration = Duration::from_secs(12);

/// The server also takes the lock of a transaction that stands still for 5 s, for whoever waits.
#[tokio::test]
async fn a_unit_that_stood_still_for_so_long_that_its_stream_was_ended_is_done_again() {
    let (mut folder, store) = fresh().await;
    let other = folder.open().await;
    let busy = other.clone();
    let wait = move || async move { busy.one_more().await.expect("the lock, after a while") };
    let (runs, done) = two_statements(&store, wait).await;
    done.expect("an answer");
    assert_eq!((runs, store.rows(USERS).await.len()), (2, 2));
    store.run("DELETE FROM users WHERE clerk_user_id IN ('first', 'second')").await;
    let (runs, done) = two_statements(&store, || tokio::time::sleep(FORGOTTEN)).await;
    done.expect("an answer");
    assert_eq!((runs, store.rows(USERS).await.len()), (2, 2));
    folder.server().kill();
}

#[tokio::test]
async fn a_server_that_stands_still_is_trouble_that_passes_and_nothing_is_half_written() {
    let (mut folder, store) = fresh().await;
    let (_, lease) = analyzing(&store).await;
    let complete = edge(State::Analyzing, Event::Complete);
    folder.server().pause();
    let (settled, job) =
        tokio::join!(store.settle(lease, complete.clone(), whole()), store.job_of("https://example.com/"));
    let error = settled.expect_err("no answer comes");
    assert!(error.error.is_transient(), "{error:?}");
    assert!(job.expect_err("no answer comes").is_transient());
    folder.server().resume();
    let settled = store.settle(*error.lease, complete, whole()).await.expect("an answer");
    assert_eq!(settled, Settled::Done { version: 4 });
    assert_eq!(store.rows("SELECT count(*) FROM scan_results").await, ["1"]);
}

#[tokio::test]
async fn streams_that_are_left_open_do_not_use_up_the_servers_connections() {
    let (_folder, store) = fresh().await;
    // More than a server keeps open at a time.
    for n in 0..150 {
        let failed: Result<()> = store
            .db
            .write(async |unit: &Unit| {
                unit.execute(FIRST, ()).await?;
                Err(StoreError::Unfit { what: "it fails on purpose" })
            })
            .await;
        assert!(matches!(failed, Err(StoreError::Unfit { .. })), "{n}: {failed:?}");
    }
    assert_eq!(store.rows(USERS).await, Vec::<String>::new());
}

impl Store {
    async fn one_more(&self) -> Result<()> {
        self.submit(vec![new_job("local", "https://example.com/more")]).await.map(drop)
    }

    async fn job_of(&self, url: &str) -> Result<usize> {
        let jobs = self.jobs(Default::default()).await?;
        Ok(jobs.iter().filter(|job| job.url == url).count())
    }
}
