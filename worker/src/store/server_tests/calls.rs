//! How many calls what a worker does all the time costs. Each waits for the network there and back.

use std::time::{Duration, Instant};

use super::{analyzing, claimed, fresh, whole};
use crate::domain::failure::FailureClass;
use crate::domain::scan::ScanId;
use crate::domain::state::{Event, State};
use crate::store::testing::{edge, failure};
use crate::store::tests::deliveries::arrival;
use crate::store::{Claim, Disposition, Rows, Settled, Store};

/// An edge without rows, and one that completes a scan.
const EDGE: u64 = 3;
const COMPLETED: u64 = 8;

async fn counted<T>(store: &Store, work: impl Future<Output = T>) -> (u64, T) {
    let before = store.db.round_trips();
    let done = work.await;
    (store.db.round_trips() - before, done)
}

#[tokio::test]
async fn no_edge_costs_more_calls_than_it_may() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    store.one("https://example.com/").await;
    let container = store.ready(&worker).await;
    let claim = Claim { worker: &worker, container: &container, reserved: false };
    let (claim, lease) = counted(&store, store.claim(claim)).await;
    let (accept, lease) = (edge(State::Fetching, Event::Accept), lease.expect("an answer").expect("the job"));
    let (advance, _) = counted(&store, store.advance(lease, accept)).await;
    let mut told = vec![("claim", claim), ("advance", advance)];
    for (name, event) in [
        ("retry", Event::Retry { failure: failure(FailureClass::Lost), delay: Duration::from_secs(9) }),
        ("release", Event::Release),
        ("lose", Event::Lose(failure(FailureClass::Lost))),
    ] {
        let (_, lease) = claimed(&store).await;
        let back = edge(State::Fetching, event);
        let (calls, settled) = counted(&store, store.settle(lease, back, Rows::default())).await;
        assert!(matches!(settled, Ok(Settled::Done { .. })), "{settled:?}");
        told.push((name, calls));
    }
    println!("calls of an edge without rows: {told:?}");
    assert!(told.iter().all(|(_, calls)| (1..=EDGE).contains(calls)), "{told:?}");
}

#[tokio::test]
async fn a_completed_scan_with_all_of_its_rows_costs_no_more_calls_than_it_may() {
    let (_folder, store) = fresh().await;
    let (_, lease) = analyzing(&store).await;
    let complete = edge(State::Analyzing, Event::Complete);
    let (calls, settled) = counted(&store, store.settle(lease, complete, whole())).await;
    println!("calls of COMPLETED: {calls}");
    assert_eq!(settled.expect("an answer"), Settled::Done { version: 4 });
    let (_, lease) = claimed(&store).await;
    let both = [edge(State::Fetching, Event::Accept), edge(State::Analyzing, Event::Complete)];
    let (together, settled) = counted(&store, store.accept_and_complete(lease, both, whole())).await;
    println!("calls of ANALYZING and COMPLETED: {together}");
    assert_eq!(settled.expect("an answer"), Settled::Done { version: 4 });
    assert!(together <= calls + 1, "{together} against {calls}");
    assert!((1..=COMPLETED).contains(&calls), "{calls}");
    assert_eq!(store.rows("SELECT count(*) FROM scan_results").await, ["2"]);
}

/// Looking at the row and the container, making the row with its user, the claim, the end.
#[tokio::test]
async fn a_delivery_of_a_job_with_a_row_costs_no_more_calls_than_a_claim_and_a_new_one_two_more() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let known = store.one("https://example.com/").await;
    for (id, most) in [(known, EDGE), (ScanId::fresh(), EDGE + 2)] {
        let arrival = arrival(&id, &worker, 0);
        store.ready(&worker).await;
        let (calls, dealt) = counted(&store, store.deliver(arrival)).await;
        println!("calls of a delivery: {calls}");
        assert!(matches!(dealt, Ok(Disposition::Run(_))), "{dealt:?}");
        assert!((1..=most).contains(&calls), "{calls}");
    }
}

#[tokio::test]
async fn a_look_for_due_rows_is_one_call_and_a_renewal_two() {
    let (_folder, store) = fresh().await;
    let (worker, _lease) = claimed(&store).await;
    assert_eq!(counted(&store, store.due(None)).await.0, 1);
    let (calls, held) = counted(&store, store.renew(&worker, 0)).await;
    assert_eq!((calls, held.expect("an answer").len()), (2, 1));
}

/// Printed, not judged: what it is depends on the machine.
#[tokio::test]
async fn the_time_of_a_guarded_update_over_loopback_is_told() {
    const EDGES: u32 = 200;
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://example.com/").await;
    let began = Instant::now();
    for _ in 0..EDGES / 2 {
        let lease = store.take(&worker).await.expect("the job");
        store.settle(lease, edge(State::Fetching, Event::Release), Rows::default()).await.expect("an answer");
    }
    println!("an edge over loopback: {:?}", began.elapsed() / EDGES);
    assert_eq!(store.transitions(&id).await.expect("edges").len(), EDGES as usize);
}
