//! Safeurl beside the official BullMQ clients, on a real Redis: Node 5.x and 6.x and Python as producer, worker and
//! observer. Each line of the list of what compatible means is a test; a line runs with every client for which it makes
//! sense, each with a Redis, a site and a worker of its own.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod lines;
mod noop;
mod official;
mod ours;
mod proxy;
mod redis;
#[path = "../e2e/site.rs"]
#[expect(dead_code, reason = "this binary needs a part of it")]
mod site;
#[path = "../support/sqld.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod sqld;
#[path = "../e2e/stage.rs"]
#[expect(dead_code, reason = "this binary needs a part of it")]
mod stage;
mod world;
