//! What a server can do wrong in HTTP/1, and what is reported then.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use flate2::{Compression, write::GzEncoder};
use safeurl_protocol::{ErrorClass, Report};

use crate::rig::{Rig, class, response, run, title};

/// Writes until the other side is gone.
fn write_forever(stream: &mut TcpStream, piece: &[u8]) {
    let many = piece.repeat((16 * 1024 / piece.len()).max(1));
    while stream.write_all(&many).is_ok() {}
}

fn fetch(said: impl Into<Vec<u8>>) -> Report {
    let rig = Rig::new();
    rig.says("a.test:80", said);
    rig.fetch("http://a.test/")
}

/// Fetches from a server that begins with `first` and repeats `piece` without end.
fn flooded(first: &'static str, piece: &'static [u8], timeout_ms: u64) -> Report {
    let rig = Rig::new();
    rig.site("a.test:80", move |_, stream| {
        let _ = stream.write_all(first.as_bytes());
        write_forever(stream, piece);
    });
    let mut invocation = rig.invocation("http://a.test/");
    invocation.timeout_ms = timeout_ms;
    let report = run(&invocation);
    assert!(report.usage.peak_memory_bytes.is_some_and(|peak| peak < 48 * 1024 * 1024), "{:?}", report.usage);
    report
}

fn message(report: &Report) -> &str {
    report.requests[0].error.as_ref().map(|error| error.message.as_str()).unwrap_or_default()
}

#[test]
fn status_lines_that_are_none_are_no_response() {
    for line in [
        "HTTP/1.1 99 x",
        "HTTP/1.1 1000 x",
        "HTTP/1.1 000 x",
        "HTTP/1.1 -20 x",
        "HTTP/1.1  ",
        "HTTP/1.1",
        "200 OK",
        "HTTPS/1.1 200 OK",
        "ICY",
        "12345HTTP/1.1 200 OK",
    ] {
        let report = fetch(format!("{line}\r\nContent-Type: text/html\r\n\r\n<title>x</title>"));
        let hop = &report.requests[0];
        assert_eq!((hop.status, class(hop)), (None, Some(ErrorClass::HttpProtocol)), "{line}: {hop:?}");
        assert!(!message(&report).is_empty());
    }
}

#[test]
fn status_lines_that_are_odd_are_taken() {
    for (line, status, text) in [
        ("HTTP/1.1 200", 200, ""),
        ("HTTP/1.1 200 ", 200, ""),
        ("HTTP/1.0 299 Sch\u{f6}n", 299, "Schön"),
        ("HTTP/1.1 999 Request denied", 999, "Request denied"),
    ] {
        let report = fetch(format!("{line}\r\nContent-Type: text/html\r\n\r\n<title>x</title>"));
        let hop = &report.requests[0];
        assert_eq!(
            (hop.status, title(&report), class(hop)),
            (Some(status), Some("x"), None),
            "{line}: {hop:?}"
        );
        assert_eq!(hop.status_text.as_deref().unwrap_or_default(), text, "{line}");
    }
}

#[test]
fn who_speaks_almost_http_is_read_as_browsers_do_and_named() {
    for (line, protocol) in [
        ("ICY 200 OK", "icy"),
        ("HTTP/5.6 200 OK", "http/5.6"),
        ("HTTP/2.0 200 OK", "http/2.0"),
        ("HTTP/0.9 200 OK", "http/0.9"),
        ("HTTP/ 200 OK", "http/1.0"),
        ("HTTP 200 OK", "http/1.0"),
        ("http/1.1 200 OK", "http/1.1"),
        (" HTTP/1.1 200 OK", "http/1.1"),
        ("\0\0\0\0HTTP/1.1 200 OK", "http/1.1"),
    ] {
        let report = fetch(format!("{line}\r\nContent-Type: text/html\r\nX-A: b\r\n\r\n<title>x</title>"));
        let hop = &report.requests[0];
        assert_eq!((hop.status, class(hop), title(&report)), (Some(200), None, Some("x")), "{line}: {hop:?}");
        let names: Vec<_> = hop.headers.iter().map(|header| header.name.as_str()).collect();
        assert_eq!(names, ["Content-Type", "X-A"], "{line}");
        assert_eq!(hop.protocol.as_deref(), Some(protocol), "{line}");
        assert_eq!(hop.status_text.as_deref(), Some("OK"), "{line}");
    }
}

#[test]
fn a_page_without_a_head_is_read_where_browsers_read_it() {
    let rig = Rig::new();
    let html = "\n<html><title>bare</title><p>Set-Cookie: no\r\n\r\nHTTP/1.1 404 No\r\n\r\n";
    rig.says("a.test:80", html).says("a.test:8080", html).says("b.test:80", "no page: <p>");
    let report = rig.fetch("http://a.test/");
    let hop = &report.requests[0];
    assert_eq!((title(&report), hop.status, class(hop)), (Some("bare"), Some(200), None), "{hop:?}");
    assert_eq!((hop.protocol.as_deref(), &hop.status_text, hop.headers.len()), (Some("http/0.9"), &None, 0));
    assert_eq!(hop.size, Some(html.len() as u64));
    for url in ["http://a.test:8080/", "http://b.test/"] {
        let report = rig.fetch(url);
        let hop = &report.requests[0];
        assert_eq!((hop.status, class(hop)), (None, Some(ErrorClass::HttpProtocol)), "{hop:?}");
        assert!(message(&report).contains("the answer is not HTTP"), "{hop:?}");
    }
}

#[test]
fn headers_that_are_none_are_left_out_and_the_page_is_read() {
    for (lines, names) in [
        ("No colon here\r\n", &["Content-Type"][..]),
        ("Bad Name: x\r\n", &["Content-Type"]),
        (": no name\r\n", &["Content-Type"]),
        ("X-Folded: a\r\n b\r\n\tc\r\n", &["X-Folded", "Content-Type"]),
        ("X-Bare: lf\n", &["X-Bare", "Content-Type"]),
        ("X-Empty:\r\n", &["X-Empty", "Content-Type"]),
        ("X-\u{e9}: x\r\n", &["Content-Type"]),
    ] {
        let report =
            fetch(format!("HTTP/1.1 200 OK\r\n{lines}Content-Type: text/html\r\n\r\n<title>x</title>"));
        let hop = &report.requests[0];
        assert_eq!(
            (hop.status, title(&report), class(hop)),
            (Some(200), Some("x"), None),
            "{lines:?}: {hop:?}"
        );
        let mut found: Vec<_> = hop.headers.iter().map(|header| header.name.to_ascii_lowercase()).collect();
        let mut expected: Vec<_> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{lines:?}");
    }
}

#[test]
fn a_nul_in_the_head_is_refused_as_browsers_do() {
    for lines in ["X-Nul: a\0b\r\n", "X-\0: b\r\n", "\0\r\n"] {
        let report =
            fetch(format!("HTTP/1.1 200 OK\r\n{lines}Content-Type: text/html\r\n\r\n<title>x</title>"));
        let hop = &report.requests[0];
        assert!(
            matches!((hop.status, class(hop)), (None, Some(ErrorClass::HttpProtocol)) | (Some(200), None)),
            "{hop:?}"
        );
        assert!(hop.headers.iter().all(|header| !header.name.contains('\0') && !header.value.contains('\0')));
    }
}

#[test]
fn some_hundred_headers_are_listed_and_some_thousand_are_refused() {
    let lines = |count: usize| (0..count).map(|n| format!("X-{n}: {n}\r\n")).collect::<String>();
    let report = fetch(format!("HTTP/1.1 200 OK\r\n{}\r\n", lines(300)));
    assert_eq!((report.requests[0].status, report.requests[0].headers.len()), (Some(200), 300));
    let report = fetch(format!("HTTP/1.1 200 OK\r\n{}\r\n", lines(3_000)));
    assert_eq!(
        (report.requests[0].status, class(&report.requests[0])),
        (None, Some(ErrorClass::HttpProtocol))
    );
}

#[test]
fn heads_without_end_end() {
    for (first, piece) in [
        ("HTTP/1.1 200 OK\r\nX-Long: ", &b"aaaaaaaa"[..]),
        ("HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        ("HTTP/1.1 200 ", b"O"),
        ("", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("", b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"),
        ("", b"\r\n"),
        ("", b"\0"),
    ] {
        let report = flooded(first, piece, 20_000);
        let hop = &report.requests[0];
        assert_eq!(
            (hop.status, class(hop)),
            (None, Some(ErrorClass::HttpProtocol)),
            "{first:?} {piece:?}: {hop:?}"
        );
    }
}

#[test]
fn chunks_that_make_no_sense_break_the_body_and_keep_what_came() {
    let page = "14\r\n<title>chunk</title>\r\n";
    for rest in [
        "zz\r\nabc",
        "\r\n",
        "-1\r\nabc",
        "fffffffffffffffff\r\nabc",
        "10000000000000000\r\nabc",
        "5\r\nabc",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "",
        "0\r\nTrailer: x",
    ] {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
        let report = fetch(format!("{head}{page}{rest}"));
        let hop = &report.requests[0];
        assert_eq!((hop.status, class(hop)), (Some(200), Some(ErrorClass::Body)), "{rest:?}: {hop:?}");
        assert!(report.content.as_ref().is_some_and(|content| content.truncated));
        assert_eq!(title(&report), Some("chunk"), "{rest:?}");
    }
}

#[test]
fn chunks_without_end_end() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n\
                        14\r\n<title>chunk</title>\r\n";
    const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n\
                        14\r\n<title>chunk</title>\r\n0\r\n";
    const EXTENSION: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n\
                             14\r\n<title>chunk</title>\r\n1;";
    for (first, piece) in
        [(EXTENSION, &b"a=b;"[..]), (LAST, b"T: x\r\n"), (HEAD, b"00000000"), (HEAD, b"1;a=b\r\nx\r\n")]
    {
        let report = flooded(first, piece, 3_000);
        let hop = &report.requests[0];
        assert_eq!((hop.status, title(&report)), (Some(200), Some("chunk")), "{piece:?}: {hop:?}");
        assert!(report.content.as_ref().is_some_and(|content| content.truncated), "{piece:?}: {hop:?}");
    }
}

#[test]
fn lengths_that_lie_are_told() {
    let html = "<title>x</title>";
    // What follows the announced length is nobody's.
    let report = fetch(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 16\r\n\r\n{html}<p>more"
    ));
    assert_eq!(
        (title(&report), report.requests[0].size, class(&report.requests[0])),
        (Some("x"), Some(16), None)
    );
    for (lines, expected) in [
        ("Content-Length: 1000\r\n", (Some(200), Some(ErrorClass::Body))),
        ("Content-Length: 16\r\nContent-Length: 17\r\n", (None, Some(ErrorClass::HttpProtocol))),
        ("Content-Length: -1\r\n", (None, Some(ErrorClass::HttpProtocol))),
        ("Content-Length: 99999999999999999999999\r\n", (None, Some(ErrorClass::HttpProtocol))),
        ("Content-Length: 16\r\nContent-Length: 16\r\n", (Some(200), None)),
    ] {
        let report = fetch(format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{lines}\r\n{html}"));
        let hop = &report.requests[0];
        assert_eq!((hop.status, class(hop)), expected, "{lines:?}: {hop:?}");
    }
    // Chunks win over a length (RFC 9112 section 6.3).
    let both = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n";
    let report =
        fetch(format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{both}\r\n10\r\n{html}\r\n0\r\n\r\n"));
    assert_eq!((title(&report), class(&report.requests[0])), (Some("x"), None), "{:?}", report.requests[0]);
}

#[test]
fn statuses_without_a_body_have_none_whatever_follows() {
    for status in ["204 No Content", "304 Not Modified"] {
        let report = fetch(response(status, "Content-Type: text/html\r\n", b"<title>hidden</title>"));
        let hop = &report.requests[0];
        assert_eq!((hop.size, class(hop), title(&report)), (Some(0), None, None), "{status}: {hop:?}");
    }
}

#[test]
fn a_body_of_hundreds_of_megabytes_stops_at_the_cap() {
    let report = flooded("HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n", &[b'x'; 1024], 60_000);
    let content = report.content.as_ref().expect("a body");
    assert_eq!((content.size, content.truncated, class(&report.requests[0])), (10 * 1024 * 1024, true, None));
}

#[test]
fn a_bomb_is_named_and_what_it_gave_is_kept() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(b"<title>bomb</title>").expect("writing to memory");
    encoder.write_all(&vec![b' '; 100_000_000]).expect("writing to memory");
    let packed = encoder.finish().expect("writing to memory");
    let rig = Rig::new();
    rig.says(
        "a.test:80",
        response("200 OK", "Content-Type: text/html\r\nContent-Encoding: gzip\r\n", &packed),
    );
    let report = rig.fetch("http://a.test/");
    assert_eq!((title(&report), class(&report.requests[0])), (Some("bomb"), Some(ErrorClass::Body)));
    assert!(message(&report).contains("decompression bomb"));
    assert!(report.content.as_ref().is_some_and(|content| content.truncated));
    assert!(report.usage.peak_memory_bytes.is_some_and(|peak| peak < 48 * 1024 * 1024));
}

#[test]
fn several_encoding_headers_are_one_list() {
    let html = b"<title>twice</title>";
    let pack = |data: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).expect("writing to memory");
        encoder.finish().expect("writing to memory")
    };
    let headers = "Content-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\n";
    let report = fetch(response("200 OK", headers, &pack(&pack(html))));
    assert_eq!((title(&report), class(&report.requests[0])), (Some("twice"), None));
}

#[test]
fn one_byte_at_a_time_lasts_until_the_deadline() {
    for (first, expected) in
        [("", None), ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>slow</title>", Some(200))]
    {
        let rig = Rig::new();
        rig.site("a.test:80", move |_, stream| {
            let _ = stream.write_all(first.as_bytes());
            let drip = if first.is_empty() { "HTTP/1.1 200 OK\r\nX-Slow: " } else { "" };
            let _ = stream.write_all(drip.as_bytes());
            // A byte, and then a wait for the visitor to leave.
            let wait = std::time::Duration::from_millis(100);
            stream.set_read_timeout(Some(wait)).expect("a socket");
            while stream.write_all(b"a").is_ok() && stream.read(&mut [0]).is_err() {}
        });
        let mut invocation = rig.invocation("http://a.test/");
        invocation.timeout_ms = 2_000;
        let report = run(&invocation);
        let hop = &report.requests[0];
        assert_eq!((hop.status, class(hop)), (expected, Some(ErrorClass::Timeout)), "{hop:?}");
    }
}
