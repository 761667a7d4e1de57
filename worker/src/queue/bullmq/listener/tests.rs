use super::*;
use crate::queue::bullmq::consumer::{ConsumerConfig, Taken};
use crate::queue::bullmq::keys::Keys;
use crate::queue::bullmq::link::{Link, RedisConfig};
use crate::queue::bullmq::testing::{Proxy, Redis, until};

fn consumer(url: &str) -> Arc<Consumer> {
    let config = RedisConfig { url: url.to_owned(), name: "w1".to_owned() };
    let link = Link::new(&config, Keys::new("bull", "scan-jobs")).expect("an address");
    let hour = Duration::from_secs(3600);
    let settings = ConsumerConfig { name: None, lock: hour, stalled_interval: hour, max_stalled: 1 };
    Arc::new(Consumer::new(Arc::new(link), settings))
}

fn listener(url: &str) -> Arc<Listener> {
    Arc::new(Listener::start(consumer(url)))
}

async fn command<T: redis::FromRedisValue>(redis: &Redis, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut redis.connection().await).await.expect("an answer")
}

/// As a producer adds it.
async fn add(redis: &Redis, id: &str) {
    let key = format!("bull:scan-jobs:{id}");
    command::<i64>(redis, &["HSET", &key, "name", "scan", "data", "{}", "priority", "0"]).await;
    command::<i64>(redis, &["LPUSH", "bull:scan-jobs:wait", id]).await;
    command::<i64>(redis, &["ZADD", "bull:scan-jobs:marker", "0", "0"]).await;
}

/// What the server says under this name.
async fn info(redis: &Redis, name: &str) -> u64 {
    let text: String = command(redis, &["INFO", "everything"]).await;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")).map(str::to_owned));
    let value = line.unwrap_or_default();
    let digits =
        value.strip_prefix("calls=").unwrap_or(&value).split(',').next().unwrap_or_default().to_owned();
    digits.parse().unwrap_or(0)
}

async fn is_blocked(redis: &Redis) {
    until("it waits for a marker", async || info(redis, "blocked_clients").await == 1).await;
}

async fn marker(redis: &Redis) -> bool {
    command::<i64>(redis, &["ZCARD", "bull:scan-jobs:marker"]).await > 0
}

async fn in_time<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("within the deadline")
}

#[tokio::test]
async fn what_is_there_is_due_at_once_and_what_comes_wakes_all_who_wait() {
    let redis = Redis::start().await;
    let listener = listener(&redis.url());
    for round in 0..3 {
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let listener = listener.clone();
                tokio::spawn(async move { listener.due().await })
            })
            .collect();
        is_blocked(&redis).await;
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()), "round {round}");
        add(&redis, "1").await;
        for waiting in waiting {
            in_time(waiting).await.expect("no panic").expect("an answer");
        }
        in_time(listener.due()).await.expect("an answer");
        assert_eq!(listener.due_count(5).await.expect("an answer"), 1);
        let taken = listener.consumer.take("w:1").await.expect("an answer");
        assert!(matches!(taken, Taken::Entry(_)), "{taken:?}");
        command::<i64>(&redis, &["DEL", "bull:scan-jobs:active", "bull:scan-jobs:1:lock"]).await;
    }
}

#[tokio::test]
async fn a_marker_that_nobody_here_needs_any_more_is_put_back_for_others() {
    let redis = Redis::start().await;
    let listener = listener(&redis.url());
    let waiting = tokio::spawn({
        let listener = listener.clone();
        async move { listener.due().await }
    });
    is_blocked(&redis).await;
    waiting.abort();
    assert!(waiting.await.is_err());
    add(&redis, "1").await;
    until("it was popped", async || info(&redis, "cmdstat_zadd").await >= 2).await;
    assert!(marker(&redis).await, "and is there again");
}

#[tokio::test]
async fn a_marker_that_leads_to_no_take_is_put_back_for_others() {
    let redis = Redis::start().await;
    let listener = listener(&redis.url());
    let (due, ()) = tokio::join!(in_time(listener.due()), async {
        is_blocked(&redis).await;
        add(&redis, "1").await;
    });
    due.expect("an answer");
    until("it is put back", async || marker(&redis).await).await;
}

#[tokio::test]
async fn a_delayed_entry_is_due_when_its_time_has_come_without_a_marker() {
    let redis = Redis::start().await;
    let listener = listener(&redis.url());
    let time: Vec<u64> = command(&redis, &["TIME"]).await;
    let due = time[0] * 1000 + 400;
    command::<i64>(&redis, &["HSET", "bull:scan-jobs:1", "name", "scan", "data", "{}", "priority", "0"])
        .await;
    command::<i64>(&redis, &["ZADD", "bull:scan-jobs:delayed", &(due * 4096).to_string(), "1"]).await;
    in_time(listener.due()).await.expect("an answer");
    let now: Vec<u64> = command(&redis, &["TIME"]).await;
    assert!(now[0] * 1000 + now[1] / 1000 + 2 >= due);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_the_wait_goes_on() {
    let mut redis = Redis::start().await;
    let listener = listener(&redis.url());
    let waiting = tokio::spawn({
        let listener = listener.clone();
        // An outage ends a wait with an error, which its caller waits out.
        async move {
            while listener.due().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await
            }
        }
    });
    is_blocked(&redis).await;
    let named = "bull:c2Nhbi1qb2Jz:w:w1";
    let clients: String = command(&redis, &["CLIENT", "LIST"]).await;
    let id = clients.lines().find(|line| line.contains(named)).expect("named as Node names it");
    let id = id.split(' ').next().and_then(|id| id.strip_prefix("id=")).expect("its id");
    command::<i64>(&redis, &["CLIENT", "KILL", "ID", id]).await;
    is_blocked(&redis).await;
    redis.kill();
    redis.start_again(&[]);
    until("it is up", async || listener.consumer.link().probe().await.is_ok()).await;
    is_blocked(&redis).await;
    assert!(!waiting.is_finished());
    add(&redis, "1").await;
    in_time(waiting).await.expect("no panic");
}

#[tokio::test]
async fn a_connection_that_swallows_the_answer_is_given_up_by_the_watchdog() {
    let redis = Redis::start().await;
    let proxy = Proxy::before(redis.folder());
    let listener = listener(&proxy.url());
    let waiting = tokio::spawn({
        let listener = listener.clone();
        async move {
            while listener.due().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await
            }
        }
    });
    is_blocked(&redis).await;
    proxy.swallow(true);
    add(&redis, "1").await;
    until("the marker is gone", async || !marker(&redis).await).await;
    proxy.swallow(false);
    // Nothing is sent and nothing comes: only the clock can go on, and it goes no further than to the watchdog.
    tokio::time::pause();
    tokio::time::advance(BLOCK * 2).await;
    tokio::time::resume();
    in_time(waiting).await.expect("no panic");
}

#[tokio::test]
async fn nobody_spins_over_a_queue_from_which_nothing_can_be_taken() {
    let (empty, paused, maxed, limited) =
        tokio::join!(Redis::start(), Redis::start(), Redis::start(), Redis::start());
    let servers = [&empty, &paused, &maxed, &limited];
    command::<i64>(&paused, &["HSET", "bull:scan-jobs:meta", "paused", "1"]).await;
    command::<i64>(&maxed, &["HSET", "bull:scan-jobs:meta", "concurrency", "1"]).await;
    command::<i64>(&maxed, &["LPUSH", "bull:scan-jobs:active", "9"]).await;
    command::<i64>(&limited, &["HSET", "bull:scan-jobs:meta", "max", "1", "duration", "60000"]).await;
    command::<String>(&limited, &["SET", "bull:scan-jobs:limiter", "1", "PX", "60000"]).await;
    for redis in &servers[1..] {
        add(redis, "1").await;
    }
    let listeners: Vec<_> = servers.iter().map(|redis| listener(&redis.url())).collect();
    let waiting: Vec<_> = listeners
        .iter()
        .map(|listener| {
            let listener = listener.clone();
            tokio::spawn(async move { listener.due().await })
        })
        .collect();
    for redis in servers {
        // Two whole waits of the server's.
        until("it has waited", async || info(redis, "cmdstat_bzpopmin").await >= 3).await;
        let looks = info(redis, "cmdstat_evalsha").await + info(redis, "cmdstat_eval").await;
        assert!(looks <= 20, "{looks} looks");
    }
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    for waiting in waiting {
        waiting.abort();
    }
    for listener in listeners {
        in_time(listener.close()).await;
    }
}
