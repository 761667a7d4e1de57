//! `safeurl worker`: takes jobs from the queue until told to stop.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::exit::Exit;
use super::problem::{causes, hint, one_line};
use super::settings::SettingsArgs;
use super::{assemble, bullmq, database};
use crate::config::{Flag, Settings};
use crate::domain::scan::WorkerId;
use crate::gateway::GatewayError;
use crate::health::Health;
use crate::metrics::{Metrics, Part};
use crate::queue::RedisError;
use crate::sandbox::image::ImageError;
use crate::sandbox::{Docker, Sandbox as _, SandboxError};
use crate::shutdown::{Phase, Shutdown, Signals};
use crate::store::{DbError, OpenMode, Store, StoreError};
use crate::supervisor::{Parts, Supervisor, trouble_backoff};
use crate::telemetry;

/// How often the engine is asked whether it answers, where somebody may want to know.
const ASK: Duration = Duration::from_secs(2);

/// How often a worker that waits says that it lives.
const TURN: Duration = Duration::from_secs(1);

/// Take jobs from the queue and scan them, until a signal
///
/// The first SIGINT or SIGTERM drains: no new job is taken, running scans may finish within worker.drain_grace. The
/// second aborts: containers are killed and their jobs go back to the queue. While the engine, the database or Redis
/// does not answer the worker waits, and says for what: in its log, and at /readyz of the address named by --health.
/// Jobs come from the database, or from BullMQ's queue where REDIS_URL or REDIS_HOST is set.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl worker
  safeurl worker --database file:/var/lib/safeurl/jobs.db --concurrency 8
  safeurl worker --warm-pool 2
  safeurl worker --health 127.0.0.1:9464
  SAFEURL_LOG_FORMAT=json safeurl worker --config /etc/safeurl.toml")]
pub struct Args {
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Keep this many containers waiting for jobs
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub warm_pool: Option<String>,

    /// Answer /livez, /readyz and /metrics at this address, to everybody who reaches it
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Settings")]
    pub health: Option<String>,
}

/// Runs it.
///
/// # Errors
/// Wrong settings; a database or image that no waiting makes right; a health address that is taken.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    let flag = |key, flag, text: &Option<String>| text.clone().map(|text| Flag { key, flag, text });
    let flags = [
        flag("worker.health", "--health", &args.health),
        flag("pool.min", "--warm-pool", &args.warm_pool),
        flag("pool.max", "--warm-pool", &args.warm_pool),
    ];
    let (settings, _) = args.settings.load_with(flags.into_iter().flatten())?;
    telemetry::init(&settings.log).context("cannot set up log lines")?;
    let (_signals, shutdown) = Signals::listen().context("cannot listen to signals")?;
    for notice in settings.notices() {
        warn!("{notice}");
    }
    let metrics = Metrics::new();
    let mut health = listen(&settings, &metrics).await?;
    let waits = Waits { shutdown: shutdown.clone(), metrics: metrics.clone() };
    let opened = waits.until(Part::Database, async || {
        let store = database::open_ready(&settings, OpenMode::Create).await?;
        metrics.answers(Part::Database);
        Ok(store)
    });
    let Some(store) = opened.await? else { return Ok(Exit::Done) };
    if let Some(health) = &mut health {
        health.count(store.clone());
    }
    let worker = WorkerId::fresh();
    let checked = waits.until(Part::Queue, async || {
        bullmq::check(&settings, worker.as_str()).await?;
        metrics.answers(Part::Queue);
        Ok(())
    });
    let Some(()) = checked.await? else { return Ok(Exit::Done) };
    let started = waits.until(Part::Engine, async || {
        let parts = parts(&settings, &store, &worker, &metrics).await?;
        let (docker, engine) = (parts.sandbox.clone(), parts.config.engine.id.clone());
        let (supervisor, _) = Supervisor::start(parts).await?;
        Ok((supervisor, docker, engine))
    });
    let Some((supervisor, docker, engine)) = started.await? else { return Ok(Exit::Done) };
    info!(worker.id = %worker, slots = settings.worker.concurrency, "taking jobs");
    let working = supervisor.run(shutdown.clone());
    let finished = match &health {
        Some(health) => {
            health.count_on(&engine);
            tokio::select! {
                finished = working => finished,
                never = ask_engine(&docker, &metrics) => match never {},
            }
        }
        None => working.await,
    };
    info!(worker.id = %worker, aborted = finished.aborted, "stopped");
    Ok(match shutdown.signal() {
        Some(signal) if finished.aborted => Exit::Aborted(signal),
        _ => Exit::Done,
    })
}

/// Listens before anything else answers, to say that it does not.
async fn listen(settings: &Settings, metrics: &Metrics) -> anyhow::Result<Option<Health>> {
    let Some(address) = settings.worker.health else { return Ok(None) };
    let health = Health::listen(address, metrics.clone()).await?;
    info!(address = %health.address(), "answering /livez, /readyz and /metrics");
    Ok(Some(health))
}

/// What a supervisor is made of, from a database and an engine that answer.
async fn parts(
    settings: &Settings,
    store: &Store,
    worker: &WorkerId,
    metrics: &Metrics,
) -> anyhow::Result<Parts<Docker>> {
    // The engine may have been waited for, and the database gone meanwhile.
    metrics.asked(Part::Database);
    store.instance().await?;
    metrics.answers(Part::Database);
    metrics.asked(Part::Engine);
    let parts = assemble::parts(settings, store.clone(), worker.clone(), false, metrics.clone()).await?;
    metrics.answers(Part::Engine);
    Ok(parts)
}

/// Asks the engine for as long as the worker works: one that has nothing to do would not notice that it is gone.
async fn ask_engine(docker: &Docker, metrics: &Metrics) -> std::convert::Infallible {
    let mut turns = interval(ASK);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        metrics.asked(Part::Engine);
        match docker.version().await {
            Ok(_) => metrics.answers(Part::Engine),
            Err(error) => metrics.silent(Part::Engine, &one_line(&error.into())),
        }
    }
}

/// How a worker waits for what it needs.
struct Waits {
    shutdown: Shutdown,
    metrics: Metrics,
}

impl Waits {
    /// Tries until it works, a person stops it (`None`), or trying again cannot help. What is not known to be another
    /// part's trouble is this one's.
    async fn until<T, F: Future<Output = anyhow::Result<T>>>(
        &self,
        part: Part,
        mut attempt: impl FnMut() -> F,
    ) -> anyhow::Result<Option<T>> {
        let (mut failures, mut told) = (0, None);
        self.metrics.asked(part);
        while self.shutdown.phase() == Phase::Running {
            match self.alive(attempt()).await {
                Ok(done) => return Ok(Some(done)),
                Err(error) if passes(&error) => {
                    failures += 1;
                    let (part, reason) = (part_of(&error).unwrap_or(part), one_line(&error));
                    if told.replace(part) != Some(part) {
                        let hint = hint(&error);
                        warn!(part = part.as_str(), reason, hint, "not everything answers yet; waiting");
                    }
                    self.metrics.error(part);
                    self.metrics.silent(part, &reason);
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = self.shutdown.draining() => {}
                () = self.alive(sleep(trouble_backoff(failures))) => {}
            }
        }
        Ok(None)
    }

    /// Says that the worker lives for as long as this takes.
    async fn alive<T>(&self, wait: impl Future<Output = T>) -> T {
        let mut turns = interval(TURN);
        tokio::pin!(wait);
        loop {
            tokio::select! {
                done = &mut wait => return done,
                _ = turns.tick() => self.metrics.alive(),
            }
        }
    }
}

/// Whose trouble it is.
fn part_of(error: &anyhow::Error) -> Option<Part> {
    causes(error).into_iter().find_map(|cause| {
        if cause.is::<StoreError>() {
            Some(Part::Database)
        } else if cause.is::<RedisError>() {
            Some(Part::Queue)
        } else if cause.is::<GatewayError>() {
            Some(Part::Gateway)
        } else if cause.is::<SandboxError>() || cause.is::<ImageError>() {
            Some(Part::Engine)
        } else {
            None
        }
    })
}

/// Whether the same may work later without anybody changing a setting.
fn passes(error: &anyhow::Error) -> bool {
    let engine = |error: &SandboxError| matches!(error, SandboxError::Unavailable { .. });
    causes(error).into_iter().any(|cause| {
        cause.downcast_ref::<SandboxError>().is_some_and(engine)
            || cause.downcast_ref::<StoreError>().is_some_and(may_come)
            || cause.downcast_ref::<GatewayError>().is_some_and(GatewayError::may_pass)
            || cause.downcast_ref::<RedisError>().is_some_and(RedisError::is_transient)
            || matches!(cause.downcast_ref::<ImageError>(), Some(ImageError::Engine(error)) if engine(error))
    })
}

/// Whether a database may be there later: its folder is mounted, its file is handed to this user, its writer ends.
fn may_come(error: &StoreError) -> bool {
    let missing = |error: &DbError| matches!(error, DbError::Unusable { .. } | DbError::NotWritable { .. });
    error.is_transient() || matches!(error, StoreError::Db(error) if missing(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::StartError;

    #[test]
    fn a_redis_that_does_not_answer_is_waited_for() {
        let silent = RedisError::Unavailable { source: None };
        assert!(passes(&anyhow::Error::from(StartError::Queue(silent))));
    }

    #[test]
    fn a_gateway_that_dies_while_it_starts_is_waited_for_and_one_that_cannot_be_started_is_not() {
        let start = |error| anyhow::Error::from(StartError::Gateway(error));
        assert!(passes(&start(GatewayError::Died)));
        assert!(passes(&start(GatewayError::NoAnswer { command: "configure", seconds: 10 })));
        let source = || std::io::ErrorKind::ConnectionReset.into();
        assert!(passes(&start(GatewayError::Control { source: source() })));
        assert!(!passes(&start(GatewayError::Start { program: "/missing".into(), source: source() })));
        assert!(!passes(&start(GatewayError::Files { path: "/file".into(), source: source() })));
    }
}
