//! How one job went: its attempts and its changes of state. Pure.

use crate::cli::output::plain;
use crate::cli::terminal::defang::Defang;
use crate::cli::terminal::layout::Section;
use crate::cli::terminal::text::{FAINT, GREEN, NONE, Text};
use crate::cli::terminal::time::{between, duration};
use crate::cli::workers;
use crate::domain::document::JobView;
use crate::domain::state::State;
use crate::store::AttemptView;

/// Lines of stderr shown of each attempt, the last ones.
const STDERR: usize = 20;

/// What each attempt came to, and where the job was when.
pub(super) fn sections(job: &JobView, attempts: &[AttemptView], defang: Defang) -> Vec<Section> {
    vec![tried(attempts, defang), timeline(job)]
}

/// Where the job was when, and for how long.
fn timeline(job: &JobView) -> Section {
    let mut section = Section::full("History");
    let mut row = |since: &str, what: Text, tail: String| {
        section.row(Text::new(FAINT, since), what, Text::new(FAINT, &tail));
    };
    row("", format!("created by {}", job.user_id).into(), job.created_at.to_string());
    let mut before = job.created_at;
    for edge in &job.transitions {
        let style = if edge.to == State::Completed { GREEN } else { NONE };
        let what = Text::new(NONE, &format!("{} → ", edge.from)).and(style, edge.to.as_str());
        let what = what.gap(2).and(NONE, &edge.reason);
        let worker = edge
            .worker
            .as_deref()
            .map(|worker| format!("worker {}  ", workers::short(worker)))
            .unwrap_or_default();
        row(&format!("+{}", between(before, edge.at)), what, format!("{worker}{}", edge.at));
        before = edge.at;
    }
    if job.transitions.is_empty() && job.state.is_final() {
        row("", "ended by another program".into(), String::new());
    }
    section
}

fn tried(attempts: &[AttemptView], defang: Defang) -> Section {
    let mut section = Section::full("Attempts");
    for attempt in attempts {
        let record = &attempt.record;
        let container = record.container_id.as_deref().map(|id| format!("container {}", short(id)));
        let worker = record.worker.as_ref().map(|id| format!("worker {}", workers::short(id.as_str())));
        let by = Text::new(FAINT, &container.into_iter().chain(worker).collect::<Vec<_>>().join("  "));
        let told = outcome(attempt);
        section.row(Text::new(FAINT, &record.attempt.to_string()), defang.text(&told).as_ref().into(), by);
        for line in stderr(attempt) {
            section.more(Text::new(FAINT, "stderr: ").and(NONE, &defang.text(&line)));
        }
    }
    section
}

/// How an attempt ended, in one line.
pub(super) fn outcome(attempt: &AttemptView) -> String {
    let record = &attempt.record;
    let mut told = vec![attempt.reason.clone()];
    if let Some(failure) = &attempt.failure {
        // The reason names the class already.
        told = vec![format!("{}: {}", attempt.reason, failure.message)];
    }
    // An end as it should be is not worth a word.
    if let Some(code) = record.exit_code.filter(|code| *code != 0) {
        told.push(format!("exit code {code}"));
    }
    for (what, ms) in [("waited", record.queue_ms), ("started in", record.start_ms), ("ran", record.run_ms)] {
        if let Some(ms) = ms {
            told.push(format!("{what} {}", duration(ms)));
        }
    }
    told.join(", ")
}

/// The last lines of what the container wrote to stderr, made harmless.
pub(super) fn stderr(attempt: &AttemptView) -> Vec<String> {
    let lines: Vec<_> = attempt.record.stderr_tail.lines().filter(|line| !line.trim().is_empty()).collect();
    let first = lines.len().saturating_sub(STDERR);
    lines[first..].iter().map(|line| plain(line).into_owned()).collect()
}

/// An engine's id of 64 digits, as its own tools cut it.
fn short(id: &str) -> &str {
    let is_long = id.len() >= 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if is_long { &id[..12] } else { id }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::super::sample::{edges, ended_attempt};
    use super::*;
    use crate::cli::scan::{report_of_job, sample};
    use crate::cli::terminal::Look;
    use crate::cli::terminal::text::width;
    use crate::domain::document::Document;

    /// What `jobs show` prints.
    fn shown(document: &Document, width: usize) -> String {
        let look = Look { width, colour: false, defang: true, terminal: true };
        let defang = Defang::of(document.body.verdict.state, look.defang);
        let attempts = [ended_attempt(1), ended_attempt(2)];
        report_of_job(document, sections(&document.job, &attempts, defang), look)
    }

    fn gone_through(mut document: Document) -> Document {
        document.job.created_at = super::super::sample::NOW;
        document.job.transitions = edges();
        document
    }

    #[test]
    fn a_job_is_shown_whole_with_its_result_its_attempts_and_its_history() {
        for (name, document) in
            [("malicious", sample::malicious()), ("failed", sample::failed("connection refused"))]
        {
            let document = gone_through(document);
            let mut text = String::new();
            for width in [60, 80, 120] {
                let _ = write!(text, "=== {width} columns ===\n{}\n", shown(&document, width));
            }
            assert!(!text.contains('\u{1b}'), "{text:?}");
            insta::assert_snapshot!(format!("jobs-show-{name}"), text);
        }
    }

    #[test]
    fn no_line_of_a_shown_job_is_wider_than_the_terminal() {
        let document = gone_through(sample::hostile());
        for columns in (40..=200).step_by(5) {
            for line in shown(&document, columns).lines() {
                assert!(width(line) <= columns, "{columns}: {line:?}");
            }
        }
    }

    #[test]
    fn a_container_that_says_much_is_heard_at_its_end() {
        let mut flood = ended_attempt(1);
        flood.record.stderr_tail = (0..1000).map(|n| format!("line {n}\n")).collect();
        let told = stderr(&flood);
        assert_eq!((told.len(), told.last().map(String::as_str)), (STDERR, Some("line 999")));
    }
}
