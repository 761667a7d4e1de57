//! What was set aside comes back, whatever becomes of the jobs that it waits for, of the clock and of the settings.

use std::time::Duration;

use super::politeness::{HOUR, at_most, end, end_with, pass, submit, take_all, waiting};
use super::{folder, fresh};
use crate::domain::failure::FailureClass;
use crate::domain::scan::{Lease, ScanId, WorkerId};
use crate::domain::state::{Event, State};
use crate::store::testing::{edge, failure};
use crate::store::{
    Advanced, Applied, CancelOutcome, Pause, Politeness, ReplayOutcome, Rows, Serving, Store,
};

/// How the only job at work at a host comes to its end.
#[derive(Debug, Clone, Copy)]
enum End {
    Failed,
    TimedOutWhileAnalysed,
    Retried,
    Released,
    Cancelled,
    Replayed,
    TakenOver,
    Lost,
    Deleted,
    EndedByAnotherProgram,
}

const ENDS: [End; 10] = [
    End::Failed,
    End::TimedOutWhileAnalysed,
    End::Retried,
    End::Released,
    End::Cancelled,
    End::Replayed,
    End::TakenOver,
    End::Lost,
    End::Deleted,
    End::EndedByAnotherProgram,
];

impl End {
    async fn happens(self, store: &Store, lease: Lease, dead: &WorkerId, me: &WorkerId) {
        let (job, id) = (lease.job().clone(), lease.job().id.clone());
        let fail = |from, class| edge(from, Event::Fail(failure(class)));
        let settle = async |lease, transition| {
            store.settle(lease, transition, Rows::default()).await.expect("an answer");
        };
        match self {
            Self::Failed => settle(lease, fail(State::Fetching, FailureClass::Lost)).await,
            Self::TimedOutWhileAnalysed => {
                let accepted = store.advance(lease, edge(State::Fetching, Event::Accept)).await;
                let Ok(Advanced::Held(lease)) = accepted else { panic!("the lease stays") };
                settle(lease, fail(State::Analyzing, FailureClass::AnalysisTimeout)).await;
            }
            Self::Retried => {
                let retry = Event::Retry { failure: failure(FailureClass::Dns), delay: HOUR };
                settle(lease, edge(State::Fetching, retry)).await;
            }
            Self::Released => settle(lease, edge(State::Fetching, Event::Release)).await,
            Self::Cancelled => {
                let asked = store.request_cancel(&id).await.expect("an answer");
                assert_eq!(asked, CancelOutcome::Requested);
                settle(lease, fail(State::Fetching, FailureClass::Cancelled)).await;
            }
            Self::Replayed => {
                settle(lease, fail(State::Fetching, FailureClass::Tls)).await;
                let replayed = store.replay(&id).await.expect("an answer");
                assert!(matches!(replayed, ReplayOutcome::Replayed { .. }), "{replayed:?}");
            }
            Self::TakenOver => {
                store.age(dead, HOUR).await;
                let orphan = store.orphan(&id, HOUR).await.expect("an answer").expect("an orphan");
                let taken = store.take_over(&orphan.job, me, Serving::Nothing).await.expect("an answer");
                settle(taken.expect("a lease"), fail(State::Fetching, FailureClass::Tls)).await;
            }
            Self::Lost => {
                let lose = edge(State::Fetching, Event::Lose(failure(FailureClass::Lost)));
                let lost = store.apply(&job, lose, Rows::default()).await.expect("an answer");
                assert!(matches!(lost, Applied::Done { .. }), "{lost:?}");
            }
            Self::Deleted => store.run(&format!("DELETE FROM scan_jobs WHERE id = '{id}'")).await,
            Self::EndedByAnotherProgram => {
                let ended = "UPDATE scan_jobs SET state = 'FAILED', version = version + 1 WHERE id";
                store.run(&format!("{ended} = '{id}'")).await;
            }
        }
    }
}

#[tokio::test]
async fn whatever_ends_the_only_job_of_a_host_what_waits_for_it_comes_back_to_any_worker() {
    let folder = folder();
    let first = folder.open().await.polite(at_most(1));
    first.migrate().await.expect("a migrated database");
    let (dead, me) = (first.worker().await, first.worker().await);
    let urls: Vec<_> = ENDS.iter().map(|end| format!("https://{end:?}.example/").to_lowercase()).collect();
    for _ in 0..2 {
        submit(&first, urls.iter().map(|url| ("a", url.as_str()))).await;
    }
    let mut held = take_all(&first, &dead).await;
    assert_eq!((held.len(), waiting(&first).await), (ENDS.len(), vec![ENDS.len().to_string()]));
    // Whoever set the rows aside is gone with what it knew.
    drop(first);
    let store = folder.open().await.polite(at_most(1));
    for (end, url) in ENDS.iter().zip(&urls) {
        let lease = held.remove(held.iter().position(|lease| lease.job().url == *url).expect("its job"));
        end.happens(&store, lease, &dead, &me).await;
        let back = take_all(&store, &me).await;
        let back: Vec<_> = back.iter().map(|lease| lease.job().url.as_str()).collect();
        assert_eq!(back, [url.as_str()], "{end:?}");
    }
}

#[tokio::test]
async fn what_one_setting_set_aside_comes_back_under_another_one() {
    let folder = folder();
    let start = async |per_host| folder.open().await.polite(at_most(per_host));
    let store = start(2).await;
    store.migrate().await.expect("a migrated database");
    let worker = WorkerId::fresh();
    submit(&store, std::iter::repeat_n(("a", "https://x.example/"), 20)).await;
    let mut held = take_all(&store, &worker).await;
    assert_eq!((held.len(), waiting(&store).await), (2, vec!["18".to_owned()]));
    held.extend(take_all(&start(5).await, &worker).await);
    assert_eq!(held.len(), 5, "raised");
    let store = start(1).await;
    for _ in 0..4 {
        assert!(take_all(&store, &worker).await.is_empty(), "lowered");
        end(&store, held.remove(0)).await;
    }
    assert!(take_all(&store, &worker).await.is_empty(), "one is left");
    end(&store, held.remove(0)).await;
    assert_eq!(take_all(&store, &worker).await.len(), 1);
    assert_eq!(take_all(&start(0).await, &worker).await.len(), 14, "any number");
    assert_eq!(waiting(&store).await, ["0"]);
}

#[tokio::test]
async fn workers_with_different_settings_get_all_of_a_host_done_each_by_its_own() {
    let folder = folder();
    let stores = [folder.open().await.polite(at_most(1)), folder.open().await.polite(at_most(3))];
    stores[0].migrate().await.expect("a migrated database");
    let worker = WorkerId::fresh();
    submit(&stores[0], std::iter::repeat_n(("a", "https://x.example/"), 30)).await;
    let (mut held, mut done, mut most) = (Vec::new(), 0, [0, 0]);
    // Two ends a turn: sometimes nothing is left at work, and the stricter one gets a job.
    while done < 30 {
        for (store, most) in stores.iter().zip(&mut most) {
            let taken = take_all(store, &worker).await;
            held.extend(taken);
            *most = held.len().max(*most);
            let (store, last) = (&stores[done % 2], held.len().min(2));
            for lease in held.drain(..last) {
                end(store, lease).await;
                done += 1;
            }
        }
    }
    assert!(most[1] <= 3 && most[0] <= 3, "{most:?}");
    assert_eq!(waiting(&stores[0]).await, ["0"]);
}

const FIVE_MINUTES: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_clock_that_was_put_back_makes_no_host_wait_for_longer_than_it_may_be_asked_to() {
    let (_folder, store) = fresh().await;
    let store = store.polite(Politeness { per_host: 1, longest_pause: FIVE_MINUTES, ..at_most(1) });
    let worker = WorkerId::fresh();
    let pause = |host: &str, wait| Some(Pause { host: host.to_owned(), wait });
    submit(
        &store,
        ["https://near.example/", "https://far.example/", "https://later.example/"].map(|url| ("a", url)),
    )
    .await;
    for lease in take_all(&store, &worker).await {
        let host = lease.job().url.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let wait = if host == "near.example" { Duration::from_secs(60) } else { FIVE_MINUTES };
        end_with(&store, lease, pause(&host, wait)).await;
    }
    submit(&store, [("a", "https://near.example/"), ("a", "https://far.example/")]).await;
    assert!(take_all(&store, &worker).await.is_empty());
    store.run("UPDATE hosts SET next_ms = next_ms + 86400000 WHERE host <> 'near.example'").await;
    let (_, wait) = store.due(None).await.expect("an answer");
    assert!(wait.is_some_and(|wait| wait <= Duration::from_secs(60)), "{wait:?}");
    pass(&store, Duration::from_secs(60)).await;
    // The first one comes back, and the times of all others are looked at with it.
    assert_eq!(take_all(&store, &worker).await.len(), 1);
    let (_, wait) = store.due(None).await.expect("an answer");
    assert!(wait.is_some_and(|wait| wait <= FIVE_MINUTES), "{wait:?}");
    pass(&store, FIVE_MINUTES).await;
    let back = take_all(&store, &worker).await;
    assert_eq!(
        back.iter().map(|lease| lease.job().url.as_str()).collect::<Vec<_>>(),
        ["https://far.example/"]
    );
    // One for which no row waited yet, and which is alone now.
    store.run("UPDATE hosts SET next_ms = next_ms + 86400000 WHERE host = 'later.example'").await;
    submit(&store, [("a", "https://later.example/")]).await;
    assert!(take_all(&store, &worker).await.is_empty());
    let (_, wait) = store.due(None).await.expect("an answer");
    assert!(wait.is_some_and(|wait| wait <= FIVE_MINUTES), "{wait:?}");
    pass(&store, FIVE_MINUTES).await;
    assert_eq!(take_all(&store, &worker).await.len(), 1);
}

#[tokio::test]
async fn a_row_that_another_program_puts_back_by_its_state_alone_is_found_by_the_next_worker() {
    let (_folder, store) = fresh().await;
    let store = store.polite(at_most(2));
    let me = store.worker().await;
    let ids = submit(&store, std::iter::repeat_n(("a", "https://x.example/"), 3)).await;
    let held = take_all(&store, &me).await;
    assert_eq!(waiting(&store).await, ["1"]);
    let put = async |state: &str, id: &ScanId| {
        let written =
            format!("UPDATE scan_jobs SET state = '{state}', version = version + 1 WHERE id = '{id}'");
        store.run(&written).await;
    };
    put("FETCHING", &ids[2]).await;
    for lease in held {
        end(&store, lease).await;
    }
    // Nothing waits for the host as far as anybody knows.
    assert!(take_all(&store, &me).await.is_empty());
    put("QUEUED", &ids[2]).await;
    assert!(take_all(&store, &me).await.is_empty(), "nobody is told of it");
    let next = store.worker().await;
    assert_eq!(take_all(&store, &next).await.len(), 1);
}

#[tokio::test]
async fn users_with_hundreds_of_rows_for_a_full_host_have_had_their_turn_when_these_are_set_aside() {
    let (_folder, store) = fresh().await;
    let store = store.polite(at_most(1));
    let worker = WorkerId::fresh();
    submit(&store, [("a", "https://busy.example/")]).await;
    let _lease = store.take(&worker).await.expect("the host is full from here on");
    for user in ["b", "c", "d", "e", "f", "g", "h"] {
        submit(&store, std::iter::repeat_n((user, "https://busy.example/"), 500)).await;
    }
    submit(&store, [("z", "https://quiet.example/")]).await;
    let mut claims = 1;
    let lease = loop {
        match store.take(&worker).await {
            Some(lease) => break lease,
            None => claims += 1,
        }
        assert!(claims < 100, "it is never reached");
    };
    assert_eq!(lease.job().user, "z");
    assert_eq!(claims, 2, "four users' turns are over with the first claim, three with the second one");
}

#[tokio::test]
async fn hosts_that_were_waited_for_together_are_forgotten_together() {
    const AT_ONCE: usize = 40;
    const ROUNDS: usize = 4;
    let (_folder, store) = fresh().await;
    let store = store.polite(at_most(1));
    let worker = WorkerId::fresh();
    for round in 0..ROUNDS {
        let urls: Vec<_> = (0..AT_ONCE).map(|host| format!("https://{round}-{host}.example/")).collect();
        for _ in 0..2 {
            submit(&store, urls.iter().map(|url| ("a", url.as_str()))).await;
        }
        for _ in 0..2 {
            let held = take_all(&store, &worker).await;
            assert_eq!(held.len(), AT_ONCE);
            for lease in held {
                end(&store, lease).await;
            }
        }
        assert_eq!(waiting(&store).await, ["0"]);
        pass(&store, HOUR).await;
    }
    let known = store.rows("SELECT count(*) FROM hosts").await[0].parse().expect("a number");
    assert!((1..=AT_ONCE).contains(&known), "{known} of {}", AT_ONCE * ROUNDS);
}
