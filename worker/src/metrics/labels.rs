//! The labels, each from a closed set.

use std::collections::BTreeSet;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use safeurl_egress::table::{V4, V6};

use super::Part;
use crate::domain::failure::FailureClass;
use crate::domain::state::State;

/// Where no class is: the scan has a result, or its job was only given back.
const NO_CLASS: &str = "none";

/// A rule that is not in the list: a newer gateway's, whose ledger was taken over.
const OTHER_RULE: &str = "other";

/// Names of rules beside those of the address tables: hidden addresses and ports, names, then what a budget names.
const RULES: &[&str] = &[
    "isatap",
    "bad-port",
    "invalid-host",
    "deadline",
    "connections",
    "concurrent",
    "hosts",
    "bytes-in",
    "bytes-out",
    OTHER_RULE,
];

/// Every rule that may deny a connection.
pub(super) fn rules() -> BTreeSet<&'static str> {
    let tables = V4.iter().map(|block| block.rule).chain(V6.iter().map(|block| block.rule));
    tables.chain(RULES.iter().copied()).collect()
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Settled {
    state: &'static str,
    class: &'static str,
}

impl Settled {
    pub(super) fn of(state: State, class: Option<FailureClass>) -> Self {
        Self { state: state.as_str(), class: class.map_or(NO_CLASS, FailureClass::as_str) }
    }
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByState {
    pub(super) state: &'static str,
}

/// A class of failure.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByClass {
    pub(super) class: &'static str,
}

/// A rule of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByRule {
    rule: &'static str,
}

impl ByRule {
    /// Only names that are known become labels, whatever a ledger says.
    pub(super) fn of(name: &str) -> Self {
        Self { rule: rules().into_iter().find(|rule| *rule == name).unwrap_or(OTHER_RULE) }
    }
}

/// A direction through the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    /// Towards the container.
    In,
    /// Towards the web.
    Out,
}

impl EncodeLabelValue for Direction {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
        .encode(encoder)
    }
}

/// A direction through the gateway, as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByDirection {
    pub(super) direction: Direction,
}

/// A part of the worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByPart {
    pub(super) part: Part,
}

impl EncodeLabelValue for Part {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

/// What the program is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Build {
    pub(super) version: &'static str,
}
