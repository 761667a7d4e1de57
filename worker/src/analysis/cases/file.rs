//! Cases of the rules about files and about the ledger.

use safeurl_protocol::ledger::Decision;

use super::{Pair, file, page};
use crate::analysis::sample::Sample;

const PROGRAM: &str = "application/x-msdownload";
const PDF: &str = "application/pdf";
const SITE: &str = "https://harbour.example/";

fn at(url: &str, sniffed: &str) -> Sample {
    Sample::file(url, sniffed)
}

pub(super) const PAIRS: &[Pair] = &[
    (
        "download-program",
        || at("https://harbour.example/x", PROGRAM),
        || at("https://harbour.example/x.exe", PDF),
    ),
    (
        "download-script",
        || at("https://harbour.example/x.vbs", "text/plain"),
        || at("https://harbour.example/x.js", "text/plain"),
    ),
    (
        "download-archive",
        || at("https://harbour.example/x", "application/zip"),
        || at("https://harbour.example/x", PDF),
    ),
    (
        "download-disguised-program",
        || at("https://harbour.example/invoice.pdf", PROGRAM),
        || at("https://harbour.example/invoice.pdf", PDF),
    ),
    (
        "download-double-ending",
        || at("https://harbour.example/invoice.pdf.exe", PROGRAM),
        || at("https://harbour.example/invoice.v2.exe", PROGRAM),
    ),
    ("download-from-address", || at("https://192.0.2.7/x", PROGRAM), || at("https://192.0.2.7/x.pdf", PDF)),
    (
        "download-plain",
        || at("http://harbour.example/x", PROGRAM),
        || at("https://harbour.example/x", PROGRAM),
    ),
    ("thin-file", || at("https://harbour.example/x", PDF), || at("https://harbour.example/x", "image/png")),
    (
        "ledger-disagrees",
        || page(SITE, |s| s.ledger.entries[0].host = "other.example".into()),
        || page(SITE, |s| s.ledger.entries[0].host = "HARBOUR.example.".into()),
    ),
    (
        "ledger-unreported-connection",
        || {
            page(SITE, |s| {
                let mut entry = s.ledger.entries[0].clone();
                entry.seq = 2;
                entry.host = "command.example".into();
                s.ledger.entries.push(entry);
            })
        },
        // The deadline passed before the gateway's answer reached the fetcher.
        || {
            page(SITE, |s| {
                s.hop("https://slow.example/", None);
                s.last().connection = None;
            })
        },
    ),
    (
        "ledger-denied",
        || {
            page(SITE, |s| {
                s.hop("https://inside.example/", None);
                let entry = s.ledger.entries.last_mut().expect("an entry");
                entry.decision = Decision::Denied;
                entry.dialed = None;
            })
        },
        || {
            page(SITE, |s| {
                s.hop("https://down.example/", None);
                s.ledger.entries.last_mut().expect("an entry").dialed = None;
            })
        },
    ),
    (
        "ledger-budget",
        || page(SITE, |s| s.ledger.exhausted = Some("bytes-in".into())),
        || file(SITE, PDF, |_| {}),
    ),
];

/// What a container might change in its report, or what the ledger might say against it.
type Lie = fn(&mut Sample);

#[test]
fn a_report_that_contradicts_the_ledger_in_any_way_is_caught() {
    let lies: [(&str, Lie); 5] = [
        ("a connection never made", |s| s.last().connection = Some(7)),
        ("another port", |s| s.ledger.entries[0].port = 8443),
        ("an answer without a connection", |s| s.last().connection = None),
        ("an answer through a refused connection", |s| s.ledger.entries[0].decision = Decision::Denied),
        ("an answer from where nobody was reached", |s| s.ledger.entries[0].dialed = None),
    ];
    for (what, lie) in lies {
        let sample = page(SITE, lie);
        assert!(sample.fires("ledger-disagrees"), "{what}");
    }
    let unwatched = page(SITE, |s| {
        s.last().connection = None;
        s.ledger = safeurl_protocol::ledger::Ledger::default();
    });
    assert!(!unwatched.fires("ledger-disagrees"), "without a gateway there is nothing to disagree with");
}
