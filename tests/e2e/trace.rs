//! `scan --trace`: where the time of a real scan goes.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::site::{Site, article};
use crate::stage::Stage;

/// What is done for a scan, from its submit to the removal of its container, in the order in which it begins.
const DONE: [&str; 23] = [
    "submit",
    "oblige",
    "open door",
    "create",
    "create a container",
    "start",
    "attach to a container",
    "start a container",
    "ready line",
    "wait",
    "claim",
    "bind",
    "run",
    "hand over",
    "report",
    "close door",
    "see off",
    "judge",
    "settle",
    "remove",
    "remove a container",
    "note it gone",
    "discard door",
];

/// One part: its name, depth, begin and end.
type Part = (String, u64, i64, i64);

fn parts(trace: &Value) -> Vec<Part> {
    let parts = trace["parts"].as_array().expect("parts").iter();
    let number = |part: &Value, key: &str| part[key].as_i64().expect("a number");
    parts
        .map(|part| {
            let depth = part["depth"].as_u64().expect("a number");
            let name = part["name"].as_str().expect("a name").to_owned();
            (name, depth, number(part, "startUs"), number(part, "endUs"))
        })
        .collect()
}

fn traced(stage: &Stage, url: &str, more: &[&str]) -> Value {
    let mut args = vec!["scan", url, "--json", "--trace", "trace.json"];
    args.extend(more);
    let ran = stage.run(args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = fs::read_to_string(stage.dir.join("trace.json")).expect("the trace is written");
    serde_json::from_str(&text).expect("JSON")
}

/// The time until the result was stored is that of its shares, and most of it has a name.
fn is_explained(trace: &Value) {
    let stored = trace["storedUs"].as_i64().expect("a result was stored");
    let shares = trace["shares"].as_array().expect("shares").iter();
    let shares: BTreeMap<_, _> = shares
        .map(|share| (share["by"].as_str().expect("a name"), share["us"].as_i64().expect("a number")))
        .collect();
    assert_eq!(shares.values().sum::<i64>(), stored, "{shares:?}");
    for by in ["engine", "container", "database", "gateway", "analysis"] {
        assert!(shares.contains_key(by), "nobody waited for the {by}: {shares:?}");
    }
    let between = shares.get("between").copied().unwrap_or_default();
    assert!(between * 2 < stored, "{between} of {stored} us have no name: {shares:?}");
}

#[test]
fn the_trace_of_a_scan_has_every_part_each_within_its_whole_and_explains_the_time() {
    let site = Site::start(|_| article("Traced"));
    let stage = Stage::new();
    let trace = traced(&stage, &site.url("/"), &[]);
    let parts = parts(&trace);
    for name in DONE {
        let found = parts.iter().filter(|part| part.0 == name).count();
        assert!(found > 0, "no {name} in {parts:?}");
    }
    let begin = |name: &str| parts.iter().find(|part| part.0 == name).map(|part| part.2);
    assert_eq!(begin("submit"), Some(0));
    // Making a container and submitting its job begin together.
    for pair in DONE[1..].windows(2).filter(|pair| pair[0] != "wait") {
        assert!(begin(pair[0]) <= begin(pair[1]), "{} before {}: {parts:?}", pair[0], pair[1]);
    }
    let mut wholes: Vec<&Part> = Vec::new();
    for part in parts.iter().filter(|part| !["submit", "look"].contains(&&*part.0)) {
        wholes.truncate(usize::try_from(part.1).expect("a small number"));
        if let Some(whole) = wholes.last() {
            assert!(whole.2 <= part.2 && part.3 <= whole.3, "{part:?} is not within {whole:?}");
        } else {
            assert_eq!(part.0, "attempt", "everything is a part of it");
        }
        wholes.push(part);
    }
    is_explained(&trace);
    let of = |name: &str| parts.iter().find(|part| part.0 == name).expect("it was found before");
    // A report that is judged at once leaves the edge before to the last write.
    if let Some(advance) = parts.iter().find(|part| part.0 == "advance") {
        assert!(of("judge").2 <= advance.2, "it is judged while the edge is written: {parts:?}");
    }
    let removal = parts.iter().skip_while(|part| part.0 != "remove").skip(1);
    let removal: Vec<_> = removal.take_while(|part| part.1 == 2).map(|part| &*part.0).collect();
    assert_eq!(removal, ["remove a container", "note it gone"], "nothing else is asked");
}

#[test]
fn a_warm_scan_is_submitted_when_its_container_waits() {
    let site = Site::start(|_| article("Warm"));
    let stage = Stage::new();
    let trace = traced(&stage, &site.url("/"), &["--warm"]);
    let parts = parts(&trace);
    let of = |name: &str| parts.iter().find(|part| part.0 == name).unwrap_or_else(|| panic!("no {name}"));
    assert!(of("ready line").3 <= 0, "it is ready before the submit: {parts:?}");
    assert!(of("wait").2 <= 0 && of("wait").3 <= of("claim").2, "{parts:?}");
    is_explained(&trace);
    let shown = stage.run(["jobs", "show", &stage.query("SELECT id FROM scan_jobs")[0][0], "--json"]);
    assert_eq!(shown.json()[0]["sandbox"]["warm"], true, "{shown:?}");
}

#[test]
fn the_picture_is_drawn_over_an_older_one_with_the_url_masked() {
    let site = Site::start(|_| article("Drawn"));
    let stage = Stage::new();
    let path = stage.dir.join("scan.SVG");
    fs::write(&path, "an older picture ".repeat(10_000)).expect("a file");
    let url = site.url("/a'b?token=secret");
    let ran = stage.run(["scan", &url, "--trace", "scan.SVG"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let svg = fs::read_to_string(&path).expect("a picture");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "it is one picture and nothing behind it");
    assert!(svg.contains("stored: ") && svg.contains(&site.url("/a&#39;b?…")));
    assert!(!svg.contains("secret") && !svg.contains("older"));
}

#[test]
fn a_trace_that_cannot_be_written_is_refused_before_anything_is_scanned() {
    let site = Site::start(|_| article("Not asked for"));
    let stage = Stage::new();
    let url = site.url("/");
    let folder = stage.dir.join("folder.svg");
    fs::create_dir(&folder).expect("a folder");
    for (file, code, told) in [
        ("missing/scan.svg", 1, "cannot write the trace to missing/scan.svg"),
        ("folder.svg", 1, "cannot write the trace to folder.svg"),
        ("scan.png", 2, "says neither .svg nor .json"),
        ("scan", 2, "says neither .svg nor .json"),
    ] {
        let ran = stage.run(["scan", &url, "--trace", file]);
        assert_eq!((ran.code, &*ran.out), (Some(code), ""), "{ran:?}");
        assert!(ran.err.contains(told) && ran.err.contains("hint: "), "{file}: {}", ran.err);
    }
    let two = stage.run(["scan", &url, &site.url("/2"), "--trace", "scan.svg"]);
    assert_eq!(two.code, Some(2), "{two:?}");
    assert!(two.err.contains("--trace is of one scan, and there are 2 URLs"), "{}", two.err);
    let alone = stage.run(["scan", &url, "--warm"]);
    assert_eq!(alone.code, Some(2), "{alone:?}");
    assert_eq!((site.total(), stage.database().exists()), (0, false), "nothing was begun");
    assert!(!stage.dir.join("scan.svg").exists());
}

#[test]
fn a_scan_that_fails_has_a_trace_and_one_that_cannot_begin_leaves_no_file() {
    let stage = Stage::new();
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let ran = stage.run(["scan", &closed, "--trace", "failed.json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let text = fs::read_to_string(stage.dir.join("failed.json")).expect("the trace is written");
    let trace: Value = serde_json::from_str(&text).expect("JSON");
    let names: Vec<_> = parts(&trace).into_iter().map(|part| part.0).collect();
    for name in ["confirm", "kill", "settle"] {
        assert!(names.iter().any(|there| there == name), "no {name} in {names:?}");
    }
    let stage = stage.with("SAFEURL_SANDBOX_DOCKER_HOST", "unix:///nowhere.sock");
    let none = stage.run(["scan", &closed, "--trace", "none.svg"]);
    assert!(none.code.is_some_and(|code| code != 0), "{none:?}");
    assert!(!stage.dir.join("none.svg").exists(), "nothing was drawn");
}
