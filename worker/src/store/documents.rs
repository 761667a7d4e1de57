//! The stored part of scan documents. The job's part is joined when a document is read.

use std::collections::BTreeMap;

use libsql::params;

use super::jobs::find;
use super::{Result, Store, StoreError, transitions};
use crate::db::{Unit, now_ms};
use crate::domain::document::{
    Body, Document, EgressEntry, JobView, Ledger, SCHEMA, SandboxFacts, TaskOptions, TransitionView,
    without_report,
};
use crate::domain::scan::{Job, ScanId};
use crate::domain::target::Target;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{Engine, Verdict};

/// The document of a scan that nobody can say more about: not ended yet, ended before a container had it
/// (cancelled in the queue, refused, given up), or ended by another program.
pub(super) fn not_evaluated(job: &Job, egress: &[EgressEntry]) -> Body {
    let why = match &job.failure {
        Some(failure) => failure.message.clone(),
        None if job.state.is_final() => "Another program ended this scan.".to_owned(),
        None => "This scan has not ended yet.".to_owned(),
    };
    let engine = Engine {
        name: "safeurl".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rules_digest: String::new(),
    };
    let asked = TaskOptions {
        user_agent: job.options.user_agent.clone().unwrap_or_default(),
        timeout_ms: job.options.timeout_ms.unwrap_or_default(),
        max_redirects: job.options.max_redirects.unwrap_or_default(),
        headers: job
            .options
            .headers
            .iter()
            .map(|header| (header.name.clone(), header.value.clone()))
            .collect::<BTreeMap<_, _>>(),
        respect_robots: job.options.respect_robots,
    };
    let target = Target::parse(&job.url).ok();
    let facts = SandboxFacts::default();
    let verdict = Verdict::not_evaluated(engine, why);
    let body = without_report(job, target.as_ref(), asked, &Ledger::default(), facts, verdict);
    Body { egress: egress.to_vec(), ..body }
}

/// A document as it is stored.
pub(super) fn text(body: &Body) -> Result<String> {
    serde_json::to_string(body).map_err(|_| StoreError::Unfit { what: "its document is no JSON" })
}

/// Adds a document behind those that the job has.
pub(super) async fn insert(unit: &Unit, job: &Job, text: &str) -> Result<()> {
    const INSERT: &str = concat!(
        "INSERT INTO documents (job_id, n, attempt, schema, body, created_ms)
         SELECT ?1, coalesce(max(n), 0) + 1, ?2, ?3, ?4, ",
        now_ms!(),
        " FROM documents WHERE job_id = ?1"
    );
    Ok(unit.execute_later(INSERT, params![job.id.as_str(), job.attempt, SCHEMA, text]).await?)
}

impl Store {
    /// The last document of a job, with the row as it is now. A job that has none yet gets an empty one, whose
    /// verdict is `notEvaluated`. `None` when there is no such job.
    ///
    /// # Errors
    /// The database's; [`StoreError::Row`] for a stored document that cannot be read.
    pub async fn document(&self, id: &ScanId) -> Result<Option<Document>> {
        let id = id.clone();
        self.db.read(async move |unit| read(unit, &id).await).await
    }
}

async fn read(unit: &Unit, id: &ScanId) -> Result<Option<Document>> {
    match find(unit, id).await? {
        Some(job) => of_job(unit, job).await.map(Some),
        None => Ok(None),
    }
}

/// The document of a row that was just read.
pub(super) async fn of_job(unit: &Unit, job: Job) -> Result<Document> {
    const LAST: &str = "SELECT schema, body FROM documents WHERE job_id = ? ORDER BY n DESC LIMIT 1";
    let id = &job.id;
    let stored =
        unit.first(LAST, [id.as_str()], |row| Ok::<_, StoreError>((row.count(0)?, row.text(1)?))).await?;
    let (schema, body) = match stored.filter(|_| job.state.is_final()) {
        Some((schema, text)) => {
            let body = serde_json::from_str(&text).map_err(|error| StoreError::Row {
                table: "documents",
                id: id.to_string(),
                what: error.to_string(),
            })?;
            (schema, body)
        }
        None => (SCHEMA, not_evaluated(&job, &[])),
    };
    let transitions = transitions::of_job(unit, id).await?;
    Ok(Document { schema, job: view(job, transitions), body })
}

fn view(job: Job, transitions: Vec<TransitionView>) -> JobView {
    JobView {
        id: job.id.to_string(),
        kind: job.kind,
        state: job.state,
        version: job.version,
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        priority: job.priority,
        user_id: job.user,
        created_at: job.created,
        // The existing column has seconds; what is known better is not taken back.
        updated_at: [Some(job.updated), Some(job.created), job.started, job.finished]
            .into_iter()
            .flatten()
            .fold(job.updated, Timestamp::max),
        started_at: job.started,
        finished_at: job.finished,
        failure: job.failure,
        transitions,
    }
}
