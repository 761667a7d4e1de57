//! The unit as systemd runs it: its restrictions hold, and the work is done under them.

use std::fs;

use crate::gate::Gate;
use crate::site::{Site, article};
use crate::systemd::{Systemd, UNIT};

/// A line of `/proc/<pid>/status`, without its key.
fn status(pid: u32, key: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.expect("a line of that name").trim().to_owned()
}

#[test]
fn a_worker_of_the_unit_scans_with_no_right_beyond_its_group() {
    let site = Site::start(article);
    let mut own = Systemd::boot();
    own.safeurl(&["submit", &site.url("/page")]);
    own.wait_for("the job is completed", |own| own.state() == "COMPLETED");
    assert_eq!(site.hits("/page"), 1);

    let [worker, gateway] = ["worker", "gateway"].map(|command| own.processes(command));
    assert_eq!((worker.len(), gateway.len()), (1, 1));
    for pid in [worker[0], gateway[0]] {
        assert!(!status(pid, "Uid").split_whitespace().any(|uid| uid == "0"), "no root");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status(pid, set), "0000000000000000", "{set}");
        }
        assert_eq!((status(pid, "NoNewPrivs"), status(pid, "Seccomp")), ("1".into(), "2".into()));
    }

    own.systemctl(&["stop", UNIT]);
    let shown = |property| own.systemctl(&["show", "--value", "--property", property, UNIT]);
    assert_eq!((shown("ActiveState").trim(), shown("Result").trim()), ("inactive", "success"));
    own.wait_for("no process is left", |own| own.processes("gateway").is_empty());
    let left = fs::read_dir(&own.run_dir).expect("the folder stays").count();
    assert_eq!(left, 0, "no socket and no ledger is left");
}

#[test]
fn a_worker_of_the_unit_that_is_killed_leaves_its_gateway_to_the_next() {
    let gate = Gate::default();
    let held = gate.clone();
    let site = Site::start(move |path| {
        held.wait();
        article(path)
    });
    let mut own = Systemd::boot();
    own.safeurl(&["submit", &site.url("/page")]);
    own.wait_for("the page is asked for", |_| site.hits("/page") == 1);
    let gateway = own.processes("gateway");

    own.systemctl(&["kill", "--kill-whom=main", "--signal=KILL", UNIT]);
    own.wait_for("systemd has seen it", |own| {
        own.systemctl(&["show", "--property=SubState", UNIT]).contains("auto-restart")
    });
    assert!(own.processes("worker").is_empty());
    assert_eq!(own.processes("gateway"), gateway, "who serves the scan lives on");
    gate.open();
    own.wait_for("the next worker has completed the job", |own| own.state() == "COMPLETED");
    assert_eq!(site.hits("/page"), 1, "its scan was adopted");
    let folders = |own: &Systemd| fs::read_dir(&own.run_dir).expect("the folder").count();
    own.wait_for("the folder of the killed one is gone", |own| folders(own) == 1);
    assert_eq!(own.processes("gateway").len(), 1, "and its gateway");
}
