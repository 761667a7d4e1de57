//! Several programs on one queue in Redis and one database on a server: workers on engines of their own, as on several
//! hosts, and an older program's worker, which ours takes the place of.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

mod host;
mod node;
mod shared;
mod switching;
mod two_hosts;

#[path = "../support/engine.rs"]
#[expect(dead_code, reason = "shared with the tests of the sandbox")]
mod engine;
#[path = "../e2e/gate.rs"]
mod gate;
#[path = "../e2e/site.rs"]
#[expect(dead_code, reason = "shared with the end-to-end tests")]
mod site;
#[path = "../support/sqld.rs"]
#[expect(dead_code, reason = "shared with the tests of the database")]
mod sqld;
