//! Registrable domains against the public suffix list's own tests, and against every rule of the list.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
#![expect(clippy::expect_used, reason = "what the tests share stops where it cannot go on")]

#[path = "tally.rs"]
pub mod tally;

use safeurl::domain::target::{apex_of, apex_of_name};
use tally::{Tally, text};
use url::Url;

/// A name as the URL parser writes it; `None` when it is no host of a URL.
fn as_host(name: &str) -> Option<String> {
    let url = Url::parse(&format!("http://{name}/")).ok()?;
    url.host_str().map(str::to_owned)
}

/// The registrable domain must come out of the name as it stands, and of a URL with that host.
fn check(name: Option<&str>, expected: Option<&str>) -> Result<(), String> {
    let name = name.unwrap_or_default();
    let plain = apex_of_name(&name.to_lowercase());
    if plain.as_deref() != expected {
        return Err(format!("{plain:?} instead of {expected:?}"));
    }
    let url = Url::parse(&format!("http://{name}/")).ok();
    let found = url.as_ref().and_then(apex_of);
    let expected = expected.and_then(as_host);
    if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?} in a URL")) }
}

fn value(word: &str) -> Option<&str> {
    (word != "null").then(|| word.trim_matches('\''))
}

#[test]
fn the_tests_of_the_list_hold() {
    let file = text("psl/test_psl.txt");
    let mut tally = Tally::new(
        "psl-test",
        file.lines().filter(|line| line.contains(");") && !line.starts_with("//")).count(),
    );
    for (number, line) in file.lines().enumerate() {
        let Some(call) = line.strip_prefix("checkPublicSuffix(") else { continue };
        let (name, expected) = call.split_once(')').unwrap().0.split_once(", ").unwrap();
        tally.case(format!("{} {name}", number + 1), check(value(name), value(expected)));
    }
    tally.finish();
}

#[test]
fn the_tests_of_the_list_in_their_newer_form_hold() {
    let file = text("psl/tests.txt");
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
    let mut tally = Tally::new("psl-tests", lines.count());
    for (number, line) in file.lines().enumerate() {
        if line.starts_with("//") {
            continue;
        }
        let Some((name, expected)) = line.split_once(' ') else { continue };
        tally.case(format!("{} {name}", number + 1), check(value(name), value(expected)));
    }
    tally.finish();
}

/// What a rule says of names made from it: the name, and its registrable domain.
fn said_by(rule: &str, rules: &[&str]) -> Vec<(String, Option<String>)> {
    if let Some(exception) = rule.strip_prefix('!') {
        return vec![
            (exception.to_owned(), Some(exception.to_owned())),
            (format!("b.a.{exception}"), Some(exception.to_owned())),
        ];
    }
    let suffix = match rule.strip_prefix("*.") {
        Some(parent) => format!("q.{parent}"),
        None => rule.to_owned(),
    };
    let mut said = vec![
        (format!("q1.{suffix}"), Some(format!("q1.{suffix}"))),
        (format!("b.q1.{suffix}"), Some(format!("q1.{suffix}"))),
    ];
    // `x` beside `*.x` makes all below it suffixes.
    if rules.binary_search(&format!("*.{rule}").as_str()).is_ok() {
        said = vec![(format!("b.q1.{suffix}"), Some(format!("b.q1.{suffix}")))];
    }
    said.push((suffix, None));
    said
}

#[test]
fn every_rule_of_the_list_holds() {
    let file = text("psl/public_suffix_list.dat");
    let mut rules: Vec<&str> = file
        .lines()
        .filter(|line| !line.starts_with("//"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let counted = file.split('\n').filter(|line| line.chars().next().is_some_and(|c| c != '/')).count();
    let mut tally = Tally::new("psl-rules", counted);
    rules.sort_unstable();
    for rule in &rules {
        let said = said_by(rule, &rules);
        let wrong = said.iter().find_map(|(name, apex)| check(Some(name), apex.as_deref()).err());
        tally.case(*rule, wrong.map_or(Ok(()), Err));
    }
    tally.finish();
}
