//! An official producer adds, our worker takes and completes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::official::{millis, moment};
use crate::world::{Working, World};

pub(super) fn a_job_that_was_added_is_completed(world: &World) {
    let id = world.client.add(&world.scan("/ok"), json!({}));
    assert_eq!(world.client.state(&id), "waiting");
    let _worker = world.work(Working::slots(1));
    world.client.wait_of(&id, "completed");
    assert_eq!(world.client.state(&id), "completed");
    let counts = world.client.counts();
    assert_eq!(
        (&counts["completed"], &counts["active"], &counts["waiting"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert_eq!(world.client.story(&id)[..3], ["added", "waiting", "active waiting"]);
}

pub(super) fn data_is_what_was_added(world: &World) {
    let mut data = world.scan("/ok?q=%20ü");
    data["note"] = json!("Grüße, 世界, 🦀, \"quoted\" \\ and \u{1}");
    data["long"] = json!("x".repeat(300_000));
    data["nested"] = json!({ "list": [null, { "nothing": null }, [], {}], "number": 1.5, "yes": true });
    let id = world.client.add(&data, json!({}));
    let _worker = world.work(Working::slots(1));
    world.client.wait_of(&id, "completed");
    assert_eq!(world.client.get(&id)["data"], data);
}

pub(super) fn the_return_value_is_the_summary_of_the_scan(world: &World) {
    let data = world.scan("/ok");
    let id = world.client.add(&data, json!({}));
    let _worker = world.work(Working::slots(1));
    world.client.wait_of(&id, "completed");
    let value = world.client.get(&id)["returnvalue"].clone();
    assert!(value.is_object(), "{value}");
    assert_eq!((&value["job"]["id"], &value["page"]["status"]), (&data["jobId"], &json!(200)), "{value}");
    // What is stored is JSON itself, which readers parse without a guard.
    let stored: String = world.redis.ask(&["HGET", &format!("bull:scan-jobs:{id}"), "returnvalue"]);
    assert_eq!(serde_json::from_str::<Value>(&stored).expect("JSON"), value);
}

pub(super) fn one_completed_event_carries_the_return_value(world: &World) {
    let _worker = world.work(Working::slots(1));
    let ids = [(); 2].map(|()| world.client.add(&world.scan("/ok"), json!({})));
    world.client.wait_named("drained", 1);
    world.client.wait_named("completed", 2);
    for id in &ids {
        let events: Vec<_> =
            world.client.of(id).into_iter().filter(|event| event["event"] == "completed").collect();
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["prev"], "active");
        assert_eq!(events[0]["returnvalue"], world.client.get(id)["returnvalue"]);
    }
}

pub(super) fn attempts_are_counted_and_times_grow(world: &World) {
    let id = world.client.add(&world.scan("/ok"), json!({}));
    let _worker = world.work(Working::slots(1));
    world.client.wait_of(&id, "completed");
    let job = world.client.get(&id);
    assert_eq!((&job["attemptsMade"], &job["attemptsStarted"]), (&json!(1), &json!(1)));
    let times = ["timestamp", "processedOn", "finishedOn"].map(|name| millis(&job[name]));
    assert!(times.is_sorted(), "{times:?}");
    assert!((times[2] - world.redis.now()).abs() < 60_000, "milliseconds of the epoch: {times:?}");
}

pub(super) fn many_at_once_are_each_taken_and_completed_once(world: &World) {
    let all: Vec<_> = (0..12).map(|n| world.scan(&format!("/ok/{n}"))).collect();
    let ids: BTreeSet<_> = world.client.add_bulk(&all).into_iter().collect();
    assert_eq!(ids.len(), all.len());
    let _worker = world.work(Working::slots(3));
    world.client.wait_named("drained", 1);
    for event in ["completed", "active"] {
        let named = world.client.named(event);
        let distinct: BTreeSet<_> =
            named.iter().map(|event| event["jobId"].as_str().unwrap().to_owned()).collect();
        assert_eq!((named.len(), &distinct), (all.len(), &ids), "{event}");
    }
    for n in 0..12 {
        assert_eq!(world.site.hits(&format!("/ok/{n}")), 1);
    }
}

pub(super) fn drained_follows_the_last_job(world: &World) {
    let _worker = world.work(Working::slots(1));
    world.client.add_bulk(&[world.scan("/ok"), world.scan("/ok")]);
    world.client.wait_named("completed", 2);
    world.client.wait_named("drained", 1);
    let events = world.client.events();
    let last = |name: &str| events.iter().rposition(|event| event["event"] == name);
    assert!(last("drained") > last("completed"), "{events:?}");
    assert_eq!(events.iter().filter(|event| event["event"] == "drained").count(), 1, "{events:?}");
}

pub(super) fn an_idle_worker_wakes_when_a_job_is_added(world: &World) {
    let _worker = world.work(Working::slots(1));
    // It would look by itself five seconds after its wait began, which is a moment ago. What else it takes is the start of a
    // container on a machine that is busy with other tests; that may hold one answer up, but not each of them.
    let mut took = Vec::new();
    while took.len() < 3 && !took.iter().any(|millis| *millis < 4000) {
        world.wait_for_a_fresh_wait();
        let id = world.client.add(&world.scan("/ok"), json!({}));
        let (added, active) = (world.client.wait_of(&id, "added"), world.client.wait_of(&id, "active"));
        took.push(moment(&active) - moment(&added));
        world.client.wait_of(&id, "completed");
    }
    assert!(took.iter().any(|millis| *millis < 4000), "{took:?} ms");
}

pub(super) fn progress_and_log_tell_how_far_it_is(world: &World) {
    let id = world.client.add(&world.scan("/ok"), json!({}));
    let _worker = world.work(Working::slots(1));
    world.client.wait_of(&id, "completed");
    let progress = world.client.get(&id)["progress"].clone();
    assert!(progress["stage"].is_string(), "{progress}");
    let events: Vec<_> =
        world.client.of(&id).into_iter().filter(|event| event["event"] == "progress").collect();
    assert!(events.len() >= 2, "fetching and analysing at least: {events:?}");
    assert_eq!(events.last().map(|event| &event["data"]), Some(&progress));
    let logs = world.client.ask("logs", json!({ "id": id }));
    assert_eq!(logs.as_array().map(Vec::len), Some(events.len()), "a line for each: {logs}");
}

pub(super) fn an_active_job_is_locked(world: &World) {
    let _worker = world.work(Working::slots(1));
    let id = world.client.add(&world.scan("/held"), json!({}));
    world.wait_for_visit("/held");
    assert_eq!(world.client.state(&id), "active");
    assert_eq!(world.client.counts()["active"], 1);
    let removal = world.client.try_ask("job", json!({ "id": id, "method": "remove" }));
    assert!(removal.as_ref().is_err_and(|error| error.contains("locked")), "{removal:?}");
    world.release();
    world.client.wait_of(&id, "completed");
    assert_eq!(world.client.named("removed"), Vec::<Value>::new());
}
