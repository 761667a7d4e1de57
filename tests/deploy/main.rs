//! What `config/deploy` offers, tried out: the unit under a systemd of its own, the worker in a container of its own.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

mod compose;
mod container;
mod folder;
mod service;
mod systemd;
mod unit;

#[path = "../support/engine.rs"]
#[expect(dead_code, reason = "shared with the tests of the sandbox")]
mod engine;
#[path = "../e2e/gate.rs"]
mod gate;
#[path = "../e2e/site.rs"]
#[expect(dead_code, reason = "shared with the end-to-end tests")]
mod site;
