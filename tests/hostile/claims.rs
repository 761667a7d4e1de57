//! A fetcher that lies, screams or misbehaves, through the whole program: how its job ends, what is stored of it, and
//! that nothing is left. It is told what to do by the path of the URL that it is to fetch.

use std::time::Duration;

use safeurl_protocol::{Exchange, Report, SCHEMA, Timings, Usage};
use serde_json::{Value, json};

use crate::leftovers;
use crate::stage::{Ran, Stage};
use crate::support::puppet;

/// Nobody listens there, and nobody is asked to.
const ORIGIN: &str = "http://127.0.0.1:9";

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// A page that makes the fetcher do these steps.
pub(crate) fn page(steps: &[&str]) -> String {
    format!("{ORIGIN}/{}", hex(&steps.join("\n")))
}

/// The image of a fetcher that obeys the page.
pub(crate) fn obedient() -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(puppet("obedient"))
}

/// An installation whose fetcher obeys the page. What it says is final: nothing is tried twice.
fn stage(timeout: &str) -> Stage {
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
    let mut report = serde_json::to_value(honest()).unwrap();
    *report.pointer_mut(place).unwrap() = json!("$VALUE");
    format!("report {}", report.to_string().replace("\"$VALUE\"", value))
}

/// Scans each page and compares state and class; nothing is left afterwards.
fn end(cases: &[(&str, &[&str], &str, Option<&str>)]) -> Vec<Value> {
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

const INVALID: Option<&str> = Some("output_invalid");

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
    let nan = claims("/requests/0/timings/totalMs", "NaN");
    let huge = claims("/usage/runMs", "1e999");
    let long = claims("/usage/runMs", "99999999999999999999");
    let negative = claims("/usage/runMs", "-1");
    let surrogate = claims("/requests/0/statusText", "\"\\ud800\"");
    let other = claims("/attempt", "\"0198c5c0-0000-7000-8000-000000000000/1\"");
    let forged =
        claims("/schema", "1").replacen("report", "report-as 0198c5c0-0000-7000-8000-000000000000/1", 1);
    end(&[
        ("a newer schema", &[&schema, "exit 0"], "FAILED", INVALID),
        ("a status of another type", &[&status, "exit 0"], "FAILED", INVALID),
        ("requests of another type", &[&requests, "exit 0"], "FAILED", INVALID),
        ("no request", &[&none, "exit 0"], "FAILED", INVALID),
        ("not a number", &[&nan, "exit 0"], "FAILED", INVALID),
        ("a number without end", &[&huge, "exit 0"], "FAILED", INVALID),
        ("a number too large", &[&long, "exit 0"], "FAILED", INVALID),
        ("a number below zero", &[&negative, "exit 0"], "FAILED", INVALID),
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

/// Moves the cursor, names the window, clears the screen, in the seven-bit and the eight-bit form, turns the direction
/// of writing round, and ends the line.
const ESCAPES: &str =
    "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt.exe\u{2066}\r\n\u{8}\u{7f}\u{0}<b>,=1+1\"'";

/// What a terminal would obey instead of showing it.
fn obeyed(text: &str) -> Vec<char> {
    let direction = ['\u{200e}', '\u{200f}', '\u{061c}'];
    let bidi = |c: char| ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    text.chars()
        .filter(|&c| (c.is_control() && c != '\n' && c != '\t') || bidi(c) || direction.contains(&c))
        .collect()
}

#[test]
fn terminal_escapes_are_shown_harmlessly_everywhere() {
    assert_eq!(obeyed(ESCAPES).len(), 10, "the check sees them");
    let text = serde_json::to_string(ESCAPES).unwrap();
    let report = claims("/requests/0/statusText", &text)
        .replacen("\"headers\":[]", &format!("\"headers\":[{{\"name\":\"Server\",\"value\":{text}}}]"), 1)
        .replacen("\"url\":\"http://a.test/\"", &format!("\"url\":{text}"), 1);
    let error = claims("/requests/0/error", &format!("{{\"class\":\"tls\",\"message\":{text}}}"));
    let failed = error.replacen("\"status\":200", "\"status\":null", 1);
    let cry = format!("cry {}", hex(&ESCAPES.repeat(3)));
    let pages = [page(&[&report, "exit 0"]), page(&[&cry, &failed, "exit 0"]), page(&[&cry, "exit 9"])];
    let stage = stage("40s");
    let urls = || pages.iter().map(String::as_str);
    harmless("scan", &stage.run(["scan"].into_iter().chain(urls())));
    let ids = stage.query("SELECT id FROM scan_jobs");
    assert_eq!(ids.len(), pages.len());
    harmless("scan --json", &stage.run(["scan", "--json"].into_iter().chain(urls())));

    let mut worker = stage.worker(&[]);
    assert_eq!(stage.run(["submit"].into_iter().chain(urls())).code, Some(0));
    let open = "SELECT count(*) FROM scan_jobs WHERE state IN ('QUEUED','FETCHING','ANALYZING')";
    stage.wait_for(open, "0", Duration::from_secs(120));
    worker.signal("-TERM");
    worker.end();
    assert_eq!(obeyed(&stage.log()), Vec::<char>::new(), "the worker's log: {}", stage.log());

    let mut commands = vec!["jobs list", "jobs list --json", "jobs export", "jobs export --format csv"];
    let of_a_job = ["jobs show", "jobs show --json", "jobs logs", "jobs logs --json"];
    let of_each = ids.iter().flat_map(|row| of_a_job.map(|command| format!("{command} {}", row[0])));
    let of_each: Vec<_> = of_each.collect();
    commands.extend(of_each.iter().map(String::as_str));
    for command in commands {
        harmless(command, &stage.run(command.split(' ')));
    }
    leftovers::none_within(&stage, Duration::from_secs(45));
}

fn harmless(what: &str, ran: &Ran) {
    for (stream, text) in [("stdout", &ran.out), ("stderr", &ran.err)] {
        assert_eq!(obeyed(text), Vec::<char>::new(), "{what}, {stream}: {text:?}");
    }
    assert!(!ran.out.is_empty() || !ran.err.is_empty(), "{what} says nothing");
}
