use super::*;

/// A parent in another queue that waits for the child `1`, which this worker has.
async fn child(world: &World, flags: &str, more: &str) -> Entry {
    world.set(&format!("HSET bull:reports:meta {LENGTH}")).await;
    world.set("HSET bull:reports:p name report delay 0 priority 0").await;
    world.set("ZADD bull:reports:waiting-children 5 p").await;
    world.set(&format!("SADD bull:reports:p:dependencies bull:scan-jobs:1{more}")).await;
    world.add("1", "{}").await;
    let parent = format!(r#"{{"id":"p","queueKey":"bull:reports"{flags}}}"#);
    world.set(&format!("HSET @1 parentKey bull:reports:p parent {parent}")).await;
    world.take("t").await
}

async fn of_parent(world: &World) -> Vec<String> {
    let lines = world.dump().await;
    lines.into_iter().filter(|line| line.starts_with("bull:reports:")).collect()
}

#[tokio::test]
async fn a_parent_goes_on_with_its_last_child() {
    let world = World::start().await;
    let entry = child(&world, "", "").await;
    world.worker.complete(&entry, "t", "{\"n\":1}").await.expect("an answer");
    let told = world.events_of("bull:reports:events").await;
    assert_eq!(told, ["waiting jobId p prev waiting-children"]);
    assert_eq!(
        of_parent(&world).await,
        [
            "bull:reports:marker = [0 -> 0]",
            "bull:reports:p = {delay 0, name report, priority 0}",
            "bull:reports:p:processed = {bull:scan-jobs:1 {\"n\":1}}",
            "bull:reports:wait = [p]",
        ]
    );
}

#[tokio::test]
async fn a_parent_waits_for_its_other_children() {
    let world = World::start().await;
    let entry = child(&world, "", " bull:scan-jobs:2").await;
    world.worker.complete(&entry, "t", "1").await.expect("an answer");
    assert_eq!(
        of_parent(&world).await,
        [
            "bull:reports:p = {delay 0, name report, priority 0}",
            "bull:reports:p:dependencies = {bull:scan-jobs:2}",
            "bull:reports:p:processed = {bull:scan-jobs:1 1}",
            "bull:reports:waiting-children = [p -> 5]",
        ]
    );
}

#[tokio::test]
async fn a_parent_that_goes_on_keeps_its_own_delay_its_priority_and_the_front() {
    let world = World::start().await;
    let entry = child(&world, "", "").await;
    world.set("HSET bull:reports:p delay 500").await;
    world.worker.complete(&entry, "t", "1").await.expect("an answer");
    let due = START + 500;
    assert_eq!(world.run::<i64>("ZSCORE bull:reports:delayed p").await, due * 4096);
    assert_eq!(world.events_of("bull:reports:events").await, [format!("delayed jobId p delay {due}")]);

    let world = World::start().await;
    let entry = child(&world, "", "").await;
    world.set("HSET bull:reports:p priority 3").await;
    world.worker.complete(&entry, "t", "1").await.expect("an answer");
    assert_eq!(world.run::<i64>("ZSCORE bull:reports:prioritized p").await, 3 * (1 << 32) + 1);

    let world = World::start().await;
    let entry = child(&world, "", "").await;
    world.set("LPUSH bull:reports:wait other").await;
    world.set("HSET bull:reports:meta paused 1").await;
    world.worker.complete(&entry, "t", "1").await.expect("an answer");
    assert_eq!(world.run::<Vec<String>>("LRANGE bull:reports:wait 0 -1").await, ["other", "p"]);
    assert!(!world.run::<bool>("EXISTS bull:reports:marker").await);
}

#[tokio::test]
async fn a_failed_child_does_to_its_parent_what_it_was_told_to_do() {
    const DEFERRED: &str =
        "bull:reports:p = {defa child bull:scan-jobs:1 failed, delay 0, name report, priority 0}";
    const PLAIN: &str = "bull:reports:p = {delay 0, name report, priority 0}";
    const WAITS: &str = "bull:reports:waiting-children = [p -> 5]";
    const BOTH: &str = "bull:reports:p:dependencies = {bull:scan-jobs:1, bull:scan-jobs:2}";
    const OTHER: &str = "bull:reports:p:dependencies = {bull:scan-jobs:2}";
    const FAILED: &str = "bull:reports:p:failed = {bull:scan-jobs:1 boom}";
    const GOES: [&str; 2] = ["bull:reports:marker = [0 -> 0]", "bull:reports:wait = [p]"];
    for (flag, more, expected) in [
        ("", "", &[PLAIN, "bull:reports:p:dependencies = {bull:scan-jobs:1}", WAITS][..]),
        ("", " bull:scan-jobs:2", &[PLAIN, BOTH, WAITS]),
        (
            r#","fpof":true"#,
            " bull:scan-jobs:2",
            &[
                GOES[0],
                DEFERRED,
                OTHER,
                "bull:reports:p:unsuccessful = [bull:scan-jobs:1 -> 1795292090000]",
                GOES[1],
            ],
        ),
        (r#","cpof":true"#, " bull:scan-jobs:2", &[GOES[0], PLAIN, OTHER, FAILED, GOES[1]]),
        (r#","idof":true"#, " bull:scan-jobs:2", &[PLAIN, OTHER, FAILED, WAITS]),
        (r#","idof":true"#, "", &[GOES[0], PLAIN, FAILED, GOES[1]]),
        (r#","rdof":true"#, " bull:scan-jobs:2", &[PLAIN, OTHER, WAITS]),
        (r#","rdof":true"#, "", &[GOES[0], PLAIN, GOES[1]]),
    ] {
        let world = World::start().await;
        let entry = child(&world, flag, more).await;
        assert_eq!(world.worker.fail(&entry, "t", "boom").await.expect("an answer"), Moved::Done);
        assert_eq!(of_parent(&world).await, expected, "{flag}{more}");
    }
}

#[tokio::test]
async fn a_parent_that_waits_for_another_attempt_is_failed_at_once_by_its_child() {
    let world = World::start().await;
    let entry = child(&world, r#","fpof":true"#, "").await;
    world.set("ZREM bull:reports:waiting-children p").await;
    world.set("ZADD bull:reports:delayed 99999999999999 p").await;
    world.set("HSET bull:reports:p delay 9000").await;
    world.worker.fail(&entry, "t", "boom").await.expect("an answer");
    assert_eq!(world.run::<Vec<String>>("LRANGE bull:reports:wait 0 -1").await, ["p"]);
    assert_eq!(world.run::<String>("HGET bull:reports:p delay").await, "0");
    assert_eq!(world.events_of("bull:reports:events").await, ["waiting jobId p prev delayed"]);
}

#[tokio::test]
async fn a_parent_that_is_gone_or_does_not_wait_for_the_child_is_left_alone() {
    for gone in ["DEL bull:reports:p", "DEL bull:reports:p:dependencies", "DEL bull:reports:waiting-children"]
    {
        let world = World::start().await;
        let entry = child(&world, r#","fpof":true"#, "").await;
        world.set(gone).await;
        assert_eq!(world.worker.fail(&entry, "t", "boom").await.expect("an answer"), Moved::Done);
        assert!(!world.run::<bool>("EXISTS bull:reports:wait").await, "{gone}");
        assert_eq!(world.run::<bool>("EXISTS bull:reports:p").await, gone != "DEL bull:reports:p", "{gone}");
    }
}

#[tokio::test]
async fn a_parent_is_found_by_its_key_when_its_description_is_unreadable() {
    for parent in ["no-json", "[]", r#"{"id":7}"#, r#"{"id":"x","queueKey":"bull:reports"}"#] {
        let world = World::start().await;
        let entry = child(&world, "", "").await;
        world.set(&format!("HSET @1 parent {parent}")).await;
        world.worker.complete(&entry, "t", "1").await.expect("an answer");
        assert_eq!(world.run::<Vec<String>>("LRANGE bull:reports:wait 0 -1").await, ["p"], "{parent}");
    }
    let world = World::start().await;
    let entry = child(&world, "", "").await;
    world.set("HSET @1 parentKey nonsense").await;
    assert_eq!(world.worker.complete(&entry, "t", "1").await.expect("an answer"), Moved::Done);
}
