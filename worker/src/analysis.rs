//! Judges what a fetch brought back: evidence becomes named facts, rules turn facts into findings, findings
//! become a score, a state and sentences for a person.
//!
//! The rules, the brands and the word lists are data (`config/rules/*.toml`). Everything in here is a pure
//! function over values that were already parsed: hostile bytes are read in the container, nothing is fetched
//! or looked up, no clock is read. What the report claims is believed only as far as the ledger agrees, and
//! what is more than an honest report holds is not looked at.

mod bounded;
mod brands;
mod case;
mod facts;
mod language;
mod lists;
mod names;
mod phone;
mod reasoning;
mod rules;
mod score;
mod technologies;

pub use phone::Phones;
pub use rules::{Rules, RulesError};

use crate::domain::document::{Assessment, Evidence};
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{Engine, Verdict, VerdictState};

use case::Case;
use facts::Facts;

/// The rules this program was built with, and with them read whatever else a judgement looks things up in: the first
/// one takes no longer than the next. Takes some 20 ms of a processor, most of it to compile phrases.
///
/// # Panics
/// Never: tests read everything.
#[must_use]
pub fn load() -> Rules {
    let _ = technologies::known();
    Rules::embedded()
}

/// What judges, by version of the program and of the rules.
#[must_use]
pub fn engine(rules: &Rules) -> Engine {
    Engine {
        name: "safeurl-rules".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rules_digest: rules.digest().to_owned(),
    }
}

/// The verdict on one finished fetch.
#[must_use]
pub fn judge(rules: &Rules, evidence: Evidence<'_>, now: Timestamp) -> Verdict {
    let report = bounded::bounded(evidence.report);
    verdict(&Case::of(rules, Evidence { report: &report, ..evidence }, now))
}

/// The verdict, and everything else that the supervisor reads out of a report.
#[must_use]
pub fn assess(rules: &Rules, evidence: Evidence<'_>, now: Timestamp) -> Assessment {
    let report = bounded::bounded(evidence.report);
    let case = Case::of(rules, Evidence { report: &report, ..evidence }, now);
    let page = case.features().is_some();
    Assessment {
        verdict: verdict(&case),
        technologies: page.then(|| technologies::of(&case)),
        phones: page.then(|| phone::of(&case)),
        language: language::of(case.text()),
    }
}

fn verdict(case: &Case<'_>) -> Verdict {
    let rules = case.rules;
    let facts = Facts::of(case);
    let fired = rules.fired(&facts);
    let risk_score = score::risk(&fired, rules.thresholds());
    let state = score::state(rules.thresholds(), risk_score, &fired);
    let brands = facts.brands();
    Verdict {
        state,
        risk_score,
        confidence: score::confidence(rules.thresholds(), state, risk_score, &fired, case),
        categories: if state >= VerdictState::Suspicious { score::categories(&fired) } else { Vec::new() },
        brands,
        reasoning: reasoning::sentences(state, &fired),
        findings: fired.iter().map(rules::Fired::finding).collect(),
        engine: engine(rules),
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod sample;
