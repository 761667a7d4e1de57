//! Keeps what this worker has: renews the locks of its entries from a task of its own, looks for stalled entries of
//! everybody, and gives back entries that it took without hearing of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::consumer::Consumer;
use super::entry::Entry;
use crate::domain::scan::WorkerId;

pub(super) enum Owed {
    Complete { entry: Entry, token: String, returnvalue: String },
    Fail { entry: Entry, token: String, reason: String },
    Retry { entry: Entry, token: String, reason: String, delay: Duration },
    GiveBack { id: String, token: String },
    Postpone { id: String, token: String, delay: Duration },
}

pub(super) struct Keeper {
    worker: WorkerId,
    consumer: Arc<Consumer>,
    next: AtomicU64,
    kept: Mutex<HashMap<String, Entry>>,
}

pub(super) struct Taking {
    keeper: Arc<Keeper>,
    token: String,
}

impl Taking {
    pub(super) fn token(&self) -> &str {
        &self.token
    }
    pub(super) fn came(self, entry: Entry) {
        self.keeper.keep(entry, &self.token);
    }
    pub(super) fn nothing(self) {}
}

impl Keeper {
    pub(super) fn start(worker: WorkerId, consumer: Arc<Consumer>) -> Self {
        Self { worker, consumer, next: AtomicU64::new(0), kept: Mutex::default() }
    }
    pub(super) fn fresh_token(&self) -> String {
        format!("{}:{:010}", self.worker, self.next.fetch_add(1, Ordering::Relaxed))
    }
    pub(super) fn taking(self: &Arc<Self>) -> Taking {
        Taking { keeper: Arc::clone(self), token: self.fresh_token() }
    }
    pub(super) fn keep(&self, entry: Entry, token: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), entry);
    }
    pub(super) fn kept(&self, token: &str) -> Option<(Entry, String)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(token).cloned().map(|entry| (entry, token.to_owned()))
    }
    pub(super) fn let_go(&self, token: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }
    pub(super) async fn tell(&self, owed: Owed) {
        let token = match owed {
            Owed::Complete { entry, token, returnvalue } => {
                let _ = self.consumer.complete(&entry, &token, &returnvalue).await;
                token
            }
            Owed::Fail { entry, token, reason } => {
                let _ = self.consumer.fail(&entry, &token, &reason).await;
                token
            }
            Owed::Retry { entry, token, reason, delay } => {
                let _ = self.consumer.retry(&entry, &token, &reason, delay).await;
                token
            }
            Owed::GiveBack { id, token } => {
                let _ = self.consumer.give_back(&id, &token).await;
                token
            }
            Owed::Postpone { id, token, delay } => {
                let _ = self.consumer.postpone(&id, &token, delay).await;
                token
            }
        };
        self.let_go(&token);
    }
    pub(super) async fn close(&self) -> bool {
        true
    }
}
