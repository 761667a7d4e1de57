//! What Redis is still to be told.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::queue::bullmq::consumer::{Consumer, Held, Moved, Wait};
use crate::queue::bullmq::entry::Entry;
use crate::queue::bullmq::link::RedisError;

/// What became of an entry.
#[derive(Debug, Clone)]
pub(in crate::queue::bullmq) enum Owed {
    /// There is a result, as JSON text.
    Complete {
        /// Which.
        entry: Entry,
        /// Its lock.
        token: String,
        /// The result.
        returnvalue: String,
    },
    /// There is none.
    Fail {
        /// Which.
        entry: Entry,
        /// Its lock.
        token: String,
        /// For the producer to read.
        reason: String,
    },
    /// It is tried again.
    Retry {
        /// Which.
        entry: Entry,
        /// Its lock.
        token: String,
        /// For the producer to read.
        reason: String,
        /// Counted from when it was said.
        delay: Duration,
    },
    /// It goes back, and the attempt does not count.
    GiveBack {
        /// Which.
        id: String,
        /// Its lock.
        token: String,
    },
    /// It comes back later, and the attempt does not count.
    Postpone {
        /// Which.
        id: String,
        /// Its lock.
        token: String,
        /// Counted from when it was said.
        delay: Duration,
    },
}

impl Owed {
    /// The lock under which the entry is ours.
    pub(super) fn token(&self) -> &str {
        match self {
            Self::Complete { token, .. }
            | Self::Fail { token, .. }
            | Self::Retry { token, .. }
            | Self::GiveBack { token, .. }
            | Self::Postpone { token, .. } => token,
        }
    }

    /// The entry's id.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Complete { entry, .. } | Self::Fail { entry, .. } | Self::Retry { entry, .. } => &entry.id,
            Self::GiveBack { id, .. } | Self::Postpone { id, .. } => id,
        }
    }

    async fn tell(&self, consumer: &Consumer, over: Duration) -> Result<Moved, RedisError> {
        let wait = |whole: &Duration| Wait { whole: *whole, over };
        match self {
            Self::Complete { entry, token, returnvalue } => {
                consumer.complete(entry, token, returnvalue).await
            }
            Self::Fail { entry, token, reason } => consumer.fail(entry, token, reason).await,
            Self::Retry { entry, token, reason, delay } => {
                consumer.retry(entry, token, reason, wait(delay)).await
            }
            Self::GiveBack { id, token } => consumer.give_back(id, token).await,
            Self::Postpone { id, token, delay } => consumer.postpone(id, token, wait(delay)).await,
        }
    }
}

/// All that is owed, in the order in which it came.
#[derive(Default)]
pub(super) struct Debts {
    list: Mutex<List>,
    /// There is something that nobody is telling.
    left: Notify,
}

#[derive(Default)]
struct List {
    next: u64,
    debts: Vec<Debt>,
}

#[derive(Clone)]
struct Debt {
    number: u64,
    owed: Owed,
    /// As we took it; `None` when it is not kept.
    held: Option<Held>,
    since: Instant,
    /// Somebody is telling it.
    taken: bool,
}

impl Debt {
    async fn tell(&self, consumer: &Consumer) -> Result<Moved, RedisError> {
        self.owed.tell(consumer, self.since.elapsed()).await
    }

    /// Whether the entry is ours again: Redis was away for longer than a lock holds, and nobody has taken it since.
    async fn lock_again(&self, consumer: &Consumer) -> Result<bool, RedisError> {
        match &self.held {
            Some(held) => Ok(consumer.extend(std::slice::from_ref(held)).await?.is_empty()),
            None => Ok(false),
        }
    }
}

/// A debt that somebody is telling; it goes back into the list when that ends without an answer.
struct Telling<'a> {
    debts: &'a Debts,
    debt: Debt,
    answered: bool,
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let mut list = self.debts.list();
        if self.answered {
            list.debts.retain(|debt| debt.number != self.debt.number);
            // It may have waited for this one.
            if list.debts.iter().any(|debt| !debt.taken) {
                self.debts.left.notify_one();
            }
        } else if let Some(debt) = list.debts.iter_mut().find(|debt| debt.number == self.debt.number) {
            debt.taken = false;
            self.debts.left.notify_one();
        }
    }
}

impl Debts {
    /// Writes it down, and tells it at once if nothing is owed for the same entry.
    pub(super) async fn tell(&self, owed: Owed, held: Option<Held>, consumer: &Consumer) -> Option<Moved> {
        let number = {
            let mut list = self.list();
            let number = list.next;
            list.next += 1;
            list.debts.push(Debt { number, owed, held, since: Instant::now(), taken: false });
            number
        };
        // Until it is taken a drop of this future would leave it to nobody.
        let telling = self.take(|debt| debt.number == number)?;
        telling.tell(consumer).await.ok()
    }

    /// Tells all that nobody is telling, each once; the first trouble that is Redis' own ends it. `answered` hears of each
    /// answer.
    pub(super) async fn tell_all(
        &self,
        consumer: &Consumer,
        mut answered: impl FnMut(&Owed, Moved),
    ) -> Result<(), RedisError> {
        let (mut after, mut trouble) = (None, None);
        while let Some(telling) = self.take(|debt| Some(debt.number) > after) {
            after = Some(telling.debt.number);
            let owed = telling.debt.owed.clone();
            match telling.tell(consumer).await {
                Ok(moved) => answered(&owed, moved),
                Err(error) if error.is_transient() => return Err(error),
                // The others may fare better.
                Err(error) => trouble = Some(error),
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Waits until something is owed that nobody is telling.
    pub(super) async fn left(&self) {
        self.left.notified().await;
    }

    /// Whether Redis is still to be told of this entry.
    pub(super) fn has(&self, id: &str) -> bool {
        self.list().debts.iter().any(|debt| debt.owed.id() == id)
    }

    pub(super) fn len(&self) -> usize {
        self.list().debts.len()
    }

    /// Takes the first debt of this kind that nobody is telling and before which nothing is owed for its entry.
    fn take(&self, fits: impl Fn(&Debt) -> bool) -> Option<Telling<'_>> {
        let mut list = self.list();
        let debts = &mut list.debts;
        let at = (0..debts.len()).find(|&at| {
            let debt = &debts[at];
            let first = !debts[..at].iter().any(|earlier| earlier.owed.id() == debt.owed.id());
            first && !debt.taken && fits(debt)
        })?;
        debts[at].taken = true;
        Some(Telling { debts: self, debt: debts[at].clone(), answered: false })
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telling<'_> {
    async fn tell(mut self, consumer: &Consumer) -> Result<Moved, RedisError> {
        let mut moved = self.debt.tell(consumer).await?;
        if moved == Moved::UNLOCKED && self.debt.lock_again(consumer).await? {
            moved = self.debt.tell(consumer).await?;
        }
        self.answered = true;
        Ok(moved)
    }
}
