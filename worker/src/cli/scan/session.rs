//! A supervisor of its own for just these URLs, until each of them has ended.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::progress::Teller;
use crate::cli::problem::Annotate as _;
use crate::cli::submit::USER;
use crate::cli::{assemble, database};
use crate::config::Settings;
use crate::domain::document::Document;
use crate::domain::scan::{Method, Options, ScanId, WorkerId};
use crate::shutdown::{Shutdown, Signal, Trigger};
use crate::store::{NewJob, OpenMode, Store};
use crate::supervisor::{Progress, Supervisor};

/// How long a person waits while no scan can be started. A worker waits for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of the URLs, in their order.
pub(in crate::cli) struct Scanned {
    pub(in crate::cli) documents: Vec<Document>,
    /// No signal cut it short.
    pub(in crate::cli) complete: bool,
}

/// Scans the URLs. `on_end` gets each document as its scan ends; `told` says whether progress is told where
/// nobody sits at a terminal, too.
pub(in crate::cli) async fn scan(
    settings: &Settings,
    urls: &[String],
    signals: &Shutdown,
    told: bool,
    on_end: impl FnMut(&Document) -> anyhow::Result<()>,
) -> anyhow::Result<Scanned> {
    let store = database::open_ready(settings, OpenMode::Create).await?;
    let worker = WorkerId::fresh();
    let parts = assemble::parts(settings, store.clone(), worker.clone(), true).await?;
    let (supervisor, progress) = Supervisor::start(parts).await.context("cannot start scanning")?;

    let (trigger, shutdown) = Trigger::pair();
    let running = tokio::spawn(supervisor.run(shutdown));
    let ids = store.submit(jobs(urls, &worker, settings)).await.context("cannot store the scans")?;
    let names = ids.iter().cloned().zip(urls.iter().cloned()).collect();
    let followed = follow(&store, progress, Teller::new(names, told), &ids, signals, on_end).await;
    let complete = matches!(followed, Ok(true));
    // The wish comes before the abort: what ran is then written down as cancelled while it ran, and not given back
    // first as if nobody had touched its URL.
    let cancelled = if complete {
        trigger.step(Signal::Terminate);
        Ok(())
    } else {
        let cancelled = cancel(&store, &ids).await;
        trigger.abort();
        cancelled
    };
    running.await.context("the supervisor failed")?;
    followed?;
    cancelled?;
    let mut documents = Vec::with_capacity(ids.len());
    for id in &ids {
        documents.extend(store.document(id).await.context("cannot read the results")?);
    }
    Ok(Scanned { documents, complete })
}

async fn cancel(store: &Store, ids: &[ScanId]) -> anyhow::Result<()> {
    for id in ids {
        store.request_cancel(id).await.context("cannot cancel what is left")?;
    }
    Ok(())
}

fn jobs(urls: &[String], worker: &WorkerId, settings: &Settings) -> Vec<NewJob> {
    let job = |url: &String| NewJob {
        id: ScanId::fresh(),
        user: USER.to_owned(),
        url: url.trim().to_owned(),
        options: Options::default(),
        priority: 0,
        method: Method::Cli,
        max_attempts: settings.retry.max_attempts,
        reserved_for: Some(worker.clone()),
        delay: None,
    };
    urls.iter().map(job).collect()
}

/// Until every scan has ended (`true`), or a signal came.
async fn follow(
    store: &Store,
    mut progress: UnboundedReceiver<Progress>,
    mut teller: Teller,
    ids: &[ScanId],
    signals: &Shutdown,
    mut on_end: impl FnMut(&Document) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let mut open: BTreeSet<&ScanId> = ids.iter().collect();
    let mut troubled: Option<(Instant, String)> = None;
    while !open.is_empty() {
        let give_up = troubled.as_ref().map(|(since, _)| *since + PATIENCE);
        let step = tokio::select! {
            () = signals.draining() => return Ok(false),
            step = progress.recv() => step,
            () = sleep_until(give_up.unwrap_or_else(Instant::now)), if give_up.is_some() => {
                let reason = troubled.map(|(_, reason)| reason).unwrap_or_default();
                return Err(anyhow!(reason).context("no scan could be started"));
            }
        };
        // The supervisor is gone: what it did not finish is not finished.
        let Some(step) = step else { return Ok(false) };
        teller.tell(&step);
        match &step {
            Progress::Trouble { reason, passing: false } => {
                return Err(anyhow!(reason.clone()).context("no scan can be started"))
                    .hint("`safeurl doctor` tries what a scan needs");
            }
            Progress::Trouble { reason, passing: true } => {
                troubled.get_or_insert_with(|| (Instant::now(), reason.clone()));
            }
            Progress::Fetching(_) | Progress::Analyzing(_) | Progress::Queued(_) | Progress::Ended(..) => {
                troubled = None;
            }
        }
        if let Progress::Ended(id, _) = &step
            && open.remove(id)
            && let Some(document) = store.document(id).await.context("cannot read a result")?
        {
            on_end(&document)?;
        }
    }
    Ok(true)
}
