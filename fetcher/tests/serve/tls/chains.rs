//! Certificates that cost time or memory to look at, and certificates that are none.

use super::*;
use crate::chains::{self, Shown};

fn shows(shown: &Shown) -> Rig {
    let rig = Rig::new();
    let config = Arc::new(chains::server(shown, &[]));
    let address = listen(move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
        let mut stream = StreamOwned::new(session, stream);
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>tls</title>");
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    rig.door("a.test:443", Door::Dial(address));
    rig
}

#[test]
fn a_chain_that_is_too_long_too_large_or_none_is_evidence_and_the_page_is_read() {
    let number = |n: usize| n.to_string();
    for (what, shown, listed, error) in [
        ("100 authorities", chains::tower("a.test", 100, number), 10, "unknown issuer"),
        ("RSA of 16,384 bits", chains::rsa("a.test", 16_384, 1), 2, "unknown issuer"),
        ("10 of them", chains::rsa("a.test", 16_384, 10), 10, "unknown issuer"),
        ("RSA of 64 bits", chains::rsa("a.test", 64, 1), 2, "unknown issuer"),
        ("3,000 names", chains::crowded("a.test", 3_000), 1, "self-signed"),
        ("text", chains::nonsense(b"no certificate"), 1, "not a readable certificate"),
        ("nothing", chains::nonsense(b""), 1, "not a readable certificate"),
        ("a deep nest", chains::nonsense(&[0x30, 0x80].repeat(30_000)), 1, "not a readable certificate"),
    ] {
        let report = shows(&shown).fetch("https://a.test/");
        let hop = &report.requests[0];
        assert_eq!((title(&report), class(hop)), (Some("tls"), None), "{what}: {hop:?}");
        let tls = hop.tls.as_ref().expect("a TLS connection");
        assert_eq!(
            (tls.verified, tls.error.as_deref(), tls.chain.len()),
            (false, Some(error), listed),
            "{what}"
        );
        assert!(tls.san_list.len() <= 250 && tls.sha256.is_some(), "{what}");
        let peak = report.usage.peak_memory_bytes;
        assert!(peak.is_some_and(|peak| peak < 48 * 1024 * 1024), "{what}: {:?}", report.usage);
    }
}

#[test]
fn authorities_of_one_name_are_not_tried_in_every_order() {
    let shown = chains::tower("a.test", 100, |_| "same".to_owned());
    let report = shows(&shown).fetch("https://a.test/");
    let tls = report.requests[0].tls.as_ref().expect("a TLS connection");
    assert_eq!((title(&report), tls.error.as_deref()), (Some("tls"), Some("unknown issuer")));
    // In every order they take two seconds of a processor and more, by the clock of the process and not of the wall.
    assert!(report.usage.cpu_ms.is_some_and(|cpu_ms| cpu_ms < 1_500), "{:?}", report.usage);
}

#[test]
fn a_chain_of_more_than_64_kib_is_refused() {
    let shown = chains::tower("a.test", 300, |n| n.to_string());
    let report = shows(&shown).fetch("https://a.test/");
    let hop = &report.requests[0];
    assert_eq!((hop.status, class(hop)), (None, Some(ErrorClass::Tls)), "{hop:?}");
    assert!(hop.error.as_ref().is_some_and(|error| error.message.contains("more than 64 KiB")), "{hop:?}");
}
