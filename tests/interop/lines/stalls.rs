//! Workers that die, and workers that only take long.

use serde_json::{Value, json};

use crate::official::moment;
use crate::world::{Working, World};

pub(super) fn a_long_job_is_not_stolen(world: &World) {
    let _worker = world.work(Working::hasty(1000, 60_000));
    let id = world.client.add(&world.scan("/held"), json!({}));
    let started = moment(&world.client.wait_of(&id, "active"));
    // Four times as long as its lock holds unless it is renewed, while others look as often as they can.
    let mut checks = 0;
    world.client.wait("four seconds of checks", || {
        let _: i64 = world.redis.ask(&["DEL", "bull:scan-jobs:stalled-check"]);
        assert_eq!(world.client.ask("checkStalled", json!({ "interval": 50 })), json!([]));
        checks += 1;
        (world.redis.now() - started >= 4000).then_some(())
    });
    assert!(checks > 2, "{checks}");
    world.release();
    world.client.wait_of(&id, "completed");
    assert_eq!(world.client.named("stalled"), Vec::<Value>::new());
    assert_eq!(world.client.get(&id)["attemptsStarted"], 1);
}

pub(super) fn an_abandoned_job_is_recovered(world: &World) {
    let dying = world.another(world.client.kind);
    dying.work("dying", json!({ "hold": true }), json!({ "lockDuration": 800, "stalledInterval": 60_000 }));
    let id = world.client.add(&world.scan("/ok"), json!({}));
    world.client.wait("it to be at work", || (!dying.processed().is_empty()).then_some(()));
    dying.kill();
    // The check of the dead one says for a minute that nobody else need look.
    let _: i64 = world.redis.ask(&["DEL", "bull:scan-jobs:stalled-check"]);
    let _worker = world.work(Working::hasty(2000, 1000));
    world.client.wait_of(&id, "completed");
    let job = world.client.get(&id);
    let counters = ["stalledCounter", "attemptsStarted", "attemptsMade"].map(|name| job[name].clone());
    assert_eq!(counters, [json!(1), json!(2), json!(1)], "{job}");
    assert_eq!(world.client.named("stalled").len(), 1);
    assert!(world.client.story(&id).contains(&"waiting active".to_owned()));
}

pub(super) fn a_deferred_failure_is_carried_out_unrun(world: &World) {
    const TEXT: &str = "job stalled more than allowable limit";
    let id = world.client.add(&world.scan("/ok"), json!({ "attempts": 5 }));
    let opts = json!({ "lockDuration": 100 });
    assert_eq!(world.client.ask("take", json!({ "token": "abandoned:1", "opts": opts }))["id"], json!(id));
    // Allowed not even once, so that the check which finds it defers its failure.
    world.client.wait("the stalled check to find it", || {
        let found = world.client.ask("checkStalled", json!({ "interval": 50, "max": 0 }));
        (found == json!([id])).then_some(())
    });
    let _worker = world.work(Working::slots(1));
    world.client.wait_of(&id, "failed");
    assert_eq!(world.client.state(&id), "failed");
    let job = world.client.get(&id);
    assert_eq!((&job["failedReason"], &job["attemptsMade"]), (&json!(TEXT), &json!(1)), "{job}");
    assert_eq!(world.site.total(), 0, "it was not run");
}

pub(super) fn a_killed_worker_s_job_is_recovered(world: &World) {
    // The official ones have to wait until a lock has run out and two checks have passed; ours know their dead.
    let working = if world.is_control() { Working::hasty(1500, 500) } else { Working::slots(1) };
    let worker = world.work(working);
    let id = world.client.add(&world.scan("/held"), json!({}));
    world.wait_for_visit("/held");
    worker.kill();
    let _worker = world.work(working);
    world.release();
    world.client.wait_of(&id, "completed");
    assert_eq!(world.client.named("completed").len(), 1);
    assert_eq!(world.client.get(&id)["attemptsMade"], 1);
}

pub(super) fn a_worker_that_is_asked_to_end_finishes_its_job(world: &World) {
    let worker = world.work(Working::slots(1));
    let first = world.client.add(&world.scan("/held"), json!({}));
    world.wait_for_visit("/held");
    let second = world.client.add(&world.scan("/ok"), json!({}));
    worker.terminate(world);
    world.release();
    assert_eq!(worker.ended().code(), Some(0));
    world.client.wait_of(&first, "completed");
    assert_eq!(world.client.state(&second), "waiting");
    assert_eq!(world.client.counts()["active"], 0);
    assert_eq!(world.site.hits("/ok"), 0);
}

pub(super) fn nobody_s_check_touches_a_healthy_job(world: &World) {
    // Ours checks every second, theirs keeps a job four times as long as its lock holds unrenewed.
    world.client.work(
        "healthy",
        json!({ "hold": true }),
        json!({ "lockDuration": 1000, "stalledInterval": 60_000 }),
    );
    let theirs = world.client.add(&world.scan("/ok"), json!({}));
    let started = moment(&world.client.wait_of(&theirs, "active"));
    let _worker = world.work(Working::hasty(1000, 1000));
    let ours = world.client.add(&world.scan("/held"), json!({}));
    world.wait_for_visit("/held");
    world.client.wait("four seconds", || {
        assert_eq!(world.client.ask("checkStalled", json!({ "interval": 50 })), json!([]));
        (world.redis.now() - started >= 4000).then_some(())
    });
    world.release();
    world.client.ask("release", json!({}));
    world.client.wait_named("completed", 2);
    assert_eq!(world.client.named("stalled"), Vec::<Value>::new());
    for id in [&theirs, &ours] {
        assert_eq!(world.client.get(id)["attemptsStarted"], 1);
    }
}
