//! Tests of what only a database on a server has: calls that are counted, lost, answered late or never, and streams that
//! the server has forgotten.

mod calls;
mod lost;
mod proxy;
mod silence;

use super::testing::{Folder, Kind, edge, fresh_on};
use super::{Advanced, Rows, Store};
use crate::domain::scan::{Lease, WorkerId};
use crate::domain::state::{Event, State};

async fn fresh() -> (Folder, Store) {
    fresh_on(Kind::Server).await
}

async fn claimed(store: &Store) -> (WorkerId, Lease) {
    let worker = store.worker().await;
    store.one("https://example.com/").await;
    let lease = store.take(&worker).await.expect("the job");
    (worker, lease)
}

async fn analyzing(store: &Store) -> (WorkerId, Lease) {
    let (worker, lease) = claimed(store).await;
    match store.advance(lease, edge(State::Fetching, Event::Accept)).await {
        Ok(Advanced::Held(lease)) => (worker, lease),
        other => panic!("the lease stays: {other:?}"),
    }
}

fn whole() -> Rows {
    Rows { body: Some(super::tests::documents::body()), ..Rows::default() }
}
