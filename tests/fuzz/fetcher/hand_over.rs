//! The invocation on standard input, and the command line of a person.

use safeurl_protocol::Invocation;
use safeurl_protocol::frame::{MAX_LINE_BYTES, ReportHeader};

use crate::args::{self, Mode};
use crate::plan::Plan;
use crate::serve::{self, Line};

/// Words in lines; the first two are the variables that are looked up.
pub(super) fn arguments(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n').map(str::to_owned);
    let (url, job) = (lines.next(), lines.next());
    let env = |name: &str| match name {
        "SCAN_URL" => url.clone(),
        "JOB_ID" => job.clone(),
        _ => None,
    };
    match args::parse(lines, env) {
        Ok(Mode::Once(invocation)) => {
            assert!((2_000..=3_600_000).contains(&invocation.timeout_ms));
            assert!(!invocation.url.trim().is_empty());
            assert!(invocation.fallback_url.is_none() || invocation.url.starts_with("https://"));
            plan_holds(*invocation);
        }
        Ok(Mode::Serve | Mode::Probe | Mode::Help) => {}
        Err(misuse) => assert!(!misuse.0.is_empty()),
    }
}

pub(super) fn invocation(data: &[u8]) {
    match serve::read_line::<Invocation>(data).expect("memory can be read") {
        Line::Job(invocation) => {
            let line = serde_json::to_vec(&invocation).expect("what was read can be written");
            assert_eq!(serde_json::from_slice::<Invocation>(&line).expect("and read again"), *invocation);
            plan_holds(*invocation);
        }
        Line::Nothing => assert!(!data.contains(&b'\n'), "a whole line is a job or a mistake"),
        Line::Bad(message) => assert!(!message.is_empty()),
    }
}

/// What the rest of the program relies upon.
fn plan_holds(invocation: Invocation) {
    let Ok(plan) = Plan::new(invocation) else { return };
    assert!(plan.fetch_time <= plan.whole_time && !plan.fetch_time.is_zero());
    for name in ["host", "connection", "content-length", "transfer-encoding", "upgrade"] {
        assert!(!plan.headers.contains_key(name), "{name} would change the framing");
    }
    let (bytes, sha256) = (u64::MAX, "0".repeat(64));
    let header = ReportHeader { report: 1, attempt: plan.attempt, bytes, sha256 };
    let header = serde_json::to_vec(&header).expect("a header can be written");
    assert!(header.len() < MAX_LINE_BYTES, "the supervisor would refuse a header of {} bytes", header.len());
}
