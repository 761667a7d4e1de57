use std::fmt::Write as _;

use super::super::sample;
use super::*;
use crate::cli::terminal::text::width;

fn look(width: usize, colour: bool) -> Look {
    Look { width, colour, defang: true, terminal: true }
}

fn rows() -> Vec<Row> {
    let kinds = sample::all().into_iter().filter(|(name, _)| *name != "hostile");
    kinds.map(|(_, document)| Row::of(&document)).collect()
}

#[test]
fn the_table_is_as_recorded() {
    let (mut plain, mut coloured) = (String::new(), String::new());
    for width in [60, 80, 120, 180] {
        let _ = write!(plain, "=== {width} columns ===\n{}\n", table(&rows(), look(width, false)));
        let _ = write!(coloured, "=== {width} columns ===\n{}\n", table(&rows(), look(width, true)));
    }
    insta::assert_snapshot!("table", plain);
    insta::assert_snapshot!("table-colour", coloured.replace('\u{1b}', "␛"));
}

#[test]
fn no_line_of_the_table_is_wider_than_the_terminal() {
    let mut rows = rows();
    rows.push(Row::of(&sample::hostile()));
    for columns in (40..=200).step_by(7) {
        let text = table(&rows, look(columns, false));
        for line in text.lines() {
            assert!(width(line) <= columns, "{columns}: {line:?}");
            assert!(!line.contains('\u{1b}') && !line.contains('\u{202e}'), "{line:?}");
        }
    }
}

#[test]
fn urls_that_differ_somewhere_in_their_middle_are_told_apart() {
    let row = |n: usize| {
        let mut document = sample::benign();
        let filler = "a".repeat(150);
        document.body.task.url = format!("https://harbour.example/{filler}/{n}/{filler}.html");
        document.body.page = None;
        Row::of(&document)
    };
    let rows: Vec<_> = (10..14).map(row).collect();
    for columns in [60, 80, 120] {
        let text = table(&rows, look(columns, false));
        let dense: String = text.split_whitespace().collect();
        for n in 10..14 {
            assert!(dense.contains(&format!("/{n}/")), "{n} at {columns}: {text}");
        }
    }
}

#[test]
fn what_could_not_be_judged_says_first_why_not() {
    let expected = ["The content was cut short", "An unusual port"];
    assert_eq!(reasons(&sample::judged(VerdictState::Unknown)), expected);
    assert_eq!(reasons(&sample::judged(VerdictState::Suspicious)), ["An unusual port"]);
}

#[test]
fn counts_name_the_worst_first_and_what_has_no_result_last() {
    let text = table(&rows(), look(80, false));
    let last = text.lines().last().unwrap_or_default();
    assert_eq!(last, "6 URLs: 2 malicious, 1 benign, 1 unknown, 1 failed, 1 timed out");
}
