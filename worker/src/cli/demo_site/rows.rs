//! The scans of the demonstration, and what each must come to.

use serde::Serialize;

use super::pages::{
    BRAND_COPY, CHAIN_START, CLOSED, COMMAND, COURIER, ENDLESS, FILES, LIBRARY, PRIZE, SILENT,
};
use crate::domain::failure::FailureClass;
use crate::domain::state::State;
use crate::domain::verdict::VerdictState;

/// One URL of the demonstration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// What it shows, in a few words.
    pub name: &'static str,
    /// What to scan.
    pub url: String,
    /// How the scan must end.
    pub expect: Expected,
}

/// How a scan must end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    /// State of the job.
    pub state: State,
    /// Class of the failure.
    pub class: Option<FailureClass>,
    /// `content.truncated`; `null` where that is not the point of the row.
    pub truncated: Option<bool>,
    /// The verdict.
    pub verdict: VerdictState,
    /// Id of the first finding, where it is the point of the row.
    pub strongest: Option<&'static str>,
}

/// Ports of the three kinds of server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) web: u16,
    pub(super) silent: u16,
    pub(super) closed: u16,
}

const fn completed(verdict: VerdictState, strongest: Option<&'static str>) -> Expected {
    Expected { state: State::Completed, class: None, truncated: Some(false), verdict, strongest }
}

const fn ended(state: State, class: FailureClass) -> Expected {
    Expected {
        state,
        class: Some(class),
        truncated: None,
        verdict: VerdictState::NotEvaluated,
        strongest: None,
    }
}

pub(super) fn rows(ports: Ports) -> Vec<Row> {
    use VerdictState::{Benign, Malicious, Unknown};
    let web = ports.web;
    let row = |name, url, expect| Row { name, url, expect };
    vec![
        row("a harmless article", format!("http://{COURIER}:{web}/tide-tables"), completed(Benign, None)),
        row("a login page of its own", format!("http://{LIBRARY}:{web}/sign-in"), completed(Benign, None)),
        row(
            "a brand's login posting elsewhere",
            format!("http://{BRAND_COPY}:{web}/"),
            completed(Malicious, Some("brand-login-elsewhere")),
        ),
        row(
            "five redirects over three hosts",
            format!("http://{CHAIN_START}:{web}/1"),
            completed(Benign, None),
        ),
        row(
            "a program named invoice.pdf",
            format!("http://{FILES}:{web}/invoice.pdf"),
            completed(Malicious, Some("download-disguised-program")),
        ),
        row(
            "a page that wants a command run",
            format!("http://{COMMAND}:{web}/"),
            completed(Malicious, Some("script-clipboard-command")),
        ),
        row(
            "a redirect to the cloud's metadata",
            format!("http://{PRIZE}:{web}/win"),
            Expected { truncated: None, ..completed(Malicious, Some("redirect-metadata")) },
        ),
        row(
            "a page that never ends",
            format!("http://{ENDLESS}:{web}/"),
            Expected { truncated: Some(true), ..completed(Unknown, None) },
        ),
        row(
            "a server that never answers",
            format!("http://{SILENT}:{}/", ports.silent),
            ended(State::TimedOut, FailureClass::Timeout),
        ),
        row(
            "a port nobody listens on",
            format!("http://{CLOSED}:{}/", ports.closed),
            ended(State::Failed, FailureClass::Connect),
        ),
    ]
}
