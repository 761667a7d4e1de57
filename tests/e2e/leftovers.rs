//! Whether anything is left of a test: containers, socket folders, processes.
//!
//! A worker that still runs has one folder, itself and its gateway; it must have no container when it is idle.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::stage::{Stage, Worker};

/// Waits until nothing is left, or says what is.
pub(crate) fn none_within(stage: &Stage, limit: Duration) {
    wait(stage, limit, || everything(stage));
}

/// Whether nothing is left within this time.
pub(crate) fn gone_within(stage: &Stage, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    while !everything(stage).is_empty() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    true
}

/// Waits until nothing is left but what an idle worker needs.
pub(crate) fn none_but_of(worker: &Worker, stage: &Stage, limit: Duration) {
    wait(stage, limit, || {
        let mut left = containers(&stage.instance());
        let folders = folders(&stage.dir.join("run"));
        if folders.len() != 1 {
            left.extend(folders);
        }
        left.extend(processes(&stage.dir, Some(worker.0.id())));
        left
    });
}

/// Waits until no folder and no process is left, of an installation that is gone with its database.
pub(crate) fn nothing_running(stage: &Stage, limit: Duration) {
    wait(stage, limit, || {
        let mut left = folders(&stage.dir.join("run"));
        left.extend(processes(&stage.dir, None));
        left
    });
}

fn wait(stage: &Stage, limit: Duration, look: impl Fn() -> Vec<String>) {
    let until = Instant::now() + limit;
    loop {
        let left = look();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "left behind: {left:#?}\n{}", stage.log());
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn everything(stage: &Stage) -> Vec<String> {
    let mut left = containers(&stage.instance());
    left.extend(folders(&stage.dir.join("run")));
    left.extend(processes(&stage.dir, None));
    left
}

fn containers(instance: &str) -> Vec<String> {
    let filter = format!("label=safeurl.instance={instance}");
    let output = Command::new("docker")
        .args([
            "ps",
            "--all",
            "--no-trunc",
            "--format",
            "container {{.Names}} {{.Status}}",
            "--filter",
            &filter,
        ])
        .output()
        .expect("the docker client");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn folders(run: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(run) else { return Vec::new() };
    entries.flatten().map(|entry| format!("folder {}", entry.path().display())).collect()
}

/// Every process of the test works in its folder; a worker and its children are not counted.
fn processes(dir: &Path, but: Option<u32>) -> Vec<String> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("a process table").flatten() {
        let path = entry.path();
        if !std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == dir) {
            continue;
        }
        let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().parse::<u32>().ok()
        };
        if but.is_some() && (number("Pid:") == but || number("PPid:") == but) {
            continue;
        }
        let line = std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        left.push(format!("process {} {}", entry.file_name().display(), line.replace('\0', " ")));
    }
    left
}
