//! A worker goes on with a door that another one opened and bound.

use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use rustix::process::Signal;
use safeurl::gateway::{AdoptedDoor, GatewayError, is_locked};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::supervisor::{Supervisor, process, role, supervise, wait_for_end};
use crate::world::{
    CONTAINER, Echo, PLENTY, RunDir, ask, bound, bound_for, connect, gateway, names, own_uid,
};

/// Longer than any of these tests: what ends earlier was ended.
const LONG: Duration = Duration::from_secs(600);

fn adopt(mount_dir: &Path) -> AdoptedDoor {
    AdoptedDoor::at(mount_dir).expect("a door's folder")
}

#[tokio::test]
async fn a_door_of_a_killed_worker_serves_on_until_the_next_one_closes_it() {
    if let Some(role) = role() {
        return supervise(role).await;
    }
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let test = "adoption::a_door_of_a_killed_worker_serves_on_until_the_next_one_closes_it";
    let mut supervisor = Supervisor::start(test, &run_dir, CONTAINER, LONG);
    supervisor.kill();
    let files = supervisor.bound.clone();
    supervisor.unbound.remove().expect("removed");
    let door = adopt(&files.mount_dir);

    let mut reply = ask(&files.mount_dir, &echo.address.to_string()).await.expect("still served");
    assert_eq!(reply.status, 200);
    reply.stream.write_all(b"hello").await.expect("sent");
    let mut back = [0; 5];
    reply.stream.read_exact(&mut back).await.expect("received");
    assert!(door.is_vouched_for().expect("asked"));
    assert_eq!(door.gone().now_or_never(), None, "it is served");

    // Whoever asks second waits for the same end.
    let (ledger, again) = tokio::join!(door.close(), door.close());
    let ledger = ledger.expect("closed");
    assert_eq!(again.expect("closed"), ledger);
    assert_eq!((ledger.attempt.as_deref(), ledger.complete), (Some("job/1"), true));
    assert_eq!(ledger.exhausted, None, "it is not the deadline that ended it");
    let [entry] = ledger.entries.as_slice() else { panic!("one connection: {ledger:?}") };
    assert_eq!((entry.bytes_in, entry.bytes_out, entry.error.as_deref()), (5, 5, Some("closed")));
    assert_eq!(reply.rest().await, b"", "what was open is cut");
    assert!(door.is_vouched_for().expect("asked"), "it ended in order");
    door.gone().await;
    wait_for_end(&supervisor.gateway);

    assert_eq!(names(&run_dir.0), [files.id.clone(), format!("{}.ledger", files.id)]);
    door.discard().expect("removed");
    assert!(names(&run_dir.0).is_empty());
}

#[tokio::test]
async fn a_door_of_a_worker_that_is_stopped_can_be_closed_as_well() {
    if let Some(role) = role() {
        return supervise(role).await;
    }
    let run_dir = RunDir::new();
    let test = "adoption::a_door_of_a_worker_that_is_stopped_can_be_closed_as_well";
    let mut supervisor = Supervisor::start(test, &run_dir, CONTAINER, LONG);
    supervisor.stop();
    let ledger = adopt(&supervisor.bound.mount_dir).close().await.expect("closed");
    assert_eq!((ledger.attempt.as_deref(), ledger.complete), (Some("job/1"), true));
    assert!(is_locked(&supervisor.unbound.ledger_path).expect("asked"), "what is not bound is left alone");
    supervisor.kill();
    wait_for_end(&supervisor.gateway);
}

#[tokio::test]
async fn a_gateway_that_is_stopped_when_its_supervisor_dies_goes_on_afterwards() {
    if let Some(role) = role() {
        return supervise(role).await;
    }
    let run_dir = RunDir::new();
    let test = "adoption::a_gateway_that_is_stopped_when_its_supervisor_dies_goes_on_afterwards";
    let mut supervisor = Supervisor::start(test, &run_dir, CONTAINER, LONG);
    rustix::process::kill_process(supervisor.gateway_pid, Signal::STOP).expect("stopped");
    // The signal is sent, and stops it a moment later.
    let stat = format!("/proc/{}/stat", supervisor.gateway_pid.as_raw_nonzero());
    while !std::fs::read_to_string(&stat).expect("it is there").contains(") T ") {
        std::thread::yield_now();
    }
    // The kernel hangs up on stopped processes whose parent dies, and lets them go on.
    supervisor.kill();
    let files = supervisor.bound.clone();
    let reply = ask(&files.mount_dir, "127.0.0.2:80").await.expect("still served");
    assert_eq!(reply.status, 403);
    assert!(adopt(&files.mount_dir).close().await.expect("closed").complete);
    wait_for_end(&supervisor.gateway);
}

#[tokio::test]
async fn a_worker_that_was_given_up_reads_the_ledger_another_one_closed() {
    let run_dir = RunDir::new();
    let gateway = gateway(&run_dir).await;
    let door = bound_for(&gateway, CONTAINER, PLENTY).await;
    assert_eq!(ask(&door.mount_dir, "127.0.0.2:80").await.map(|reply| reply.status), Some(403));
    let ledger = adopt(&door.mount_dir).close().await.expect("closed");
    assert_eq!(door.close().await.expect("closed already"), ledger);
    assert!(door.bind("job/2", PLENTY).await.is_err(), "it is over for good");
    door.discard().expect("removed");
}

#[tokio::test]
async fn nothing_vouches_for_a_door_whose_gateway_was_killed_or_whose_ledger_is_gone() {
    let run_dir = RunDir::new();
    let gateway = gateway(&run_dir).await;
    let bound = bound_for(&gateway, CONTAINER, PLENTY).await;
    let door = adopt(&bound.mount_dir);
    assert!(door.is_vouched_for().expect("asked"));
    let pid = process(gateway.pid().expect("a process"));
    rustix::process::kill_process(pid, Signal::KILL).expect("killed");
    door.gone().await;
    assert!(!door.is_vouched_for().expect("asked"));
    let ledger = door.close().await.expect("what it saw can still be read");
    assert_eq!((ledger.attempt.as_deref(), ledger.complete), (Some("job/1"), false));

    door.discard().expect("removed");
    assert!(!door.is_vouched_for().expect("no ledger is an answer"));
    door.gone().await;
    assert!(matches!(door.close().await, Err(GatewayError::Files { .. })), "there is nothing to read");
    assert!(AdoptedDoor::at(&run_dir.0).is_none(), "that is no door's folder");
}

#[tokio::test]
async fn a_container_can_never_close_its_own_door() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    // Its user is the gateway's.
    let door = bound(&gateway(&run_dir).await, PLENTY).await;
    assert_eq!(rustix::process::geteuid().as_raw(), own_uid());
    tokio::time::pause();
    let refused = adopt(&door.mount_dir).close().await.expect_err("taken for the container");
    tokio::time::resume();
    assert!(matches!(refused, GatewayError::NoAnswer { command: "close", .. }), "{refused}");
    assert_eq!(connect(&door, &echo.address.to_string()).await.status, 200);
    assert!(door.close().await.expect("its supervisor can").complete);
    door.discard().expect("removed");
}
