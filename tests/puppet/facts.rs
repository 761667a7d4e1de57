//! Where it is and what it may, seen from the inside: a fact a line on standard error.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// Longest that is read of one file; the tables of a large machine are shorter.
const MOST: u64 = 256 * 1024;

/// Files of a control group that hold a limit, of both generations.
const LIMITS: &[&str] = &[
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "memory.swappiness",
    "memory.oom_control",
    "memory.max",
    "memory.low",
    "memory.swap.max",
    "cpu.shares",
    "cpu.weight",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.max",
    "cpuset.cpus",
    "cpuset.mems",
    "blkio.weight",
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_iops_device",
    "io.max",
    "pids.max",
    "devices.list",
];

pub(crate) fn tell() {
    fact("args", std::env::args().skip(2).collect::<Vec<_>>().join(" "));
    fact(
        "env",
        std::env::vars().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(";"),
    );
    fact("cwd", link("/proc/self/cwd"));
    fact("stdin", link("/proc/self/fd/0").split(':').next().unwrap_or_default());
    fact("pid", std::process::id());
    fact("processes", names("/proc").iter().filter(|name| name.parse::<u32>().is_ok()).count());
    fact("dev", names("/dev").join(","));
    for name in ["hostname", "domainname", "msgmax"] {
        fact(name, text(&format!("/proc/sys/kernel/{name}")));
    }
    fact("lo", text("/sys/class/net/lo/flags"));
    fact("oom_score_adj", text("/proc/self/oom_score_adj"));
    fact("cgroup", text("/proc/self/cgroup"));
    fact("hosts", text("/etc/hosts"));
    fact("resolv", text("/etc/resolv.conf"));
    let mut there = Vec::new();
    files(Path::new("/"), &mut there);
    there.sort();
    fact("files", there.join(","));
    status();
    limits();
    mounts();
    cards();
}

fn fact(name: &str, value: impl std::fmt::Display) {
    eprintln!("{name}={value}");
}

/// A file as one line.
fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("{:?}", error.kind())).trim().replace('\n', ";")
}

fn link(path: &str) -> String {
    fs::read_link(path).map_or_else(|error| format!("{:?}", error.kind()), |to| to.display().to_string())
}

fn names(path: &str) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Everything that is no folder, outside of what the kernel shows of itself. So many are enough to see that it is too many.
fn files(folder: &Path, there: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        let of_the_kernel = ["/proc", "/sys", "/dev"].iter().any(|top| path == Path::new(top));
        if there.len() >= 200 || of_the_kernel {
            continue;
        }
        if kind.is_dir() {
            files(&path, there);
        } else {
            there.push(path.display().to_string());
        }
    }
}

fn status() {
    for line in text("/proc/self/status").split(';') {
        if let Some((name, value)) = line.split_once(':') {
            let facts = [
                "Uid",
                "Gid",
                "Groups",
                "NoNewPrivs",
                "Seccomp",
                "CapInh",
                "CapEff",
                "CapPrm",
                "CapBnd",
                "CapAmb",
            ];
            if facts.contains(&name) {
                fact(name, value.split_whitespace().collect::<Vec<_>>().join(","));
            }
        }
    }
}

fn limits() {
    for line in text("/proc/self/limits").split(';').skip(1) {
        if let Some((name, rest)) = line.split_at_checked(26) {
            let values: Vec<_> = rest.split_whitespace().take(2).collect();
            fact(&format!("limit {}", name.trim()), values.join(","));
        }
    }
    let folders = names("/sys/fs/cgroup").into_iter().map(|name| format!("/sys/fs/cgroup/{name}"));
    for folder in folders.chain(["/sys/fs/cgroup".to_owned()]) {
        for name in LIMITS {
            if let Ok(value) = fs::read_to_string(format!("{folder}/{name}")) {
                // Two names of one folder are one control group.
                fact(&format!("limit {name}"), value.trim().replace('\n', ";"));
            }
        }
    }
}

fn cards() {
    let devices = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let cards: Vec<_> =
        devices.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim).collect();
    fact("cards", cards.join(","));
}

/// Each mount point with its options, its propagation and, of a file system of its own, its limits.
fn mounts() {
    for line in text("/proc/self/mountinfo").split(';') {
        let words: Vec<_> = line.split(' ').collect();
        let Some(end) = words.iter().position(|word| *word == "-") else { continue };
        let (point, options, shared) = (words[4], words[5], words[6..end].len());
        let (kind, more) = (words[end + 1], words.get(end + 3).copied().unwrap_or_default());
        let more = if kind == "tmpfs" { more } else { more.split(',').next().unwrap_or_default() };
        fact(&format!("mount {point}"), format!("{options} shared={shared} {kind} {more}"));
    }
}

/// Which files below /proc and /sys can be read, and in which of them one of the marks stands, given in hexadecimal.
pub(crate) fn walk(marks: &str) {
    for line in found(marks) {
        eprintln!("{line}");
    }
    eprintln!("walked=yes");
}

/// The marks alone, for who keeps little of what is said.
pub(crate) fn search(marks: &str) {
    for line in found(marks).iter().filter(|line| line.starts_with("mark ")) {
        eprintln!("{line}");
    }
    eprintln!("searched=yes");
}

fn found(marks: &str) -> BTreeSet<String> {
    let marks: Vec<Vec<u8>> = marks.split(' ').map(crate::unhex).filter(|mark| !mark.is_empty()).collect();
    let mut found = BTreeSet::new();
    for top in ["/proc", "/sys"] {
        below(Path::new(top), &marks, &mut found);
    }
    found
}

fn below(folder: &Path, marks: &[Vec<u8>], found: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        if kind.is_dir() {
            below(&path, marks, found);
        } else if kind.is_file() {
            let waits = ["kmsg", "trace_pipe"].iter().any(|name| path.ends_with(name));
            let mut bytes = Vec::new();
            let opened = fs::File::open(&path);
            let shown = if waits {
                opened.is_ok()
            } else {
                // What is masked can be opened, and is empty.
                let _ = opened.and_then(|file| file.take(MOST).read_to_end(&mut bytes));
                !bytes.is_empty()
            };
            let group = group(&path);
            if shown {
                found.insert(format!("readable={group}"));
            }
            // Whole names where they are few and stay: of a process and of hardware they come and go.
            if shown && group.starts_with("/proc/") && !group.starts_with("/proc/<pid>") {
                found.insert(format!("file={}", path.display()));
            }
            for (n, mark) in marks.iter().enumerate() {
                if bytes.windows(mark.len()).any(|window| window == mark) {
                    found.insert(format!("mark {n}={group}"));
                }
            }
        }
    }
}

/// The path with the numbers of processes left out, and cut where the kernel's own trees begin.
fn group(path: &Path) -> String {
    let mut words: Vec<_> = path.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if words[0] == "proc" && words.get(1).is_some_and(|word| word.parse::<u32>().is_ok()) {
        words[1] = "<pid>".to_owned();
    }
    if words.get(2).is_some_and(|word| word == "task") {
        words.truncate(3);
    }
    let most = if words[0] == "proc" { 3 } else { 2 };
    words.truncate(most);
    format!("/{}", words.join("/"))
}
