//! HTTP/2 as it should be, and as somebody would send it who means harm.

mod attacks;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use safeurl_protocol::{ErrorClass, Report};
use tokio_rustls::TlsAcceptor;

use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, STATUS_200,
    frame, html_head, literal, settings,
};
use crate::rig::{Door, Rig, class, header, listen, run, title};

type Secure = StreamOwned<ServerConnection, TcpStream>;

fn config(alpn: &[&str]) -> Arc<ServerConfig> {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).expect("good names");
    let certificate = parameters.self_signed(&key).expect("a certificate").der().clone();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)
        .expect("key and certificate fit");
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A TLS server at a.test that agrees to one of `alpn` and hands the stream over after the client's first bytes.
fn secure(rig: &Rig, alpn: &[&str], handler: impl Fn(&mut Secure) + Send + Sync + 'static) {
    let config = config(alpn);
    let address = listen(move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
        let mut stream = StreamOwned::new(session, stream);
        let _ = stream.read(&mut [0; 4096]);
        handler(&mut stream);
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    rig.door("a.test:443", Door::Dial(address));
}

fn fetch(handler: impl Fn(&mut Secure) + Send + Sync + 'static) -> Report {
    let rig = Rig::new();
    secure(&rig, &["h2"], handler);
    rig.fetch("https://a.test/")
}

/// Reads until the other side is gone.
fn hold(stream: &mut Secure) {
    while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
}

/// Writes until the other side is gone, reading nothing.
fn flood(stream: &mut Secure, piece: &[u8]) {
    let many = piece.repeat((16 * 1024 / piece.len()).max(1));
    while stream.write_all(&many).is_ok() {}
}

/// What no first hop may leave: no head, this class, and these words.
fn refused(report: &Report, expected: ErrorClass, words: &str) {
    let hop = &report.requests[0];
    assert_eq!((hop.status, class(hop)), (None, Some(expected)), "{hop:?}");
    assert_eq!(hop.tls.as_ref().and_then(|tls| tls.alpn.as_deref()), Some("h2"));
    let message = hop.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
    assert!(message.contains(words), "{message}");
}

fn little_memory(report: &Report) {
    assert!(report.usage.peak_memory_bytes.is_some_and(|peak| peak < 48 * 1024 * 1024), "{:?}", report.usage);
}

#[test]
fn a_page_over_http2_is_read_and_asked_for_as_http2_asks() {
    let (asked, what) = mpsc::channel();
    let config = config(&["h2", "http/1.1"]);
    let address = listen(move |stream| {
        let (asked, config) = (asked.clone(), Arc::clone(&config));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            stream.set_nonblocking(true).expect("a socket");
            let stream = tokio::net::TcpStream::from_std(stream).expect("a socket");
            let stream = TlsAcceptor::from(config).accept(stream).await.expect("a handshake");
            let mut connection = h2::server::handshake(stream).await.expect("a connection");
            let (request, mut respond) = connection.accept().await.expect("a request").expect("a good one");
            asked.send(request.into_parts().0).expect("somebody listens");
            let response = hyper::Response::builder()
                .header("content-type", "text/html")
                .header("set-cookie", "a=b")
                .header("x-odd", "1")
                .header("set-cookie", "c=d")
                .body(())
                .expect("a head");
            let mut body = respond.send_response(response, false).expect("sent");
            body.send_data(b"<title>two</title>".to_vec().into(), true).expect("sent");
            while connection.accept().await.is_some() {}
        });
    });
    let rig = Rig::new();
    rig.door("a.test:8443", Door::Dial(address));
    let mut invocation = rig.invocation("https://a.test:8443/x?y=1#z");
    invocation.headers = vec![header("X-Extra", "7")];
    let report = run(&invocation);
    let hop = &report.requests[0];
    assert_eq!((title(&report), class(hop), hop.status), (Some("two"), None, Some(200)), "{hop:?}");
    assert_eq!((hop.protocol.as_deref(), hop.status_text.as_deref()), (Some("h2"), None));
    let tls = hop.tls.as_ref().expect("a TLS connection");
    assert_eq!(tls.alpn.as_deref(), Some("h2"));
    let names: Vec<_> = hop.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, ["content-type", "set-cookie", "set-cookie", "x-odd"]);
    let request = what.recv().expect("it was asked");
    assert_eq!(request.uri, "https://a.test:8443/x?y=1");
    assert_eq!(request.headers.get("x-extra").map(|value| value.as_bytes()), Some(&b"7"[..]));
    assert_eq!(request.headers.get("user-agent").map(|value| value.as_bytes()), Some(&b"test agent"[..]));
    for name in ["host", "connection"] {
        assert!(!request.headers.contains_key(name), "{name}");
    }
}

#[test]
fn a_server_that_agrees_to_nothing_or_to_1_1_is_asked_in_1_1() {
    for alpn in [&[][..], &["http/1.1"]] {
        let rig = Rig::new();
        secure(&rig, alpn, |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>one</title>");
        });
        let report = rig.fetch("https://a.test/");
        let hop = &report.requests[0];
        assert_eq!((title(&report), hop.protocol.as_deref()), (Some("one"), Some("http/1.1")));
        assert_eq!(hop.tls.as_ref().and_then(|tls| tls.alpn.as_deref()), alpn.first().copied());
    }
}

#[test]
fn who_ends_it_before_the_head_is_quoted() {
    for (frames, words) in [
        (frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xb]), "ENHANCE_YOUR_CALM"),
        (frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0]), "ended the HTTP/2 connection"),
        (frame(RST_STREAM, 0, 1, &[0, 0, 0, 7]), "REFUSED_STREAM"),
        (frame(HEADERS, END_HEADERS, 1, &[0xff, 0xff, 0xff, 0xff, 0xff]), "breaks the rules of HTTP/2"),
        (frame(DATA, END_STREAM, 1, b"no head"), "breaks the rules of HTTP/2"),
        (frame(HEADERS, END_HEADERS, 1, &literal("no-status", "1")), "breaks the rules of HTTP/2"),
    ] {
        let report = fetch(move |stream| {
            let _ = stream.write_all(&[settings(), frames.clone()].concat());
            hold(stream);
        });
        refused(&report, ErrorClass::HttpProtocol, words);
    }
}

#[test]
fn who_wants_to_be_asked_in_1_1_after_all_is_asked_so_once() {
    let refusals =
        [frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xd]), frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xd])];
    for refusal in refusals {
        let rig = Rig::new();
        secure(&rig, &["h2", "http/1.1"], move |stream| {
            if stream.conn.alpn_protocol() == Some(b"h2") {
                let _ = stream.write_all(&[settings(), refusal.clone()].concat());
                return hold(stream);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>old</title>");
        });
        let report = rig.fetch("https://a.test/");
        let hop = &report.requests[0];
        assert_eq!((title(&report), class(hop), report.requests.len()), (Some("old"), None, 1), "{hop:?}");
        // One hop, over the second connection, which offered nothing else.
        assert_eq!((hop.protocol.as_deref(), hop.connection), (Some("http/1.1"), Some(2)));
        assert_eq!(hop.tls.as_ref().and_then(|tls| tls.alpn.as_deref()), Some("http/1.1"));
    }
}

#[test]
fn who_wants_1_1_and_does_not_speak_it_is_not_asked_a_third_time() {
    let rig = Rig::new();
    secure(&rig, &["h2"], |stream| {
        let _ = stream.write_all(&[settings(), frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xd])].concat());
        hold(stream);
    });
    let report = rig.fetch("https://a.test/");
    let hop = &report.requests[0];
    assert_eq!((hop.status, class(hop), hop.connection), (None, Some(ErrorClass::Tls), Some(2)), "{hop:?}");
    assert!(hop.error.as_ref().is_some_and(|error| error.message.contains("no_application_protocol (120)")));
}

#[test]
fn who_agrees_to_http2_and_speaks_something_else_is_told() {
    let answers: [(&[u8], &str); 3] = [
        (b"HTTP/1.1 200 OK\r\n\r\n<title>one</title>", "answered with HTTP/1"),
        (b"", "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak it"),
    ];
    for (said, words) in answers {
        let report = fetch(move |stream| {
            let _ = stream.write_all(said);
        });
        refused(&report, ErrorClass::HttpProtocol, words);
    }
}

#[test]
fn a_body_that_is_cut_keeps_what_arrived() {
    let title_frame = || frame(DATA, 0, 1, b"<title>half</title>");
    let length =
        [vec![STATUS_200], literal("content-type", "text/html"), literal("content-length", "1000")].concat();
    let short = [settings(), frame(HEADERS, END_HEADERS, 1, &length)].concat();
    for (bytes, words) in [
        (
            [html_head(), title_frame(), frame(RST_STREAM, 0, 1, &[0, 0, 0, 2])].concat(),
            "reset the HTTP/2 stream",
        ),
        ([html_head(), title_frame()].concat(), "broke off"),
        ([short, title_frame(), frame(DATA, END_STREAM, 1, b"")].concat(), "breaks the rules"),
    ] {
        let report = fetch(move |stream| {
            let _ = stream.write_all(&bytes);
        });
        let hop = &report.requests[0];
        assert_eq!((hop.status, class(hop)), (Some(200), Some(ErrorClass::Body)), "{hop:?}");
        assert!(hop.error.as_ref().is_some_and(|error| error.message.contains(words)), "{hop:?}");
        assert!(report.content.as_ref().is_some_and(|content| content.truncated));
        assert_eq!(title(&report), Some("half"));
    }
}

#[test]
fn a_body_without_end_stops_at_the_cap() {
    let rig = Rig::new();
    secure(&rig, &["h2"], |stream| {
        let _ = stream.write_all(&[html_head(), frame(DATA, 0, 1, b"<title>endless</title>")].concat());
        // The window the client asked for holds once its settings are acknowledged.
        let _ = stream.write_all(&frame(SETTINGS, 1, 0, &[]));
        for _ in 0..50 {
            let _ = stream.write_all(&frame(DATA, 0, 1, &[b'x'; 16_000]));
        }
        hold(stream);
    });
    let mut invocation = rig.invocation("https://a.test/");
    invocation.body_cap = 500_000;
    let report = run(&invocation);
    let content = report.content.as_ref().expect("a body");
    assert_eq!((content.size, content.truncated, class(&report.requests[0])), (500_000, true, None));
    assert_eq!(title(&report), Some("endless"));
}

#[test]
fn floods_before_the_head_end_and_cost_little() {
    let early = frame(HEADERS, END_HEADERS, 1, &literal(":status", "103"));
    let many_headers = literal("x-filler", &"a".repeat(100)).repeat(100);
    for (name, first, piece) in [
        ("ping", settings(), frame(PING, 0, 0, &[0; 8])),
        ("settings", settings(), settings()),
        ("interim", settings(), early),
        (
            "continuation",
            [settings(), frame(HEADERS, 0, 1, &[STATUS_200])].concat(),
            frame(CONTINUATION, 0, 1, &many_headers),
        ),
        (
            "empty continuation",
            [settings(), frame(HEADERS, 0, 1, &[STATUS_200])].concat(),
            frame(CONTINUATION, 0, 1, &[]),
        ),
        ("window", settings(), frame(8, 0, 0, &[0, 0, 0, 1])),
        ("unknown", settings(), frame(0xfe, 0, 0, &[0; 64])),
    ] {
        let rig = Rig::new();
        secure(&rig, &["h2"], move |stream| {
            let _ = stream.write_all(&first);
            flood(stream, &piece);
        });
        let mut invocation = rig.invocation("https://a.test/");
        invocation.timeout_ms = 10_000;
        let report = run(&invocation);
        let hop = &report.requests[0];
        let ended = matches!(class(hop), Some(ErrorClass::HttpProtocol | ErrorClass::Timeout));
        assert!(ended && hop.status.is_none(), "{name}: {hop:?}");
        little_memory(&report);
    }
}

#[test]
fn floods_in_the_body_end_and_cost_little() {
    for (name, piece) in [
        ("empty data", frame(DATA, 0, 1, &[])),
        ("ping", frame(PING, 0, 0, &[0; 8])),
        ("small data", frame(DATA, 0, 1, b"x")),
    ] {
        let rig = Rig::new();
        secure(&rig, &["h2"], move |stream| {
            let _ = stream.write_all(&[html_head(), frame(DATA, 0, 1, b"<title>flood</title>")].concat());
            flood(stream, &piece);
        });
        let mut invocation = rig.invocation("https://a.test/");
        invocation.timeout_ms = 3_000;
        let report = run(&invocation);
        assert_eq!(report.requests[0].status, Some(200), "{name}");
        assert!(report.content.as_ref().is_some_and(|content| content.truncated), "{name}");
        assert_eq!(title(&report), Some("flood"), "{name}");
        little_memory(&report);
    }
}

#[test]
fn headers_beyond_the_limit_are_refused_and_many_below_it_are_listed() {
    let block = |count: usize| {
        let mut block = vec![STATUS_200];
        for n in 0..count {
            block.extend(literal(&format!("x-{n}"), &"a".repeat(100)));
        }
        block
    };
    let head = |count: usize| {
        let block = block(count);
        let mut pieces = block.chunks(16_000).peekable();
        let mut bytes = settings();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            let stream_end = if kind == HEADERS { END_STREAM } else { 0 };
            bytes.extend(frame(kind, end | stream_end, 1, piece));
            kind = CONTINUATION;
        }
        bytes
    };
    let (few, many) = (head(300), head(5_000));
    let report = fetch(move |stream| {
        let _ = stream.write_all(&few);
        hold(stream);
    });
    assert_eq!((report.requests[0].status, report.requests[0].headers.len()), (Some(200), 300));
    let report = fetch(move |stream| {
        let _ = stream.write_all(&many);
        hold(stream);
    });
    assert_eq!(class(&report.requests[0]), Some(ErrorClass::HttpProtocol), "{:?}", report.requests[0].error);
}

#[test]
fn a_server_that_wants_to_know_its_visitors_is_a_tls_error() {
    let rig = Rig::new();
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["a.test".to_owned()])
        .expect("good names")
        .self_signed(&key)
        .expect("a certificate");
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let visitors =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .expect("a verifier");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_client_cert_verifier(visitors)
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("key and certificate fit");
    for alpn in ["h2", "http/1.1"] {
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let config = Arc::new(config.clone());
        let address = listen(move |stream| {
            let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut stream = StreamOwned::new(session, stream);
            // The alert is written by the failing read; what the client still sends is read, so that no reset
            // overtakes it.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.sock.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream.sock, &mut std::io::sink());
        });
        rig.door("a.test:443", Door::Dial(address));
        let report = rig.fetch("https://a.test/");
        let hop = &report.requests[0];
        assert_eq!((hop.status, class(hop)), (None, Some(ErrorClass::Tls)), "{alpn}: {hop:?}");
        let message = hop.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
        assert!(message.contains("certificate_required (116)") && message.contains("visitors"), "{message}");
    }
}
