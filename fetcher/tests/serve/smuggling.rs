//! Answers in which two readers would see different pages, protocols that are changed halfway, and credentials that
//! a site wants to be sent elsewhere.

use std::io::Write as _;

use safeurl_protocol::ErrorClass;

use crate::rig::{Rig, class, page, response, run, title};

#[test]
fn an_answer_that_can_be_read_in_two_ways_is_read_in_one_or_refused() {
    const REFUSED: Option<u64> = None;
    let chunked = "10\r\n<title>x</title>\r\n0\r\n\r\n";
    let plain = "<title>x</title>";
    for (version, lines, body, size) in [
        ("1.1", "X-A: a\rX-B: b\r\n", plain, REFUSED),
        ("1.0", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", chunked, REFUSED),
        ("1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked, Some(16)),
        ("1.1", "Transfer-Encoding:\r\n chunked\r\n", chunked, Some(16)),
        ("1.1", "Transfer-Encoding : chunked\r\n", chunked, Some(16)),
        ("1.1", "Transfer-Encoding: gzip, chunked\r\n", chunked, Some(16)),
        // Chunks are the last coding or none.
        ("1.1", "Transfer-Encoding: chunked, identity\r\n", chunked, Some(27)),
        ("1.1", "Transfer-Encoding: xchunked\r\n", chunked, Some(27)),
        ("1.1", "Transfer-Encoding:\x0bchunked\r\n", chunked, Some(27)),
        ("1.1", "Content-Length: 16, 16\r\n", plain, Some(16)),
        ("1.1", "Content-Length: 16, 17\r\n", plain, REFUSED),
        ("1.1", "Content-Length: +16\r\n", plain, REFUSED),
        ("1.1", "Content-Length: 0x10\r\n", plain, REFUSED),
        ("1.1", "Content-Length: 1 6\r\n", plain, REFUSED),
        ("1.1", "Content-Length:\r\n", plain, REFUSED),
    ] {
        let rig = Rig::new();
        rig.says(
            "a.test:80",
            format!("HTTP/{version} 200 OK\r\nContent-Type: text/html\r\n{lines}\r\n{body}"),
        );
        let report = rig.fetch("http://a.test/");
        let hop = &report.requests[0];
        let expected = match size {
            REFUSED => (None, Some(ErrorClass::HttpProtocol), None),
            Some(_) => (Some(200), None, Some("x")),
        };
        assert_eq!((hop.status, class(hop), title(&report)), expected, "{lines:?}: {hop:?}");
        assert_eq!(hop.size, size, "{lines:?}");
    }
}

#[test]
fn a_second_answer_in_the_same_packet_and_one_before_its_time_lead_nowhere() {
    let html = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 16\r\n\r\n<title>x</title>";
    let away = "Location: http://evil.test/\r\nRefresh: 0;url=http://evil.test/\r\nSet-Cookie: a=b\r\n";
    for said in [
        format!("{html}HTTP/1.1 302 Found\r\n{away}Content-Length: 0\r\n\r\n"),
        format!("HTTP/1.1 103 Early Hints\r\n{away}\r\n{html}"),
        format!("HTTP/1.1 100 Continue\r\n{away}Content-Length: 16\r\n\r\n{html}"),
    ] {
        let rig = Rig::new();
        rig.says("a.test:80", said).says("evil.test:80", page("<title>evil</title>"));
        let report = rig.fetch("http://a.test/");
        let hop = &report.requests[0];
        let seen = (report.requests.len(), title(&report), class(hop), hop.headers.len());
        assert_eq!(seen, (1, Some("x"), None, 2), "{hop:?}");
    }
}

#[test]
fn a_change_of_protocol_that_nobody_asked_for_is_an_answer_without_a_body() {
    for (to, rest) in [("websocket", "HTTP/1.1 200 OK\r\n\r\nx"), ("h2c", "<title>x</title>")] {
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nContent-Type: text/html\r\n";
        let rig = Rig::new();
        rig.says("a.test:80", format!("{head}Upgrade: {to}\r\n\r\n{rest}"));
        let report = rig.fetch("http://a.test/");
        let hop = &report.requests[0];
        let seen = (report.requests.len(), hop.status, hop.size, class(hop));
        assert_eq!(seen, (1, Some(101), Some(0), None), "{hop:?}");
    }
}

#[test]
fn credentials_in_an_address_are_sent_to_nobody_whichever_way_it_is_given() {
    let to = "http://admin:s3cret@b.test/in";
    for answer in [
        response("302 Found", &format!("Location: {to}\r\n"), b""),
        response("307 Temporary Redirect", "Location: //admin:s3cret@b.test/in\r\n", b""),
        response("200 OK", &format!("Refresh: 0; url={to}\r\n"), b"wait"),
        page(&format!("<meta http-equiv=refresh content='0;url={to}'>")),
        page("<base href='http://admin:s3cret@b.test/'><meta http-equiv=refresh content='0;url=in'>"),
    ] {
        let rig = Rig::new();
        rig.says("a.test:80", answer);
        rig.site("b.test:80", |head, stream| {
            // "admin:s3cret" in base64, as it would be sent.
            let told = ["s3cret", "admin", "Authorization", "YWRtaW46czNjcmV0", "@"];
            let kept = told.iter().all(|secret| !head.contains(secret));
            let _ = stream.write_all(&page(if kept { "<title>kept</title>" } else { "<title>told</title>" }));
        });
        let report = rig.fetch("http://a.test/");
        assert_eq!((title(&report), report.requests[1].url.as_str()), (Some("kept"), "http://b.test/in"));
    }
}

#[test]
fn a_long_chain_of_large_heads_fits_the_report() {
    let rig = Rig::new();
    rig.site("a.test:80", |head, stream| {
        let at: u32 =
            head.trim_start_matches("GET /").split(' ').next().unwrap_or_default().parse().unwrap_or(0);
        let filler = format!("X-Filler: {}\r\n", "a".repeat(250_000));
        let _ = stream.write_all(&response("302 Found", &format!("Location: /{}\r\n{filler}", at + 1), b""));
    });
    let mut invocation = rig.invocation("http://a.test/0");
    invocation.max_redirects = 50;
    let report = run(&invocation);
    let last = report.requests.last().expect("a hop");
    assert_eq!((report.requests.len(), class(last)), (51, Some(ErrorClass::TooManyRedirects)));
    let reached = |n: usize| report.requests[n].redirect.as_ref().map(|redirect| redirect.to.as_str());
    assert_eq!((reached(0), reached(50)), (Some("http://a.test/1"), Some("http://a.test/51")));
    assert!(report.usage.peak_memory_bytes.is_some_and(|peak| peak < 96 * 1024 * 1024), "{:?}", report.usage);
}
