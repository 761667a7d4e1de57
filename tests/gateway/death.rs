//! What is left when one of the two processes dies.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FlockOperation;
use rustix::process::{Pid, PidfdFlags, Signal};
use safeurl::gateway::{Budgets, GatewayError, GatewayEvent, is_locked, leftovers, read_ledger};

use crate::world::{Echo, PLENTY, RunDir, bound, connect, gateway, own_uid};

fn process(id: u32) -> Pid {
    i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id")
}

/// Waits for the end of a process that is not our child.
fn wait_for_end(pidfd: &impl std::os::fd::AsFd) {
    let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut ended, Some(&limit)), Ok(1), "the process has not ended");
}

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

/// Set in the process that plays the supervisor: its run directory.
const ROLE: &str = "SAFEURL_TEST_SUPERVISOR";

/// Long enough to be used after the death of the supervisor on a busy machine.
const OUTLIVING: Budgets = Budgets { deadline_ms: 6_000, ..PLENTY };

#[test]
fn a_gateway_outlives_a_killed_supervisor_until_its_last_deadline() {
    if let Some(run_dir) = std::env::var_os(ROLE) {
        return supervise(run_dir.into());
    }
    let run_dir = RunDir::new();
    let mut supervisor = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--exact",
            "death::a_gateway_outlives_a_killed_supervisor_until_its_last_deadline",
            "--nocapture",
        ])
        .env(ROLE, &run_dir.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let lines = BufReader::new(supervisor.stdout.take().expect("piped")).lines();
    let told = lines
        .map(|line| line.expect("text"))
        .find_map(|line| line.split_once("doors ").map(|(_, told)| told.to_owned()))
        .expect("the supervisor says what it opened");
    let told: Vec<&str> = told.split(' ').collect();
    let [bound, unbound, pid] = told.as_slice() else { panic!("three words: {told:?}") };
    let pidfd = rustix::process::pidfd_open(process(pid.parse().expect("a number")), PidfdFlags::empty())
        .expect("the gateway runs");

    supervisor.kill().expect("killed");
    supervisor.wait().expect("gone");
    let mut messages = String::new();
    let mut stderr = supervisor.stderr.take().expect("piped");
    stderr.read_to_string(&mut messages).expect("the gateway does not keep the pipe open");

    // Its lock falls when the gateway has heard of the death: the door that was waiting is gone.
    let unbound_ledger =
        std::fs::File::open(run_dir.0.join(format!("{unbound}.ledger"))).expect("left behind");
    rustix::fs::flock(&unbound_ledger, FlockOperation::LockShared).expect("free in the end");
    assert!(UnixStream::connect(run_dir.0.join(unbound).join("gw.sock")).is_err(), "nobody listens");

    let mut client = UnixStream::connect(run_dir.0.join(bound).join("gw.sock")).expect("still served");
    client.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    client.write_all(b"CONNECT 127.0.0.2:80 HTTP/1.1\r\n\r\n").expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let ledger_path = run_dir.0.join(format!("{bound}.ledger"));
    assert!(is_locked(&ledger_path).expect("asked"), "somebody lives");

    wait_for_end(&pidfd);
    assert!(!is_locked(&ledger_path).expect("asked"));
    let ledger = read_ledger(&ledger_path).expect("read");
    assert_eq!((ledger.exhausted.as_deref(), ledger.complete), (Some("deadline"), true));
    assert_eq!(ledger.entries.len(), 1);
    let left = leftovers(&run_dir.0).expect("listed");
    assert_eq!(left.len(), 2, "the next worker finds both doors");
    for door in left {
        door.remove().expect("removed");
    }
}

/// Opens a bound and an unbound door, says so, and waits for its death.
fn supervise(run_dir: PathBuf) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let run_dir = std::mem::ManuallyDrop::new(RunDir(run_dir));
        let gateway = gateway(&run_dir).await;
        let door = bound(&gateway, OUTLIVING).await;
        let unbound = gateway.open(gateway.new_door(), own_uid()).await.expect("a door");
        println!("doors {} {} {}", door.id, unbound.id, gateway.pid().expect("a process"));
        std::future::pending::<()>().await;
    });
}
