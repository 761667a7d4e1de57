//! The words of the domain as values of flags, in whatever case people write them.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::domain::failure::FailureClass;
use crate::domain::state::State;
use crate::domain::verdict::VerdictState;
use crate::store::Sort;

impl ValueEnum for State {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Queued => PossibleValue::new("queued").help("Waits"),
            Self::Fetching => PossibleValue::new("fetching").help("In a container"),
            Self::Analyzing => PossibleValue::new("analyzing").help("Being judged"),
            Self::Completed => PossibleValue::new("completed").help("Has a result"),
            Self::Failed => PossibleValue::new("failed").help("Ended without one"),
            Self::TimedOut => PossibleValue::new("timed-out").alias("timed_out").help("Ran out of time"),
        })
    }
}

impl ValueEnum for VerdictState {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Malicious, Self::Suspicious, Self::Benign, Self::Unknown, Self::NotEvaluated]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::NotEvaluated => {
                PossibleValue::new("not-evaluated").aliases(["notEvaluated", "not_evaluated"])
            }
            Self::Unknown | Self::Benign | Self::Suspicious | Self::Malicious => {
                PossibleValue::new(self.as_str())
            }
        })
    }
}

impl ValueEnum for FailureClass {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

impl ValueEnum for Sort {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Created, Self::Updated, Self::Finished, Self::Duration, Self::Score, Self::Domain]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Created => PossibleValue::new("created").help("The newest first"),
            Self::Updated => PossibleValue::new("updated").help("The last changed first"),
            Self::Finished => PossibleValue::new("finished").help("The last ended first"),
            Self::Duration => PossibleValue::new("duration").help("The longest first"),
            Self::Score => PossibleValue::new("score").help("The worst first"),
            Self::Domain => PossibleValue::new("domain").help("By host, from a to z"),
        })
    }
}
