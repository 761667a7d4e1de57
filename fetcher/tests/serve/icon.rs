//! The icon of a page.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use safeurl_protocol::{ErrorClass, Favicon, Purpose, Report};

use crate::rig::{Door, Rig, class, page, redirect, response, run, title};

/// SHA-256 and hash of `icon`: sha256sum; python's mmh3.hash(base64.encodebytes(b"icon")).
const SHA256: &str = "c2d4b446a44ce54fab8e01150e24dd24f3d850c7c14dcfe31f6321341dd86874";
const MMH3: i32 = 1_355_950_459;

fn icon() -> Vec<u8> {
    response("200 OK", "Content-Type: image/png\r\n", b"icon")
}

/// A site with this page and these answers by path; the rest is a soft 404.
fn site(rig: &Rig, authority: &str, html: &str, answers: &[(&'static str, Vec<u8>)]) {
    let (html, answers) = (page(html), answers.to_vec());
    rig.site(authority, move |head, stream| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let answer = answers.iter().find(|(known, _)| *known == path).map(|(_, answer)| answer);
        let _ = stream.write_all(answer.unwrap_or(&html));
    });
}

fn found(report: &Report) -> Option<&Favicon> {
    report.features.as_ref().expect("a page").favicon.as_ref()
}

fn is_the_icon(favicon: Option<&Favicon>, url: &str) {
    let expected = Favicon { url: url.to_owned(), sha256: SHA256.to_owned(), mmh3: MMH3 };
    assert_eq!(favicon, Some(&expected));
}

#[test]
fn the_icon_a_page_names_is_fetched_else_the_one_at_the_usual_place() {
    let rig = Rig::new();
    let html = "<base href=/d/><link rel=apple-touch-icon href=no><link rel='shortcut ICON' href='i.png'>\
                <link rel=icon href=second>";
    site(&rig, "a.test:80", html, &[("/d/i.png", icon())]);
    site(&rig, "b.test:8000", "<title>x</title>", &[("/favicon.ico", icon())]);
    let report = rig.fetch("http://a.test/");
    is_the_icon(found(&report), "http://a.test/d/i.png");
    let side = &report.side[0];
    assert_eq!((report.side.len(), side.purpose, side.before), (1, Purpose::Favicon, 1));
    assert_eq!((side.exchange.status, side.exchange.connection), (Some(200), Some(2)));
    is_the_icon(found(&rig.fetch("http://b.test:8000/x/y")), "http://b.test:8000/favicon.ico");
}

#[test]
fn an_icon_inside_its_address_costs_no_request() {
    let rig = Rig::new();
    site(&rig, "a.test:80", "<link rel=icon href='data:image/png;base64,aWNvbg=='>", &[]);
    let report = rig.fetch("http://a.test/");
    is_the_icon(found(&report), "data:image/png;base64,aWNvbg==");
    assert!(report.side.is_empty());
}

#[test]
fn three_redirects_lead_to_an_icon_and_four_to_none() {
    for (first, expected) in [("/2", true), ("/1", false)] {
        let rig = Rig::new();
        let answers = [("/1", redirect("/2")), ("/2", redirect("/3")), ("/3", redirect("//cdn.test/4"))];
        site(&rig, "a.test:80", &format!("<link rel=icon href={first}>"), &answers);
        site(&rig, "cdn.test:80", "", &[("/4", redirect("/5")), ("/5", icon())]);
        let report = rig.fetch("http://a.test/");
        assert_eq!((found(&report).is_some(), report.side.len()), (expected, 4));
    }
}

#[test]
fn what_is_no_icon_leaves_the_page_as_it_is() {
    let large = response("200 OK", "Content-Type: image/png\r\n", &[b'x'; 256 * 1024 + 1]);
    let cut = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\nicon".to_vec();
    let disguised = response("200 OK", "Content-Type: application/octet-stream\r\n", b"<!doctype html><p>");
    for answer in [
        page("a soft 404"),
        response("404 Not Found", "Content-Type: image/png\r\n", b"icon"),
        response("200 OK", "Content-Type: image/png\r\n", b""),
        b"what?\r\n\r\n".to_vec(),
        large,
        cut,
        disguised,
    ] {
        let rig = Rig::new();
        site(&rig, "a.test:80", "<title>x</title>", &[("/favicon.ico", answer)]);
        let report = rig.fetch("http://a.test/");
        assert_eq!((found(&report), title(&report), report.side.len()), (None, Some("x"), 1));
        assert_eq!((report.requests.len(), class(&report.requests[0])), (1, None));
    }
}

#[test]
fn a_silent_or_denied_icon_does_not_keep_the_page() {
    let rig = Rig::new();
    site(&rig, "a.test:80", "<link rel=icon href=http://silent.test/>", &[]);
    site(&rig, "b.test:80", "<link rel=icon href=http://denied.test/>", &[]);
    site(&rig, "c.test:80", "<link rel=icon href=ftp://c.test/>", &[]);
    let denied = "HTTP/1.1 403 x\r\nSafeurl-Rule: private\r\nSafeurl-Connection: {seq}\r\n\r\n";
    rig.door("silent.test:80", Door::Silence).door("denied.test:80", Door::Say(denied.to_owned()));
    for (url, expected) in [
        ("http://a.test/", vec![Some(ErrorClass::Timeout)]),
        ("http://b.test/", vec![Some(ErrorClass::EgressDenied)]),
        ("http://c.test/", vec![]),
    ] {
        let report = rig.fetch(url);
        let classes: Vec<_> = report.side.iter().map(|side| class(&side.exchange)).collect();
        assert_eq!((found(&report), classes, class(&report.requests[0])), (None, expected, None));
    }
}

#[test]
fn only_a_page_that_was_served_has_an_icon() {
    let rig = Rig::new();
    rig.says("a.test:80", response("404 Not Found", "Content-Type: text/html\r\n", b"<title>no</title>"));
    rig.says("b.test:80", response("200 OK", "Content-Type: image/png\r\n", b"x"));
    for url in ["http://a.test/", "http://b.test/"] {
        assert!(rig.fetch(url).side.is_empty(), "{url}");
    }
}

#[test]
fn an_icon_gets_the_cookies_and_the_page_that_a_browser_would_send() {
    let rig = Rig::new();
    let icon_of = |lines: &'static [&'static str], never: &'static str| {
        move |head: &str, stream: &mut TcpStream| {
            let good = lines.iter().all(|line| head.contains(&format!("\r\n{line}\r\n")));
            let good = good && !head.contains(never) && !head.contains("Upgrade-Insecure-Requests");
            let _ = stream.write_all(&if good { icon() } else { page(head) });
        }
    };
    let near = icon_of(
        &["Cookie: a=1; b=2", "Referer: http://127.0.0.1/x", "Sec-Fetch-Dest: image", "Priority: u=6"],
        "User: ?1",
    );
    rig.site("127.0.0.1:80", move |head, stream| {
        if head.starts_with("GET /x ") {
            let headers = "Content-Type: text/html\r\nSet-Cookie: a=1; Path=/\r\n";
            let _ = stream.write_all(&response("200 OK", headers, b"<link rel=icon href=/to>"));
        } else if head.starts_with("GET /to ") {
            let _ = stream.write_all(&response("302 x", "Location: /i\r\nSet-Cookie: b=2; Path=/\r\n", b""));
        } else {
            near(head, stream);
        }
    });
    is_the_icon(found(&rig.fetch("http://127.0.0.1/x")), "http://127.0.0.1/i");
    let far = icon_of(&["Sec-Fetch-Site: cross-site", "Referer: http://a.test/"], "Cookie");
    rig.site("127.0.0.1:81", far);
    let headers = "Content-Type: text/html\r\nSet-Cookie: a=1; Path=/\r\n";
    rig.says("a.test:80", response("200 OK", headers, b"<link rel=icon href=http://127.0.0.1:81/i>"));
    is_the_icon(found(&rig.fetch("http://a.test/x")), "http://127.0.0.1:81/i");
}

#[test]
fn extra_headers_do_not_follow_an_icon_to_another_host() {
    let rig = Rig::new();
    site(&rig, "a.test:80", "<link rel=icon href=http://b.test/>", &[]);
    rig.site("b.test:80", |head, stream| {
        let _ = stream.write_all(&if head.contains("s3cret") { page("") } else { icon() });
    });
    let mut invocation = rig.invocation("http://a.test/");
    invocation.headers = vec![crate::rig::header("authorization", "s3cret")];
    is_the_icon(found(&run(&invocation)), "http://b.test/");
}

#[test]
fn cookies_go_to_an_icon_of_the_same_site_and_to_no_other() {
    let rig = Rig::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    for (authority, to, html) in [
        ("b.test:80", Some("http://a.test/"), ""),
        ("a.test:80", Some("http://x.a.test/"), ""),
        ("x.a.test:80", None, "<link rel=icon href=http://a.test/icon>"),
        ("c.test:80", Some("http://d.test/"), ""),
        ("d.test:80", None, "<link rel=icon href=http://c.test/icon>"),
    ] {
        let asked = Arc::clone(&asked);
        let set = "Content-Type: text/html\r\nSet-Cookie: a=1\r\n";
        rig.site(authority, move |head, stream| {
            let answer = match to {
                _ if head.starts_with("GET /icon ") => {
                    asked.lock().expect("no test panics with it").push(head.contains("\r\nCookie: a=1\r\n"));
                    icon()
                }
                Some(to) => response("302 Found", &format!("{set}Location: {to}\r\n"), b""),
                None => response("200 OK", set, html.as_bytes()),
            };
            let _ = stream.write_all(&answer);
        });
    }
    is_the_icon(found(&rig.fetch("http://b.test/")), "http://a.test/icon");
    is_the_icon(found(&rig.fetch("http://c.test/")), "http://c.test/icon");
    assert_eq!(*asked.lock().expect("no test panics with it"), [true, false]);
}
