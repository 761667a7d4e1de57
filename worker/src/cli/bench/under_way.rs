//! What must not be dropped half way: the engine goes on with what it was asked for, and nobody would know of it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the end of it is waited for: a container takes less, also of an engine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// Work that goes on to its end although nobody waits for it any more.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<JoinSet<()>>);

/// Where the end of such work is heard of.
pub(super) struct End<T>(oneshot::Receiver<T>);

impl<T> End<T> {
    pub(super) async fn wait(&mut self) -> anyhow::Result<T> {
        (&mut self.0).await.context("what was under way failed")
    }

    /// Whether it is over.
    pub(super) fn is_over(&mut self) -> bool {
        !matches!(self.0.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }
}

impl UnderWay {
    /// Begins some.
    pub(super) fn begin<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> End<T> {
        let (tell, end) = oneshot::channel();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is over is forgotten.
        while all.try_join_next().is_some() {}
        all.spawn(async move {
            // Who does not wait does not want to know.
            drop(tell.send(work.await));
        });
        End(end)
    }

    /// Waits until all of it is over; whether it came to that.
    pub(super) async fn over(&self) -> bool {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        timeout(PATIENCE, async { while all.join_next().await.is_some() {} }).await.is_ok()
    }
}
