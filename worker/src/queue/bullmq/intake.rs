//! From an entry to a claimed job: takes entries, shows each to the database, and tells Redis what the database says of
//! those that no container works on.

use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use super::consumer::Taken;
use super::entry::Entry;
use super::keeper::{Owed, Taking};
use super::payload::Payload;
use super::teller::{back, note};
use super::{BullMqQueue, RedisError};
use crate::domain::delivery::Delivery;
use crate::domain::scan::Lease;
use crate::domain::state::State;
use crate::moment::Moment;
use crate::queue::{Claimed, QueueError};
use crate::store::{Arrival, DbError, Disposition, Ready, StoreError};

/// Entries that one claim looks at, so that its caller hears of a shutdown between two.
const ENTRIES: usize = 16;

/// So often a row is looked at again that somebody changed meanwhile; then the entry comes back after a while.
const LOOKS: usize = 3;

/// That while.
const WHILE: Duration = Duration::from_secs(1);

/// What became of an entry, with the database's half done.
enum Dealt {
    Job(Lease),
    Orphan(Delivery),
    /// What Redis is to be told, and how the job stands when the entry ends or is tried again by that.
    Told(Owed, Option<(State, String)>),
}

impl BullMqQueue {
    /// Takes entries until one is work. Dropped, or without an answer, it leaves the entry to the keeper, which gives back
    /// what nobody has.
    pub(in crate::queue) async fn claim(&self, container: &Ready) -> Result<Claimed, QueueError> {
        for _ in 0..ENTRIES {
            let (mut taking, sent) = (self.keeper.taking(), Moment::now());
            let entry = match self.consumer.take(taking.token()).await? {
                Taken::Entry(entry) => *entry,
                Taken::Nothing { .. } => {
                    taking.over();
                    return Ok(Claimed::Nothing);
                }
            };
            taking.came(entry.clone());
            if let Some(claimed) = self.take_in(entry, taking, sent, container).await? {
                return Ok(claimed);
            }
        }
        Ok(Claimed::Nothing)
    }

    async fn take_in(
        &self,
        entry: Entry,
        taking: Taking<'_>,
        sent: Moment,
        container: &Ready,
    ) -> Result<Option<Claimed>, QueueError> {
        self.next_iteration(&entry).await?;
        let payload = Payload::read(&entry, &self.consumer.link().keys().base());
        let delivery = Delivery {
            id: entry.id.clone(),
            token: taking.token().to_owned(),
            atm: entry.atm.saturating_add(1),
        };
        let job = payload.job.clone();
        let dealt = self.deal(&entry, payload, delivery, sent, container).await;
        taking.over();
        match dealt {
            Ok(Dealt::Job(lease)) => Ok(Some(Claimed::Job(lease))),
            Ok(Dealt::Orphan(delivery)) => Ok(Some(Claimed::Orphan(job, delivery))),
            Ok(Dealt::Told(owed, stands)) => {
                if let Some((state, why)) = stands {
                    note(&self.consumer, &entry, state, None, &why).await;
                }
                self.keeper.tell(owed).await;
                Ok(None)
            }
            Err((delivery, error)) => {
                self.keeper.tell(back(delivery.id, delivery.token, Duration::ZERO)).await;
                Err(error.into())
            }
        }
    }

    /// Whoever takes a scheduler's iteration makes the next; one that is not made would be the scheduler's last.
    async fn next_iteration(&self, entry: &Entry) -> Result<(), RedisError> {
        if entry.scheduler.is_none() {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.producer.next_iteration(entry, now).await
    }

    /// Shows an entry to the database. An entry that the database does not take is failed; when the database is in
    /// trouble, it is somebody else's turn.
    async fn deal(
        &self,
        entry: &Entry,
        payload: Payload,
        delivery: Delivery,
        sent: Moment,
        container: &Ready,
    ) -> Result<Dealt, (Delivery, StoreError)> {
        let arrival = Arrival {
            job: payload.row(entry),
            refused: payload.problem,
            deferred: entry.deferred.clone(),
            delivery: delivery.clone(),
            worker: self.worker.clone(),
            container: container.clone(),
            unleased_after: self.unleased_after,
            taken: sent,
        };
        for _ in 0..LOOKS {
            match self.store.deliver(arrival.clone()).await {
                Ok(Disposition::Changed) => {}
                Ok(disposition) => return Ok(told(entry, arrival, disposition)),
                Err(error) if is_the_entrys(&error) => {
                    let job = &arrival.job.id;
                    warn!(scan.id = %job, entry.id, %error, "the database does not take the job of an entry");
                    let reason = "the database does not take this job; the worker's log says why";
                    return Ok(fail(entry, delivery.token, State::Failed, reason.to_owned()));
                }
                Err(error) => return Err((delivery, error)),
            }
        }
        Ok(Dealt::Told(back(delivery.id, delivery.token, WHILE), None))
    }
}

fn told(entry: &Entry, arrival: Arrival, disposition: Disposition) -> Dealt {
    let Arrival { job, delivery, .. } = arrival;
    let token = delivery.token.clone();
    let what = match &disposition {
        Disposition::Run(_) | Disposition::TakeOver | Disposition::Changed => None,
        Disposition::Fail { .. } => Some("failed"),
        Disposition::Retry { .. } => Some("retried"),
        Disposition::Postpone(_) => Some("postponed"),
        Disposition::Complete { .. } => Some("completed"),
    };
    if let Some(what) = what {
        info!(scan.id = %job.id, entry.id, what, "a delivery was answered without a container");
    }
    match disposition {
        Disposition::Run(lease) => Dealt::Job(lease),
        Disposition::TakeOver => Dealt::Orphan(delivery),
        Disposition::Fail { state, reason } => fail(entry, token, state, reason),
        Disposition::Retry { reason, delay } => {
            let stands = (State::Queued, reason.clone());
            Dealt::Told(Owed::Retry { entry: entry.clone(), token, reason, delay }, Some(stands))
        }
        Disposition::Postpone(delay) => Dealt::Told(back(delivery.id, token, delay), None),
        Disposition::Complete { summary } => {
            let complete = Owed::Complete { entry: entry.clone(), token, returnvalue: summary.to_string() };
            Dealt::Told(complete, Some((State::Completed, String::new())))
        }
        Disposition::Changed => Dealt::Told(back(delivery.id, token, WHILE), None),
    }
}

fn fail(entry: &Entry, token: String, state: State, reason: String) -> Dealt {
    let stands = (state, reason.clone());
    Dealt::Told(Owed::Fail { entry: entry.clone(), token, reason }, Some(stands))
}

/// Whether it is about this job alone: its row cannot be read, or the payload's values break a rule of the table. It
/// would come up again and again, and hold up all others.
const fn is_the_entrys(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Row { .. } | StoreError::Unfit { .. } | StoreError::Db(DbError::Rejected { .. })
    )
}
