//! Looking at many jobs: which ones, in what order, how many at a time.
//!
//! The statement is put together out of fixed pieces, one for each wish; values are bound. Listing in the order of
//! creation reads the index of that order and stops when it has enough, however many rows there are.

use libsql::Value;

use super::claim::readable_id;
use super::documents::of_job;
use super::jobs::{JOB_COLUMNS, find, job_columns, read_job};
use super::{Result, Store, StoreError};
use crate::db::{Columns, Unit};
use crate::domain::document::Document;
use crate::domain::failure::FailureClass;
use crate::domain::scan::{Job, ScanId};
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::VerdictState;

/// Which jobs. Each wish that is there must be met.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// Any of these states.
    pub states: Vec<State>,
    /// Any of these verdicts.
    pub verdicts: Vec<VerdictState>,
    /// Ended, or last tried, with any of these failures.
    pub classes: Vec<FailureClass>,
    /// This host or one below it, in lower case.
    pub domain: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// With this label of the submitter.
    pub tag: Option<String>,
    /// Created then or later.
    pub since: Option<Timestamp>,
    /// Created before.
    pub until: Option<Timestamp>,
}

/// By what jobs are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// When they came, the newest first.
    #[default]
    Created,
    /// When their row last changed, the newest first.
    Updated,
    /// When they ended, the newest first.
    Finished,
    /// How long the last attempt took, the longest first.
    Duration,
    /// How dangerous they are, the worst first.
    Score,
    /// By host, in the order of the alphabet.
    Domain,
}

/// Which part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// By what.
    pub sort: Sort,
    /// The other way round.
    pub reverse: bool,
    /// Go on behind this job; only in the order of creation.
    pub after: Option<ScanId>,
    /// Leave out so many.
    pub offset: u32,
    /// At most so many.
    pub limit: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self { sort: Sort::Created, reverse: false, after: None, offset: 0, limit: 50 }
    }
}

/// One job of a listing, with what its result says in short.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The row.
    pub job: Job,
    /// The verdict; `None` without a result, and for results of another program.
    pub verdict: Option<VerdictState>,
    /// 0 to 100; `None` without a result.
    pub score: Option<u8>,
}

/// When a job came, in milliseconds. Rows of other programs have the second only.
macro_rules! created {
    () => {
        "(CASE WHEN scan_jobs.created_ms > 0 THEN scan_jobs.created_ms ELSE scan_jobs.created_at * 1000 END)"
    };
}
pub(super) use created;

/// What stands behind the scheme of a URL, with everything that may end a host turned into a slash.
macro_rules! behind_scheme {
    () => {
        "(replace(replace(replace(substr(scan_jobs.url, CASE instr(scan_jobs.url, '://') WHEN 0 THEN 1
           ELSE instr(scan_jobs.url, '://') + 3 END), ':', '/'), '?', '/'), '#', '/') || '/')"
    };
}

/// The host of a job. Rows of other programs have none of their own: it is cut out of the URL, which finds those
/// that are written in the common way.
macro_rules! host {
    () => {
        concat!(
            "coalesce(scan_jobs.host, lower(substr(",
            behind_scheme!(),
            ", 1, instr(",
            behind_scheme!(),
            ", '/') - 1)))"
        )
    };
}
pub(super) use {behind_scheme, host};

/// The verdict that this program stores with a result.
macro_rules! verdict {
    () => {
        "(CASE WHEN json_valid(scan_results.analysis_metadata)
           THEN scan_results.analysis_metadata ->> '$.state' END)"
    };
}
pub(super) use verdict;

const SELECT: &str = concat!(
    "SELECT ",
    job_columns!(),
    ", scan_results.risk_score, CAST(",
    verdict!(),
    " AS BLOB) FROM scan_jobs"
);

const RESULT: &str = " LEFT JOIN scan_results ON scan_results.job_id = scan_jobs.id";

/// A statement without values in it, and its values.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Statement {
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    fn any_of<'a>(&mut self, column: &str, names: impl Iterator<Item = &'a str>) {
        let names: Vec<_> = names.collect();
        if !names.is_empty() {
            let condition = format!("{column} IN (SELECT value FROM json_each(?))");
            self.and(&condition, [serde_json::json!(names).to_string().into()]);
        }
    }

    fn search(&mut self, search: &Search) {
        self.any_of("scan_jobs.state", search.states.iter().map(|state| state.as_str()));
        self.any_of("scan_jobs.failure_class", search.classes.iter().map(|class| class.as_str()));
        if !search.verdicts.is_empty() {
            // What has no result was not judged.
            const JUDGED: &str = concat!("coalesce(", verdict!(), ", 'notEvaluated')");
            self.any_of(JUDGED, search.verdicts.iter().map(|verdict| verdict.as_str()));
        }
        if let Some(domain) = &search.domain {
            const BELOW: &str = concat!("(", host!(), " = ? OR ", host!(), " GLOB ?)");
            self.and(BELOW, [domain.as_str().into(), format!("*.{}", literal(domain)).into()]);
        }
        if let Some(user) = &search.user {
            self.and("scan_jobs.user_id = ?", [user.as_str().into()]);
        }
        if let Some(tag) = &search.tag {
            const TAGGED: &str = "CASE WHEN json_valid(scan_jobs.options) THEN EXISTS
                (SELECT 1 FROM json_each(scan_jobs.options, '$.tags') WHERE value = ?) END";
            self.and(TAGGED, [tag.as_str().into()]);
        }
        // The second narrows by the index, the millisecond decides.
        if let Some(since) = search.since {
            const SINCE: &str = concat!("scan_jobs.created_at >= ? AND ", created!(), " >= ?");
            self.and(SINCE, [since.millis().div_euclid(1000).into(), since.millis().into()]);
        }
        if let Some(until) = search.until {
            const UNTIL: &str = concat!("scan_jobs.created_at <= ? AND ", created!(), " < ?");
            self.and(UNTIL, [until.millis().div_euclid(1000).into(), until.millis().into()]);
        }
    }
}

/// A text that GLOB takes for itself.
fn literal(text: &str) -> String {
    let escaped =
        text.chars().map(|c| if matches!(c, '*' | '?' | '[') { format!("[{c}]") } else { c.to_string() });
    escaped.collect()
}

/// The statement of a listing.
pub(super) fn statement(search: &Search, page: &Page) -> Statement {
    let mut statement = Statement { sql: SELECT.to_owned(), values: Vec::new() };
    if page.sort == Sort::Created {
        // Left alone, SQLite takes an index on the state or the user, reads all of its rows and sorts them.
        statement.sql.push_str(" INDEXED BY scan_jobs_recent");
    }
    statement.sql.push_str(RESULT);
    statement.sql.push_str(concat!(" WHERE true", readable_id!()));
    statement.search(search);
    let down = page.reverse == (page.sort == Sort::Domain);
    if let Some(after) = &page.after {
        let sign = if down { '<' } else { '>' };
        let behind = format!(
            "(scan_jobs.created_at, scan_jobs.created_ms, scan_jobs.id) {sign}
             (SELECT created_at, created_ms, id FROM scan_jobs AS seen WHERE seen.id = ?)"
        );
        statement.and(&behind, [after.as_str().into()]);
    }
    let way = if down { "DESC" } else { "ASC" };
    let order = match page.sort {
        Sort::Created => {
            format!("scan_jobs.created_at {way}, scan_jobs.created_ms {way}, scan_jobs.id {way}")
        }
        // Equal and missing values in the order of creation, so that pages do not overlap.
        Sort::Updated => {
            format!("scan_jobs.updated_at {way}, scan_jobs.created_ms {way}, scan_jobs.id {way}")
        }
        Sort::Finished => format!("scan_jobs.finished_ms {way} NULLS LAST, scan_jobs.id {way}"),
        Sort::Duration => {
            format!("scan_jobs.finished_ms - scan_jobs.started_ms {way} NULLS LAST, scan_jobs.id {way}")
        }
        Sort::Score => format!("scan_results.risk_score {way} NULLS LAST, scan_jobs.id {way}"),
        Sort::Domain => format!("{} {way} NULLS LAST, scan_jobs.id {way}", host!()),
    };
    statement.sql.push_str(&format!(" ORDER BY {order} LIMIT ? OFFSET ?"));
    statement.values.extend([page.limit.into(), page.offset.into()]);
    statement
}

fn read(row: &Columns<'_>) -> Result<Listed> {
    let verdict = row.opt_text(JOB_COLUMNS + 1)?;
    Ok(Listed {
        job: read_job(row)?,
        score: row.opt_int(JOB_COLUMNS)?.and_then(|score| u8::try_from(score).ok()),
        verdict: verdict.and_then(|name| serde_json::from_value(name.into()).ok()),
    })
}

async fn listed(unit: &Unit, search: &Search, page: &Page) -> Result<Vec<Listed>> {
    let Statement { sql, values } = statement(search, page);
    unit.query(&sql, values, read).await
}

impl Store {
    /// Jobs that fit, with what their results say in short.
    ///
    /// # Errors
    /// The database's.
    pub async fn find_jobs(&self, search: Search, page: Page) -> Result<Vec<Listed>> {
        self.db.survey(async move |unit| listed(unit, &search, &page).await).await
    }

    /// The documents of jobs that fit, each with its job. One that cannot be read does not hold up the others.
    ///
    /// # Errors
    /// The database's.
    pub async fn find_documents(
        &self,
        search: Search,
        page: Page,
    ) -> Result<Vec<(ScanId, Result<Document>)>> {
        self.db
            .survey(async move |unit| {
                let mut found = Vec::new();
                for Listed { job, .. } in listed(unit, &search, &page).await? {
                    let id = job.id.clone();
                    match of_job(unit, job).await {
                        Err(StoreError::Db(error)) => return Err(error.into()),
                        document => found.push((id, document)),
                    }
                }
                Ok(found)
            })
            .await
    }

    /// The ids that begin with a text, at most so many, in the order of their letters; one that is the text comes
    /// alone.
    ///
    /// # Errors
    /// The database's.
    pub async fn ids_with_prefix(&self, prefix: &str, limit: u32) -> Result<Vec<ScanId>> {
        let prefix = prefix.to_owned();
        self.db
            .survey(async move |unit| {
                if let Ok(id) = ScanId::parse(prefix.as_str())
                    && find(unit, &id).await?.is_some()
                {
                    return Ok(vec![id]);
                }
                // No id goes on with the last character there is.
                let values: [Value; 3] =
                    [prefix.as_str().into(), format!("{prefix}\u{10ffff}").into(), limit.into()];
                let ids = unit.query(WITH_PREFIX, values, |row| row.text(0)).await?;
                Ok(ids.into_iter().filter_map(|id| ScanId::parse(id).ok()).collect())
            })
            .await
    }
}

pub(super) const WITH_PREFIX: &str = concat!(
    "SELECT CAST(id AS BLOB) FROM scan_jobs WHERE id >= ? AND id < ?",
    readable_id!(),
    " ORDER BY id LIMIT ?"
);
