//! For each rule the least that makes it fire, and a near miss that does not.

mod address;
mod file;
mod page;
mod verdicts;

use std::collections::BTreeSet;

use super::sample::{RULES, Sample};

/// A rule, evidence that makes it fire, evidence that nearly does.
type Pair = (&'static str, fn() -> Sample, fn() -> Sample);

/// A page changed in one go.
fn page(url: &str, change: impl FnOnce(&mut Sample)) -> Sample {
    let mut sample = Sample::page(url);
    change(&mut sample);
    sample
}

fn file(url: &str, sniffed: &str, change: impl FnOnce(&mut Sample)) -> Sample {
    let mut sample = Sample::file(url, sniffed);
    change(&mut sample);
    sample
}

fn pairs() -> impl Iterator<Item = &'static Pair> {
    address::PAIRS.iter().chain(page::PAIRS).chain(file::PAIRS)
}

#[test]
fn each_rule_fires_on_its_case_and_not_on_the_near_miss() {
    let mut wrong = Vec::new();
    for (rule, case, miss) in pairs() {
        if !case().fires(rule) {
            wrong.push(format!("{rule} does not fire"));
        }
        if miss().fires(rule) {
            wrong.push(format!("{rule} fires on the near miss"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_rule_has_a_case() {
    let covered: BTreeSet<_> = pairs().map(|(rule, ..)| *rule).collect();
    let rules: BTreeSet<_> = RULES.ids().collect();
    assert_eq!(covered, rules);
}
