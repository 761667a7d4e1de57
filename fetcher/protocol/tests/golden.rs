//! The wire as it stands: each golden file is read and written back byte for byte.
//!
//! A diff in a golden file is a change of the protocol: it needs a new [`safeurl_protocol::PROTOCOL`], because
//! worker and image are built and replaced one at a time.

use safeurl_protocol::frame::{MAX_LINE_BYTES, Ready, ReportHeader};
use safeurl_protocol::ledger::{Ledger, LedgerLine};
use safeurl_protocol::{ErrorClass, Invocation, Report};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn there_and_back<T: Serialize + DeserializeOwned>(text: &str) -> Vec<T> {
    let values: Vec<T> =
        text.lines().map(|line| serde_json::from_str(line).expect("the golden line is readable")).collect();
    let written: String =
        values.iter().map(|value| serde_json::to_string(value).expect("serializable") + "\n").collect();
    assert_eq!(written, text);
    assert!(!values.is_empty());
    values
}

#[test]
fn invocations_keep_their_shape() {
    there_and_back::<Invocation>(include_str!("../golden/invocation.json"));
    there_and_back::<Invocation>(include_str!("../golden/invocation-bridge.json"));
}

#[test]
fn an_invocation_with_a_field_nobody_knows_is_refused() {
    let text = include_str!("../golden/invocation.json").replacen('{', "{\"networks\":[],", 1);
    assert!(serde_json::from_str::<Invocation>(&text).is_err());
}

#[test]
fn frame_lines_keep_their_shape_and_length() {
    let ready = there_and_back::<Ready>(include_str!("../golden/ready.json"));
    assert_eq!(ready, [Ready::current()]);
    there_and_back::<ReportHeader>(include_str!("../golden/header.json"));
    assert!(include_str!("../golden/header.json").len() < MAX_LINE_BYTES);
}

#[test]
fn reports_keep_their_shape() {
    there_and_back::<Report>(include_str!("../golden/report.json"));
    there_and_back::<Report>(include_str!("../golden/report-failed.json"));
}

#[test]
fn ledger_lines_keep_their_shape_and_merge_into_entries() {
    let lines = there_and_back::<LedgerLine>(include_str!("../golden/ledger.jsonl"));
    let ledger = Ledger::from_lines(lines);
    assert!(ledger.complete && ledger.attempt.is_some());
    let first = ledger.entry(1).expect("a first connection");
    assert_eq!((first.bytes_in, first.bytes_out, first.duration_ms), (2048, 512, Some(90)));
    assert_eq!(ledger.entry(2).and_then(|entry| entry.dialed.as_deref()), None);
}

#[test]
fn error_classes_have_one_name() {
    for class in [
        ErrorClass::InvalidTarget,
        ErrorClass::EgressDenied,
        ErrorClass::Dns,
        ErrorClass::DnsUnavailable,
        ErrorClass::RobotsDisallowed,
        ErrorClass::Connect,
        ErrorClass::Tls,
        ErrorClass::HttpProtocol,
        ErrorClass::Timeout,
        ErrorClass::Budget,
        ErrorClass::Body,
        ErrorClass::RedirectLoop,
        ErrorClass::TooManyRedirects,
        ErrorClass::RedirectRefused,
    ] {
        assert_eq!(serde_json::to_string(&class).expect("serializable"), format!("\"{}\"", class.as_str()));
    }
}
