//! Each test has a Redis of its own. What a queue holds is written as lines, one a key, and compared whole: a key or a
//! field too many is as wrong as one that is missing.

mod family;
mod finish;
mod locks;
mod order;
mod progress;
mod refused;
mod retry;
mod signals;
mod take;

use std::sync::atomic::{AtomicI64, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, cmd};

use super::*;
use crate::queue::bullmq::testing::Redis;

const BASE: &str = "bull:scan-jobs:";

/// When the tests begin; far enough from now that no clock but the test's own can have been read.
const START: i64 = 1_795_292_090_000;

/// What every queue's settings hold from its first entry on.
const LENGTH: &str = "opts.maxLenEvents 10000";

struct World {
    redis: Redis,
    connection: MultiplexedConnection,
    clock: Arc<AtomicI64>,
    worker: Consumer,
}

fn config(name: Option<&str>) -> ConsumerConfig {
    ConsumerConfig {
        name: name.map(str::to_owned),
        lock: Duration::from_secs(30),
        stalled_interval: Duration::from_secs(30),
        max_stalled: 1,
    }
}

impl World {
    async fn start() -> Self {
        let redis = Redis::start().await;
        let connection = redis.connection().await;
        let clock = Arc::new(AtomicI64::new(START));
        let worker = Consumer {
            link: redis.link(),
            config: config(Some("w1")),
            clock: Clock::Set(Arc::clone(&clock)),
        };
        let world = Self { redis, connection, clock, worker };
        world.set(&format!("HSET @meta {LENGTH}")).await;
        world
    }

    /// Another worker, on a connection of its own.
    fn worker(&self, name: Option<&str>) -> Consumer {
        Consumer { link: self.redis.link(), config: config(name), clock: Clock::Set(Arc::clone(&self.clock)) }
    }

    /// Sets the time, in milliseconds from the start.
    fn at(&self, millis: i64) {
        self.clock.store(START + millis, Ordering::SeqCst);
    }

    /// A command in words, its keys without what all of them begin with: `@wait`.
    async fn run<T: FromRedisValue>(&self, words: &str) -> T {
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        self.call(&words).await
    }

    async fn call<T: FromRedisValue>(&self, words: &[String]) -> T {
        let mut call = cmd(&words[0]);
        for word in &words[1..] {
            call.arg(word.strip_prefix('@').map_or_else(|| word.clone(), |key| format!("{BASE}{key}")));
        }
        call.query_async(&mut self.connection.clone()).await.expect("an answer")
    }

    async fn set(&self, words: &str) {
        self.run::<redis::Value>(words).await;
    }

    /// An entry's hash as a producer writes it; where it waits is the test's business.
    async fn hash(&self, id: &str, priority: u32, opts: &str) {
        let words =
            ["HSET", &format!("@{id}"), "name", "scan", "data", "{\"k\":1}", "opts", opts, "timestamp"];
        let mut words: Vec<_> = words.map(str::to_owned).into();
        words.extend([
            START.to_string(),
            "delay".into(),
            "0".into(),
            "priority".into(),
            priority.to_string(),
        ]);
        self.call::<redis::Value>(&words).await;
    }

    /// A plain entry that waits.
    async fn add(&self, id: &str, opts: &str) {
        self.hash(id, 0, opts).await;
        self.set(&format!("LPUSH @wait {id}")).await;
    }

    /// A plain entry that the worker has, under this token; what was said of it until then is forgotten.
    async fn taken(&self, id: &str, opts: &str, token: &str) -> Entry {
        self.add(id, opts).await;
        let entry = self.take(token).await;
        assert_eq!(entry.id, id);
        self.events().await;
        self.set("DEL @marker").await;
        entry
    }

    async fn take(&self, token: &str) -> Entry {
        match self.worker.take(token).await.expect("an answer") {
            Taken::Entry(entry) => *entry,
            Taken::Nothing { next } => panic!("nothing to take until {next:?}"),
        }
    }

    async fn take_nothing(&self) -> Option<Duration> {
        match self.worker.take("none").await.expect("an answer") {
            Taken::Nothing { next } => next,
            Taken::Entry(entry) => panic!("{entry:?}"),
        }
    }

    /// Every key but the events and the settings that every queue has, a line each.
    async fn dump(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.run("KEYS *").await;
        keys.sort();
        let mut lines = Vec::new();
        for key in keys {
            let name = key.strip_prefix(BASE).unwrap_or(&key);
            if !name.ends_with("events") {
                lines.push(self.line(name, &key).await);
            }
        }
        lines.retain(|line| !line.ends_with(&format!("meta = {{{LENGTH}}}")));
        lines
    }

    async fn line(&self, name: &str, key: &str) -> String {
        let kind: String = self.run(&format!("TYPE {key}")).await;
        let pairs = |flat: Vec<String>, between: &str| {
            let mut pairs: Vec<_> =
                flat.chunks(2).map(|pair| format!("{}{between}{}", pair[0], pair[1])).collect();
            if between == " " {
                pairs.sort();
            }
            pairs.join(", ")
        };
        match kind.as_str() {
            "list" => format!(
                "{name} = [{}]",
                self.run::<Vec<String>>(&format!("LRANGE {key} 0 -1")).await.join(", ")
            ),
            "zset" => {
                let flat = self.run(&format!("ZRANGE {key} 0 -1 WITHSCORES")).await;
                format!("{name} = [{}]", pairs(flat, " -> "))
            }
            "set" => {
                let mut members: Vec<String> = self.run(&format!("SMEMBERS {key}")).await;
                members.sort();
                format!("{name} = {{{}}}", members.join(", "))
            }
            "hash" => format!("{name} = {{{}}}", pairs(self.run(&format!("HGETALL {key}")).await, " ")),
            _ => {
                let (text, left): (String, i64) =
                    (self.run(&format!("GET {key}")).await, self.run(&format!("PTTL {key}")).await);
                // What has passed since is little, and the test's clock does not say how little.
                let left =
                    if left < 0 { String::new() } else { format!(" PX {}", (left + 4999) / 5000 * 5000) };
                format!("{name} = {text}{left}")
            }
        }
    }

    async fn holds(&self, expected: &[&str]) {
        assert_eq!(self.dump().await, expected);
    }

    /// What was said since the last call.
    async fn events(&self) -> Vec<String> {
        self.events_of("@events").await
    }

    async fn events_of(&self, key: &str) -> Vec<String> {
        let entries: Vec<(String, Vec<String>)> = self.run(&format!("XRANGE {key} - +")).await;
        self.set(&format!("DEL {key}")).await;
        entries.into_iter().map(|(_, fields)| fields[1..].join(" ")).collect()
    }

    async fn said(&self, expected: &[&str]) {
        assert_eq!(self.events().await, expected);
    }
}
