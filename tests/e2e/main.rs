//! The whole program against a real engine: the binary is started as a person starts it, pages come from loopback,
//! and what happened is read from the database, the engine and the process table.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod attestation;
mod bad_input;
mod bench;
mod bridge;
mod cancel;
mod demo;
mod evidence;
mod extremes;
mod gate;
mod image;
mod jobs;
mod leftovers;
mod many;
mod operation;
mod politeness;
mod pool;
mod recovery;
mod robots;
mod scan;
mod shutdown;
mod site;
#[path = "../support/sqld.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod sqld;
mod stage;
mod takeover;
mod terminal;
mod trace;
mod workers;
