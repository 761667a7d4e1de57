//! A database, a supervisor on it in this very process, and one scan after the other through both.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::observed::{Book, Observed};
use super::stage::Bench;
use super::submitter::Submitter;
use super::under_way::End;
use crate::cli::assemble;
use crate::cli::submit::USER;
use crate::domain::scan::{Method, Options, ScanId, WorkerId};
use crate::domain::state::State;
use crate::metrics::Metrics;
use crate::sandbox::Sandbox;
use crate::shutdown::{Signal, Trigger};
use crate::store::{DbConfig, NewJob, OpenMode, Store};
use crate::supervisor::{Finished, Parts, PoolBounds, Progress, Supervisor};

/// No scan of a measurement takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Opens a database of a measurement's own.
pub(super) async fn database(bench: &Bench, name: &str) -> anyhow::Result<(Store, PathBuf)> {
    let path = bench.folder().join(format!("{name}.db"));
    let config = DbConfig { url: format!("file:{}", path.display()), auth_token: None };
    let store = Store::open(&config, OpenMode::Create).await.context("cannot make a database")?;
    store.prepare().await.context("cannot make a database")?;
    Ok((store, path))
}

/// A job of the command line's user.
pub(super) fn job(url: &str) -> NewJob {
    NewJob {
        id: ScanId::fresh(),
        user: USER.to_owned(),
        url: url.to_owned(),
        options: Options::default(),
        priority: 0,
        method: Method::Cli,
        max_attempts: 1,
        reserved_for: None,
        delay: None,
    }
}

/// A supervisor at work; dropped, it kills and removes what it has and ends.
pub(super) struct Working {
    trigger: Trigger,
    running: End<Finished>,
    /// What it told, and when.
    pub(super) told: mpsc::UnboundedReceiver<(Instant, Progress)>,
}

impl Working {
    pub(super) async fn start<S: Sandbox>(bench: &Bench, parts: Parts<S>) -> anyhow::Result<Self> {
        let started = bench.under_way().begin(Supervisor::start(parts)).wait().await?;
        let (supervisor, mut progress) = started.context("cannot start scanning")?;
        let (trigger, shutdown) = Trigger::pair();
        let running = bench.under_way().begin(supervisor.run(shutdown));
        let (tell, told) = mpsc::unbounded_channel();
        // A thread of its own takes down the moments, so that what it tells is not told late by other tasks.
        let taken_down = std::thread::Builder::new().name("moments".to_owned()).spawn(move || {
            while let Some(step) = progress.blocking_recv() {
                if tell.send((Instant::now(), step)).is_err() {
                    return;
                }
            }
        });
        taken_down.context("cannot start a thread")?;
        Ok(Self { trigger, running, told })
    }

    /// What it tells next.
    pub(super) async fn next(&mut self) -> anyhow::Result<(Instant, Progress)> {
        let told = timeout(LONG, self.told.recv()).await;
        let (at, step) = told.context("no scan went on for a minute")?.context("the supervisor ended")?;
        match step {
            Progress::Trouble { reason, .. } => Err(anyhow!(reason).context("a scan could not be started")),
            step => Ok((at, step)),
        }
    }

    /// Waits until so many jobs have ended, all of them with a result.
    pub(super) async fn ended(&mut self, jobs: usize) -> anyhow::Result<Instant> {
        let mut last = Instant::now();
        let mut left = jobs;
        while left > 0 {
            match self.next().await? {
                (at, Progress::Ended(_, State::Completed)) => (last, left) = (at, left - 1),
                (_, Progress::Ended(id, state)) => bail!("scan {id} ended {state} and not COMPLETED"),
                _ => {}
            }
        }
        Ok(last)
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.trigger.step(Signal::Terminate);
        self.running.wait().await?;
        Ok(())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.trigger.abort();
    }
}

/// The moments of one scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan {
    /// From the wish to a COMPLETED row that was read from the database.
    pub(super) whole: Duration,
    /// From the committed claim to the write of the invocation.
    pub(super) to_write: Duration,
    /// From the committed claim to the connection at the page's server.
    pub(super) to_connection: Duration,
    /// From the write of the invocation to the container's death.
    pub(super) fetch: Duration,
}

/// A database and a supervisor on it.
pub(super) struct Installation {
    pub(super) store: Store,
    pub(super) path: PathBuf,
    pub(super) book: Arc<Book>,
    /// How many containers wait while there is nothing to do.
    waiting: usize,
    working: Working,
    number: usize,
    name: &'static str,
}

impl Installation {
    /// Starts one whose pool holds this many containers.
    pub(super) async fn start(bench: &Bench, name: &'static str, waiting: usize) -> anyhow::Result<Self> {
        let (store, path) = database(bench, name).await?;
        bench.answers_for(store.instance().await?);
        let worker = WorkerId::fresh();
        let parts = assemble::parts(bench.settings(), store.clone(), worker, false, Metrics::new()).await?;
        let book = Arc::new(Book::new(bench.keeps()));
        let mut config = parts.config;
        config.pool = PoolBounds { min: waiting, max: waiting, ..config.pool };
        let parts = Parts {
            store: parts.store,
            sandbox: Observed::new(parts.sandbox, Arc::clone(&book)),
            gateway: parts.gateway,
            rules: parts.rules,
            config,
            worker: parts.worker,
            run_base: parts.run_base,
            reserved_only: false,
            bullmq: None,
            metrics: parts.metrics,
        };
        let working = Working::start(bench, parts).await?;
        Ok(Self { store, path, book, waiting, working, number: 0, name })
    }

    /// Waits until nothing goes on but waiting.
    pub(super) async fn quiet(&self) -> anyhow::Result<()> {
        self.book.quiet(self.waiting).await
    }

    /// One scan, asked for by this process or by another one.
    pub(super) async fn scan(&mut self, bench: &Bench, by: Option<&mut Submitter>) -> anyhow::Result<Scan> {
        self.number += 1;
        let path = format!("/{}/{}", self.name, self.number);
        let url = bench.site().url(&path);
        let begun = Instant::now();
        match by {
            None => drop(self.store.submit(vec![job(&url)]).await.context("cannot queue a scan")?),
            Some(submitter) => submitter.submit(&url).await?,
        }
        let mut claimed = None;
        let id = loop {
            match self.working.next().await? {
                (at, Progress::Fetching(_)) => claimed = Some(at),
                (_, Progress::Ended(id, State::Completed)) => break id,
                (_, Progress::Ended(id, state)) => {
                    let why = self.store.job(&id).await.ok().flatten().and_then(|job| job.failure);
                    let why = why.map(|failure| format!(": {}", failure.message)).unwrap_or_default();
                    bail!("a scan of {url} ended {state}{why}");
                }
                _ => {}
            }
        };
        let row = self.store.job(&id).await.context("cannot read a row")?;
        let whole = begun.elapsed();
        if row.is_none_or(|row| row.state != State::Completed) {
            bail!("scan {id} was told to be COMPLETED, and its row says otherwise");
        }
        let (claimed, connected, handed) = (claimed, bench.site().connected(&path), self.book.last());
        let (Some(claimed), Some(connected), Some(handed)) = (claimed, connected, handed) else {
            bail!("a moment of the scan of {url} was missed");
        };
        Ok(Scan {
            whole,
            to_write: handed.at.saturating_duration_since(claimed),
            to_connection: connected.saturating_duration_since(claimed),
            fetch: handed.over.saturating_duration_since(handed.at),
        })
    }

    /// Scans the same page so many times, as many at once as there are slots, and waits until the last container is gone.
    pub(super) async fn scan_many(&mut self, bench: &Bench, scans: usize) -> anyhow::Result<Duration> {
        let url = bench.site().url("/many");
        let begun = Instant::now();
        self.store.submit(vec![job(&url); scans].into_iter().map(renamed).collect()).await?;
        self.working.ended(scans).await?;
        self.quiet().await?;
        Ok(begun.elapsed())
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.working.stop().await
    }
}

/// The same job under a name of its own.
pub(super) fn renamed(job: NewJob) -> NewJob {
    NewJob { id: ScanId::fresh(), ..job }
}
