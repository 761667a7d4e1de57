//! One scan for a person: the verdict and its reasons first, then where it led, what is there, and how it was seen.
//!
//! Pure: what it says depends on the document and the look alone. What has nothing to say is left out, long lists
//! are cut and say so.

mod behind;
mod failed;
mod page;
mod route;

use super::table::time;
use crate::cli::terminal::Look;
use crate::cli::terminal::defang::Defang;
use crate::cli::terminal::layout::{Section, arrange};
use crate::cli::terminal::text::{FAINT, GREEN, NONE, RED, STRONG, Text, YELLOW, rendered};
use crate::domain::document::Document;
use crate::domain::state::State;
use crate::domain::verdict::{Severity, VerdictState};

/// Rows of one list.
const LIST: usize = 12;

/// What was seen for one finding.
const EVIDENCE: usize = 4;

/// Sentences are read in lines of at most so many columns.
const MEASURE: usize = 100;

/// The report, each line ended by a newline.
pub(in crate::cli) fn report(document: &Document, look: Look) -> String {
    let again = format!("safeurl jobs show {}", document.job.id);
    whole(document, vec![behind::job(document, Some(&again))], look)
}

/// The report of a job that is looked up, with how it got there. Each line ended by a newline.
pub(in crate::cli) fn report_of_job(document: &Document, history: Vec<Section>, look: Look) -> String {
    let again = match document.job.state {
        State::Failed | State::TimedOut => Some(format!("safeurl jobs retry {}", document.job.id)),
        State::Queued | State::Fetching | State::Analyzing | State::Completed => None,
    };
    let mut last = vec![behind::job(document, again.as_deref())];
    last.extend(history);
    whole(document, last, look)
}

fn whole(document: &Document, last: Vec<Section>, look: Look) -> String {
    let defang = Defang::of(document.body.verdict.state, look.defang);
    let mut lines = Vec::new();
    for text in head(document, defang) {
        lines.extend(text.wrap(look.width));
    }
    for sentences in sentences(document, defang) {
        lines.push(Text::default());
        lines.extend(sentences.wrap(look.width.min(MEASURE)));
    }
    let mut sections = vec![why(document, defang)];
    sections.extend(route::sections(document, defang));
    sections.extend(page::sections(document, defang));
    sections.extend(behind::sections(document, defang));
    sections.extend(last);
    lines.extend(arrange(sections, look.width));
    rendered(&lines, look.colour)
}

/// The answer, what it is about, and where that ended.
fn head(document: &Document, defang: Defang) -> Vec<Text> {
    let body = &document.body;
    let (word, style) = match body.verdict.state {
        VerdictState::Malicious => ("MALICIOUS", RED.bold()),
        VerdictState::Suspicious => ("SUSPICIOUS", YELLOW.bold()),
        VerdictState::Benign => ("BENIGN", GREEN.bold()),
        VerdictState::Unknown => ("UNKNOWN", STRONG),
        VerdictState::NotEvaluated => ("NO VERDICT", STRONG),
    };
    let answer = Text::new(style, word);
    let answer = if body.verdict.state == VerdictState::NotEvaluated {
        // Nobody is confident of nothing.
        answer.gap(2).and(STRONG, document.job.state.as_str())
    } else {
        let score = format!("risk {} of 100", body.verdict.risk_score.get());
        let confidence = format!("confidence {:.2}", body.verdict.confidence);
        answer.gap(2).and(STRONG, &score).gap(2).and(NONE, &confidence)
    };
    let answer = match time(document) {
        Some(time) => answer.gap(2).and(FAINT, &time),
        None => answer,
    };
    let mut head = vec![answer, Text::new(STRONG, &defang.text(&body.task.url))];
    let ended = body.page.as_ref().map(|page| &page.url).filter(|url| **url != body.task.url);
    if let Some(url) = ended {
        head.push(Text::new(FAINT, "ended at ").and(NONE, &defang.text(url)));
    }
    head
}

fn sentences(document: &Document, defang: Defang) -> Vec<Text> {
    let Some(failure) = &document.job.failure else {
        return vec![Text::new(NONE, &defang.text(&document.body.verdict.reasoning))];
    };
    let what = format!("{} in {}: ", failure.class.as_str(), failure.stage.as_str());
    let told = Text::new(RED, &what).and(NONE, &defang.text(&failure.message));
    let advice = Text::new(STRONG, "hint: ").and(NONE, failed::advice(failure.class));
    vec![told, advice]
}

fn why(document: &Document, defang: Defang) -> Section {
    let mut section = Section::full("Why");
    section.list(&document.body.verdict.findings, LIST, |section, finding| {
        let style = match finding.severity {
            _ if finding.weight < 0 => GREEN,
            Severity::Critical | Severity::High => RED,
            Severity::Medium => YELLOW,
            Severity::Low | Severity::Info => NONE,
        };
        // What has no weight says why nothing could be judged.
        let weight = if finding.weight == 0 { "·".to_owned() } else { format!("{:+}", finding.weight) };
        let title = Text::new(style, &finding.title);
        section.row(Text::new(style, &format!("{weight:>4}")), title, Text::new(FAINT, &finding.rule_id));
        section.list(&finding.evidence, EVIDENCE, |section, seen| {
            section.more(Text::new(FAINT, &defang.text(seen)));
        });
    });
    section
}

/// Bytes for a person.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1000.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if size < 999.95 {
            break;
        }
        size /= 1000.0;
        unit = next;
    }
    format!("{size:.1} {unit}")
}

/// Some words in a row, with a comma between them.
fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
