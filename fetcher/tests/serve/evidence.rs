//! The body in the report, for who wants to keep it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use safeurl_protocol::{Invocation, Report};

use crate::rig::{Rig, page, redirect, response, run};

fn body(report: &Report) -> Option<Vec<u8>> {
    report.body.as_ref().map(|text| STANDARD.decode(text).expect("base64"))
}

#[test]
fn the_body_of_the_last_response_is_in_the_report_only_when_asked_for() {
    let rig = Rig::new();
    let html = "<title>kept</title>\u{0}\u{fffd}";
    rig.says("a.test:80", redirect("http://b.test/")).says("b.test:80", page(html));
    let invocation = rig.invocation("http://a.test/");
    assert_eq!(body(&run(&invocation)), None);
    let report = run(&Invocation { evidence: true, ..invocation });
    assert_eq!(body(&report).as_deref(), Some(html.as_bytes()));
}

#[test]
fn a_body_that_does_not_fit_beside_the_rest_is_cut_and_nothing_else_is() {
    let rig = Rig::new();
    let large = vec![b'x'; 100_000];
    rig.says("a.test:80", response("200 OK", "Content-Type: application/pdf\r\n", &large));
    let invocation = Invocation { evidence: true, output_cap: 20_000, ..rig.invocation("http://a.test/") };
    let report = run(&invocation);
    let kept = body(&report).expect("a body");
    assert!(large.starts_with(&kept) && (10_000..15_000).contains(&kept.len()), "{}", kept.len());
    let content = report.content.as_ref().expect("content");
    assert_eq!((content.size, content.truncated, report.requests[0].headers.len()), (100_000, false, 2));
}

#[test]
fn without_a_response_there_is_nothing_to_keep() {
    let rig = Rig::new();
    rig.says("a.test:80", "what?\r\n\r\n");
    let report = run(&Invocation { evidence: true, ..rig.invocation("http://a.test/") });
    assert_eq!((body(&report), report.content), (None, None));
}
