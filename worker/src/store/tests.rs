//! Tests of the store against real database files.

mod answers;
mod claims;
mod containers;
mod documents;
mod edges;
mod existing;
mod gauges;
mod lease_time;
mod listing;
mod order;
mod plans;
mod recovery;
mod schema;
mod sources;
mod trouble;
