//! `--respect-robots` through the whole program.

use serde_json::Value;

use crate::site::{Answer, Site, article};
use crate::stage::Stage;

/// A site whose robots.txt refuses everybody `/private`.
fn site() -> Site {
    Site::start(|path| match path {
        "/robots.txt" => {
            let text = "User-agent: *\nDisallow: /private\n";
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                text.len()
            );
            Answer::Raw(format!("{head}{text}").into_bytes())
        }
        "/leads-in" => Answer::Head(302, vec![("Location", "/private/page".into())]),
        _ => article("Open"),
    })
}

fn purposes(document: &Value) -> Vec<&str> {
    let requests = document["requests"].as_array().unwrap();
    requests.iter().map(|request| request["purpose"].as_str().unwrap()).collect()
}

#[test]
fn a_page_that_robots_refuse_is_not_fetched_and_the_rule_is_named() {
    let site = site();
    let stage = Stage::new();
    let ran = stage.run(["scan", &site.url("/private/page"), "--json", "--respect-robots"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let document = &ran.json()[0];
    assert_eq!(document["job"]["state"], "FAILED");
    assert_eq!(document["job"]["failure"]["class"], "robots_disallowed");
    assert_eq!(document["job"]["failure"]["retryable"], false);
    assert_eq!(document["job"]["attempt"], 1);
    assert_eq!(document["task"]["options"]["respectRobots"], true);
    assert_eq!(document["verdict"]["state"], "notEvaluated");
    assert_eq!(purposes(document), ["robots", "document"]);
    let decision = &document["requests"][1]["robots"];
    assert_eq!((&decision["allowed"], &decision["source"]), (&false.into(), &"file".into()));
    assert!(decision["rule"].as_str().unwrap().contains("/private"), "{decision}");
    assert_eq!((site.hits("/robots.txt"), site.hits("/private/page")), (1, 0));
    let audit = stage.query("SELECT url_accessed, http_status FROM audit_logs");
    assert_eq!(audit, [[site.url("/robots.txt"), "200".to_owned()]], "what was dialled is named");
}

#[test]
fn a_page_that_robots_allow_is_scanned_and_a_later_hop_they_refuse_is_evidence() {
    let site = site();
    let stage = Stage::new();
    let ran = stage.run(["scan", &site.url("/open"), &site.url("/leads-in"), "--json", "--respect-robots"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let documents = ran.json();
    let by = |path: &str| documents.iter().find(|d| d["task"]["url"] == site.url(path)).unwrap();
    let open = by("/open");
    assert_eq!(purposes(open)[..2], ["robots", "document"]);
    assert_eq!(open["requests"][1]["robots"]["allowed"], true);
    assert_eq!(open["page"]["title"], "Open");

    let leads = by("/leads-in");
    assert_eq!(leads["job"]["state"], "COMPLETED");
    let hops: Vec<_> =
        leads["requests"].as_array().unwrap().iter().filter(|r| r["purpose"] == "document").collect();
    assert_eq!(hops[0]["status"], 302);
    assert_eq!(hops[1]["error"]["class"], "robots_disallowed");
    assert_eq!(site.hits("/private/page"), 0);
}

#[test]
fn what_robots_are_asked_is_a_matter_of_who_asks() {
    let site = site();
    let stage = Stage::new();
    let ran = stage.run(["scan", &site.url("/private/a"), "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!((site.hits("/robots.txt"), site.hits("/private/a")), (0, 1), "nobody asked for it");

    let mut configured = stage.command(["scan", &site.url("/private/b"), "--json"]);
    let output = configured.env("SAFEURL_FETCH_RESPECT_ROBOTS", "true").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!((site.hits("/robots.txt"), site.hits("/private/b")), (1, 0));
}

#[test]
fn a_server_that_is_not_there_refused_nothing() {
    let stage = Stage::new();
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for (url, class) in
        [(format!("http://{closed}/"), "connect"), ("http://127.0.0.2:9/".to_owned(), "egress_denied")]
    {
        let ran = stage.run(["scan", &url, "--json", "--respect-robots"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(ran.json()[0]["job"]["failure"]["class"], class, "{}", ran.out);
    }
}

#[test]
fn a_queued_job_carries_its_wish_to_the_worker() {
    let site = site();
    let stage = Stage::new();
    let ran = stage.run(["submit", &site.url("/private/page"), "--respect-robots", "--tag", "kept"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let _worker = stage.worker(&[]);
    let id = ran.out.trim();
    let waited = stage.run(["jobs", "wait", "--timeout", "60s", id]);
    assert_eq!(waited.code, Some(1), "{waited:?}");
    let shown = stage.run(["jobs", "show", id, "--json"]);
    let document = &shown.json()[0];
    assert_eq!(document["job"]["failure"]["class"], "robots_disallowed");
    assert_eq!(document["task"]["tags"], serde_json::json!(["kept"]));
    assert_eq!(site.hits("/private/page"), 0);
}
