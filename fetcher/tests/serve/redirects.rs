//! From page to page: by which means, how far, and what ends it.

use std::io::Write as _;

use safeurl_protocol::{ErrorClass, RedirectKind, Report};

use crate::rig::{Door, Rig, class, header, page, redirect, response, run, title};

fn urls(report: &Report) -> Vec<&str> {
    report.requests.iter().map(|hop| hop.url.as_str()).collect()
}

fn last_class(report: &Report) -> Option<ErrorClass> {
    report.requests.last().and_then(class)
}

#[test]
fn five_redirects_over_three_hosts_are_five_hops_and_a_page() {
    let rig = Rig::new();
    rig.site("a.test:80", |head, stream| {
        let to = if head.starts_with("GET /2 ") { "//b.test/3" } else { "/2" };
        let _ = stream.write_all(&redirect(to));
    });
    rig.site("b.test:80", |head, stream| {
        let to = if head.starts_with("GET /3 ") { "4?x#frag" } else { "http://c.test:8000/5" };
        let _ = stream.write_all(&redirect(to));
    });
    rig.site("c.test:8000", |head, stream| {
        let last = head.starts_with("GET /end ");
        let _ = stream.write_all(&if last {
            page("<title>end</title>")
        } else {
            redirect("http://u:p@c.test:8000/end")
        });
    });
    let report = rig.fetch("http://a.test/1");
    let expected = [
        "http://a.test/1",
        "http://a.test/2",
        "http://b.test/3",
        "http://b.test/4?x",
        "http://c.test:8000/5",
        "http://c.test:8000/end",
    ];
    assert_eq!(urls(&report), expected);
    assert!(report.requests.iter().all(|hop| hop.error.is_none()));
    let connections: Vec<_> = report.requests.iter().filter_map(|hop| hop.connection).collect();
    assert_eq!(connections, [1, 2, 3, 4, 5, 6]);
    let to = report.requests[2].redirect.as_ref().expect("a redirect");
    assert_eq!((to.kind, to.to.as_str()), (RedirectKind::Http, "http://b.test/4?x#frag"));
    assert_eq!((report.requests[0].size, title(&report)), (Some(5), Some("end")));
}

#[test]
fn a_refresh_header_and_a_meta_refresh_are_followed() {
    let rig = Rig::new();
    rig.says("a.test:80", response("200 OK", "Refresh: 0; url=http://b.test/\r\n", b"wait"));
    rig.says("b.test:80", page("<base href=//c.test/x/><meta http-equiv=refresh content='5;URL=\"next\"'>"));
    rig.says("c.test:80", page("<title>there</title>"));
    let report = rig.fetch("http://a.test/");
    assert_eq!(urls(&report), ["http://a.test/", "http://b.test/", "http://c.test/x/next"]);
    let kinds: Vec<_> = report.requests.iter().filter_map(|hop| Some(hop.redirect.as_ref()?.kind)).collect();
    assert_eq!(kinds, [RedirectKind::Header, RedirectKind::Meta]);
    assert_eq!(title(&report), Some("there"));
}

#[test]
fn a_page_that_renews_itself_or_waits_for_a_reader_is_the_last() {
    for refresh in ["5", "0;url=/", "30;url=http://b.test/"] {
        let rig = Rig::new();
        rig.says(
            "a.test:80",
            page(&format!("<meta http-equiv=refresh content='{refresh}'><title>stay</title>")),
        );
        let report = rig.fetch("http://a.test/");
        assert_eq!((report.requests.len(), last_class(&report), title(&report)), (1, None, Some("stay")));
    }
}

#[test]
fn a_loop_ends_where_it_closes() {
    let rig = Rig::new();
    rig.says("a.test:80", redirect("http://b.test/")).says("b.test:80", redirect("http://a.test/"));
    let report = rig.fetch("http://a.test/");
    assert_eq!(urls(&report), ["http://a.test/", "http://b.test/"]);
    assert_eq!(last_class(&report), Some(ErrorClass::RedirectLoop));
    assert!(report.content.is_some());
}

#[test]
fn one_redirect_more_than_allowed_is_not_followed() {
    let rig = Rig::new();
    rig.site("a.test:80", |head, stream| {
        let at: u32 = head
            .trim_start_matches("GET /")
            .chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .expect("a number");
        let _ = stream.write_all(&redirect(&format!("/{}", at + 1)));
    });
    for max in [0, 1, 10] {
        let mut invocation = rig.invocation("http://a.test/0");
        invocation.max_redirects = max;
        let report = run(&invocation);
        assert_eq!(
            (report.requests.len(), last_class(&report)),
            (max as usize + 1, Some(ErrorClass::TooManyRedirects))
        );
        assert!(report.requests[..max as usize].iter().all(|hop| hop.error.is_none()));
    }
}

#[test]
fn a_target_that_is_not_the_web_is_refused_and_the_hop_stands() {
    for (to, part) in
        [("ftp://b.test/x", "ftp"), ("javascript:alert(1)", "javascript"), ("http://[bad", "not a URL")]
    {
        let rig = Rig::new();
        let report = rig.says("a.test:80", redirect(to)).fetch("http://a.test/");
        let hop = &report.requests[0];
        assert_eq!(
            (report.requests.len(), hop.status, class(hop)),
            (1, Some(302), Some(ErrorClass::RedirectRefused))
        );
        assert!(hop.error.as_ref().is_some_and(|error| error.message.contains(part)), "{to}");
        assert_eq!(hop.redirect.as_ref().map(|redirect| redirect.to.as_str()), Some(to));
        assert_eq!(report.content.as_ref().map(|content| content.size), Some(5));
    }
}

#[test]
fn a_denied_redirect_is_a_hop_without_a_status_and_the_content_is_the_last_that_came() {
    let rig = Rig::new();
    rig.says(
        "a.test:80",
        response(
            "302 Found",
            "Location: http://169.254.169.254/latest\r\nContent-Type: text/html\r\n",
            b"<title>lure</title>",
        ),
    );
    let denied = "HTTP/1.1 403 Forbidden\r\nSafeurl-Rule: metadata\r\nSafeurl-Connection: {seq}\r\n\r\n";
    rig.door("169.254.169.254:80", Door::Say(denied.to_owned()));
    let report = rig.fetch("http://a.test/");
    assert_eq!(urls(&report), ["http://a.test/", "http://169.254.169.254/latest"]);
    let hop = &report.requests[1];
    assert_eq!((hop.status, class(hop), hop.connection), (None, Some(ErrorClass::EgressDenied), Some(2)));
    assert!(hop.error.as_ref().is_some_and(|error| error.message.contains("metadata")));
    assert_eq!(title(&report), Some("lure"));
}

#[test]
fn extra_headers_go_to_the_submitted_origin_and_nowhere_else() {
    let rig = Rig::new();
    let answer = |to: &'static str, secret: bool| {
        move |head: &str, stream: &mut std::net::TcpStream| {
            assert_eq!(head.contains("\r\nAuthorization: s3cret\r\n"), secret, "{head}");
            assert_eq!(head.contains("\r\nUser-Agent: mine\r\n"), secret, "{head}");
            assert_eq!(head.contains("\r\nUser-Agent: test agent\r\n"), !secret, "{head}");
            let _ = stream.write_all(&redirect(to));
        }
    };
    rig.site("a.test:80", answer("http://a.test:81/", true))
        .site("a.test:81", answer("http://b.test/", false));
    rig.site("b.test:80", answer("http://a.test/back", false));
    let mut invocation = rig.invocation("http://a.test/");
    invocation.headers = vec![header("authorization", "s3cret"), header("User-Agent", "mine")];
    let report = run(&invocation);
    // The way back to the first origin has them again; its fourth answer leads into the loop.
    assert_eq!(
        urls(&report),
        ["http://a.test/", "http://a.test:81/", "http://b.test/", "http://a.test/back"]
    );
    assert!(report.requests.iter().all(|hop| hop.status == Some(302)), "a site saw the wrong headers");
}

#[test]
fn the_body_of_a_redirect_is_read_only_a_little() {
    let rig = Rig::new();
    rig.site("a.test:80", |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://b.test/\r\n\r\n");
        while stream.write_all(&[b'x'; 8192]).is_ok() {}
    });
    rig.says("b.test:80", page("<title>there</title>"));
    let report = rig.fetch("http://a.test/");
    assert_eq!((report.requests[0].size, title(&report)), (Some(64 * 1024), Some("there")));
}

#[test]
fn a_later_hop_that_fails_is_evidence_and_the_content_is_the_last_that_came() {
    let rig = Rig::new();
    rig.site("a.test:80", |head, stream| {
        let to = head.trim_start_matches("GET /").split(' ').next().unwrap_or_default();
        let _ = stream.write_all(&redirect(&format!("http://{to}.test/")));
    });
    rig.says("garbage.test:80", "what?\r\n\r\n").door("silent.test:80", Door::Silence);
    let refused = "HTTP/1.1 502 x\r\nSafeurl-Error: connect\r\nSafeurl-Connection: {seq}\r\n\r\n";
    rig.door("refused.test:80", Door::Say(refused.to_owned()));
    for (name, expected) in [
        ("garbage", ErrorClass::HttpProtocol),
        ("silent", ErrorClass::Timeout),
        ("refused", ErrorClass::Connect),
    ] {
        let mut invocation = rig.invocation(&format!("http://a.test/{name}"));
        invocation.timeout_ms = 4_000;
        let report = run(&invocation);
        assert_eq!((report.requests[0].status, class(&report.requests[0])), (Some(302), None));
        assert_eq!((report.requests[1].status, last_class(&report)), (None, Some(expected)));
        assert_eq!(report.content.as_ref().map(|content| content.size), Some(5));
    }
}

#[test]
fn extra_headers_are_not_sent_in_clear_text_when_https_was_meant_first() {
    let rig = Rig::new();
    let refused = "HTTP/1.1 502 x\r\nSafeurl-Error: connect\r\nSafeurl-Connection: {seq}\r\n\r\n";
    rig.door("a.test:443", Door::Say(refused.to_owned()));
    rig.site("a.test:80", |head: &str, stream: &mut std::net::TcpStream| {
        assert!(!head.contains("s3cret"), "{head}");
        let _ = stream.write_all(&page("<title>plain</title>"));
    });
    let mut invocation = rig.invocation("https://a.test/");
    invocation.fallback_url = Some("http://a.test/".to_owned());
    invocation.headers = vec![header("authorization", "s3cret")];
    let report = run(&invocation);
    assert_eq!(title(&report), Some("plain"), "the site saw the header");
}

#[test]
fn a_host_that_is_longer_than_any_name_is_a_redirect_that_is_refused_and_nobody_is_asked_for_it() {
    let rig = Rig::new();
    // 253 bytes are the longest name there is (RFC 1035 section 2.3.4).
    let longest = format!("{}test", "longest.name.".repeat(19)) + "ed";
    assert_eq!(longest.len(), 253);
    rig.says(&format!("{longest}:80"), page("<title>far</title>"));
    for (host, hops) in [(longest.clone(), 2), (format!("x{longest}"), 1), (format!("x{longest}."), 1)] {
        let to = format!("http://{host}/");
        rig.says("by-status.test:80", redirect(&to));
        rig.says("by-page.test:80", page(&format!("<meta http-equiv=refresh content='0;url={to}'>")));
        for start in ["http://by-status.test/", "http://by-page.test/"] {
            let report = rig.fetch(start);
            assert_eq!(report.requests.len(), hops, "{start} to {} bytes", host.len());
            assert_eq!(report.requests[0].redirect.as_ref().map(|redirect| redirect.to.as_str()), Some(&*to));
            let refused = (hops == 1).then_some(ErrorClass::RedirectRefused);
            assert_eq!(last_class(&report), refused, "{start} to {} bytes", host.len());
        }
    }
}
