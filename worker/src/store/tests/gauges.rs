//! The numbers that are kept beside the jobs, against the jobs counted one by one.

use std::time::Duration;

use super::containers::obligation;
use super::{fresh, taken_over};
use crate::domain::failure::FailureClass;
use crate::domain::scan::WorkerId;
use crate::domain::state::{Event, State};
use crate::store::testing::{edge, failure, new_job};
use crate::store::{NewJob, QueueGauges, Rows, Store};

async fn gauges(store: &Store) -> QueueGauges {
    store.queue_gauges("engine").await.expect("an answer")
}

/// The kept numbers are what counting finds.
async fn assert_true(store: &Store) {
    let counted = store
        .rows(
            "SELECT state, ready, reserved_for IS NOT NULL, coalesce(failure_class, ''), count(*)
             FROM scan_jobs GROUP BY 1, 2, 3, 4",
        )
        .await;
    assert_eq!(store.rows("SELECT * FROM job_counts WHERE jobs <> 0").await, counted);
}

fn of(gauges: &QueueGauges, state: State) -> u64 {
    gauges.states.iter().find(|(known, _)| *known == state).expect("every state is there").1
}

#[tokio::test]
async fn a_job_is_counted_where_it_stands_through_its_whole_life() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let empty = gauges(&store).await;
    assert_eq!((empty.states.len(), empty.oldest_due, empty.containers), (6, None, 0));
    let jobs = vec![
        new_job("a", "1"),
        new_job("b", "2"),
        NewJob { delay: Some(Duration::from_secs(60)), ..new_job("a", "later") },
        NewJob { reserved_for: Some(worker.clone()), ..new_job("local", "mine") },
    ];
    store.submit(jobs).await.expect("jobs");
    store.oblige(obligation("here", "engine", &worker)).await.expect("a user id");
    store.oblige(obligation("there", "another engine", &worker)).await.expect("a user id");
    let all = gauges(&store).await;
    assert_eq!((of(&all, State::Queued), all.ready, all.delayed, all.reserved), (4, 2, 1, 1));
    assert_eq!(all.containers, 1);
    assert_true(&store).await;

    let lease = store.take(&worker).await.expect("1");
    assert_eq!(of(&gauges(&store).await, State::Fetching), 1);
    let crash =
        Event::Retry { failure: failure(FailureClass::ContainerCrash), delay: Duration::from_secs(60) };
    store.settle(lease, edge(State::Fetching, crash), Rows::default()).await.expect("an answer");
    let lease = store.take(&worker).await.expect("2");
    let id = lease.job().id.clone();
    let refused = Event::Fail(failure(FailureClass::Tls));
    store.settle(lease, edge(State::Fetching, refused), Rows::default()).await.expect("an answer");
    let now = gauges(&store).await;
    assert_eq!(
        (of(&now, State::Queued), now.ready, now.delayed),
        (3, 0, 2),
        "a failed attempt is no failed job"
    );
    assert_eq!(now.failures, [(FailureClass::Tls, 1)]);
    assert_eq!(now.oldest_due, None, "nobody but one may claim what is due");
    assert_true(&store).await;

    store.run("UPDATE scan_jobs SET run_at = run_at - 60000").await;
    store.promote_due().await.expect("an answer");
    store.replay(&id).await.expect("an answer");
    let now = gauges(&store).await;
    assert_eq!((now.ready, now.delayed, now.failures.len()), (3, 0, 0));
    assert_true(&store).await;
    store.run("DELETE FROM users").await;
    assert_eq!(gauges(&store).await.states, empty.states);
    assert_true(&store).await;
}

#[tokio::test]
async fn the_oldest_due_job_is_the_one_whose_time_came_first_whoever_has_it() {
    let (_folder, store) = fresh().await;
    let delay = Some(Duration::from_secs(1));
    let delayed = NewJob { delay, ..new_job("b", "delayed") };
    store.submit(vec![new_job("z", "young"), delayed]).await.expect("jobs");
    store
        .run(
            "UPDATE scan_jobs SET created_ms = created_ms - 500000, run_at = run_at - 31000 WHERE url = 'delayed';
             UPDATE scan_jobs SET created_ms = created_ms - 20000 WHERE url = 'young';",
        )
        .await;
    let oldest = gauges(&store).await.oldest_due.expect("a due row");
    assert!(oldest >= Duration::from_secs(20) && oldest < Duration::from_secs(29), "{oldest:?}: it waits");
    store.promote_due().await.expect("an answer");
    let oldest = gauges(&store).await.oldest_due.expect("a due row");
    assert!(
        oldest >= Duration::from_secs(30) && oldest < Duration::from_secs(400),
        "{oldest:?}: since its time"
    );
}

#[tokio::test]
async fn jobs_of_the_program_that_was_there_before_are_counted() {
    let (_folder, store) = taken_over().await;
    assert_true(&store).await;
    let before = gauges(&store).await;
    store
        .run(
            "INSERT INTO scan_jobs (id, user_id, url) VALUES ('new', 'user_2aNna', 'https://example.net/');
             INSERT OR IGNORE INTO scan_jobs (id, user_id, url) VALUES ('new', 'user_2aNna', 'again');
             INSERT INTO scan_jobs (id, user_id, url) VALUES ('new', 'user_2aNna', 'again')
               ON CONFLICT (id) DO UPDATE SET url = excluded.url;
             UPDATE OR REPLACE scan_jobs SET state = 'FAILED', version = version + 1 WHERE id = 'cm1';
             DELETE FROM scan_jobs WHERE id = 'cm2';",
        )
        .await;
    assert_true(&store).await;
    let after = gauges(&store).await;
    assert_eq!(of(&after, State::Queued), of(&before, State::Queued) - 1);
    assert_eq!(of(&after, State::Failed), of(&before, State::Failed) + 1);
    let lease = store.take(&WorkerId::fresh()).await.expect("a job");
    assert_true(&store).await;
    drop(lease);
}
