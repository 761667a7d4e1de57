//! `safeurl jobs list`.

use serde::Serialize;

use super::{List, open};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, plain};
use crate::domain::failure::Failure;
use crate::domain::scan::{Job, Method};
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use crate::store::JobFilter;

/// One job of a listing; where a document says the same, the key is the same.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    id: &'a str,
    state: State,
    url: &'a str,
    user_id: &'a str,
    attempt: u32,
    max_attempts: u32,
    priority: i64,
    method: Method,
    created_at: Timestamp,
    updated_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    failure: Option<&'a Failure>,
}

impl<'a> From<&'a Job> for Line<'a> {
    fn from(job: &'a Job) -> Self {
        Self {
            id: job.id.as_str(),
            state: job.state,
            url: &job.url,
            user_id: &job.user,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            priority: job.priority,
            method: job.method,
            created_at: job.created,
            updated_at: job.updated,
            started_at: job.started,
            finished_at: job.finished,
            failure: job.failure.as_ref(),
        }
    }
}

pub(super) async fn run(args: List) -> anyhow::Result<Exit> {
    let store = open(&args.settings).await?;
    let filter = JobFilter {
        states: args.states.into_iter().map(State::from).collect(),
        limit: args.limit,
        ..JobFilter::default()
    };
    let mut output = Output::stdout();
    for job in store.jobs(filter).await? {
        if args.json {
            output.json(&Line::from(&job))?;
        } else {
            let class = job.failure.as_ref().map_or("", |failure| failure.class.as_str());
            let id = plain(job.id.as_str());
            let url = plain(&job.url);
            output.line(&format!(
                "{id:<36}  {:<9}  {class:<16}  {}  {url}",
                job.state.as_str(),
                job.created
            ))?;
        }
    }
    Ok(Exit::Done)
}
