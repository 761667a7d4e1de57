//! How one job went: its attempts and its changes of state. Pure.

use std::fmt::Write as _;

use super::table::duration;
use crate::cli::output::plain;
use crate::domain::document::JobView;
use crate::store::AttemptView;

/// Lines of stderr shown of each attempt, the last ones.
const STDERR: usize = 20;

/// Where the job was when, and for how long, each line ended by a newline.
pub(super) fn timeline(job: &JobView) -> String {
    let mut text = String::from("history\n");
    let _ = writeln!(text, "  {}  {:>9}  created, {}", job.created_at, "", plain(&job.user_id));
    let mut before = job.created_at;
    for edge in &job.transitions {
        let since = u64::try_from(edge.at.millis().saturating_sub(before.millis())).unwrap_or_default();
        let worker = edge.worker.as_ref().map(|worker| format!(", worker {worker}")).unwrap_or_default();
        let told = format!("{} -> {}  {}{worker}", edge.from, edge.to, edge.reason);
        let _ = writeln!(text, "  {}  {:>9}  {}", edge.at, format!("+{}", duration(since)), plain(&told));
        before = edge.at;
    }
    if job.transitions.is_empty() && job.state.is_final() {
        let _ = writeln!(text, "  another program ended it");
    }
    text
}

/// What each attempt came to, each line ended by a newline.
pub(super) fn attempts(attempts: &[AttemptView]) -> String {
    let mut text = String::from("attempts\n");
    for attempt in attempts {
        let record = &attempt.record;
        let _ = writeln!(text, "  {:>2}  {}", record.attempt, plain(&outcome(attempt)));
        let by = [
            ("container", record.container_id.as_deref()),
            ("worker", record.worker.as_ref().map(|w| w.as_str())),
        ];
        let by: Vec<_> = by
            .into_iter()
            .filter_map(|(what, name)| Some(format!("{what} {}", plain(short(name?)))))
            .collect();
        if !by.is_empty() {
            let _ = writeln!(text, "      {}", by.join(", "));
        }
        for line in stderr(attempt) {
            let _ = writeln!(text, "      stderr: {line}");
        }
    }
    text
}

/// How an attempt ended, in one line.
pub(super) fn outcome(attempt: &AttemptView) -> String {
    let record = &attempt.record;
    let mut told = vec![attempt.reason.clone()];
    if let Some(failure) = &attempt.failure {
        // The reason names the class already.
        told = vec![format!("{}: {}", attempt.reason, failure.message)];
    }
    if let Some(code) = record.exit_code {
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
    let is_long = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if is_long { &id[..12] } else { id }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{NOW, edges, ended_attempt};
    use super::*;
    use crate::cli::scan::sample;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn the_history_says_when_what_happened_and_how_long_it_took() {
        let mut document = sample::failed("connection refused");
        document.job.created_at = Timestamp::from_millis(NOW.millis());
        document.job.transitions = edges();
        insta::assert_snapshot!("jobs-timeline", timeline(&document.job));
    }

    #[test]
    fn an_attempt_shows_its_end_and_what_its_container_said_harmlessly() {
        let text = attempts(&[ended_attempt(1), ended_attempt(2)]);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        insta::assert_snapshot!("jobs-attempts", text);
        let mut flood = ended_attempt(1);
        flood.record.stderr_tail = (0..1000).map(|n| format!("line {n}\n")).collect();
        let told = stderr(&flood);
        assert_eq!((told.len(), told.last().map(String::as_str)), (STDERR, Some("line 999")));
    }
}
