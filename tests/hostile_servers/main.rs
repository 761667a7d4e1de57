//! Servers that mean harm, through the real path: the program, its gateway, a container and its limits. Each scan ends as
//! it should, by itself, inside its deadline and its memory, and hinders no other.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod bombs;
#[path = "../support/chains.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod chains;
mod flooded;
#[path = "../support/frames.rs"]
mod frames;
mod http1;
mod http2;
#[path = "../e2e/leftovers.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod leftovers;
#[path = "../support/neighbours.rs"]
mod neighbours;
mod redirects;
mod scanned;
mod server;
#[path = "../support/sqld.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod sqld;
#[path = "../e2e/stage.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod stage;
mod tls;
