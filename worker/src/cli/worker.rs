//! `safeurl worker`: takes jobs from the queue until told to stop.

use std::future::Future;

use anyhow::Context as _;
use tokio::time::sleep;
use tracing::{info, warn};

use super::exit::Exit;
use super::problem::{causes, one_line};
use super::settings::SettingsArgs;
use super::{assemble, database};
use crate::domain::scan::WorkerId;
use crate::metrics::Metrics;
use crate::sandbox::SandboxError;
use crate::sandbox::image::ImageError;
use crate::shutdown::{Phase, Shutdown, Signals};
use crate::store::{OpenMode, StoreError};
use crate::supervisor::{Supervisor, trouble_backoff};
use crate::telemetry;

/// Take jobs from the queue and scan them, until a signal
///
/// The first SIGINT or SIGTERM drains: no new job is taken, running scans may finish within worker.drain_grace. The
/// second aborts: containers are killed and their jobs go back to the queue. While the engine or the database does not
/// answer the worker waits, and says for what.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl worker
  safeurl worker --database file:/var/lib/safeurl/jobs.db --concurrency 8
  SAFEURL_LOG_FORMAT=json safeurl worker --config /etc/safeurl.toml")]
pub struct Args {
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Runs it.
///
/// # Errors
/// Wrong settings; a database or image that no waiting makes right.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    let (settings, _) = args.settings.load()?;
    telemetry::init(&settings.log).context("cannot set up log lines")?;
    let (_signals, shutdown) = Signals::listen().context("cannot listen to signals")?;
    for notice in settings.notices() {
        warn!("{notice}");
    }
    let worker = WorkerId::fresh();
    let metrics = Metrics::new();
    let Some(store) =
        patiently(&shutdown, async || database::open_ready(&settings, OpenMode::Create).await).await?
    else {
        return Ok(Exit::Done);
    };
    let Some((supervisor, progress)) = patiently(&shutdown, async || {
        let parts = assemble::parts(&settings, store.clone(), worker.clone(), false, metrics.clone()).await?;
        Ok(Supervisor::start(parts).await?)
    })
    .await?
    else {
        return Ok(Exit::Done);
    };
    // The log tells what a watcher would hear.
    drop(progress);
    info!(worker.id = %worker, slots = settings.worker.concurrency, "taking jobs");
    let finished = supervisor.run(shutdown.clone()).await;
    info!(worker.id = %worker, aborted = finished.aborted, "stopped");
    Ok(match shutdown.signal() {
        Some(signal) if finished.aborted => Exit::Aborted(signal),
        _ => Exit::Done,
    })
}

/// Tries until it works, a person stops it (`None`), or trying again cannot help.
async fn patiently<T, F: Future<Output = anyhow::Result<T>>>(
    shutdown: &Shutdown,
    mut attempt: impl FnMut() -> F,
) -> anyhow::Result<Option<T>> {
    let mut failures = 0;
    while shutdown.phase() == Phase::Running {
        match attempt().await {
            Ok(done) => return Ok(Some(done)),
            Err(error) if passes(&error) => {
                failures += 1;
                if failures == 1 {
                    warn!(reason = one_line(&error), "not everything answers yet; waiting");
                }
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = shutdown.draining() => {}
            () = sleep(trouble_backoff(failures)) => {}
        }
    }
    Ok(None)
}

/// Whether the same may work later without anybody changing a setting.
fn passes(error: &anyhow::Error) -> bool {
    let engine = |error: &SandboxError| matches!(error, SandboxError::Unavailable { .. });
    causes(error).into_iter().any(|cause| {
        cause.downcast_ref::<SandboxError>().is_some_and(engine)
            || cause.downcast_ref::<StoreError>().is_some_and(StoreError::is_transient)
            || matches!(cause.downcast_ref::<ImageError>(), Some(ImageError::Engine(error)) if engine(error))
    })
}
