//! The real gateway process, driven through its handle and its sockets, with servers on loopback.

#[path = "gateway/adoption.rs"]
mod adoption;
#[path = "gateway/common_user.rs"]
mod common_user;
#[path = "gateway/death.rs"]
mod death;
#[path = "gateway/hostile.rs"]
mod hostile;
#[path = "gateway/lockdown.rs"]
mod lockdown;
#[path = "support/log.rs"]
mod log;
#[path = "gateway/race.rs"]
mod race;
#[path = "gateway/supervisor.rs"]
mod supervisor;
#[path = "gateway/trouble.rs"]
mod trouble;
#[path = "gateway/world.rs"]
mod world;

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use safeurl::gateway::{Budgets, Gateway, GatewayError, GatewayEvent, is_locked, leftovers};
use safeurl_protocol::ledger::Decision;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

use world::{
    CONTAINER, Echo, PLENTY, RunDir, Trap, bound, config, connect, gateway, knock, knock_as, own_uid, send,
    send_over,
};

#[tokio::test]
async fn a_bound_door_carries_bytes_and_the_ledger_tells_what_passed() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let gateway = gateway(&run_dir).await;
    let door = bound(&gateway, PLENTY).await;

    let mut reply = connect(&door, &echo.address.to_string()).await;
    assert_eq!(reply.summary(), (200, None, Some("1")));
    reply.stream.write_all(b"hello").await.expect("sent");
    let mut back = [0; 5];
    reply.stream.read_exact(&mut back).await.expect("received");
    assert_eq!(&back, b"hello");
    reply.stream.shutdown().await.expect("closed");
    assert_eq!(reply.rest().await, b"", "the gateway closes its side when the container has closed");

    assert!(is_locked(&door.ledger_path).expect("asked"));
    let ledger = door.close().await.expect("closed");
    assert!(!is_locked(&door.ledger_path).expect("asked"));
    assert_eq!((ledger.attempt.as_deref(), ledger.complete), (Some("job/1"), true));
    assert_eq!(ledger.exhausted, None);
    let [entry] = ledger.entries.as_slice() else { panic!("one connection: {ledger:?}") };
    assert_eq!((entry.host.as_str(), entry.port), ("127.0.0.1", echo.address.port()));
    assert_eq!((entry.decision, entry.rule.as_str()), (Decision::Allowed, "allow-networks"));
    assert_eq!(entry.addresses, ["127.0.0.1"]);
    assert_eq!(entry.dialed.as_deref(), Some("127.0.0.1"));
    assert_eq!((entry.bytes_in, entry.bytes_out), (5, 5));
    assert_eq!((entry.dns_ms, entry.error.as_deref()), (None, None));
    assert!(entry.connect_ms.is_some() && entry.duration_ms.is_some());

    assert_eq!(door.close().await.expect("closing again only reads"), ledger);
    assert!(knock(&door).await.is_err(), "nobody listens any more");
    door.discard().expect("removed");
    door.discard().expect("removing again is fine");
    assert_eq!(leftovers(&run_dir.0).expect("listed"), []);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_server_that_closes_first_is_passed_on_as_an_end() {
    let run_dir = RunDir::new();
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
    let door = bound(&gateway(&run_dir).await, PLENTY).await;
    let target = server.local_addr().expect("bound").to_string();
    let (mut reply, served) = tokio::join!(connect(&door, &target), async {
        let (mut client, _) = server.accept().await.expect("a client");
        client.write_all(&[7; 100_000]).await.expect("sent");
    });
    let () = served;
    assert_eq!(reply.rest().await.len(), 100_000);
    drop(reply);
    let ledger = door.close().await.expect("closed");
    assert_eq!((ledger.entries[0].bytes_in, ledger.entries[0].bytes_out), (100_000, 0));
    door.discard().expect("removed");
}

#[tokio::test]
async fn nothing_arrives_at_a_denied_address_in_whatever_way_it_is_named() {
    let run_dir = RunDir::new();
    let trap = Trap::at([127, 0, 0, 2]);
    let mut config = config(&run_dir);
    config.hosts.insert("inside.test".to_owned(), Ipv4Addr::new(127, 0, 0, 2).into());
    let door =
        bound(&Gateway::spawn(config).await.expect("a gateway"), Budgets { max_hosts: 100, ..PLENTY }).await;
    let hosts = [
        ("127.0.0.2", "loopback"),
        ("127.2", "loopback"),
        ("0x7f000002", "loopback"),
        ("017700000002", "loopback"),
        ("%31%32%37.0.0.2", "loopback"),
        ("inside.test", "loopback"),
        ("INSIDE.test.", "loopback"),
        ("[::ffff:127.0.0.2]", "ipv4-mapped"),
        ("[::127.0.0.2]", "ipv4-compatible"),
        ("[64:ff9b::127.0.0.2]", "nat64"),
        ("[2002:7f00:2::]", "6to4"),
        ("169.254.169.254", "metadata"),
        ("0.0.0.0", "this-network"),
        ("[::]", "unspecified"),
        ("${metadata}", "invalid-host"),
    ];
    for (n, (host, rule)) in hosts.iter().enumerate() {
        let mut reply = connect(&door, &format!("{host}:{}", trap.port())).await;
        let seq = (n + 1).to_string();
        assert_eq!(reply.summary(), (403, Some(*rule), Some(seq.as_str())), "{host}");
        let length: usize = reply.field("Content-Length").expect("a length").parse().expect("a number");
        assert_eq!(reply.rest().await.len(), length, "{host}");
    }
    assert!(trap.is_untouched());
    let ledger = door.close().await.expect("closed");
    assert_eq!(ledger.entries.len(), hosts.len());
    for entry in &ledger.entries {
        assert_eq!((entry.decision, entry.dialed.as_deref()), (Decision::Denied, None), "{}", entry.host);
        assert_eq!(entry.duration_ms, Some(0), "{}: over when it was refused", entry.host);
    }
    assert_eq!(ledger.entry(6).map(|entry| entry.rule.as_str()), Some("loopback"));
    door.discard().expect("removed");
}

#[tokio::test]
async fn a_bad_port_is_refused_and_a_connection_that_fails_says_how() {
    let run_dir = RunDir::new();
    let mut config = config(&run_dir);
    config.connect_timeout = Duration::from_millis(300);
    let door = bound(&Gateway::spawn(config).await.expect("a gateway"), PLENTY).await;
    assert_eq!(connect(&door, "1.1.1.1:25").await.summary(), (403, Some("bad-port"), Some("1")));

    let closed = Trap::at([127, 0, 0, 1]).port();
    let reply = connect(&door, &format!("127.0.0.1:{closed}")).await;
    assert_eq!(reply.summary(), (502, Some("connect"), Some("2")));

    // A full queue of waiting connections: the kernel drops what else arrives.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("bound");
    let full = socket.listen(0).expect("a listener");
    let address = full.local_addr().expect("bound");
    let _waiting = tokio::net::TcpStream::connect(address).await.expect("the queue holds one");
    let reply = connect(&door, &address.to_string()).await;
    assert_eq!(reply.summary(), (504, Some("connect"), Some("3")));

    let ledger = door.close().await.expect("closed");
    let errors: Vec<_> =
        ledger.entries.iter().map(|entry| (entry.decision, entry.error.as_deref())).collect();
    assert_eq!(
        errors,
        [
            (Decision::Denied, None),
            (Decision::Allowed, Some("connection refused")),
            (Decision::Allowed, Some("timed out")),
        ]
    );
    door.discard().expect("removed");
}

#[tokio::test]
async fn a_name_without_address_and_a_silent_name_server_are_told_apart() {
    let run_dir = RunDir::new();
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let mut config = config(&run_dir);
    config.resolvers = vec![server.local_addr().expect("bound")];
    config.dns_timeout = Duration::from_secs(2);
    let door = bound(&Gateway::spawn(config).await.expect("a gateway"), PLENTY).await;
    let answering = async {
        let mut packet = [0; 2048];
        loop {
            let (length, client) = server.recv_from(&mut packet).await.expect("a query");
            // The name's first label decides: `gone` does not exist, anything else is met with silence.
            if packet[13..].to_ascii_lowercase().starts_with(b"gone") {
                // QR and RA set, NXDOMAIN: RFC 1035 section 4.1.1.
                packet[2] |= 0x80;
                packet[3] = 0x83;
                server.send_to(&packet[..length], client).await.expect("answered");
            }
        }
    };
    let asking = async {
        let reply = connect(&door, "gone.example:80").await;
        assert_eq!(reply.summary(), (502, Some("dns"), Some("1")));
        let reply = connect(&door, "silent.example:80").await;
        assert_eq!(reply.summary(), (502, Some("dns_unavailable"), Some("2")));
    };
    tokio::select! {
        () = answering => {}
        () = asking => {}
    }
    let ledger = door.close().await.expect("closed");
    assert!(ledger.entries.iter().all(|entry| entry.dns_ms.is_some() && entry.rule == "unresolved"));
    door.discard().expect("removed");
}

#[tokio::test]
async fn a_request_that_is_not_connect_is_answered_400_and_is_no_ledger_entry() {
    let run_dir = RunDir::new();
    let trap = Trap::at([127, 0, 0, 1]);
    let door = bound(&gateway(&run_dir).await, PLENTY).await;
    let port = trap.port();
    for head in [
        format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        format!("CONNECT 127.0.0.1:{port} HTTP/1.0\r\n\r\n"),
        format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nContent-Length: 5\r\n\r\n"),
        format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nearly bytes"),
        format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nX: {}", "y".repeat(9000)),
    ] {
        assert_eq!(send(&door, &head).await.map(|reply| reply.status), Some(400), "{head:.60}");
    }
    assert!(trap.is_untouched());
    assert_eq!(door.close().await.expect("closed").entries, []);
    door.discard().expect("removed");
}

#[tokio::test]
async fn a_door_that_is_not_bound_answers_nobody_and_cannot_be_bound_after_a_visit() {
    let run_dir = RunDir::new();
    let trap = Trap::at([127, 0, 0, 1]);
    let gateway = gateway(&run_dir).await;
    let door = gateway.open(gateway.new_door(), own_uid()).await.expect("a door");
    for _ in 0..2 {
        let head = format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n\r\n", trap.port());
        assert!(send(&door, &head).await.is_none(), "closed without an answer");
    }
    assert_eq!(gateway.next_event().await, GatewayEvent::TouchedUnbound { door: door.id.clone() });
    let refused = door.bind("job/1", PLENTY).await.expect_err("spoilt");
    assert!(matches!(refused, GatewayError::Spoiled), "{refused}");
    assert!(trap.is_untouched());
    let ledger = door.close().await.expect("closed");
    assert_eq!((ledger.attempt, ledger.entries.len(), ledger.complete), (None, 0, true));
    let files = (door.mount_dir.clone(), door.ledger_path.clone());
    drop(door);
    assert!(!files.0.exists() && !files.1.exists(), "an unbound door takes its files with it");
}

#[tokio::test]
async fn a_binding_is_never_replaced() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let door = bound(&gateway(&run_dir).await, PLENTY).await;
    let again = door.bind("job/2", PLENTY).await.expect_err("bound already");
    assert!(matches!(again, GatewayError::Refused { command: "bind", .. }), "{again}");
    assert_eq!(connect(&door, &echo.address.to_string()).await.status, 200, "the first binding stands");
    assert_eq!(door.close().await.expect("closed").attempt.as_deref(), Some("job/1"));
    let late = door.bind("job/2", PLENTY).await.expect_err("closed");
    assert!(matches!(late, GatewayError::Refused { command: "bind", .. }), "{late}");
    door.discard().expect("removed");
}

#[tokio::test]
async fn only_the_container_s_uid_is_served_and_others_spoil_nothing() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let gateway = gateway(&run_dir).await;
    let door = gateway.open(gateway.new_door(), CONTAINER).await.expect("a door");
    let head = format!("CONNECT {} HTTP/1.1\r\n\r\n", echo.address);
    let visit = async |uid| {
        let stream = knock_as(uid, &door.mount_dir).expect("a socket");
        send_over(stream, &head).await.map(|reply| reply.status)
    };
    assert_eq!(visit(CONTAINER + 1).await, None);
    assert_eq!(visit(own_uid()).await, None);
    door.bind("job/1", PLENTY).await.expect("a stranger's visit is not the container's");
    assert_eq!(visit(CONTAINER + 1).await, None, "another container");
    assert_eq!(visit(CONTAINER).await, Some(200), "the door is as it was");
    assert_eq!(door.close().await.expect("closed").entries.len(), 1);
    door.discard().expect("removed");
}

#[tokio::test]
async fn connections_and_hosts_beyond_the_budget_are_refused_and_named() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let gateway = gateway(&run_dir).await;
    let (target, port) = (echo.address.to_string(), echo.address.port());

    let door = bound(&gateway, Budgets { max_connections: 2, ..PLENTY }).await;
    assert_eq!(connect(&door, &target).await.status, 200);
    assert_eq!(connect(&door, &target).await.status, 200);
    assert_eq!(connect(&door, &target).await.summary(), (429, Some("connections"), Some("3")));
    assert_eq!(door.close().await.expect("closed").exhausted.as_deref(), Some("connections"));
    door.discard().expect("removed");

    let door = bound(&gateway, Budgets { max_hosts: 1, max_concurrent: 1, ..PLENTY }).await;
    let _open = connect(&door, &target).await;
    let other = connect(&door, &format!("localhost:{port}")).await;
    assert_eq!(other.summary(), (429, Some("hosts"), Some("2")));
    assert_eq!(connect(&door, &target).await.summary(), (429, Some("concurrent"), Some("3")));
    let ledger = door.close().await.expect("closed");
    assert_eq!(ledger.exhausted.as_deref(), Some("hosts"));
    assert_eq!(ledger.entry(1).and_then(|entry| entry.error.as_deref()), Some("closed"));
    door.discard().expect("removed");
}

#[tokio::test]
async fn bytes_pass_up_to_the_budget_and_then_the_connection_is_cut() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let gateway = gateway(&run_dir).await;
    let target = echo.address.to_string();

    let door = bound(&gateway, Budgets { bytes_in: 600, ..PLENTY }).await;
    let mut reply = connect(&door, &target).await;
    reply.stream.write_all(&[1; 1000]).await.expect("sent");
    assert_eq!(reply.rest().await.len(), 600);
    assert_eq!(connect(&door, &target).await.summary(), (429, Some("bytes-in"), Some("2")));
    let ledger = door.close().await.expect("closed");
    assert_eq!(ledger.exhausted.as_deref(), Some("bytes-in"));
    let first = ledger.entry(1).expect("the first");
    assert_eq!((first.bytes_in, first.error.as_deref()), (600, Some("bytes-in")));
    door.discard().expect("removed");

    let door = bound(&gateway, Budgets { bytes_out: 100, ..PLENTY }).await;
    let mut reply = connect(&door, &target).await;
    reply.stream.write_all(&[1; 1000]).await.expect("sent");
    assert!(reply.rest().await.len() <= 100, "the server saw no more than it may");
    let ledger = door.close().await.expect("closed");
    assert_eq!((ledger.entries[0].bytes_out, ledger.exhausted.as_deref()), (100, Some("bytes-out")));
    door.discard().expect("removed");
}

#[tokio::test]
async fn a_flood_is_held_back_once_more_than_passes_at_once_has_passed() {
    let run_dir = RunDir::new();
    let gateway = gateway(&run_dir).await;
    // At a byte a second the second piece of what is too much is due in hours.
    for (rate, held_back) in [(u64::MAX, false), (1, true)] {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
        let target = server.local_addr().expect("bound").to_string();
        let budgets =
            Budgets { deadline_ms: 2_000, bytes_in_at_once: 200_000, bytes_in_rate: rate, ..PLENTY };
        let door = bound(&gateway, budgets).await;
        let flood = tokio::spawn(async move {
            let (mut client, _) = server.accept().await.expect("a client");
            // Cut in the middle where it is held back.
            let _ = client.write_all(&vec![7; 5_000_000]).await;
        });
        let came = connect(&door, &target).await.rest().await.len();
        let ledger = door.close().await.expect("closed");
        assert_eq!(ledger.entries[0].bytes_in, came as u64);
        assert_eq!(ledger.exhausted.as_deref(), held_back.then_some("deadline"));
        if held_back {
            assert!((200_000..300_000).contains(&came), "{came}");
        } else {
            assert_eq!(came, 5_000_000);
        }
        door.discard().expect("removed");
        flood.await.expect("ended");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_binding_ends_at_its_deadline_by_itself() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let door = bound(&gateway(&run_dir).await, Budgets { deadline_ms: 500, ..PLENTY }).await;
    let idle = knock(&door).await.expect("a connection that never says anything");
    let mut reply = connect(&door, &echo.address.to_string()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.rest().await, b"", "cut, without having been closed by us");
    let ledger = door.close().await.expect("closed");
    assert_eq!((ledger.exhausted.as_deref(), ledger.complete), (Some("deadline"), true));
    assert_eq!(ledger.entries[0].error.as_deref(), Some("deadline"));
    drop(idle);
    door.discard().expect("removed");
}

/// The gateway's process, to stop it as a machine does that has no time for it.
struct Still(rustix::process::Pid);

impl Still {
    fn stand(gateway: &Gateway) -> Self {
        let pid = gateway.pid().expect("it runs").cast_signed();
        let pid = rustix::process::Pid::from_raw(pid).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("it stands still");
        Self(pid)
    }

    fn go_on(self) {
        rustix::process::kill_process(self.0, rustix::process::Signal::CONT).expect("it goes on");
    }
}

// Which of two things that are due a process sees first is left to chance.
const ROUNDS: usize = 8;

#[tokio::test]
async fn whoever_closes_a_door_after_its_time_reads_that_its_time_was_over() {
    let run_dir = RunDir::new();
    let gateway = gateway(&run_dir).await;
    for _ in 0..ROUNDS {
        let door = bound(&gateway, Budgets { deadline_ms: 300, ..PLENTY }).await;
        let still = Still::stand(&gateway);
        let go_on = async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            still.go_on();
        };
        let (ledger, ()) = tokio::join!(door.close(), go_on);
        let ledger = ledger.expect("closed");
        assert_eq!((ledger.exhausted.as_deref(), ledger.complete), (Some("deadline"), true));
        door.discard().expect("removed");
    }
}

#[tokio::test]
async fn what_connected_before_the_binding_is_never_served_by_it_however_late_it_is_seen() {
    let run_dir = RunDir::new();
    let gateway = gateway(&run_dir).await;
    for _ in 0..ROUNDS {
        let door = gateway.open(gateway.new_door(), own_uid()).await.expect("a door");
        let still = Still::stand(&gateway);
        let visitor = knock(&door).await.expect("it waits in the queue");
        let go_on = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            still.go_on();
        };
        let (bound, ()) = tokio::join!(door.bind("job/1", PLENTY), go_on);
        let refused = bound.expect_err("it was used");
        assert!(matches!(refused, GatewayError::Spoiled), "{refused}");
        drop((visitor, door));
    }
}

#[tokio::test]
async fn files_are_kept_from_other_users_and_the_process_from_our_terminal_and_environment() {
    let run_dir = RunDir::new();
    let gateway = gateway(&run_dir).await;
    let door = gateway.open(gateway.new_door(), own_uid()).await.expect("a door");
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&run_dir.0), 0o700);
    assert_eq!(mode(&door.mount_dir), 0o711);
    assert_eq!(mode(&door.mount_dir.join("gw.sock")), 0o666);
    assert_eq!(mode(&door.ledger_path), 0o600);
    assert!(door.mount_dir.is_absolute());

    let pid = gateway.pid().expect("a process");
    let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("readable");
    assert_eq!(environment, b"", "no token of ours is in there");
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("an id");
    assert_eq!(rustix::process::getpgid(Some(raw)), Ok(raw), "a ^C in our terminal does not reach it");
}

#[tokio::test]
async fn a_program_that_is_no_gateway_is_reported() {
    let run_dir = RunDir::new();
    let missing = Gateway::spawn(safeurl::gateway::GatewayConfig {
        program: run_dir.0.join("missing"),
        ..config(&run_dir)
    });
    assert!(matches!(missing.await, Err(GatewayError::Start { .. })));
    let other =
        Gateway::spawn(safeurl::gateway::GatewayConfig { program: "/bin/true".into(), ..config(&run_dir) });
    assert!(matches!(other.await, Err(GatewayError::Died)));
    let alone = std::process::Command::new(env!("CARGO_BIN_EXE_safeurl"))
        .arg("gateway")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("run");
    assert!(!alone.status.success(), "without a supervisor it refuses to run");
}
