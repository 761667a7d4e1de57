//! Finds queued rows of which Redis has no entry, and adds it: Redis may have lost what was acknowledged, and programs may
//! write rows without telling it. An entry too many does no harm: it finds its row, and ends as the row says. So several
//! workers may do this at once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rand::RngExt as _;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::RedisError;
use super::producer::{NewEntry, Producer, ProducerError};
use crate::store::Store;

/// Between two looks, on average; and how long a row was left untouched before it counts as forgotten.
const MINUTE: Duration = Duration::from_secs(60);

/// With more entries than this waiting, whether one of them is a row's is not asked.
const ENTRIES: usize = 10_000;

/// How far the clocks of two workers may lie apart: an entry that ended this shortly before a look may have ended after it.
const APART: Duration = Duration::from_secs(30);

/// What became of a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// So many rows were offered.
    Offered(usize),
    /// Too many entries wait.
    TooMany,
    /// Redis or the database did not answer.
    Unanswered,
}

/// Looks about every minute, for as long as the task is let run.
pub(super) fn start(store: Store, producer: Arc<Producer>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut told = false;
        loop {
            // Workers that were started together do not look together.
            let wait = MINUTE.mul_f64(rand::rng().random_range(0.5..1.5));
            sleep(wait).await;
            let many = reconcile(&store, &producer, MINUTE, ENTRIES).await == Looked::TooMany;
            if many && !told {
                warn!(
                    entries = ENTRIES,
                    "more entries wait than are compared with the rows that wait; rows without one are found once \
                     there are fewer"
                );
            }
            told = many;
        }
    })
}

/// One look.
pub(super) async fn reconcile(
    store: &Store,
    producer: &Producer,
    untouched: Duration,
    most: usize,
) -> Looked {
    let ended_by = ended_by();
    // Most of the time nothing is there to look for.
    let before = match store.undelivered(untouched, most.saturating_mul(2)).await {
        Ok(rows) if rows.is_empty() => return Looked::Offered(0),
        Ok(rows) => rows.into_iter().map(|row| (row.id, row.version)).collect::<HashSet<_>>(),
        Err(_) => return Looked::Unanswered,
    };
    let waiting = match producer.waiting_jobs(most).await {
        Ok(Some(waiting)) => waiting,
        Ok(None) => return Looked::TooMany,
        Err(_) => return Looked::Unanswered,
    };
    // What was taken and ended between the two looks is in neither.
    let Ok(mut rows) = store.undelivered(untouched, most.saturating_mul(2)).await else {
        return Looked::Unanswered;
    };
    rows.retain(|row| before.contains(&(row.id.clone(), row.version)) && !waiting.contains(row.id.as_str()));
    rows.sort_by_key(|row| (row.priority, row.created));
    let mut offered = 0;
    for row in rows.iter().take(most.saturating_sub(waiting.len())) {
        let entry =
            NewEntry::scan(&row.id, &row.user, &row.url, row.max_attempts).with_priority(row.priority);
        match producer.offer_again(&entry, ended_by).await {
            Ok(answer) => {
                debug!(scan.id = %row.id, ?answer, "a row without an entry was offered");
                offered += 1;
            }
            // It is about this entry alone: one that is no entry of the queue, or whose key holds something else.
            Err(error @ (ProducerError::Entry(_) | ProducerError::Redis(RedisError::Refused { .. }))) => {
                debug!(scan.id = %row.id, %error, "a row cannot have an entry");
            }
            Err(error) => {
                debug!(scan.id = %row.id, %error, "a row without an entry was not offered");
                break;
            }
        }
    }
    if offered > 0 {
        info!(rows = offered, "rows of which Redis had no entry were added to the queue");
    }
    Looked::Offered(offered)
}

/// An entry that ended by now runs again for a row that waits; one that ends later has its end from another look's offer.
fn ended_by() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.saturating_sub(APART).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::bullmq::testing::Redis;
    use crate::store::NewJob;
    use crate::store::testing::{fresh, new_job};

    const NOW: Duration = Duration::ZERO;

    #[tokio::test]
    async fn rows_without_an_entry_are_offered_once_and_no_others() {
        let (_folder, store) = fresh().await;
        let redis = Redis::start().await;
        let producer = Producer::new(redis.link());
        let worker = store.worker().await;
        let forgotten = store.one("https://example.com/").await;
        let known = store.one("https://example.com/").await;
        let owned = NewJob { reserved_for: Some(worker), ..new_job("local", "https://example.com/") };
        store.submit(vec![owned]).await.expect("a job");
        let entry = NewEntry { id: None, ..NewEntry::scan(&known, "local", "https://example.com/", 3) };
        producer.add(&[entry]).await.expect("an answer");
        let untouched = Duration::from_secs(60);
        assert_eq!(reconcile(&store, &producer, untouched, ENTRIES).await, Looked::Offered(0), "too fresh");
        assert_eq!(reconcile(&store, &producer, NOW, ENTRIES).await, Looked::Offered(1));
        assert_eq!(reconcile(&store, &producer, NOW, ENTRIES).await, Looked::Offered(0));
        let both = std::collections::HashSet::from([forgotten.to_string(), known.to_string()]);
        assert_eq!(producer.waiting_jobs(ENTRIES).await.expect("an answer"), Some(both));
        assert_eq!(reconcile(&store, &producer, NOW, 1).await, Looked::TooMany);
    }

    #[tokio::test]
    async fn a_row_that_the_queue_refuses_holds_up_no_other_and_priorities_are_kept() {
        let (_folder, store) = fresh().await;
        let redis = Redis::start().await;
        let producer = Producer::new(redis.link());
        let refused = new_job("local", "https://example.com/");
        let urgent = NewJob { priority: 5, ..new_job("local", "https://example.com/") };
        let id = urgent.id.to_string();
        let mut connection = redis.connection().await;
        // What has the entry's key is no entry.
        let key = format!("bull:scan-jobs:{}", refused.id);
        let taken: Result<i64, _> = redis::cmd("RPUSH").arg(key).arg("x").query_async(&mut connection).await;
        taken.expect("an answer");
        store.submit(vec![refused, urgent]).await.expect("two jobs");
        assert_eq!(reconcile(&store, &producer, NOW, ENTRIES).await, Looked::Offered(1));
        let mut command = redis::cmd("ZRANGE");
        command.arg("bull:scan-jobs:prioritized").arg(0).arg(-1);
        let found: Vec<String> = command.query_async(&mut connection).await.expect("an answer");
        assert_eq!(found, [id]);
    }

    #[tokio::test]
    async fn several_at_once_and_an_entry_that_ended_do_no_harm() {
        let (_folder, store) = fresh().await;
        let redis = Redis::start().await;
        let producer = Producer::new(redis.link());
        let id = store.one("https://example.com/").await;
        let looks =
            futures_util::future::join_all((0..4).map(|_| reconcile(&store, &producer, NOW, ENTRIES)));
        assert!(looks.await.iter().all(|looked| matches!(looked, Looked::Offered(_))));
        let counts = producer.counts().await.expect("an answer");
        assert_eq!(counts.waiting, 1, "one entry of {id}");
    }
}
