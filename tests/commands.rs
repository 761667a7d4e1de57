//! The commands around a database, each as a process of its own on one file.

#[path = "support/place.rs"]
mod place;
#[path = "commands/redis.rs"]
mod redis;
#[path = "commands/submit.rs"]
mod submit;

use std::fs::File;

use place::{Ended, Place};
use serde_json::Value;

/// Submits these and returns their ids.
fn submitted(place: &Place, urls: &[&str]) -> Vec<String> {
    let ended = place.run(&[&["submit"], urls].concat());
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let ids: Vec<_> = ended.out.lines().map(str::to_owned).collect();
    assert_eq!(ids.len(), urls.len());
    ids
}

fn listed(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let ended = place.run(&[&["jobs", "list", "--json"], arguments].concat());
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    ended.out.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect()
}

#[test]
fn a_database_is_missing_then_migrated_then_left_alone() {
    let place = Place::new("commands-migrate");
    let missing = place.run(&["db", "status"]);
    assert_eq!((missing.code, missing.out.as_str()), (Some(1), ""));
    assert!(
        missing.err.contains("there is no database at")
            && missing.err.contains("\nhint: `safeurl db migrate`")
    );
    let made = place.run(&["db", "migrate"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    assert!(made.out.contains("schema 0 -> "), "{}", made.out);
    let again = place.run(&["db", "migrate"]);
    assert!(again.code == Some(0) && again.out.contains("already"), "{}{}", again.out, again.err);
    let status = place.run(&["db", "status", "--json"]);
    let status: Value = serde_json::from_str(&status.out).expect("it is JSON");
    assert_eq!((&status["kind"], &status["schema"]), (&"ours".into(), &status["known"]));
}

#[test]
fn a_database_that_cannot_be_used_is_told_with_the_code_for_whose_fault_it_is() {
    let place = Place::new("commands-unusable");
    for (url, code, expected) in [
        ("wss://db.example", 2, "is a web socket, which is not spoken"),
        ("mysql://db.example", 2, "has the unknown scheme mysql://"),
        ("file:./no/such/folder/x.db", 1, "cannot be opened"),
        ("file:.", 1, "cannot be opened"),
    ] {
        let ended = place.run(&["submit", "--database", url, "http://example.com/"]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{url}: {}", ended.err);
        assert!(ended.err.starts_with("error: ") && ended.err.contains(expected), "{url}: {}", ended.err);
    }
    place.write(
        "text.db",
        "this is a letter and no database, however long it goes on and on and on and on and on",
    );
    let ended = place.run(&["submit", "--database", "text.db", "http://example.com/"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("is not a database"), "{}", ended.err);
}

#[test]
fn a_bad_line_is_named_and_the_rest_goes_in() {
    let place = Place::new("commands-submit");
    place.write("urls", "http://a.example/\n# a comment\n\nftp://b.example/\nhxxp://c[.]example/\n");
    let from_file = place.run(&["submit", "--file", "urls"]);
    assert_eq!((from_file.code, from_file.out.lines().count()), (Some(2), 2), "{}", from_file.err);
    assert!(from_file.err.starts_with("error: urls: line 4: "), "{}", from_file.err);
    let urls = File::open(place.0.join("urls")).expect("it was written");
    let from_stdin =
        Ended::from(place.safeurl(&["submit", "-"]).stdin(urls).output().expect("the program starts"));
    assert_eq!((from_stdin.code, from_stdin.out.lines().count()), (Some(2), 2));
    assert!(from_stdin.err.starts_with("error: stdin: line 4: "), "{}", from_stdin.err);
    let arguments = place.run(&["submit", "d.example", "\u{1b}[2J", "http://e.example/"]);
    assert_eq!((arguments.code, arguments.out.lines().count()), (Some(2), 2));
    assert!(
        arguments.err.starts_with("error: URL 2: ") && !arguments.err.contains('\u{1b}'),
        "{}",
        arguments.err
    );
    let urls: Vec<_> = listed(&place, &[]).iter().map(|job| job["url"].to_string()).collect();
    assert_eq!(urls.len(), 6, "{urls:?}");
    assert!(urls.iter().all(|url| !url.contains("ftp")), "{urls:?}");
    assert_eq!(place.run(&["submit"]).code, Some(2));
}

#[test]
fn jobs_are_listed_newest_first_and_by_state() {
    let place = Place::new("commands-list");
    let mut ids = submitted(&place, &["http://a.example/", "http://b.example/"]);
    ids.extend(submitted(&place, &["http://c.example/"]));
    let newest = listed(&place, &["--limit", "1"]);
    assert_eq!((newest.len(), newest[0]["id"].as_str()), (1, Some(ids[2].as_str())));
    assert_eq!(place.run(&["jobs", "cancel", &ids[0]]).code, Some(0));
    let failed = listed(&place, &["--state", "failed", "--state", "completed"]);
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (failed[0]["state"].as_str(), failed[0]["failure"]["class"].as_str()),
        (Some("FAILED"), Some("cancelled"))
    );
    let text = place.run(&["jobs", "list"]).out;
    assert!(ids.iter().all(|id| text.contains(id)), "{text}");
}

#[test]
fn a_job_is_cancelled_shown_waited_for_and_queued_again() {
    let place = Place::new("commands-change");
    let ids = submitted(&place, &["http://a.example/"]);
    let id = ids[0].as_str();
    let unfinished = place.run(&["jobs", "wait", "--timeout", "1ms", id]);
    assert_eq!(unfinished.code, Some(1));
    assert!(unfinished.err.contains("not all jobs ended within 1ms"), "{}", unfinished.err);
    let shown = place.run(&["jobs", "show", "--json", id]);
    let shown: Value = serde_json::from_str(&shown.out).expect("it is JSON");
    assert_eq!(
        (shown["job"]["state"].as_str(), shown["task"]["url"].as_str()),
        (Some("QUEUED"), Some("http://a.example/"))
    );

    assert_eq!(place.run(&["jobs", "cancel", id]).code, Some(0));
    let again = place.run(&["jobs", "cancel", id]);
    assert!(again.code == Some(1) && again.err.contains("has ended already: FAILED"), "{}", again.err);
    let waited = place.run(&["jobs", "wait", id]);
    assert_eq!((waited.code, waited.out), (Some(1), format!("{id}  FAILED\n")));
    let summary = place.run(&["jobs", "show", "--json", "--view", "summary", id]);
    let summary: Value = serde_json::from_str(&summary.out).expect("it is JSON");
    assert_eq!(summary["verdict"]["state"], "notEvaluated");
    let text = place.run(&["jobs", "show", id]).out;
    assert!(text.contains("cancelled") && text.contains("QUEUED → FAILED"), "{text}");

    assert_eq!(place.run(&["jobs", "retry", id]).code, Some(0));
    let again = place.run(&["jobs", "retry", id]);
    assert!(again.code == Some(1) && again.err.contains("is QUEUED"), "{}", again.err);
}

#[test]
fn an_id_that_names_nothing_is_an_error_of_its_own() {
    let place = Place::new("commands-unknown");
    submitted(&place, &["http://a.example/"]);
    for command in ["show", "wait", "cancel", "retry"] {
        let ended = place.run(&["jobs", command, "nothing"]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{command}");
        assert!(
            ended.err.contains("no such job") || ended.err.contains("there is no job nothing"),
            "{}",
            ended.err
        );
    }
    assert_eq!(place.run(&["jobs", "show", ""]).code, Some(2));
}

#[test]
fn the_doctor_says_of_each_check_what_was_tried_and_what_to_do() {
    let place = Place::new("commands-doctor");
    place.write(
        "safeurl.toml",
        "[sandbox]\ndocker_host = \"unix:///nowhere/docker.sock\"\nrun_dir = \"/proc/safeurl\"\n",
    );
    let ended = place.run(&["doctor", "--json", "--database", "no/such/folder/x.db"]);
    assert_eq!((ended.code, ended.out.lines().count()), (Some(1), 1), "{}", ended.err);
    let report: Value = serde_json::from_str(&ended.out).expect("it is JSON");
    let checks = report["checks"].as_array().expect("a list");
    let names: Vec<_> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
    assert_eq!(names, ["engine", "limits", "seccomp", "runtime", "image", "database", "gateway", "walls"]);
    for check in checks {
        assert_eq!(check["ok"], false, "{check}");
        for key in ["tried", "saw", "hint"] {
            assert!(check[key].as_str().is_some_and(|text| !text.is_empty()), "{key} of {check}");
        }
    }
}

#[test]
fn the_doctor_finds_a_working_engine_database_and_gateway() {
    let place = Place::new("commands-well");
    let run_dir = std::env::temp_dir().join(format!("safeurl-doctor-{}", std::process::id()));
    place.write("safeurl.toml", &format!("[sandbox]\nrun_dir = \"{}\"\n", run_dir.display()));
    let ended = place.run(&["doctor", "--json"]);
    let _ = std::fs::remove_dir_all(&run_dir);
    let report: Value = serde_json::from_str(&ended.out).expect("it is JSON");
    let well = |name: &str| {
        report["checks"]
            .as_array()
            .is_some_and(|all| all.iter().any(|c| c["name"] == name && c["ok"] == true))
    };
    for name in ["engine", "limits", "seccomp", "runtime", "database", "gateway"] {
        assert!(well(name), "{name}: {report}");
    }
    assert!(!place.0.join("local.db").exists(), "a doctor makes no database");
}

#[test]
fn an_image_that_is_missing_or_not_ours_is_refused_with_the_command_that_mends_it() {
    let place = Place::new("commands-image");
    let missing = place.run(&["image", "show", "--image", "safeurl-test.invalid/nothing:none"]);
    assert_eq!((missing.code, missing.out.as_str()), (Some(1), ""));
    assert!(
        missing.err.contains("is not on the container engine")
            && missing.err.contains("hint: run `")
            && missing.err.contains("and name no other by --image"),
        "{}",
        missing.err
    );
    let down =
        place.safeurl(&["image", "show", "--image", "x"]).env("DOCKER_HOST", "unix:///nowhere.sock").output();
    let down = Ended::from(down.expect("the program starts"));
    assert_eq!(down.code, Some(1));
    assert!(
        down.err.contains("the container engine at unix:///nowhere.sock does not answer")
            && down.err.contains("\nhint: start a Docker engine"),
        "{}",
        down.err
    );
}
