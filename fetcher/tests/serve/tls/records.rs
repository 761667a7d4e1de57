//! Bytes in the place of a handshake, handshakes that stop, and records that never stop.

use safeurl_protocol::Report;

use super::*;
use crate::rig::run;

/// A server that reads the client's hello, says `first`, and then `piece` until the other side is gone, or nothing.
fn met(first: Vec<u8>, piece: Vec<u8>, timeout_ms: u64) -> Report {
    let rig = Rig::new();
    let address = listen(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&first);
        if piece.is_empty() {
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
            return;
        }
        let many = piece.repeat((16 * 1024 / piece.len()).max(1));
        while stream.write_all(&many).is_ok() {}
    });
    rig.door("a.test:443", Door::Dial(address));
    let mut invocation = rig.invocation("https://a.test/");
    invocation.timeout_ms = timeout_ms;
    run(&invocation)
}

fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
    [&[kind, 3, 3], &length[..], payload].concat()
}

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
const HEARTBEAT: u8 = 24;

/// A ServerHello of TLS 1.3: random, no session, AES-128-GCM, and a share of the key that nobody knows the rest of.
fn hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0x13, 1, 0]);
    let mut extensions = vec![0, 43, 0, 2, 3, 4, 0, 51, 0, 36, 0, 29, 0, 32];
    extensions.extend([9; 32]);
    body.extend([0, extensions.len() as u8]);
    body.extend(extensions);
    record(HANDSHAKE, &[&[2, 0, 0, body.len() as u8], &body[..]].concat())
}

fn refused(what: &str, report: &Report, expected: ErrorClass) {
    let hop = &report.requests[0];
    assert_eq!((hop.status, class(hop), &hop.tls), (None, Some(expected), &None), "{what}: {hop:?}");
    let peak = report.usage.peak_memory_bytes;
    assert!(peak.is_some_and(|peak| peak < 48 * 1024 * 1024), "{what}: {:?}", report.usage);
}

#[test]
fn a_handshake_that_stops_lasts_until_the_deadline() {
    for (what, first) in [
        ("at once", Vec::new()),
        ("in a record", record(HANDSHAKE, &[2; 16_000])[..100].to_vec()),
        ("after the hello", hello()),
    ] {
        refused(what, &met(first, Vec::new(), 2_000), ErrorClass::Timeout);
    }
}

#[test]
fn records_that_break_the_rules_end_the_handshake_before_its_time() {
    for (what, first, piece) in [
        ("a record of 64 KiB", vec![HANDSHAKE, 3, 3, 0xff, 0xff], vec![0; 16_000]),
        (
            "a handshake of 16 megabytes",
            record(HANDSHAKE, &[2, 0xff, 0xff, 0xff]),
            record(HANDSHAKE, &[0; 16_000]),
        ),
        ("a handshake byte by byte", record(HANDSHAKE, &[2, 0, 0xf0, 0]), record(HANDSHAKE, &[0])),
        ("handshakes of nothing", Vec::new(), record(HANDSHAKE, &[])),
        ("warnings", Vec::new(), record(ALERT, &[1, 90])),
        ("changes of the cipher", Vec::new(), record(CHANGE_CIPHER_SPEC, &[1])),
        ("changes of the cipher after the hello", hello(), record(CHANGE_CIPHER_SPEC, &[1])),
        ("calls to begin again", Vec::new(), record(HANDSHAKE, &[0, 0, 0, 0])),
        ("data before the hello", Vec::new(), record(DATA, &[0; 16_000])),
        ("data after the hello", hello(), record(DATA, &[0; 16_000])),
        ("empty data after the hello", hello(), record(DATA, &[])),
        ("a hello and another", hello(), hello()),
        ("heartbeats that bleed", Vec::new(), record(HEARTBEAT, &[1, 0xff, 0xff])),
        ("noise", Vec::new(), (0..=255).collect()),
    ] {
        refused(what, &met(first, piece, 30_000), ErrorClass::Tls);
    }
}

/// A page from a server that does something more with the connection before it answers.
fn after_the_handshake(tickets: usize, act: fn(&mut ServerConnection, &mut std::net::TcpStream)) -> Report {
    let shown = crate::chains::alone(&["a.test"], 2000, 4000);
    let mut config = crate::chains::server(&shown, &[]);
    config.send_tls13_tickets = tickets;
    let config = Arc::new(config);
    let rig = Rig::new();
    let address = listen(move |stream| {
        let mut session = ServerConnection::new(Arc::clone(&config)).expect("a session");
        session.set_buffer_limit(None);
        let mut stream = StreamOwned::new(session, stream);
        let _ = stream.read(&mut [0; 4096]);
        act(&mut stream.conn, &mut stream.sock);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>tls</title>");
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    rig.door("a.test:443", Door::Dial(address));
    rig.fetch("https://a.test/")
}

fn broken(report: &Report, words: &str) {
    let hop = &report.requests[0];
    assert_eq!((hop.status, class(hop)), (None, Some(ErrorClass::Tls)), "{hop:?}");
    let message = hop.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
    assert!(message.contains("TLS broke after the handshake") && message.contains(words), "{message}");
    assert!(report.usage.peak_memory_bytes.is_some_and(|peak| peak < 48 * 1024 * 1024), "{:?}", report.usage);
}

#[test]
fn a_hundred_tickets_hinder_nobody_and_thousands_are_no_handshake() {
    let report = after_the_handshake(100, |_, _| {});
    assert_eq!((title(&report), class(&report.requests[0])), (Some("tls"), None), "{:?}", report.requests[0]);
    broken(&after_the_handshake(5_000, |_, _| {}), "buffer full");
}

#[test]
fn new_keys_without_end_are_told_as_what_they_are() {
    let report = after_the_handshake(0, |session, socket| {
        while session.refresh_traffic_keys().is_ok() && session.write_tls(socket).is_ok() {}
    });
    broken(&report, "KeyUpdate");
}
