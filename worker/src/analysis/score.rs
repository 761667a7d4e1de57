//! From findings to a score, a state and how sure that is.
//!
//! **Score.** The weights are added and the sum is clamped to 0..=100. Two limits keep a crowd of weak signs
//! honest: without a finding of high or critical severity the score stays below `malicious`, and what speaks
//! for a page (negative weight) counts only while no such finding is there. More risk never lowers a score.
//!
//! **State.** By the thresholds; below `suspicious` a page is benign only when no rule called the evidence thin.
//!
//! **Confidence.** How much of the page was seen (`coverage`, 0..1) and how far the score lies from the nearest
//! threshold (`margin`, 1 at 30 points or more): `0.3 + 0.4·coverage + 0.3·margin`; a critical finding speaks
//! for itself: at least 0.9. `unknown` is what little is known: `0.4·coverage`. Two decimals.

use safeurl_protocol::Report;

use super::case::Case;
use super::rules::{Fired, Thresholds};
use crate::domain::verdict::{Category, RiskScore, Severity, VerdictState};

/// A category needs this much of the score to be named.
const CATEGORY_POINTS: i32 = 10;

/// A score this far from a threshold does not tip over by one more weak sign.
const SAFE_MARGIN: f64 = 30.0;

/// Rules are never surer than this.
const CERTAIN: f64 = 0.99;

/// A page of this many words has said what it is.
const TELLING_WORDS: u64 = 50;

pub(super) fn risk(fired: &[Fired<'_>], thresholds: Thresholds) -> RiskScore {
    let strong = has(fired, Severity::High);
    let sum: i32 =
        fired.iter().map(|finding| finding.rule.weight).filter(|weight| *weight > 0 || !strong).sum();
    let score = u32::try_from(sum).unwrap_or(0);
    let ceiling = if strong { 100 } else { u32::from(thresholds.malicious) - 1 };
    RiskScore::clamped(score.min(ceiling))
}

pub(super) fn state(thresholds: Thresholds, score: RiskScore, fired: &[Fired<'_>]) -> VerdictState {
    if score.get() >= thresholds.malicious {
        VerdictState::Malicious
    } else if score.get() >= thresholds.suspicious {
        VerdictState::Suspicious
    } else if is_thin(fired) {
        VerdictState::Unknown
    } else {
        VerdictState::Benign
    }
}

pub(super) fn confidence(
    thresholds: Thresholds,
    state: VerdictState,
    score: RiskScore,
    fired: &[Fired<'_>],
    case: &Case<'_>,
) -> f64 {
    let coverage = coverage(case.report, fired);
    let points = f64::from(score.get());
    let nearest = [thresholds.suspicious, thresholds.malicious]
        .into_iter()
        .map(|threshold| (points - f64::from(threshold)).abs())
        .fold(SAFE_MARGIN, f64::min);
    let sure = match state {
        VerdictState::NotEvaluated => 0.0,
        VerdictState::Unknown => 0.4 * coverage,
        VerdictState::Benign | VerdictState::Suspicious | VerdictState::Malicious => {
            0.3 + 0.4 * coverage + 0.3 * nearest / SAFE_MARGIN
        }
    };
    let critical = state == VerdictState::Malicious && has(fired, Severity::Critical);
    let sure: f64 = if critical { sure.max(0.9) } else { sure };
    (sure.min(CERTAIN) * 100.0).round() / 100.0
}

/// Kinds of danger by the points they gave, strongest first.
pub(super) fn categories(fired: &[Fired<'_>]) -> Vec<Category> {
    let mut points = Vec::<(Category, i32)>::new();
    for Fired { rule, .. } in fired.iter().filter(|finding| finding.rule.weight > 0) {
        match points.iter_mut().find(|(category, _)| *category == rule.category) {
            Some((_, sum)) => *sum += rule.weight,
            None => points.push((rule.category, rule.weight)),
        }
    }
    points.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    points.into_iter().filter(|(_, sum)| *sum >= CATEGORY_POINTS).map(|(category, _)| category).collect()
}

/// Of four things that a whole scan brings: an answer, its body to the end, a document or file that was
/// recognised, and enough words to know what it is about.
fn coverage(report: &Report, fired: &[Fired<'_>]) -> f64 {
    let content = report.content.as_ref();
    let words = content.and_then(|content| content.text.as_ref()).map_or(0, |text| text.words);
    let seen = [
        report.requests.last().is_some_and(|last| last.status.is_some_and(|status| status < 300)),
        content.is_some_and(|content| content.size > 0 && !content.truncated),
        content.is_some_and(|content| content.sniffed_mime_type.is_some()),
        !is_thin(fired) && words >= TELLING_WORDS,
    ];
    seen.into_iter().map(f64::from).sum::<f64>() / 4.0
}

fn is_thin(fired: &[Fired<'_>]) -> bool {
    fired.iter().any(|finding| finding.rule.thin)
}

fn has(fired: &[Fired<'_>], least: Severity) -> bool {
    fired.iter().any(|finding| finding.rule.weight > 0 && finding.rule.severity >= least)
}
