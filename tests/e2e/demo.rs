//! The demonstration ends as it must, from the binary alone and without a network.

use std::time::Duration;

use crate::leftovers;
use crate::stage::Stage;

#[test]
fn every_row_of_the_demonstration_ends_as_listed_and_nothing_is_left() {
    let stage = Stage::new();
    let mut command = stage.command(["demo"]);
    let output = command.env("TMPDIR", &stage.dir).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let words: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(words.iter().filter(|word| **word == "malicious").count(), 4, "{text}");
    assert!(text.contains("10 URLs: 4 malicious, 3 benign, 1 unknown, 1 failed, 1 timed out"), "{text}");
    assert!(text.ends_with("all 10 scans ended as they must\n"), "{text}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.matches(": fetching").count(), 10, "{told}");
    let left: Vec<_> =
        std::fs::read_dir(&stage.dir).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name == "run"), "{left:?}");
    leftovers::nothing_running(&stage, Duration::from_secs(5));
}
