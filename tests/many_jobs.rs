//! Looking at many jobs, each command as a process of its own on one file.

#[path = "support/place.rs"]
mod place;
#[path = "e2e/terminal.rs"]
mod terminal;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use place::{Ended, Place};
use serde_json::Value;
use terminal::OnTerminal;

/// Submits these and returns their ids.
fn submitted(place: &Place, urls: &[&str]) -> Vec<String> {
    let ended = place.run(&[&["submit"], urls].concat());
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    ended.out.lines().map(str::to_owned).collect()
}

fn ran(place: &Place, arguments: &[&str]) -> String {
    let ended = place.run(arguments);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{arguments:?}");
    ended.out
}

fn documents(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect()
}

#[test]
fn filters_take_their_words_in_any_case_and_narrow_together() {
    let place = Place::new("many-filters");
    let ids = submitted(&place, &["http://a.example/", "http://www.a.example/", "http://b.example/"]);
    ran(&place, &["jobs", "cancel", &ids[1]]);
    let found = |arguments: &[&str]| {
        let out = ran(&place, &[&["jobs", "list", "--json"], arguments].concat());
        documents(&out).iter().map(|job| job["id"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    for state in ["FAILED", "failed", "Failed"] {
        assert_eq!(found(&["--state", state]), [ids[1].clone()]);
    }
    for state in ["timed-out", "TIMED_OUT", "timed_out"] {
        assert!(found(&["--state", state]).is_empty());
    }
    assert_eq!(found(&["--domain", "A.example"]), [ids[1].clone(), ids[0].clone()]);
    assert_eq!(found(&["--domain", "a.example", "--state", "queued", "--since", "1h"]), [ids[0].clone()]);
    assert_eq!(found(&["--class", "cancelled", "--verdict", "notEvaluated"]), [ids[1].clone()]);
    assert!(found(&["--until", "1h"]).is_empty() && found(&["--user", "nobody"]).is_empty());
    assert_eq!(found(&["--limit", "1", "--after", &ids[2]]), [ids[1].clone()]);
    assert_eq!(found(&["--sort", "domain", "--limit", "1"]), [ids[0].clone()]);
}

#[test]
fn jobs_are_changed_by_what_they_have_in_common() {
    let place = Place::new("many-change");
    submitted(&place, &["http://a.example/", "http://b.example/", "http://c.example/"]);
    let dry = place.run(&["jobs", "cancel", "--state", "queued", "--limit", "2", "--dry-run"]);
    assert_eq!((dry.code, dry.err.as_str()), (Some(0), "2 would be cancelled\n"));
    assert!(dry.out.lines().all(|line| line.contains("would be cancelled (QUEUED, http://")), "{}", dry.out);
    let done = place.run(&["jobs", "cancel", "--state", "queued", "--limit", "2"]);
    assert_eq!(
        (done.code, done.err.as_str(), done.out.lines().count()),
        (Some(0), "2 cancelled or asked to stop\n", 2)
    );
    let again = place.run(&["jobs", "retry", "--class", "cancelled"]);
    assert_eq!((again.code, again.err.as_str(), again.out.lines().count()), (Some(0), "2 queued again\n", 2));
    let none = place.run(&["jobs", "retry", "--class", "cancelled"]);
    assert_eq!((none.code, none.err.as_str(), none.out.as_str()), (Some(0), "0 queued again\n", ""));
    assert_eq!(documents(&ran(&place, &["jobs", "list", "--json", "--state", "queued"])).len(), 3);
}

#[test]
fn an_id_may_be_cut_as_long_as_it_names_one_job() {
    let place = Place::new("many-prefix");
    let ids = submitted(&place, &["http://a.example/", "http://b.example/"]);
    let common = &ids[0][..8];
    let several = place.run(&["jobs", "show", common]);
    assert_eq!((several.code, several.out.as_str()), (Some(1), ""));
    assert!(
        ids.iter().all(|id| several.err.contains(id)) && several.err.contains("\nhint: "),
        "{}",
        several.err
    );
    let one = &ids[0][..ids[0].len() - 2];
    assert!(ran(&place, &["jobs", "show", one]).contains(&ids[0]));
    let short = place.run(&["jobs", "show", &ids[0][..7]]);
    assert!(short.code == Some(1) && short.err.contains("there is no job"), "{}", short.err);
    let shown = ran(&place, &["jobs", "logs", one]);
    assert!(shown.contains("created  http://a.example/ for local"), "{shown}");
}

#[test]
fn an_export_holds_every_job_that_fits_and_appears_complete() {
    let place = Place::new("many-export");
    let urls: Vec<_> = (0..40).map(|n| format!("http://h{n}.example/")).collect();
    let ids = submitted(&place, &urls.iter().map(String::as_str).collect::<Vec<_>>());
    let lines = documents(&ran(&place, &["jobs", "export", "--view", "summary"]));
    let exported: Vec<_> = lines.iter().filter_map(|line| line["job"]["id"].as_str()).collect();
    assert_eq!(exported, ids.iter().rev().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(documents(&ran(&place, &["jobs", "export", "--limit", "17"])).len(), 17);

    place.write("out.csv", "what was there");
    assert_eq!(ran(&place, &["jobs", "export", "--format", "csv", "--output", "out.csv"]), "");
    let text = std::fs::read_to_string(place.0.join("out.csv")).expect("it is there");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().expect("names").get(14), Some("job_id"));
    assert_eq!(reader.records().map(|row| row.expect("a row").len()).collect::<Vec<_>>(), [16; 40]);
    let left = std::fs::read_dir(&place.0).expect("a folder").filter_map(Result::ok);
    assert!(!left.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().ends_with(".part")));
}

#[test]
fn a_watched_listing_tells_what_changes_until_it_is_stopped() {
    let place = Place::new("many-watch");
    let ids = submitted(&place, &["http://a.example/", "http://b.example/"]);
    let mut command = place.safeurl(&["jobs", "list", "--watch", "0.1", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut next =
        || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON") };
    assert_eq!([next()["id"].clone(), next()["id"].clone()], [ids[1].as_str(), ids[0].as_str()]);
    ran(&place, &["jobs", "cancel", &ids[0]]);
    let changed = next();
    assert_eq!((changed["id"].as_str(), changed["state"].as_str()), (Some(ids[0].as_str()), Some("FAILED")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    drop(lines);
    let ended = Ended::from(child.wait_with_output().expect("it ends"));
    assert_eq!((ended.code, ended.err.as_str()), (Some(130), ""));
}

#[test]
fn a_watched_listing_is_drawn_over_itself_and_stays_when_it_is_stopped() {
    const ERASED: &str = "\u{1b}[1A\u{1b}[2K";
    let place = Place::new("many-watch-terminal");
    let ids = submitted(&place, &["http://a.example/", "http://b.example/"]);
    let mut command = place.safeurl(&["jobs", "list", "--watch", "0.1"]);
    command.env("TERM", "xterm-256color");
    let watch = OnTerminal::start(command, 80);
    watch.until(|shown| shown.contains("^C ends") && shown.contains("http://b.example/"));
    ran(&place, &["jobs", "cancel", &ids[0]]);
    watch.until(|shown| shown.contains("FAILED cancelled"));
    watch.interrupt();
    let (code, shown) = watch.end();
    assert_eq!(code, Some(130), "{shown:?}");
    // Heading, two jobs and the line that says how long: what was drawn is taken away, and no more than that.
    let drawings: Vec<_> = shown.split("\r\u{1b}[2K").collect();
    assert!(drawings.len() > 1 && !drawings[0].contains(ERASED), "{shown:?}");
    for drawing in &drawings[1..] {
        assert_eq!(drawing.matches(ERASED).count(), 4, "{shown:?}");
        assert!(drawing.starts_with(&ERASED.repeat(4)), "{shown:?}");
    }
    let last = drawings.last().expect("there are some").trim_start_matches(ERASED);
    assert!(last.contains("JOB") && last.contains("FAILED cancelled"), "{last:?}");
    assert!(last.contains("QUEUED") && last.ends_with("^C ends\u{1b}[0m\r\n"), "{last:?}");
}

#[test]
fn a_listing_for_a_person_has_colours_when_asked_and_says_when_there_is_nothing() {
    let place = Place::new("many-look");
    let on = |arguments: &[&str], columns| {
        let mut command = place.safeurl(arguments);
        command.env("TERM", "xterm-256color");
        OnTerminal::start(command, columns).end()
    };
    ran(&place, &["db", "migrate"]);
    assert_eq!(on(&["jobs", "list"], 80).1, "no jobs yet; `safeurl submit URL` puts one into the queue\r\n");
    assert_eq!(on(&["jobs", "list", "--state", "failed"], 80).1, "no job fits\r\n");
    submitted(&place, &["http://a.example/", "http://b.example/"]);
    let (_, shown) = on(&["jobs", "list", "--limit", "1"], 80);
    assert!(shown.contains("\u{1b}[1mJOB\u{1b}[0m") && shown.contains("(--limit)"), "{shown:?}");
    let (_, narrow) = on(&["jobs", "list", "--color", "never"], 40);
    assert!(!narrow.contains("JOB") && !narrow.contains('\u{1b}'), "{narrow:?}");
    assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow:?}");
    let piped = ran(&place, &["jobs", "list", "--color", "always"]);
    assert!(piped.contains("http://b.example/") && !piped.contains("JOB"), "{piped:?}");
}

#[test]
fn logs_are_followed_until_the_job_is_final() {
    let place = Place::new("many-follow");
    let ids = submitted(&place, &["http://a.example/"]);
    let mut command = place.safeurl(&["jobs", "logs", "--follow", &ids[0]]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert!(first.contains("created"), "{first}");
    ran(&place, &["jobs", "cancel", &ids[0]]);
    let rest: Vec<_> = lines.map(|line| line.expect("text")).collect();
    assert!(rest.len() == 1 && rest[0].contains("QUEUED -> FAILED  refused: cancelled"), "{rest:?}");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_numbers_are_told_for_a_person_and_a_program() {
    let place = Place::new("many-stats");
    let ids = submitted(&place, &["http://a.example/", "http://b.example/"]);
    ran(&place, &["jobs", "cancel", &ids[0]]);
    let stats: Value = serde_json::from_str(&ran(&place, &["stats", "--json"])).expect("it is JSON");
    assert_eq!((&stats["queue"]["depth"], &stats["failures"][0]["name"]), (&1.into(), &"cancelled".into()));
    assert_eq!(stats["queue"]["oldest"]["id"], ids[1]);
    assert_eq!(stats["hours"].as_array().map(Vec::len), Some(24));
    let text = ran(&place, &["stats", "--since", "1h"]);
    assert!(text.contains("  waiting     1") && !text.contains('▇'), "{text}");
}

#[test]
fn completions_are_taken_by_a_shell_and_offer_what_there_is() {
    let place = Place::new("many-completions");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = ran(&place, &["completions", shell]);
        assert!(script.contains("jobs") && !script.contains("demo-site"), "{shell}");
    }
    place.write("completions.bash", &ran(&place, &["completions", "bash"]));
    let bash = |script: &str| {
        let mut command = Command::new("bash");
        let ended =
            command.args(["--norc", "-c", script]).current_dir(&place.0).output().expect("bash starts");
        let ended = Ended::from(ended);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{script}");
        ended.out
    };
    bash("bash -n completions.bash");
    // What readline does at a tab: the words so far, then the function that `complete` names.
    let offered = |words: &str| {
        bash(&format!(
            ". ./completions.bash; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             f=$(complete -p safeurl | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             $f safeurl \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        ))
    };
    assert_eq!(offered("safeurl jobs ex").trim(), "export");
    let states = offered("safeurl jobs list --state ''");
    assert!(states.contains("queued") && states.contains("timed-out"), "{states}");
    assert!(!offered("safeurl ''").contains("gateway"));
}

#[test]
fn the_manual_is_written_a_page_a_command() {
    let place = Place::new("many-man");
    let pages = ran(&place, &["man", "--output", "man1"]);
    assert!(pages.lines().any(|page| page == "man1/safeurl-jobs-list.1"), "{pages}");
    for page in pages.lines() {
        let text = std::fs::read_to_string(place.0.join(page)).expect("it is there");
        assert!(text.contains(".TH "), "{page}");
    }
    assert!(ran(&place, &["man"]).contains(".TH safeurl 1"));
}
