//! `safeurl scan`: one URL from the command line to a judged, stored result.

use std::time::Duration;

use serde_json::Value;

use crate::leftovers;
use crate::site::{Answer, Site, article};
use crate::stage::Stage;

/// Every section and key of the scan document must be there.
const SECTIONS: [&str; 11] = [
    "schema", "job", "task", "page", "requests", "content", "features", "lists", "egress", "sandbox",
    "verdict",
];

#[test]
fn a_page_is_fetched_judged_stored_and_nothing_is_left() {
    let site = Site::start(|_| article("Harmless"));
    let stage = Stage::new();
    let ran = stage.run(["scan", &site.url("/page?token=1"), "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let document = &ran.json()[0];
    for section in SECTIONS {
        assert!(document.get(section).is_some(), "no {section} in {document}");
    }
    assert_eq!(document["job"]["state"], "COMPLETED");
    assert_eq!(document["page"]["title"], "Harmless");
    assert_eq!(document["page"]["ip"], "127.0.0.1");
    assert_eq!(document["requests"][0]["status"], 200);
    assert_eq!(document["egress"][0]["decision"], "allowed");
    assert_eq!(document["sandbox"]["network"], "none");
    // The page and its icon, and nothing twice.
    let hits = (site.hits("/page?token=1"), site.hits("/favicon.ico"), site.total());
    assert_eq!(hits, (1, 1, 2));

    let reasons: Vec<_> = document["job"]["transitions"].as_array().unwrap().iter().collect();
    let states: Vec<_> = reasons.iter().map(|edge| edge["to"].as_str().unwrap()).collect();
    assert_eq!(states, ["FETCHING", "ANALYZING", "COMPLETED"]);
    assert_eq!(stage.query("SELECT count(*) FROM scan_results")[0][0], "1");
    let audited = stage.query("SELECT url_accessed FROM audit_logs ORDER BY url_accessed");
    let audited: Vec<_> = audited.iter().map(|row| row[0].clone()).collect();
    assert_eq!(audited, [site.url("/favicon.ico"), site.url("/page?token=1")]);
    leftovers::none_within(&stage, Duration::from_secs(45));

    let id = document["job"]["id"].as_str().unwrap();
    let shown = stage.run(["jobs", "show", id, "--json"]);
    assert_eq!(shown.json()[0], *document, "what is shown later is what was printed");
}

#[test]
fn the_small_view_is_small_and_has_the_answer() {
    let site = Site::start(|_| article(&"long title ".repeat(500)));
    let stage = Stage::new();
    let ran = stage.run(["scan", &site.url("/"), "--json", "--view", "summary"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.len() < 4096, "{} bytes", ran.out.len());
    let summary = &ran.json()[0];
    assert_eq!(summary["job"]["state"], "COMPLETED");
    assert!(summary["verdict"]["riskScore"].is_u64());
    assert!(summary["verdict"]["findings"].as_array().unwrap().iter().all(|f| f.get("evidence").is_none()));
}

#[test]
fn what_ends_how_is_what_the_design_says() {
    let site = Site::start(|path| match path {
        "/silent" => Answer::Silence,
        "/garbage" => Answer::Raw(b"\x00\x01 not http\r\n\r\n".to_vec()),
        "/loop" => Answer::Head(302, vec![("Location", "/loop".into())]),
        "/inward" => Answer::Head(302, vec![("Location", "http://169.254.169.254/latest/meta-data/".into())]),
        "/short" => Answer::Raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9999\r\n\r\n<p>cut".to_vec(),
        ),
        _ => article("ok"),
    });
    let stage = Stage::new();
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let scan = |url: &str| {
        let ran = stage.run(["scan", url, "--json", "--timeout", "3s"]);
        (ran.code, ran.json().into_iter().next().unwrap_or(Value::Null))
    };
    let (code, document) = scan(&site.url("/silent"));
    assert_eq!((code, &document["job"]["state"]), (Some(1), &"TIMED_OUT".into()), "{document}");
    assert_eq!(document["job"]["failure"]["class"], "timeout");
    assert_eq!(document["verdict"]["state"], "notEvaluated");

    let (code, document) = scan(&site.url("/garbage"));
    assert_eq!(
        (code, &document["job"]["failure"]["class"]),
        (Some(1), &"http_protocol".into()),
        "{document}"
    );

    let (code, document) = scan(&format!("http://{closed}/"));
    assert_eq!((code, &document["job"]["failure"]["class"]), (Some(1), &"connect".into()), "{document}");
    assert_eq!(document["requests"][0]["error"]["class"], "connect", "its tries are kept");
    assert_eq!(document["requests"][0]["ip"], "127.0.0.1");

    let (code, document) = scan("http://127.0.0.2:9/");
    assert_eq!(
        (code, &document["job"]["failure"]["class"]),
        (Some(1), &"egress_denied".into()),
        "{document}"
    );

    let (code, document) = scan(&site.url("/loop"));
    assert_eq!((code, &document["job"]["state"]), (Some(0), &"COMPLETED".into()), "{document}");
    assert_eq!(document["requests"].as_array().unwrap().last().unwrap()["error"]["class"], "redirect_loop");

    let (code, document) = scan(&site.url("/inward"));
    assert_eq!((code, &document["job"]["state"]), (Some(0), &"COMPLETED".into()), "{document}");
    assert_eq!(document["requests"][1]["error"]["class"], "egress_denied");
    assert_eq!(document["egress"][1]["decision"], "denied");

    let (code, document) = scan(&site.url("/short"));
    assert_eq!((code, &document["job"]["state"]), (Some(0), &"COMPLETED".into()), "{document}");
    assert_eq!(document["content"]["truncated"], true);
    leftovers::none_within(&stage, Duration::from_secs(45));
}

#[test]
fn a_header_that_the_site_shows_back_is_masked_everywhere() {
    let site = Site::start(|_| {
        let page = "<title>hello t0ken-12345</title>";
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Echo: t0ken-12345\r\nConnection: close\r\n\r\n";
        Answer::Raw(format!("{head}{page}").into_bytes())
    });
    let stage = Stage::new();
    let ran = stage.run(["scan", &site.url("/"), "--json", "--header", "X-Token: t0ken-12345"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.out.contains("t0ken-12345"), "{}", ran.out);
    assert_eq!(ran.json()[0]["page"]["title"], "hello ***");
    for table in ["documents", "scan_results", "audit_logs", "attempts"] {
        for row in stage.query(&format!("SELECT * FROM {table}")) {
            assert!(row.iter().all(|value| !value.contains("t0ken-12345")), "{table}: {row:?}");
        }
    }
}

#[test]
fn fail_on_wins_over_a_failed_scan() {
    let site =
        Site::start(|_| Answer::Head(302, vec![("Location", "http://169.254.169.254/latest/".into())]));
    let stage = Stage::new();
    let ran = stage.run(["scan", &site.url("/"), "http://127.0.0.2:9/", "--json", "--fail-on", "malicious"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(ran.json().len(), 2);
}

#[test]
fn userinfo_is_not_sent_and_a_missing_scheme_means_https_then_http() {
    let site = Site::start(|_| article("plain"));
    let stage = Stage::new();
    let ran = stage.run(["scan", &format!("{}/x", site.address), "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let document = &ran.json()[0];
    assert_eq!(document["requests"][0]["error"]["class"], "tls");
    assert_eq!(document["requests"][1]["url"], site.url("/x"));
    assert_eq!(document["task"]["effectiveUrl"], site.url("/x"));

    let ran = stage.run(["scan", &format!("hxxp://user:secret@{}/y", site.address), "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let document = &ran.json()[0];
    assert_eq!(document["task"]["effectiveUrl"], site.url("/y"));
}
