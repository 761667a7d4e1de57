//! Safeurl's producer, and what a worker's consumer can do with entries of others.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use safeurl::queue::bullmq::consumer::{Consumer, ConsumerConfig, Moved};
use safeurl::queue::bullmq::producer::{Added, NewEntry, Offered, Producer};
use safeurl::queue::bullmq::{Keys, Link, RedisConfig};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

use crate::official::{Kind, Official};
use crate::world::QUEUE;

/// Who produces for safeurl's part.
pub(crate) enum Ours {
    Safeurl { runtime: Runtime, link: Arc<Link> },
    Official(Box<Official>),
}

impl Ours {
    pub(crate) fn safeurl(url: &str) -> Self {
        let config = RedisConfig { url: url.to_owned(), name: "interop".to_owned() };
        let link = Link::new(&config, Keys::new("bull", QUEUE)).expect("an address");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        Self::Safeurl { runtime, link: Arc::new(link) }
    }

    pub(crate) fn official(kind: Kind, socket: &Path) -> Self {
        Self::Official(Box::new(Official::start(kind, socket, QUEUE)))
    }

    /// Adds a job; its id, or that of the one that was there before.
    pub(crate) fn add(&self, data: &Value, opts: Value) -> String {
        let Self::Safeurl { runtime, link } = self else {
            let Self::Official(client) = self else { unreachable!("the other one") };
            return client.add(data, opts);
        };
        let Value::Object(mut opts) = opts else { panic!("{opts} are no options") };
        let id = opts.remove("jobId").and_then(|id| id.as_str().map(str::to_owned));
        let entry = NewEntry { name: "scan".to_owned(), data: data.clone(), id, opts };
        let added = runtime.block_on(Producer::new(Arc::clone(link)).add(&[entry])).expect("Redis answers");
        let [Added::New(id) | Added::Before(id)] = added.as_slice() else {
            panic!("one was to be added: {added:?}")
        };
        id.clone()
    }

    /// Makes sure that a job with this id runs.
    pub(crate) fn offer(&self, data: &Value, id: &str) -> Offered {
        let (runtime, link) = self.ours();
        let id = Some(id.to_owned());
        let entry =
            NewEntry { name: "scan".to_owned(), data: data.clone(), id, opts: serde_json::Map::new() };
        runtime.block_on(Producer::new(Arc::clone(link)).offer(&entry)).expect("Redis answers")
    }

    /// The scans that have an entry which has not ended; `None` when there are more entries than that.
    pub(crate) fn waiting(&self, most: usize) -> Option<BTreeSet<String>> {
        let (runtime, link) = self.ours();
        let jobs =
            runtime.block_on(Producer::new(Arc::clone(link)).waiting_jobs(most)).expect("Redis answers");
        jobs.map(|jobs| jobs.into_iter().collect())
    }

    /// Calls a worker, if there is work.
    pub(crate) fn wake(&self) {
        let (runtime, link) = self.ours();
        runtime.block_on(consumer(link).wake()).expect("Redis answers");
    }

    fn ours(&self) -> (&Runtime, &Arc<Link>) {
        let Self::Safeurl { runtime, link } = self else { panic!("the official clients have no such thing") };
        (runtime, link)
    }

    /// Tries to complete somebody else's active entry with a token of ours; the code of the refusal.
    pub(crate) fn intrude(&self, id: &str, token: &str) -> Result<(), i64> {
        let (runtime, link) = match self {
            Self::Safeurl { runtime, link } => (runtime, link),
            Self::Official(client) => {
                let tried = client.try_ask("finish", json!({ "id": id, "token": token, "value": 1 }));
                return tried.map(drop).map_err(|error| if error.contains("mismatch") { -6 } else { 0 });
            }
        };
        let consumer = consumer(link);
        let ended = runtime.block_on(async {
            let entry = consumer.read(id).await.expect("Redis answers").expect("the entry is there");
            consumer.complete(&entry, token, "1").await.expect("Redis answers")
        });
        match ended {
            Moved::Done => Ok(()),
            Moved::Refused(code) => Err(code),
        }
    }
}

fn consumer(link: &Arc<Link>) -> Consumer {
    let second = Duration::from_secs(1);
    let config = ConsumerConfig { name: None, lock: second, stalled_interval: second, max_stalled: 1 };
    Consumer::new(Arc::clone(link), config)
}
