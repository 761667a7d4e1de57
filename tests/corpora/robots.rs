//! Rules for robots against third-party data: the examples of the tests that came with the standard, and files of
//! large sites.

/// Public, since other tests use parts of it that this one does not.
#[path = "tally.rs"]
pub mod tally;

use safeurl_fetcher::robots::{MAX_BYTES, Robots, product};
use tally::Tally;

/// One file with a question and its answer.
struct Case {
    file: Vec<u8>,
    agent: String,
    url: String,
    allowed: bool,
}

/// Names and strings of a file in protocol buffer text form, punctuation left out. Strings that follow each other
/// are one.
fn tokens(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'#' => while bytes.next_if(|byte| *byte != b'\n').is_some() {},
            quote @ (b'"' | b'\'') => {
                let value = &mut found.last_mut().expect("a string has a name").1;
                while let Some(byte) = bytes.next().filter(|byte| *byte != quote) {
                    match byte {
                        b'\\' => value.push(escaped(&mut bytes)),
                        other => value.push(other),
                    }
                }
            }
            byte if byte.is_ascii_alphabetic() => {
                let mut name = String::from(char::from(byte));
                while let Some(byte) = bytes.next_if(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
                    name.push(char::from(byte));
                }
                found.push((name, Vec::new()));
            }
            _ => {}
        }
    }
    found
}

fn escaped(bytes: &mut std::iter::Peekable<impl Iterator<Item = u8>>) -> u8 {
    let digits = |bytes: &mut std::iter::Peekable<_>, base: u32, first: u32| {
        let mut value = first;
        for _ in 0..2 {
            let Some(digit) = bytes.peek().and_then(|byte: &u8| char::from(*byte).to_digit(base)) else {
                break;
            };
            bytes.next();
            value = value * base + digit;
        }
        u8::try_from(value).expect("one byte")
    };
    match bytes.next().expect("an escape is whole") {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'x' => digits(bytes, 16, 0),
        first @ b'0'..=b'7' => digits(bytes, 8, u32::from(first - b'0')),
        other => other,
    }
}

fn cases(text: &str) -> Vec<Case> {
    let (mut file, mut url, mut agent) = (Vec::new(), String::new(), String::new());
    let mut found = Vec::new();
    for (name, value) in tokens(text) {
        let text = || String::from_utf8(value.clone()).expect("text");
        match name.as_str() {
            "robotstxt" => file = value,
            "testurl" => url = text(),
            "useragent" => agent = text(),
            "ALLOWED" | "DISALLOWED" => found.push(Case {
                file: file.clone(),
                agent: agent.clone(),
                url: url.clone(),
                allowed: name == "ALLOWED",
            }),
            _ => {}
        }
    }
    found
}

/// Path and query as they stand: the files leave it to the caller to encode them.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |at| &rest[at..])
}

fn files(folder: &str, end: &str) -> Vec<String> {
    let path = tally::corpora().join(folder);
    let entries = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let names = entries.map(|entry| entry.expect("the folder can be listed").file_name());
    let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(end));
    names.sort();
    names
}

#[test]
fn the_examples_of_the_standard_are_judged_as_they_say() {
    let folder = "robots/CTC/correctness";
    let texts: Vec<_> = files(folder, ".textproto")
        .into_iter()
        .map(|name| (tally::text(&format!("{folder}/{name}")), name))
        .collect();
    let expected = texts.iter().map(|(text, _)| text.matches("expected_outcome:").count()).sum();
    let mut row = Tally::new("robots", expected);
    for (text, name) in &texts {
        for (at, case) in cases(text).into_iter().enumerate() {
            let decision = Robots::parse(&case.file).decide(&case.agent, path(&case.url));
            let result = if decision.allowed == case.allowed {
                Ok(())
            } else {
                Err(format!("{} for {:?}: {decision:?}", case.url, case.agent))
            };
            row.case(format!("{name}#{}", at + 1), result);
        }
    }
    row.finish();
}

#[test]
fn the_files_of_large_sites_name_the_agents_that_a_search_for_their_lines_finds() {
    let folder = "robots/realworld_texting_robots";
    let files: Vec<_> = files(folder, ".txt")
        .into_iter()
        .map(|name| (tally::bytes(&format!("{folder}/{name}")), name))
        .collect();
    let agents = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("user-agent:"));
        lines.map(|value| value.trim().to_owned()).collect()
    };
    let mut row = Tally::new("robots-real", files.iter().map(|(bytes, _)| agents(bytes).len()).sum());
    for (bytes, name) in &files {
        assert!(bytes.len() <= MAX_BYTES, "{name}");
        let robots = Robots::parse(bytes);
        let mut found = robots.agents();
        for (at, line) in agents(bytes).into_iter().enumerate() {
            let result = match found.next() {
                // The file says more than a token where it has a version or a comment.
                Some(agent)
                    if line.starts_with(&agent.to_lowercase()) && agent == product(agent.as_bytes()) =>
                {
                    Ok(())
                }
                other => Err(format!("{line:?} was read as {other:?}")),
            };
            row.case(format!("{name}#{}", at + 1), result);
        }
        assert_eq!(found.next(), None, "{name}: an agent that no line names");
        assert!(robots.rules() > 0, "{name}");
    }
    row.finish();
}
