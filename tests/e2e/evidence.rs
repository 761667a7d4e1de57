//! `scan --evidence`: what was fetched is in a folder, and nowhere else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::site::{Answer, Site, article};
use crate::stage::Stage;

/// Says nothing to a shell, a browser or a database; nothing else looks like it.
const PAGE: &str = "<!doctype html><title>kept</title><p>wholly-unmistakable-body-4711";

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_bytes_of_a_page_are_kept_in_the_folder_and_nowhere_else() {
    let site = Site::start(|path| match path {
        "/old" => Answer::Head(302, vec![("Location", "/new".into()), ("X-Hop", "first".into())]),
        "/new" => Answer::Html(PAGE.to_owned()),
        _ => Answer::Head(404, Vec::new()),
    });
    let stage = Stage::new();
    let url = site.url("/old");
    let mut command = stage.command(["scan", &url, "--json", "--evidence", "kept/here"]);
    command.env("SAFEURL_LOG_LEVEL", "trace");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let folder = stage.dir.join("kept/here/001-127.0.0.1");
    assert_eq!(names(&folder), ["body.bin", "document.json", "headers.txt", "report.json"]);
    assert_eq!(fs::read_to_string(folder.join("body.bin")).unwrap(), PAGE);
    for name in names(&folder) {
        let mode = fs::metadata(folder.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let headers = fs::read_to_string(folder.join("headers.txt")).unwrap();
    assert!(headers.contains(&format!("GET {url}\nHTTP/1.1 302 Status\n")), "{headers}");
    assert!(headers.contains("X-Hop: first\n") && headers.contains("# hop 2\n"), "{headers}");
    let report = json(&folder.join("report.json"));
    assert_eq!(report["features"]["title"], "kept");
    assert_eq!(report.get("body"), None);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json(&folder.join("document.json")), printed);

    let marks = ["unmistakable-body-4711".to_owned(), base64_of(PAGE)];
    let database =
        ["scans.db", "scans.db-wal"].map(|name| fs::read(stage.dir.join(name)).unwrap_or_default());
    for (place, bytes) in
        [("stdout", &output.stdout), ("the log", &output.stderr), ("the database", &database.concat())]
    {
        for mark in &marks {
            let there = bytes.windows(mark.len()).any(|window| window == mark.as_bytes());
            assert!(!there, "{mark} is in {place}");
        }
    }
}

/// The middle of it, which does not depend on how the text ends.
fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(text)[20..60].to_owned()
}

#[test]
fn a_body_that_does_not_fit_the_report_is_kept_in_part_and_the_folder_says_so() {
    let whole: String = (0..60_000).map(|n| format!("line {n:05}\n")).collect();
    let served = whole.clone();
    let site = Site::start(move |_| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            served.len()
        );
        Answer::Raw(format!("{head}{served}").into_bytes())
    });
    let stage = Stage::new();
    let mut command = stage.command(["scan", &site.url("/"), "--json", "--evidence", "kept"]);
    let output = command.env("SAFEURL_SANDBOX_OUTPUT_CAP", "256KiB").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let folder = stage.dir.join("kept/001-127.0.0.1");
    let body = fs::read(folder.join("body.bin")).unwrap();
    assert!(!body.is_empty() && body.len() < 256 * 1024, "{} bytes", body.len());
    assert!(whole.as_bytes().starts_with(&body));
    let headers = fs::read_to_string(folder.join("headers.txt")).unwrap();
    let told = format!("# body.bin: the first {} of {} bytes; ", body.len(), whole.len());
    assert!(headers.starts_with(&told), "{headers}");
    let document = json(&folder.join("document.json"));
    assert_eq!(document["content"]["size"], whole.len());
}

#[test]
fn each_scan_has_a_folder_of_its_own_and_none_is_written_over() {
    let site = Site::start(|_| article("ok"));
    let stage = Stage::new();
    for _ in 0..2 {
        let ran = stage.run(["scan", &site.url("/a"), "http://127.0.0.2:9/", "--json", "--evidence", "kept"]);
        assert_eq!(ran.code, Some(1), "the second is denied: {ran:?}");
    }
    let kept = stage.dir.join("kept");
    assert_eq!(names(&kept), ["001-127.0.0.1", "001-127.0.0.1-2", "002-127.0.0.2", "002-127.0.0.2-2"]);
    let denied = kept.join("002-127.0.0.2");
    assert_eq!(names(&denied), ["document.json", "headers.txt", "report.json"], "there was no body");
    assert!(fs::read_to_string(denied.join("headers.txt")).unwrap().contains("# egress_denied: "));
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_anything_is_fetched() {
    let site = Site::start(|_| article("ok"));
    let stage = Stage::new();
    fs::write(stage.dir.join("file"), "").unwrap();
    let ran = stage.run(["scan", &site.url("/"), "--evidence", "file/below"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(
        ran.err.contains("cannot keep evidence in file/below") && ran.err.contains("\nhint: "),
        "{ran:?}"
    );
    assert_eq!(site.total(), 0);
}
