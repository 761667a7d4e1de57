//! We add, official clients observe and work.

use serde_json::{Value, json};

use crate::official::{Kind, millis, moment};
use crate::world::{World, payload};

fn data() -> Value {
    payload("https://page.invalid/")
}

pub(super) fn a_job_reads_as_it_was_added(world: &World) {
    let mut data = data();
    data["note"] = json!("Grüße, 世界, 🦀");
    data["nested"] = json!({ "list": [null, {}], "nothing": null });
    let opts = json!({
        "attempts": 3, "backoff": { "type": "exponential", "delay": 100 }, "priority": 7, "delay": 60_000,
        "removeOnComplete": { "count": 5 }, "removeOnFail": true, "keepLogs": 3, "deduplication": { "id": "d" },
    });
    let id = world.ours.add(&data, opts.clone());
    let job = world.client.get(&id);
    assert_eq!((&job["name"], &job["data"]), (&json!("scan"), &data));
    for (name, value) in opts.as_object().expect("options") {
        assert_eq!(&job["opts"][name], value, "{name} of {job}");
    }
    assert_eq!((&job["priority"], &job["delay"]), (&json!(7), &json!(60_000)));
    for counter in ["attemptsMade", "attemptsStarted", "stalledCounter"] {
        assert_eq!(job[counter], 0, "{counter}");
    }
    assert!((millis(&job["timestamp"]) - world.redis.now()).abs() < 60_000, "milliseconds of the epoch");
}

pub(super) fn a_new_job_is_in_its_state(world: &World) {
    for (opts, state) in [
        (json!({}), "waiting"),
        (json!({ "lifo": true }), "waiting"),
        (json!({ "delay": 60_000 }), "delayed"),
        (json!({ "delay": 60_000, "priority": 3 }), "delayed"),
        (json!({ "priority": 3 }), "prioritized"),
    ] {
        let id = world.ours.add(&data(), opts.clone());
        assert_eq!(world.client.state(&id), state, "{opts}");
    }
}

pub(super) fn a_new_job_is_told_once(world: &World) {
    let plain = world.ours.add(&data(), json!({}));
    let delayed = world.ours.add(&data(), json!({ "delay": 60_000 }));
    let prioritized = world.ours.add(&data(), json!({ "priority": 1 }));
    world.client.wait_of(&prioritized, "waiting");
    assert_eq!(world.client.story(&plain), ["added", "waiting"]);
    assert_eq!(world.client.story(&prioritized), ["added", "waiting"]);
    assert_eq!(world.client.story(&delayed), ["added", "delayed"]);
    assert_eq!(world.client.wait_of(&plain, "added")["name"], "scan");
    let due = world.client.wait_of(&delayed, "delayed")["delay"].to_string();
    let expected = millis(&world.client.get(&delayed)["timestamp"]) + 60_000;
    assert_eq!(due.trim_matches('"'), expected.to_string());
}

pub(super) fn ids_go_on_from_one_counter(world: &World) {
    let number = |id: String| id.parse::<u64>().unwrap_or_else(|_| panic!("{id} is no number"));
    let ids = [
        number(world.client.add(&data(), json!({}))),
        number(world.ours.add(&data(), json!({}))),
        number(world.client.add(&data(), json!({}))),
        number(world.ours.add(&data(), json!({}))),
    ];
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
}

pub(super) fn a_worker_completes_all_in_order_and_obeys_attempts(world: &World) {
    let mut ids: Vec<_> = (0..5).map(|_| world.ours.add(&data(), json!({}))).collect();
    let mut failing = data();
    failing["plan"] = json!({ "fail": 2 });
    ids.push(
        world.ours.add(&failing, json!({ "attempts": 3, "backoff": { "type": "fixed", "delay": 300 } })),
    );
    failing["plan"] = json!({ "fail": true });
    let failed = world.ours.add(&failing, json!({ "attempts": 2 }));
    world.client.work("w", json!({ "value": { "done": true } }), json!({}));
    world.client.wait_named("completed", 6);
    world.client.wait_of(&failed, "failed");

    let first_attempts: Vec<_> =
        world.client.processed().into_iter().filter(|seen| seen["attemptsMade"] == 0).collect();
    let order: Vec<_> = first_attempts.iter().map(|seen| seen["id"].as_str().expect("an id")).collect();
    assert_eq!(order[..6], ids.iter().map(String::as_str).collect::<Vec<_>>());
    let job = world.client.get(&ids[5]);
    assert_eq!((&job["attemptsMade"], &job["returnvalue"]), (&json!(3), &json!({ "done": true })));
    let starts: Vec<_> =
        world.client.of(&ids[5]).iter().filter(|event| event["event"] == "active").map(moment).collect();
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 300), "{starts:?}");
    assert_eq!(world.client.get(&failed)["attemptsMade"], 2);
}

pub(super) fn an_idle_worker_wakes_for_a_job_of_ours(world: &World) {
    world.client.work("w", json!({}), json!({}));
    let mut took = Vec::new();
    while took.len() < 3 && !took.iter().any(|millis| *millis < 1000) {
        world.wait_for_a_fresh_wait();
        let opts = if took.is_empty() { json!({}) } else { json!({ "priority": 1 }) };
        let id = world.ours.add(&data(), opts);
        let (added, active) = (world.client.wait_of(&id, "added"), world.client.wait_of(&id, "active"));
        took.push(moment(&active) - moment(&added));
        world.client.wait_of(&id, "completed");
    }
    assert!(took.iter().any(|millis| *millis < 1000), "{took:?} ms");
}

pub(super) fn a_delayed_job_of_ours_starts_on_time(world: &World) {
    world.client.work("w", json!({}), json!({}));
    world.wait_until_idle();
    let id = world.ours.add(&data(), json!({ "delay": 1000 }));
    let active = moment(&world.client.wait_of(&id, "active"));
    let late = active - millis(&world.client.get(&id)["timestamp"]) - 1000;
    // Whoever was not woken comes four seconds late, when the worker looks by itself. The client for Python waits for
    // whole seconds.
    assert!((0..2500).contains(&late), "{late} ms late");
    world.client.wait_of(&id, "completed");
}

pub(super) fn an_id_that_is_there_is_not_added_again(world: &World) {
    let first = data();
    let add = |data: &Value| world.ours.add(data, json!({ "jobId": "scan-own" }));
    assert_eq!(add(&first), "scan-own");
    assert_eq!(add(&data()), "scan-own");
    world.client.wait_of("scan-own", "duplicated");
    assert_eq!(world.client.get("scan-own")["data"], first);
    assert_eq!(world.client.counts()["waiting"], 1);

    let theirs = world.client.add(&first, json!({ "jobId": "scan-theirs" }));
    assert_eq!(world.ours.add(&data(), json!({ "jobId": "scan-theirs" })), theirs);
    assert_eq!(world.client.get("scan-theirs")["data"], first);
    assert_eq!(world.client.counts()["waiting"], 2);
}

pub(super) fn deduplication_holds_between_producers(world: &World) {
    let opts = |id: &str| json!({ "deduplication": { "id": id } });
    let theirs = world.client.add(&data(), opts("a"));
    assert_eq!(world.ours.add(&data(), opts("a")), theirs);
    let ours = world.ours.add(&data(), opts("b"));
    assert_eq!(world.client.add(&data(), opts("b")), ours);
    assert_eq!(world.client.queue("getDeduplicationJobId", json!(["b"])), json!(ours));
    let seen = world.client.wait_named("deduplicated", 2);
    assert_eq!(
        seen.iter().map(|event| event["jobId"].clone()).collect::<Vec<_>>(),
        [json!(theirs), json!(ours)]
    );
    assert_eq!(world.client.counts()["waiting"], 2);

    world.client.work("w", json!({}), json!({}));
    world.client.wait_named("completed", 2);
    assert_eq!(world.client.queue("getDeduplicationJobId", json!(["b"])), Value::Null);
}

pub(super) fn nothing_is_lost_while_paused(world: &World) {
    world.client.work("w", json!({}), json!({}));
    world.wait_until_idle();
    let before = world.ours.add(&data(), json!({ "delay": 3_600_000 }));
    world.client.queue("pause", json!([]));
    let mut ids = vec![world.client.add(&data(), json!({}))];
    ids.extend([(); 2].map(|()| world.ours.add(&data(), json!({}))));
    ids.push(world.client.add(&data(), json!({})));
    // 5.x counts them apart.
    let counts = world.client.counts();
    let paused = counts["paused"].as_i64().unwrap_or(0);
    assert_eq!(paused + millis(&counts["waiting"]), 4, "{counts}");
    let markers: i64 = world.redis.ask(&["EXISTS", "bull:scan-jobs:marker"]);
    assert_eq!((markers, world.client.processed().len()), (0, 0), "nobody is called");
    world.client.queue("resume", json!([]));
    world.client.wait_named("completed", 4);
    let order: Vec<_> =
        world.client.processed().iter().map(|seen| seen["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(order, ids);
    assert_eq!(world.client.state(&before), "delayed");
}

pub(super) fn what_is_to_be_kept_is_kept(world: &World) {
    let mut speaking = data();
    speaking["plan"] = json!({ "lines": ["one", "two", "three"] });
    let mut failing = data();
    failing["plan"] = json!({ "fail": true });
    let logged = world.ours.add(&speaking, json!({ "keepLogs": 2 }));
    let failed = world.ours.add(&failing, json!({ "removeOnFail": true }));
    let gone = world.ours.add(&data(), json!({ "removeOnComplete": true }));
    world.client.work("w", json!({}), json!({}));
    world.client.wait_of(&gone, "completed");
    assert_eq!((world.client.get(&failed), world.client.get(&gone)), (Value::Null, Value::Null));
    // The client for Python does not read the option back in its worker's log call, so what is asked of it is the entry.
    let logs = world.client.ask("logs", json!({ "id": logged }));
    assert_eq!(logs, json!(["two", "three"]));

    let counted = [(); 3].map(|()| world.ours.add(&data(), json!({ "removeOnComplete": 1 })));
    world.client.wait_of(&counted[2], "completed");
    assert_eq!(counted.map(|id| world.client.get(&id).is_null()), [true, true, false]);
}

pub(super) fn counts_per_priority_have_ours(world: &World) {
    for priority in [0, 1, 10, 1, 10, 10] {
        world.ours.add(&data(), json!({ "priority": priority }));
    }
    assert_eq!(
        world.client.queue("getCountsPerPriority", json!([[0, 1, 10]])),
        json!({ "0": 1, "1": 2, "10": 3 })
    );
}

pub(super) fn a_queue_can_be_wiped_and_used_again(world: &World) {
    for opts in
        [json!({}), json!({ "delay": 60_000 }), json!({ "priority": 4 }), json!({ "jobId": "scan-own" })]
    {
        world.ours.add(&data(), opts);
    }
    let finished = world.ours.add(&data(), json!({ "lifo": true }));
    assert_eq!(world.client.ask("take", json!({ "token": "t:1" }))["id"], json!(finished));
    world.client.ask("finish", json!({ "id": finished, "token": "t:1", "value": 1 }));
    world.client.ask("obliterate", json!({}));
    let mut left: Vec<String> = world.redis.ask(&["KEYS", "*"]);
    left.retain(|key| !["bull:scan-jobs:meta", "bull:scan-jobs:events"].contains(&key.as_str()));
    assert_eq!(left, Vec::<String>::new());
    world.client.queue("resume", json!([]));

    let second = world.another(if world.client.kind == Kind::Node5 { Kind::Node5 } else { Kind::Node6 });
    second.work("w", json!({}), json!({}));
    let id = world.ours.add(&data(), json!({}));
    second.wait("it to be completed", || (second.state(&id) == "completed").then_some(()));
}
