//! robots.txt, for jobs that keep to it.

use std::io::Write as _;

use safeurl_protocol::{ErrorClass, Invocation, Purpose, Report, RobotsDecision, RobotsSource};

use crate::rig::{Door, Rig, class, page, redirect, response, run, title};

fn keeping_to_it(rig: &Rig, url: &str) -> Invocation {
    let user_agent = "Mozilla/5.0 (like a browser)".to_owned();
    Invocation { respect_robots: true, user_agent, ..rig.invocation(url) }
}

/// A site with this answer to `/robots.txt` and one to everything else.
fn site(rig: &Rig, authority: &str, robots: Vec<u8>, other: Vec<u8>) {
    rig.site(authority, move |head, stream| {
        let asked = head.starts_with("GET /robots.txt ");
        assert!(
            !asked || !(head.contains("Cookie") || head.contains("Sec-") || head.contains("Referer")),
            "{head}"
        );
        let _ = stream.write_all(if asked { &robots } else { &other });
    });
}

fn file(text: &str) -> Vec<u8> {
    response("200 OK", "Content-Type: text/plain\r\n", text.as_bytes())
}

/// Purpose, hop and URL of what was fetched beside the hops.
fn beside(report: &Report) -> Vec<(Purpose, usize, &str)> {
    report.side.iter().map(|side| (side.purpose, side.before, side.exchange.url.as_str())).collect()
}

fn decision(allowed: bool, source: RobotsSource, rule: Option<&str>) -> Option<RobotsDecision> {
    Some(RobotsDecision { allowed, source, rule: rule.map(str::to_owned) })
}

#[test]
fn each_origin_is_asked_once_before_its_first_hop() {
    let rig = Rig::new();
    rig.site("a.test:80", |head, stream| {
        let _ = stream.write_all(&match head.split(' ').nth(1).unwrap_or_default() {
            "/robots.txt" => file("User-agent: *\nDisallow: /private\nAllow: /private/door\n"),
            "/" => redirect("/private/door"),
            _ => redirect("http://b.test/"),
        });
    });
    site(&rig, "b.test:80", response("404 Not Found", "", b"no"), page("<title>there</title>"));
    let report = run(&keeping_to_it(&rig, "http://a.test/"));
    assert_eq!(title(&report), Some("there"));
    assert_eq!(
        beside(&report),
        [
            (Purpose::Robots, 0, "http://a.test/robots.txt"),
            (Purpose::Robots, 2, "http://b.test/robots.txt"),
            (Purpose::Favicon, 3, "http://b.test/favicon.ico"),
        ]
    );
    let decisions: Vec<_> = report.requests.iter().map(|hop| hop.robots.clone()).collect();
    assert_eq!(
        decisions,
        [
            decision(true, RobotsSource::File, None),
            decision(true, RobotsSource::File, Some("Allow: /private/door")),
            decision(true, RobotsSource::Missing, None),
        ]
    );
    let connections = report.requests.iter().chain(report.side.iter().map(|side| &side.exchange));
    let mut connections: Vec<_> = connections.filter_map(|exchange| exchange.connection).collect();
    connections.sort_unstable();
    assert_eq!(connections, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn nobody_is_asked_without_the_wish_for_it() {
    let rig = Rig::new();
    site(&rig, "a.test:80", file("User-agent: *\nDisallow: /"), page("<title>there</title>"));
    let report = rig.fetch("http://a.test/");
    assert_eq!((title(&report), &report.requests[0].robots), (Some("there"), &None));
    assert_eq!(beside(&report), [(Purpose::Favicon, 1, "http://a.test/favicon.ico")]);
}

#[test]
fn a_first_hop_that_is_disallowed_is_not_made_and_names_the_rule() {
    let rig = Rig::new();
    let rules = "User-agent: *\nAllow: /\n\nUser-agent: safeurl\nDisallow: /page\n";
    for authority in ["a.test:443", "a.test:80"] {
        site(&rig, authority, file(rules), page("<title>never</title>"));
    }
    let mut invocation = keeping_to_it(&rig, "http://a.test/page?x");
    // Over https it would be another origin, but this one is there and has answered.
    invocation.fallback_url = Some("http://a.test/other".to_owned());
    let report = run(&invocation);
    let hop = &report.requests[0];
    assert_eq!(
        (report.requests.len(), hop.status, class(hop)),
        (1, None, Some(ErrorClass::RobotsDisallowed))
    );
    assert_eq!(hop.robots, decision(false, RobotsSource::File, Some("Disallow: /page")));
    let message = hop.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
    assert!(
        message.contains("http://a.test/robots.txt") && message.contains("\"Disallow: /page\""),
        "{message}"
    );
    assert_eq!((hop.connection, &report.content, report.side.len()), (None, &None, 1));
}

#[test]
fn a_later_hop_that_is_disallowed_is_evidence() {
    let rig = Rig::new();
    site(&rig, "a.test:80", response("404 x", "", b""), redirect("http://b.test/x"));
    site(&rig, "b.test:80", file("user-agent:*\ndisallow:/"), page("never"));
    let report = run(&keeping_to_it(&rig, "http://a.test/"));
    let classes: Vec<_> = report.requests.iter().map(|hop| (hop.status, class(hop))).collect();
    assert_eq!(classes, [(Some(302), None), (None, Some(ErrorClass::RobotsDisallowed))]);
    assert_eq!(report.content.as_ref().map(|content| content.size), Some(5));
}

#[test]
fn a_job_with_a_name_of_its_own_is_judged_by_that() {
    let rig = Rig::new();
    site(&rig, "a.test:80", file("user-agent: mybot\ndisallow: /\n"), page(""));
    let mut invocation = keeping_to_it(&rig, "http://a.test/");
    assert_eq!(class(&run(&invocation).requests[0]), None);
    invocation.user_agent = "MyBot/2.0 (+http://b.test)".to_owned();
    assert_eq!(class(&run(&invocation).requests[0]), Some(ErrorClass::RobotsDisallowed));
}

#[test]
fn what_cannot_be_learnt_allows_nothing() {
    let rig = Rig::new();
    let broken = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nUser-agent: *\n".to_vec();
    let refused = "HTTP/1.1 502 x\r\nSafeurl-Error: connect\r\nSafeurl-Connection: {seq}\r\n\r\n";
    rig.door("down.test:80", Door::Say(refused.to_owned()));
    for (n, robots) in
        [response("503 Busy", "", b""), broken, b"what?\r\n\r\n".to_vec(), redirect("http://down.test/")]
            .into_iter()
            .enumerate()
    {
        let host = format!("u{n}.test");
        site(&rig, &format!("{host}:80"), robots, page("never"));
        let report = run(&keeping_to_it(&rig, &format!("http://{host}/")));
        let hop = &report.requests[0];
        assert_eq!((hop.status, class(hop)), (None, Some(ErrorClass::RobotsDisallowed)), "{host}");
        assert_eq!(hop.robots, decision(false, RobotsSource::Unreachable, None), "{host}");
    }
}

#[test]
fn a_host_that_is_not_there_fails_as_it_would_without_rules() {
    let rig = Rig::new();
    let unknown = "HTTP/1.1 502 x\r\nSafeurl-Error: dns_unavailable\r\nSafeurl-Connection: {seq}\r\n\r\n";
    rig.door("a.test:443", Door::Say(unknown.to_owned()));
    let report = run(&keeping_to_it(&rig, "https://a.test/"));
    assert_eq!(class(&report.requests[0]), Some(ErrorClass::DnsUnavailable));
    assert_eq!(report.requests[0].robots, decision(false, RobotsSource::Unreachable, None));
    // And the other scheme is tried as usual.
    site(&rig, "a.test:80", response("404 x", "", b""), page("<title>plain</title>"));
    let mut invocation = keeping_to_it(&rig, "https://a.test/");
    invocation.fallback_url = Some("http://a.test/".to_owned());
    assert_eq!(title(&run(&invocation)), Some("plain"));
}

#[test]
fn five_redirects_lead_to_the_rules_and_six_to_none() {
    for (last, allowed) in [("5", false), ("6", true)] {
        let rig = Rig::new();
        rig.site("a.test:80", move |head, stream| {
            let path = head.split(' ').nth(1).unwrap_or_default();
            let at: u32 = path.trim_start_matches("/hop").parse().unwrap_or(0);
            let _ = stream.write_all(&match path {
                "/" => page("<title>there</title>"),
                _ if at.to_string() == last => file("user-agent: *\ndisallow: /"),
                _ => redirect(&format!("/hop{}", at + 1)),
            });
        });
        let report = run(&keeping_to_it(&rig, "http://a.test/"));
        let robots = report.side.iter().filter(|side| side.purpose == Purpose::Robots).count();
        assert_eq!((class(&report.requests[0]).is_none(), robots), (allowed, 6), "{last}");
    }
}

#[test]
fn an_icon_keeps_to_the_rules_too() {
    let rig = Rig::new();
    let html = page("<link rel=icon href=http://cdn.test/i.png>");
    site(&rig, "a.test:80", response("404 x", "", b""), html);
    site(&rig, "cdn.test:80", file("user-agent: *\ndisallow: /*.png$"), response("200 OK", "", b"icon"));
    let report = run(&keeping_to_it(&rig, "http://a.test/"));
    assert_eq!(report.features.as_ref().and_then(|features| features.favicon.clone()), None);
    let last = report.side.last().expect("the icon");
    assert_eq!((last.purpose, class(&last.exchange)), (Purpose::Favicon, Some(ErrorClass::RobotsDisallowed)));
    assert_eq!(last.exchange.robots, decision(false, RobotsSource::File, Some("Disallow: /*.png$")));
}
