//! Amounts that are none, amounts that nobody has, and disks that are full, through the whole program.

use std::time::Duration;

use safeurl_protocol::{
    Certificate, Content, Favicon, Features, Links, SCHEMA, TextStatistics, Timings, Tls, Usage,
};
use serde_json::{Value, json};

use crate::claims::{INVALID, claims, claims_of, end, page, stage};
use crate::leftovers;

#[test]
fn numbers_that_are_no_amounts_are_invalid_output() {
    let of = |place, value| (format!("{place} is {value}"), claims(place, value));
    let numbers = [
        of("/requests/0/timings/totalMs", "NaN"),
        of("/requests/0/timings/totalMs", "Infinity"),
        of("/usage/runMs", "1e400"),
        of("/usage/runMs", "1.5"),
        // One more than there is room for.
        of("/usage/runMs", "18446744073709551616"),
        of("/usage/cpuMs", "-1"),
        of("/requests/0/size", "-1"),
        of("/requests/0/connection", "-9223372036854775808"),
        of("/requests/0/status", "65536"),
        of("/requests/0/status", "-200"),
        of("/schema", "18446744073709551615"),
    ];
    let steps: Vec<_> = numbers.iter().map(|(_, report)| [report.as_str(), "exit 0"]).collect();
    let cases: Vec<_> = numbers
        .iter()
        .zip(&steps)
        .map(|((name, _), steps)| (name.as_str(), steps.as_slice(), "FAILED", INVALID))
        .collect();
    end(&cases);
}

/// Each number of a report as far from the truth as it can be written.
fn largest() -> String {
    let timings = Timings { tls_ms: Some(u64::MAX), first_byte_ms: Some(u64::MAX), total_ms: u64::MAX };
    let usage = Usage { peak_memory_bytes: Some(u64::MAX), cpu_ms: Some(u64::MAX), run_ms: u64::MAX };
    let content = Content {
        sha256: "0".repeat(64),
        md5: None,
        size: u64::MAX,
        declared_mime_type: None,
        sniffed_mime_type: None,
        charset: None,
        truncated: true,
        file_name: None,
        name_matches_type: None,
        attachment: false,
        text: Some(TextStatistics { words: u64::MAX, language: None, excerpt: String::new() }),
    };
    let features = Features {
        links: Links { total: u64::MAX, list: Vec::new(), capped: true },
        form_count: u64::MAX,
        script_count: u64::MAX,
        password_fields: u64::MAX,
        favicon: Some(Favicon { url: "http://a.test/".into(), sha256: "0".repeat(64), mmh3: i32::MIN }),
        ..Features::default()
    };
    let certificate = Certificate {
        subject: None,
        issuer: None,
        valid_from: Some(i64::MIN),
        valid_to: Some(i64::MAX),
        sha256: "0".repeat(64),
    };
    let tls = Tls {
        protocol: None,
        cipher: None,
        alpn: None,
        verified: true,
        error: None,
        subject: None,
        issuer: None,
        san_list: Vec::new(),
        valid_from: Some(i64::MIN),
        valid_to: Some(i64::MAX),
        sha256: None,
        chain: vec![certificate],
    };
    let text = |value: Value| value.to_string();
    claims_of(&[
        ("/requests/0/timings", &text(json!(timings))),
        ("/requests/0/status", &text(json!(u16::MAX))),
        ("/requests/0/size", &text(json!(u64::MAX))),
        ("/requests/0/encodedSize", &text(json!(u64::MAX))),
        ("/requests/0/connection", &text(json!(u64::MAX))),
        ("/requests/0/tls", &text(json!(tls))),
        ("/usage", &text(json!(usage))),
        ("/content", &text(json!(content))),
        ("/features", &text(json!(features))),
    ])
}

#[test]
fn the_largest_numbers_that_can_be_said_are_kept_and_shown_and_harm_nobody() {
    let stage = stage("40s");
    let url = page(&[&largest(), "exit 0"]);
    let document = stage.run(["scan", "--json", &url]).json().remove(0);
    assert_eq!(document["job"]["state"], "COMPLETED", "{document}");
    assert_eq!(document["content"]["size"], json!(u64::MAX), "{document}");
    let run_ms = document["sandbox"]["runMs"].as_u64().unwrap();
    assert!(run_ms < 60_000, "what it took is measured from outside: {run_ms} ms");

    let id = stage.query("SELECT id FROM scan_jobs")[0][0].clone();
    for command in [
        format!("scan {url}"),
        format!("jobs show {id}"),
        format!("jobs show --json {id}"),
        format!("jobs logs {id}"),
        "jobs list".into(),
        "jobs export".into(),
        "jobs export --format csv".into(),
        "stats".into(),
        "stats --json".into(),
    ] {
        let ran = stage.run(command.split(' '));
        assert!(matches!(ran.code, Some(0 | 1)) && !ran.out.is_empty(), "{command}: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{command}: {ran:?}");
    }
    leftovers::none_within(&stage, Duration::from_secs(45));
}

#[test]
fn a_full_disk_is_the_fetchers_own_trouble_and_its_end_is_classified() {
    let honest = claims("/schema", &SCHEMA.to_string());
    let cases = [
        ("fill-file /tmp/x 10", "exit 3", "10", "nothing", Some("container_crash")),
        ("fill-file /tmp/x 100", "exit 3", "32", "StorageFull", Some("container_crash")),
        ("fill-file /tmp/x 100", "abort", "32", "StorageFull", Some("container_crash")),
        ("fill-file /tmp/x 100", honest.as_str(), "32", "StorageFull", None),
        ("fill-file /x 1", "exit 3", "0", "ReadOnlyFilesystem", Some("container_crash")),
        ("fill-file /run/safeurl/x 1", "exit 3", "0", "ReadOnlyFilesystem", Some("container_crash")),
    ];
    let stage = stage("40s");
    for (fill, last, written, refused, class) in cases {
        let url = page(&[fill, last, "exit 0"]);
        let document = stage.run(["scan", "--json", &url]).json().remove(0);
        let state = if class.is_some() { "FAILED" } else { "COMPLETED" };
        let failure = document["job"]["failure"]["class"].as_str();
        assert_eq!((document["job"]["state"].as_str(), failure), (Some(state), class), "{fill}: {document}");
        let said = stage.query("SELECT stderr FROM attempts ORDER BY ended_ms DESC LIMIT 1")[0][0].clone();
        // Beside a whole report it is not waited for.
        if class.is_some() {
            assert_eq!(said, format!("written={written}\nrefused={refused}\n"), "{fill}");
        }
    }
    leftovers::none_within(&stage, Duration::from_secs(45));
}
