//! Tests of the store against real databases: in files, and once more on real servers.

#[path = "tests/answers.rs"]
mod answers;
#[path = "tests/claims.rs"]
mod claims;
#[path = "tests/containers.rs"]
mod containers;
#[path = "tests/deliveries.rs"]
pub(super) mod deliveries;
#[path = "tests/documents.rs"]
pub(super) mod documents;
#[path = "tests/edges.rs"]
mod edges;
#[path = "tests/existing.rs"]
mod existing;
#[path = "tests/gauges.rs"]
mod gauges;
#[path = "tests/lease_time.rs"]
mod lease_time;
#[path = "tests/listing.rs"]
mod listing;
#[path = "tests/order.rs"]
mod order;
#[path = "tests/plans.rs"]
mod plans;
#[path = "tests/politeness.rs"]
mod politeness;
#[path = "tests/recovery.rs"]
mod recovery;
#[path = "tests/schema.rs"]
mod schema;
#[path = "tests/set_aside.rs"]
mod set_aside;
#[path = "tests/sources.rs"]
mod sources;

use super::Store;
use super::testing::{Folder, Kind};

const KIND: Kind = Kind::of(module_path!());

fn folder() -> Folder {
    Folder::of(KIND)
}

async fn fresh() -> (Folder, Store) {
    super::testing::fresh_on(KIND).await
}

async fn taken_over() -> (Folder, Store) {
    super::testing::taken_over_on(KIND).await
}
