//! A fetcher that was taken over, against the real engine, the real gateway and the real supervisor: each thing that
//! it may try, beside a control run without the restriction in which the same ends differently.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod amounts;
mod asides;
mod calls;
mod cell;
mod checklist;
mod claims;
mod endings;
mod escapes;
mod fields;
#[path = "../e2e/leftovers.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod leftovers;
#[path = "../support/neighbours.rs"]
mod neighbours;
mod out;
#[path = "../support/engine.rs"]
#[expect(dead_code, reason = "other tests use it")]
mod own_engine;
mod resources;
mod spinning;
#[path = "../support/sqld.rs"]
#[expect(dead_code, reason = "other tests use it")]
mod sqld;
#[path = "../e2e/stage.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod stage;
#[path = "../sandbox/support.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;
mod terminal;
mod walk;
