//! Looking at many jobs: every filter, every order, pages, and how long it takes when there are many.

use super::{fresh, taken_over};
use crate::domain::failure::FailureClass;
use crate::domain::scan::{Options, ScanId};
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::VerdictState;
use crate::store::testing::new_job;
use crate::store::{NewJob, Page, Percentiles, Search, Sort, Store};

/// Five jobs that differ in everything a filter looks at, the oldest first.
const ROWS: &str = "
    INSERT INTO users (clerk_user_id) VALUES ('ann'), ('bob');
    INSERT INTO scan_jobs (id, user_id, url, state, created_at, updated_at, created_ms, host, options,
        failure_class, failure_stage, started_ms, finished_ms) VALUES
      ('job-0001', 'ann', 'https://a.example/', 'COMPLETED', 1000, 1900, 1000100, 'a.example',
       '{\"tags\":[\"mail\",\"red\"]}', NULL, NULL, 1000200, 1000900),
      ('job-0002', 'bob', 'https://www.a.example/', 'COMPLETED', 1000, 1800, 1000200, 'www.a.example', NULL,
       NULL, NULL, 1000300, 1009000),
      ('job-0003', 'ann', 'https://ba.example/', 'FAILED', 1002, 1700, 1002000, 'ba.example', NULL, 'connect',
       'fetch', 1002100, 1002200),
      ('job-0004', 'ann', 'HTTP://B.example:81/?x', 'TIMED_OUT', 1003, 1600, 0, NULL, 'no json', 'timeout',
       'fetch', NULL, NULL),
      ('xjob-005', 'bob', 'https://c.example/', 'QUEUED', 1004, 1500, 1004000, 'c.example', NULL, NULL, NULL,
       NULL, NULL);
    INSERT INTO scan_results (job_id, risk_score, categories, content_hash, model_used, analysis_metadata,
        reasoning, indicators) VALUES
      ('job-0001', 90, '[]', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 'm',
       '{\"state\":\"malicious\"}', 'r', '[]'),
      ('job-0002', 5, '[]', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 'm',
       '{\"state\":\"benign\"}', 'r', '[]');";

async fn stage() -> (crate::store::testing::Folder, Store) {
    let (folder, store) = fresh().await;
    store.run(ROWS).await;
    (folder, store)
}

/// The last digits of what was found, in its order.
async fn found(store: &Store, search: Search, page: Page) -> String {
    let rows = store.find_jobs(search, page).await.expect("a listing");
    rows.iter().filter_map(|row| row.job.id.as_str().chars().last()).collect()
}

#[tokio::test]
async fn every_filter_lets_through_what_fits_and_nothing_else() {
    let (_folder, store) = stage().await;
    let all = Search::default;
    let text = |text: &str| Some(text.to_owned());
    let at = |millis| Some(Timestamp::from_millis(millis));
    for (search, expected) in [
        (all(), "54321"),
        (Search { states: vec![State::Failed, State::TimedOut], ..all() }, "43"),
        (Search { verdicts: vec![VerdictState::Malicious], ..all() }, "1"),
        (Search { verdicts: vec![VerdictState::NotEvaluated, VerdictState::Benign], ..all() }, "5432"),
        (Search { classes: vec![FailureClass::Connect, FailureClass::Dns], ..all() }, "3"),
        (Search { domain: text("a.example"), ..all() }, "21"),
        (Search { domain: text("b.example"), ..all() }, "4"),
        (Search { domain: text("example"), ..all() }, "54321"),
        (Search { domain: text("*.example"), ..all() }, ""),
        (Search { user: text("bob"), ..all() }, "52"),
        (Search { tag: text("red"), ..all() }, "1"),
        (Search { since: at(1_000_200), ..all() }, "5432"),
        (Search { since: at(1_003_000), until: at(1_004_000), ..all() }, "4"),
        (Search { until: at(1_000_200), ..all() }, "1"),
        (Search { user: text("ann"), states: vec![State::Failed], since: at(0), ..all() }, "3"),
    ] {
        assert_eq!(found(&store, search.clone(), Page::default()).await, expected, "{search:?}");
    }
}

#[tokio::test]
async fn every_order_has_its_direction_and_ends_with_what_has_no_value() {
    let (_folder, store) = stage().await;
    for (sort, forward, reverse) in [
        (Sort::Created, "54321", "12345"),
        (Sort::Updated, "12345", "54321"),
        (Sort::Finished, "23154", "13245"),
        (Sort::Duration, "21354", "31245"),
        (Sort::Score, "12543", "21345"),
        (Sort::Domain, "14352", "25341"),
    ] {
        let page = Page { sort, ..Page::default() };
        assert_eq!(found(&store, Search::default(), page.clone()).await, forward, "{sort:?}");
        assert_eq!(
            found(&store, Search::default(), Page { reverse: true, ..page }).await,
            reverse,
            "{sort:?}"
        );
    }
    let rows = store.find_jobs(Search::default(), Page::default()).await.expect("a listing");
    let told: Vec<_> = rows.iter().map(|row| (row.verdict, row.score)).collect();
    assert_eq!(told[4], (Some(VerdictState::Malicious), Some(90)));
    assert_eq!(told[0], (None, None));
}

#[tokio::test]
async fn pages_behind_one_another_hold_every_row_once_whatever_comes_meanwhile() {
    let (_folder, store) = stage().await;
    for reverse in [false, true] {
        let mut seen = String::new();
        let mut after = None;
        loop {
            let page = Page { limit: 2, after: after.take(), reverse, ..Page::default() };
            let rows = store.find_jobs(Search::default(), page).await.expect("a listing");
            let Some(last) = rows.last() else { break };
            after = Some(last.job.id.clone());
            seen.extend(rows.iter().filter_map(|row| row.job.id.as_str().chars().last()));
            if !reverse {
                store.one("https://new.example/").await;
            }
        }
        let seen: String = seen.chars().take(5).collect();
        assert_eq!(seen, if reverse { "12345" } else { "54321" });
    }
    let skipped = Page { offset: 1, limit: 2, reverse: true, ..Page::default() };
    assert_eq!(found(&store, Search::default(), skipped).await, "23");
}

#[tokio::test]
async fn an_id_is_found_by_its_beginning_and_by_itself_first() {
    let (_folder, store) = stage().await;
    let ids = |prefix: &'static str| {
        let store = store.clone();
        async move {
            let ids = store.ids_with_prefix(prefix, 3).await.expect("ids");
            ids.iter().map(ScanId::to_string).collect::<Vec<_>>()
        }
    };
    assert_eq!(ids("job-000").await, ["job-0001", "job-0002", "job-0003"]);
    assert_eq!(ids("job-0004").await, ["job-0004"]);
    assert_eq!(ids("xjob").await, ["xjob-005"]);
    assert!(ids("job-0005").await.is_empty() && ids("%").await.is_empty() && ids("_ob").await.is_empty());
    store
        .submit(vec![NewJob { id: ScanId::parse("job-").expect("an id"), ..new_job("ann", "x.example") }])
        .await
        .expect("a job");
    assert_eq!(ids("job-").await, ["job-"], "the whole id comes before the beginnings");
}

#[tokio::test]
async fn rows_of_other_programs_are_listed_filtered_and_counted_too() {
    let (_folder, store) = taken_over().await;
    let rows = store.find_jobs(Search::default(), Page::default()).await.expect("a listing");
    assert!(!rows.is_empty());
    for sort in [Sort::Updated, Sort::Finished, Sort::Duration, Sort::Score, Sort::Domain] {
        let page = Page { sort, ..Page::default() };
        assert_eq!(store.find_jobs(Search::default(), page).await.expect("a listing").len(), rows.len());
    }
    let stats = store.stats(Timestamp::default()).await.expect("numbers");
    let counted: u64 = stats.states.iter().map(|(_, jobs)| jobs).sum();
    assert_eq!(counted, rows.len() as u64);
}

#[tokio::test]
async fn numbers_are_of_what_came_since_and_the_queue_of_now() {
    let (_folder, store) = stage().await;
    store.run(
        "INSERT INTO attempts (job_id, attempt, queue_ms, run_ms, reason, ended_ms)
           SELECT 'job-0003', value, value * 10, value, 'x', 0 FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]');
         INSERT INTO transitions (job_id, version, from_state, to_state, at_ms, attempt, reason, op) VALUES
           ('job-0003', 2, 'FETCHING', 'QUEUED', 0, 1, 'retry: connect', 'o'),
           ('job-0003', 3, 'FETCHING', 'QUEUED', 0, 2, 'lost: lost', 'o'),
           ('job-0001', 4, 'FETCHING', 'QUEUED', 0, 3, 'retry: connect', 'o');",
    )
    .await;
    let stats = store.stats(Timestamp::from_millis(1_000_200)).await.expect("numbers");
    assert_eq!(
        stats.states,
        [(State::Completed, 1), (State::Failed, 1), (State::Queued, 1), (State::TimedOut, 1)]
    );
    assert_eq!(stats.classes, [(FailureClass::Connect, 1), (FailureClass::Timeout, 1)]);
    assert_eq!(stats.verdicts, [(Some(VerdictState::Benign), 1)]);
    assert_eq!(
        (stats.run, stats.queue_wait),
        (Percentiles { p50: Some(10), p95: Some(19) }, Percentiles { p50: Some(100), p95: Some(190) },)
    );
    let slowest: Vec<_> =
        stats.slowest.iter().map(|slow| (slow.id.as_str(), slow.host.as_str(), slow.ms)).collect();
    assert_eq!(slowest, [("job-0002", "www.a.example", 8700), ("job-0003", "ba.example", 100)]);
    assert_eq!((stats.retries, stats.losses), (1, 1));
    let oldest = stats.queue.oldest.as_ref().map(|(id, at)| (id.as_str(), at.millis()));
    assert_eq!((stats.queue.depth, oldest), (1, Some(("xjob-005", 1_004_000))));
    assert_eq!(stats.queue.users, [("bob".to_owned(), 1)]);
    store.run("DELETE FROM attempts WHERE attempt > 1").await;
    let one = store.stats(Timestamp::default()).await.expect("numbers").run;
    assert_eq!(one, Percentiles { p50: Some(1), p95: Some(1) });
    assert_eq!((stats.hours.len(), stats.hours.iter().map(|hour| hour.jobs).sum::<u64>()), (24, 0));
    store
        .submit(vec![NewJob { options: Options::default(), ..new_job("ann", "https://now.example/") }])
        .await
        .expect("a job");
    let stats = store.stats(Timestamp::default()).await.expect("numbers");
    assert_eq!(stats.hours.last().map(|hour| hour.jobs), Some(1));
}

#[tokio::test]
async fn jobs_are_changed_as_they_were_seen_or_left_alone() {
    use crate::store::{CancelOutcome, ReplayOutcome};
    let (_folder, store) = stage().await;
    let search = Search { states: vec![State::Failed, State::TimedOut], ..Search::default() };
    let seen: Vec<_> = store
        .find_jobs(search, Page::default())
        .await
        .expect("jobs")
        .into_iter()
        .map(|row| row.job)
        .collect();
    let third = ScanId::parse("job-0003").expect("an id");
    store.replay(&third).await.expect("an answer");
    let outcomes = store.replay_seen(seen).await.expect("answers");
    assert_eq!(outcomes, [ReplayOutcome::Replayed { version: 2 }, ReplayOutcome::Changed]);
    let queued = Search { states: vec![State::Queued], ..Search::default() };
    let seen: Vec<_> = store
        .find_jobs(queued, Page::default())
        .await
        .expect("jobs")
        .into_iter()
        .map(|row| row.job)
        .collect();
    store.request_cancel(&third).await.expect("an answer");
    let outcomes = store.cancel_seen(seen).await.expect("answers");
    assert_eq!(outcomes, [CancelOutcome::Cancelled, CancelOutcome::Cancelled, CancelOutcome::Changed]);
}
