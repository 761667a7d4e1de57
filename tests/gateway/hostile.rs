//! A container that was taken over, at its own door: floods, half requests, smuggling, and every denied network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use safeurl::gateway::{Budgets, Gateway};
use safeurl_protocol::ledger::Decision;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Echo, PLENTY, RunDir, Trap, bound, config, connect, gateway, knock, send};

#[tokio::test]
async fn ten_thousand_connections_leave_a_short_ledger_and_the_other_doors_alone() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let gateway = gateway(&run_dir).await;
    let (flooded, other) = (bound(&gateway, PLENTY).await, bound(&gateway, PLENTY).await);
    let target = echo.address.to_string();
    for n in 0..10_000 {
        // A door that has had enough closes them unseen; its queue may be full for a moment.
        if let Ok(mut stream) = knock(&flooded).await {
            let _ = stream.write_all(format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes()).await;
        }
        if n % 2_500 == 0 {
            assert_eq!(connect(&other, &target).await.status, 200, "after {n}");
        }
    }
    assert_eq!(connect(&other, &target).await.status, 200);
    let ledger = flooded.close().await.expect("closed");
    assert!(ledger.complete);
    assert_eq!(ledger.exhausted.as_deref(), Some("connections"));
    let allowed = ledger.entries.iter().filter(|entry| entry.dialed.is_some()).count();
    assert!(allowed <= PLENTY.max_connections as usize, "{allowed} were dialled");
    // Four visits for each connection that may be made, and 64: the file has an end whatever a container does.
    assert!(ledger.entries.len() <= 4 * PLENTY.max_connections as usize + 64, "{}", ledger.entries.len());
    let bytes = std::fs::metadata(&flooded.ledger_path).expect("it is there").len();
    assert!(bytes < 1024 * 1024, "{bytes} bytes");
    assert_eq!(other.close().await.expect("closed").entries.len(), 5);
    flooded.discard().expect("removed");
    other.discard().expect("removed");
}

#[tokio::test]
async fn half_open_requests_are_nothing_and_end_with_their_door() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let gateway = gateway(&run_dir).await;
    let budgets = Budgets { deadline_ms: 1_500, ..PLENTY };
    let (door, other) = (bound(&gateway, budgets).await, bound(&gateway, PLENTY).await);
    let mut half = Vec::new();
    for n in 0..200 {
        let Ok(mut stream) = knock(&door).await else { continue };
        // Nothing at all, half a line, a line, half a field.
        let head = [
            "",
            "CONNECT 127.0.",
            "CONNECT 127.0.0.1:80 HTTP/1.1\r\n",
            "CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost",
        ];
        let _ = stream.write_all(head[n % 4].as_bytes()).await;
        half.push(stream);
    }
    assert!(half.len() > 100, "{} doors opened", half.len());
    assert_eq!(connect(&other, &echo.address.to_string()).await.status, 200, "another job does not notice");
    // Each is closed at the end of the binding, without an answer that promises anything.
    for stream in &mut half {
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "it stays open");
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    let ledger = door.close().await.expect("closed");
    assert_eq!((ledger.entries.len(), ledger.complete), (0, true));
    door.discard().expect("removed");
    assert_eq!(other.close().await.expect("closed").entries.len(), 1);
    other.discard().expect("removed");
}

#[tokio::test]
async fn nothing_is_smuggled_into_a_connect_request() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let trap = Trap::at([127, 0, 0, 2]);
    let gateway = gateway(&run_dir).await;
    let door = bound(&gateway, PLENTY).await;
    let (good, bad) = (echo.address.to_string(), format!("127.0.0.2:{}", trap.port()));
    let second = format!("CONNECT {bad} HTTP/1.1\r\n\r\n");
    let heads = [
        format!("CONNECT {good} HTTP/1.1\r\n\r\n{second}"),
        format!("CONNECT {good} HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
        format!("CONNECT {good}\r\nHost: x HTTP/1.1\r\n\r\n"),
        format!("CONNECT {good}%0d%0aX:%20 HTTP/1.1 HTTP/1.1\r\n\r\n"),
        format!("CONNECT {good} HTTP/1.1\n\n{second}\r\n\r\n"),
        format!("CONNECT {good} HTTP/1.1\r\n {bad}\r\n\r\n"),
        format!("CONNECT {good} HTTP/1.1\r\nHost : {bad}\r\n\r\n"),
        format!("CONNECT {good} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        format!("CONNECT {good} HTTP/1.1\r\ntransfer-encoding:\tchunked\r\n\r\n"),
        format!("CONNECT {good} HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        format!("CONNECT {good} HTTP/1.1\r\n: {bad}\r\n\r\n"),
        format!("CONNECT {good} HTTP/1.1\r\nX\0: y\r\n\r\n"),
        format!("CONNECT http://{bad}/ HTTP/1.1\r\n\r\n"),
        format!("CONNECT user@{bad} HTTP/1.1\r\n\r\n"),
        format!("CONNECT {good}@{bad} HTTP/1.1\r\n\r\n"),
        format!("CONNECT {good},{bad} HTTP/1.1\r\n\r\n"),
        format!("CONNECT {good}#{bad} HTTP/1.1\r\n\r\n"),
        format!("CONNECT {good}\t{bad} HTTP/1.1\r\n\r\n"),
        format!("CONNECT  {good} HTTP/1.1\r\n\r\n"),
        format!("connect {good} HTTP/1.1\r\n\r\n"),
        format!(" CONNECT {good} HTTP/1.1\r\n\r\n"),
        format!("\r\nCONNECT {good} HTTP/1.1\r\n\r\n"),
        format!("CONNECT {good} HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(9_000)),
        format!("CONNECT {good} HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(40)),
        format!("CONNECT {good} HTTP/2.0\r\n\r\n"),
        format!("GET http://{bad}/ HTTP/1.1\r\nHost: {good}\r\n\r\n"),
        format!("POST {good} HTTP/1.1\r\nUpgrade: tls\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    for head in &heads {
        assert_eq!(send(&door, head).await.map(|reply| reply.status), Some(400), "{head:?}");
    }
    assert!(trap.is_untouched());

    // The control: a head without tricks is served, and a second one inside it is bytes for the server that was named.
    let mut reply =
        send(&door, &format!("CONNECT {good} HTTP/1.1\r\nHost: {bad}\r\n\r\n")).await.expect("an answer");
    assert_eq!(reply.status, 200, "the line alone says where to, whatever a field says");
    reply.stream.write_all(second.as_bytes()).await.expect("sent");
    let mut back = vec![0; second.len()];
    reply.stream.read_exact(&mut back).await.expect("the echo gives it back");
    assert_eq!(back, second.as_bytes());
    assert!(trap.is_untouched());
    let ledger = door.close().await.expect("closed");
    let dialled: Vec<_> = ledger.entries.iter().map(|entry| (entry.host.as_str(), entry.port)).collect();
    assert_eq!(dialled, [("127.0.0.1", echo.address.port())]);
    door.discard().expect("removed");
}

/// First addresses, sizes and last addresses of what may not be dialled, from the registries of special-purpose
/// addresses that IANA keeps (RFC 6890) and from the multicast blocks.
const DENIED: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// First and last address of a network.
fn ends(network: &str) -> [IpAddr; 2] {
    let (first, prefix) = network.split_once('/').expect("a prefix");
    let prefix: u32 = prefix.parse().expect("a number");
    match first.parse().expect("an address") {
        IpAddr::V4(first) => {
            let hosts = u32::MAX.checked_shr(prefix).unwrap_or(0);
            [first.into(), Ipv4Addr::from(u32::from(first) | hosts).into()]
        }
        IpAddr::V6(first) => {
            let hosts = u128::MAX.checked_shr(prefix).unwrap_or(0);
            [first.into(), Ipv6Addr::from(u128::from(first) | hosts).into()]
        }
    }
}

#[tokio::test]
async fn both_ends_of_every_denied_network_are_refused_and_nothing_is_dialled() {
    let run_dir = RunDir::new();
    // Not even the one network that other tests allow.
    let config = safeurl::gateway::GatewayConfig { allow_networks: Vec::new(), ..config(&run_dir) };
    let gateway = Gateway::spawn(config).await.expect("a gateway");
    let budgets = Budgets { max_hosts: 1_000, max_connections: 1_000, ..PLENTY };
    let door = bound(&gateway, budgets).await;
    let addresses: Vec<_> = DENIED.iter().flat_map(|network| ends(network)).collect();
    for address in &addresses {
        let target = match address {
            IpAddr::V4(address) => format!("{address}:80"),
            IpAddr::V6(address) => format!("[{address}]:80"),
        };
        assert_eq!(connect(&door, &target).await.status, 403, "{target}");
    }
    let ledger = door.close().await.expect("closed");
    assert_eq!(ledger.entries.len(), addresses.len());
    for entry in &ledger.entries {
        assert_eq!((entry.decision, entry.dialed.as_deref()), (Decision::Denied, None), "{entry:?}");
        assert!(entry.tried.is_empty(), "{entry:?}");
    }
    door.discard().expect("removed");
}
