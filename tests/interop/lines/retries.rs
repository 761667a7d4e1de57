//! Jobs that fail: with their reason, as often and after such waits as their options say.

use serde_json::{Value, json};

use crate::official::moment;
use crate::world::{Working, World};

pub(super) fn a_failing_job_is_failed_with_its_reason(world: &World) {
    let id = world.client.add(&world.scan("/closes"), json!({}));
    let _worker = world.work(Working::slots(1));
    world.client.wait_named("retries-exhausted", 1);
    assert_eq!(world.client.state(&id), "failed");
    let job = world.client.get(&id);
    let reason = job["failedReason"].as_str().expect("a reason");
    assert!(!reason.is_empty());
    assert_eq!(job["attemptsMade"], 1);
    assert_eq!(job["stacktrace"].as_array().map(Vec::len), Some(1), "{job}");
    let failed = world.client.named("failed");
    assert_eq!(failed.len(), 1);
    assert_eq!((&failed[0]["failedReason"], &failed[0]["prev"]), (&json!(reason), &json!("active")));
    let exhausted = world.client.named("retries-exhausted");
    assert_eq!((exhausted.len(), &exhausted[0]["attemptsMade"]), (1, &json!("1")));
}

/// The milliseconds between the starts of a job's attempts.
fn gaps(world: &World, id: &str) -> Vec<i64> {
    let starts: Vec<_> =
        world.client.of(id).iter().filter(|event| event["event"] == "active").map(moment).collect();
    starts.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn delays(world: &World, id: &str) -> Vec<Value> {
    world.client.of(id).into_iter().filter(|event| event["event"] == "delayed").collect()
}

/// The moment that a `delayed` event says the job is due at; clients differ in how they show it.
fn due(event: &Value) -> i64 {
    event["delay"].as_i64().or_else(|| event["delay"].as_str()?.parse().ok()).expect("milliseconds")
}

pub(super) fn a_fixed_backoff_is_kept_between_attempts(world: &World) {
    let opts = json!({ "attempts": 3, "backoff": { "type": "fixed", "delay": 400 } });
    let id = world.client.add(&world.scan("/closes"), opts);
    let _worker = world.work(Working::slots(1));
    world.client.wait_of(&id, "failed");
    let gaps = gaps(world, &id);
    assert!(gaps.len() == 2 && gaps.iter().all(|gap| *gap >= 400), "{gaps:?}");
    assert_eq!(delays(world, &id).len(), 2);
    assert_eq!(world.client.named("failed").len(), 1);
    let job = world.client.get(&id);
    assert_eq!((&job["attemptsMade"], job["stacktrace"].as_array().map(Vec::len)), (&json!(3), Some(3)));
}

pub(super) fn an_exponential_backoff_doubles(world: &World) {
    let opts = json!({ "attempts": 3, "backoff": { "type": "exponential", "delay": 300 } });
    let id = world.client.add(&world.scan("/closes"), opts);
    let _worker = world.work(Working::slots(1));
    world.client.wait_of(&id, "failed");
    let gaps = gaps(world, &id);
    assert!(gaps.len() == 2 && gaps[0] >= 300 && gaps[1] >= 600, "{gaps:?}");

    // The same with a wait so long that it can be looked at.
    let opts = json!({ "attempts": 2, "backoff": { "type": "exponential", "delay": 300_000 } });
    let id = world.client.add(&world.scan("/closes"), opts);
    let event = world.client.wait_of(&id, "delayed");
    assert_eq!(world.client.state(&id), "delayed");
    let job = world.client.get(&id);
    assert_eq!(job["delay"], 300_000);
    assert!(job["failedReason"].as_str().is_some_and(|reason| !reason.is_empty()), "{job}");
    assert_eq!((&job["attemptsMade"], job["stacktrace"].as_array().map(Vec::len)), (&json!(1), Some(1)));
    let wait = due(&event) - moment(&event);
    assert!((295_000..=300_000).contains(&wait), "an absolute time: {event}");
}

pub(super) fn a_backoff_may_be_a_number_and_may_be_missing(world: &World) {
    let _worker = world.work(Working::slots(1));
    let number = world.client.add(&world.scan("/closes"), json!({ "attempts": 2, "backoff": 300 }));
    world.client.wait_of(&number, "failed");
    assert_eq!(delays(world, &number).len(), 1);
    assert!(gaps(world, &number)[0] >= 300);

    let none = world.client.add(&world.scan("/closes"), json!({ "attempts": 2 }));
    world.client.wait_of(&none, "failed");
    assert_eq!(delays(world, &none), Vec::<Value>::new());
    assert!(world.client.story(&none).contains(&"waiting active".to_owned()));
}

pub(super) fn a_second_attempt_may_succeed(world: &World) {
    let id = world.client.add(&world.scan("/flaky/1"), json!({ "attempts": 2 }));
    let _worker = world.work(Working::slots(1));
    world.client.wait_of(&id, "completed");
    assert_eq!(world.client.get(&id)["attemptsMade"], 2);
    assert_eq!(world.client.named("failed"), Vec::<Value>::new());
}

pub(super) fn a_priority_survives_a_retry(world: &World) {
    let first = world.client.add(&world.scan("/flaky/1"), json!({ "attempts": 2, "priority": 5 }));
    let second = world.client.add(&world.scan("/ok"), json!({ "priority": 10 }));
    let _worker = world.work(Working::slots(1));
    world.client.wait_named("completed", 2);
    let taken: Vec<_> = world.client.named("active").iter().map(|event| event["jobId"].clone()).collect();
    assert_eq!(taken, [json!(first), json!(first), json!(second)]);
    assert_eq!(world.client.get(&first)["priority"], 5);
}

pub(super) fn options_that_only_node_has_are_obeyed(world: &World) {
    let add = |path: &str, opts: Value| world.client.add(&world.scan(path), opts);
    let drawn = json!({ "type": "fixed", "delay": 1000, "jitter": 0.5 });
    let jittered =
        add("/flaky/1/a", json!({ "attempts": 2, "backoff": drawn, "priority": 1, "keepLogs": 1 }));
    let _worker = world.work(Working::slots(1));
    world.client.wait_of(&jittered, "completed");
    let delay = &delays(world, &jittered)[0];
    // What the event says is due is reckoned before the event is written.
    assert!((400..=1000).contains(&(due(delay) - moment(delay))), "{delay}");
    assert_eq!(world.client.ask("logs", json!({ "id": jittered })).as_array().map(Vec::len), Some(1));

    let keep = json!({ "removeOnFail": { "age": 3600, "count": 1 } });
    let ids = [(); 3].map(|()| add("/closes", keep.clone()));
    world.client.wait_named("failed", 3);
    assert_eq!(ids.map(|id| !world.client.get(&id).is_null()), [false, false, true]);
}
