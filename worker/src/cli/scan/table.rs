//! Scans as a table: what each came to, where it ended and why, and how many came to what.
//!
//! Owns the little that a row needs, so that thousands of documents need not be kept. Pure: what it prints depends on
//! its arguments alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::terminal::answer::answer;
use crate::cli::terminal::defang::Defang;
use crate::cli::terminal::text::{FAINT, NONE, STRONG, Text, middle, printable, rendered, start};
use crate::cli::terminal::time::between;
use crate::cli::terminal::{Look, WITH_IDS};
use crate::domain::document::Document;
use crate::domain::state::State;
use crate::domain::verdict::{Finding, VerdictState};

/// Reasons shown of each scan.
const REASONS: usize = 2;

/// A reason is a line or two; messages of servers may be much longer.
const REASON: usize = 300;

/// Lines that a URL or a reason may take.
const LINES: usize = 2;

/// From here on rows stand in columns: narrower ones would break most URLs.
const IN_COLUMNS: usize = 120;

const VERDICT: usize = 10;
const RISK: usize = 4;
const STATUS: usize = 4;
const TIME: usize = 8;
const ID: usize = 36;
const GAP: usize = 2;

/// What the table shows of one scan.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Row {
    url: String,
    id: String,
    state: State,
    verdict: VerdictState,
    score: u8,
    status: Option<u16>,
    ended: Option<String>,
    reasons: Vec<String>,
    time: Option<String>,
}

impl Row {
    pub(in crate::cli) fn of(document: &Document) -> Self {
        let body = &document.body;
        let page = body.page.as_ref();
        Self {
            url: body.task.url.clone(),
            id: document.job.id.clone(),
            state: document.job.state,
            verdict: body.verdict.state,
            score: body.verdict.risk_score.get(),
            status: page.and_then(|page| page.status),
            ended: page.map(|page| page.url.clone()).filter(|url| *url != body.task.url),
            reasons: reasons(document).iter().map(|reason| start(reason, REASON)).collect(),
            time: time(document),
        }
    }

    /// The verdict in one word; what ended without one says how.
    fn word(&self) -> (&'static str, anstyle::Style) {
        answer(Some(self.verdict), self.state)
    }

    fn risk(&self) -> String {
        if self.verdict == VerdictState::NotEvaluated { "-".to_owned() } else { self.score.to_string() }
    }

    fn defanged(&self, wanted: bool) -> Defang {
        Defang::of(self.verdict, wanted)
    }

    fn shown_url(&self, look: Look) -> String {
        printable(&self.defanged(look.defang).text(&self.url))
    }

    fn reason_lines(&self, look: Look, columns: usize) -> Vec<Text> {
        let defang = self.defanged(look.defang);
        let style = if self.verdict == VerdictState::NotEvaluated { FAINT } else { NONE };
        let lines = self.reasons.iter().flat_map(|reason| {
            let text = start(&printable(&defang.text(reason)), columns * LINES - LINES);
            Text::new(style, &text).wrap(columns)
        });
        lines.collect()
    }

    fn ended_lines(&self, look: Look, columns: usize) -> Vec<Text> {
        const ARROW: &str = "→ ";
        let Some(ended) = &self.ended else { return Vec::new() };
        let room = columns.saturating_sub(GAP);
        let url = middle(&printable(&self.defanged(look.defang).text(ended)), room * LINES);
        let lines = Text::new(FAINT, &url).wrap(room).into_iter().enumerate();
        lines.map(|(n, line)| Text::new(FAINT, if n == 0 { ARROW } else { "  " }).join(line)).collect()
    }
}

/// The table, each line ended by a newline.
pub(in crate::cli) fn table(rows: &[Row], look: Look) -> String {
    let mut lines = if look.width >= IN_COLUMNS { columns(rows, look) } else { stacked(rows, look) };
    lines.push(Text::default());
    lines.extend(counts(rows).wrap(look.width));
    rendered(&lines, look.colour)
}

/// One row a scan, its cells as high as they need.
fn columns(rows: &[Row], look: Look) -> Vec<Text> {
    let ids = look.width >= WITH_IDS;
    let fixed = VERDICT + RISK + STATUS + TIME + 5 * GAP + if ids { ID + GAP } else { 0 };
    let free = look.width - fixed;
    let url = free * 4 / 7;
    let why = free - url;
    let mut widths = vec![VERDICT, RISK, STATUS, url, why, TIME];
    let mut heading = vec!["VERDICT", "RISK", "HTTP", "URL", "WHY", "    TIME"];
    if ids {
        widths.push(ID);
        heading.push("JOB");
    }
    let heading = heading.into_iter().map(|word| vec![Text::new(STRONG, word)]).collect();
    let mut lines = beside(heading, &widths);
    for (row, shown) in rows.iter().zip(urls(rows, look, url)) {
        let (word, style) = row.word();
        let mut to = shown.wrap(url);
        to.extend(row.ended_lines(look, url));
        let mut cells = vec![
            vec![Text::new(style, word)],
            vec![Text::new(style, &format!("{:>RISK$}", row.risk()))],
            vec![status(row)],
            to,
            row.reason_lines(look, why),
            vec![Text::new(FAINT, &format!("{:>TIME$}", row.time.as_deref().unwrap_or("-")))],
        ];
        if ids {
            cells.push(vec![Text::new(FAINT, &start(&printable(&row.id), ID))]);
        }
        lines.extend(beside(cells, &widths));
    }
    lines
}

/// Verdict and URL on one line, status and reasons below.
fn stacked(rows: &[Row], look: Look) -> Vec<Text> {
    let lead = VERDICT + 1 + RISK + GAP;
    let url = look.width.saturating_sub(lead + GAP + TIME);
    let why = look.width.saturating_sub(lead);
    let mut lines = Vec::new();
    for (row, shown) in rows.iter().zip(urls(rows, look, url)) {
        let (word, style) = row.word();
        let answer = Text::new(style, &format!("{word:<VERDICT$} {:>RISK$}", row.risk()));
        let time = Text::new(FAINT, &format!("{:>TIME$}", row.time.as_deref().unwrap_or("-")));
        lines.extend(beside(vec![vec![answer], shown.wrap(url), vec![time]], &[lead - GAP, url, TIME]));
        let mut below = row.ended_lines(look, why);
        let number = row.status.map(|status| format!("{status}  ")).unwrap_or_default();
        let reasons = row.reasons.join("; ");
        let reasons = printable(&row.defanged(look.defang).text(&reasons));
        let room = (why * LINES).saturating_sub(number.len() + LINES);
        below.extend(Text::new(FAINT, &number).and(FAINT, &start(&reasons, room)).wrap(why));
        lines.extend(below.into_iter().map(|text| Text::default().gap(lead).join(text)));
    }
    lines
}

/// URLs cut to what fits; those that would look the same then are left whole.
fn urls(rows: &[Row], look: Look, columns: usize) -> Vec<Text> {
    let whole: Vec<_> = rows.iter().map(|row| row.shown_url(look)).collect();
    let cut: Vec<_> = whole.iter().map(|url| middle(url, columns * LINES)).collect();
    let mut meant: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (whole, cut) in whole.iter().zip(&cut) {
        meant.entry(cut).or_default().insert(whole);
    }
    let told_apart = |cut: &str| meant.get(cut).is_none_or(|meant| meant.len() == 1);
    let shown = whole.iter().zip(&cut).map(|(whole, cut)| if told_apart(cut) { cut } else { whole });
    shown.map(|url| Text::new(NONE, url)).collect()
}

fn status(row: &Row) -> Text {
    match row.status {
        Some(status) => Text::new(FAINT, &format!("{status:>STATUS$}")),
        None => Text::new(FAINT, &format!("{:>STATUS$}", "-")),
    }
}

/// Cells of several lines side by side.
fn beside(cells: Vec<Vec<Text>>, widths: &[usize]) -> Vec<Text> {
    let high = cells.iter().map(Vec::len).max().unwrap_or(0);
    let mut cells: Vec<_> = cells.into_iter().map(Vec::into_iter).collect();
    let line = |_| {
        let start = Text::default();
        cells.iter_mut().zip(widths).enumerate().fold(start, |line, (n, (cell, width))| {
            let gap = if n == 0 { 0 } else { GAP };
            line.gap(gap).join(cell.next().unwrap_or_default().padded(*width))
        })
    };
    (0..high).map(line).collect()
}

/// How many came to what, the worst first.
fn counts(rows: &[Row]) -> Text {
    let mut line =
        Text::new(STRONG, &format!("{} {}", rows.len(), if rows.len() == 1 { "URL" } else { "URLs" }));
    let mut seen: Vec<(&str, anstyle::Style, usize)> = Vec::new();
    let mut sorted: Vec<_> = rows.iter().collect();
    sorted.sort_by_key(|row| (std::cmp::Reverse(row.verdict), row.state.as_str()));
    for row in sorted {
        let (word, style) = match row.state {
            State::Failed => ("failed", FAINT),
            State::TimedOut => ("timed out", FAINT),
            State::Queued | State::Fetching | State::Analyzing | State::Completed => row.word(),
        };
        match seen.last_mut() {
            Some((last, _, count)) if *last == word => *count += 1,
            _ => seen.push((word, style, 1)),
        }
    }
    for (n, (word, style, count)) in seen.into_iter().enumerate() {
        let lead = if n == 0 { ": " } else { ", " };
        line = line.and(NONE, lead).and(style, &format!("{count} {word}"));
    }
    line
}

/// The strongest reasons; a scan without a result has one, its failure, and one that could not be judged says why
/// it could not: what speaks against it a little is not the answer then.
fn reasons(document: &Document) -> Vec<String> {
    if let Some(failure) = document.job.failure.as_ref().filter(|_| document.job.state != State::Completed) {
        return vec![format!("{}: {}", failure.class.as_str(), failure.message)];
    }
    let verdict = &document.body.verdict;
    let unknown = verdict.state == VerdictState::Unknown;
    let told = |finding: &&Finding| finding.weight > 0 || unknown && finding.weight == 0;
    let mut findings: Vec<_> = verdict.findings.iter().filter(told).collect();
    if unknown {
        // What keeps a page from being judged has no weight.
        findings.sort_by_key(|finding| finding.weight != 0);
    }
    let reasons: Vec<_> = findings.iter().take(REASONS).map(|finding| finding.title.clone()).collect();
    if reasons.is_empty() { vec![verdict.reasoning.clone()] } else { reasons }
}

/// From claim to end.
pub(super) fn time(document: &Document) -> Option<String> {
    let (from, to) = document.job.started_at.zip(document.job.finished_at)?;
    Some(between(from, to))
}

#[cfg(test)]
mod tests;
