//! The checklists of docker-bench and amicontained against our own: what they look at, we look at.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use safeurl::sandbox::{Network, seccomp};
use serde_json::Value;

/// The checks of a container that runs; `make test` runs them against one.
const CHECKLIST: &str = include_str!("../hostile/checklist.rs");

fn read(name: &str) -> String {
    // Relative to the repository, wherever the test runs; an absolute path stays as it is.
    let folder = std::env::var_os("SAFEURL_CORPORA").map_or("../shared/corpora".into(), PathBuf::from);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("sandbox").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_check_of_docker_bench_for_containers_is_on_our_list() {
    let table = read("docker_bench_checks.tsv");
    let ids = table.lines().filter_map(|line| line.split('\t').next());
    let section: Vec<_> = ids.filter(|id| id.starts_with("5.")).collect();
    assert!(section.len() >= 31, "{section:?}");
    for id in section {
        assert!(CHECKLIST.contains(&format!("\"{id}\"")), "{id}");
    }
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
    // Those that escapes are made of.
    for name in
        ["ptrace", "mount", "unshare", "setns", "bpf", "keyctl", "add_key", "open_by_handle_at", "kexec_load"]
    {
        assert!(probed.contains(name) && !allowed.contains(name), "{name}");
    }
}
