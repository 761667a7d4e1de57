//! Keeps what this worker has: renews the locks of its entries, tells Redis what became of them, looks for stalled entries
//! of everybody, and gives back entries that it took without hearing of it.
//!
//! Its tasks run beside the attempts on the same runtime. Whatever starves them for as long as a lock holds has starved
//! the renewal of the leases long before, which are five times as short; and a lock only spares a second delivery, which
//! of two workers goes on the row decides.

mod book;
mod owed;
mod rounds;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::consumer::Consumer;
use super::entry::Entry;
use crate::domain::scan::WorkerId;
use book::Book;
use owed::Debts;
pub(super) use owed::Owed;

/// How long the end waits for what Redis is still to be told.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The entries that this worker has, and the tasks that keep them.
pub(super) struct Keeper {
    desk: Arc<Desk>,
    issued: AtomicU64,
    tasks: Mutex<JoinSet<()>>,
}

/// What the tasks and the callers share.
struct Desk {
    worker: WorkerId,
    consumer: Arc<Consumer>,
    book: Mutex<Book>,
    debts: Debts,
    /// There is one more lock to look for.
    strays: Notify,
}

impl Keeper {
    /// Starts the tasks.
    pub(super) fn start(worker: WorkerId, consumer: Arc<Consumer>) -> Self {
        let desk = Arc::new(Desk {
            worker,
            consumer,
            book: Mutex::default(),
            debts: Debts::default(),
            strays: Notify::new(),
        });
        let tasks = Mutex::new(rounds::start(&desk));
        Self { desk, issued: AtomicU64::new(0), tasks }
    }

    /// A token that no other lock has: `<worker id>:<n>`. The number has a fixed width, so that no token is the beginning
    /// of another, and one of them can be looked for by how it begins.
    pub(super) fn fresh_token(&self) -> String {
        let number = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}:{number:010}", self.desk.worker)
    }

    /// A token for a take, whose outcome the keeper is told.
    pub(super) fn taking(&self) -> Taking<'_> {
        Taking { keeper: self, token: self.fresh_token(), came: false, over: false }
    }

    /// The entry is ours under this token from now on.
    pub(super) fn keep(&self, entry: Entry, token: &str) {
        self.desk.book().keep(entry, token);
    }

    /// The entry that is ours under this token.
    pub(super) fn kept(&self, token: &str) -> Option<(Entry, String)> {
        self.desk.book().kept(token).map(|entry| (entry, token.to_owned()))
    }

    /// Nobody works under this token any more. If it locks an entry still, that is given back.
    pub(super) fn forget(&self, token: &str) {
        self.desk.book().forget(token, Instant::now());
        self.desk.strays.notify_one();
    }

    /// Tells Redis what became of an entry: tries once, and comes back when Redis has it or will be told as soon as it
    /// answers. From the call on nothing of it is lost by dropping this future. The entry is kept until Redis has answered.
    pub(super) async fn tell(&self, owed: Owed) {
        self.desk.tell(owed).await;
    }

    /// How many settlements Redis is still to be told.
    #[cfg(test)]
    fn owed(&self) -> usize {
        self.desk.debts.len()
    }

    /// Ends the tasks, after a moment for what Redis is still to be told. Whether nothing is owed and no lock of ours can be
    /// left: otherwise others have to find this worker dead to hand its locks over.
    pub(super) async fn close(&self) -> bool {
        self.desk.consumer.link().at_once();
        // Without an answer in time the rest stays owed, which is said below.
        let last = async {
            self.desk.settle_all().await;
            self.desk.look_for_all_strays().await;
        };
        let _ = timeout(LAST_WORDS, last).await;
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        let left = self.desk.debts.len();
        if left > 0 {
            warn!(
                owed = left,
                "Redis was not told what became of some entries; they are delivered again and end by their rows"
            );
        }
        left == 0 && self.desk.book().is_clear()
    }
}

/// A take that is under way, until somebody has said what becomes of its entry. Dropped before, the entry that it took or
/// may have taken is given back.
pub(super) struct Taking<'a> {
    keeper: &'a Keeper,
    token: String,
    came: bool,
    over: bool,
}

impl Taking<'_> {
    /// The token to take with.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// It came back with an entry, which is kept from now on.
    pub(super) fn came(&mut self, entry: Entry) {
        self.came = true;
        self.keeper.keep(entry, &self.token);
    }

    /// It came back with nothing, or somebody sees to what it came back with.
    pub(super) fn over(mut self) {
        self.over = true;
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if self.came {
            self.keeper.forget(&self.token);
        } else {
            self.keeper.desk.book().doubt(&self.token, Instant::now());
            self.keeper.desk.strays.notify_one();
        }
    }
}
