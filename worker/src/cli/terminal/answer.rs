//! What a scan came to, in a word that looks the same wherever it is shown.

use anstyle::Style;

use super::text::{BLUE, FAINT, GREEN, NONE, RED, YELLOW};
use crate::domain::state::State;
use crate::domain::verdict::VerdictState;

/// The verdict; without one the state says how far it got.
pub(in crate::cli) fn answer(verdict: Option<VerdictState>, state: State) -> (&'static str, Style) {
    match verdict {
        Some(VerdictState::Malicious) => ("malicious", RED.bold()),
        Some(VerdictState::Suspicious) => ("suspicious", YELLOW),
        Some(VerdictState::Benign) => ("benign", GREEN),
        Some(VerdictState::Unknown) => ("unknown", NONE),
        Some(VerdictState::NotEvaluated) | None => match state {
            State::Fetching | State::Analyzing => (state.as_str(), BLUE),
            State::Queued | State::Completed | State::Failed | State::TimedOut => (state.as_str(), FAINT),
        },
    }
}
