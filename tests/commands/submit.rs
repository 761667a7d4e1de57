//! What goes with a job into its row.

use serde_json::{Value, json};

use super::place::Place;
use super::submitted;

/// One value of the only row.
fn stored(place: &Place, column: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let database = libsql::Builder::new_local(place.0.join("local.db")).build().await;
        let connection = database.expect("a database").connect().expect("a connection");
        let mut rows = connection.query(&format!("SELECT {column} FROM scan_jobs"), ()).await.expect("rows");
        let row = rows.next().await.expect("an answer").expect("a row");
        match row.get_value(0).expect("a column") {
            libsql::Value::Null => "null".to_owned(),
            libsql::Value::Integer(number) => number.to_string(),
            libsql::Value::Text(text) => text,
            other => format!("{other:?}"),
        }
    })
}

#[test]
fn what_a_job_asks_for_is_in_its_row() {
    let place = Place::new("submit-options");
    let flags = [
        ["--user-agent", "test/1"],
        ["--timeout", "7s"],
        ["--max-redirects", "3"],
        ["--header", "X-A: 1, 2"],
        ["--header", "X-B:3"],
        ["--tag", "reported"],
        ["--tag", "second one"],
        ["--priority", "10"],
    ];
    let arguments: Vec<_> =
        flags.iter().flatten().copied().chain(["--respect-robots", "http://a.example/"]).collect();
    let ended = place.run(&[&["submit"], &arguments[..]].concat());
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let options: Value = serde_json::from_str(&stored(&place, "options")).expect("JSON");
    assert_eq!(
        options,
        json!({
            "userAgent": "test/1",
            "timeoutMs": 7000,
            "maxRedirects": 3,
            "headers": [{"name": "X-A", "value": "1, 2"}, {"name": "X-B", "value": "3"}],
            "respectRobots": true,
            "tags": ["reported", "second one"],
        })
    );
    assert_eq!(stored(&place, "priority"), "10");
    assert_eq!(stored(&place, "ready"), "1");

    let shown = place.run(&["jobs", "show", "--json", ended.out.trim()]);
    let shown: Value = serde_json::from_str(&shown.out).expect("it is JSON");
    assert_eq!(shown["task"]["options"]["respectRobots"], true);
    assert_eq!(shown["task"]["options"]["headers"]["X-A"], "***");
    assert_eq!(shown["task"]["tags"], json!(["reported", "second one"]));
}

#[test]
fn a_job_that_asks_for_nothing_has_no_options_whatever_is_configured_here() {
    let place = Place::new("submit-nothing");
    place.write(
        "safeurl.toml",
        "[fetch]\nuser_agent = \"here\"\nheaders = [\"X-Here: 1\"]\nrespect_robots = true\n",
    );
    submitted(&place, &["http://a.example/"]);
    assert_eq!(stored(&place, "options"), "null");
    assert_eq!(stored(&place, "priority"), "0");
}

#[test]
fn a_delayed_job_waits_for_its_time() {
    let place = Place::new("submit-delay");
    let ended = place.run(&["submit", "--delay", "1h", "http://a.example/"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(stored(&place, "ready"), "0");
    assert_eq!(stored(&place, "run_at - created_ms"), "3600000");
}

#[test]
fn a_wrong_wish_is_told_and_nothing_goes_in() {
    let place = Place::new("submit-wrong");
    for (arguments, expected) in [
        (&["--timeout", "1s"][..], "--timeout"),
        (&["--timeout", "soon"], "--timeout"),
        (&["--max-redirects", "51"], "--max-redirects"),
        (&["--user-agent", "a\nb"], "--user-agent"),
        (&["--header", "Host: x"], "--header"),
        (&["--header", "A: 1", "--header", "a: 2"], "twice"),
        (&["--tag", " "], "--tag"),
        (&["--tag", "a\u{1b}[2J"], "--tag"),
        (&["--priority", "-1"], "--priority"),
        (&["--delay", "367days"], "--delay"),
    ] {
        let ended = place.run(&[&["submit"], arguments, &["http://a.example/"]].concat());
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(expected), "{arguments:?}: {}", ended.err);
        assert!(!ended.err.contains('\u{1b}'), "{arguments:?}: {}", ended.err);
    }
    assert!(!place.0.join("local.db").exists(), "not even a database was made");
}
