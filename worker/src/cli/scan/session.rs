//! A supervisor of its own for just these URLs, until each of them has ended.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::evidence::Keeper;
use super::progress::{Teller, Told};
use crate::cli::problem::Annotate as _;
use crate::cli::submit::USER;
use crate::cli::{assemble, database};
use crate::config::Settings;
use crate::domain::document::Document;
use crate::domain::scan::{Method, Options, ScanId, WorkerId};
use crate::metrics::Metrics;
use crate::shutdown::{Shutdown, Signal, Trigger};
use crate::store::{NewJob, OpenMode, Store};
use crate::supervisor::{PoolBounds, Progress, Supervisor};

/// How long a person waits while no scan can be started. A worker waits for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether somebody else has ended a scan: this process may have been stopped for so long that it
/// counted as dead.
const LOOK: Duration = Duration::from_secs(5);

/// Scans that are stored and have not ended, at most: enough that no slot waits for the database, few enough that a
/// list of any length begins at once, takes little memory, and is cancelled at once.
const AHEAD: usize = 256;

/// What came of the URLs.
pub(in crate::cli) struct Scanned {
    /// No signal cut it short.
    pub(in crate::cli) complete: bool,
    /// Places of those that have no result, in their order.
    pub(in crate::cli) unfinished: Vec<usize>,
}

/// What all scans of one command have in common.
#[derive(Default)]
pub(in crate::cli) struct Wishes<'a> {
    pub(in crate::cli) options: Options,
    /// Writes down what is to be kept of each.
    pub(in crate::cli) keeper: Option<&'a mut Keeper>,
    /// Nothing is stored before a container waits for it.
    pub(in crate::cli) warm: bool,
}

/// Scans the URLs. `on_end` gets the place and the document of each as its scan ends; what a signal cut short it
/// does not get.
pub(in crate::cli) async fn scan(
    settings: &Settings,
    urls: &[String],
    wishes: Wishes<'_>,
    signals: &Shutdown,
    told: Told,
    on_end: impl FnMut(usize, Document) -> anyhow::Result<()>,
) -> anyhow::Result<Scanned> {
    let store = database::open_ready(settings, OpenMode::Create).await?;
    let worker = WorkerId::fresh();
    let mut parts = assemble::parts(settings, store.clone(), worker.clone(), true, Metrics::new()).await?;
    parts.config.evidence = wishes.keeper.is_some();
    // Containers are made while the scans are still being written down.
    let at_once = parts.config.slots.min(urls.len());
    let pool = PoolBounds { min: at_once, max: at_once, jobs: Some(urls.len()), ..parts.config.pool };
    parts.config.pool = pool;
    // It makes no more containers than these.
    parts.config.ahead = 0;
    let (supervisor, progress) = Supervisor::start(parts).await.context("cannot start scanning")?;

    let (trigger, shutdown) = Trigger::pair();
    let mut running = tokio::spawn(supervisor.run(shutdown));
    let mut session = Session {
        store,
        settings,
        worker,
        urls,
        may_store: !wishes.warm,
        wishes,
        stored: 0,
        open: BTreeMap::new(),
        teller: Teller::new(told, urls.len()),
        on_end,
    };
    let followed = session.follow(progress, signals).await;
    let complete = matches!(followed, Ok(true));
    let ending = async {
        // The wish comes before the abort: what ran is then written down as cancelled while it ran, and not given
        // back first as if nobody had touched its URL.
        let cancelled = if complete { Ok(()) } else { session.cancel().await };
        if complete {
            trigger.step(Signal::Terminate);
        } else {
            trigger.abort();
        }
        (&mut running).await.context("the supervisor failed")?;
        cancelled
    };
    let ended = tokio::select! {
        ended = ending => ended,
        // Whoever asks twice does not wait: what is left is found by the next scan or worker.
        () = signals.aborting() => Ok(()),
    };
    followed?;
    ended?;
    Ok(Scanned { complete, unfinished: session.unfinished() })
}

/// The scans of one command.
struct Session<'a, F> {
    store: Store,
    settings: &'a Settings,
    worker: WorkerId,
    urls: &'a [String],
    wishes: Wishes<'a>,
    /// A container waits, or need not.
    may_store: bool,
    /// So many of them are in the database.
    stored: usize,
    /// Stored and not ended, with their places.
    open: BTreeMap<ScanId, usize>,
    teller: Teller,
    on_end: F,
}

impl<F: FnMut(usize, Document) -> anyhow::Result<()>> Session<'_, F> {
    /// Until every scan has ended (`true`), or a signal came.
    async fn follow(
        &mut self,
        mut progress: UnboundedReceiver<Progress>,
        signals: &Shutdown,
    ) -> anyhow::Result<bool> {
        let mut troubled: Option<(Instant, String)> = None;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.store_ahead().await?;
            if self.open.is_empty() && self.stored == self.urls.len() {
                return Ok(true);
            }
            let give_up = troubled.as_ref().map(|(since, _)| *since + PATIENCE);
            let step = tokio::select! {
                () = signals.draining() => {
                    self.teller.stopping();
                    return Ok(false);
                }
                step = progress.recv() => step,
                _ = looks.tick() => {
                    self.look().await?;
                    continue;
                }
                () = self.teller.due() => {
                    self.teller.draw();
                    continue;
                }
                () = sleep_until(give_up.unwrap_or_else(Instant::now)), if give_up.is_some() => {
                    let reason = troubled.map(|(_, reason)| reason).unwrap_or_default();
                    return Err(anyhow!(reason).context("no scan could be started"));
                }
            };
            // The supervisor is gone: what it did not finish is not finished.
            let Some(step) = step else { return Ok(false) };
            self.teller.tell(&step);
            match &step {
                Progress::Trouble { reason, passing: false } => {
                    return Err(anyhow!(reason.clone()).context("no scan can be started"))
                        .hint("`safeurl doctor` tries what a scan needs");
                }
                Progress::Trouble { reason, passing: true } => {
                    troubled.get_or_insert_with(|| (Instant::now(), reason.clone()));
                }
                Progress::Fetching(_) | Progress::Analyzing(_) | Progress::Queued(_) => troubled = None,
                Progress::ContainerWaits => (troubled, self.may_store) = (None, true),
                Progress::Reported(id, report) => {
                    troubled = None;
                    if let Some(keeper) = &mut self.wishes.keeper {
                        keeper.take(id, report);
                    }
                }
                Progress::Ended(id, _) => {
                    troubled = None;
                    self.ended(id).await?;
                }
            }
        }
    }

    /// Keeps the supervisor in work.
    async fn store_ahead(&mut self) -> anyhow::Result<()> {
        let left = self.urls.len() - self.stored;
        // In blocks: a transaction for each URL would be most of the work.
        if !self.may_store || left == 0 || self.open.len() > AHEAD / 2 {
            return Ok(());
        }
        let block = left.min(AHEAD - self.open.len());
        let jobs: Vec<_> = self.urls[self.stored..][..block].iter().map(|url| self.job(url)).collect();
        for (place, job) in (self.stored..).zip(&jobs) {
            self.open.insert(job.id.clone(), place);
            self.teller.expect(job.id.clone(), job.url.clone());
        }
        self.store.submit(jobs).await.context("cannot store the scans")?;
        self.stored += block;
        Ok(())
    }

    fn job(&self, url: &str) -> NewJob {
        NewJob {
            id: ScanId::fresh(),
            user: USER.to_owned(),
            url: url.trim().to_owned(),
            options: self.wishes.options.clone(),
            priority: 0,
            method: Method::Cli,
            max_attempts: self.settings.retry.max_attempts,
            reserved_for: Some(self.worker.clone()),
            delay: None,
        }
    }

    /// Takes in what was ended by somebody else.
    async fn look(&mut self) -> anyhow::Result<()> {
        // A database that is busy is asked again.
        for id in self.store.ended_of(self.open.keys().cloned().collect()).await.unwrap_or_default() {
            self.ended(&id).await?;
        }
        Ok(())
    }

    async fn ended(&mut self, id: &ScanId) -> anyhow::Result<()> {
        let Some(place) = self.open.remove(id) else { return Ok(()) };
        let Some(document) = self.store.document(id).await.context("cannot read a result")? else {
            return Ok(());
        };
        if let Some(keeper) = &mut self.wishes.keeper {
            keeper.keep(place, id, &document);
        }
        let on_end = &mut self.on_end;
        self.teller.ended(document.body.verdict.state, || on_end(place, document))
    }

    async fn cancel(&self) -> anyhow::Result<()> {
        for id in self.open.keys() {
            self.store.request_cancel(id).await.context("cannot cancel what is left")?;
        }
        Ok(())
    }

    fn unfinished(&self) -> Vec<usize> {
        let mut places: Vec<_> = self.open.values().copied().collect();
        places.sort_unstable();
        places.extend(self.stored..self.urls.len());
        places
    }
}
