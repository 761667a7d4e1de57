//! The audit rows that the existing programs read: one per hop that was dialled or denied, whatever became of
//! the scan. What their columns have no place for is in the summary.

use libsql::params;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::results::{digest, headers};
use super::{Result, Store};
use crate::db::{Columns, Unit};
use crate::domain::document::{Body, Decision, EgressEntry, Request};
use crate::domain::scan::{Job, ScanId};
use crate::domain::target::leads_to;
use crate::domain::timestamp::Timestamp;

/// An audit row as it is shown. Rows of other programs, and of earlier versions, say less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditView {
    /// Its name.
    pub id: String,
    /// What was accessed: a URL, or host and port.
    pub url: String,
    /// When.
    pub at: Timestamp,
    /// What was answered.
    pub status: Option<u16>,
    /// Whether the gateway dialled.
    pub decision: Option<Decision>,
    /// By which rule.
    pub rule: Option<String>,
    /// The address that was dialled.
    pub address: Option<String>,
    /// Bytes from there.
    pub bytes_in: Option<u64>,
    /// Bytes to there.
    pub bytes_out: Option<u64>,
    /// What went wrong with the connection.
    pub error: Option<String>,
}

/// What an audit row's summary says of the connection.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Summary {
    decision: Option<Decision>,
    rule: Option<String>,
    address: Option<String>,
    bytes_in: Option<u64>,
    bytes_out: Option<u64>,
    opened_at: Option<Timestamp>,
    error: Option<String>,
}

/// The columns of one audit row.
#[derive(Debug, PartialEq)]
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

/// The audit of a scan. With a document its ledger counts, and each hop is named by its URL: the ledger saw only host
/// and port, so a URL that claims a connection to somewhere else names nothing.
pub(super) fn entries(body: Option<&Body>, egress: &[EgressEntry]) -> Vec<AuditRow> {
    let (egress, requests) = body.map_or((egress, &[][..]), |body| (&body.egress[..], &body.requests[..]));
    egress
        .iter()
        .filter(|entry| left_the_machine(entry) || entry.decision == Decision::Denied)
        .flat_map(|entry| {
            let mut hops: Vec<_> = requests
                .iter()
                .filter(|request| request.connection == Some(entry.seq))
                .filter(|request| leads_to(&request.url, &entry.host, entry.port))
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
        "tried": entry.tried,
        "port": entry.port,
        "bytesIn": entry.bytes_in,
        "bytesOut": entry.bytes_out,
        "openedAt": entry.opened_at,
        "error": entry.error,
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

/// Writes rows, which are few.
pub(super) async fn insert(unit: &Unit, job: &Job, rows: &[AuditRow]) -> Result<()> {
    const INSERT: &str = "INSERT INTO audit_logs (id, scan_job_id, url_accessed, timestamp, content_hash,
          http_status, http_headers, content_type, risk_assessment_summary)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    for row in rows {
        let values = params![
            row.id.as_str(),
            job.id.as_str(),
            row.url.as_str(),
            row.at,
            row.hash.as_str(),
            row.status.map(u32::from),
            row.headers.as_deref(),
            row.kind.as_deref(),
            row.summary.as_str(),
        ];
        unit.execute_later(INSERT, values).await?;
    }
    Ok(())
}

pub(super) const OF_JOB: &str = "SELECT CAST(id AS BLOB), CAST(url_accessed AS BLOB), timestamp, http_status,
      CAST(risk_assessment_summary AS BLOB)
    FROM audit_logs WHERE scan_job_id = ? ORDER BY timestamp, id LIMIT ?";

/// Rows shown of one job. An attempt dials some dozens at most, and is tried some times; more is another program's.
const SHOWN: u32 = 10_000;

impl Store {
    /// The audit of a job, in the order of its time.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit(&self, id: &ScanId) -> Result<Vec<AuditView>> {
        let id = id.clone();
        self.db.read(async move |unit| unit.query(OF_JOB, params![id.as_str(), SHOWN], view).await).await
    }
}

fn view(row: &Columns<'_>) -> Result<AuditView> {
    // A summary of another program is its own; what of it has our names is taken.
    let summary = row.opt_text(4)?.and_then(|text| serde_json::from_str::<Summary>(&text).ok());
    let summary = summary.unwrap_or_default();
    Ok(AuditView {
        id: row.text(0)?,
        url: row.text(1)?,
        at: summary.opened_at.unwrap_or(Timestamp::from_seconds(row.int(2)?)),
        status: row.opt_int(3)?.and_then(|status| u16::try_from(status).ok()),
        decision: summary.decision,
        rule: summary.rule,
        address: summary.address,
        bytes_in: summary.bytes_in,
        bytes_out: summary.bytes_out,
        error: summary.error,
    })
}

#[cfg(test)]
mod tests;
