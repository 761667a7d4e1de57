use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;

use super::*;
use crate::domain::delivery::Retries;
use crate::queue::bullmq::testing::Redis;

/// When the iteration of the examples is, in milliseconds.
const AT: u64 = 1_795_334_834_801;

struct Bench {
    _redis: Redis,
    producer: Producer,
    beside: MultiplexedConnection,
}

impl Bench {
    /// With a scheduler `e` that stands at [`AT`].
    async fn new(fields: &[(&str, &str)]) -> Self {
        let redis = Redis::start().await;
        let (producer, beside) = (Producer::new(redis.link()), redis.connection().await);
        let mut bench = Self { _redis: redis, producer, beside };
        bench.set_up(fields, AT).await;
        bench
    }

    async fn set_up(&mut self, fields: &[(&str, &str)], at: u64) {
        let () = redis::cmd("HSET")
            .arg("bull:scan-jobs:repeat:e")
            .arg(&[("name", "tick"), ("data", r#"{"k":1}"#), ("ic", "1")])
            .arg(fields)
            .query_async(&mut self.beside)
            .await
            .expect("an answer");
        let () = redis::cmd("ZADD")
            .arg(&["bull:scan-jobs:repeat", &at.to_string(), "e"])
            .query_async(&mut self.beside)
            .await
            .expect("an answer");
    }

    async fn take(&self, entry: &Entry, now: u64) {
        self.producer.next_iteration(entry, Duration::from_millis(now)).await.expect("Redis answers");
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, line: &str) -> T {
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().expect("a command"));
        command.arg(words.collect::<Vec<_>>()).query_async(&mut self.beside).await.expect("an answer")
    }

    async fn at(&mut self) -> u64 {
        self.ask("ZSCORE bull:scan-jobs:repeat e").await
    }
}

/// The iteration at this time, taken by a worker.
fn iteration_of(at: u64, opts: Value) -> Entry {
    Entry {
        id: format!("repeat:e:{at}"),
        name: "tick".to_owned(),
        data: "{}".to_owned(),
        opts: opts.to_string(),
        timestamp: 0,
        atm: 0,
        ats: 1,
        deferred: None,
        scheduler: Some("e".to_owned()),
        parent_key: None,
        stacktrace: None,
        retries: Retries::default(),
    }
}

fn every(count: u64) -> Value {
    json!({"attempts": 2, "delay": 0, "repeat": {"every": 400, "limit": 3, "count": count}})
}

#[tokio::test]
async fn whoever_takes_an_iteration_makes_the_next() {
    let mut bench = Bench::new(&[("every", "400"), ("offset", "1"), ("limit", "3")]).await;
    bench.take(&iteration_of(AT, every(1)), AT + 8).await;
    let next = AT + 400;
    assert_eq!(bench.at().await, next);
    let mut hash: BTreeMap<String, String> =
        bench.ask(&format!("HGETALL bull:scan-jobs:repeat:e:{next}")).await;
    let opts: Value = serde_json::from_str(&hash.remove("opts").expect("opts")).expect("JSON");
    let expected = json!({
        "attempts": 2, "delay": 392, "jobId": format!("repeat:e:{next}"), "repeatJobKey": "e", "timestamp": AT + 8,
        "repeat": {"every": 400, "limit": 3, "count": 2},
    });
    assert_eq!(opts, expected);
    let expected = [
        ("data", r#"{"k":1}"#),
        ("delay", "392"),
        ("name", "tick"),
        ("priority", "0"),
        ("rjk", "e"),
        ("timestamp", "1795334834809"),
    ];
    assert_eq!(hash, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let delayed: Vec<String> = bench.ask("ZRANGE bull:scan-jobs:delayed 0 -1 WITHSCORES").await;
    assert_eq!(delayed, [format!("repeat:e:{next}"), (next * 4096).to_string()]);
    assert_eq!(bench.ask::<String>("HGET bull:scan-jobs:repeat:e ic").await, "2");
    assert_eq!(bench.ask::<String>("GET bull:scan-jobs:id").await, "1");
    let events: Vec<(String, Vec<String>)> = bench.ask("XRANGE bull:scan-jobs:events - +").await;
    let events: Vec<_> = events.into_iter().map(|(_, fields)| fields[1..].join(" ")).collect();
    let expected = [
        format!("added jobId repeat:e:{next} name tick"),
        format!("delayed jobId repeat:e:{next} delay {next}"),
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn an_iteration_taken_again_makes_nothing() {
    let mut bench = Bench::new(&[("every", "400")]).await;
    for _ in 0..3 {
        bench.take(&iteration_of(AT, every(1)), AT + 8).await;
    }
    assert_eq!(
        (bench.at().await, bench.ask::<String>("GET bull:scan-jobs:id").await.as_str()),
        (AT + 400, "1")
    );
    let gone = Entry { scheduler: Some("gone".to_owned()), ..iteration_of(AT, every(1)) };
    bench.take(&gone, AT).await;
    bench.take(&Entry { scheduler: None, ..iteration_of(AT + 400, every(1)) }, AT).await;
    assert_eq!(bench.ask::<String>("GET bull:scan-jobs:id").await, "1");
}

#[tokio::test]
async fn an_iteration_that_is_there_is_told_of_and_left() {
    let mut bench = Bench::new(&[("every", "400")]).await;
    let () = bench.ask(&format!("HSET bull:scan-jobs:repeat:e:{} name other", AT + 400)).await;
    bench.take(&iteration_of(AT, every(1)), AT + 8).await;
    assert_eq!(bench.at().await, AT);
    let events: Vec<(String, Vec<String>)> = bench.ask("XRANGE bull:scan-jobs:events - +").await;
    assert_eq!(
        events[0].1[1..],
        ["duplicated".to_owned(), "jobId".to_owned(), format!("repeat:e:{}", AT + 400)]
    );
}

#[tokio::test]
async fn an_iteration_that_is_late_already_waits_by_its_priority() {
    let mut bench = Bench::new(&[("every", "400")]).await;
    bench.take(&iteration_of(AT, json!({"priority": 2, "repeat": {"count": 1}})), AT + 400).await;
    let waiting: Vec<String> = bench.ask("ZRANGE bull:scan-jobs:prioritized 0 -1").await;
    assert_eq!(waiting, [format!("repeat:e:{}", AT + 400)]);
}

#[tokio::test]
async fn a_pattern_is_followed_in_its_zone_and_one_that_cannot_be_ends_the_scheduler() {
    let fields = [("pattern", "30 2 * * *"), ("tz", "Europe/Berlin")];
    let mut bench = Bench::new(&fields).await;
    bench.take(&iteration_of(AT, json!({"repeat": {"count": 1}})), AT).await;
    // 2026-11-22T08:47:14Z; the next night at half past two, an hour before that in UTC.
    assert_eq!(bench.at().await, 1_795_397_400_000);
    let opts: String = bench.ask("HGET bull:scan-jobs:repeat:e:1795397400000 opts").await;
    let opts: Value = serde_json::from_str(&opts).expect("JSON");
    assert_eq!((&opts["prevMillis"], &opts["repeat"]["count"]), (&json!(1_795_397_400_000_u64), &json!(2)));
    for fields in [&[("pattern", "H * * * *")][..], &[("pattern", "* * * * *"), ("tz", "Nowhere/Land")], &[]]
    {
        let mut bench = Bench::new(fields).await;
        bench.take(&iteration_of(AT, json!({})), AT).await;
        assert_eq!(bench.at().await, AT, "{fields:?}");
    }
}

#[test]
fn the_next_time_is_told_by_interval_offset_start_end_and_limit() {
    for (fields, before, now, count, expected) in [
        (&[("every", "400"), ("offset", "1")][..], 801, 809, 1, Next::At(1201)),
        // Late by less than an interval: at once. By more: the next slot.
        (&[("every", "400"), ("offset", "1")], 801, 1201, 1, Next::At(1201)),
        (&[("every", "400"), ("offset", "1")], 801, 1300, 1, Next::At(1601)),
        (&[("every", "400")], 800, 2000, 1, Next::At(2400)),
        (&[("every", "400"), ("startDate", "9000")], 800, 801, 1, Next::At(9200)),
        (&[("every", "400"), ("limit", "3")], 800, 801, 2, Next::At(1200)),
        (&[("every", "400"), ("limit", "3")], 800, 801, 3, Next::Over),
        (&[("every", "400"), ("endDate", "1200")], 800, 801, 1, Next::At(1200)),
        (&[("every", "400"), ("endDate", "1199")], 800, 801, 1, Next::Over),
        (&[("pattern", "* * * * *")], 60_000, 59_999, 1, Next::At(120_000)),
        (
            &[("pattern", "* * * * *"), ("startDate", "1970-01-01T01:00:00.000Z")],
            0,
            1,
            1,
            Next::At(3_660_000),
        ),
        (&[("pattern", "0 0 30 2 *")], 0, 1, 1, Next::Over),
    ] {
        let plan =
            Plan::read(|name| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value));
        let next = plan.and_then(|plan| plan.next(before, now, count)).expect("it can be told");
        assert_eq!(next, expected, "{fields:?} {before} {now} {count}");
    }
    for (fields, expected) in [
        (&[][..], "it has neither an interval nor a pattern"),
        (&[("every", "soon")], "its every is \"soon\", which is no number of milliseconds"),
    ] {
        let fields: &[(&str, &str)] = fields;
        let told =
            Plan::read(|name| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value));
        assert_eq!(told.expect_err("it cannot be told").to_string(), expected);
    }
}
