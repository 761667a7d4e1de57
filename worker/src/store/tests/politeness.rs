//! How many jobs go to one host, and that those that wait are in nobody's way.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::{KIND, folder, fresh, taken_over};
use crate::domain::failure::FailureClass;
use crate::domain::scan::{Lease, ScanId, WorkerId};
use crate::domain::state::{Event, State};
use crate::store::testing::{Kind, edge, failure, new_job};
use crate::store::{CancelOutcome, NewJob, Pause, Politeness, Rows, Serving, Settled, Store};

pub(super) const HOUR: Duration = Duration::from_secs(3600);
const EIGHT: Politeness =
    Politeness { per_host: 8, gap: Duration::ZERO, longest_pause: Duration::from_secs(7200) };

/// So many of one host at a time, and nothing else.
pub(super) fn at_most(per_host: u32) -> Politeness {
    Politeness { per_host, ..Politeness::default() }
}

/// Everything that can be claimed, until nothing is due any more.
pub(super) async fn take_all(store: &Store, worker: &WorkerId) -> Vec<Lease> {
    let mut leases = Vec::new();
    while store.due(None).await.expect("an answer").0 {
        leases.extend(store.take(worker).await);
    }
    leases
}

/// Ends a job as hosts see it: without a word about them.
pub(super) async fn end(store: &Store, lease: Lease) {
    end_with(store, lease, None).await;
}

pub(super) async fn end_with(store: &Store, lease: Lease, pause: Option<Pause>) {
    let failed = edge(State::Fetching, Event::Fail(failure(FailureClass::Tls)));
    let rows = Rows { pause, ..Rows::default() };
    let settled = store.settle(lease, failed, rows).await.expect("an answer");
    assert!(matches!(settled, Settled::Done { .. }), "{settled:?}");
}

pub(super) async fn submit(store: &Store, jobs: impl IntoIterator<Item = (&str, &str)>) -> Vec<ScanId> {
    let jobs = jobs.into_iter().map(|(user, url)| new_job(user, url)).collect();
    store.submit(jobs).await.expect("jobs")
}

async fn at_work(store: &Store) -> usize {
    let held = store.rows("SELECT count(*) FROM scan_jobs WHERE state IN ('FETCHING', 'ANALYZING')").await;
    held[0].parse().expect("a number")
}

pub(super) async fn waiting(store: &Store) -> Vec<String> {
    store.rows("SELECT count(*) FROM scan_jobs WHERE state = 'QUEUED' AND ready = 2").await
}

/// As if so much time had passed.
pub(super) async fn pass(store: &Store, time: Duration) {
    store.run(&format!("UPDATE hosts SET next_ms = next_ms - {}", time.as_millis())).await;
}

/// Each end and each claim is some calls of a server, so that it gets fewer.
const JOBS: usize = if matches!(KIND, Kind::File) { 1_000 } else { 200 };

#[tokio::test]
async fn hundreds_of_jobs_for_one_host_are_never_more_at_a_time_than_may_be() {
    let folder = folder();
    let stores = [folder.open().await.polite(EIGHT), folder.open().await.polite(EIGHT)];
    stores[0].migrate().await.expect("a migrated database");
    submit(&stores[0], std::iter::repeat_n(("a", "https://one.example/"), JOBS)).await;
    let worker = WorkerId::fresh();
    let (mut held, mut most) = (VecDeque::new(), 0);
    for ended in 0..JOBS {
        // Two programs ask by turns for as much as there is.
        held.extend(take_all(&stores[ended % 2], &worker).await);
        most = most.max(held.len());
        end(&stores[ended % 2], held.pop_front().expect("a host with room has a job")).await;
    }
    println!("{JOBS} jobs for one host, at most {most} at a time");
    assert_eq!(most, 8);
    assert_eq!(at_work(&stores[0]).await, 0);
    assert!(take_all(&stores[0], &worker).await.is_empty());
    assert_eq!(stores[0].rows("SELECT count(*), max(waiting) FROM hosts").await, ["1|0"]);
}

#[tokio::test]
async fn one_job_behind_ten_thousand_of_another_user_is_claimed_next_or_second() {
    let store = fresh().await;
    let (_folder, store) = (store.0, store.1.polite(EIGHT));
    let worker = WorkerId::fresh();
    submit(&store, std::iter::repeat_n(("a", "https://busy.example/"), 10_000)).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(store.take(&worker).await.expect("a job of a"));
    }
    // Elsewhere, by a user before and one behind, while thousands of rows have not been met yet.
    submit(&store, [("0", "https://quiet.example/"), ("b", "https://quiet.example/")]).await;
    let next = [store.take(&worker).await, store.take(&worker).await];
    let next = next.map(|lease| lease.expect("a job elsewhere").job().user.clone());
    assert_eq!(next, ["b", "0"]);
    // At the same host: as soon as one of the eight ends.
    submit(&store, [("b", "https://busy.example/")]).await;
    assert!(take_all(&store, &worker).await.is_empty(), "the host is full");
    assert_eq!(waiting(&store).await, ["9993"]);
    assert_eq!(store.due_count(None, 100).await.expect("an answer"), 0);
    let mut served = Vec::new();
    for _ in 0..2 {
        end(&store, held.remove(0)).await;
        assert_eq!(store.due_count(None, 100).await.expect("an answer"), 1);
        let lease = take_all(&store, &worker).await.pop().expect("a job");
        served.push(lease.job().user.clone());
        held.push(lease);
    }
    println!("one job behind 10,000 of another user at a full host: {served:?}");
    assert!(served.contains(&"b".to_owned()), "{served:?}");
}

/// Rows that a server reads for one claim. A file has the same statements.
#[tokio::test]
async fn what_waits_for_a_host_is_not_read_by_claims() {
    if KIND == Kind::File {
        return;
    }
    let mut read = Vec::new();
    for waiting in [100, 10_000] {
        let (_folder, store) = fresh().await;
        let store = store.polite(EIGHT);
        let worker = WorkerId::fresh();
        submit(&store, std::iter::repeat_n(("a", "https://busy.example/"), waiting)).await;
        take_all(&store, &worker).await;
        let elsewhere: Vec<_> = (0..20).map(|n| format!("https://quiet{n}.example/")).collect();
        submit(&store, elsewhere.iter().map(|url| ("a", url.as_str()))).await;
        let before = store.db.rows_read();
        for _ in &elsewhere {
            drop(store.take(&worker).await.expect("a job elsewhere"));
        }
        read.push((store.db.rows_read() - before) / 20);
    }
    println!("rows read by a claim while 92 and 9,992 rows wait for a full host: {read:?}");
    assert!(read[0] > 0, "rows are counted");
    assert_eq!(read[0], read[1]);
}

#[tokio::test]
async fn a_host_has_a_gap_between_the_starts_of_its_jobs() {
    let (_folder, store) = fresh().await;
    let store = store.polite(Politeness { gap: HOUR, ..Politeness::default() });
    let worker = WorkerId::fresh();
    let urls = ["https://x.example/1", "https://x.example/2", "https://x.example/3", "https://y.example/"];
    submit(&store, urls.map(|url| ("a", url))).await;
    let first = take_all(&store, &worker).await;
    let urls: Vec<_> = first.iter().map(|lease| lease.job().url.as_str()).collect();
    assert_eq!(urls, ["https://x.example/1", "https://y.example/"]);
    let (due, wait) = store.due(None).await.expect("an answer");
    assert!(!due && wait.is_some_and(|wait| wait <= HOUR && wait > HOUR / 2), "{wait:?}");
    for lease in first {
        end(&store, lease).await;
    }
    assert!(store.take(&worker).await.is_none(), "an end is no reason to begin earlier");
    pass(&store, HOUR).await;
    assert_eq!(
        store.due_count(None, 100).await.expect("an answer"),
        1,
        "the next one waits for the gap again"
    );
    let second = take_all(&store, &worker).await;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].job().url, "https://x.example/2");
}

#[tokio::test]
async fn a_host_that_asked_for_a_pause_waits_alone_and_no_shorter_than_it_said_first() {
    let (_folder, store) = fresh().await;
    let store = store.polite(EIGHT);
    let worker = WorkerId::fresh();
    submit(&store, [("a", "https://x.example/1"), ("a", "https://x.example/2")]).await;
    let (one, two) = (store.take(&worker).await.expect("1"), store.take(&worker).await.expect("2"));
    let pause = |wait| Some(Pause { host: "x.example".to_owned(), wait });
    end_with(&store, one, pause(2 * HOUR)).await;
    end_with(&store, two, pause(Duration::from_secs(1))).await;
    submit(&store, [("a", "https://x.example/3"), ("a", "https://y.example/"), ("b", "http://x.example/")])
        .await;
    let elsewhere = take_all(&store, &worker).await;
    assert_eq!(elsewhere.len(), 1);
    assert_eq!(elsewhere[0].job().url, "https://y.example/");
    assert_eq!(store.queue_gauges("engine").await.expect("an answer").held_back, 2);
    pass(&store, HOUR).await;
    assert!(take_all(&store, &worker).await.is_empty());
    pass(&store, HOUR).await;
    assert_eq!(take_all(&store, &worker).await.len(), 2);
    let gauges = store.queue_gauges("engine").await.expect("an answer");
    assert_eq!((gauges.held_back, gauges.ready), (0, 0));
}

#[tokio::test]
async fn a_host_that_no_job_waits_for_any_more_is_forgotten() {
    let (_folder, store) = fresh().await;
    let store = store.polite(at_most(1));
    let worker = WorkerId::fresh();
    for number in 0..20 {
        let url = format!("https://host{number}.example/");
        submit(&store, std::iter::repeat_n(("a", url.as_str()), 2)).await;
        let first = take_all(&store, &worker).await.remove(0);
        assert_eq!(waiting(&store).await, ["1"]);
        end(&store, first).await;
        let second = take_all(&store, &worker).await.remove(0);
        end(&store, second).await;
        pass(&store, HOUR).await;
    }
    assert_eq!(store.rows("SELECT count(*) FROM hosts").await, ["1"], "the last one");
}

#[tokio::test]
async fn a_dead_worker_s_jobs_take_room_until_somebody_ends_them() {
    let (_folder, store) = fresh().await;
    let store = store.polite(at_most(2));
    let (dead, me) = (store.worker().await, store.worker().await);
    submit(&store, std::iter::repeat_n(("a", "https://x.example/"), 5)).await;
    assert_eq!(take_all(&store, &dead).await.len(), 2);
    store.age(&dead, HOUR).await;
    assert!(take_all(&store, &me).await.is_empty(), "their fetchers may still run");
    let orphans = store.orphans(HOUR).await.expect("orphans");
    assert_eq!(orphans.len(), 2);
    let mine =
        store.take_over(&orphans[0].job, &me, Serving::Nothing).await.expect("an answer").expect("a lease");
    assert!(take_all(&store, &me).await.is_empty(), "taking over is no start");
    let release = edge(State::Fetching, Event::Release);
    store.settle(mine, release, Rows::default()).await.expect("an answer");
    assert_eq!(take_all(&store, &me).await.len(), 1);
    let lost = edge(State::Fetching, Event::Lose(failure(FailureClass::Lost)));
    store.apply(&orphans[1].job, lost, Rows::default()).await.expect("an answer");
    assert_eq!(take_all(&store, &me).await.len(), 1);
    assert_eq!(at_work(&store).await, 2);
}

#[tokio::test]
async fn what_waits_is_cancelled_replayed_and_deleted_like_anything_else() {
    let (_folder, store) = fresh().await;
    let store = store.polite(at_most(1));
    let worker = WorkerId::fresh();
    let ids = submit(&store, std::iter::repeat_n(("a", "https://x.example/"), 4)).await;
    let held = take_all(&store, &worker).await.remove(0);
    assert_eq!(waiting(&store).await, ["3"]);
    let offered = store.undelivered(Duration::ZERO, 10).await.expect("an answer");
    assert_eq!(offered.len(), 3, "another queue, put in front of the database later, knows nothing of hosts");
    let outcome = store.request_cancel(&ids[1]).await.expect("an answer");
    assert_eq!(outcome, CancelOutcome::Cancelled);
    store.replay(&ids[1]).await.expect("an answer");
    assert!(take_all(&store, &worker).await.is_empty());
    assert_eq!(waiting(&store).await, ["3"]);
    let others = format!("DELETE FROM scan_jobs WHERE id <> '{}'", ids[0]);
    store.run(&others).await;
    end(&store, held).await;
    assert!(take_all(&store, &worker).await.is_empty());
    let (due, wait) = store.due(None).await.expect("an answer");
    assert_eq!((due, wait), (false, None), "a host that nobody waits for any more wakes nobody");
    submit(&store, [("a", "https://x.example/")]).await;
    assert_eq!(take_all(&store, &worker).await.len(), 1);
}

#[tokio::test]
async fn a_row_for_which_a_person_waits_is_not_held_back_and_counts() {
    let (_folder, store) = fresh().await;
    let store = store.polite(Politeness { gap: HOUR, ..at_most(1) });
    let worker = store.worker().await;
    let mine = NewJob { reserved_for: Some(worker.clone()), ..new_job("local", "https://x.example/") };
    store.submit(vec![new_job("a", "https://x.example/"), mine.clone()]).await.expect("jobs");
    let lease = store.take(&worker).await.expect("a's");
    let person = store.take_of(&worker, true).await.expect("the person's");
    assert_eq!(person.job().user, "local");
    end(&store, lease).await;
    pass(&store, HOUR).await;
    submit(&store, [("b", "https://x.example/")]).await;
    assert!(take_all(&store, &worker).await.is_empty(), "the person's scan is still there");
    end(&store, person).await;
    assert_eq!(take_all(&store, &worker).await.len(), 1);
}

#[tokio::test]
async fn rows_of_another_program_are_held_back_by_the_host_of_their_url() {
    let (_folder, store) = taken_over().await;
    let store = store.polite(at_most(2));
    let worker = store.worker().await;
    store
        .run(
            "DELETE FROM scan_jobs;
             INSERT INTO scan_jobs (id, user_id, url, created_at)
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300)
             SELECT 'n' || n, 'user_2aNna', 'hxxps://BUSY[.]example/' || n, n FROM n;
             INSERT INTO scan_jobs (id, user_id, url, created_at)
             VALUES ('other', 'user_2aNna', 'https://quiet.example/', 1000), ('none', 'user_2aNna', 'no url', 1001);",
        )
        .await;
    let leases = take_all(&store, &worker).await;
    let mut ids: Vec<_> = leases.iter().map(|lease| lease.job().id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["n1", "n2", "none", "other"]);
    assert_eq!(waiting(&store).await, ["298"]);
    let hosts = "SELECT host, count(*) FROM scan_jobs WHERE state = 'FETCHING' GROUP BY 1 ORDER BY 1";
    assert_eq!(store.rows(hosts).await, ["null|1", "busy.example|2", "quiet.example|1"]);
}

#[tokio::test]
async fn a_handle_without_rules_takes_what_another_one_held_back() {
    let folder = folder();
    let (polite, plain) = (folder.open().await, folder.open().await);
    polite.migrate().await.expect("a migrated database");
    let polite = polite.polite(at_most(1));
    let worker = WorkerId::fresh();
    submit(&polite, std::iter::repeat_n(("a", "https://x.example/"), 20)).await;
    assert_eq!(take_all(&polite, &worker).await.len(), 1);
    assert_eq!(plain.due_count(None, 7).await.expect("an answer"), 7);
    assert_eq!(take_all(&plain, &worker).await.len(), 19);
}

#[derive(Debug, Clone)]
enum Act {
    Submit { user: u8, host: u8, priority: i64 },
    Claim(usize),
    End { lease: usize, pause: bool },
    Release(usize),
    Cancel(usize),
    HourPasses,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..3_u8, 0..3_u8, 0..2_i64).prop_map(|(user, host, priority)| Act::Submit { user, host, priority }),
        6 => (0..2_usize).prop_map(Act::Claim),
        3 => (0..8_usize, prop::bool::weighted(0.2)).prop_map(|(lease, pause)| Act::End { lease, pause }),
        1 => (0..8_usize).prop_map(Act::Release),
        1 => (0..20_usize).prop_map(Act::Cancel),
        1 => Just(Act::HourPasses),
    ]
}

const TWO: Politeness = Politeness { per_host: 2, gap: Duration::ZERO, longest_pause: HOUR };

/// Queued rows whose host has room now.
const COULD_START: &str = "SELECT count(*) FROM scan_jobs AS row WHERE state = 'QUEUED'
    AND (SELECT count(*) FROM scan_jobs AS busy WHERE busy.host = row.host AND busy.state = 'FETCHING') < 2
    AND coalesce((SELECT next_ms FROM hosts WHERE hosts.host = row.host), 0) <= (unixepoch() + 1) * 1000";

async fn carry_out(acts: Vec<Act>) {
    let folder = folder();
    let stores = [folder.open().await.polite(TWO), folder.open().await.polite(TWO)];
    stores[0].migrate().await.expect("a migrated database");
    let worker = WorkerId::fresh();
    let (mut ids, mut held) = (Vec::new(), Vec::new());
    for act in acts {
        match act {
            Act::Submit { user, host, priority } => {
                let job = new_job(&format!("user {user}"), &format!("https://{host}.example/"));
                ids.extend(stores[0].submit(vec![NewJob { priority, ..job }]).await.expect("a job"));
            }
            Act::Claim(store) => held.extend(stores[store].take(&worker).await),
            Act::End { lease, pause } if lease < held.len() => {
                let lease: Lease = held.swap_remove(lease);
                let host = lease.job().url.trim_start_matches("https://").trim_end_matches('/').to_owned();
                end_with(&stores[0], lease, pause.then_some(Pause { host, wait: HOUR })).await;
            }
            Act::Release(lease) if lease < held.len() => {
                let release = edge(State::Fetching, Event::Release);
                stores[1].settle(held.swap_remove(lease), release, Rows::default()).await.expect("an answer");
            }
            Act::Cancel(job) if job < ids.len() => {
                let queued =
                    format!("SELECT 1 FROM scan_jobs WHERE id = '{}' AND state = 'QUEUED'", ids[job]);
                if !stores[0].rows(&queued).await.is_empty() {
                    stores[0].request_cancel(&ids[job]).await.expect("an answer");
                }
            }
            Act::End { .. } | Act::Release(_) | Act::Cancel(_) => {}
            Act::HourPasses => pass(&stores[0], HOUR).await,
        }
        let full =
            "SELECT host, count(*) FROM scan_jobs WHERE state = 'FETCHING' GROUP BY 1 HAVING count(*) > 2";
        assert_eq!(stores[0].rows(full).await, Vec::<String>::new());
    }
    // Nothing is forgotten: once no host is to be left alone any more, what could start does, and in the end everything has.
    pass(&stores[0], HOUR).await;
    loop {
        held.extend(take_all(&stores[0], &worker).await);
        assert_eq!(stores[1].rows(COULD_START).await, ["0"]);
        let Some(lease) = held.pop() else { break };
        end(&stores[1], lease).await;
    }
    assert_eq!(stores[0].rows("SELECT count(*) FROM scan_jobs WHERE state = 'QUEUED'").await, ["0"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_host_gets_more_than_it_may_and_nothing_that_could_start_is_forgotten(
        acts in proptest::collection::vec(act(), 0..50)
    ) {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(carry_out(acts));
    }
}
