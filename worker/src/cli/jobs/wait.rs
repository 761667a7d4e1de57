//! `safeurl jobs wait`.

use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{UNKNOWN, Wait, open, the_one};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, plain};
use crate::cli::problem::Annotate as _;
use crate::domain::scan::ScanId;
use crate::domain::state::State;
use crate::store::Store;

/// How often the rows are looked at. One look is a few indexed reads of a local file; people do not see less.
const LOOK: Duration = Duration::from_millis(100);

pub(super) async fn run(args: Wait) -> anyhow::Result<Exit> {
    let store = open(&args.settings).await?;
    let mut ids = Vec::with_capacity(args.ids.len());
    for text in &args.ids {
        ids.push(the_one(&store, text).await?);
    }
    match args.timeout {
        None => until_final(&store, ids).await,
        Some(longest) => match timeout(longest, until_final(&store, ids)).await {
            Ok(ended) => ended,
            Err(_) => {
                let longest = humantime::format_duration(longest);
                Err(anyhow!("not all jobs ended within {longest}")).hint(
                    "`safeurl jobs list --watch` shows how they get on; without a worker they wait for ever",
                )
            }
        },
    }
}

/// Tells each job as it ends.
async fn until_final(store: &Store, mut waiting: Vec<ScanId>) -> anyhow::Result<Exit> {
    let mut output = Output::stdout();
    let mut exit = Exit::Done;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !waiting.is_empty() {
        look.tick().await;
        let mut unfinished = Vec::new();
        for id in waiting {
            let job = store.job(&id).await.context("cannot look at the jobs")?;
            let Some(job) = job else { return Err(anyhow!("there is no job {id} any more")).hint(UNKNOWN) };
            match job.state {
                State::Queued | State::Fetching | State::Analyzing => {
                    unfinished.push(id);
                    continue;
                }
                State::Completed => {}
                State::Failed | State::TimedOut => exit = Exit::Failed,
            }
            output.line(&format!("{}  {}", plain(id.as_str()), job.state))?;
        }
        waiting = unfinished;
    }
    Ok(exit)
}
