//! What the list of lines does not have, and official clients see all the same.

use std::collections::BTreeSet;

use safeurl::queue::bullmq::producer::Offered;
use serde_json::{Value, json};

use crate::official::moment;
use crate::world::{Working, World, payload};

pub(super) fn a_payload_without_a_usable_address_fails_at_once(world: &World) {
    let _worker = world.work(Working::slots(1));
    let broken = [
        json!({ "jobId": "a", "url": "no address", "userId": "u1" }),
        json!({ "jobId": "b", "userId": "u1" }),
        json!({ "jobId": "c", "url": 7, "userId": "u1" }),
        json!("text"),
        payload("ftp://page.invalid/"),
    ];
    let opts = json!({ "attempts": 5, "backoff": 60_000 });
    for data in &broken {
        let id = world.client.add(data, opts.clone());
        world.client.wait_of(&id, "failed");
        let job = world.client.get(&id);
        assert_eq!((&job["attemptsMade"], &job["data"]), (&json!(1), data), "{job}");
        assert!(
            job["failedReason"].as_str().is_some_and(|reason| reason.len() > 10),
            "a reason to read: {job}"
        );
    }
    assert_eq!(world.client.named("delayed"), Vec::<Value>::new());
    // Failed unrun before the last attempt, as an unrecoverable error of theirs.
    assert_eq!(world.client.named("retries-exhausted"), Vec::<Value>::new());
    assert_eq!(world.site.total(), 0);
}

pub(super) fn a_second_delivery_waits_for_the_first(world: &World) {
    let _worker = world.work(Working::slots(2));
    let data = world.scan("/held");
    let first = world.client.add(&data, json!({}));
    world.wait_for_visit("/held");
    let second = world.client.add(&data, json!({}));
    world.client.wait_of(&second, "delayed");
    assert_eq!(world.client.get(&second)["attemptsMade"], 0);
    world.release();
    world.client.wait_of(&first, "completed");
    world.client.wait_of(&second, "completed");
    let (first, second) = (world.client.get(&first), world.client.get(&second));
    assert_eq!(first["returnvalue"], second["returnvalue"]);
    assert_eq!(second["attemptsMade"], 1);
    assert_eq!(world.site.hits("/held"), 1);
}

pub(super) fn a_worker_that_is_told_twice_gives_its_job_back(world: &World) {
    let worker = world.work(Working::slots(1));
    let id = world.client.add(&world.scan("/held"), json!({}));
    world.wait_for_visit("/held");
    let behind = world.client.add(&world.scan("/ok"), json!({}));
    worker.terminate(world);
    worker.terminate(world);
    assert_ne!(worker.ended().code(), Some(0));
    assert_eq!(world.client.state(&id), "waiting");
    let job = world.client.get(&id);
    assert_eq!((&job["attemptsMade"], &job["stalledCounter"]), (&json!(0), &json!(0)), "{job}");
    assert_eq!(world.client.ask("ids", json!({ "types": ["active"] })), json!([]));
    // At the front, and whoever comes next takes it.
    world.client.work("next", json!({ "value": 1 }), json!({}));
    world.client.wait_named("completed", 2);
    let order: Vec<_> = world.client.processed().iter().map(|seen| seen["id"].clone()).collect();
    assert_eq!(order, [json!(id), json!(behind)]);
}

pub(super) fn submit_adds_what_the_clients_read(world: &World) {
    let url = world.site.url("/ok");
    let out = world.command(&["submit", &url]).output().expect("the program starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let ids = world.client.ask("ids", json!({ "types": ["waiting"] }));
    let id = ids[0].as_str().unwrap_or_else(|| panic!("one job: {ids}")).to_owned();
    let job = world.client.get(&id);
    assert_eq!((&job["name"], &job["data"]["url"]), (&json!("scan"), &json!(url)), "{job}");
    assert!(job["data"]["jobId"].is_string() && job["data"]["userId"].is_string(), "{job}");
    let _worker = world.work(Working::slots(1));
    world.client.wait_of(&id, "completed");
    assert_eq!(world.client.get(&id)["returnvalue"]["job"]["id"], job["data"]["jobId"]);
}

pub(super) fn an_operator_s_retry_runs_the_same_entry_again(world: &World) {
    let _worker = world.work(Working::slots(1));
    let data = world.scan("/flaky/1");
    let id = world.client.add(&data, json!({}));
    world.client.wait_of(&id, "failed");
    let job = data["jobId"].as_str().expect("an id");
    let out = world.command(&["jobs", "retry", job]).output().expect("the program starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    world.client.wait_of(&id, "completed");
    let read = world.client.get(&id);
    assert_eq!(
        (&read["attemptsMade"], &read["returnvalue"]["job"]["id"]),
        (&json!(2), &data["jobId"]),
        "{read}"
    );
    assert_eq!(world.client.named("added").len(), 1);
}

pub(super) fn the_clients_count_what_stats_counts(world: &World) {
    world.client.work("w", json!({}), json!({}));
    let mut failing = payload("https://page.invalid/");
    failing["plan"] = json!({ "fail": true });
    world.client.add(&failing, json!({}));
    world.client.add(&payload("https://page.invalid/"), json!({}));
    world.client.wait_named("failed", 1);
    world.client.wait_named("completed", 1);
    world.client.ask("stopWorker", json!({ "label": "w" }));
    for (times, opts) in [(4, json!({})), (3, json!({ "delay": 60_000 })), (2, json!({ "priority": 2 }))] {
        for _ in 0..times {
            world.client.add(&payload("https://page.invalid/"), opts.clone());
        }
    }
    world.client.ask("take", json!({ "token": "t:1" }));
    world.client.queue("pause", json!([]));

    let made = world.command(&["db", "migrate"]).output().expect("the program starts");
    assert!(made.status.success(), "{made:?}");
    let out = world.command(&["stats", "--json"]).output().expect("the program starts");
    let stats: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {out:?}"));
    let mut theirs = world.client.counts();
    // 5.x counts those of a paused queue apart.
    let paused =
        theirs.as_object_mut().and_then(|counts| counts.remove("paused")).and_then(|count| count.as_i64());
    theirs["waiting"] = json!(theirs["waiting"].as_i64().unwrap_or(0) + paused.unwrap_or(0));
    assert_eq!(theirs["waiting"], 3);
    for (name, count) in theirs.as_object().expect("counts") {
        assert_eq!(&stats["queue"]["bullmq"][name], count, "{name}: {stats}");
    }
}

pub(super) fn an_offer_makes_sure_that_a_job_runs(world: &World) {
    let data = payload("https://page.invalid/");
    let offer = || world.ours.offer(&data, "scan-own");
    assert_eq!((offer(), offer()), (Offered::Added, Offered::There));
    assert_eq!(world.client.counts()["waiting"], 1);
    world.client.work("w", json!({}), json!({}));
    world.client.wait_named("completed", 1);
    assert_eq!(offer(), Offered::Again);
    world.client.wait_named("completed", 2);
    let job = world.client.get("scan-own");
    assert_eq!((&job["attemptsMade"], &job["data"]), (&json!(2), &data), "{job}");
    assert_eq!(world.client.named("added").len(), 1);
}

pub(super) fn a_marker_that_is_put_back_wakes_another_worker(world: &World) {
    world.client.work("w", json!({}), json!({}));
    world.client.queue("pause", json!([]));
    let id = world.client.add(&payload("https://page.invalid/"), json!({}));
    world.wait_for_a_fresh_wait();
    // There is work now that nobody was called for, as after a worker that died with the marker in its hand.
    let _: i64 = world.redis.ask(&["HDEL", "bull:scan-jobs:meta", "paused"]);
    let called = world.redis.now();
    world.ours.wake();
    let took = moment(&world.client.wait_of(&id, "active")) - called;
    assert!(took < 3000, "by itself it looks after five seconds: {took} ms");
    world.client.wait_of(&id, "completed");
}

pub(super) fn what_waits_is_found_wherever_it_waits(world: &World) {
    let mut jobs = BTreeSet::new();
    for opts in [json!({}), json!({ "delay": 60_000 }), json!({ "priority": 2 }), json!({ "lifo": true })] {
        let data = payload("https://page.invalid/");
        jobs.insert(data["jobId"].as_str().expect("an id").to_owned());
        world.client.add(&data, opts);
    }
    world.client.ask("take", json!({ "token": "t:1" }));
    assert_eq!(world.client.counts()["active"], 1);
    // What names no job is not among them.
    world.client.add(&json!({ "url": "https://page.invalid/" }), json!({}));
    assert_eq!(world.ours.waiting(10), Some(jobs));
    assert_eq!(world.ours.waiting(4), None, "more than that");
}
