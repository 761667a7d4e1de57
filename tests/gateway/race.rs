//! A name with an address of each family, and servers that are there in one of them, in both, or in neither.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use safeurl::gateway::{Door, Gateway};
use safeurl_protocol::ledger::Entry;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::world::{PLENTY, RunDir, bound, config, connect};

/// A gateway for which `localhost` is 127.0.0.1 and ::1.
async fn two_families(run_dir: &RunDir, connect_timeout: Duration) -> Gateway {
    let mut config = config(run_dir);
    config.allow_networks.push("::1".parse().expect("a network"));
    config.connect_timeout = connect_timeout;
    Gateway::spawn(config).await.expect("a gateway")
}

/// Listeners of both families on the same port, IPv6 with room for this many waiting connections.
async fn both(backlog: u32) -> (TcpListener, TcpListener) {
    loop {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
        let socket = TcpSocket::new_v6().expect("a socket");
        let same: SocketAddr = (Ipv6Addr::LOCALHOST, port(&v4)).into();
        // Another test may have the port in the other family.
        if socket.bind(same).is_ok() {
            return (v4, socket.listen(backlog).expect("a listener"));
        }
    }
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("bound").port()
}

/// Connects to `localhost` and gives the answer's status and the ledger's entry.
async fn reached(door: Door, port: u16) -> (u16, Entry) {
    let reply = connect(&door, &format!("localhost:{port}")).await;
    let status = reply.status;
    drop(reply);
    let ledger = door.close().await.expect("closed");
    door.discard().expect("removed");
    let mut addresses = ledger.entries[0].addresses.clone();
    addresses.sort_unstable();
    assert_eq!(addresses, ["127.0.0.1", "::1"], "all of them are told");
    (status, ledger.entries[0].clone())
}

#[tokio::test]
async fn a_server_in_both_families_is_reached_over_ipv6() {
    let run_dir = RunDir::new();
    let (v4, _v6) = both(8).await;
    let gateway = two_families(&run_dir, Duration::from_secs(20)).await;
    let (status, entry) = reached(bound(&gateway, PLENTY).await, port(&v4)).await;
    assert_eq!((status, entry.dialed.as_deref(), entry.error), (200, Some("::1"), None));
    assert_eq!(entry.tried[0], "::1");
}

#[tokio::test]
async fn a_refused_ipv6_address_is_followed_by_ipv4_and_leaves_no_error() {
    let run_dir = RunDir::new();
    let (v4, v6) = both(8).await;
    drop(v6);
    let gateway = two_families(&run_dir, Duration::from_secs(20)).await;
    let (status, entry) = reached(bound(&gateway, PLENTY).await, port(&v4)).await;
    assert_eq!((status, entry.dialed.as_deref(), entry.error), (200, Some("127.0.0.1"), None));
    assert_eq!(entry.tried, ["::1", "127.0.0.1"], "who lost is told as well");
    assert!(entry.connect_ms.is_some());
}

#[tokio::test]
async fn an_ipv6_address_that_swallows_everything_does_not_hold_ipv4_up() {
    let run_dir = RunDir::new();
    let (v4, v6) = both(0).await;
    // A full queue of waiting connections: the kernel drops what else arrives.
    let _waiting = TcpStream::connect(v6.local_addr().expect("bound")).await.expect("the queue holds one");
    let gateway = two_families(&run_dir, Duration::from_secs(60)).await;
    let (status, entry) = reached(bound(&gateway, PLENTY).await, port(&v4)).await;
    assert_eq!((status, entry.dialed.as_deref(), entry.error), (200, Some("127.0.0.1"), None));
    assert_eq!(entry.tried, ["::1", "127.0.0.1"], "who lost is told as well");
}

#[tokio::test]
async fn where_one_family_is_silent_and_the_other_refuses_the_silence_is_told() {
    let run_dir = RunDir::new();
    let (v4, v6) = both(0).await;
    let closed = port(&v4);
    drop(v4);
    let _waiting = TcpStream::connect(v6.local_addr().expect("bound")).await.expect("the queue holds one");
    let gateway = two_families(&run_dir, Duration::from_millis(600)).await;
    let (status, entry) = reached(bound(&gateway, PLENTY).await, closed).await;
    assert_eq!((status, entry.dialed.as_deref()), (504, Some("127.0.0.1")));
    assert_eq!(entry.tried, ["::1", "127.0.0.1"]);
    assert_eq!(entry.error.as_deref(), Some("timed out"));
}
