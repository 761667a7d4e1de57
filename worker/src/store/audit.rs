//! The audit rows that the existing programs read: one per hop that was dialled or denied, whatever became of
//! the scan.

use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::results::{digest, headers};
use super::{Result, StoreError};
use crate::db::Unit;
use crate::domain::document::{Body, Decision, EgressEntry, Request};
use crate::domain::scan::Job;

/// The columns of one audit row.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct AuditRow {
    id: String,
    url: String,
    at: i64,
    hash: String,
    status: Option<u16>,
    headers: Option<String>,
    kind: Option<String>,
    summary: String,
}

/// The audit of a scan. With a document its ledger counts, and each hop is named by its URL.
pub(super) fn entries(body: Option<&Body>, egress: &[EgressEntry]) -> Vec<AuditRow> {
    let (egress, requests) = body.map_or((egress, &[][..]), |body| (&body.egress[..], &body.requests[..]));
    egress
        .iter()
        .filter(|entry| left_the_machine(entry) || entry.decision == Decision::Denied)
        .flat_map(|entry| {
            let mut hops: Vec<_> = requests
                .iter()
                .filter(|request| request.connection == Some(entry.seq))
                .map(|request| row(entry, Some(request), body))
                .collect();
            if hops.is_empty() {
                hops.push(row(entry, None, body));
            }
            hops
        })
        .collect()
}

/// A name that did not resolve was allowed, but nothing was dialled.
fn left_the_machine(entry: &EgressEntry) -> bool {
    entry.dialed.is_some() || !entry.addresses.is_empty()
}

fn row(entry: &EgressEntry, request: Option<&Request>, body: Option<&Body>) -> AuditRow {
    let verdict = body.map(|body| &body.verdict);
    let summary = json!({
        "decision": entry.decision,
        "rule": entry.rule,
        "address": entry.dialed,
        "port": entry.port,
        "verdict": verdict.map(|verdict| verdict.state),
        "riskScore": verdict.map(|verdict| verdict.risk_score),
    });
    AuditRow {
        id: Uuid::now_v7().to_string(),
        url: request.map_or_else(|| format!("{}:{}", entry.host, entry.port), |request| request.url.clone()),
        at: entry.opened_at.millis().div_euclid(1000),
        hash: digest(request.and_then(|request| request.sha256.as_deref())),
        status: request.and_then(|request| request.status),
        headers: request.filter(|request| request.status.is_some()).map(headers),
        kind: request.and_then(|request| request.mime_type.clone()),
        summary: summary.to_string(),
    }
}

/// Writes all rows in one statement.
pub(super) async fn insert(unit: &Unit, job: &Job, rows: &[AuditRow]) -> Result<()> {
    const INSERT: &str = "INSERT INTO audit_logs (id, scan_job_id, url_accessed, timestamp, content_hash,
          http_status, http_headers, content_type, risk_assessment_summary)
        SELECT value ->> 'id', ?1, value ->> 'url', value ->> 'at', value ->> 'hash', value ->> 'status',
          value ->> 'headers', value ->> 'kind', value ->> 'summary'
        FROM json_each(?2)";
    if rows.is_empty() {
        return Ok(());
    }
    let text =
        serde_json::to_string(rows).map_err(|_| StoreError::Unfit { what: "its audit rows are no JSON" })?;
    unit.execute(INSERT, [job.id.as_str(), text.as_str()]).await?;
    Ok(())
}
