//! Cases of the rules about files and about the ledger.

use safeurl_protocol::ledger::Decision;
use safeurl_protocol::{Purpose, SideRequest};

use super::{Pair, file, page};
use crate::analysis::sample::Sample;

const PROGRAM: &str = "application/x-msdownload";
const PDF: &str = "application/pdf";
const SITE: &str = "https://harbour.example/";

fn at(url: &str, sniffed: &str) -> Sample {
    Sample::file(url, sniffed)
}

fn named(name: &str, sniffed: &str) -> Sample {
    file(SITE, sniffed, |s| s.content().file_name = Some(name.to_owned()))
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
    (
        "download-hidden-ending",
        || named("invoice\u{202e}fdp.exe", PROGRAM),
        || named("\u{200f}\u{5d7}\u{5e9}\u{5d1}\u{5d5}\u{5df}.exe", PROGRAM),
    ),
    (
        "download-name-mismatch",
        || {
            file("https://harbour.example/a.pdf", "application/zip", |s| {
                s.content().name_matches_type = Some(false)
            })
        },
        || {
            file("https://harbour.example/a.png", "image/jpeg", |s| {
                s.content().name_matches_type = Some(false)
            })
        },
    ),
    (
        "download-disc-image",
        || at("https://harbour.example/x", "application/x-iso9660-image"),
        || at("https://harbour.example/x", "application/x-apple-diskimage"),
    ),
    (
        "download-macros",
        || at("https://harbour.example/x", "application/vnd.ms-word.document.macroEnabled.12"),
        || at("https://harbour.example/x", "application/msword"),
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
fn a_connection_made_for_robots_or_an_icon_is_a_reported_one() {
    let beside = |said: &str| {
        let mut sample = page(SITE, |s| {
            s.hop("https://icons.example/favicon.ico", Some(200));
        });
        let mut exchange = sample.report.requests.pop().expect("it was added");
        exchange.url = said.into();
        sample.report.side.push(SideRequest { purpose: Purpose::Favicon, before: 1, exchange });
        sample
    };
    let honest = beside("https://icons.example/favicon.ico");
    assert!(!honest.fires("ledger-unreported-connection") && !honest.fires("ledger-disagrees"));
    let lie = beside("https://elsewhere.example/favicon.ico");
    assert!(lie.fires("ledger-unreported-connection") && lie.fires("ledger-disagrees"));
}

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

#[test]
fn a_name_is_read_as_the_one_who_opens_it_reads_it() {
    for (name, rule) in [
        ("invoice.pdf .exe", "download-double-ending"),
        ("invoice.pdf.exe. ", "download-double-ending"),
        ("invoice.pdf            .exe", "download-hidden-ending"),
        ("invoice\u{2067}fdp.scr", "download-hidden-ending"),
        ("invoice.pdf ", "download-disguised-program"),
        ("invoice.p\u{202d}df", "download-disguised-program"),
    ] {
        assert!(named(name, PROGRAM).fires(rule), "{name:?} {rule}");
    }
    assert!(!named("my  new file.exe", PROGRAM).fires("download-hidden-ending"));
}

#[test]
fn what_runs_when_opened_is_a_script_by_its_bytes() {
    for kind in
        ["application/hta", "application/x-powershell", "application/x-mswinurl", "application/onenote"]
    {
        assert!(at(SITE, kind).fires("download-script"), "{kind}");
        let disguised = file("https://harbour.example/invoice.pdf", kind, |s| {
            s.content().name_matches_type = Some(false);
        });
        assert!(disguised.fires("download-disguised-program"), "{kind}");
        let shown = file("https://harbour.example/invoice.txt", kind, |s| {
            s.content().name_matches_type = Some(false);
        });
        assert!(!shown.fires("download-disguised-program"), "{kind}");
    }
}

#[test]
fn a_program_with_a_page_inside_is_a_program() {
    let both = page("https://harbour.example/x", |s| s.content().sniffed_mime_type = Some(PROGRAM.into()));
    assert!(both.fires("download-program"));
    let shown = page("https://harbour.example/x", |s| {
        s.content().sniffed_mime_type = Some("text/x-shellscript".into());
    });
    assert!(!shown.fires("download-script"), "a browser shows it");
}
