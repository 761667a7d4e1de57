//! A Redis of a test's own, and what stands in it; and a way to it on which answers get lost.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use redis::FromRedisValue;
use safeurl::queue::BullMqConfig;
use safeurl::queue::bullmq::producer::{NewEntry, Producer};
use safeurl::queue::bullmq::{Keys, Link, RedisConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::stage::{LONG, LOOK};

/// A running Redis that keeps nothing.
pub(crate) struct Redis {
    folder: PathBuf,
    server: Option<Child>,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        let name = &uuid::Uuid::new_v4().simple().to_string()[..12];
        let folder = std::env::temp_dir().join(format!("safeurl-rd-{name}"));
        std::fs::create_dir(&folder).expect("a folder for the test");
        let mut redis = Self { folder, server: None };
        redis.begin().await;
        redis
    }

    /// Starts it, empty, where it was.
    pub(crate) async fn begin(&mut self) {
        let server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(self.socket())
            .arg("--dir")
            .arg(&self.folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.server = Some(server);
        let until = Instant::now() + LONG;
        while UnixStream::connect(self.socket()).await.is_err() {
            assert!(Instant::now() < until, "Redis does not come up");
            sleep(LOOK).await;
        }
    }

    /// As kill -9 does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("redis.sock")
    }

    pub(crate) fn bullmq(&self) -> BullMqConfig {
        self.bullmq_at(&self.socket())
    }

    fn bullmq_at(&self, socket: &Path) -> BullMqConfig {
        BullMqConfig {
            redis: RedisConfig { url: format!("unix://{}", socket.display()), name: "test".to_owned() },
            keys: Keys::new("bull", "scan-jobs"),
            lock: Duration::from_secs(30),
            stalled_interval: Duration::from_secs(30),
            max_stalled: 1,
            unleased_after: Duration::from_secs(600),
        }
    }

    pub(crate) fn producer(&self) -> Producer {
        let BullMqConfig { redis, keys, .. } = self.bullmq();
        Producer::new(Arc::new(Link::new(&redis, keys).expect("an address")))
    }

    /// Adds an entry with this id; it is tried so often.
    pub(crate) async fn add(&self, id: &str, data: Value, attempts: u32) {
        let opts = json!({ "attempts": attempts });
        let entry = NewEntry {
            name: "scan".to_owned(),
            data,
            id: Some(id.to_owned()),
            opts: opts.as_object().cloned().unwrap_or_default(),
        };
        self.producer().add(&[entry]).await.expect("an answer");
    }

    /// Adds an entry for a job that has no row yet.
    pub(crate) async fn add_scan(&self, id: &str, job: &str, attempts: u32) {
        self.add(id, json!({"jobId": job, "url": "http://example.test/", "userId": "u1"}), attempts).await;
    }

    /// One command, its keys below the queue's.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(self.bullmq().redis.url).expect("an address");
        let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word.replace("P:", "bull:scan-jobs:"));
        }
        command.query_async(&mut connection).await.expect("an answer")
    }

    pub(crate) async fn field(&self, id: &str, field: &str) -> Option<String> {
        self.ask(&["HGET", &format!("P:{id}"), field]).await
    }

    /// Where an entry stands, as the clients say it.
    pub(crate) async fn state(&self, id: &str) -> &'static str {
        for (set, state) in [("completed", "completed"), ("failed", "failed"), ("delayed", "delayed")] {
            let score: Option<String> = self.ask(&["ZSCORE", &format!("P:{set}"), id]).await;
            if score.is_some() {
                return state;
            }
        }
        for (list, state) in [("active", "active"), ("wait", "waiting")] {
            let ids: Vec<String> = self.ask(&["LRANGE", &format!("P:{list}"), "0", "-1"]).await;
            if ids.iter().any(|found| found == id) {
                return state;
            }
        }
        "unknown"
    }

    pub(crate) async fn until_state(&self, id: &str, state: &str) {
        let until = Instant::now() + LONG;
        loop {
            let now = self.state(id).await;
            if now == state {
                return;
            }
            assert!(Instant::now() < until, "entry {id} is {now}, and not {state}");
            sleep(LOOK).await;
        }
    }

    /// How often an event was told of an entry.
    pub(crate) async fn events(&self, event: &str, id: &str) -> usize {
        let events: Vec<(String, Vec<String>)> = self.ask(&["XRANGE", "P:events", "-", "+"]).await;
        let of = |fields: &[String], name: &str, value: &str| {
            fields.chunks(2).any(|pair| pair[0] == name && pair[1] == value)
        };
        events.iter().filter(|(_, all)| of(all, "event", event) && of(all, "jobId", id)).count()
    }

    /// A way to it on which one thing gets lost.
    pub(crate) fn way(&self, lost: Lost) -> (Way, BullMqConfig) {
        let socket = self.folder.join(format!("way-{}.sock", uuid::Uuid::new_v4().simple()));
        let listener = UnixListener::bind(&socket).expect("a socket");
        let (count, server) = (Arc::new(Count::default()), self.socket());
        let counted = Arc::clone(&count);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server.clone(), Arc::clone(&counted), lost));
            }
        });
        (Way { count, task }, self.bullmq_at(&socket))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The questions since the way was armed.
#[derive(Default)]
struct Count {
    armed: AtomicBool,
    asked: AtomicUsize,
}

/// What gets lost, counted over all connections from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lost {
    Question(usize),
    Answer(usize),
}

pub(crate) struct Way {
    count: Arc<Count>,
    task: JoinHandle<()>,
}

impl Way {
    /// Counts from now on.
    pub(crate) fn arm(&self) {
        self.count.armed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) -> usize {
        self.count.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where something gets lost, the connection ends with it.
async fn forward(mut client: UnixStream, server: PathBuf, count: Arc<Count>, lost: Lost) {
    let Ok(mut server) = UnixStream::connect(server).await else { return };
    let (mut question, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut deaf = false;
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let Ok(bytes @ 1..) = read else { return };
                // Not what opens a connection: that would be tried again by itself.
                let script = count.armed.load(Ordering::Relaxed) && question[..bytes].windows(4).any(|word| word.eq_ignore_ascii_case(b"EVAL"));
                let number = if script { count.asked.fetch_add(1, Ordering::Relaxed) + 1 } else { 0 };
                match lost {
                    Lost::Question(at) if at == number => return,
                    Lost::Answer(at) if at == number => deaf = true,
                    Lost::Question(_) | Lost::Answer(_) => {}
                }
                if server.write_all(&question[..bytes]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(bytes @ 1..) = read else { return };
                if deaf || client.write_all(&answer[..bytes]).await.is_err() {
                    return;
                }
            }
        }
    }
}
