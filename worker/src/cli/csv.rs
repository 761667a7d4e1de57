//! Scans as CSV (RFC 4180 with line feeds): one record each, one line a record.
//!
//! Owns which columns there are. A spreadsheet runs what begins like a formula, and cells are text of strangers: such
//! a cell gets an apostrophe in front (<https://owasp.org/www-community/attacks/CSV_Injection>).

use super::output::plain;
use crate::domain::document::Document;
use crate::domain::verdict::{Category, VerdictState};

/// The columns, in their order; a later version adds behind them only.
const COLUMNS: [&str; 16] = [
    "url",
    "state",
    "verdict",
    "score",
    "confidence",
    "status",
    "final_url",
    "ip",
    "title",
    "categories",
    "brands",
    "findings",
    "failure_class",
    "failure_message",
    "job_id",
    "duration_ms",
];

/// Between the values of one cell.
const BETWEEN: &str = "; ";

/// The names of the columns, without the line's end.
#[must_use]
pub fn header() -> String {
    record(&COLUMNS.map(str::to_owned))
}

/// One scan, without the line's end. What is not known is an empty cell; a scan that was not judged has no score.
#[must_use]
pub fn row(document: &Document) -> String {
    let job = &document.job;
    let body = &document.body;
    let verdict = &body.verdict;
    let judged = verdict.state != VerdictState::NotEvaluated;
    let page = body.page.as_ref();
    let failure = job.failure.as_ref();
    let took = job
        .started_at
        .zip(job.finished_at)
        .map(|(from, to)| to.millis().saturating_sub(from.millis()).to_string());
    record(&[
        cell(&body.task.url),
        job.state.as_str().to_owned(),
        verdict.state.as_str().to_owned(),
        if judged { verdict.risk_score.get().to_string() } else { String::new() },
        if judged { format!("{:.2}", verdict.confidence) } else { String::new() },
        page.and_then(|page| page.status).map(|status| status.to_string()).unwrap_or_default(),
        cell(page.map(|page| page.url.as_str()).unwrap_or_default()),
        cell(page.and_then(|page| page.ip.as_deref()).unwrap_or_default()),
        cell(page.and_then(|page| page.title.as_deref()).unwrap_or_default()),
        cell(&joined(verdict.categories.iter().map(|category| name(*category)))),
        cell(&joined(verdict.brands.iter().cloned())),
        cell(&joined(verdict.findings.iter().map(|finding| finding.rule_id.clone()))),
        failure.map(|failure| failure.class.as_str().to_owned()).unwrap_or_default(),
        cell(failure.map(|failure| failure.message.as_str()).unwrap_or_default()),
        cell(&job.id),
        took.unwrap_or_default(),
    ])
}

fn joined(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(BETWEEN)
}

/// The name that the document uses.
fn name(category: Category) -> String {
    let name = serde_json::to_value(category).ok();
    name.as_ref().and_then(|name| name.as_str()).unwrap_or_default().to_owned()
}

/// Text of others: nothing in it steers a terminal, ends the line, or is a formula.
fn cell(text: &str) -> String {
    // Some spreadsheets take the full-width forms of the four signs for the signs.
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']);
    let mark = if formula { "'" } else { "" };
    format!("{mark}{}", plain(text))
}

fn record(cells: &[String; COLUMNS.len()]) -> String {
    let mut writer = ::csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(cells).expect("memory takes it, and every record has as many cells");
    let mut line = writer.into_inner().expect("memory takes it");
    line.pop();
    String::from_utf8(line).expect("it was made of text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::scan::sample;

    /// The cells by their column, as a reader that is not ours sees them.
    fn read(document: &Document) -> Vec<(String, String)> {
        let text = format!("{}\n{}\n", header(), row(document));
        assert_eq!(text.lines().count(), 2, "{text}");
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let names: Vec<_> = reader.headers().expect("it has names").iter().map(str::to_owned).collect();
        let row = reader.records().next().expect("it has a row").expect("it can be read");
        names.into_iter().zip(row.iter().map(str::to_owned)).collect()
    }

    fn of(cells: &[(String, String)], name: &str) -> String {
        cells.iter().find(|(column, _)| column == name).expect("it is a column").1.clone()
    }

    #[test]
    fn a_judged_scan_is_one_line_that_a_reader_takes_apart_again() {
        let mut document = sample::judged(VerdictState::Suspicious);
        document.body.verdict.categories = vec![Category::Phishing, Category::AdultContent];
        document.body.verdict.brands = vec!["One, Inc.".to_owned(), "Two \"2\"".to_owned()];
        let cells = read(&document);
        for (name, expected) in [
            ("url", "http://shop.test:81/"),
            ("state", "COMPLETED"),
            ("verdict", "suspicious"),
            ("score", "30"),
            ("confidence", "0.55"),
            ("categories", "phishing; adult_content"),
            ("brands", "One, Inc.; Two \"2\""),
            ("findings", "url-odd-port; thin-truncated"),
            ("failure_class", ""),
            ("duration_ms", "43"),
        ] {
            assert_eq!(of(&cells, name), expected, "{name}");
        }
    }

    #[test]
    fn a_scan_without_a_result_has_its_failure_and_no_score() {
        let cells = read(&sample::failed("connection refused"));
        assert_eq!(of(&cells, "failure_class"), "connect");
        assert_eq!(of(&cells, "failure_message"), "connection refused");
        assert_eq!((of(&cells, "score"), of(&cells, "confidence")), (String::new(), String::new()));
    }

    #[test]
    fn what_begins_like_a_formula_is_text_and_what_steers_is_written_out() {
        for (text, expected) in [
            ("=HYPERLINK(\"http://a\")", "'=HYPERLINK(\"http://a\")"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", r"'\tx"),
            ("\rx", r"'\rx"),
            ("＝1", "'＝1"),
            ("a\nb\u{1b}[2J", r"a\nb\u{1b}[2J"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            let mut document = sample::failed(text);
            document.body.task.url = text.to_owned();
            let cells = read(&document);
            assert_eq!(
                (of(&cells, "url"), of(&cells, "failure_message")),
                (expected.into(), expected.into())
            );
        }
    }

    #[test]
    fn the_help_of_scan_names_the_columns_in_their_order() {
        let help = crate::cli::scan::COLUMNS_HELP.split_whitespace().collect::<String>();
        assert!(help.contains(&COLUMNS.join(",")), "{help}");
    }
}
