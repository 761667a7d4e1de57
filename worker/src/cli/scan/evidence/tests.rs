use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use safeurl_protocol::{Content, ErrorClass, Header, HopError, SCHEMA, SideRequest, Timings, Usage};

use super::*;
use crate::cli::scan::sample::judged;
use crate::domain::verdict::VerdictState;

/// A folder of a test's own.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("safeurl-evidence-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn exchange(url: &str, status: Option<u16>, headers: &[(&str, &str)]) -> Exchange {
    Exchange {
        url: url.into(),
        method: "GET".into(),
        status,
        status_text: status.map(|_| "Fine".into()),
        protocol: Some("http/1.1".into()),
        headers: headers
            .iter()
            .map(|(name, value)| Header { name: (*name).into(), value: (*value).into() })
            .collect(),
        mime_type: None,
        size: None,
        encoded_size: None,
        sha256: None,
        redirect: None,
        error: None,
        connection: None,
        timings: Timings::default(),
        tls: None,
        robots: None,
    }
}

const BODY: &[u8] = b"#!/bin/sh\nMZ\0\xff<html>";

fn report() -> Report {
    let mut refused = exchange("https://b.test/", None, &[]);
    refused.error = Some(HopError { class: ErrorClass::Connect, message: "refused".into() });
    let side =
        |purpose, before, url: &str| SideRequest { purpose, before, exchange: exchange(url, Some(200), &[]) };
    Report {
        schema: SCHEMA,
        attempt: "job/1".into(),
        requests: vec![
            exchange(
                "http://a.test/?q=1",
                Some(302),
                &[("Location", "https://b.test/"), ("X-Odd", "a\u{1b}[2J\r\nGET /smuggled\u{202e}")],
            ),
            refused,
        ],
        side: vec![
            side(Purpose::Favicon, 2, "http://a.test/favicon.ico"),
            side(Purpose::Robots, 0, "http://a.test/robots.txt"),
        ],
        content: Some(Content {
            sha256: String::new(),
            md5: None,
            size: 100,
            declared_mime_type: None,
            sniffed_mime_type: None,
            charset: None,
            truncated: false,
            file_name: Some("../../setup.exe".into()),
            name_matches_type: None,
            attachment: true,
            text: None,
        }),
        features: None,
        usage: Usage::default(),
        body: Some(BASE64_STANDARD.encode(BODY)),
    }
}

fn document(host: &str) -> Document {
    let mut document = judged(VerdictState::Unknown);
    document.body.task.domain = Some(host.into());
    document
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn a_scan_s_folder_has_what_was_fetched_and_seen_and_nothing_in_it_can_be_run() {
    let place = Place::new("all");
    let mut keeper = Keeper::open(&place.0.join("new/deep")).expect("made");
    let id = ScanId::fresh();
    keeper.take(&id, &Arc::new(report()));
    keeper.keep(6, &id, &document("A.test"));
    assert!(keeper.finish());

    let folder = place.0.join("new/deep/007-a.test");
    assert_eq!(names(&folder), ["body.bin", "document.json", "headers.txt", "report.json"]);
    assert_eq!(fs::read(folder.join("body.bin")).expect("bytes"), BODY);
    assert_eq!(mode(&folder), 0o700);
    for name in names(&folder) {
        assert_eq!(mode(&folder.join(&name)), 0o600, "{name}");
    }
    let kept: Report =
        serde_json::from_slice(&fs::read(folder.join("report.json")).expect("bytes")).expect("a report");
    assert_eq!(kept, Report { body: None, ..report() });
    let seen: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("document.json")).expect("bytes")).expect("JSON");
    assert_eq!(seen["task"]["domain"], "A.test");
    let expected = "# body.bin: the first 20 of 100 bytes; the rest does not fit sandbox.output_cap\n\n\
        # robots.txt\nGET http://a.test/robots.txt\nHTTP/1.1 200 Fine\n\n\
        # hop 1\nGET http://a.test/?q=1\nHTTP/1.1 302 Fine\nLocation: https://b.test/\n\
        X-Odd: a\\u{1b}[2J\\r\\nGET /smuggled\\u{202e}\n\n\
        # hop 2\nGET https://b.test/\n# connect: refused\n\n\
        # icon\nGET http://a.test/favicon.ico\nHTTP/1.1 200 Fine\n\n";
    assert_eq!(fs::read_to_string(folder.join("headers.txt")).expect("text"), expected);
}

#[test]
fn a_folder_that_is_there_is_left_alone_and_a_scan_without_a_report_has_its_document() {
    let place = Place::new("again");
    for run in 0..3 {
        let mut keeper = Keeper::open(&place.0).expect("there");
        let id = ScanId::fresh();
        if run == 0 {
            keeper.take(&id, &Arc::new(report()));
        }
        keeper.keep(0, &id, &document("a.test"));
        assert!(keeper.finish());
    }
    assert_eq!(names(&place.0), ["001-a.test", "001-a.test-2", "001-a.test-3"]);
    assert_eq!(names(&place.0.join("001-a.test")).len(), 4);
    assert_eq!(names(&place.0.join("001-a.test-2")), ["document.json"]);
}

#[test]
fn what_cannot_be_written_is_told_at_the_end_and_before_the_start() {
    let place = Place::new("lost");
    fs::write(place.0.join("file"), "").expect("written");
    assert!(Keeper::open(&place.0.join("file")).is_err(), "a file is no folder");
    assert!(Keeper::open(&place.0.join("file/below")).is_err());

    let mut keeper = Keeper::open(&place.0.join("gone")).expect("made");
    fs::remove_dir(place.0.join("gone")).expect("removed");
    let id = ScanId::fresh();
    keeper.keep(0, &id, &document("a.test"));
    keeper.keep(1, &id, &document("a.test"));
    assert!(!keeper.finish());

    let mut keeper = Keeper::open(&place.0.join("odd")).expect("made");
    keeper.take(&id, &Arc::new(Report { body: Some("no base64!".into()), ..report() }));
    keeper.keep(0, &id, &document("a.test"));
    assert!(!keeper.finish());
}

#[test]
fn hosts_become_names_that_lead_nowhere_else() {
    for (host, name) in [
        ("Example.COM", "example.com"),
        ("[::1]", "1"),
        ("10.0.0.1", "10.0.0.1"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "unknown"),
        ("..", "unknown"),
        ("-rf", "rf"),
        ("a\0b\nc d", "a-b-c-d"),
        ("b\u{fc}cher.de", "b-cher.de"),
    ] {
        assert_eq!(safe(host), name, "{host}");
    }
}

proptest! {
    #[test]
    fn no_host_leads_out_of_the_folder(host in ".{0,300}", place in 0..usize::MAX) {
        let name = safe(&host);
        prop_assert!(!name.is_empty() && name.len() <= MAX_HOST_BYTES);
        prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)));
        prop_assert!(!name.starts_with(['.', '-']) && !name.ends_with(['.', '-']));
        let folder = format!("{place:03}-{name}");
        prop_assert_eq!(Path::new(&folder).components().count(), 1);
    }
}
