//! The wrong protocol on a port, and protocols that are too old.

use std::io::{Read as _, Write as _};

use safeurl_protocol::ErrorClass;

use crate::rig::{Door, Rig, class, listen, page, response, title};

/// A server that waits for the first bytes and answers these, whatever was said.
fn answers(rig: &Rig, authority: &str, said: &[u8]) {
    let said = said.to_vec();
    let address = listen(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&said);
    });
    rig.door(authority, Door::Dial(address));
}

fn told(rig: &Rig, url: &str, expected: ErrorClass) -> String {
    let report = rig.fetch(url);
    let hop = &report.requests[0];
    assert_eq!((hop.status, class(hop), &hop.tls), (None, Some(expected), &None), "{hop:?}");
    hop.error.as_ref().map(|error| error.message.clone()).unwrap_or_default()
}

/// A ServerHello of a version of TLS from before 1.2, as a server sends it: random, session, RSA with AES, no
/// compression, no extensions.
fn hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0, 0x2f, 0]);
    let mut bytes = vec![22, 3, minor, 0, body.len() as u8 + 4, 2, 0, 0, body.len() as u8];
    bytes.extend_from_slice(&body);
    bytes
}

#[test]
fn servers_of_old_versions_are_told_by_their_version() {
    for (minor, name) in [(0, "SSL 3.0"), (1, "TLS 1.0"), (2, "TLS 1.1")] {
        let rig = Rig::new();
        answers(&rig, "a.test:443", &hello(minor));
        let message = told(&rig, "https://a.test/", ErrorClass::Tls);
        assert_eq!(message, format!("the server speaks {name} at most, which browsers no longer accept"));
    }
    let rig = Rig::new();
    answers(&rig, "a.test:443", &[0x80, 0x03, 0, 0, 1]);
    assert!(told(&rig, "https://a.test/", ErrorClass::Tls).contains("SSL 2.0"));
}

#[test]
fn an_alert_is_told_by_name_number_and_meaning() {
    for (minor, code, words) in [
        (0, 40, "handshake_failure (40)"),
        (1, 70, "protocol_version (70)"),
        (1, 70, "it answered in TLS 1.0"),
        (3, 70, "no version of TLS that browsers still accept"),
        (3, 80, "internal_error (80)"),
        (3, 112, "no site of this name"),
        (3, 120, "no_application_protocol (120)"),
        (3, 255, "unassigned (255)"),
    ] {
        let rig = Rig::new();
        answers(&rig, "a.test:443", &[21, 3, minor, 0, 2, 2, code]);
        let message = told(&rig, "https://a.test/", ErrorClass::Tls);
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn https_to_a_port_of_plain_http_names_the_url_that_works() {
    let rig = Rig::new();
    answers(&rig, "a.test:8080", &response("400 Bad Request", "", b"bad"));
    let message = told(&rig, "https://a.test:8080/x?secret=1", ErrorClass::Tls);
    assert!(message.contains("plain HTTP; http://a.test:8080/ would work"), "{message}");
    assert!(!message.contains("secret"));
    answers(&rig, "b.test:443", b"<!DOCTYPE HTML>\n<title>Error response</title>");
    assert!(
        told(&rig, "https://b.test/", ErrorClass::Tls).contains("plain HTTP; http://b.test:443/ would work")
    );
}

#[test]
fn http_to_a_port_of_tls_names_the_url_that_works() {
    let rig = Rig::new();
    answers(&rig, "a.test:8443", &[21, 3, 3, 0, 2, 2, 10]);
    let message = told(&rig, "http://a.test:8443/x", ErrorClass::HttpProtocol);
    assert!(message.contains("https://a.test:8443/ would work"), "{message}");
    let said = b"<title>400 The plain HTTP request was sent to HTTPS port</title>";
    rig.says("b.test:8443", response("400 Bad Request", "Content-Type: text/html\r\n", said));
    let report = rig.fetch("http://b.test:8443/");
    assert_eq!((report.requests[0].status, class(&report.requests[0])), (Some(400), None));
    assert!(title(&report).is_some_and(|title| title.contains("HTTPS port")));
}

#[test]
fn other_services_are_named() {
    for (said, name) in [
        (&b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"[..], "SSH"),
        (b"220 mail.test ESMTP Postfix\r\n", "SMTP"),
        (b"220 ProFTPD Server ready.\r\n", "FTP"),
        (b"+OK POP3 ready\r\n", "POP3"),
        (b"* OK [CAPABILITY IMAP4rev1] ready.\r\n", "IMAP"),
        (b"-ERR wrong number of arguments for 'get' command\r\n", "Redis"),
        (b"RFB 003.008\n", "VNC"),
    ] {
        for (url, class, not) in [
            ("http://a.test/", ErrorClass::HttpProtocol, "not HTTP"),
            ("https://a.test/", ErrorClass::Tls, "not TLS"),
        ] {
            let rig = Rig::new();
            // These speak first.
            let said = said.to_vec();
            let address = listen(move |mut stream| {
                let _ = stream.write_all(&said);
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            });
            rig.door("a.test:80", Door::Dial(address)).door("a.test:443", Door::Dial(address));
            let message = told(&rig, url, class);
            assert!(message.contains(name) && message.contains(not), "{message}");
        }
    }
}

#[test]
fn a_stranger_is_quoted_and_silence_is_told_as_such() {
    let rig = Rig::new();
    answers(&rig, "a.test:80", b"\x00\x01\x1b[2Jhello");
    let message = told(&rig, "http://a.test/", ErrorClass::HttpProtocol);
    assert!(message.contains(r#""\x00\x01\x1b[2Jhello""#), "{message}");
    answers(&rig, "b.test:80", b"");
    assert!(told(&rig, "http://b.test/", ErrorClass::HttpProtocol).contains("without an answer"));
    answers(&rig, "b.test:443", b"");
    assert!(told(&rig, "https://b.test/", ErrorClass::Tls).contains("closed the connection during"));
    answers(&rig, "c.test:80", b"HTTP/1.1 200 OK\r\nHalf");
    assert!(told(&rig, "http://c.test/", ErrorClass::HttpProtocol).contains("middle of the response's head"));
    answers(&rig, "d.test:443", &page("<title>plain</title>"));
    assert!(told(&rig, "https://d.test/", ErrorClass::Tls).contains("plain HTTP"));
}
