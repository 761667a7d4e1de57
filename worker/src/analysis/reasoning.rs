//! The verdict in one to four sentences, the strongest reason first.

use super::rules::Fired;
use crate::domain::verdict::VerdictState;

/// Reasons told; all of them stand in the findings.
const REASONS: usize = 3;

/// A reason weaker than this is not worth a sentence beside a stronger one.
const WORTH_TELLING: i32 = 8;

pub(super) fn sentences(state: VerdictState, fired: &[Fired<'_>]) -> String {
    let mut told = vec![opening(state).to_owned()];
    let reasons: Vec<_> = match state {
        VerdictState::Malicious | VerdictState::Suspicious => {
            fired.iter().filter(|finding| finding.rule.weight > 0).collect()
        }
        VerdictState::Unknown => {
            let thin = fired.iter().filter(|finding| finding.rule.thin);
            thin.chain(
                fired.iter().filter(|finding| !finding.rule.thin && finding.rule.weight >= WORTH_TELLING),
            )
            .collect()
        }
        VerdictState::Benign => {
            fired.iter().filter(|finding| finding.rule.weight.abs() >= WORTH_TELLING).collect()
        }
        VerdictState::NotEvaluated => Vec::new(),
    };
    let strongest = reasons.first().map(|finding| finding.rule.id.as_str());
    let worth = reasons.into_iter().filter(|finding| {
        finding.rule.thin
            || finding.rule.weight.abs() >= WORTH_TELLING
            || Some(finding.rule.id.as_str()) == strongest
    });
    told.extend(worth.take(REASONS).map(sentence));
    told.join(" ")
}

const fn opening(state: VerdictState) -> &'static str {
    match state {
        VerdictState::Malicious => "This link is dangerous.",
        VerdictState::Suspicious => "This link is suspicious.",
        VerdictState::Benign => "Nothing strong speaks against this link.",
        VerdictState::Unknown => "Too little was seen to judge this link.",
        VerdictState::NotEvaluated => "This link was not judged.",
    }
}

fn sentence(finding: &Fired<'_>) -> String {
    let evidence = finding.evidence.first().map_or("", String::as_str);
    finding.rule.sentence.replace("{}", evidence)
}
