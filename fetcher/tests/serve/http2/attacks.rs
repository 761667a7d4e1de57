//! Every server of the table that breaks the rules of HTTP/2 or floods within them: how it ends, when, and at what
//! price.

use super::*;
use crate::frames::{Attack, End, attacks};

/// What the report says of it, in the words of the table.
fn end(report: &Report) -> Option<End> {
    let hop = &report.requests[0];
    let truncated = report.content.as_ref().is_some_and(|content| content.truncated);
    match (hop.status, class(hop), title(report)) {
        (None, Some(ErrorClass::HttpProtocol), None) => Some(End::Refused),
        (None, Some(ErrorClass::Timeout), None) => Some(End::TimedOut),
        (Some(200), None, Some("whole")) if !truncated => Some(End::Page),
        (Some(200), Some(ErrorClass::Body | ErrorClass::Timeout), Some("begun")) if truncated => {
            Some(End::Cut)
        }
        _ => None,
    }
}

fn played(attack: &Attack) -> Report {
    let rig = Rig::new();
    let playing = attack.clone();
    secure(&rig, &["h2"], move |stream| playing.play(stream));
    let mut invocation = rig.invocation("https://a.test/");
    // What is refused is refused long before that; what is cut or silent takes all of it.
    invocation.timeout_ms = if attack.end == End::Refused { 20_000 } else { 3_000 };
    run(&invocation)
}

#[test]
fn each_attack_ends_as_the_table_says_and_costs_little() {
    for attack in attacks() {
        let report = played(&attack);
        let hop = &report.requests[0];
        assert_eq!(end(&report), Some(attack.end), "{}: {hop:?}", attack.name);
        little_memory(&report);
    }
}
