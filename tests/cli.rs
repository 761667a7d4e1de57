//! The program as a process: exit codes, where its words go, what it reads from where it stands.

#[path = "support/place.rs"]
mod place;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use place::{Ended, Place};

#[test]
fn help_and_version_go_to_stdout_and_end_with_zero() {
    let place = Place::new("help");
    for arguments in [&["--help"][..], &["--version"], &["config", "--help"], &["help", "config", "show"]] {
        let ended = place.run(arguments);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(!ended.out.is_empty(), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_asked_for_ends_with_two_and_leaves_stdout_alone() {
    let place = Place::new("usage");
    for arguments in [
        &[][..],
        &["scam"],
        &["config"],
        &["config", "show", "--timeot", "1s"],
        &["config", "show", "--timeout", "1s"],
        &["config", "show", "--config", "missing.toml"],
    ] {
        let ended = place.run(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!ended.err.is_empty(), "{arguments:?}");
    }
    let missing = place.run(&["config", "show", "--config", "missing.toml"]);
    let expected = "error: cannot read the configuration file missing.toml\n  because: No such file or directory (os error 2)\n\
                    hint: --config names another file; without it ./safeurl.toml is read if it is there\n";
    assert_eq!(missing.err, expected);
}

#[test]
fn the_folder_and_the_environment_are_read_in_their_order() {
    let place = Place::new("layers");
    place.write("safeurl.toml", "[worker]\nconcurrency = 2\n[retry]\nmax_attempts = 9\n");
    place.write(".env", "FETCHER_IMAGE=from-dotenv\nSAFEURL_WORKER_CONCURRENCY=3\nNOT_OURS=a b c\n");
    place.write("other.toml", "[retry]\nmax_attempts = 8\n");
    let lines = |command: &mut Command| {
        let ended = Ended::from(command.output().expect("the program starts"));
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let columns = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        ended.out.lines().map(columns).collect::<Vec<_>>()
    };
    let shown = lines(place.safeurl(&["config", "show"]).env("WORKER_CONCURRENCY", "4"));
    for expected in [
        "worker.concurrency 4 environment WORKER_CONCURRENCY",
        "retry.max_attempts 9 ./safeurl.toml:4",
        "sandbox.image from-dotenv .env FETCHER_IMAGE",
    ] {
        assert!(shown.iter().any(|line| line == expected), "{expected} is not in {shown:#?}");
    }
    let shown =
        lines(&mut place.safeurl(&["config", "show", "--config", "other.toml", "--concurrency", "5"]));
    for expected in ["worker.concurrency 5 flag --concurrency", "retry.max_attempts 8 other.toml:2"] {
        assert!(shown.iter().any(|line| line == expected), "{expected} is not in {shown:#?}");
    }
}

#[test]
fn a_line_of_dotenv_about_us_that_cannot_be_read_is_told_with_its_line() {
    let place = Place::new("dotenv");
    place.write(".env", "NOT_OURS=a b\nREDIS_PASSWORD=two words\n");
    let ended = place.run(&["config", "show"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.err.starts_with("error: .env:2: the value of REDIS_PASSWORD cannot be read"),
        "{}",
        ended.err
    );
    assert!(!ended.err.contains("words"), "{}", ended.err);
}

#[test]
fn the_settings_as_json_are_one_document_on_one_line() {
    let place = Place::new("json");
    let ended = place.run(&["config", "show", "--json", "--header", "Cookie: hunter2"]);
    assert_eq!((ended.code, ended.out.lines().count()), (Some(0), 1), "{}", ended.err);
    let document: serde_json::Value = serde_json::from_str(&ended.out).expect("it is JSON");
    let settings = document["settings"].as_array().expect("a list");
    let headers = settings.iter().find(|setting| setting["key"] == "fetch.headers").expect("it is a setting");
    assert_eq!(headers["value"], serde_json::json!(["Cookie: ***"]));
    assert_eq!(headers["origin"], "flag --header added to default");
    assert!(!ended.out.contains("hunter2"));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let place = Place::new("pipe");
    let mut child = place
        .safeurl(&["config", "show"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut first = String::new();
    let mut reader = BufReader::with_capacity(1, child.stdout.take().expect("it is piped"));
    reader.read_line(&mut first).expect("a line comes");
    drop(reader);
    let ended = Ended::from(child.wait_with_output().expect("the program ends"));
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
fn egress_check_answers_a_line_for_each_input_from_arguments_and_stdin() {
    let place = Place::new("egress");
    let ended = place.run(&["egress", "check", "127.0.0.1", "http://0x7f.1:8080/", "example.com", "1.1.1.1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let expected = [
        "127.0.0.1: denied (loopback)",
        "http://0x7f.1:8080/: denied (loopback)",
        "example.com: needs-resolution",
        "1.1.1.1: allowed (global)",
    ];
    assert_eq!(ended.out.lines().collect::<Vec<_>>(), expected);

    place.write("list", "10.0.0.1\r\n\n\u{1b}[2J\n");
    let list = fs::File::open(place.0.join("list")).expect("it was written");
    let mut command = place.safeurl(&["egress", "check", "--json", "--allow-net", "10.0.0.0/8", "-"]);
    let ended = Ended::from(command.stdin(list).output().expect("the program starts"));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let expected = [
        r#"{"input":"10.0.0.1","decision":"allowed","rule":"allow-networks"}"#,
        r#"{"input":"\u001b[2J","decision":"denied","rule":"invalid-target"}"#,
    ];
    assert_eq!(ended.out.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_gateway_is_not_listed_and_refuses_to_run_for_a_person() {
    let place = Place::new("gateway");
    assert!(!place.run(&["--help"]).out.contains("gateway"));
    let ended = place.run(&["gateway"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.starts_with("error: the gateway process ended\n  because: "), "{}", ended.err);
}

#[test]
fn the_demo_site_says_what_to_map_and_ends_with_its_input() {
    let place = Place::new("demo-site");
    assert!(!place.run(&["--help"]).out.contains("demo-site"));
    let ended = place.run(&["demo-site"]);
    assert_eq!((ended.code, ended.out.lines().count()), (Some(0), 1), "{}", ended.err);
    let said: serde_json::Value = serde_json::from_str(&ended.out).expect("it is JSON");
    let rows = said["rows"].as_array().expect("a list");
    assert!(!rows.is_empty());
    for row in rows {
        let host =
            row["url"].as_str().and_then(|url| url.split(['/', ':']).nth(3)).expect("a URL with a host");
        assert_eq!(said["hosts"][host], "127.0.0.1", "{row}");
    }
}
