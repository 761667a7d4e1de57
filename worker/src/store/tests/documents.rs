//! What is stored with the end of a scan, and how it is read back.

use std::collections::BTreeMap;

use super::fresh;
use crate::domain::document::{
    Body, Content, Decision, EgressEntry, Lists, OutcomeName, Purpose, Request, SCHEMA, Sandbox, Task,
    TaskOptions, Timings,
};
use crate::domain::failure::FailureClass;
use crate::domain::scan::{Method, ScanId};
use crate::domain::state::{Event, State};
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{Category, Engine, Finding, RiskScore, Severity, Verdict, VerdictState};
use crate::store::testing::{edge, failure};
use crate::store::{Advanced, AttemptRecord, Rows, Settled, Store, StoreError};

const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn hop(seq: u64, decision: Decision, addresses: &[&str]) -> EgressEntry {
    EgressEntry {
        seq,
        host: format!("h{seq}.example"),
        port: 443,
        addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
        tried: addresses
            .first()
            .filter(|_| decision == Decision::Allowed)
            .map(|&a| a.to_owned())
            .into_iter()
            .collect(),
        dialed: addresses.first().filter(|_| decision == Decision::Allowed).map(|&a| a.to_owned()),
        decision,
        rule: "public".to_owned(),
        bytes_in: 1,
        bytes_out: 2,
        opened_at: Timestamp::from_millis(1_700_000_000_999),
        dns_ms: None,
        connect_ms: None,
        duration_ms: None,
        error: None,
    }
}

fn exchange(url: &str, status: Option<u16>, connection: Option<u64>) -> Request {
    Request {
        purpose: Purpose::Document,
        url: url.to_owned(),
        method: "GET".to_owned(),
        status,
        status_text: None,
        protocol: None,
        ip: None,
        port: None,
        headers: BTreeMap::from([("server".to_owned(), "x".to_owned())]),
        mime_type: Some("text/html".to_owned()),
        size: None,
        encoded_size: None,
        sha256: status.map(|_| HASH.to_owned()),
        redirect: None,
        error: None,
        connection,
        timings: Timings { dns_ms: None, connect_ms: None, tls_ms: None, first_byte_ms: None, total_ms: 5 },
        tls: None,
        robots: None,
    }
}

/// A document of three hops: one that answered, one denied, one whose name did not resolve.
pub(in crate::store) fn body() -> Body {
    Body {
        task: Task {
            url: "https://h1.example/".to_owned(),
            effective_url: None,
            domain: None,
            apex_domain: None,
            time: Timestamp::default(),
            method: Method::Cli,
            tags: vec!["a".to_owned()],
            options: TaskOptions {
                user_agent: "ua".to_owned(),
                timeout_ms: 1,
                max_redirects: 2,
                headers: BTreeMap::new(),
                respect_robots: false,
            },
        },
        page: None,
        requests: vec![
            exchange("https://h1.example/", Some(302), Some(1)),
            exchange("https://h2.example/", None, Some(2)),
        ],
        content: Some(Content {
            sha256: HASH.to_owned(),
            md5: None,
            size: 5,
            declared_mime_type: Some("text/html".to_owned()),
            sniffed_mime_type: None,
            truncated: false,
            file_name: None,
            name_matches_type: None,
            attachment: false,
            text: None,
        }),
        features: None,
        lists: Lists::default(),
        egress: vec![
            hop(1, Decision::Allowed, &["192.0.2.1"]),
            hop(2, Decision::Denied, &["169.254.169.254"]),
            hop(3, Decision::Allowed, &[]),
            hop(4, Decision::Denied, &[]),
        ],
        sandbox: Sandbox {
            engine: None,
            runtime: None,
            image: None,
            image_digest: None,
            network: None,
            limits: Default::default(),
            outcome: Some(OutcomeName::Exited),
            exit_code: Some(0),
            warm: false,
            queue_ms: None,
            start_ms: None,
            run_ms: None,
            peak_memory_bytes: None,
            cpu_ms: None,
            attestation: None,
            adopted: false,
        },
        verdict: Verdict {
            state: VerdictState::Malicious,
            risk_score: RiskScore::clamped(72),
            confidence: 0.5,
            categories: vec![Category::Phishing],
            brands: vec!["Brand".to_owned()],
            reasoning: "It asks for a password.".to_owned(),
            findings: vec![Finding {
                rule_id: "r1".to_owned(),
                title: "t".to_owned(),
                severity: Severity::High,
                weight: 40,
                category: Category::Phishing,
                evidence: vec!["e".to_owned()],
            }],
            engine: Engine {
                name: "rules".to_owned(),
                version: "1".to_owned(),
                rules_digest: "d".to_owned(),
            },
        },
    }
}

fn record(attempt: u32) -> AttemptRecord {
    AttemptRecord {
        attempt,
        outcome: Some(OutcomeName::OutOfMemory),
        exit_code: Some(137),
        stderr_tail: "a\0\u{1b}[31mb".to_owned(),
        queue_ms: Some(1),
        start_ms: Some(2),
        run_ms: Some(3),
        ..AttemptRecord::default()
    }
}

async fn complete(store: &Store) -> ScanId {
    let worker = store.worker().await;
    let id = store.one("https://h1.example/").await;
    let lease = store.take(&worker).await.expect("the job");
    let Ok(Advanced::Held(lease)) = store.advance(lease, edge(State::Fetching, Event::Accept)).await else {
        panic!("the lease stays")
    };
    let rows = Rows { attempt: Some(record(1)), body: Some(body()), ..Rows::default() };
    let settled =
        store.settle(lease, edge(State::Analyzing, Event::Complete), rows).await.expect("an answer");
    assert_eq!(settled, Settled::Done { version: 4 });
    id
}

#[tokio::test]
async fn a_completed_scan_has_its_document_result_and_audit() {
    let (_folder, store) = fresh().await;
    let id = complete(&store).await;
    let document = store.document(&id).await.expect("an answer").expect("a document");
    assert_eq!(document.schema, SCHEMA);
    assert_eq!(document.body, body());
    assert_eq!((document.job.state, document.job.version, document.job.attempt), (State::Completed, 4, 1));
    assert_eq!(document.job.user_id, "local");
    assert!(document.job.started_at.is_some() && document.job.finished_at >= document.job.started_at);
    let edges: Vec<_> =
        document.job.transitions.iter().map(|edge| (edge.from, edge.to, edge.version)).collect();
    assert_eq!(
        edges,
        [
            (State::Queued, State::Fetching, 2),
            (State::Fetching, State::Analyzing, 3),
            (State::Analyzing, State::Completed, 4)
        ]
    );
    let result = "SELECT risk_score, categories, content_hash, http_status, http_headers, content_type,
        model_used, reasoning, json_extract(indicators, '$[0].id'), json_extract(analysis_metadata, '$.state'),
        created_at > 1700000000 FROM scan_results";
    assert_eq!(
        store.rows(result).await,
        [format!(
            "72|[\"phishing\"]|{HASH}|302|{{\"server\":\"x\"}}|text/html|rules/1|It asks for a password.|r1|malicious|1"
        )]
    );
    let audit = "SELECT url_accessed, timestamp, content_hash, http_status,
        json_extract(risk_assessment_summary, '$.decision') FROM audit_logs ORDER BY url_accessed";
    let nothing = crate::store::results::NOTHING;
    assert_eq!(
        store.rows(audit).await,
        [
            format!("h4.example:443|1700000000|{nothing}|null|denied"),
            format!("https://h1.example/|1700000000|{HASH}|302|allowed"),
            format!("https://h2.example/|1700000000|{nothing}|null|denied"),
        ],
        "one row per dialled or denied hop; a name that did not resolve was neither"
    );
    assert_eq!(nothing, format!("{:x}", HexOf(&<sha2::Sha256 as sha2::Digest>::digest(b""))));
}

struct HexOf<'a>(&'a [u8]);

impl std::fmt::LowerHex for HexOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[tokio::test]
async fn an_attempt_keeps_its_record_with_hostile_text_unchanged() {
    let (_folder, store) = fresh().await;
    let id = complete(&store).await;
    let attempts = store.attempts(&id).await.expect("attempts");
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].record, record(1));
    assert_eq!((attempts[0].reason.as_str(), &attempts[0].failure), ("completed", &None));
    assert!(attempts[0].started.is_some_and(|started| started <= attempts[0].ended));
}

#[tokio::test]
async fn a_completed_scan_without_a_document_is_not_written() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    store.one("https://h1.example/").await;
    let lease = store.take(&worker).await.expect("the job");
    let Ok(Advanced::Held(lease)) = store.advance(lease, edge(State::Fetching, Event::Accept)).await else {
        panic!("the lease stays")
    };
    let complete = edge(State::Analyzing, Event::Complete);
    let refused = store.settle(lease, complete.clone(), Rows::default()).await.expect_err("no document");
    assert!(matches!(refused.error, StoreError::Unfit { .. }));
    let rows = Rows { body: Some(body()), ..Rows::default() };
    let settled = store.settle(*refused.lease, complete, rows).await.expect("the lease is still good");
    assert_eq!(settled, Settled::Done { version: 4 });
}

#[tokio::test]
async fn an_edge_that_fails_in_the_middle_leaves_no_trace() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://h1.example/").await;
    let lease = store.take(&worker).await.expect("the job");
    store
        .run("CREATE TRIGGER full BEFORE INSERT ON audit_logs BEGIN SELECT RAISE(ABORT, 'no room'); END;")
        .await;
    let rows = || Rows { body: Some(body()), attempt: Some(record(1)), ..Rows::default() };
    let failed = edge(State::Fetching, Event::Fail(failure(FailureClass::Tls)));
    let refused = store.settle(lease, failed.clone(), rows()).await.expect_err("the audit fails");
    assert!(matches!(refused.error, StoreError::Db(_)));
    let state = "SELECT state, version, (SELECT count(*) FROM documents), (SELECT count(*) FROM attempts),
        (SELECT count(*) FROM transitions) FROM scan_jobs";
    assert_eq!(store.rows(state).await, ["FETCHING|2|0|0|1"]);
    store.run("DROP TRIGGER full").await;
    let settled = store.settle(*refused.lease, failed, rows()).await.expect("room again");
    assert_eq!(settled, Settled::Done { version: 3 });
    assert_eq!(store.rows(state).await, ["FAILED|3|1|1|2"]);
    assert_eq!(store.rows("SELECT count(*) FROM scan_results").await, ["0"]);
    assert_eq!(store.attempts(&id).await.expect("attempts")[0].failure, Some(failure(FailureClass::Tls)));
}

#[tokio::test]
async fn a_failed_scan_has_a_document_even_when_nobody_wrote_one() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    for (class, state) in [(FailureClass::Connect, State::Failed), (FailureClass::Timeout, State::TimedOut)] {
        let id = store.one("https://h1.example/").await;
        let lease = store.take(&worker).await.expect("the job");
        let rows = Rows { egress: vec![hop(1, Decision::Allowed, &["192.0.2.1"])], ..Rows::default() };
        let failed = edge(State::Fetching, Event::Fail(failure(class)));
        store.settle(lease, failed, rows).await.expect("an answer");
        let document = store.document(&id).await.expect("an answer").expect("a document");
        assert_eq!(document.job.state, state);
        assert_eq!(document.job.failure, Some(failure(class)));
        assert_eq!(document.body.verdict.state, VerdictState::NotEvaluated);
        assert_eq!(document.body.task.url, "https://h1.example/");
        assert_eq!(document.body.egress.len(), 1);
    }
    assert_eq!(store.rows("SELECT url_accessed FROM audit_logs").await, ["h1.example:443", "h1.example:443"]);
}

#[tokio::test]
async fn an_attempt_that_is_tried_again_leaves_audit_and_record_but_stores_no_document() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://h1.example/").await;
    let lease = store.take(&worker).await.expect("the job");
    let rows =
        Rows { attempt: Some(record(1)), egress: vec![hop(1, Decision::Denied, &[])], ..Rows::default() };
    let lost = edge(State::Fetching, Event::Lose(failure(FailureClass::Lost)));
    store.settle(lease, lost, rows).await.expect("an answer");
    let empty = store.document(&id).await.expect("an answer").expect("a job");
    assert_eq!((empty.body.verdict.state, empty.body.page), (VerdictState::NotEvaluated, None));
    let counts = "SELECT (SELECT count(*) FROM audit_logs), (SELECT count(*) FROM attempts),
        (SELECT count(*) FROM documents)";
    assert_eq!(store.rows(counts).await, ["1|1|0"]);
}

#[tokio::test]
async fn a_replayed_job_has_an_empty_document_until_it_ends_again() {
    let (_folder, store) = fresh().await;
    let worker = store.worker().await;
    let id = store.one("https://h1.example/").await;
    for round in 1..=2 {
        let lease = store.take(&worker).await.expect("the job");
        let failed = edge(State::Fetching, Event::Fail(failure(FailureClass::Dns)));
        store.settle(lease, failed, Rows::default()).await.expect("an answer");
        let ended = store.document(&id).await.expect("an answer").expect("a job");
        assert_eq!(ended.job.state, State::Failed, "round {round}");
        store.replay(&id).await.expect("an answer");
        let queued = store.document(&id).await.expect("an answer").expect("a job");
        let reasoning = "This scan has not ended yet.";
        assert_eq!((queued.job.state, queued.body.verdict.reasoning.as_str()), (State::Queued, reasoning));
    }
    assert_eq!(store.rows("SELECT n, attempt FROM documents ORDER BY n").await, ["1|1", "2|2"]);
}
