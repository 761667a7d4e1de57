//! A fetcher that lies, screams or misbehaves, through the whole program: how its job ends, what is stored of it, and
//! that nothing is left. It is told what to do by the path of the URL that it is to fetch.

use std::time::Duration;

use safeurl_protocol::{Exchange, Report, SCHEMA, Timings, Usage};
use serde_json::{Value, json};

use crate::leftovers;
use crate::stage::Stage;
use crate::support::puppet;

/// Nobody listens there, and nobody is asked to.
const ORIGIN: &str = "http://127.0.0.1:9";

pub(crate) fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// A page that makes the fetcher do these steps.
pub(crate) fn page(steps: &[&str]) -> String {
    format!("{ORIGIN}/{}", hex(&steps.join("\n")))
}

/// The image of a fetcher that obeys the page.
pub(crate) fn obedient() -> String {
    image("obedient")
}

fn image(mode: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(puppet(mode))
}

/// An installation whose fetcher obeys the page. What it says is final: nothing is tried twice.
pub(crate) fn stage(timeout: &str) -> Stage {
    Stage::new()
        .with("SAFEURL_SANDBOX_IMAGE", obedient())
        .with("SAFEURL_SANDBOX_TIMEOUT", timeout)
        .with("SAFEURL_SANDBOX_MEMORY", "64MiB")
        .with("SAFEURL_SANDBOX_OUTPUT_CAP", "2MiB")
        .with("SAFEURL_RETRY_MAX_ATTEMPTS", "1")
}

/// What an honest fetcher says of a page without a body.
fn honest() -> Report {
    Report {
        schema: SCHEMA,
        attempt: "$ATTEMPT".into(),
        requests: vec![Exchange {
            url: "http://a.test/".into(),
            method: "GET".into(),
            status: Some(200),
            status_text: Some("OK".into()),
            protocol: Some("HTTP/1.1".into()),
            headers: Vec::new(),
            mime_type: None,
            size: None,
            encoded_size: None,
            sha256: None,
            redirect: None,
            error: None,
            connection: None,
            timings: Timings::default(),
            tls: None,
            robots: None,
        }],
        side: Vec::new(),
        content: None,
        features: None,
        usage: Usage::default(),
        body: None,
    }
}

/// The step that prints the honest report with one value changed; the value is text, for JSON that is none.
pub(crate) fn claims(place: &str, value: &str) -> String {
    claims_of(&[(place, value)])
}

/// The same with several values changed.
pub(crate) fn claims_of(changes: &[(&str, &str)]) -> String {
    let mut report = serde_json::to_value(honest()).unwrap();
    for (n, (place, _)) in changes.iter().enumerate() {
        *report.pointer_mut(place).unwrap() = json!(format!("$VALUE{n}$"));
    }
    let values = changes.iter().enumerate();
    let said = values
        .fold(report.to_string(), |said, (n, (_, value))| said.replace(&format!("\"$VALUE{n}$\""), value));
    format!("report {said}")
}

/// Scans each page and compares state and class; nothing is left afterwards.
pub(crate) fn end(cases: &[(&str, &[&str], &str, Option<&str>)]) -> Vec<Value> {
    end_within("40s", cases)
}

fn end_within(timeout: &str, cases: &[(&str, &[&str], &str, Option<&str>)]) -> Vec<Value> {
    let stage = stage(timeout);
    let urls: Vec<_> = cases.iter().map(|(_, steps, _, _)| page(steps)).collect();
    let ran = stage.run(["scan", "--json"].into_iter().chain(urls.iter().map(String::as_str)));
    let documents = ran.json();
    let of = |url: &String| documents.iter().find(|document| document["task"]["url"] == url.as_str());
    let found: Vec<_> =
        urls.iter().map(|url| of(url).cloned().unwrap_or_else(|| panic!("{url}: {ran:?}"))).collect();
    for ((name, _, state, class), document) in cases.iter().zip(&found) {
        let failure = &document["job"]["failure"];
        assert_eq!(
            (document["job"]["state"].as_str(), failure["class"].as_str()),
            (Some(*state), *class),
            "{name}: {document}"
        );
        assert_eq!(document["job"]["attempt"], 1, "{name}");
    }
    leftovers::none_within(&stage, Duration::from_secs(45));
    found
}

pub(crate) const INVALID: Option<&str> = Some("output_invalid");

#[test]
fn an_honest_report_is_the_control_and_what_it_says_wins_over_its_exit_code() {
    let honest = claims("/schema", &SCHEMA.to_string());
    let documents = end(&[
        ("honest", &[&honest, "exit 0"], "COMPLETED", None),
        ("a whole report and exit code 1", &[&honest, "exit 1"], "COMPLETED", None),
        ("a whole report and no end", &[&honest, "hang"], "COMPLETED", None),
        ("exit code 1 alone", &["exit 1"], "FAILED", Some("container_crash")),
        ("nothing at all", &["exit 0"], "FAILED", INVALID),
    ]);
    // It may lie about its own page, but an answer without a connection is a lie that the ledger tells.
    let verdict = &documents[0]["verdict"];
    assert_eq!(verdict["state"], "malicious", "{verdict}");
    let findings: Vec<_> =
        verdict["findings"].as_array().unwrap().iter().map(|found| &found["ruleId"]).collect();
    assert!(findings.contains(&&json!("ledger-disagrees")), "{verdict}");
    assert_eq!(documents[0]["egress"], json!([]));
}

#[test]
fn reports_that_are_none_of_this_attempt_or_of_this_form_are_invalid_output() {
    let schema = claims("/schema", "99");
    let status = claims("/requests/0/status", "\"200\"");
    let requests = claims("/requests", "{}");
    let none = claims("/requests", "[]");
    let surrogate = claims("/requests/0/statusText", "\"\\ud800\"");
    let other = claims("/attempt", "\"0198c5c0-0000-7000-8000-000000000000/1\"");
    let forged =
        claims("/schema", "1").replacen("report", "report-as 0198c5c0-0000-7000-8000-000000000000/1", 1);
    end(&[
        ("a newer schema", &[&schema, "exit 0"], "FAILED", INVALID),
        ("a status of another type", &[&status, "exit 0"], "FAILED", INVALID),
        ("requests of another type", &[&requests, "exit 0"], "FAILED", INVALID),
        ("no request", &[&none, "exit 0"], "FAILED", INVALID),
        ("half a character", &[&surrogate, "exit 0"], "FAILED", INVALID),
        ("another attempt inside", &[&other, "exit 0"], "FAILED", INVALID),
        ("another attempt outside", &[&forged, "exit 0"], "FAILED", INVALID),
        ("1 MiB of brackets", &["report-of 1048576 [", "exit 0"], "FAILED", INVALID),
    ]);
}

#[test]
fn what_takes_too_much_ends_in_its_class_and_nothing_is_left() {
    let honest = claims("/schema", "1");
    end(&[
        ("all memory in steps", &["eat 0"], "FAILED", Some("out_of_memory")),
        ("all memory at once", &["eat-at-once 500"], "FAILED", Some("out_of_memory")),
        ("all memory in files", &["fill-file /tmp/x 30", "eat 0"], "FAILED", Some("out_of_memory")),
        ("output without end", &["flood"], "FAILED", INVALID),
        (
            "noise without end on the other stream",
            &["fill-stderr 400000", "hang"],
            "FAILED",
            Some("output_too_large"),
        ),
        ("a fork bomb", &["fork-bomb 1000", &honest, "exit 0"], "COMPLETED", None),
        ("all descriptors", &["many-descriptors 1000", "abort"], "FAILED", Some("container_crash")),
        ("ten thousand connections", &["knock 10000", &honest, "exit 0"], "COMPLETED", None),
    ]);
}

#[test]
fn an_output_that_stays_open_is_listened_to_and_one_that_is_closed_says_nothing_more() {
    let honest = claims("/schema", &SCHEMA.to_string());
    end(&[
        ("open, and later a report", &["spin 500", &honest, "exit 0"], "COMPLETED", None),
        ("closed, and later a report", &["close-stdout", "spin 500", &honest, "exit 0"], "FAILED", INVALID),
        ("a report, then closed", &[&honest, "close-stdout", "hang"], "COMPLETED", None),
    ]);
}

#[test]
fn what_takes_too_long_is_killed_at_its_time_and_nothing_is_left() {
    let timeout = ("TIMED_OUT", Some("timeout"));
    let documents = end_within(
        "3s",
        &[
            ("a processor for itself", &["spin 0"], timeout.0, timeout.1),
            ("no answer to signals", &["ignore-signals", "hang"], timeout.0, timeout.1),
            ("a closed output", &["close-stdout", "hang"], timeout.0, timeout.1),
        ],
    );
    for document in &documents {
        // The engine answers late on a busy machine; nobody waits for the container itself.
        let run_ms = document["sandbox"]["runMs"].as_u64().unwrap();
        assert!((3_000..30_000).contains(&run_ms), "{run_ms} ms");
    }
}

#[test]
fn a_fetcher_that_uses_its_way_out_before_it_has_a_job_gets_none_and_the_job_is_not_tried_for_ever() {
    let honest = claims("/schema", &SCHEMA.to_string());
    let url = page(&[&honest, "exit 0"]);
    for (mode, state, class, attempt) in
        [("obedient", "COMPLETED", None, 1), ("hasty", "FAILED", Some("lost"), 10)]
    {
        let stage = stage("40s").with("SAFEURL_SANDBOX_IMAGE", image(mode));
        let document = &stage.run(["scan", "--json", &url]).json()[0];
        let failure = &document["job"]["failure"];
        assert_eq!(document["job"]["state"], state, "{document}");
        assert_eq!(failure["class"].as_str(), class, "{document}");
        assert_eq!(document["job"]["attempt"], attempt, "{document}");
        assert_eq!(document["egress"], json!([]), "{mode}");
        let why = "the container used its gateway socket before it had a job";
        let tells = failure["message"].as_str().is_some_and(|message| message.contains(why));
        assert_eq!(tells, class.is_some(), "{failure}");
        leftovers::none_within(&stage, Duration::from_secs(45));
    }
}
