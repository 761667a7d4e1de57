use std::collections::BTreeMap;

use proptest::prelude::*;
use redis::aio::MultiplexedConnection;

use super::opts::{Stored, id_of};
use super::*;
use crate::queue::bullmq::testing::Redis;

mod deduplicating;
mod looking;
mod offering;

/// The moment of the examples, in milliseconds.
const THEN: u64 = 1_795_292_166_834;

/// A queue, its producer, and a look from beside.
struct Bench {
    redis: Redis,
    producer: Producer,
    beside: MultiplexedConnection,
}

impl Bench {
    async fn new() -> Self {
        let redis = Redis::start().await;
        let (producer, beside) = (Producer::new(redis.link()), redis.connection().await);
        Self { redis, producer, beside }
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, line: &str) -> T {
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().expect("a command"));
        for word in words {
            command.arg(word);
        }
        command.query_async(&mut self.beside).await.expect("an answer")
    }

    async fn hash(&mut self, id: &str) -> BTreeMap<String, String> {
        self.ask(&format!("HGETALL bull:scan-jobs:{id}")).await
    }

    async fn field(&mut self, id: &str, field: &str) -> Option<String> {
        self.ask(&format!("HGET bull:scan-jobs:{id} {field}")).await
    }

    async fn list(&mut self, list: &str) -> Vec<String> {
        self.ask(&format!("LRANGE bull:scan-jobs:{list} 0 -1")).await
    }

    /// Members with their scores, as text.
    async fn set(&mut self, set: &str) -> Vec<(String, String)> {
        let flat: Vec<String> = self.ask(&format!("ZRANGE bull:scan-jobs:{set} 0 -1 WITHSCORES")).await;
        flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }

    /// The events so far, a line each.
    async fn events(&mut self) -> Vec<String> {
        let all: Vec<(String, Vec<String>)> = self.ask("XRANGE bull:scan-jobs:events - +").await;
        all.into_iter().map(|(_, fields)| fields[1..].join(" ")).collect()
    }

    async fn keys(&mut self) -> Vec<String> {
        let mut keys: Vec<String> = self.ask("KEYS *").await;
        keys.sort();
        keys.into_iter().map(|key| key.replace("bull:scan-jobs:", "")).collect()
    }

    async fn add(&self, entry: NewEntry) -> Added {
        self.producer.add(&[entry]).await.expect("Redis answers").remove(0)
    }
}

/// An entry with these options, added at the moment of the examples.
fn entry(opts: Value) -> NewEntry {
    let mut opts = opts.as_object().cloned().expect("options");
    opts.insert("timestamp".to_owned(), json!(THEN));
    NewEntry { name: "scan".to_owned(), data: json!({"n": 1}), id: None, opts }
}

fn named(id: &str) -> NewEntry {
    NewEntry { id: Some(id.to_owned()), ..entry(json!({})) }
}

fn new(id: &str) -> Added {
    Added::New(id.to_owned())
}

fn before(id: &str) -> Added {
    Added::Before(id.to_owned())
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, score)| ((*name).to_owned(), (*score).to_owned())).collect()
}

#[tokio::test]
async fn a_plain_entry_waits_and_is_told_of() {
    let mut bench = Bench::new().await;
    let data = json!({"jobId": "0f5c", "url": "https://example.com/ü", "userId": "u1"});
    let plain = NewEntry { data: data.clone(), ..entry(json!({})) };
    assert_eq!(bench.add(plain).await, new("1"));
    let mut hash = bench.hash("1").await;
    let opts: Value = serde_json::from_str(&hash.remove("opts").expect("opts")).expect("JSON");
    assert_eq!(opts, json!({"attempts": 0, "timestamp": THEN}));
    let told = [
        ("data", data.to_string()),
        ("delay", "0".to_owned()),
        ("name", "scan".to_owned()),
        ("priority", "0".to_owned()),
        ("timestamp", THEN.to_string()),
    ];
    assert_eq!(hash, told.map(|(name, value)| (name.to_owned(), value)).into());
    assert_eq!(bench.list("wait").await, ["1"]);
    assert_eq!(bench.set("marker").await, pairs(&[("0", "0")]));
    assert_eq!(bench.events().await, ["added jobId 1 name scan", "waiting jobId 1"]);
    assert_eq!(bench.keys().await, ["1", "events", "id", "marker", "meta", "wait"]);
    let meta = bench.hash("meta").await;
    assert_eq!(meta, [("opts.maxLenEvents".to_owned(), "10000".to_owned())].into());
}

#[tokio::test]
async fn the_metadata_of_a_queue_stays_as_it_was() {
    let mut bench = Bench::new().await;
    let () = bench.ask("HSET bull:scan-jobs:meta opts.maxLenEvents 7 version bullmq:5.81.5").await;
    bench.add(entry(json!({}))).await;
    let meta = bench.hash("meta").await;
    let told = [("opts.maxLenEvents", "7"), ("version", "bullmq:5.81.5")];
    assert_eq!(meta, told.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn a_setting_that_is_no_whole_number_is_none_and_stops_no_addition() {
    let mut bench = Bench::new().await;
    let () = bench.ask("HSET bull:scan-jobs:meta opts.maxLenEvents many concurrency 0x0").await;
    assert_eq!(bench.add(entry(json!({}))).await, new("1"));
    assert_eq!(bench.list("wait").await, ["1"]);
    assert_eq!(bench.set("marker").await, pairs(&[("0", "0")]));
    assert_eq!(bench.events().await, ["added jobId 1 name scan", "waiting jobId 1"]);
}

#[tokio::test]
async fn entries_due_in_the_same_millisecond_keep_their_order_and_one_marker_names_the_first() {
    let mut bench = Bench::new().await;
    let delayed = || entry(json!({"delay": 60_000, "priority": 3}));
    let added = bench.producer.add(&[delayed(), delayed(), entry(json!({"delay": 90_000}))]).await;
    assert_eq!(added.expect("Redis answers"), ["1", "2", "3"].map(new));
    let expected = [("1", "7353516961112064"), ("2", "7353516961112065"), ("3", "7353517083992064")];
    assert_eq!(bench.set("delayed").await, pairs(&expected));
    assert_eq!(bench.set("marker").await, pairs(&[("1", "1795292226834")]));
    assert_eq!(bench.field("1", "delay").await.as_deref(), Some("60000"));
    assert_eq!(bench.field("1", "priority").await.as_deref(), Some("3"));
    let events = bench.events().await;
    assert_eq!(events[..2], ["added jobId 1 name scan", "delayed jobId 1 delay 1795292226834"]);
    assert!(!events.iter().any(|event| event.starts_with("waiting")), "{events:?}");
}

#[tokio::test]
async fn the_last_place_of_a_millisecond_is_shared() {
    let mut bench = Bench::new().await;
    let last = (THEN + 1000) * 4096 + 4095;
    let () = bench.ask(&format!("ZADD bull:scan-jobs:delayed {last} other")).await;
    bench.add(entry(json!({"delay": 1000}))).await;
    assert_eq!(bench.set("delayed").await, pairs(&[("1", &last.to_string()), ("other", &last.to_string())]));
}

#[tokio::test]
async fn prioritized_entries_are_sorted_by_priority_and_then_by_age() {
    let mut bench = Bench::new().await;
    let added: Vec<_> = [10, 1, 10].iter().map(|priority| entry(json!({"priority": priority}))).collect();
    bench.producer.add(&added).await.expect("Redis answers");
    let expected = [("2", "4294967298"), ("1", "42949672961"), ("3", "42949672963")];
    assert_eq!(bench.set("prioritized").await, pairs(&expected));
    assert_eq!(bench.ask::<String>("GET bull:scan-jobs:pc").await, "3");
    assert_eq!(bench.set("marker").await, pairs(&[("0", "0")]));
    assert_eq!(bench.events().await[1], "waiting jobId 1");
}

#[tokio::test]
async fn the_last_comes_first_where_that_is_asked_for() {
    let mut bench = Bench::new().await;
    let added = [entry(json!({})), entry(json!({})), entry(json!({"lifo": true}))];
    bench.producer.add(&added).await.expect("Redis answers");
    assert_eq!(bench.list("wait").await, ["2", "1", "3"], "the right end is taken first");
}

#[tokio::test]
async fn options_are_stored_as_other_producers_store_them() {
    let mut bench = Bench::new().await;
    let rich = json!({
        "keepLogs": 3, "stackTraceLimit": 2, "removeOnFail": true, "attempts": 3, "backoff": 100,
        "removeOnComplete": {"count": 5, "age": 3600}, "failParentOnFailure": true,
        "telemetry": {"metadata": "m", "omitContext": true},
    });
    let rich = NewEntry { id: Some("scan-0f5c-abc".to_owned()), ..entry(rich) };
    assert_eq!(bench.add(rich).await, new("scan-0f5c-abc"));
    let opts = bench.field("scan-0f5c-abc", "opts").await.expect("opts");
    let expected = json!({
        "kl": 3, "stackTraceLimit": 2, "removeOnFail": true, "attempts": 3, "jobId": "scan-0f5c-abc",
        "backoff": {"type": "fixed", "delay": 100}, "removeOnComplete": {"count": 5, "age": 3600},
        "fpof": true, "tm": "m", "omc": true, "timestamp": THEN,
    });
    assert_eq!(serde_json::from_str::<Value>(&opts).expect("JSON"), expected);
}

#[tokio::test]
async fn an_id_that_is_there_is_told_again_and_nothing_else_changes() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.add(named("a-b")).await, new("a-b"));
    let again = NewEntry { data: json!({"n": 2}), ..named("a-b") };
    assert_eq!(bench.add(again).await, before("a-b"));
    assert_eq!(bench.field("a-b", "data").await.as_deref(), Some(r#"{"n":1}"#));
    assert_eq!(bench.list("wait").await, ["a-b"]);
    assert_eq!(bench.events().await.last().map(String::as_str), Some("duplicated jobId a-b"));
    assert_eq!(bench.ask::<String>("GET bull:scan-jobs:id").await, "2", "the count goes on");
    assert_eq!(bench.add(entry(json!({}))).await, new("3"));
}

#[tokio::test]
async fn nobody_is_woken_while_the_queue_is_paused_or_has_enough_at_work() {
    for (setting, list) in [
        ("HSET bull:scan-jobs:meta paused 1", "wait"),
        ("HSET bull:scan-jobs:meta paused 1 version bullmq:6.7.0", "wait"),
        ("HSET bull:scan-jobs:meta paused 1 version bullmq:5.81.5", "paused"),
        ("HSET bull:scan-jobs:meta concurrency 0", "wait"),
        ("HSET bull:scan-jobs:meta version bullmq:5.81.5 concurrency 0", "wait"),
    ] {
        let mut bench = Bench::new().await;
        let () = bench.ask(setting).await;
        let added = [entry(json!({})), entry(json!({"priority": 1}))];
        bench.producer.add(&added).await.expect("Redis answers");
        assert_eq!(bench.list(list).await, ["1"], "{setting}");
        assert_eq!(bench.set("marker").await, [], "{setting}");
        // The time of a delayed one is known all the same.
        bench.add(entry(json!({"delay": 1}))).await;
        assert_eq!(bench.set("marker").await, pairs(&[("1", &(THEN + 1).to_string())]), "{setting}");
    }
    let mut bench = Bench::new().await;
    let () = bench.ask("HSET bull:scan-jobs:meta paused 1").await;
    let () = bench.ask("LPUSH bull:scan-jobs:paused old").await;
    bench.add(entry(json!({}))).await;
    assert_eq!(bench.list("paused").await, ["1", "old"], "an older worker paused it");
}

#[tokio::test]
async fn a_child_counts_for_its_parent_and_has_to_have_one() {
    let mut bench = Bench::new().await;
    let child = |parent: &str| {
        let opts = json!({"parent": {"id": parent, "queue": "bull:scan-jobs"}, "failParentOnFailure": true});
        NewEntry { id: Some("child".to_owned()), ..entry(opts) }
    };
    assert_eq!(bench.add(child("p1")).await, Added::NoParent);
    assert!(bench.keys().await.is_empty());
    for parent in ["p1", "p2"] {
        let () = bench.ask(&format!("HSET bull:scan-jobs:{parent} name parent")).await;
    }
    assert_eq!(bench.add(child("p1")).await, new("child"));
    assert_eq!(
        bench.ask::<Vec<String>>("SMEMBERS bull:scan-jobs:p1:dependencies").await,
        ["bull:scan-jobs:child"]
    );
    assert_eq!(bench.field("child", "parentKey").await.as_deref(), Some("bull:scan-jobs:p1"));
    let parent = bench.field("child", "parent").await.expect("a parent");
    let expected = json!({"id": "p1", "queueKey": "bull:scan-jobs", "fpof": true});
    assert_eq!(serde_json::from_str::<Value>(&parent).expect("JSON"), expected);
    assert_eq!(bench.add(child("p1")).await, before("child"));
    assert_eq!(bench.add(child("p2")).await, Added::OtherParent("child".to_owned()));
    assert_eq!(bench.field("child", "parentKey").await.as_deref(), Some("bull:scan-jobs:p1"));
}

#[tokio::test]
async fn many_and_large_entries_keep_their_order_over_several_calls() {
    let mut bench = Bench::new().await;
    let large = |n: usize| NewEntry { data: json!("x".repeat(n)), ..entry(json!({})) };
    let mut entries: Vec<_> = (0..250).map(|_| entry(json!({}))).collect();
    entries.extend([large(3 << 20), large(600_000), large(600_000)]);
    let added = bench.producer.add(&entries).await.expect("Redis answers");
    let expected: Vec<_> = (1..=253).map(|n| n.to_string()).collect();
    assert_eq!(added, expected.iter().map(|id| new(id)).collect::<Vec<_>>());
    let mut wait = bench.list("wait").await;
    wait.reverse();
    assert_eq!(wait, expected);
}

#[tokio::test]
async fn what_the_queue_would_refuse_is_refused_before_anything_is_sent() {
    let mut bench = Bench::new().await;
    for (opts, expected) in [
        (json!({"priority": 2_097_153}), "priority is 2097153"),
        (json!({"priority": -1}), "priority is -1"),
        (json!({"delay": 1.5}), "delay is 1.5"),
        (json!({"delay": 500_000_000_000_u64}), "before the year 2039"),
        (json!({"attempts": "3"}), "attempts is \"3\""),
        (json!({"backoff": "soon"}), "backoff is \"soon\""),
        (json!({"deduplication": {"ttl": 1}}), "deduplication"),
        (json!({"parent": {"id": "1"}}), "parent"),
    ] {
        let told =
            bench.producer.add(&[entry(json!({})), entry(opts)]).await.expect_err("it is unfit").to_string();
        assert!(told.contains(expected), "{told}");
    }
    for id in ["", "0", "0:x", "12", "-3", "a:b", "a:b:c:d"] {
        let told = bench.producer.add(&[named(id)]).await.expect_err("it is unfit").to_string();
        assert!(told.contains(&format!("id {id:?}")), "{told}");
    }
    assert!(bench.keys().await.is_empty());
    for id in ["007", "1.5", "a:b:c", "0x", "-", "+1"] {
        assert_eq!(bench.add(named(id)).await, new(id));
    }
}

proptest! {
    #[test]
    fn the_entry_of_any_scan_has_an_id_that_the_queue_takes(id in "[0-9:%a-z-]{1,8}") {
        let scan = ScanId::parse(&id).expect("it is short");
        let entry = NewEntry::scan(&scan, "u", "http://a.example/", 3);
        prop_assert_eq!(&entry.data["jobId"], &json!(id));
        let stored = Stored::of(&entry, THEN);
        prop_assert!(stored.is_ok(), "{:?}", stored);
    }

    #[test]
    fn scans_of_different_ids_have_entries_of_different_ids(a in "[0-3:%]{1,4}", b in "[0-3:%]{1,4}") {
        let id = |text: &str| id_of(&ScanId::parse(text).expect("it is short"));
        prop_assert_eq!(a == b, id(&a) == id(&b));
    }
}
