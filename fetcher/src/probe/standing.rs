//! Who the process is and what it has: read, not tried.

use std::fs;

use rustix::system::uname;
use safeurl_protocol::probe::Seen;

use super::{list, seen};

/// Everything the kernel tells of a process.
pub(super) fn look() -> Vec<Seen> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let shown = |name| field(name).unwrap_or_else(|| "not shown".to_owned());
    let ids = ["Uid", "Gid"].map(shown);
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let sets = sets.map(|set| (set, shown(set)));
    vec![
        seen("user", only(&ids.join(" "))),
        seen("groups", list(shown("Groups").split_whitespace().map(str::to_owned).collect())),
        seen("capabilities", capabilities(&sets)),
        seen("no-new-privileges", shown("NoNewPrivs")),
        seen("seccomp", shown("Seccomp")),
        seen("host-name", uname().nodename().to_string_lossy()),
        seen("process-ids", process_ids()),
        seen("control-groups", control_groups()),
        seen(
            "environment",
            list(std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()),
        ),
        seen("out-of-memory-first", text("/proc/self/oom_score_adj")),
    ]
}

/// The sets that hold something, or are not shown at all.
fn capabilities(sets: &[(&str, String)]) -> String {
    let held = sets.iter().filter(|(_, bits)| bits.bytes().any(|bit| bit != b'0'));
    list(held.map(|(set, bits)| format!("{set} {bits}")).collect())
}

/// One number where all are the same.
fn only(numbers: &str) -> String {
    let mut each = numbers.split(' ');
    let first = each.next().unwrap_or_default();
    if each.all(|number| number == first) { first.to_owned() } else { numbers.to_owned() }
}

/// Its own number, and those of all that it can see.
fn process_ids() -> String {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    list(numbers.chain([std::process::id()]).map(|number| number.to_string()).collect())
}

/// Where it is in each hierarchy, as it sees it: at the top, where it has a namespace of its own.
fn control_groups() -> String {
    let groups = text("/proc/self/cgroup");
    list(groups.lines().filter_map(|line| line.splitn(3, ':').nth(2)).map(str::to_owned).collect())
}

fn text(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "not shown".to_owned(), |text| text.trim().to_owned())
}
