//! Which job our worker takes, and when.

use serde_json::{Value, json};

use crate::official::{millis, moment};
use crate::world::{Working, World};

/// The jobs in the order in which they were taken.
fn taken(world: &World) -> Vec<String> {
    world
        .client
        .named("active")
        .iter()
        .map(|event| event["jobId"].as_str().expect("an id").to_owned())
        .collect()
}

pub(super) fn one_slot_takes_jobs_in_the_order_in_which_they_came(world: &World) {
    let ids: Vec<_> = (0..5).map(|_| world.client.add(&world.scan("/ok"), json!({}))).collect();
    let _worker = world.work(Working::slots(1));
    world.client.wait_named("completed", 5);
    assert_eq!(taken(world), ids);
}

pub(super) fn a_delayed_job_waits_for_its_time(world: &World) {
    let _worker = world.work(Working::slots(1));
    world.wait_until_idle();
    let id = world.client.add(&world.scan("/ok"), json!({ "delay": 1500 }));
    assert_eq!(world.client.state(&id), "delayed");
    world.client.wait_of(&id, "completed");
    let job = world.client.get(&id);
    assert!(moment(&world.client.wait_of(&id, "active")) >= millis(&job["timestamp"]) + 1500);
    assert_eq!(world.client.story(&id)[..4], ["added", "delayed", "waiting delayed", "active waiting"]);
    assert_eq!(job["delay"], 0);
}

pub(super) fn jobs_due_at_the_same_moment_keep_their_order(world: &World) {
    let timestamp = world.redis.now();
    let opts = json!({ "delay": 1200, "timestamp": timestamp });
    let ids: Vec<_> = (0..5).map(|_| world.client.add(&world.scan("/ok"), opts.clone())).collect();
    let _worker = world.work(Working::slots(1));
    world.client.wait_named("completed", 5);
    assert_eq!(taken(world), ids);
}

pub(super) fn a_far_delayed_job_holds_nobody_up(world: &World) {
    let _worker = world.work(Working::slots(1));
    let far = world.client.add(&world.scan("/ok/far"), json!({ "delay": 3_600_000 }));
    let plain = world.client.add(&world.scan("/ok/plain"), json!({}));
    world.client.wait_of(&plain, "completed");
    assert_eq!(world.client.state(&far), "delayed");
    // Nor does one that comes while the worker waits for the far one.
    let second = world.client.add(&world.scan("/ok/plain"), json!({}));
    world.client.wait_of(&second, "completed");
    assert_eq!(world.site.hits("/ok/far"), 0);
}

pub(super) fn nothing_is_taken_while_the_queue_is_paused(world: &World) {
    world.client.queue("pause", json!([]));
    let first = world.client.add(&world.scan("/ok"), json!({}));
    let _worker = world.work(Working::slots(1));
    world.wait_until_idle();
    let second = world.client.add(&world.scan("/ok"), json!({}));
    // A false alarm: the worker comes, looks, and goes back to wait.
    let _: i64 = world.redis.ask(&["ZADD", "bull:scan-jobs:marker", "0", "0"]);
    world.client.wait("the worker to answer the marker", || {
        let markers: i64 = world.redis.ask(&["ZCARD", "bull:scan-jobs:marker"]);
        (markers == 0 && !world.redis.waits().is_empty()).then_some(())
    });
    assert_eq!(taken(world), Vec::<String>::new());
    assert_eq!(world.client.state(&first), "waiting");
    world.client.queue("resume", json!([]));
    world.client.wait_named("completed", 2);
    assert_eq!(taken(world), [first, second]);
}

pub(super) fn priorities_come_after_plain_jobs_and_in_their_order(world: &World) {
    let add = |opts: Value| world.client.add(&world.scan("/ok"), opts);
    let plain = add(json!({}));
    let ten = add(json!({ "priority": 10 }));
    let one = add(json!({ "priority": 1 }));
    let other_ten = add(json!({ "priority": 10 }));
    let three = add(json!({ "priority": 3 }));
    let lifo = add(json!({ "lifo": true }));
    let due = add(json!({ "priority": 2, "delay": 1 }));
    let _worker = world.work(Working::slots(1));
    world.client.wait_named("completed", 7);
    assert_eq!(taken(world), [lifo, plain, one, due, three, ten, other_ten]);
}

pub(super) fn a_global_concurrency_is_kept_and_its_own_too(world: &World) {
    world.client.queue("setGlobalConcurrency", json!([1]));
    let all: Vec<_> = (0..5).map(|_| world.scan("/ok")).collect();
    world.client.add_bulk(&all);
    let _worker = world.work(Working::slots(3));
    world.client.wait_named("completed", 5);
    assert_eq!(most_at_once(&world.client.events()), 1);

    world.client.queue("setGlobalConcurrency", json!([100]));
    let all: Vec<_> = (0..5).map(|n| world.scan(&format!("/held/{n}"))).collect();
    world.client.add_bulk(&all);
    let visits = || (0..5).filter(|n| world.site.hits(&format!("/held/{n}")) > 0).count();
    world.client.wait("three visits", || (visits() == 3).then_some(()));
    assert_eq!(world.client.counts()["active"], 3);
    world.release();
    world.client.wait_named("completed", 10);
    assert_eq!(most_at_once(&world.client.events()), 3);
}

/// The greatest number of jobs that were active at a time.
fn most_at_once(events: &[Value]) -> i64 {
    let mut active = 0;
    let changes = events.iter().map(|event| match event["event"].as_str() {
        Some("active") => 1,
        Some("completed" | "failed") => -1,
        _ => 0,
    });
    changes.fold(0, |most, change| {
        active += change;
        most.max(active)
    })
}

pub(super) fn a_rate_limit_is_kept(world: &World) {
    world.client.queue("setGlobalRateLimit", json!([2, 1500]));
    let all: Vec<_> = (0..4).map(|_| world.scan("/ok")).collect();
    world.client.add_bulk(&all);
    let _worker = world.work(Working::slots(3));
    world.client.wait_named("completed", 4);
    let starts: Vec<_> = world.client.named("active").iter().map(moment).collect();
    // Redis counts the time of a key from the start of the script, so a millisecond may be missing between two events.
    assert!(starts[2] - starts[0] >= 1498, "{starts:?}");

    let before = world.redis.now();
    world.client.queue("rateLimit", json!([2000]));
    let id = world.client.add(&world.scan("/ok"), json!({}));
    let active = world.client.wait_of(&id, "active");
    assert!(moment(&active) - before >= 1998, "{active} after {before}");
    world.client.wait_of(&id, "completed");
}
