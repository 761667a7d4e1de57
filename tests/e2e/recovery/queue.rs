//! The same with a queue in Redis in front of the database: workers that are killed, and a Redis that is away for longer
//! than a lease.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::database::live_through;
use super::redis::Redis;
use super::times::{Orphaned, wait_until};
use super::{Gated, LONG, LOST, MINUTE, adopted, count, gateway_of, id_of, kill, requeued, stop};
use crate::leftovers;
use crate::stage::Stage;

/// The longest that an entry may stay locked by a dead worker; a lock holds for thirty seconds.
const BOUND: Duration = Duration::from_secs(10);

/// How long Redis stands still: longer than the time after which a worker counts as dead.
const STANDSTILL: Duration = Duration::from_secs(15);

/// Entries of paths: of `submit`, and as an official producer writes them.
fn enqueue(pages: &Gated, stage: &Stage, redis: &Redis, submitted: &[&str], added: &[&str]) {
    pages.submit(stage, submitted);
    for path in added {
        redis.add(&format!("job{}", path.replace('/', "-")), &pages.site.url(path));
    }
}

/// Waits until no lock is the dead worker's any more, and says how long that took.
fn locks_are_handed_over(redis: &Redis, dead: &str, killed: Instant, stage: &Stage) {
    wait_until("no lock is a dead worker's", stage, || {
        !redis.locks().iter().any(|token| token.starts_with(dead))
    });
    println!("locks handed over after {} ms", killed.elapsed().as_millis());
    assert!(killed.elapsed() <= BOUND, "{:?}\n{}", killed.elapsed(), stage.log());
}

#[test]
fn entries_of_a_killed_worker_are_in_good_hands_within_ten_seconds_and_no_page_is_fetched_twice() {
    let pages = Gated::start();
    let (stage, redis) = Redis::in_front_of(Stage::new());
    let (submitted, added) = (["/early/1", "/early/2", "/late/1"], ["/early/3", "/late/2", "/late/3"]);
    enqueue(&pages, &stage, &redis, &submitted, &added);
    let victim = stage.worker(&["--concurrency", "6"]);
    pages.wait_for_hits(&stage, &[submitted, added].concat());
    let survivor = stage.worker(&["--concurrency", "1"]);
    enqueue(&pages, &stage, &redis, &["/late/own"], &[]);
    pages.wait_for_hits(&stage, &["/late/own"]);
    // Nobody has room for these.
    enqueue(&pages, &stage, &redis, &["/more/1"], &["/more/2"]);

    let dead = id_of(&stage, &victim);
    let orphaned = Orphaned::of(&stage, &dead);
    let killed = Instant::now();
    victim.signal("-KILL");
    pages.early.open();
    let hands = orphaned.recovered(&stage);
    assert!(hands["queued"].is_empty(), "nothing is given back: {hands:?}");
    assert_eq!(hands.values().map(Vec::len).sum::<usize>(), 6);
    locks_are_handed_over(&redis, &dead, killed, &stage);
    drop(victim);
    pages.late.open();
    stage.wait_for(&count("COMPLETED"), "9", LONG);

    redis.rests(9, &stage);
    pages.assert_hits(&[submitted, added].concat(), 1);
    pages.assert_hits(&["/late/own", "/more/1", "/more/2"], 1);
    assert!(requeued(&stage).is_empty(), "{:?}", requeued(&stage));
    let taken_over = adopted(&stage).into_iter().filter(|(_, adopted)| adopted == "1");
    assert_eq!(taken_over.count(), 6);
    leftovers::none_but_of(&survivor, &stage, LONG);
    stop(survivor, &stage);
    leftovers::none_within(&stage, LONG);
}

#[test]
fn entries_whose_worker_and_gateway_are_killed_are_delivered_again_uncounted() {
    let pages = Gated::start();
    let (stage, redis) = Redis::in_front_of(Stage::new());
    let (submitted, added) = (["/early/1", "/early/2"], ["/early/3"]);
    enqueue(&pages, &stage, &redis, &submitted, &added);
    let victim = stage.worker(&["--concurrency", "3"]);
    pages.wait_for_hits(&stage, &["/early/1", "/early/2", "/early/3"]);
    let survivor = stage.worker(&["--concurrency", "3"]);
    id_of(&stage, &survivor);

    let dead = id_of(&stage, &victim);
    let orphaned = Orphaned::of(&stage, &dead);
    let killed = Instant::now();
    kill(&[victim.0.id(), gateway_of(&victim)]);
    pages.early.open();
    let hands = orphaned.recovered(&stage);
    assert_eq!(hands["queued"].len(), 3, "without its gateway nobody vouches for a report: {hands:?}");
    locks_are_handed_over(&redis, &dead, killed, &stage);
    drop(victim);
    stage.wait_for(&count("COMPLETED"), "3", LONG);

    redis.rests(3, &stage);
    pages.assert_hits(&["/early/1", "/early/2", "/early/3"], 2);
    assert!(requeued(&stage).iter().all(|edge| edge[1] == LOST), "{:?}", requeued(&stage));
    leftovers::none_but_of(&survivor, &stage, LONG);
    stop(survivor, &stage);
    leftovers::none_within(&stage, LONG);
}

#[test]
fn no_job_fails_while_redis_is_gone_for_a_minute_and_the_worker_says_what_it_waits_for() {
    let (stage, redis) = Redis::in_front_of(Stage::new());
    let address =
        TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound").to_string();
    let stage = stage.with("SAFEURL_WORKER_HEALTH", &address);
    let redis = RefCell::new(redis);
    live_through(&stage, 1, MINUTE, |work| {
        wait_until("it is ready", &stage, || readyz(&address).0 == 200);
        redis.borrow_mut().kill();
        work();
        let (status, parts) = readyz(&address);
        let waits = parts.iter().find(|part| part["part"] == "queue").expect("the queue's part");
        assert_eq!(status, 503, "{parts:?}");
        assert!(waits["waitsFor"].as_str().is_some_and(|reason| reason.contains("Redis")), "{parts:?}");
        redis.borrow_mut().go_on();
        wait_until("it is ready again", &stage, || readyz(&address).0 == 200);
    });
    redis.borrow().rests(6, &stage);
}

#[test]
fn no_job_fails_while_redis_stands_still() {
    let (stage, redis) = Redis::in_front_of(Stage::new());
    live_through(&stage, 2, STANDSTILL, |work| {
        redis.signal("-STOP");
        work();
        redis.signal("-CONT");
    });
    redis.rests(6, &stage);
}

/// What a worker says it waits for, with the status.
fn readyz(address: &str) -> (u16, Vec<Value>) {
    let mut stream = TcpStream::connect(address).expect("the worker listens");
    stream.set_read_timeout(Some(LONG)).expect("set");
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
    let mut body: Value = serde_json::from_str(body).expect("JSON");
    let parts = body["parts"].as_array_mut().map(std::mem::take).expect("parts");
    (head.split(' ').nth(1).expect("a status").parse().expect("a number"), parts)
}
