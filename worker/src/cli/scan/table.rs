//! Scans as a table: one row each, reasons strongest first. Pure: what it prints depends on its arguments alone.

use std::fmt::Write as _;

use crate::cli::output::plain;
use crate::domain::document::Document;
use crate::domain::state::State;
use crate::domain::verdict::{Finding, VerdictState};

/// Reasons shown of each scan.
const REASONS: usize = 2;

/// Narrower than this nothing fits; a pipe gets [`WIDE`].
const NARROWEST: usize = 60;

/// Width where there is no terminal.
pub(in crate::cli) const WIDE: usize = 140;

const STATE: usize = 9;
const RISK: usize = 14;
const TIME: usize = 7;
const GAP: &str = "  ";

/// The table, each line ended by a newline. Colours only where a terminal shows them.
pub(in crate::cli) fn table(documents: &[Document], width: usize, colour: bool) -> String {
    let width = width.max(NARROWEST);
    let free = width - STATE - RISK - TIME - 4 * GAP.len();
    let longest = documents.iter().map(|document| printable(&document.body.task.url).chars().count()).max();
    let url = longest.unwrap_or(3).clamp(3, free * 2 / 5);
    let why = free - url;
    let mut text = String::new();
    let heading = line(["URL", "STATE", "RISK", "WHY", "TIME"], [url, STATE, RISK, why, TIME]);
    push(&mut text, &heading, colour.then_some("1"));
    for document in documents {
        for (number, reason) in reasons(document).iter().enumerate() {
            let cells = if number == 0 {
                [
                    fit(&printable(&document.body.task.url), url),
                    document.job.state.as_str().to_owned(),
                    risk(document),
                    fit(reason, why),
                    time(document),
                ]
            } else {
                [String::new(), String::new(), String::new(), fit(reason, why), String::new()]
            };
            let cells = line(cells.each_ref().map(String::as_str), [url, STATE, RISK, why, TIME]);
            push(&mut text, &cells, colour.then(|| shade(document)));
        }
    }
    text
}

fn line(cells: [&str; 5], widths: [usize; 5]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.into_iter().zip(widths) {
        let _ = write!(text, "{cell:<width$}{GAP}");
    }
    text.truncate(text.trim_end().len());
    text
}

fn push(text: &mut String, line: &str, shade: Option<&str>) {
    match shade {
        Some(shade) => {
            let _ = writeln!(text, "\x1b[{shade}m{line}\x1b[0m");
        }
        None => {
            let _ = writeln!(text, "{line}");
        }
    }
}

/// The strongest reasons; a scan without a result has one, its failure, and one that could not be judged says why
/// it could not: what speaks against it a little is not the answer then.
pub(in crate::cli) fn reasons(document: &Document) -> Vec<String> {
    if let Some(failure) = document.job.failure.as_ref().filter(|_| document.job.state != State::Completed) {
        return vec![printable(&format!("{}: {}", failure.class.as_str(), failure.message))];
    }
    let verdict = &document.body.verdict;
    let unknown = verdict.state == VerdictState::Unknown;
    let told = |finding: &&Finding| finding.weight > 0 || unknown && finding.weight == 0;
    let mut findings: Vec<_> = verdict.findings.iter().filter(told).collect();
    if unknown {
        // What keeps a page from being judged has no weight.
        findings.sort_by_key(|finding| finding.weight != 0);
    }
    let reasons: Vec<_> = findings.iter().take(REASONS).map(|finding| printable(&finding.title)).collect();
    if reasons.is_empty() { vec![printable(&verdict.reasoning)] } else { reasons }
}

/// The verdict with its score; a dash where nothing was judged.
pub(in crate::cli) fn risk(document: &Document) -> String {
    let verdict = &document.body.verdict;
    match verdict.state {
        VerdictState::NotEvaluated => "-".to_owned(),
        state => format!("{} {}", state.as_str(), verdict.risk_score.get()),
    }
}

/// From claim to end.
pub(in crate::cli) fn time(document: &Document) -> String {
    let span = document.job.started_at.zip(document.job.finished_at);
    span.map_or_else(
        || "-".to_owned(),
        |(from, to)| {
            let millis = to.millis().saturating_sub(from.millis());
            if millis < 10_000 { format!("{millis} ms") } else { format!("{:.1} s", millis as f64 / 1000.0) }
        },
    )
}

/// SGR parameters by how bad it is.
fn shade(document: &Document) -> &'static str {
    match document.body.verdict.state {
        VerdictState::Malicious => "31",
        VerdictState::Suspicious => "33",
        VerdictState::Benign => "32",
        VerdictState::Unknown | VerdictState::NotEvaluated => "2",
    }
}

/// Hostile text on one line of a terminal.
pub(in crate::cli) fn printable(text: &str) -> String {
    plain(&text.replace(['\n', '\t'], " ")).into_owned()
}

/// Cut to a width, with an ellipsis in the place of what is missing.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn what_could_not_be_judged_says_first_why_not() {
        let expected = ["The content was cut short", "An unusual port"];
        assert_eq!(reasons(&sample::judged(VerdictState::Unknown)), expected);
        assert_eq!(reasons(&sample::judged(VerdictState::Suspicious)), ["An unusual port"]);
    }

    #[test]
    fn terminal_escapes_of_a_page_are_shown_and_not_obeyed() {
        assert_eq!(printable("a\x1b[31mb\u{202e}c\nd"), "a\\u{1b}[31mb\\u{202e}c d");
    }

    #[test]
    fn text_is_cut_at_characters() {
        assert_eq!(fit("grün", 4), "grün");
        assert_eq!(fit("grünlich", 4), "grü…");
    }
}
