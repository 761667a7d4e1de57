//! What the unit's text says, read by systemd's own checkers and held against the program's defaults.

use std::process::{Command, Output};
use std::time::Duration;

use crate::folder::{Folder, text_of};

/// What `systemd-analyze security` may say at most, of 10. Measured: 1.5 with systemd 252. What it counts is that the
/// unit has the network and the group docker, and sees other users, all of which the work takes.
const MOST_EXPOSED: f64 = 1.6;

const UNIT: &str = "config/deploy/safeurl-worker.service";

fn analyze(arguments: &[&str], unit: &Folder) -> Output {
    // The program is where this test has it; everything else is as it is installed.
    let text = text_of(UNIT).replace("/usr/local/bin/safeurl", env!("CARGO_BIN_EXE_safeurl"));
    let path = unit.write("safeurl-worker.service", &text);
    Command::new("systemd-analyze").args(arguments).arg(path).output().expect("systemd-analyze is installed")
}

/// The value of a line of the unit.
fn value(key: &str) -> String {
    let unit = text_of(UNIT);
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.next().unwrap_or_else(|| panic!("the unit has no {key}")).to_owned()
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let checked = analyze(&["verify"], &Folder::new());
    let said = String::from_utf8_lossy(&checked.stderr);
    // Of other units of this machine it may say what it wants.
    let of_ours: Vec<&str> = said.lines().filter(|line| line.contains("safeurl")).collect();
    assert!(checked.status.success() && of_ours.is_empty(), "{said}");
}

#[test]
fn the_unit_is_exposed_as_little_as_was_measured() {
    let checked = analyze(&["security", "--offline=true", "--no-pager"], &Folder::new());
    let report = String::from_utf8_lossy(&checked.stdout);
    let level = report.lines().find_map(|line| line.split_once("Overall exposure level")?.1.split_once(": "));
    let (_, level) = level.expect("a level");
    let level: f64 = level.split(' ').next().expect("a number").parse().expect("a number");
    assert!(level <= MOST_EXPOSED, "{report}");
}

#[test]
fn the_unit_stops_later_than_a_worker_drains() {
    let defaults: toml::Table = text_of("config/safeurl.toml").parse().expect("the defaults are TOML");
    let grace = defaults["worker"]["drain_grace"].as_str().expect("a duration");
    let grace = humantime::parse_duration(grace).expect("a duration");
    let stop = humantime::parse_duration(&value("TimeoutStopSec")).expect("a duration");
    // The room is for killing and removing what the grace has not ended.
    assert!(stop >= grace + Duration::from_secs(15), "{stop:?} is not enough for {grace:?}");
}

#[test]
fn the_unit_makes_the_folders_that_its_settings_name() {
    let unit = text_of(UNIT);
    let runtime = format!("\nEnvironment=SAFEURL_SANDBOX_RUN_DIR=/run/{}\n", value("RuntimeDirectory"));
    let state = format!("\nEnvironment=SAFEURL_DATABASE_URL=file:/var/lib/{}/", value("StateDirectory"));
    assert!(unit.contains(&runtime) && unit.contains(&state), "{unit}");
}
