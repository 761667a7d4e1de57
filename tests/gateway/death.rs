//! What is left when one of the two processes dies.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::process::{PidfdFlags, Signal};
use safeurl::gateway::{GatewayError, GatewayEvent, is_locked, leftovers, read_ledger};

use crate::supervisor::{Supervisor, process, role, supervise, wait_for_end};
use crate::world::{Echo, PLENTY, RunDir, bound, connect, gateway, own_uid};

#[tokio::test]
async fn a_gateway_that_is_killed_is_noticed_and_its_ledger_is_not_complete() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let gateway = gateway(&run_dir).await;
    let door = bound(&gateway, PLENTY).await;
    let unbound = gateway.open(gateway.new_door(), own_uid()).await.expect("a door");
    let mut reply = connect(&door, &echo.address.to_string()).await;
    assert_eq!(reply.status, 200);
    assert!(gateway.is_alive() && is_locked(&door.ledger_path).expect("asked"));

    let pid = process(gateway.pid().expect("a process"));
    rustix::process::kill_process(pid, Signal::KILL).expect("killed");
    assert_eq!(gateway.next_event().await, GatewayEvent::Died);
    assert_eq!(reply.rest().await, b"");
    assert!(!gateway.is_alive());
    assert!(!is_locked(&door.ledger_path).expect("asked"), "a free lock means: dead");
    let ledger = door.close().await.expect("what it saw can still be read");
    assert_eq!((ledger.attempt.as_deref(), ledger.complete), (Some("job/1"), false));
    assert_eq!(ledger.entries.len(), 1);
    assert!(matches!(gateway.open(gateway.new_door(), own_uid()).await, Err(GatewayError::Died)));
    assert!(matches!(unbound.bind("job/2", PLENTY).await, Err(GatewayError::Died)));
    door.discard().expect("removed");
}

#[tokio::test]
async fn an_orderly_shutdown_ends_the_process_and_leaves_nothing() {
    let run_dir = RunDir::new();
    let gateway = gateway(&run_dir).await;
    let door = gateway.open(gateway.new_door(), own_uid()).await.expect("a door");
    let pidfd = rustix::process::pidfd_open(process(gateway.pid().expect("a process")), PidfdFlags::empty())
        .expect("a process");
    drop(door);
    gateway.shutdown().await;
    wait_for_end(&pidfd);
    assert_eq!(leftovers(&run_dir.0).expect("listed"), []);
}

#[tokio::test]
async fn a_gateway_outlives_a_killed_supervisor_until_its_last_deadline() {
    if let Some(role) = role() {
        return supervise(role).await;
    }
    let run_dir = RunDir::new();
    let test = "death::a_gateway_outlives_a_killed_supervisor_until_its_last_deadline";
    // Long enough to be used after the death of the supervisor on a busy machine.
    let mut supervisor = Supervisor::start(test, &run_dir, own_uid(), Duration::from_secs(6));
    let (bound, unbound) = (supervisor.bound.clone(), supervisor.unbound.clone());
    supervisor.kill();

    // Its lock falls when the gateway has heard of the death: the door that was waiting is gone.
    let unbound_ledger = std::fs::File::open(&unbound.ledger_path).expect("left behind");
    rustix::fs::flock(&unbound_ledger, FlockOperation::LockShared).expect("free in the end");
    assert!(UnixStream::connect(unbound.mount_dir.join("gw.sock")).is_err(), "nobody listens");

    let mut client = UnixStream::connect(bound.mount_dir.join("gw.sock")).expect("still served");
    client.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    client.write_all(b"CONNECT 127.0.0.2:80 HTTP/1.1\r\n\r\n").expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(is_locked(&bound.ledger_path).expect("asked"), "somebody lives");

    wait_for_end(&supervisor.gateway);
    assert!(!is_locked(&bound.ledger_path).expect("asked"));
    let ledger = read_ledger(&bound.ledger_path).expect("read");
    assert_eq!((ledger.exhausted.as_deref(), ledger.complete), (Some("deadline"), true));
    assert_eq!(ledger.entries.len(), 1);
    let left = leftovers(&run_dir.0).expect("listed");
    assert_eq!(left.len(), 2, "the next worker finds both doors");
    for door in left {
        door.remove().expect("removed");
    }
}
