//! Jobs as a table: one line each. Pure: what it prints depends on its arguments alone.

use std::fmt::Write as _;

use crate::cli::output::plain;
use crate::domain::scan::Job;
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::VerdictState;
use crate::store::Listed;

/// Where it is printed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    /// Columns of the terminal; elsewhere nothing is cut.
    pub(super) width: Option<usize>,
    /// With the names of the columns.
    pub(super) header: bool,
    /// With colours.
    pub(super) colour: bool,
}

/// The columns; the URL has what the others leave.
const NAMES: [&str; 9] = ["ID", "STATE", "VERDICT", "SCORE", "CLASS", "AGE", "TIME", "TRIES", "URL"];
const URL: usize = NAMES.len() - 1;

/// Which columns a narrow terminal does without, the first one first.
const DISPENSABLE: [usize; 6] = [7, 6, 5, 3, 4, 2];

/// Less of a URL than this says nothing; columns go before it gets shorter.
const LEAST_URL: usize = 20;

const GAP: &str = "  ";

/// The table, each line ended by a newline.
pub(super) fn table(rows: &[Listed], now: Timestamp, look: Look) -> String {
    let cells: Vec<_> = rows.iter().map(|row| cells(row, now)).collect();
    let mut widths = NAMES.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut shown = [true; NAMES.len()];
    if let Some(width) = look.width {
        for column in DISPENSABLE {
            if before_url(&widths, &shown) + LEAST_URL <= width {
                break;
            }
            shown[column] = false;
        }
        widths[URL] = width.saturating_sub(before_url(&widths, &shown)).max(LEAST_URL).min(widths[URL]);
    }
    let mut text = String::new();
    if look.header {
        let heading = line(&NAMES.map(str::to_owned), &widths, &shown);
        push(&mut text, &heading, look.colour.then_some("1"));
    }
    for (row, cells) in rows.iter().zip(&cells) {
        let shade = if look.colour { shade(row) } else { None };
        push(&mut text, &line(cells, &widths, &shown), shade);
    }
    text
}

fn before_url(widths: &[usize; NAMES.len()], shown: &[bool; NAMES.len()]) -> usize {
    widths.iter().zip(shown).take(URL).filter(|(_, shown)| **shown).map(|(width, _)| width + GAP.len()).sum()
}

fn line(cells: &[String; NAMES.len()], widths: &[usize], shown: &[bool]) -> String {
    let mut text = String::new();
    for ((cell, width), _) in cells.iter().zip(widths).zip(shown).filter(|(_, shown)| **shown) {
        let cell = fit(cell, *width);
        let _ = write!(text, "{cell:<width$}{GAP}");
    }
    text.truncate(text.trim_end().len());
    text
}

fn push(text: &mut String, line: &str, shade: Option<&str>) {
    let _ = match shade {
        Some(shade) => writeln!(text, "\x1b[{shade}m{line}\x1b[0m"),
        None => writeln!(text, "{line}"),
    };
}

fn cells(row: &Listed, now: Timestamp) -> [String; NAMES.len()] {
    let job = &row.job;
    let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    [
        plain(job.id.as_str()).into_owned(),
        job.state.as_str().to_owned(),
        or_dash(row.verdict.map(|verdict| verdict.as_str().to_owned())),
        or_dash(row.score.map(|score| score.to_string())),
        or_dash(job.failure.as_ref().map(|failure| failure.class.as_str().to_owned())),
        age(job.created, now),
        or_dash(took(job, now).map(duration)),
        format!("{}/{}", job.counted_attempts(), job.max_attempts),
        plain(&shown_url(row)).into_owned(),
    ]
}

/// How long the last attempt took, or has taken until now.
pub(super) fn took(job: &Job, now: Timestamp) -> Option<u64> {
    let until = match job.state {
        State::Fetching | State::Analyzing => Some(now),
        State::Completed | State::Failed | State::TimedOut => job.finished,
        State::Queued => None,
    };
    let (from, until) = job.started.zip(until)?;
    u64::try_from(until.millis().saturating_sub(from.millis())).ok()
}

/// Milliseconds for a person.
pub(in crate::cli) fn duration(millis: u64) -> String {
    match millis {
        0..10_000 => format!("{millis} ms"),
        10_000..600_000 => format!("{:.1} s", millis as f64 / 1000.0),
        _ => format!("{} min", millis / 60_000),
    }
}

/// How long ago, in the greatest unit that has two of it.
pub(in crate::cli) fn age(from: Timestamp, now: Timestamp) -> String {
    let seconds = now.millis().saturating_sub(from.millis()).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The URL of a dangerous page is written so that nobody opens it by a slip of the hand.
fn shown_url(row: &Listed) -> String {
    match row.verdict {
        Some(VerdictState::Malicious | VerdictState::Suspicious) => defanged(&row.job.url),
        Some(VerdictState::Benign | VerdictState::Unknown | VerdictState::NotEvaluated) | None => {
            row.job.url.clone()
        }
    }
}

fn defanged(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority =
        if authority.contains("[.]") { authority.to_owned() } else { authority.replace('.', "[.]") };
    match scheme {
        "" => format!("{authority}{path}"),
        scheme => format!("{}://{authority}{path}", scheme.replacen("tt", "xx", 1)),
    }
}

/// SGR parameters by how bad it is.
fn shade(row: &Listed) -> Option<&'static str> {
    match (row.job.state, row.verdict) {
        (_, Some(VerdictState::Malicious)) => Some("31"),
        (_, Some(VerdictState::Suspicious)) => Some("33"),
        (_, Some(VerdictState::Benign)) => Some("32"),
        (State::Failed | State::TimedOut, _) => Some("35"),
        (State::Queued | State::Fetching | State::Analyzing | State::Completed, _) => None,
    }
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
    use super::super::sample::{NOW, rows};
    use super::*;

    #[test]
    fn a_wide_terminal_shows_every_column() {
        let look = Look { width: Some(160), header: true, colour: false };
        insta::assert_snapshot!("jobs-table-160", table(&rows(), NOW, look));
    }

    #[test]
    fn a_narrow_terminal_does_without_some_columns_and_never_without_id_state_and_url() {
        for width in [80, 100, 120] {
            let text = table(&rows(), NOW, Look { width: Some(width), header: true, colour: false });
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}\n{text}");
            insta::assert_snapshot!(format!("jobs-table-{width}"), text);
        }
    }

    #[test]
    fn a_pipe_gets_everything_uncut_without_names_and_colours() {
        insta::assert_snapshot!("jobs-table-pipe", table(&rows(), NOW, Look::default()));
    }

    #[test]
    fn colour_is_around_lines_and_nothing_is_said_by_it_alone() {
        let look = Look { width: Some(160), header: true, colour: true };
        let coloured = table(&rows(), NOW, look);
        let bare = table(&rows(), NOW, Look { colour: false, ..look });
        let mut without = coloured.replace("\x1b[0m", "");
        for shade in ["1", "31", "32", "33", "35"] {
            without = without.replace(&format!("\x1b[{shade}m"), "");
        }
        assert!(coloured != bare && without == bare, "{coloured:?}");
    }

    #[test]
    fn dangerous_addresses_cannot_be_clicked() {
        for (url, expected) in [
            ("https://login.bank.example:81/a.b?c.d", "hxxps://login[.]bank[.]example:81/a.b?c.d"),
            ("http://1.2.3.4", "hxxp://1[.]2[.]3[.]4"),
            ("evil.example/x.y", "evil[.]example/x.y"),
            ("hxxp://evil[.]example/", "hxxp://evil[.]example/"),
        ] {
            assert_eq!(defanged(url), expected);
        }
    }

    #[test]
    fn times_are_told_in_the_unit_people_would_use() {
        let at = |seconds: i64| age(Timestamp::from_seconds(0), Timestamp::from_seconds(seconds));
        assert_eq!(
            [at(-5), at(0), at(119), at(120), at(7200), at(172_800)],
            ["0s", "0s", "119s", "2m", "2h", "2d"]
        );
        assert_eq!([9_999, 10_000, 600_000].map(duration), ["9999 ms", "10.0 s", "10 min"]);
    }
}
