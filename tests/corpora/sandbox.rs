//! The lists of docker-bench, CDK and amicontained, and Docker's own filter, against our lists: a line without a row is
//! told. The checks of the rows run here as well, on containers of ours.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

#[path = "../hostile/calls.rs"]
mod calls;
#[path = "../hostile/cell.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod cell;
#[path = "../hostile/checklist.rs"]
mod checklist;
#[path = "../hostile/escapes.rs"]
mod escapes;
#[path = "../support/engine.rs"]
#[expect(dead_code, reason = "other tests use it")]
mod own_engine;
#[path = "../sandbox/support.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;
/// Public, since other tests use parts of it that this one does not.
#[path = "tally.rs"]
pub mod tally;

use std::collections::BTreeSet;

use safeurl::sandbox::{Network, seccomp};
use serde_json::Value;

fn read(name: &str) -> String {
    tally::text(&format!("sandbox/{name}"))
}

/// The lines of a list and the rows of ours, which are the same.
fn alike<'a>(lines: impl Iterator<Item = &'a str>, rows: &[escapes::Row]) {
    let lines: Vec<_> = lines.collect();
    let rows: Vec<_> = rows.iter().map(|row| row.0).collect();
    assert!(lines.len() >= 10, "{lines:?}");
    for line in &lines {
        assert!(rows.contains(line), "no row for {line}");
    }
    for row in rows {
        assert!(lines.contains(&row), "no line for {row}");
    }
}

#[test]
fn every_finding_of_cdk_has_its_row() {
    alike(read("cdk_evaluate_checks.txt").lines().map(|line| line.trim_matches('"')), escapes::EVALUATE);
}

#[test]
fn everything_in_the_tables_of_cdk_has_its_row() {
    let text = read("cdk_README_checklist.md");
    // Tactic, technique and name of an exploit; tactic and name of what it evaluates; name of a tool.
    let columns = [("Tactics", 1), ("Tactic", 2), ("Command", 0)];
    let mut column = None;
    let mut names = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('|') || line.is_empty()) {
        let cells: Vec<_> = line.split('|').skip(1).map(str::trim).collect();
        match cells.first() {
            None => column = None,
            Some(first) if first.starts_with("--") => {}
            Some(first) => match (columns.iter().find(|(head, _)| head == first), column) {
                (Some((_, place)), _) => column = Some(*place),
                (None, Some(place)) => names.push(cells[place]),
                (None, None) => panic!("a table of which nothing is known: {line}"),
            },
        }
    }
    assert_eq!(names.len(), text.lines().filter(|line| line.starts_with('|')).count() - 2 * columns.len());
    alike(names.into_iter(), escapes::FEATURES);
}

/// What the other sections of the benchmark are about, by the first part of an item's number.
const SECTIONS: &[(&str, &str)] = &[
    ("1", "the host"),
    ("2", "the engine's settings"),
    ("3", "files of the engine on the host"),
    ("6", "how many images and containers the host keeps"),
    ("7", "swarm mode"),
    ("99", "the heading of the community's"),
];

#[test]
fn every_item_of_the_docker_benchmark_has_its_row() {
    let table = read("docker_bench_checks.tsv");
    let ids: Vec<_> = table.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    assert!(ids.len() >= 130, "{ids:?}");
    let of_containers: BTreeSet<_> = checklist::ITEMS
        .iter()
        .map(|item| item.id)
        .chain(checklist::ELSEWHERE.iter().map(|(id, _)| *id))
        .collect();
    for id in ids {
        let section = id.split('.').next().unwrap_or_default();
        let has = match section {
            "4" | "C" => escapes::BENCH.iter().any(|row| row.0 == id),
            "5" => id == "5" || of_containers.contains(id),
            _ => SECTIONS.iter().any(|row| row.0 == section),
        };
        assert!(has, "no row for {id}");
    }
}

/// What Docker's own filter lets through for a program without capabilities is more than what ours does.
#[test]
fn nothing_is_allowed_that_docker_itself_refuses() {
    let theirs: Value = serde_json::from_str(&read("moby_seccomp_default.json")).expect("JSON");
    let free = |entry: &&Value| entry["action"] == "SCMP_ACT_ALLOW" && entry["includes"]["caps"].is_null();
    let theirs: BTreeSet<_> = names(theirs["syscalls"].as_array().expect("a list").iter().filter(free));
    let ours: Value = serde_json::from_str(&seccomp::profile(Network::None)).expect("JSON");
    let allowed = |entry: &&Value| entry["action"] == "SCMP_ACT_ALLOW";
    let ours = names(ours["syscalls"].as_array().expect("a list").iter().filter(allowed));
    assert!(ours.len() * 4 < theirs.len(), "{} of {}", ours.len(), theirs.len());
    assert_eq!(ours.difference(&theirs).collect::<Vec<_>>(), Vec::<&&str>::new());
}

fn names<'a>(entries: impl Iterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    entries.flat_map(|entry| entry["names"].as_array().expect("names")).filter_map(Value::as_str).collect()
}

/// What amicontained tries that a fetcher needs. All else it must find blocked.
#[test]
fn what_amicontained_would_find_open_is_what_our_list_names() {
    let profile: Value = serde_json::from_str(&seccomp::profile(Network::None)).expect("JSON");
    let entries = profile["syscalls"].as_array().expect("a list").iter();
    let allowed = entries.filter(|entry| entry["action"] == "SCMP_ACT_ALLOW");
    let allowed: BTreeSet<_> = allowed
        .flat_map(|entry| entry["names"].as_array().expect("names"))
        .filter_map(Value::as_str)
        .collect();
    let probed: BTreeSet<_> =
        read("amicontained_probed_syscalls.txt").lines().map(|line| line[4..].to_lowercase()).collect();
    let blocked = probed.iter().filter(|name| !allowed.contains(name.as_str())).count();
    assert!(
        probed.len() > 300 && blocked * 4 > probed.len() * 3,
        "{blocked} of {} are blocked",
        probed.len()
    );
    // What is open is there for somebody who is named; all else is tried on a container by the tests of `calls`.
    let reasons: Value = serde_json::from_str(include_str!("../../config/seccomp.json")).expect("JSON");
    for name in probed.iter().filter(|name| allowed.contains(name.as_str())) {
        let mut entries = reasons["syscalls"].as_array().expect("a list").iter();
        let named = |entry: &Value| {
            entry["names"].as_array().is_some_and(|names| names.contains(&name.as_str().into()))
        };
        let entry = entries.find(|entry| named(entry));
        let reason = entry.and_then(|entry| entry["comment"].as_str());
        assert!(reason.is_some_and(|reason| !reason.is_empty()), "no reason for {name}");
    }
    // Those that escapes are made of.
    for name in
        ["ptrace", "mount", "unshare", "setns", "bpf", "keyctl", "add_key", "open_by_handle_at", "kexec_load"]
    {
        assert!(probed.contains(name) && !allowed.contains(name), "{name}");
    }
}
