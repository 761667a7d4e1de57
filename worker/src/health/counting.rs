//! Counts what the database holds, for scrapes, in one task: a database that hangs hangs one look and no scrape.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::metrics::Counted;
use crate::store::{Result, Store};

/// How old a count may be that is told.
const FRESH: Duration = Duration::from_secs(1);

/// How long a scrape waits for a new one. Counting takes milliseconds, and Prometheus gives up after ten seconds.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// The last look, and the wish for a new one.
#[derive(Debug, Default)]
pub(super) struct Counting {
    running: AtomicBool,
    engine: OnceLock<String>,
    asked: Notify,
    last: watch::Sender<Option<Look>>,
}

/// What one look came to; nothing when the database did not answer.
#[derive(Debug, Clone)]
struct Look {
    at: Instant,
    counted: Option<Arc<Counted>>,
}

impl Look {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < FRESH
    }
}

impl Counting {
    /// What the database holds, at most [`FRESH`] old; `None` when it does not say within [`PATIENCE`].
    pub(super) async fn recent(&self) -> Option<Arc<Counted>> {
        if !self.running.load(Ordering::Relaxed) {
            return None;
        }
        let mut last = self.last.subscribe();
        self.asked.notify_one();
        let fresh = last.wait_for(|look| look.as_ref().is_some_and(Look::is_fresh));
        let look = timeout(PATIENCE, fresh).await.ok()?.ok()?;
        look.as_ref().and_then(|look| look.counted.clone())
    }

    /// Containers are counted from now on: those of this engine.
    pub(super) fn of_engine(&self, id: String) {
        // A worker has one engine, whose id does not change.
        let _ = self.engine.set(id);
    }

    /// Looks whenever somebody asks and the last look is old.
    pub(super) async fn run(self: Arc<Self>, store: Store) {
        self.running.store(true, Ordering::Relaxed);
        loop {
            self.asked.notified().await;
            if self.last.borrow().as_ref().is_some_and(Look::is_fresh) {
                continue;
            }
            let counted = count(&store, self.engine.get().map(String::as_str)).await.ok().map(Arc::new);
            self.last.send_replace(Some(Look { at: Instant::now(), counted }));
        }
    }
}

/// One look; containers are those of one engine, and not counted while that is not known.
async fn count(store: &Store, engine: Option<&str>) -> Result<Counted> {
    let gauges = store.queue_gauges(engine.unwrap_or_default()).await?;
    Ok(Counted {
        states: gauges.states,
        classes: gauges.failures,
        ready: gauges.ready,
        delayed: gauges.delayed,
        held_back: gauges.held_back,
        reserved: gauges.reserved,
        oldest: gauges.oldest_due,
        containers: engine.map(|_| gauges.containers),
    })
}
