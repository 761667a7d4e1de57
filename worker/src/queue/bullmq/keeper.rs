//! Keeps what this worker has: renews the locks of its entries from a task of its own, looks for stalled entries of
//! everybody, and gives back entries that it took without hearing of it.

use std::sync::Arc;

use super::consumer::Consumer;
use super::entry::Entry;
use crate::domain::scan::WorkerId;

/// The entries that this worker has, and the task that keeps them.
pub(super) struct Keeper {
    worker: WorkerId,
    consumer: Arc<Consumer>,
}

impl Keeper {
    /// Starts the task.
    pub(super) fn start(worker: WorkerId, consumer: Arc<Consumer>) -> Self {
        Self { worker, consumer }
    }

    /// A token that no other lock has: `<worker id>:<n>`. Until it is [`kept`](Self::keep) or [`dropped`](Self::drop) an
    /// entry with it counts as on its way to us.
    pub(super) fn fresh_token(&self) -> String {
        let _ = (&self.worker, &self.consumer);
        todo!("link")
    }

    /// The entry is ours under this token from now on.
    pub(super) fn keep(&self, entry: Entry, token: &str) {
        let _ = (entry, token);
        todo!("link")
    }

    /// An entry that is ours.
    pub(super) fn kept(&self, id: &str) -> Option<(Entry, String)> {
        let _ = id;
        todo!("link")
    }

    /// It is not ours any more, or its token came to nothing.
    pub(super) fn drop(&self, token: &str) {
        let _ = token;
        todo!("link")
    }

    /// Ends the task.
    pub(super) async fn close(&self) {
        todo!("link")
    }
}
