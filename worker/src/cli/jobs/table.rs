//! Jobs as a table: one line each where there is room, two where there is not. Pure: what it shows depends on its
//! arguments alone.

use std::collections::BTreeSet;

use crate::cli::terminal::answer::answer;
use crate::cli::terminal::column::{Column, GAP, lines, named, used};
use crate::cli::terminal::defang::Defang;
use crate::cli::terminal::text::{FAINT, NONE, Text, head, middle, printable};
use crate::cli::terminal::time::{age, duration};
use crate::cli::terminal::{Look, WITH_IDS};
use crate::domain::scan::Job;
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::VerdictState;
use crate::store::Listed;

/// Less of a URL than this says nothing; columns go before it gets shorter.
const LEAST_URL: usize = 32;

/// Narrower terminals have a line for the URL.
const STACKED: usize = 72;

/// Columns of a job's id where it is cut: of ours the moment and the next 12 bits, which is enough to name it.
const SHORT_ID: usize = 18;

/// Ours have 36; those of others may have 200.
const LONG_ID: usize = 36;

/// The table. A terminal gets the names of the columns and what fits; elsewhere nothing is left out and each word
/// stands alone.
pub(super) fn table(rows: &[Listed], now: Timestamp, look: Look) -> Vec<Text> {
    match (rows.is_empty(), look.terminal) {
        (true, _) => Vec::new(),
        (false, false) => piped(rows, now, look),
        (false, true) if look.width < STACKED => stacked(rows, now, look),
        (false, true) => one_line_each(rows, now, look),
    }
}

fn piped(rows: &[Listed], now: Timestamp, look: Look) -> Vec<Text> {
    let or_dash = |text: Option<String>| Text::new(NONE, text.as_deref().unwrap_or("-"));
    let class = |row: &Listed| row.job.failure.as_ref().map(|failure| failure.class.as_str().to_owned());
    lines(&[
        Column::of("", rows, |row| Text::new(NONE, row.job.id.as_str())),
        Column::of("", rows, |row| Text::new(NONE, row.job.state.as_str())),
        Column::of("", rows, |row| match row.verdict {
            Some(verdict) => Text::new(answer(row.verdict, row.job.state).1, verdict.as_str()),
            None => or_dash(None),
        }),
        Column::of("", rows, |row| or_dash(row.score.map(|score| score.to_string()))),
        Column::of("", rows, |row| or_dash(class(row))),
        Column::of("", rows, |row| age(row.job.created, now).into()),
        Column::of("", rows, |row| or_dash(took(&row.job, now).map(duration))),
        Column::of("", rows, |row| tries(&row.job).into()),
        Column::of("", rows, |row| url(row, look).into()),
    ])
}

fn one_line_each(rows: &[Listed], now: Timestamp, look: Look) -> Vec<Text> {
    let ids = ids(rows, look.width >= WITH_IDS);
    let mut ids = ids.iter();
    let mut columns = vec![
        Column::of("JOB", rows, |_| Text::new(FAINT, ids.next().map_or("", String::as_str))),
        Column::of("VERDICT", rows, came_to),
        Column::of("RISK", rows, risk).right(),
        Column::of("AGE", rows, |row| Text::new(FAINT, &age(row.job.created, now))).right(),
        Column::of("TIME", rows, |row| Text::new(FAINT, &time(row, now))).right(),
        Column::of("TRIES", rows, |row| Text::new(FAINT, &tries(&row.job))).right(),
    ];
    // The last ones say least, but of id and answer both are needed.
    while columns.len() > 2 && used(&columns) + LEAST_URL > look.width {
        columns.pop();
    }
    if columns.len() == 2 {
        columns.pop();
        columns.push(Column::of("VERDICT", rows, with_risk));
    }
    let room = look.width.saturating_sub(used(&columns));
    if room < LEAST_URL {
        return stacked(rows, now, look);
    }
    columns.push(Column::of("URL", rows, |row| Text::new(NONE, &middle(&url(row, look), room))));
    named(&columns)
}

/// Id and answer on one line, the URL below.
fn stacked(rows: &[Listed], now: Timestamp, look: Look) -> Vec<Text> {
    let mut lines = Vec::new();
    for (row, id) in rows.iter().zip(ids(rows, false)) {
        let mut head = Text::new(FAINT, &id).gap(GAP).join(with_risk(row));
        let age = age(row.job.created, now);
        let missing = look.width.saturating_sub(head.width() + age.len());
        if missing >= GAP {
            head = head.gap(missing).and(FAINT, &age);
        }
        lines.extend(head.wrap(look.width));
        let url = middle(&url(row, look), look.width - GAP);
        lines.push(Text::default().gap(GAP).and(NONE, &url));
    }
    lines
}

/// The ids, whole or as much of them as tells these jobs apart. What is left out is the end: what is shown still names
/// the job.
fn ids(rows: &[Listed], whole: bool) -> Vec<String> {
    let all: Vec<_> = rows.iter().map(|row| printable(row.job.id.as_str())).collect();
    let cut = |length: usize| -> Vec<String> { all.iter().map(|id| head(id, length)).collect() };
    let apart = |length: &usize| {
        let different: BTreeSet<_> = cut(*length).into_iter().collect();
        different.len() == all.len()
    };
    let length = if whole { LONG_ID } else { (SHORT_ID..LONG_ID).find(apart).unwrap_or(LONG_ID) };
    cut(length)
}

/// The verdict; of what has none the state, and why it failed.
fn came_to(row: &Listed) -> Text {
    let (word, style) = answer(row.verdict, row.job.state);
    let text = Text::new(style, word);
    let failure = row.job.failure.as_ref().filter(|_| row.job.state == State::Failed);
    match failure {
        Some(failure) => text.and(style, &format!(" {}", failure.class.as_str())),
        None => text,
    }
}

/// The same with the risk behind it, where that has no column.
fn with_risk(row: &Listed) -> Text {
    match row.score {
        Some(score) => came_to(row).and(answer(row.verdict, row.job.state).1, &format!(" {score}")),
        None => came_to(row),
    }
}

fn risk(row: &Listed) -> Text {
    match row.score {
        Some(score) => Text::new(answer(row.verdict, row.job.state).1, &score.to_string()),
        None => Text::new(FAINT, "-"),
    }
}

fn time(row: &Listed, now: Timestamp) -> String {
    took(&row.job, now).map_or_else(|| "-".to_owned(), duration)
}

fn tries(job: &Job) -> String {
    format!("{}/{}", job.counted_attempts(), job.max_attempts)
}

fn url(row: &Listed, look: Look) -> String {
    let verdict = row.verdict.unwrap_or(VerdictState::NotEvaluated);
    printable(&Defang::of(verdict, look.defang).text(&row.job.url))
}

/// How long the last attempt took, or has taken until now, in milliseconds.
pub(super) fn took(job: &Job, now: Timestamp) -> Option<u64> {
    let until = match job.state {
        State::Fetching | State::Analyzing => Some(now),
        State::Completed | State::Failed | State::TimedOut => job.finished,
        State::Queued => None,
    };
    let (from, until) = job.started.zip(until)?;
    u64::try_from(until.millis().saturating_sub(from.millis())).ok()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::super::sample::{NOW, hostile_row, rows};
    use super::*;
    use crate::cli::terminal::text::rendered;
    use crate::domain::scan::ScanId;

    fn shown(rows: &[Listed], look: Look) -> String {
        rendered(&table(rows, NOW, look), look.colour)
    }

    fn look(width: usize) -> Look {
        Look { width, colour: false, defang: true, terminal: true }
    }

    #[test]
    fn a_terminal_gets_what_fits_and_never_less_than_id_answer_and_url() {
        let mut text = String::new();
        for width in [40, 60, 80, 120, 200] {
            let _ = write!(text, "=== {width} columns ===\n{}\n", shown(&rows(), look(width)));
        }
        insta::assert_snapshot!("jobs-table", text);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut rows = rows();
        rows.push(hostile_row());
        for width in 40..=200 {
            for line in table(&rows, NOW, look(width)) {
                assert!(line.width() <= width, "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn a_pipe_gets_everything_uncut_without_names() {
        insta::assert_snapshot!("jobs-table-pipe", shown(&rows(), Look { terminal: false, ..look(40) }));
    }

    #[test]
    fn nothing_is_said_by_colour_alone_and_only_answers_have_one() {
        let coloured = shown(&rows(), Look { colour: true, ..look(160) });
        insta::assert_snapshot!("jobs-table-colour", coloured.replace('\u{1b}', "␛"));
    }

    #[test]
    fn an_id_is_as_long_as_it_takes_to_tell_the_jobs_apart() {
        let mut rows = rows();
        rows.truncate(2);
        let lengths = |rows: &[Listed]| ids(rows, false).iter().map(String::len).collect::<Vec<_>>();
        assert_eq!(lengths(&rows), [18, 18]);
        // Ids made in the same moment differ late.
        rows[1].job.id = ScanId::parse("0199f6a2-6d00-7c11-9b53-1f4f4a0e8d11").expect("it is short");
        assert_eq!(lengths(&rows), [25, 25]);
    }

    #[test]
    fn dangerous_addresses_cannot_be_clicked_unless_that_is_wished() {
        let all = shown(&rows(), look(160));
        assert!(
            all.contains("hxxps://login[.]bank[.]example/") && all.contains("https://fine.example/"),
            "{all}"
        );
        let raw = shown(&rows(), Look { defang: false, ..look(160) });
        assert!(raw.contains("https://login.bank.example/"), "{raw}");
    }
}
