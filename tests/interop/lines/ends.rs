//! What is left of a job that has ended, and what can be done with it.

use serde_json::{Value, json};

use crate::official::millis;
use crate::world::{Working, World};

pub(super) fn a_custom_id_is_kept_and_not_run_twice(world: &World) {
    let _worker = world.work(Working::slots(1));
    let add = || world.client.add(&world.scan("/ok/own"), json!({ "jobId": "scan-own" }));
    assert_eq!(add(), "scan-own");
    world.client.wait_of("scan-own", "completed");
    assert_eq!(add(), "scan-own");
    world.client.wait_of("scan-own", "duplicated");
    // Whoever would have run it twice would have done so before it came to this one.
    let next = world.client.add(&world.scan("/ok"), json!({}));
    world.client.wait_of(&next, "completed");
    assert_eq!(world.client.named("active").len(), 2);
    assert_eq!(world.site.hits("/ok/own"), 1);
}

pub(super) fn a_deduplication_ends_with_its_job(world: &World) {
    let _worker = world.work(Working::slots(1));
    let holder = || world.client.queue("getDeduplicationJobId", json!(["same"]));
    let opts = json!({ "deduplication": { "id": "same" } });
    for (path, end) in [("/held", "completed"), ("/closes", "failed")] {
        let id = world.client.add(&world.scan(path), opts.clone());
        if end == "completed" {
            assert_eq!(world.client.add(&world.scan(path), opts.clone()), id);
            assert_eq!(holder(), json!(id));
            world.release();
        }
        world.client.wait_of(&id, end);
        assert_eq!(holder(), Value::Null, "{end}");
    }
    assert_eq!(world.client.named("deduplicated").len(), 1);
}

pub(super) fn finished_jobs_are_removed_as_their_options_say(world: &World) {
    let _worker = world.work(Working::slots(1));
    let run = |path: &str, opts: Value, end: &str| {
        let id = world.client.add(&world.scan(path), opts);
        world.client.wait_of(&id, end);
        id
    };
    let is_there = |id: &String| !world.client.get(id).is_null();

    let gone = run("/ok", json!({ "removeOnComplete": true }), "completed");
    assert!(!is_there(&gone));
    let gone = run("/closes", json!({ "removeOnFail": true }), "failed");
    assert!(!is_there(&gone));
    let left: Vec<String> = world.redis.ask(&["KEYS", &format!("bull:scan-jobs:{gone}*")]);
    assert_eq!(left, Vec::<String>::new(), "nothing of it is left");

    let newest = [(); 3].map(|()| run("/ok", json!({ "removeOnComplete": { "count": 2 } }), "completed"));
    assert_eq!(newest.each_ref().map(is_there), [false, true, true]);

    let finished = millis(&world.client.get(&newest[2])["finishedOn"]);
    world.client.wait("more than a second", || (world.redis.now() > finished + 1100).then_some(()));
    let last = run("/ok", json!({ "removeOnComplete": { "age": 1 } }), "completed");
    assert_eq!(newest.each_ref().map(is_there), [false; 3]);
    assert!(is_there(&last));
}

pub(super) fn a_removed_job_never_runs(world: &World) {
    let _worker = world.work(Working::slots(1));
    let first = world.client.add(&world.scan("/held"), json!({}));
    world.wait_for_visit("/held");
    let removed = world.client.add(&world.scan("/ok/removed"), json!({}));
    let last = world.client.add(&world.scan("/ok"), json!({}));
    world.client.job(&removed, "remove", json!([]));
    world.release();
    world.client.wait_of(&first, "completed");
    world.client.wait_of(&last, "completed");
    assert_eq!(world.client.get(&removed), Value::Null);
    assert_eq!(world.site.hits("/ok/removed"), 0);
}

pub(super) fn a_finished_job_can_be_retried_and_a_delayed_one_promoted(world: &World) {
    let _worker = world.work(Working::slots(1));
    let id = world.client.add(&world.scan("/flaky/1"), json!({}));
    world.client.wait_of(&id, "failed");
    world.client.job(&id, "retry", json!(["failed"]));
    world.client.wait_of(&id, "completed");
    let job = world.client.get(&id);
    assert_eq!((&job["attemptsMade"], &job["attemptsStarted"]), (&json!(2), &json!(2)));
    assert!(world.client.story(&id).contains(&"waiting failed".to_owned()));
    let value = job["returnvalue"].clone();

    // Again: what is known is told, and nobody is asked for the page a third time.
    world.client.job(&id, "retry", json!(["completed"]));
    world.client.wait_named("completed", 2);
    let job = world.client.get(&id);
    assert_eq!(job["attemptsMade"], 3);
    assert_eq!(job["returnvalue"], value);

    let delayed = world.client.add(&world.scan("/ok"), json!({ "delay": 3_600_000 }));
    world.client.job(&delayed, "promote", json!([]));
    world.client.wait_of(&delayed, "completed");
}

pub(super) fn finished_jobs_read_as_those_of_the_clients(world: &World) {
    let _worker = world.work(Working::slots(1));
    let completed = world.client.add(&world.scan("/ok"), json!({}));
    let failed = world.client.add(&world.scan("/closes"), json!({ "attempts": 2 }));
    world.client.wait_of(&completed, "completed");
    world.client.wait_of(&failed, "failed");

    let job = world.client.get(&completed);
    assert!(job["returnvalue"].is_object(), "{job}");
    assert!(job["failedReason"].is_null(), "{job}");
    assert_eq!(job["stacktrace"].as_array().map_or(0, Vec::len), 0);
    assert_eq!(
        (&job["attemptsMade"], &job["attemptsStarted"], &job["stalledCounter"]),
        (&json!(1), &json!(1), &json!(0))
    );

    let job = world.client.get(&failed);
    assert!(job["returnvalue"].is_null(), "{job}");
    assert!(job["failedReason"].as_str().is_some_and(|reason| !reason.is_empty()), "{job}");
    assert_eq!(job["stacktrace"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&job["attemptsMade"], &job["attemptsStarted"], &job["stalledCounter"]),
        (&json!(2), &json!(2), &json!(0))
    );
    assert_eq!(
        ["completed", "failed"],
        [world.client.state(&completed), world.client.state(&failed)].each_ref().map(String::as_str)
    );
    if world.client.kind.is_node() {
        assert!(job["processedBy"].as_str().is_some_and(|name| !name.is_empty()), "{job}");
    }
}
