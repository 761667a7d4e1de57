//! Tells Redis what became of entries: in order for each entry, and without anybody waiting for it. An attempt goes on and
//! ends whether or not Redis answers; what Redis never hears of is made good when the entry is delivered again.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::consumer::Consumer;
use super::entry::Entry;
use super::keeper::{Keeper, Owed};
use crate::domain::delivery::Delivery;
use crate::domain::scan::{Job, ScanId, WorkerId};
use crate::domain::state::State;
use crate::queue::{QueueError, Settlement};
use crate::store::Store;

/// How long the end of a worker waits for what is still to be told.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Between two tries at a hand-over that was not answered.
const AGAIN: Duration = Duration::from_millis(500);

/// What there is to tell of an entry.
#[derive(Debug)]
pub(super) enum News {
    /// How far its job has come.
    CameTo(Job),
    /// What became of an attempt, with the row as it was before.
    Settled(Job, Settlement),
    /// The job was taken over from this worker; the row has our token.
    Adopted(Job, Option<WorkerId>),
    /// It is to come back after this time.
    Postponed(Delivery, Duration),
}

impl News {
    /// The entry; `None` where no delivery serves the job.
    fn entry(&self) -> Option<&str> {
        match self {
            Self::CameTo(job) | Self::Settled(job, _) | Self::Adopted(job, _) => {
                job.delivery.as_ref().map(|delivery| delivery.id.as_str())
            }
            Self::Postponed(delivery, _) => Some(&delivery.id),
        }
    }
}

/// The sending side, and the task.
pub(super) struct Teller {
    news: Mutex<Option<mpsc::UnboundedSender<News>>>,
    closing: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Teller {
    /// Starts the task.
    pub(super) fn start(store: Store, consumer: Arc<Consumer>, keeper: Arc<Keeper>) -> Self {
        let (news, heard) = mpsc::unbounded_channel();
        let closing = watch::Sender::new(false);
        let desk = Desk { store, consumer, keeper, closing: closing.subscribe() };
        let task = tokio::spawn(async move { desk.run(heard).await });
        Self { news: Mutex::new(Some(news)), closing, task: Mutex::new(Some(task)) }
    }

    /// Takes news in. What no delivery serves is nobody's news.
    pub(super) fn tell(&self, news: News) {
        if news.entry().is_none() {
            return;
        }
        let sender = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.as_ref() {
            let _ = sender.send(news);
        }
    }

    /// Tells what is left, for a moment; whether all of it was.
    pub(super) async fn close(&self) -> bool {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.closing.send_replace(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut task) = task else { return true };
        let ended = timeout(LAST_WORDS, &mut task).await;
        if ended.is_err() {
            task.abort();
        }
        matches!(ended, Ok(Ok(())))
    }
}

/// What the task has.
struct Desk {
    store: Store,
    consumer: Arc<Consumer>,
    keeper: Arc<Keeper>,
    closing: watch::Receiver<bool>,
}

impl Desk {
    /// One piece of news of an entry at a time, any number of entries.
    async fn run(&self, mut heard: mpsc::UnboundedReceiver<News>) {
        let mut behind: HashMap<String, VecDeque<News>> = HashMap::new();
        let mut telling = FuturesUnordered::new();
        let mut open = true;
        loop {
            tokio::select! {
                news = heard.recv(), if open => match news {
                    Some(news) => {
                        let Some(entry) = news.entry().map(str::to_owned) else { continue };
                        match behind.get_mut(&entry) {
                            Some(queue) => queue.push_back(news),
                            None => {
                                behind.insert(entry.clone(), VecDeque::new());
                                telling.push(self.tell(entry, news));
                            }
                        }
                    }
                    None => open = false,
                },
                Some(entry) = telling.next() => match behind.get_mut(&entry).and_then(VecDeque::pop_front) {
                    Some(news) => telling.push(self.tell(entry, news)),
                    None => {
                        behind.remove(&entry);
                    }
                },
                else => return,
            }
        }
    }

    async fn tell(&self, entry: String, news: News) -> String {
        match news {
            News::CameTo(job) => {
                if let Some((entry, _)) = self.kept(&job) {
                    note(&self.consumer, &entry, job.state, Some(job.attempt), "").await;
                }
            }
            News::Settled(job, settlement) => self.settled(&job, settlement).await,
            News::Adopted(job, dead) => self.adopted(&job, dead.as_ref()).await,
            News::Postponed(Delivery { id, token, .. }, delay) => {
                self.keeper.tell(back(id, token, delay)).await;
            }
        }
        entry
    }

    fn kept(&self, job: &Job) -> Option<(Entry, String)> {
        self.keeper.kept(&job.delivery.as_ref()?.token)
    }

    async fn settled(&self, job: &Job, settlement: Settlement) {
        let Some((entry, token)) = self.kept(job) else {
            // Its lock is somebody else's, or Redis forgot it; the next delivery finds the row.
            debug!(scan.id = %job.id, "the entry of a settled job is not ours");
            return;
        };
        let (stage, why) = settlement.words();
        note(&self.consumer, &entry, stage, Some(job.attempt), why).await;
        let owed = match settlement {
            Settlement::Completed => match self.summary(&job.id).await {
                Some(returnvalue) => Owed::Complete { entry, token, returnvalue },
                // Given back by the keeper, it is delivered again, and finds the result then.
                None => return self.keeper.forget(&token),
            },
            Settlement::Failed { reason, .. } => Owed::Fail { entry, token, reason },
            Settlement::Retried { reason, delay } => Owed::Retry { entry, token, reason, delay },
            Settlement::GivenBack => Owed::GiveBack { id: entry.id, token },
        };
        self.keeper.tell(owed).await;
    }

    async fn summary(&self, id: &ScanId) -> Option<String> {
        match self.store.summary(id).await {
            Ok(summary) => summary.map(|summary| summary.to_string()),
            Err(error) => {
                debug!(scan.id = %id, %error, "the result of a scan cannot be read yet");
                None
            }
        }
    }

    /// Replaces the lock of a job that was taken over. Until Redis has answered nothing else of the entry can be told.
    async fn adopted(&self, job: &Job, dead: Option<&WorkerId>) {
        let Some(Delivery { id, token, .. }) = &job.delivery else { return };
        if self.keeper.kept(token).is_some() {
            return;
        }
        let prefix = dead.map(|dead| format!("{dead}:")).unwrap_or_default();
        loop {
            match self.hand_over(&prefix, id, token).await {
                Ok(Some(entry)) => return self.keeper.keep(entry, token),
                Ok(None) => return self.keeper.forget(token),
                Err(error) if *self.closing.borrow() => {
                    debug!(entry.id = id, %error, "the lock of an entry was not taken over");
                    return self.keeper.forget(token);
                }
                Err(_) => {
                    let mut closing = self.closing.clone();
                    tokio::select! {
                        _ = closing.wait_for(|closing| *closing) => {}
                        () = sleep(AGAIN) => {}
                    }
                }
            }
        }
    }

    /// The entry, if it is ours now.
    async fn hand_over(&self, prefix: &str, id: &str, token: &str) -> Result<Option<Entry>, QueueError> {
        let leave = self.store.deliveries_at_work().await?;
        let mine = [(id.to_owned(), token.to_owned())];
        let handed = self.consumer.hand_over(prefix, &mine, &leave, &[]).await?;
        told_given_back(&handed.given_back);
        if !handed.ours.iter().any(|ours| ours == id) {
            return Ok(None);
        }
        Ok(self.consumer.read(id).await?)
    }
}

/// What a dead worker had taken and not claimed, or had settled without telling.
pub(super) fn told_given_back(entries: &[String]) {
    if !entries.is_empty() {
        info!(entries = entries.len(), "entries of a dead worker are delivered again");
    }
}

/// Progress and one line of the entry's log. Who does not hear of it finds all of it in the database.
pub(super) async fn note(consumer: &Consumer, entry: &Entry, stage: State, attempt: Option<u32>, why: &str) {
    let progress = json!({ "stage": stage }).to_string();
    let mut line = stage.to_string();
    if let Some(attempt) = attempt {
        let _ = write!(line, " (attempt {attempt})");
    }
    if !why.is_empty() {
        let _ = write!(line, ": {why}");
    }
    if let Err(error) = consumer.came_to(entry, &progress, &line).await {
        debug!(entry.id, %error, "the progress of an entry was not told");
    }
}

/// Back to the front of those that wait, or for later.
pub(super) fn back(id: String, token: String, delay: Duration) -> Owed {
    if delay.is_zero() { Owed::GiveBack { id, token } } else { Owed::Postpone { id, token, delay } }
}

impl Settlement {
    /// The state that the job has by it, and why.
    const fn words(&self) -> (State, &str) {
        match self {
            Self::Completed => (State::Completed, ""),
            Self::Failed { state, reason } => (*state, reason.as_str()),
            Self::Retried { reason, .. } => (State::Queued, reason.as_str()),
            Self::GivenBack => (State::Queued, "given back"),
        }
    }
}
