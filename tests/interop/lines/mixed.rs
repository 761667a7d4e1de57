//! Several clients on one queue.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::official::Kind;
use crate::world::{Working, World};

pub(super) fn the_worker_is_seen(world: &World) {
    let _worker = world.work(Working::slots(3));
    world.wait_until_idle();
    // A port shows the workers that bear its own kind of name; safeurl bears one of each.
    let count = world.client.ask("workersCount", json!({}));
    assert_eq!(count, 1);
}

pub(super) fn no_observer_meets_an_error(world: &World) {
    let others = [Kind::Node5, Kind::Node6, Kind::Python].map(|kind| world.another(kind));
    let _worker = world.work(Working::slots(2));
    let add = |path: &str, opts: Value| world.client.add(&world.scan(path), opts);
    add("/ok", json!({ "removeOnComplete": true }));
    add("/closes", json!({ "attempts": 2, "backoff": 100 }));
    add("/flaky/1", json!({ "attempts": 2 }));
    add("/ok", json!({ "delay": 200, "priority": 3 }));
    let nonsense = world
        .client
        .add(&json!({ "jobId": "x", "url": "no address", "userId": "u1" }), json!({ "attempts": 3 }));
    world.client.wait_of(&nonsense, "failed");
    world.client.wait_named("completed", 3);
    world.client.wait_named("failed", 2);
    for other in &others {
        other.wait_named("completed", 3);
        other.wait_named("failed", 2);
        other.assert_untroubled();
        assert_eq!(other.events().len(), world.client.events().len());
    }
}

pub(super) fn two_kinds_of_workers_share_one_queue(world: &World) {
    let all: Vec<_> = (0..500).map(|n| world.scan(&format!("/ok/{n}"))).collect();
    let ids = world.client.add_bulk(&all);
    let _worker = world.work(Working::slots(4));
    world.client.wait_named("completed", 1);
    // A little slower than it could be, so that it does not take all.
    world.client.work("official", json!({ "sleep": 40 }), json!({}));
    world.client.wait("all to be completed", || (world.client.counts()["completed"] == 500).then_some(()));
    world.client.wait_named("completed", 500);
    let mut ends = BTreeMap::<String, u32>::new();
    for event in world.client.named("completed") {
        *ends.entry(event["jobId"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
    assert_eq!(ends.len(), 500);
    assert!(ends.values().all(|count| *count == 1), "each is completed once");
    assert_eq!(world.client.named("active").len(), 500, "and taken once");

    let by = |id: &String| world.redis.ask::<String>(&["HGET", &format!("bull:scan-jobs:{id}"), "pb"]);
    let theirs = ids.iter().filter(|id| by(id) == "official").count();
    let ours = (0..500).filter(|n| world.site.hits(&format!("/ok/{n}")) > 0).count();
    assert!(theirs > 0 && ours > 0, "{theirs} by theirs, {ours} by ours");
    assert_eq!(theirs + ours, 500);
}

pub(super) fn a_wrong_token_is_refused(world: &World) {
    let _worker = world.work(Working::slots(1));
    let ours = world.client.add(&world.scan("/held"), json!({}));
    world.wait_for_visit("/held");
    let tried = world.client.try_ask("finish", json!({ "id": ours, "token": "wrong:1", "value": 1 }));
    assert!(tried.as_ref().is_err_and(|error| error.contains("mismatch")), "{tried:?}");
    assert_eq!(world.client.state(&ours), "active");

    let theirs = world.client.add(&world.scan("/ok"), json!({}));
    let opts = json!({ "lockDuration": 30_000 });
    assert_eq!(world.client.ask("take", json!({ "token": "theirs:1", "opts": opts }))["id"], json!(theirs));
    assert_eq!(world.ours.intrude(&theirs, "wrong:1"), Err(-6));
    assert_eq!(world.client.state(&theirs), "active");
    world.client.ask("finish", json!({ "id": theirs, "token": "theirs:1", "value": "done" }));
    world.release();
    world.client.wait_of(&ours, "completed");
    assert_eq!(world.client.get(&theirs)["returnvalue"], "done");
}
