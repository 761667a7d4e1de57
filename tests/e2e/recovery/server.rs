//! A database on a server that is not there for longer than a lease: our own trouble too, of which no job fails.

use std::cell::RefCell;

use super::MINUTE;
use super::database::{LEASE_PASSED, live_through};
use crate::stage::Stage;

#[test]
fn no_job_fails_while_the_server_of_the_database_stands_still() {
    let (stage, server) = Stage::on_server();
    live_through(&stage, 1, LEASE_PASSED, |work| {
        server.pause();
        work();
        server.resume();
    });
}

#[test]
fn no_job_fails_while_the_server_of_the_database_is_gone_for_a_minute() {
    let (stage, server) = Stage::on_server();
    let server = RefCell::new(server);
    live_through(&stage, 2, MINUTE, |work| {
        server.borrow_mut().kill();
        work();
        server.borrow_mut().go_on();
    });
    let id = &stage.query("SELECT id FROM scan_jobs LIMIT 1")[0][0];
    let shown = stage.run(["jobs", "show", id]);
    assert!(shown.out.contains("\nAttempts\n  1  "), "{}{}", shown.out, shown.err);
}
