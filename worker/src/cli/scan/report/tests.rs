//! What a person sees of each kind of scan, at the widths people have, with and without colours.

use std::fmt::Write as _;

use super::super::sample;
use super::*;
use crate::cli::terminal::text::width;

fn look(width: usize, colour: bool) -> Look {
    Look { width, colour, defang: true, terminal: true }
}

/// Without what sets colours; fails on any other escape.
fn stripped(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (codes, rest) = part.strip_prefix('[').and_then(|part| part.split_once('m')).expect("a colour");
        assert!(codes.chars().all(|c| c.is_ascii_digit() || c == ';'), "{codes:?}");
        plain.push_str(rest);
    }
    plain
}

#[test]
fn the_report_of_each_kind_of_scan_is_as_recorded() {
    for (name, document) in sample::all().into_iter().filter(|(name, _)| *name != "hostile") {
        let mut plain = String::new();
        let mut coloured = String::new();
        for width in [60, 80, 120] {
            let _ = write!(plain, "=== {width} columns ===\n{}\n", report(&document, look(width, false)));
            let _ = write!(coloured, "=== {width} columns ===\n{}\n", report(&document, look(width, true)));
        }
        insta::assert_snapshot!(format!("report-{name}"), plain);
        insta::assert_snapshot!(format!("report-{name}-colour"), coloured.replace('\u{1b}', "␛"));
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_and_colours_change_nothing_but_colours() {
    for (name, document) in sample::all() {
        for columns in (40..=200).step_by(7) {
            let plain = report(&document, look(columns, false));
            for line in plain.lines() {
                assert!(width(line) <= columns, "{name} at {columns}: {line:?}");
                assert!(!line.ends_with(' '), "{name} at {columns}: {line:?}");
            }
            let coloured = report(&document, look(columns, true));
            assert_eq!(stripped(&coloured), plain, "{name} at {columns}");
        }
    }
}

#[test]
fn nothing_of_a_page_steers_the_terminal_and_long_lists_are_cut() {
    let text = report(&sample::hostile(), look(100, false));
    let steers = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{2066}');
    assert!(!text.contains(steers), "{text:?}");
    assert!(text.contains(r"\u{1b}[2J") && text.contains("(--json has all)"), "{text}");
    assert!(text.lines().count() < 900, "{} lines", text.lines().count());
}

#[test]
fn dangerous_urls_are_shown_so_that_nobody_follows_them_and_others_as_they_are() {
    let dangerous = report(&sample::malicious(), look(120, false));
    assert!(!dangerous.contains("http://") && !dangerous.contains("https://"), "{dangerous}");
    assert!(dangerous.contains("hxxps://paypal-account-check[.]example/\n"), "{dangerous}");
    let raw = report(&sample::malicious(), Look { defang: false, ..look(120, false) });
    assert!(raw.contains("https://paypal-account-check.example/\n") && !raw.contains("hxxp"), "{raw}");
    let harmless = report(&sample::benign(), look(120, false));
    assert!(harmless.contains("https://harbour-courier.example/tide-tables\n"), "{harmless}");
}

#[test]
fn a_scan_without_a_result_says_why_once_and_what_to_do_and_claims_no_confidence() {
    let text = report(&sample::failed("no connection: connection refused"), look(100, false));
    assert_eq!(text.matches("no connection").count(), 1, "{text}");
    assert!(text.starts_with("NO VERDICT  FAILED  43 ms\n"), "{text}");
    assert!(text.contains("\nconnect in fetch: no connection") && text.contains("\nhint: "), "{text}");
    assert!(!text.contains("confidence"), "{text}");
}

#[test]
fn a_job_that_waits_has_no_verdict_and_says_so() {
    let text = report(&sample::judged(VerdictState::NotEvaluated), look(100, false));
    assert!(text.starts_with("NO VERDICT") && text.contains("\nSentences.\n"), "{text}");
    assert!(!text.contains("confidence"), "{text}");
}

#[test]
fn sizes_are_told_in_the_unit_that_fits() {
    let told = [0, 999, 1_000, 20_725, 999_949, 999_950, 1_482_240, u64::MAX].map(bytes);
    let expected = ["0 B", "999 B", "1.0 kB", "20.7 kB", "999.9 kB", "1.0 MB", "1.5 MB", "18446744.1 TB"];
    assert_eq!(told, expected);
}
