//! Putting jobs into the queue.

use std::time::Duration;

use serde_json::json;
use tracing::Instrument as _;

use super::hosts::host_of;
use super::settle::settled;
use super::transitions::millis;
use super::{Result, Store, StoreError};
use crate::db::{Unit, now_ms};
use crate::domain::scan::{Method, Options, ScanId, WorkerId};
use crate::span::span;

/// A job to be queued.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its name; [`ScanId::fresh`] unless another program named it.
    pub id: ScanId,
    /// Whose it is; made when missing. `local` is the command line's.
    pub user: String,
    /// The URL as it came.
    pub url: String,
    /// What it asks for.
    pub options: Options,
    /// 0 first.
    pub priority: i64,
    /// Where it came from.
    pub method: Method,
    /// The cap of counted attempts.
    pub max_attempts: u32,
    /// The only worker that may claim it; must be registered before, or the row counts as abandoned.
    pub reserved_for: Option<WorkerId>,
    /// Not to be claimed before this has passed.
    pub delay: Option<Duration>,
}

impl Store {
    /// Queues jobs, all or none, and returns their ids in the same order. A lost answer is asked for once more within
    /// this call.
    ///
    /// # Errors
    /// [`crate::db::DbError::Rejected`] for an id that exists already; the database's.
    pub async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<ScanId>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        const THERE: &str = "SELECT count(*) FROM json_each(?) AS new
            JOIN scan_jobs ON scan_jobs.id = new.value ->> 'id' AND scan_jobs.url = new.value ->> 'url'
              AND scan_jobs.user_id = new.value ->> 'user'";
        let ids: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
        let (rows, count) = (json!(jobs.iter().map(row).collect::<Vec<_>>()).to_string(), jobs.len());
        // All of them wait for the same commit; it is the trace of the first.
        let span = span!("submit", job = tracing::field::display(&ids[0]), by = "database");
        let once = |again: bool| {
            let (jobs, rows) = (jobs.clone(), rows.clone());
            self.db.write(async move |unit| {
                // They share a transaction: all are there, or none.
                if again
                    && unit.first(THERE, [rows.as_str()], |row| row.count(0)).await?
                        == u32::try_from(count).ok()
                {
                    return Ok::<_, StoreError>(());
                }
                insert(unit, &jobs).await
            })
        };
        async { settled(once(false).await, once(true)).await }.instrument(span).await?;
        self.announce_due();
        Ok(ids)
    }
}

/// Makes rows of jobs, and of users that are not there, within a unit of work.
pub(super) async fn insert(unit: &Unit, jobs: &[NewJob]) -> Result<()> {
    const USERS: &str = "INSERT INTO users (clerk_user_id, created_at, updated_at)
        SELECT DISTINCT value ->> 'user', unixepoch(), unixepoch() FROM json_each(?) WHERE true
        ON CONFLICT (clerk_user_id) DO NOTHING";
    const JOBS: &str = concat!(
        "INSERT INTO scan_jobs (id, user_id, url, state, created_at, updated_at, version, kind, options,
           priority, host, ready, run_at, created_ms, max_attempts, reserved_for, method)
         SELECT value ->> 'id', value ->> 'user', value ->> 'url', 'QUEUED', unixepoch(), unixepoch(), 1,
           'scan', value ->> 'options', value ->> 'priority', value ->> 'host',
           value ->> 'delay' IS NULL, ",
        now_ms!(),
        " + value ->> 'delay', ",
        now_ms!(),
        ", value ->> 'maxAttempts', value ->> 'reservedFor', value ->> 'method'
         FROM json_each(?)"
    );
    let rows = json!(jobs.iter().map(row).collect::<Vec<_>>()).to_string();
    unit.execute_later(USERS, [rows.as_str()]).await?;
    unit.execute_later(JOBS, [rows.as_str()]).await?;
    Ok(())
}

fn row(job: &NewJob) -> serde_json::Value {
    // The column holds text, so the options go as a string and not as an object of this JSON.
    let options = (job.options != Options::default()).then(|| json!(job.options).to_string());
    json!({
        "id": job.id,
        "user": job.user,
        "url": job.url,
        "options": options,
        "priority": job.priority,
        "host": host_of(&job.url),
        "delay": job.delay.filter(|delay| !delay.is_zero()).map(millis),
        "maxAttempts": job.max_attempts,
        "reservedFor": job.reserved_for,
        "method": job.method.as_str(),
    })
}
