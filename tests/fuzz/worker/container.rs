//! What a container says: framed output, the engine's frames around it, the report with all that is made of it, and what
//! a probe saw.

use std::sync::LazyLock;

use bollard::container::LogOutput;
use safeurl_protocol::ledger::Ledger;
use safeurl_protocol::probe::{ProbeReport, RESTRICTIONS};
use safeurl_protocol::{Report, SCHEMA};
use sha2::{Digest, Sha256};

use crate::analysis::{Rules, assess};
use crate::domain::document::{
    Body, Document, Evidence, JobView, SandboxFacts, Summary, TaskOptions, compose,
};
use crate::domain::scan::sample;
use crate::domain::state::State;
use crate::domain::target::Target;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{Verdict, VerdictState};
use crate::gateway::record::ledger_in;
use crate::sandbox::output::{Fault, Output, Progress, STDERR_TAIL_BYTES};
use crate::sandbox::waiting::take;
use crate::sandbox::{Attestation, sample as sandbox};
use crate::supervisor::ending::read;

const ATTEMPT: &str = "j/1";

/// Small, so that inputs reach it.
const LIMIT: u64 = 4 * 1024;

/// One byte for the length of the pieces, then all that stands in a container's log.
pub(super) fn container_output(data: &[u8]) {
    let [length, data @ ..] = data else { return };
    let mut whole = Output::of_log(LIMIT, ATTEMPT);
    whole.stdout(data);
    let mut pieces = Output::of_log(LIMIT, ATTEMPT);
    for piece in data.chunks(usize::from(*length).max(1)) {
        pieces.stdout(piece);
    }
    let (whole, pieces) = (finished(whole), finished(pieces));
    match (&whole, &pieces) {
        (Ok(report), Ok(same)) => {
            assert_eq!(report, same);
            let sha256: String = Sha256::digest(report).iter().map(|byte| format!("{byte:02x}")).collect();
            let said = data.windows(64).any(|window| window == sha256.as_bytes());
            assert!(said, "the report does not have the digest that was announced");
        }
        // Which fault is seen first depends on how the bytes come.
        (Err(_), Err(_)) => {}
        _ => panic!("in one piece {whole:?}, in pieces of {length} {pieces:?}"),
    }
}

fn finished(output: Output) -> Result<Vec<u8>, Fault> {
    let progress = output.progress();
    let result = output.finish();
    match &result {
        Ok(report) => {
            assert_eq!(progress, Progress::Whole);
            assert!(report.len() as u64 <= LIMIT);
        }
        Err(Fault::Invalid(reason)) => assert!(!reason.is_empty() && progress != Progress::Whole),
        Err(Fault::TooLarge) => assert_eq!(progress, Progress::Broken(Fault::TooLarge)),
    }
    result
}

/// Frames as the engine sends them: the stream, three bytes, a length, the payload. The job is handed over as soon as
/// the container is ready.
pub(super) fn engine_frames(mut data: &[u8]) {
    let mut said = Output::new(LIMIT);
    let mut handed_over = false;
    while let [stream, _, _, _, a, b, c, d, rest @ ..] = data {
        let length = u32::from_be_bytes([*a, *b, *c, *d]);
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        let (payload, after) = rest.split_at(length);
        let message = payload.to_vec().into();
        let frame = match stream {
            0 => LogOutput::StdIn { message },
            1 => LogOutput::StdOut { message },
            2 => LogOutput::StdErr { message },
            _ => LogOutput::Console { message },
        };
        let before = said.progress();
        let goes_on = take(Some(Ok(frame)), &mut said);
        assert_eq!(goes_on, matches!(stream, 1 | 2));
        if matches!(before, Progress::Broken(_)) {
            assert_eq!(said.progress(), before, "what is wrong once stays wrong");
        }
        if !handed_over && said.progress() == Progress::Ready {
            said.expect(ATTEMPT);
            handed_over = true;
        }
        assert!(handed_over || said.progress() != Progress::Whole, "a report before a job");
        data = after;
    }
    // A byte that is no text is shown as three.
    assert!(said.stderr_tail().len() <= 3 * STDERR_TAIL_BYTES);
    assert!(finished(said).is_err() || handed_over);
}

static RULES: LazyLock<Rules> = LazyLock::new(Rules::embedded);

/// The lines of a ledger, an empty line, and a report.
pub(super) fn report(data: &[u8]) {
    let end = data.windows(2).position(|window| window == b"\n\n");
    let (ledger, json) = end.map_or((&b""[..], data), |end| (&data[..end], &data[end + 2..]));
    let ledger = ledger_in(ledger).expect("memory can be read");
    let report = match read(json, ATTEMPT) {
        Ok(report) => report,
        Err(reason) => {
            assert!(!reason.is_empty());
            return;
        }
    };
    assert!(report.schema == SCHEMA && report.attempt == ATTEMPT && !report.requests.is_empty());
    let again = serde_json::to_vec(&report).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<Report>(&again).expect("and read again"), report);
    document_holds(&report, &ledger);
}

fn document_holds(report: &Report, ledger: &Ledger) {
    let target = Target::parse("https://harbour.example/x").expect("a URL of ours");
    let now = Timestamp::from_seconds(1_795_219_200);
    let evidence = Evidence { target: &target, report, ledger };
    let assessment = assess(&RULES, evidence, now);
    verdict_holds(&assessment.verdict);
    let options = TaskOptions {
        user_agent: "Mozilla/5.0".to_owned(),
        timeout_ms: 30_000,
        max_redirects: 10,
        headers: [("x-token".to_owned(), "hidden".to_owned())].into(),
        respect_robots: false,
    };
    let job = sample(target.submitted());
    let body = compose(&job, options, evidence, SandboxFacts::default(), assessment, now);
    assert_eq!(body.requests.len(), report.requests.len() + report.side.len());
    let shown = body.page.iter().flat_map(|page| &page.ip).chain(&body.lists.ips);
    for ip in shown.chain(body.requests.iter().flat_map(|request| &request.ip)) {
        let seen =
            ledger.entries.iter().any(|entry| entry.tried.contains(ip) || entry.dialed.as_ref() == Some(ip));
        assert!(seen, "{ip} is in no ledger");
    }
    for request in &body.requests {
        for (name, value) in &request.headers {
            let secret =
                ["cookie", "authorization", "proxy-authorization", "x-api-key"].contains(&name.as_str());
            assert!(!secret || value.split(", ").all(|value| value == "***"), "{name}: {value}");
            assert!(name != "set-cookie" || value.ends_with("=***"), "{name}: {value}");
        }
    }
    assert!(body.task.options.headers.values().all(|value| value == "***"));
    let stored = serde_json::to_string(&body).expect("a document can be written");
    let loaded: Body = serde_json::from_str(&stored).expect("and read again");
    assert_eq!(serde_json::to_string(&loaded).expect("and written"), stored);
    summary_holds(body, &job.id.to_string(), now);
}

fn verdict_holds(verdict: &Verdict) {
    assert!(verdict.risk_score.get() <= 100 && (0.0..=1.0).contains(&verdict.confidence));
    assert!(verdict.state != VerdictState::NotEvaluated && !verdict.reasoning.is_empty());
    for piece in verdict.findings.iter().flat_map(|finding| &finding.evidence) {
        // 200 characters, each of which may be escaped (nine for the longest), and a sign that there were more.
        assert!(!piece.chars().any(char::is_control) && piece.chars().count() <= 9 * 200 + 1, "{piece:?}");
    }
    assert!(!verdict.reasoning.chars().any(char::is_control), "{:?}", verdict.reasoning);
}

/// However much a container says, the small view stays small.
fn summary_holds(body: Body, id: &str, now: Timestamp) {
    let job = JobView {
        id: id.to_owned(),
        kind: "scan".to_owned(),
        state: State::Completed,
        version: 4,
        attempt: 1,
        max_attempts: 3,
        priority: 0,
        user_id: "local".to_owned(),
        created_at: now,
        updated_at: now,
        started_at: Some(now),
        finished_at: Some(now),
        failure: None,
        transitions: Vec::new(),
    };
    let document = Document { schema: SCHEMA, job, body };
    let summary = serde_json::to_string(&Summary::of(&document)).expect("a summary can be written");
    assert!(summary.len() < 4096, "{} bytes", summary.len());
}

/// The answer of a probe container, and the attestation that is made of it.
pub(super) fn probe_answer(data: &[u8]) {
    let Ok(report) = serde_json::from_slice::<ProbeReport>(data) else { return };
    let attestation = Attestation::of(&sandbox::config(), 60_600, &sandbox::info(), report.seen);
    let names: Vec<_> = attestation.restrictions.iter().map(|judged| judged.name.as_str()).collect();
    assert_eq!(names, RESTRICTIONS);
    for judged in &attestation.restrictions {
        assert!(judged.saw.chars().count() <= 500 && !judged.saw.chars().any(char::is_control), "{judged:?}");
        assert_eq!(judged.holds, judged.hint.is_none(), "{judged:?}");
    }
    let again: Attestation =
        serde_json::from_str(&attestation.to_json()).expect("what was written can be read");
    assert_eq!(again.digest(), attestation.digest());
}
