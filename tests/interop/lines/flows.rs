//! Jobs that belong to others: parents and children, iterations of a scheduler.

use serde_json::{Value, json};

use crate::official::moment;
use crate::world::{QUEUE, Working, World};

/// A parent with one child, both scans; the ids.
fn flow(world: &World, child: &str, opts: Value) -> (String, String) {
    let flow = json!({
        "name": "scan", "queueName": QUEUE, "data": world.scan("/ok/parent"),
        "children": [{ "name": "scan", "queueName": QUEUE, "data": world.scan(child), "opts": opts }],
    });
    let tree = world.client.ask("addFlow", json!({ "flow": flow }));
    let id = |node: &Value| node["id"].as_str().expect("an id").to_owned();
    (id(&tree), id(&tree["children"][0]))
}

pub(super) fn a_parent_runs_after_its_child(world: &World) {
    let _worker = world.work(Working::slots(2));
    let (parent, child) = flow(world, "/held", json!({}));
    assert_eq!(world.client.state(&parent), "waiting-children");
    world.wait_for_visit("/held");
    world.release();
    world.client.wait_of(&parent, "completed");
    let (ended, started) =
        (world.client.wait_of(&child, "completed"), world.client.wait_of(&parent, "active"));
    assert!(moment(&started) >= moment(&ended));
    let values = world.client.job(&parent, "getChildrenValues", json!([]));
    assert_eq!(values, json!({ format!("bull:{QUEUE}:{child}"): world.client.get(&child)["returnvalue"] }));
    assert!(world.client.story(&parent).contains(&"waiting waiting-children".to_owned()));

    let (parent, child) = flow(world, "/closes", json!({ "failParentOnFailure": true }));
    world.client.wait_of(&parent, "failed");
    assert_eq!(world.client.state(&child), "failed");
    assert_eq!(world.client.get(&parent)["failedReason"], format!("child bull:{QUEUE}:{child} failed"));
    assert_eq!(world.site.hits("/ok/parent"), 1, "only the first parent ran");
}

pub(super) fn a_scheduler_goes_on(world: &World) {
    let _worker = world.work(Working::slots(1));
    let template = json!({ "name": "scan", "data": world.scan("/ok") });
    world.client.ask("schedule", json!({ "id": "often", "repeat": { "every": 500 }, "template": template }));
    world.client.wait_named("completed", 3);
    world.client.queue("removeJobScheduler", json!(["often"]));
    let mut times = Vec::new();
    for event in &world.client.named("completed")[..3] {
        let id = event["jobId"].as_str().expect("an id");
        let time = id.strip_prefix("repeat:often:").and_then(|time| time.parse::<i64>().ok());
        times.push(time.unwrap_or_else(|| panic!("{id} is no iteration")));
        assert!(moment(event) >= times[times.len() - 1], "{event}");
    }
    assert!(times.windows(2).all(|pair| pair[1] >= pair[0] + 500), "{times:?}");
}
