//! What the commands around jobs say of scans that really ran.

use std::time::Duration;

use crate::leftovers;
use crate::site::{Answer, Site, article};
use crate::stage::Stage;

#[test]
fn what_was_dialled_denied_and_done_is_told_in_the_order_of_time() {
    let site = Site::start(|path| match path {
        "/inward" => Answer::Head(302, vec![("Location", "http://169.254.169.254/latest/".into())]),
        _ => article("Harmless"),
    });
    let stage = Stage::new();
    let ran = stage.run(["scan", &site.url("/inward"), "--json"]);
    let id = ran.json()[0]["job"]["id"].as_str().unwrap().to_owned();

    let logs = stage.run(["jobs", "logs", "--json", "--follow", &id]);
    assert_eq!(logs.code, Some(0), "{logs:?}");
    let events = logs.json();
    let kinds: Vec<_> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    let times: Vec<_> = events.iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(
        (kinds[0], kinds.iter().filter(|kind| **kind == "transition").count()),
        ("created", 3),
        "{kinds:?}"
    );
    let hops: Vec<_> = events.iter().filter(|event| event["kind"] == "connection").collect();
    assert_eq!((&hops[0]["decision"], &hops[0]["url"]), (&"allowed".into(), &site.url("/inward").into()));
    assert!(hops[0]["bytesIn"].as_u64().is_some_and(|bytes| bytes > 0), "{hops:?}");
    assert_eq!((&hops[1]["decision"], &hops[1]["bytesIn"]), (&"denied".into(), &0.into()), "{hops:?}");
    let attempt = events.iter().find(|event| event["kind"] == "attempt").unwrap();
    assert_eq!(attempt["attempt"], 1);
    assert!(attempt["exitCode"].is_null(), "nobody waits for what comes after the report: {attempt}");

    let shown = stage.run(["jobs", "show", &id]);
    assert!(shown.out.contains("\nAttempts\n  1  ") && shown.out.contains("\nHistory\n"), "{}", shown.out);
    leftovers::none_within(&stage, Duration::from_secs(45));
}

#[test]
fn a_scan_is_found_exported_and_counted_by_its_verdict() {
    let site = Site::start(|_| article("Harmless"));
    let stage = Stage::new();
    let ran = stage.run(["scan", &site.url("/page"), "--json"]);
    let document = &ran.json()[0];
    let verdict = document["verdict"]["state"].as_str().unwrap();

    let listed = stage.run(["jobs", "list", "--json", "--verdict", verdict, "--domain", "127.0.0.1"]).json();
    assert_eq!((listed.len(), &listed[0]["verdict"]), (1, &verdict.into()));
    assert_eq!(listed[0]["riskScore"], document["verdict"]["riskScore"]);
    let exported = stage.run(["jobs", "export", "--verdict", verdict]);
    assert_eq!(exported.json(), ran.json(), "what is exported is what was printed");
    let csv = stage.run(["jobs", "export", "--format", "csv"]).out;
    assert!(
        csv.lines()
            .nth(1)
            .is_some_and(|row| row.starts_with(&format!("{},COMPLETED,{verdict},", site.url("/page")))),
        "{csv}"
    );
    let stats = &stage.run(["stats", "--json"]).json()[0];
    assert_eq!((&stats["verdicts"][0]["name"], &stats["verdicts"][0]["jobs"]), (&verdict.into(), &1.into()));
    assert!(stats["runMs"]["p50"].as_u64().is_some_and(|ms| ms > 0), "{stats}");
    leftovers::none_within(&stage, Duration::from_secs(45));
}
