//! Numbers of things: tried for until there are no more, or read where trying would end the probe.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use safeurl_protocol::probe::{ProbeOrder, Seen};

use super::{name, seen, tried};

/// Small: threads of a probe do nothing.
const STACK_BYTES: usize = 64 * 1024;

/// What was started before counts until the kernel has let go of it, so that one refusal says little.
const REFUSALS: u32 = 5;

/// From a refusal to the next try.
const PAUSE: Duration = Duration::from_millis(10);

/// Where the control groups of the second generation are, and below it those of the first.
const GROUPS: &str = "/sys/fs/cgroup";

/// Everything that is counted.
pub(super) fn look(order: &ProbeOrder) -> Vec<Seen> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    vec![
        seen("processes", tried(Command::new("/proc/self/exe").arg("--help").output())),
        seen("descriptors", descriptors(order.descriptors)),
        seen("threads", threads(order.threads)),
        seen("core-files", hard(&limits, "Max core file size")),
        seen("locked-memory", hard(&limits, "Max locked memory")),
        seen("message-queues", hard(&limits, "Max msgqueue size")),
        seen("processor-time", hard(&limits, "Max cpu time")),
        seen("memory", group(&["memory/memory.limit_in_bytes", "memory.max"])),
        seen("swap", swap()),
        seen("processor-share", share()),
    ]
}

/// The highest number of a file that could be opened, plus one; all numbers below it are in use.
fn descriptors(most: u64) -> String {
    let mut held = Vec::new();
    for _ in 0..most {
        match File::open("/proc/self/status") {
            Ok(file) => held.push(file),
            Err(error) if error.raw_os_error() == Some(24) => break,
            Err(error) => return format!("refused: {}", name(&error)),
        }
    }
    held.last().map_or_else(|| "0".to_owned(), |file| (file.as_raw_fd() + 1).to_string())
}

/// How many threads there were at once, the first included.
fn threads(most: u64) -> String {
    let gate = Arc::new(RwLock::new(()));
    // Nobody panics while holding it.
    let Ok(closed) = gate.write() else { return "not tried".to_owned() };
    let mut held = Vec::new();
    let mut refusals = 0;
    while (held.len() as u64) + 1 < most && refusals < REFUSALS {
        let gate = Arc::clone(&gate);
        let waits = move || drop(gate.read());
        match thread::Builder::new().stack_size(STACK_BYTES).spawn(waits) {
            Ok(thread) => held.push(thread),
            Err(_) => {
                refusals += 1;
                thread::sleep(PAUSE);
            }
        }
    }
    let count = held.len() + 1;
    drop(closed);
    for thread in held {
        // One that panicked is over as well.
        let _ = thread.join();
    }
    count.to_string()
}

/// A hard limit by its name in `/proc/self/limits`.
fn hard(limits: &str, limit: &str) -> String {
    let line = limits.lines().find_map(|line| line.strip_prefix(limit));
    line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("not shown").to_owned()
}

/// The first of these files of the control group that is there.
fn group(files: &[&str]) -> String {
    let found = files.iter().find_map(|file| fs::read_to_string(format!("{GROUPS}/{file}")).ok());
    found.map_or_else(|| "not shown".to_owned(), |text| text.trim().to_owned())
}

/// Bytes beyond the memory itself.
fn swap() -> String {
    let both = group(&["memory/memory.memsw.limit_in_bytes"]);
    let memory = group(&["memory/memory.limit_in_bytes"]);
    match (both.parse::<u64>(), memory.parse::<u64>()) {
        (Ok(both), Ok(memory)) => both.saturating_sub(memory).to_string(),
        _ => group(&["memory.swap.max"]),
    }
}

/// In thousandths of a processor.
fn share() -> String {
    let (quota, period) = (group(&["cpu/cpu.cfs_quota_us"]), group(&["cpu/cpu.cfs_period_us"]));
    per_thousand(&group(&["cpu.max"])).or_else(|| per_thousand(&format!("{quota} {period}"))).unwrap_or(quota)
}

/// A quota and its period, as the second generation writes them.
fn per_thousand(text: &str) -> Option<String> {
    let (quota, period) = text.split_once(' ')?;
    let (quota, period) = (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?);
    Some((quota.saturating_mul(1000).checked_div(period)?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_quota_of_a_period_and_nothing_else_is_one() {
        assert_eq!(per_thousand("50000 100000").as_deref(), Some("500"));
        for none in ["max 100000", "-1 100000", "not shown", "not shown not shown", "1 0", ""] {
            assert_eq!(per_thousand(none), None, "{none}");
        }
    }

    #[test]
    fn a_limit_is_read_from_its_own_line() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax core file size   0   5   bytes\n";
        assert_eq!(
            (hard(limits, "Max core file size"), hard(limits, "Max cpu time")),
            ("5".into(), "not shown".into())
        );
    }
}
