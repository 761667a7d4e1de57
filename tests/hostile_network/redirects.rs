//! Answers that send the fetcher inward, by every means and at every hop.

use serde_json::Value;

use crate::island::Island;
use crate::names::{Names, Query, Record, Reply};
use crate::program::{denials, dialled, end, scan};
use crate::web::{Web, answer, article};

/// A host out there. Every other address would answer just as well.
const OUT: &str = "93.184.216.34";

/// How an answer sends somebody on to where it stands for `{}`.
const MEANS: &[(&str, u16, &str, &str)] = &[
    ("301", 301, "Location: {}\r\n", ""),
    ("302", 302, "Location: {}\r\n", ""),
    ("303", 303, "Location: {}\r\n", ""),
    ("307", 307, "Location: {}\r\n", ""),
    ("308", 308, "Location: {}\r\n", ""),
    ("padded", 302, "lOCATION: \t {} \t\r\n", ""),
    ("refresh", 200, "Refresh: 0; url={}\r\n", "<p>soon"),
    ("meta", 200, "", "<meta http-equiv=refresh content='0;url={}'>"),
    ("base", 200, "", "<base href='{}'><meta http-equiv=refresh content='0;url=?there'>"),
];

/// Places inside, in ways that make a parser take them for something else, and the rule that sees through it.
const INWARD: &[(&str, &str)] = &[
    ("http://127.0.0.1/", "loopback"),
    ("//127.0.0.1/x", "loopback"),
    ("https://127.0.0.1/", "loopback"),
    ("/\\10.0.0.9/x", "private"),
    ("http://user:secret@10.0.0.9/", "private"),
    ("http://93.184.216.34@10.0.0.9/", "private"),
    ("http://10.0.0.9\\@93.184.216.34/", "private"),
    ("http://web.test%2f@10.0.0.9/", "private"),
    ("http://169.254.169.254/latest/meta-data/", "metadata"),
    ("http://0x7f.1/", "loopback"),
    ("http://2130706433/", "loopback"),
    ("http://%31%32%37.0.0.1/", "loopback"),
    ("http://127.0.0.1./", "loopback"),
    ("HTTP://[::1]:80/", "loopback"),
    ("http://[::ffff:169.254.169.254]/", "metadata"),
    ("http://[64:ff9b::a00:9]/", "nat64"),
    ("http://localhost/", "loopback"),
    ("http://inside.test/", "private"),
    ("http://alias.test/", "private"),
    ("http://mixed.test/", "private"),
    ("ht\ttp://10.0.0.9/", "private"),
];

/// `/by/<means>/<number of a place>`, `/chain/<hops still to go>`, and pages that lead nowhere.
fn site(path: &str) -> String {
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("by"), Some(means), Some(place)) => {
            let place: usize = place.parse().expect("a number");
            send(means, INWARD[place].0)
        }
        (Some("chain"), Some(left), _) => match left.parse::<usize>().expect("a number") {
            0 => send("302", "http://10.0.0.9/"),
            left if left % 2 == 0 => send("meta", &format!("/chain/{}", left - 1)),
            left => send("307", &format!("http://web.test/chain/{}", left - 1)),
        },
        _ => article(),
    }
}

fn send(means: &str, to: &str) -> String {
    let (_, status, lines, html) = MEANS.iter().find(|(name, ..)| *name == means).expect("one of them");
    answer(*status, &lines.replace("{}", to), &html.replace("{}", to))
}

fn zone(query: &Query) -> Reply {
    let records = match query.name.as_str() {
        "web.test" => vec![Record::address("web.test", OUT)],
        "inside.test" => vec![Record::address("inside.test", "10.0.0.9")],
        "alias.test" => {
            vec![Record::alias("alias.test", "inside.test"), Record::address("inside.test", "10.0.0.9")]
        }
        "mixed.test" => vec![Record::address("mixed.test", OUT), Record::address("mixed.test", "10.0.0.9")],
        _ => return Reply::Say(vec![query.message(3, &[])]),
    };
    Reply::Say(vec![query.answer(&records)])
}

/// The scan went as far as the answer that sent it inward, said so, and went no further.
fn ended_at_the_wall(link: &str, document: &Value, rule: &str, hops: usize) {
    assert_eq!(end(document), ("COMPLETED", ""), "{link}: {document}");
    let pages: Vec<&Value> = document["requests"]
        .as_array()
        .expect("hops")
        .iter()
        .filter(|one| one["purpose"] == "document")
        .collect();
    assert_eq!(pages.len(), hops + 1, "{link}: {document}");
    let (last, before) = pages.split_last().expect("at least one");
    assert_eq!(last["error"]["class"], "egress_denied", "{link}: {last}");
    assert_eq!(last["status"], Value::Null, "{link}: {last}");
    assert!(
        before.iter().all(|hop| hop["error"].is_null() && !hop["redirect"].is_null()),
        "{link}: {before:?}"
    );
    assert!(denials(document).contains(&rule), "{link}: {:?}", denials(document));
    assert!(dialled(document).iter().all(|address| *address == OUT), "{link}: {:?}", dialled(document));
    let findings = document["verdict"]["findings"].as_array().expect("findings");
    let told = findings
        .iter()
        .any(|finding| finding["ruleId"].as_str().is_some_and(|id| id.starts_with("redirect-")));
    assert!(told, "{link}: {findings:?}");
}

#[test]
fn an_answer_that_leads_inward_is_followed_nowhere_by_whatever_means() {
    let island = Island::new();
    let web = Web::open(&island, &[80, 443], site);
    let _names = Names::open(&island, zone);
    // Every means with one place, and every place with one means.
    let by_means = MEANS.iter().map(|(means, ..)| (format!("http://{OUT}/by/{means}/0"), INWARD[0].1));
    let to_place = (1..INWARD.len()).map(|place| (format!("http://{OUT}/by/302/{place}"), INWARD[place].1));
    let scans: Vec<(String, &str)> = by_means.chain(to_place).collect();
    let links: Vec<String> = scans.iter().map(|(link, _)| link.clone()).collect();
    let documents = scan(&island, &links, &[]);
    for (link, rule) in &scans {
        ended_at_the_wall(link, &documents[link], rule, 1);
    }
    let arrivals = web.arrivals(island.dialled());
    assert!(arrivals.iter().all(|arrival| arrival.at.to_string() == OUT), "{arrivals:?}");
    let heads = web.heads();
    assert!(heads.len() >= scans.len());
    assert!(heads.iter().all(|head| !head.to_lowercase().contains("authorization")), "{heads:?}");
}

#[test]
fn a_chain_may_turn_inward_at_any_hop_and_is_cut_there() {
    let island = Island::new();
    let web = Web::open(&island, &[80], site);
    let _names = Names::open(&island, zone);
    // Ten redirects are followed; the eleventh is not, wherever it leads.
    let links: Vec<String> = (0..=10).map(|left| format!("http://{OUT}/chain/{left}")).collect();
    let documents = scan(&island, &links, &[]);
    for (left, link) in links.iter().enumerate().take(10) {
        ended_at_the_wall(link, &documents[link], "private", left + 1);
    }
    let last = &documents[&links[10]];
    assert_eq!(end(last), ("COMPLETED", ""), "{last}");
    assert_eq!(last["requests"][10]["error"]["class"], "too_many_redirects", "{last}");
    assert_eq!(denials(last), Vec::<&str>::new());
    let arrivals = web.arrivals(island.dialled());
    assert!(arrivals.iter().all(|arrival| arrival.at.to_string() == OUT), "{arrivals:?}");
}

#[test]
fn what_a_page_only_names_is_never_dialled_inside() {
    const PAGE: &str = "<link rel=icon href=http://10.0.0.9/i.ico><link rel=preload as=image href=//10.0.0.9/p>\
        <script src=http://10.0.0.9/s.js></script><script>location = 'http://10.0.0.9/'</script>\
        <iframe src=http://10.0.0.9/f></iframe><img src=http://[::1]/i><form action=//10.0.0.9><input></form>\
        <object data=http://10.0.0.9/o></object><p>words";
    const HEAD: &str = "Link: <http://10.0.0.9/l>; rel=preload\r\nAlt-Svc: h2=\"10.0.0.9:80\"\r\n\
        Content-Location: http://10.0.0.9/c\r\n";
    let island = Island::new();
    let web = Web::open(&island, &[80], |path| match path {
        "/robots.txt" => answer(302, "Location: http://10.0.0.9/robots.txt\r\n", ""),
        "/icon" => answer(200, "", "<link rel=icon href=/moved><p>words"),
        "/moved" => answer(302, "Location: http://inside.test/i.ico\r\n", ""),
        "/early" => format!("HTTP/1.1 103 Early Hints\r\n{HEAD}\r\n{}", article()),
        _ => answer(200, HEAD, PAGE),
    });
    let _names = Names::open(&island, zone);
    let links = ["page", "icon", "early"].map(|path| format!("http://{OUT}/{path}")).to_vec();
    let documents = scan(&island, &links, &[]);
    for link in &links {
        assert_eq!(end(&documents[link]), ("COMPLETED", ""), "{link}");
        assert!(dialled(&documents[link]).iter().all(|address| *address == OUT), "{link}");
    }
    assert!(denials(&documents[&links[0]]).contains(&"private"), "the icon is asked for, and denied");
    // Where robots.txt is kept to and cannot be had, the page is left alone.
    let documents = scan(&island, &links, &[("SAFEURL_FETCH_RESPECT_ROBOTS", "true")]);
    for link in &links {
        assert_eq!(end(&documents[link]), ("FAILED", "egress_denied"), "{link}");
        assert_eq!(
            (dialled(&documents[link]), denials(&documents[link])),
            (vec![OUT], vec!["private"]),
            "{link}"
        );
    }
    let arrivals = web.arrivals(island.dialled());
    assert!(arrivals.iter().all(|arrival| arrival.at.to_string() == OUT), "{arrivals:?}");
}

#[test]
fn a_redirect_to_another_scheme_than_the_web_s_leads_nowhere() {
    const SCHEMES: [&str; 7] = [
        "file:///etc/passwd",
        "gopher://10.0.0.9:80/_GET",
        "ftp://10.0.0.9/",
        "unix:///var/run/docker.sock",
        "javascript:location='http://10.0.0.9/'",
        "data:text/html,<meta http-equiv=refresh content='0;url=http://10.0.0.9/'>",
        "jar:http://10.0.0.9!/",
    ];
    let island = Island::new();
    let web = Web::open(&island, &[80], |path| match path.trim_start_matches("/to/").parse::<usize>() {
        Ok(place) => answer(302, &format!("Location: {}\r\n", SCHEMES[place]), ""),
        Err(_) => article(),
    });
    let links: Vec<String> = (0..SCHEMES.len()).map(|place| format!("http://{OUT}/to/{place}")).collect();
    let documents = scan(&island, &links, &[]);
    for link in &links {
        assert_eq!(end(&documents[link]), ("COMPLETED", ""), "{link}");
        assert_eq!(documents[link]["requests"][0]["error"]["class"], "redirect_refused", "{link}");
    }
    let arrivals = web.arrivals(island.dialled());
    assert!(arrivals.iter().all(|arrival| arrival.at.to_string() == OUT), "{arrivals:?}");
}
