//! Which encoding a page is read with, against the tests that HTML parsers share.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops")]

#[path = "tally.rs"]
pub mod tally;

use safeurl_fetcher::encoding_of;
use tally::{Tally, bytes, corpora};
use url::Url;

/// Files of cases: `#data`, the page, `#encoding`, its encoding.
const FILES: [&str; 4] = ["tests1.dat", "tests2.dat", "test-yahoo-jp.dat", "scripted/tests1.dat"];

/// A whole text in an encoding that it does not name.
const UNNAMED: (&str, &str) = ("chardet/test_big5.txt", "Big5");

/// Parts of `bytes` between lines that are `mark`.
fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii_end() == mark {
            parts.push(&bytes[start..at]);
            start = at + line.len();
        }
        at += line.len();
    }
    parts.push(&bytes[start..]);
    parts
}

#[test]
fn pages_are_read_in_the_encoding_that_other_parsers_find() {
    let folder = "html5lib/encoding";
    let listed: usize = FILES.iter().map(|file| count(&bytes(&format!("{folder}/{file}")))).sum();
    let found: usize = walk(&corpora().join(folder));
    assert_eq!(listed, found, "all files of the folder are read");
    let mut tally = Tally::new("encoding", listed + 1);
    // Whoever wrote the tests had no country in mind.
    let url = Url::parse("http://page.example/").unwrap();
    let mut case = |id: String, page: &[u8], expected: &str| {
        let ours = encoding_of(page, &url);
        let agrees = ours.eq_ignore_ascii_case(expected);
        tally.case(id, if agrees { Ok(()) } else { Err(format!("{ours} instead of {expected}")) });
    };
    for file in FILES {
        let text = bytes(&format!("{folder}/{file}"));
        for (number, one) in split(&text, b"#data").into_iter().skip(1).enumerate() {
            let [page, expected] = split(one, b"#encoding")[..] else { panic!("{file} {number}") };
            let expected = String::from_utf8(expected.trim_ascii().to_vec()).unwrap();
            case(format!("{file} {number}"), page.strip_suffix(b"\n").unwrap_or(page), &expected);
        }
    }
    case(UNNAMED.0.to_owned(), &bytes(&format!("{folder}/{}", UNNAMED.0)), UNNAMED.1);
    tally.finish();
}

/// Cases of a file.
fn count(text: &[u8]) -> usize {
    text.windows(6).filter(|six| *six == b"#data\n").count()
}

fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { count(&std::fs::read(path).unwrap()) }).sum()
}
