//! What one visit sends from page to page: the headers of a browser, cookies, and the page it comes from.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use safeurl_protocol::{ErrorClass, RedirectKind};

use crate::rig::{Rig, class, header, page, redirect, response, run, title};

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Heads of requests, in order, those for icons left out.
#[derive(Clone, Default)]
struct Heads(Arc<Mutex<Vec<String>>>);

impl Heads {
    fn note(&self, head: &str) {
        if !head.starts_with("GET /favicon.ico ") {
            self.0.lock().expect("no test panics with it").push(head.to_owned());
        }
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("no test panics with it").clone()
    }

    /// One header of each request.
    fn values(&self, name: &str) -> Vec<Option<String>> {
        let of = |head: &String| {
            let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))?;
            Some(line.to_owned())
        };
        self.all().iter().map(of).collect()
    }
}

/// A site that notes what it is asked and answers by path.
fn noted(
    rig: &Rig,
    heads: &Heads,
    authority: &str,
    answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
) {
    let heads = heads.clone();
    rig.site(authority, move |head, stream| {
        heads.note(head);
        let path = head.split(' ').nth(1).unwrap_or_default();
        let _ = stream.write_all(&answer(path));
    });
}

#[test]
fn a_request_is_that_of_firefox_byte_for_byte() {
    let (rig, heads) = (Rig::new(), Heads::default());
    noted(&rig, &heads, "a.test:80", |_| redirect("http://127.0.0.1:8080/b"));
    noted(&rig, &heads, "127.0.0.1:8080", |path| match path {
        "/b" => response("200 OK", "Set-Cookie: c=1\r\nRefresh: 0;url=/c?d\r\n", b"wait"),
        _ => page("<title>there</title>"),
    });
    let mut invocation = rig.invocation("http://a.test/?q");
    invocation.user_agent = FIREFOX.to_owned();
    assert_eq!(title(&run(&invocation)), Some("there"));
    let first = format!(
        "GET /?q HTTP/1.1\r\nHost: a.test\r\nUser-Agent: {FIREFOX}\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\
         Upgrade-Insecure-Requests: 1\r\nPriority: u=0, i\r\n\r\n"
    );
    let trusted = |path: &str, between: &str, site: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: {FIREFOX}\r\n\
             Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
             Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
             Connection: keep-alive\r\n{between}Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n\
             Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: {site}\r\nPriority: u=0, i\r\n\r\n"
        )
    };
    let second = trusted("/b", "", "none\r\nSec-Fetch-User: ?1");
    let third = trusted("/c?d", "Referer: http://127.0.0.1:8080/b\r\nCookie: c=1\r\n", "same-origin");
    assert_eq!(heads.all(), [first, second, third]);
}

#[test]
fn extra_headers_stand_where_those_they_replace_stood() {
    let (rig, heads) = (Rig::new(), Heads::default());
    noted(&rig, &heads, "a.test:80", |path| match path {
        "/" => response("302 Found", "Location: /x\r\nSet-Cookie: site=1\r\n", b""),
        _ => page(""),
    });
    let mut invocation = rig.invocation("http://a.test/");
    invocation.headers = vec![
        header("X-Last", "1"),
        header("accept-language", "de"),
        header("Cookie", "mine=2"),
        header("priority", "u=1"),
    ];
    run(&invocation);
    let names = |head: &String| -> Vec<String> {
        head.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0.to_owned())).collect()
    };
    let expected = |cookie: &[&'static str], last: &[&'static str]| {
        let before = ["Host", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "Connection"];
        [&before[..], cookie, &["Upgrade-Insecure-Requests", "Priority"], last].concat()
    };
    let heads_seen = heads.all();
    assert_eq!(names(&heads_seen[0]), expected(&[], &["X-Last", "Cookie"]));
    assert_eq!(names(&heads_seen[1]), expected(&["Cookie"], &["X-Last"]));
    assert_eq!(heads.values("Accept-Language"), vec![Some("de".to_owned()); 2]);
    assert_eq!(heads.values("Cookie"), [Some("mine=2".to_owned()), Some("mine=2; site=1".to_owned())]);
}

#[test]
fn a_site_that_sets_a_cookie_and_leads_back_to_itself_shows_its_page() {
    let rig = Rig::new();
    rig.site("a.test:80", |head, stream| {
        let _ = stream.write_all(&if head.contains("\r\nCookie: seen=1\r\n") {
            page("<title>behind</title>")
        } else {
            response(
                "302 Found",
                "Location: /\r\nset-cookie: seen=1; path=/; HttpOnly; SameSite=Strict\r\n",
                b"",
            )
        });
    });
    let report = rig.fetch("http://a.test/");
    let urls: Vec<_> = report.requests.iter().map(|hop| hop.url.as_str()).collect();
    assert_eq!((title(&report), urls), (Some("behind"), vec!["http://a.test/"; 2]));
    assert!(report.requests.iter().all(|hop| hop.error.is_none()));
}

#[test]
fn a_page_that_sets_a_cookie_and_renews_itself_is_asked_again_once() {
    for (refresh, again) in [
        ("<meta http-equiv=refresh content=3>", true),
        ("<meta http-equiv=refresh content='0;url=/'>", true),
        ("<meta http-equiv=refresh content='0;url=#top'>", false),
        ("<meta http-equiv=refresh content=60>", false),
        ("", false),
    ] {
        let rig = Rig::new();
        let count = Mutex::new(0);
        rig.site("a.test:80", move |head, stream| {
            if head.starts_with("GET /favicon.ico ") {
                return;
            }
            let mut count = count.lock().expect("no test panics with it");
            *count += 1;
            // Another cookie every time: without a bound this never ends.
            let headers = format!("Content-Type: text/html\r\nSet-Cookie: seen={count}\r\n");
            let html = format!("<title>{count}</title>{refresh}");
            let _ = stream.write_all(&response("200 OK", &headers, html.as_bytes()));
        });
        let report = rig.fetch("http://a.test/");
        let hops = if again { 2 } else { 1 };
        assert_eq!(report.requests.len(), hops, "{refresh}");
        assert_eq!(title(&report), Some(hops.to_string().as_str()), "{refresh}");
        assert!(report.requests.iter().all(|hop| hop.error.is_none()));
        let kind = report.requests[0].redirect.as_ref().map(|redirect| redirect.kind);
        assert_eq!(kind, again.then_some(RedirectKind::Meta), "{refresh}");
    }
}

#[test]
fn a_site_that_sets_the_same_cookie_again_and_again_is_a_loop_and_one_with_new_ones_ends_too() {
    let rig = Rig::new();
    rig.says("same.test:80", response("302 Found", "Location: /\r\nSet-Cookie: a=1\r\n", b""));
    let count = Mutex::new(0);
    rig.site("new.test:80", move |_, stream| {
        let mut count = count.lock().expect("no test panics with it");
        *count += 1;
        let _ = stream.write_all(&response(
            "302 Found",
            &format!("Location: /\r\nSet-Cookie: a={count}\r\n"),
            b"",
        ));
    });
    let last = |url: &str| {
        let report = rig.fetch(url);
        (report.requests.len(), report.requests.last().and_then(class))
    };
    assert_eq!(last("http://same.test/"), (2, Some(ErrorClass::RedirectLoop)));
    assert_eq!(last("http://new.test/"), (11, Some(ErrorClass::TooManyRedirects)));
}

#[test]
fn cookies_go_to_the_hosts_they_are_for_and_are_gone_with_the_scan() {
    let (rig, heads) = (Rig::new(), Heads::default());
    let set = "Set-Cookie: host=1\r\nSet-Cookie: all=2; Domain=a.test\r\nSet-Cookie: tld=3; Domain=test\r\n\
               Set-Cookie: safe=4; Secure\r\nSet-Cookie: dead=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    let first = response("302 Found", &format!("Location: http://x.a.test/\r\n{set}"), b"");
    noted(&rig, &heads, "a.test:80", move |path| if path == "/" { first.clone() } else { page("") });
    noted(&rig, &heads, "x.a.test:80", |_| redirect("http://b.test/"));
    noted(&rig, &heads, "b.test:80", |_| redirect("http://a.test/end"));
    let expected = [None, Some("all=2"), None, Some("host=1; all=2")].map(|value| value.map(str::to_owned));
    for scan in 1..=2 {
        rig.fetch("http://a.test/");
        assert_eq!(heads.values("Cookie").len(), 4 * scan);
        assert_eq!(heads.values("Cookie")[4 * (scan - 1)..], expected);
    }
}

#[test]
fn a_page_that_refreshes_is_named_as_far_as_its_policy_allows() {
    for (headers, meta, expected) in [
        ("", "", Some("http://a.test/")),
        ("Referrer-Policy: no-referrer\r\n", "", None),
        ("Referrer-Policy: unsafe-url\r\n", "", Some("http://a.test/p?q")),
        ("Referrer-Policy: unsafe-url\r\n", "<meta name=referrer content=same-origin>", None),
        ("", "<meta name=Referrer content=always>", Some("http://a.test/p?q")),
        ("", "<meta name=referrer content=always><meta name=referrer content=never>", None),
        ("", "<meta name=referrer content=never><meta name=referrer content=x>", None),
        (
            "",
            "<meta name=referrer content=always><noscript><meta name=referrer content=never></noscript>",
            Some("http://a.test/p?q"),
        ),
    ] {
        let (rig, heads) = (Rig::new(), Heads::default());
        let html = format!("{meta}<meta http-equiv=refresh content='0;url=http://b.test/'>");
        let headers = format!("Content-Type: text/html\r\n{headers}");
        let first = response("200 OK", &headers, html.as_bytes());
        noted(&rig, &heads, "a.test:80", move |_| first.clone());
        noted(&rig, &heads, "b.test:80", |path| if path == "/" { redirect("/2") } else { page("") });
        rig.fetch("http://user:secret@a.test/p?q#f");
        let expected = expected.map(str::to_owned);
        assert_eq!(heads.values("Referer"), [None, expected.clone(), expected], "{headers} {meta}");
    }
}

#[test]
fn a_chain_that_left_the_site_stays_foreign_and_a_redirect_may_tighten_the_policy() {
    let (rig, heads) = (Rig::new(), Heads::default());
    noted(&rig, &heads, "127.0.0.1:80", |path| match path {
        "/" => response("200 OK", "Refresh: 0;url=http://localhost/\r\n", b""),
        _ => page(""),
    });
    let tight = "Location: http://127.0.0.1/back\r\nReferrer-Policy: no-referrer\r\n";
    noted(&rig, &heads, "localhost:80", move |_| response("302 Found", tight, b""));
    rig.fetch("http://127.0.0.1/");
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(heads.values("Sec-Fetch-Site"), [some("none"), some("cross-site"), some("cross-site")]);
    assert_eq!(heads.values("Sec-Fetch-User"), [some("?1"), None, None]);
    assert_eq!(heads.values("Referer"), [None, some("http://127.0.0.1/"), None]);
}
