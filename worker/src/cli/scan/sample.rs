//! Documents to show, for the tests of what is printed.

use serde_json::json;

use crate::domain::document::{Body, Document, JobView, SCHEMA};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::VerdictState;

/// A scan that got no answer.
pub(in crate::cli) fn failed(message: &str) -> Document {
    let mut document = judged(VerdictState::NotEvaluated);
    document.job.state = State::Failed;
    document.job.failure = Some(Failure::new(FailureClass::Connect, FailureStage::Fetch, message));
    document.body.verdict.reasoning = format!("There is no result to judge: {message}.");
    document.body.verdict.findings.clear();
    document
}

/// A scan with a weak reason, and one without weight.
pub(in crate::cli) fn judged(state: VerdictState) -> Document {
    let finding = |rule: &str, title: &str, weight: i32, evidence: &str| {
        json!({ "ruleId": rule, "title": title, "severity": "low", "weight": weight, "category": "other",
                "evidence": [evidence] })
    };
    let body = json!({
        "task": { "url": "http://shop.test:81/", "time": Timestamp::default(), "method": "cli", "tags": [],
                  "options": { "userAgent": "", "timeoutMs": 1, "maxRedirects": 0, "headers": {} } },
        "requests": [], "egress": [],
        "lists": { "ips": [], "domains": [], "apexDomains": [], "urls": [], "linkDomains": [], "hashes": [],
                   "certificates": [] },
        "sandbox": { "limits": { "memoryBytes": 1, "cpus": 1.0, "pids": 1, "timeoutMs": 1, "outputBytes": 1 },
                     "warm": false, "adopted": false },
        "verdict": { "state": state, "riskScore": 30, "confidence": 0.55, "categories": [], "brands": [],
                     "reasoning": "Sentences.",
                     "findings": [finding("url-odd-port", "An unusual port", 10, "port 81"),
                                  finding("thin-truncated", "The content was cut short", 0, "after 10 MiB")],
                     "engine": { "name": "safeurl-rules", "version": "0", "rulesDigest": "" } },
    });
    let body: Body = serde_json::from_value(body).expect("it is a stored document");
    let started = Timestamp::from_millis(1_000);
    let job = JobView {
        id: "01a20067-644b-7385-b267-02683f2e2a1f".to_owned(),
        kind: "scan".to_owned(),
        state: State::Completed,
        version: 4,
        attempt: 1,
        max_attempts: 3,
        priority: 0,
        user_id: "local".to_owned(),
        created_at: started,
        updated_at: started,
        started_at: Some(started),
        finished_at: Some(Timestamp::from_millis(1_043)),
        failure: None,
        transitions: Vec::new(),
    };
    Document { schema: SCHEMA, job, body }
}
