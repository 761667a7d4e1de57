//! How the first hop can end, with and without a response head.

use std::io::Write as _;
use std::net::TcpStream;

use safeurl_protocol::{Egress, ErrorClass, Report};

use crate::rig::{Door, Rig, class, page, response, run, title};

/// Writes until the other side is gone.
fn write_forever(stream: &mut TcpStream, piece: &[u8]) {
    while stream.write_all(piece).is_ok() {}
}

/// Keeps the connection open and silent until the other side closes it.
fn hold(stream: &mut TcpStream) {
    let _ = std::io::copy(stream, &mut std::io::sink());
}

fn nothing_arrived(report: &Report) -> Option<ErrorClass> {
    assert_eq!(report.requests.len(), 1);
    assert_eq!((report.requests[0].status, &report.content, &report.features), (None, &None, &None));
    class(&report.requests[0])
}

#[test]
fn a_page_is_reported_with_its_exchange() {
    let rig = Rig::new();
    rig.site("a.test:8081", |head, stream| {
        if head.starts_with("GET /favicon.ico ") {
            return;
        }
        assert!(head.starts_with("GET /x?y=1 HTTP/1.1\r\nHost: a.test:8081\r\n"), "{head}");
        let headers = "Content-Type: Text/HTML\r\nX-ODD: 1\r\nset-cookie: a=b\r\nset-cookie: c=d\r\n";
        let _ = stream.write_all(&response("200 Fine", headers, b"<title>hello</title>"));
    });
    let report = rig.fetch("http://u:p@a.test:8081/x?y=1#z");
    let exchange = &report.requests[0];
    assert_eq!(exchange.url, "http://a.test:8081/x?y=1");
    assert_eq!((exchange.status, exchange.status_text.as_deref()), (Some(200), Some("Fine")));
    assert_eq!(exchange.protocol.as_deref(), Some("http/1.1"));
    assert_eq!(exchange.mime_type.as_deref(), Some("text/html"));
    assert_eq!((exchange.size, exchange.encoded_size, exchange.connection), (Some(20), Some(20), Some(1)));
    let names: Vec<_> = exchange.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, ["Content-Type", "X-ODD", "set-cookie", "set-cookie", "Content-Length"]);
    assert!(exchange.timings.first_byte_ms <= Some(exchange.timings.total_ms));
    assert_eq!((&exchange.error, &exchange.redirect, &exchange.tls), (&None, &None, &None));
    assert_eq!(title(&report), Some("hello"));
    let content = report.content.as_ref().expect("a body");
    assert_eq!((content.size, content.truncated, content.attachment), (20, false, false));
    assert_eq!(Some(&content.sha256), exchange.sha256.as_ref());
}

#[test]
fn each_refusal_of_the_gateway_is_the_class_of_the_first_hop() {
    for (answer, expected) in [
        ("403 Forbidden\r\nSafeurl-Rule: private", ErrorClass::EgressDenied),
        ("502 Bad Gateway\r\nSafeurl-Error: dns", ErrorClass::Dns),
        ("502 Bad Gateway\r\nSafeurl-Error: dns_unavailable", ErrorClass::DnsUnavailable),
        ("502 Bad Gateway\r\nSafeurl-Error: connect", ErrorClass::Connect),
        ("504 Gateway Timeout\r\nSafeurl-Error: connect", ErrorClass::Connect),
        ("429 Too Many Requests\r\nSafeurl-Rule: connections", ErrorClass::Budget),
    ] {
        let rig = Rig::new();
        let text = format!("HTTP/1.1 {answer}\r\nSafeurl-Connection: {{seq}}\r\n\r\nin a word");
        let report = rig.door("a.test:80", Door::Say(text)).fetch("http://a.test/");
        assert_eq!(nothing_arrived(&report), Some(expected));
        assert_eq!(report.requests[0].connection, Some(1));
        let message = report.requests[0].error.as_ref().map_or("", |error| error.message.as_str());
        // A rule or a budget is named once; of all else the gateway's own word is kept.
        let named = ["private", "connections"].iter().any(|rule| message.matches(rule).count() == 1);
        assert_eq!(message.contains("in a word"), !named, "{message}");
    }
}

#[test]
fn a_gateway_that_is_gone_or_closes_is_no_connection() {
    let rig = Rig::new();
    rig.door("a.test:80", Door::Close);
    assert_eq!(nothing_arrived(&rig.fetch("http://a.test/")), Some(ErrorClass::Connect));
    let mut invocation = rig.invocation("http://a.test/");
    invocation.egress = Egress::Gateway { socket: "/nowhere/gw.sock".to_owned() };
    assert_eq!(nothing_arrived(&run(&invocation)), Some(ErrorClass::Connect));
}

#[test]
fn an_address_is_asked_for_as_the_url_has_it() {
    let rig = Rig::new();
    rig.says("[::1]:80", page("<title>six</title>")).says("127.0.0.1:81", page("<title>four</title>"));
    assert_eq!(title(&rig.fetch("http://[::1]/")), Some("six"));
    assert_eq!(title(&rig.fetch("http://0x7f.1:81/")), Some("four"));
}

#[test]
fn what_is_not_http_is_named_so() {
    for said in [
        &b"SSH-2.0-OpenSSH\r\n"[..],
        b"",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nHalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"no head: <title>x</title>",
    ] {
        let rig = Rig::new();
        let report = rig.says("a.test:80", said).fetch("http://a.test/");
        assert_eq!(
            nothing_arrived(&report),
            Some(ErrorClass::HttpProtocol),
            "{}",
            String::from_utf8_lossy(said)
        );
    }
}

#[test]
fn a_head_without_end_is_cut_off() {
    let rig = Rig::new();
    rig.site("a.test:80", |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        write_forever(stream, b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
    });
    assert_eq!(nothing_arrived(&rig.fetch("http://a.test/")), Some(ErrorClass::HttpProtocol));
}

#[test]
fn no_answer_until_the_deadline_is_a_timeout() {
    let rig = Rig::new();
    rig.site("site.test:80", |_, stream| hold(stream)).door("gate.test:80", Door::Silence);
    rig.site("site.test:443", |_, stream| hold(stream));
    for url in ["http://site.test/", "http://gate.test/", "https://site.test/"] {
        let mut invocation = rig.invocation(url);
        invocation.timeout_ms = 2_000;
        assert_eq!(nothing_arrived(&run(&invocation)), Some(ErrorClass::Timeout), "{url}");
    }
}

#[test]
fn a_page_that_never_ends_is_kept_up_to_the_cap() {
    let rig = Rig::new();
    rig.site("a.test:80", |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>endless</title>");
        write_forever(stream, &[b'x'; 8192]);
    });
    let mut invocation = rig.invocation("http://a.test/");
    invocation.body_cap = 100_000;
    let report = run(&invocation);
    let content = report.content.as_ref().expect("a body");
    assert_eq!((content.size, content.truncated, class(&report.requests[0])), (100_000, true, None));
    assert_eq!(title(&report), Some("endless"));
}

#[test]
fn a_page_that_stops_in_the_middle_is_kept_up_to_the_deadline() {
    let rig = Rig::new();
    rig.site("a.test:80", |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>slow</title>");
        hold(stream);
    });
    let mut invocation = rig.invocation("http://a.test/");
    invocation.timeout_ms = 4_000;
    let report = run(&invocation);
    assert_eq!(
        (report.requests[0].status, class(&report.requests[0])),
        (Some(200), Some(ErrorClass::Timeout))
    );
    assert!(report.content.as_ref().is_some_and(|content| content.truncated));
    assert_eq!(title(&report), Some("slow"));
}

#[test]
fn a_body_shorter_than_announced_is_kept_and_named_broken() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n14\r\n<title>short</title>\r\n";
    for rest in [
        "Content-Length: 1000\r\n\r\n<title>short</title>".to_owned(),
        format!("{chunked}ff\r\nabc"),
        format!("{chunked}nonsense\r\n"),
    ] {
        let rig = Rig::new();
        rig.says("a.test:80", format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{rest}"));
        let report = rig.fetch("http://a.test/");
        assert_eq!(
            (report.requests[0].status, class(&report.requests[0])),
            (Some(200), Some(ErrorClass::Body))
        );
        assert!(report.content.as_ref().is_some_and(|content| content.truncated), "{rest}");
        assert_eq!(title(&report), Some("short"));
    }
}

#[test]
fn a_target_that_is_no_web_address_is_reported_as_such() {
    let rig = Rig::new();
    for url in ["nonsense", "ftp://a.test/", "http://", "javascript:alert(1)"] {
        let report = rig.fetch(url);
        assert_eq!(nothing_arrived(&report), Some(ErrorClass::InvalidTarget), "{url}");
        assert_eq!(report.requests[0].url, url);
    }
}

#[test]
fn the_fallback_is_tried_when_nothing_answered_and_both_tries_are_listed() {
    let rig = Rig::new();
    let refused = "HTTP/1.1 502 x\r\nSafeurl-Error: connect\r\nSafeurl-Connection: {seq}\r\n\r\n";
    rig.door("a.test:443", Door::Say(refused.to_owned())).says("a.test:80", page("<title>plain</title>"));
    let mut invocation = rig.invocation("https://a.test/");
    invocation.fallback_url = Some("http://a.test/".to_owned());
    let report = run(&invocation);
    let seen: Vec<_> = report.requests.iter().map(|hop| (hop.url.as_str(), hop.status, class(hop))).collect();
    let failed = ("https://a.test/", None, Some(ErrorClass::Connect));
    assert_eq!(seen, [failed, ("http://a.test/", Some(200), None)]);
    assert_eq!(title(&report), Some("plain"));
}

#[test]
fn the_fallback_has_time_left_when_the_first_try_hangs() {
    let rig = Rig::new();
    rig.door("a.test:443", Door::Silence).says("a.test:80", page("<title>plain</title>"));
    let mut invocation = rig.invocation("https://a.test/");
    invocation.fallback_url = Some("http://a.test/".to_owned());
    invocation.timeout_ms = 7_000;
    let report = run(&invocation);
    assert_eq!((class(&report.requests[0]), title(&report)), (Some(ErrorClass::Timeout), Some("plain")));
}

#[test]
fn an_answer_of_any_status_is_an_answer_and_keeps_the_fallback_away() {
    let rig = Rig::new();
    rig.says("a.test:80", response("503 Busy", "Content-Type: text/html\r\n", b"<title>busy</title>"));
    let mut invocation = rig.invocation("http://a.test/");
    invocation.fallback_url = Some("http://b.test/".to_owned());
    let report = run(&invocation);
    assert_eq!(
        (report.requests.len(), report.requests[0].status, title(&report)),
        (1, Some(503), Some("busy"))
    );
}
