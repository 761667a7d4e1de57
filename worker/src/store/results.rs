//! The result row that the existing programs read. Only a completed scan has one.

use libsql::params;
use serde_json::json;

use super::Result;
use crate::db::Unit;
use crate::domain::document::{Body, Purpose, Request, SCHEMA};
use crate::domain::scan::Job;

/// What has no body has the SHA-256 of nothing.
pub(super) const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The columns of a result, derived from a document.
#[derive(Debug, PartialEq)]
pub(super) struct ResultRow {
    risk_score: u8,
    categories: String,
    content_hash: String,
    http_status: Option<u16>,
    http_headers: Option<String>,
    content_type: Option<String>,
    model_used: String,
    analysis_metadata: String,
    reasoning: String,
    indicators: String,
}

impl ResultRow {
    pub(super) fn of(body: &Body) -> Self {
        let verdict = &body.verdict;
        let mut hops = body.requests.iter().rev().filter(|request| request.purpose == Purpose::Document);
        let last = hops.find(|request| request.status.is_some());
        let content = body.content.as_ref();
        let metadata = json!({
            "state": verdict.state,
            "confidence": verdict.confidence,
            "brands": verdict.brands,
            "rulesDigest": verdict.engine.rules_digest,
            "schema": SCHEMA,
        });
        let indicators: Vec<_> = verdict
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "id": finding.rule_id,
                    "title": finding.title,
                    "severity": finding.severity,
                    "category": finding.category,
                    "evidence": finding.evidence,
                })
            })
            .collect();
        Self {
            risk_score: verdict.risk_score.get(),
            categories: json!(verdict.categories).to_string(),
            content_hash: digest(content.map(|content| content.sha256.as_str())),
            http_status: last.and_then(|last| last.status),
            http_headers: last.map(headers),
            content_type: content.and_then(|content| content.declared_mime_type.clone()),
            model_used: format!("{}/{}", verdict.engine.name, verdict.engine.version),
            analysis_metadata: metadata.to_string(),
            reasoning: verdict.reasoning.clone(),
            indicators: json!(indicators).to_string(),
        }
    }
}

/// A digest as the tables demand it. What the container claims to be one and is not must not make its result
/// impossible to store.
pub(super) fn digest(claimed: Option<&str>) -> String {
    let is_hex =
        |text: &&str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    claimed.filter(is_hex).unwrap_or(NOTHING).to_owned()
}

/// Response headers as the existing columns hold them; secrets are masked already.
pub(super) fn headers(request: &Request) -> String {
    json!(request.headers).to_string()
}

pub(super) async fn insert(unit: &Unit, job: &Job, row: &ResultRow) -> Result<()> {
    // Replacing: the program that was here before may have left one when it was stopped.
    const INSERT: &str = "INSERT OR REPLACE INTO scan_results (job_id, risk_score, categories, content_hash,
          http_status, http_headers, content_type, model_used, analysis_metadata, reasoning, indicators,
          created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, unixepoch())";
    let values = params![
        job.id.as_str(),
        row.risk_score,
        row.categories.as_str(),
        row.content_hash.as_str(),
        row.http_status.map(u32::from),
        row.http_headers.as_deref(),
        row.content_type.as_deref(),
        row.model_used.as_str(),
        row.analysis_metadata.as_str(),
        row.reasoning.as_str(),
        row.indicators.as_str(),
    ];
    Ok(unit.execute_later(INSERT, values).await?)
}
