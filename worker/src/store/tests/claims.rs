//! Who gets which job, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{folder, fresh};
use crate::domain::scan::{Options, ScanId, WorkerId};
use crate::domain::state::State;
use crate::store::testing::{new_job, ready};
use crate::store::{Claim, JobFilter, NewJob, Store, StoreError};

/// Claims everything that is due, in order.
async fn drain(store: &Store) -> Vec<String> {
    let worker = WorkerId::fresh();
    let mut order = Vec::new();
    while let Some(lease) = store.take(&worker).await {
        order.push(lease.job().url.clone());
    }
    order
}

/// The order that the design asks for: users take turns by name, beginning behind the one served last; within
/// a user priority, then age.
fn expected(jobs: &[(u8, i64, u32)]) -> Vec<String> {
    let mut queues: BTreeMap<u8, Vec<(i64, u32, usize)>> = BTreeMap::new();
    for (n, &(user, priority, age)) in jobs.iter().enumerate() {
        queues.entry(user).or_default().push((priority, age, n));
    }
    queues.values_mut().for_each(|queue| queue.sort_unstable());
    let mut order = Vec::new();
    while queues.values().any(|queue| !queue.is_empty()) {
        for queue in queues.values_mut().filter(|queue| !queue.is_empty()) {
            order.push(queue.remove(0).2.to_string());
        }
    }
    order
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn users_take_turns_and_each_ones_jobs_go_by_priority_then_age(
        jobs in proptest::collection::vec((0..4_u8, 0..3_i64, 0..5_000_u32), 0..24)
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let order = runtime.block_on(async {
            let (_folder, store) = fresh().await;
            let rows: Vec<_> = jobs.iter().enumerate().map(|(n, &(user, priority, _))| NewJob {
                priority, ..new_job(&format!("user {user}"), &n.to_string())
            }).collect();
            store.submit(rows).await.expect("jobs");
            let ages: String = jobs.iter().enumerate().map(|(n, (_, _, age))| format!(
                "UPDATE scan_jobs SET created_ms = 1700000000000 + {age}, created_at = 1700000000 + {age} / 1000
                 WHERE url = '{n}';"
            )).collect();
            if !ages.is_empty() {
                store.run(&ages).await;
            }
            drain(&store).await
        });
        prop_assert_eq!(order, expected(&jobs));
    }
}

#[tokio::test]
async fn the_turn_goes_on_behind_the_user_served_last() {
    let (_folder, store) = fresh().await;
    let worker = WorkerId::fresh();
    store.submit(vec![new_job("b", "b1"), new_job("b", "b2")]).await.expect("jobs");
    let mut order = vec![store.take(&worker).await.expect("b1").job().url.clone()];
    store.submit(vec![new_job("a", "a1"), new_job("c", "c1")]).await.expect("jobs");
    order.extend(drain(&store).await);
    assert_eq!(order, ["b1", "c1", "a1", "b2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_on_one_file_never_get_the_same_row() {
    const JOBS: usize = 60;
    let folder = folder();
    let stores = [folder.open().await, folder.open().await];
    stores[0].migrate().await.expect("a migrated database");
    let jobs = (0..JOBS).map(|n| new_job(&format!("user {}", n % 3), "https://example.com/")).collect();
    let submitted: BTreeSet<_> = stores[0].submit(jobs).await.expect("jobs").into_iter().collect();
    let claimers: Vec<_> = (0..4)
        .map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move {
                let worker = WorkerId::fresh();
                let mut ids = Vec::new();
                while let Some(lease) = store.take(&worker).await {
                    ids.push(lease.job().id.clone());
                }
                ids
            })
        })
        .collect();
    let mut claimed = Vec::new();
    for claimer in claimers {
        claimed.extend(claimer.await.expect("a claimer"));
    }
    assert_eq!(claimed.len(), JOBS);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), submitted);
    let twice = "SELECT count(*) FROM transitions GROUP BY job_id HAVING count(*) <> 1";
    assert_eq!(stores[0].rows(twice).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_reserved_row_is_its_workers_alone() {
    let (_folder, store) = fresh().await;
    let (mine, other) = (store.worker().await, store.worker().await);
    let job = NewJob { reserved_for: Some(mine.clone()), ..new_job("local", "mine") };
    store.submit(vec![job, new_job("local", "anybody's")]).await.expect("jobs");
    let reserved =
        async |worker: &WorkerId| store.take_of(worker, true).await.map(|lease| lease.job().url.clone());
    assert!(!store.due(Some(&other)).await.expect("an answer").0);
    assert_eq!(reserved(&other).await, None);
    assert!(store.due(Some(&mine)).await.expect("an answer").0);
    assert_eq!(reserved(&mine).await.as_deref(), Some("mine"));
    assert!(!store.due(Some(&mine)).await.expect("an answer").0);
    assert!(store.due(None).await.expect("an answer").0);
    assert_eq!(drain(&store).await, ["anybody's"]);
}

#[tokio::test]
async fn a_delayed_row_is_due_at_its_time_and_not_before() {
    let (_folder, store) = fresh().await;
    assert_eq!(store.promote_due().await.expect("an answer"), None);
    let delayed = |secs, url| NewJob { delay: Some(Duration::from_secs(secs)), ..new_job("local", url) };
    store.submit(vec![delayed(60, "soon"), delayed(3600, "late")]).await.expect("jobs");
    let next = store.promote_due().await.expect("an answer").expect("a delayed row");
    assert!(next <= Duration::from_secs(60) && next > Duration::from_secs(50), "{next:?}");
    assert_eq!(drain(&store).await, Vec::<String>::new());
    store.run("UPDATE scan_jobs SET run_at = run_at - 60000").await;
    let mut news = store.made_due();
    news.mark_unchanged();
    let next = store.promote_due().await.expect("an answer").expect("the other one");
    assert!(next > Duration::from_secs(3000), "{next:?}");
    assert!(news.has_changed().expect("the store lives"), "a promotion is news");
    assert_eq!(drain(&store).await, ["soon"]);
}

#[tokio::test]
async fn what_was_submitted_is_read_back() {
    let (_folder, store) = fresh().await;
    let options: Options = serde_json::from_value(serde_json::json!({
        "userAgent": "ua \"quoted\" \u{0}",
        "timeoutMs": 5000,
        "maxRedirects": 3,
        "headers": [{"name": "X-A", "value": "b"}],
        "tags": ["één"],
    }))
    .expect("options");
    let job = NewJob {
        options: options.clone(),
        priority: 7,
        max_attempts: 5,
        ..new_job("someone's \"name\"", "hxxps://Example[.]com:81/a?b#c")
    };
    let before = store.now().await.expect("the clock");
    let ids = store.submit(vec![job.clone(), new_job("local", "not a url")]).await.expect("jobs");
    assert_eq!(ids[0], job.id);
    let row = store.job(&ids[0]).await.expect("an answer").expect("the job");
    assert_eq!((row.user.as_str(), row.url.as_str()), (job.user.as_str(), job.url.as_str()));
    assert_eq!((row.options, row.priority, row.max_attempts), (options, 7, 5));
    assert_eq!((row.state, row.version, row.attempt, row.kind.as_str()), (State::Queued, 1, 0, "scan"));
    assert!(row.created >= before && row.created <= store.now().await.expect("the clock"));
    assert_eq!(store.rows("SELECT host FROM scan_jobs ORDER BY priority").await, ["null", "example.com"]);
    assert_eq!(store.rows("SELECT count(*) FROM users").await, ["2"]);
    assert!(store.submit(vec![new_job("local", "x"), job]).await.is_err(), "the id exists already");
    assert_eq!(store.counts().await.expect("counts"), [(State::Queued, 2)], "all or none");
    assert_eq!(store.submit(Vec::new()).await.expect("nothing"), Vec::<ScanId>::new());
}

#[tokio::test]
async fn jobs_are_listed_newest_first_by_state_and_user() {
    let (_folder, store) = fresh().await;
    for url in ["1", "2", "3"] {
        store.submit(vec![new_job(if url == "2" { "b" } else { "a" }, url)]).await.expect("a job");
    }
    store.run("UPDATE scan_jobs SET created_ms = created_ms + url").await;
    let urls = async |filter| {
        store.jobs(filter).await.expect("jobs").into_iter().map(|job| job.url).collect::<Vec<_>>()
    };
    assert_eq!(urls(JobFilter::default()).await, ["3", "2", "1"]);
    assert_eq!(urls(JobFilter { limit: 2, ..JobFilter::default() }).await, ["3", "2"]);
    assert_eq!(urls(JobFilter { user: Some("a".to_owned()), ..JobFilter::default() }).await, ["3", "1"]);
    assert!(store.take(&WorkerId::fresh()).await.is_some(), "the first of a");
    let states = vec![State::Fetching, State::Failed];
    assert_eq!(urls(JobFilter { states, ..JobFilter::default() }).await, ["1"]);
    assert_eq!(store.counts().await.expect("counts"), [(State::Fetching, 1), (State::Queued, 2)]);
}

#[tokio::test]
async fn a_claim_whose_caller_stopped_waiting_goes_back_to_the_queue() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    store.ready(&worker).await;
    // The writer stands still until the claim is given up, so that its answer cannot come before.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let busy = store.clone();
    let standing = tokio::spawn(async move {
        busy.db
            .write(async move |_: &crate::db::Unit| {
                Ok::<_, StoreError>(wait.lock().is_ok_and(|wait| wait.recv().is_ok()))
            })
            .await
    });
    tokio::task::yield_now().await;
    let container = ready(&worker);
    let claim = Claim { worker: &worker, container: &container, reserved: false };
    tokio::select! {
        biased;
        _ = store.claim(claim) => panic!("the writer stands still"),
        () = std::future::ready(()) => {}
    }
    go.send(()).expect("the writer waits");
    assert!(standing.await.expect("the task").expect("an answer"));
    assert_eq!(store.renew(&worker, 0).await.expect("an answer"), [], "nobody works on it");
    let job = store.job(&id).await.expect("an answer").expect("the job");
    assert_eq!((job.state, job.version, job.attempt, job.counted_attempts()), (State::Queued, 3, 1, 0));
    assert!(store.take(&worker).await.is_some(), "and it is due again");
    assert_eq!(store.renew(&worker, 0).await.expect("an answer").len(), 1);
}
