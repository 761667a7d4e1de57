use std::collections::HashMap;

use super::*;
use crate::queue::bullmq::consumer::{ConsumerConfig, Moved, Taken};
use crate::queue::bullmq::keys::Keys;
use crate::queue::bullmq::link::{Link, RedisConfig};
use crate::queue::bullmq::testing::{Proxy, Redis, until};

fn consumer(url: &str, lock: Duration) -> Arc<Consumer> {
    let config = RedisConfig { url: url.to_owned(), name: "w1".to_owned() };
    let link = Link::new(&config, Keys::new("bull", "scan-jobs")).expect("an address");
    let settings =
        ConsumerConfig { name: None, lock, stalled_interval: Duration::from_secs(3600), max_stalled: 1 };
    Arc::new(Consumer::new(Arc::new(link), settings))
}

fn keeper(url: &str, lock: Duration) -> Keeper {
    Keeper::start(WorkerId::fresh(), consumer(url, lock))
}

async fn command<T: redis::FromRedisValue>(redis: &Redis, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut redis.connection().await).await.expect("an answer")
}

/// As a producer adds it.
async fn add(redis: &Redis, id: &str) {
    let key = format!("bull:scan-jobs:{id}");
    let fields = [
        "HSET",
        &key,
        "name",
        "scan",
        "data",
        "{}",
        "opts",
        "{}",
        "timestamp",
        "1",
        "delay",
        "0",
        "priority",
        "0",
    ];
    command::<i64>(redis, &fields).await;
    command::<i64>(redis, &["LPUSH", "bull:scan-jobs:wait", id]).await;
}

async fn take(keeper: &Keeper) -> (Entry, String) {
    let mut taking = keeper.taking();
    let taken = keeper.desk.consumer.take(taking.token()).await.expect("an answer");
    let Taken::Entry(entry) = taken else { panic!("nothing there") };
    let token = taking.token().to_owned();
    taking.came((*entry).clone());
    taking.over();
    (*entry, token)
}

async fn list(redis: &Redis, name: &str) -> Vec<String> {
    command(redis, &["LRANGE", &format!("bull:scan-jobs:{name}"), "0", "-1"]).await
}

async fn field(redis: &Redis, id: &str, name: &str) -> Option<String> {
    let all: HashMap<String, String> = command(redis, &["HGETALL", &format!("bull:scan-jobs:{id}")]).await;
    all.get(name).cloned()
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn locks_are_renewed_for_as_long_as_an_entry_is_kept() {
    let redis = Redis::start().await;
    let keeper = keeper(&redis.url(), Duration::from_secs(1));
    add(&redis, "1").await;
    let (_, token) = take(&keeper).await;
    let pttl = async || command::<i64>(&redis, &["PTTL", "bull:scan-jobs:1:lock"]).await;
    // Renewed when more is left of it than the moment before.
    for _ in 0..3 {
        let mut before = pttl().await;
        until("it is renewed", async || {
            let now = pttl().await;
            assert!(now > 0, "the lock ran out");
            now > std::mem::replace(&mut before, now)
        })
        .await;
    }
    keeper.tell(Owed::GiveBack { id: "1".to_owned(), token }).await;
    assert_eq!(list(&redis, "wait").await, ["1"]);
    assert!(keeper.close().await, "nothing is left");
}

#[tokio::test]
async fn what_became_of_an_entry_is_told_after_its_lock_ran_out_unless_somebody_has_taken_it_since() {
    let redis = Redis::start().await;
    let keeper = keeper(&redis.url(), LONG);
    let unlock = async |id| command::<i64>(&redis, &["DEL", &format!("bull:scan-jobs:{id}:lock")]).await;
    add(&redis, "1").await;
    let (entry, token) = take(&keeper).await;
    unlock("1").await;
    keeper.tell(Owed::Complete { entry, token, returnvalue: "{}".to_owned() }).await;
    assert_eq!(field(&redis, "1", "returnvalue").await.as_deref(), Some("{}"));
    assert_eq!(field(&redis, "1", "atm").await.as_deref(), Some("1"));

    add(&redis, "2").await;
    let (entry, token) = take(&keeper).await;
    unlock("2").await;
    command::<i64>(&redis, &["HINCRBY", "bull:scan-jobs:2", "ats", "1"]).await;
    keeper.tell(Owed::Fail { entry, token, reason: "dns: no such name".to_owned() }).await;
    assert_eq!(list(&redis, "active").await, ["2"], "it is the other's");
    assert_eq!(field(&redis, "2", "failedReason").await, None);
    assert_eq!(keeper.owed(), 0);
    assert!(keeper.close().await, "nothing is left");
}

#[tokio::test]
async fn an_entry_whose_take_was_not_answered_goes_back_to_the_front() {
    let redis = Redis::start().await;
    let proxy = Proxy::before(redis.folder());
    let keeper = keeper(&proxy.url(), LONG);
    add(&redis, "1").await;
    add(&redis, "2").await;
    // The server knows the script from now on: what is swallowed is the answer to the take itself.
    let (_, token) = take(&keeper).await;
    keeper.tell(Owed::GiveBack { id: "1".to_owned(), token }).await;
    proxy.swallow(true);
    let taking = keeper.taking();
    let token = taking.token().to_owned();
    let mut take = Box::pin(keeper.desk.consumer.take(&token));
    until("it is taken without our hearing of it", async || {
        tokio::select! {
            taken = &mut take => panic!("an answer: {taken:?}"),
            active = list(&redis, "active") => active == ["1"],
        }
    })
    .await;
    drop(take);
    drop(taking);
    assert!(!keeper.desk.book().is_clear());
    proxy.swallow(false);
    until("it is given back", async || list(&redis, "wait").await == ["2", "1"]).await;
    assert!(list(&redis, "active").await.is_empty());
    assert_eq!(field(&redis, "1", "stc").await, None, "not counted as stalled");
    let (entry, _) = self::take(&keeper).await;
    assert_eq!(entry.id, "1");
}

#[tokio::test]
async fn an_entry_that_is_forgotten_under_its_lock_goes_back_and_the_others_stay() {
    let redis = Redis::start().await;
    let keeper = keeper(&redis.url(), LONG);
    add(&redis, "1").await;
    add(&redis, "2").await;
    let (_, first) = take(&keeper).await;
    let (_, second) = take(&keeper).await;
    keeper.forget(&first);
    until("it is given back", async || list(&redis, "wait").await == ["1"]).await;
    assert_eq!(list(&redis, "active").await, ["2"]);
    assert!(keeper.kept(&second).is_some());
}

#[tokio::test]
async fn an_entry_that_is_shown_to_the_database_is_renewed_meanwhile_and_given_back_when_nobody_waits_for_that()
 {
    let redis = Redis::start().await;
    let keeper = keeper(&redis.url(), Duration::from_secs(1));
    add(&redis, "1").await;
    let mut taking = keeper.taking();
    let Taken::Entry(entry) = keeper.desk.consumer.take(taking.token()).await.expect("an answer") else {
        panic!("nothing there")
    };
    taking.came(*entry);
    let mut before = i64::MAX;
    until("its lock is renewed", async || {
        let now: i64 = command(&redis, &["PTTL", "bull:scan-jobs:1:lock"]).await;
        assert!(now > 0, "the lock ran out");
        now > std::mem::replace(&mut before, now)
    })
    .await;
    drop(taking);
    until("it is given back", async || list(&redis, "wait").await == ["1"]).await;
    assert!(keeper.close().await, "nothing is left");
}

#[tokio::test]
async fn a_worker_that_ends_as_redis_comes_back_leaves_nothing() {
    let settings = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut redis = Redis::start_with(&settings).await;
    let keeper = keeper(&redis.url(), LONG);
    add(&redis, "1").await;
    let (_, token) = take(&keeper).await;
    redis.kill();
    // Each try in vain puts the next one off for twice as long; in the end it would come too late.
    let away = Instant::now();
    until("the next try is a while away", async || {
        keeper.desk.consumer.look(1).await.expect_err("it is away");
        away.elapsed() > Duration::from_secs(3)
    })
    .await;
    redis.start_again(&settings);
    keeper.forget(&token);
    assert!(keeper.close().await, "nothing is left");
    assert_eq!(list(&redis, "wait").await, ["1"]);
}

#[tokio::test]
async fn what_redis_missed_is_told_when_it_is_back_and_the_attempt_waits_for_nothing() {
    let mut redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let keeper = keeper(&redis.url(), LONG);
    for id in ["1", "2", "3"] {
        add(&redis, id).await;
    }
    let (completed, failed, postponed) = (take(&keeper).await, take(&keeper).await, take(&keeper).await);
    redis.kill();
    let (entry, token) = completed;
    keeper.tell(Owed::Complete { entry, token, returnvalue: "{\"n\":1}".to_owned() }).await;
    let (entry, token) = failed;
    keeper.tell(Owed::Fail { entry, token, reason: "no answer".to_owned() }).await;
    let (entry, token) = postponed;
    keeper.tell(Owed::Postpone { id: entry.id, token, delay: LONG }).await;
    assert_eq!(keeper.owed(), 3);
    redis.start_again(&["--appendonly", "yes", "--appendfsync", "always"]);
    until("nothing is owed", async || keeper.owed() == 0).await;
    assert_eq!(field(&redis, "1", "returnvalue").await.as_deref(), Some("{\"n\":1}"));
    assert_eq!(field(&redis, "2", "failedReason").await.as_deref(), Some("no answer"));
    assert!(command::<Option<f64>>(&redis, &["ZSCORE", "bull:scan-jobs:delayed", "3"]).await.is_some());
    assert_eq!(field(&redis, "3", "delay").await.as_deref(), Some("600000"), "not what was left of it");
    assert!(keeper.close().await, "nothing is left");
}

#[tokio::test]
async fn a_settlement_whose_caller_was_dropped_or_whose_answer_was_lost_is_told_once() {
    let redis = Redis::start().await;
    let proxy = Proxy::before(redis.folder());
    let keeper = keeper(&proxy.url(), LONG);
    add(&redis, "1").await;
    let (entry, token) = take(&keeper).await;
    // The server knows the script from now on: what is swallowed is the answer to the settlement itself.
    let refused = keeper.desk.consumer.complete(&entry, "nobody's", "1").await.expect("an answer");
    assert_eq!(refused, Moved::Refused(-6));
    proxy.swallow(true);
    let mut telling = Box::pin(keeper.tell(Owed::Complete { entry, token, returnvalue: "1".to_owned() }));
    until("Redis has it", async || {
        tokio::select! {
            () = &mut telling => panic!("an answer"),
            active = list(&redis, "active") => active.is_empty(),
        }
    })
    .await;
    drop(telling);
    assert_eq!(keeper.owed(), 1, "it is not known to be told");
    proxy.swallow(false);
    until("nothing is owed", async || keeper.owed() == 0).await;
    assert_eq!(field(&redis, "1", "atm").await.as_deref(), Some("1"));
    assert!(keeper.close().await);
}

#[tokio::test]
async fn a_worker_that_ends_while_redis_is_away_says_that_something_is_left() {
    let mut redis = Redis::start().await;
    let keeper = keeper(&redis.url(), LONG);
    add(&redis, "1").await;
    let (entry, token) = take(&keeper).await;
    redis.kill();
    keeper.tell(Owed::Complete { entry, token, returnvalue: "1".to_owned() }).await;
    assert!(!keeper.close().await);
    assert_eq!(keeper.owed(), 1);
}

#[tokio::test]
async fn a_lock_that_somebody_else_has_is_let_go_without_touching_it() {
    let redis = Redis::start().await;
    let keeper = keeper(&redis.url(), Duration::from_secs(1));
    add(&redis, "1").await;
    let (entry, token) = take(&keeper).await;
    command::<String>(&redis, &["SET", "bull:scan-jobs:1:lock", "somebody"]).await;
    until("it is noticed", async || keeper.desk.book().held().is_empty()).await;
    assert!(keeper.kept(&token).is_some(), "the attempt goes on");
    keeper.tell(Owed::Complete { entry, token: token.clone(), returnvalue: "1".to_owned() }).await;
    assert_eq!(command::<String>(&redis, &["GET", "bull:scan-jobs:1:lock"]).await, "somebody");
    assert!(keeper.kept(&token).is_none());
    assert_eq!(list(&redis, "active").await, ["1"]);
}

#[tokio::test]
async fn tokens_begin_with_the_worker_and_none_begins_another() {
    let redis = Redis::start().await;
    let keeper = keeper(&redis.url(), LONG);
    let tokens: Vec<String> = (0..200).map(|_| keeper.fresh_token()).collect();
    for token in &tokens {
        assert!(token.starts_with(&format!("{}:", keeper.desk.worker)));
        assert_eq!(tokens.iter().filter(|other| other.starts_with(token.as_str())).count(), 1);
    }
}
