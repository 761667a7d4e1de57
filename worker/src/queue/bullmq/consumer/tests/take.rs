use super::*;

#[tokio::test]
async fn a_take_makes_the_next_entry_active_locked_and_started() {
    let world = World::start().await;
    world.set("HSET @meta opts.maxLenEvents 10000 version bullmq:6.7.0").await;
    world.add("1", "{\"attempts\":0}").await;
    world.set("ZADD @marker 0 0").await;
    world.at(634);
    let entry = world.take("w1:1").await;
    assert_eq!((entry.id.as_str(), entry.name.as_str(), entry.data.as_str()), ("1", "scan", "{\"k\":1}"));
    assert_eq!((entry.atm, entry.ats, entry.timestamp), (0, 1, START));
    world
        .holds(&[
            "1 = {ats 1, data {\"k\":1}, delay 0, name scan, opts {\"attempts\":0}, pb w1, priority 0, \
             processedOn 1795292090634, timestamp 1795292090000}",
            "1:lock = w1:1 PX 30000",
            "active = [1]",
            "marker = [0 -> 0]",
            "meta = {opts.maxLenEvents 10000, version bullmq:6.7.0}",
        ])
        .await;
    world.said(&["active jobId 1 prev waiting"]).await;
}

#[tokio::test]
async fn a_worker_without_a_name_leaves_none() {
    let world = World::start().await;
    world.add("1", "{}").await;
    let taken = world.worker(None).take("t").await.expect("an answer");
    assert!(matches!(taken, Taken::Entry(_)));
    assert!(!world.run::<bool>("HEXISTS @1 pb").await);
}

#[tokio::test]
async fn nothing_is_left_behind_by_a_take_of_nothing() {
    let world = World::start().await;
    world.set("SET @pc 7").await;
    assert_eq!(world.take_nothing().await, None);
    world.holds(&[]).await;
    world.said(&[]).await;
}

#[tokio::test]
async fn a_paused_queue_hands_nothing_out_but_promotes_what_is_due() {
    let world = World::start().await;
    world.set("HSET @meta paused 1").await;
    world.add("1", "{}").await;
    world.hash("2", 0, "{}").await;
    world.set(&format!("ZADD @delayed {} 2", START * 4096)).await;
    assert_eq!(world.take_nothing().await, None);
    assert_eq!(world.run::<Vec<String>>("LRANGE @wait 0 -1").await, ["2", "1"]);
    assert!(!world.run::<bool>("EXISTS @marker").await);
    world.said(&["waiting jobId 2 prev delayed"]).await;
}

#[tokio::test]
async fn a_queue_paused_by_the_older_version_gets_what_is_due_into_its_own_list() {
    for older in ["HSET @meta version bullmq:5.81.5", "LPUSH @paused 1"] {
        let world = World::start().await;
        world.set("HSET @meta paused 1").await;
        world.set(older).await;
        world.hash("2", 0, "{}").await;
        world.set(&format!("ZADD @delayed {} 2", START * 4096)).await;
        assert_eq!(world.take_nothing().await, None);
        assert!(!world.run::<bool>("EXISTS @wait").await, "{older}");
        assert_eq!(world.run::<String>("LINDEX @paused 0").await, "2", "{older}");
    }
}

#[tokio::test]
async fn no_more_entries_are_active_than_the_queue_allows() {
    let world = World::start().await;
    world.set("HSET @meta concurrency 1").await;
    world.add("1", "{}").await;
    world.add("2", "{}").await;
    let first = world.take("t1").await;
    assert_eq!(world.take_nothing().await, None);
    let done = world.worker.complete(&first, "t1", "null").await.expect("an answer");
    assert_eq!(done, Moved::Done);
    assert_eq!(world.run::<Vec<String>>("ZRANGE @marker 0 -1").await, ["0"], "nobody waits for a poll");
    assert_eq!(world.take("t2").await.id, "2");
}

#[tokio::test]
async fn a_rate_limit_holds_until_it_ends_and_counts_what_is_run_only() {
    let world = World::start().await;
    world.set("HSET @meta max 2 duration 60000").await;
    for id in ["1", "2", "3", "4"] {
        world.add(id, "{}").await;
    }
    world.set("HSET @1 defa x").await;
    for id in ["1", "2", "3"] {
        assert_eq!(world.take(id).await.id, id);
    }
    assert_eq!(world.run::<String>("GET @limiter").await, "2");
    let left = world.take_nothing().await.expect("the end of the limit");
    assert!(left > Duration::from_secs(30) && left <= Duration::from_secs(60), "{left:?}");
    assert_eq!(world.worker.look(9).await.expect("an answer").due, 0);
    // One whose end was lost ends here.
    world.set("PERSIST @limiter").await;
    assert_eq!(world.take("4").await.id, "4");
    assert_eq!(world.run::<String>("GET @limiter").await, "1");
}

#[tokio::test]
async fn a_limit_set_by_hand_is_looked_at_only_where_the_queue_has_one() {
    let world = World::start().await;
    world.add("1", "{}").await;
    world.set("SET @limiter 9007199254740991 PX 60000").await;
    assert_eq!(world.worker.look(9).await.expect("an answer").due, 1);
    world.set("HSET @meta max 5 duration 1000").await;
    assert_eq!(world.worker.look(9).await.expect("an answer").due, 0);
    assert!(world.take_nothing().await.is_some());
    world.set("HDEL @meta max").await;
    assert_eq!(world.take("t").await.id, "1");
}

#[tokio::test]
async fn markers_of_older_versions_are_dropped_and_the_entry_behind_them_is_taken() {
    let world = World::start().await;
    world.add("1", "{}").await;
    world.set("RPUSH @wait 0:5 0:6").await;
    assert_eq!(world.take("t").await.id, "1");
    assert_eq!(world.run::<Vec<String>>("LRANGE @active 0 -1").await, ["1"]);
    world.set("RPUSH @wait 0:7").await;
    assert_eq!(world.take_nothing().await, None);
    assert_eq!(world.run::<Vec<String>>("LRANGE @active 0 -1").await, ["1"]);
}

#[tokio::test]
async fn an_id_that_names_something_else_does_not_hold_up_the_others() {
    let world = World::start().await;
    world.add("1", "{}").await;
    world.set("SET @odd text").await;
    world.set("RPUSH @wait odd").await;
    assert_eq!(world.take("t").await.id, "1");
    assert_eq!(world.run::<Vec<String>>("LRANGE @active 0 -1").await, ["1"]);
}

#[tokio::test]
async fn an_entry_whose_hash_is_gone_comes_as_an_empty_one_and_can_be_failed() {
    let world = World::start().await;
    world.set("LPUSH @wait ghost").await;
    let entry = world.take("t").await;
    assert_eq!((entry.name.as_str(), entry.data.as_str(), entry.ats), ("", "{}", 1));
    assert_eq!(world.worker.fail(&entry, "t", "no payload").await.expect("an answer"), Moved::Done);
    assert_eq!(world.run::<Vec<String>>("ZRANGE @failed 0 -1").await, ["ghost"]);
}

#[tokio::test]
async fn fields_that_are_no_numbers_and_bytes_that_are_no_text_stop_nothing() {
    let world = World::start().await;
    world.add("1", "{}").await;
    world.set("HSET @1 ats nan atm 1e3 attemptsMade x stc inf priority -").await;
    let bytes: &[u8] = b"\xff\xfe";
    let _: () = cmd("HSET")
        .arg(format!("{BASE}1"))
        .arg("data")
        .arg(bytes)
        .query_async(&mut world.connection.clone())
        .await
        .expect("an answer");
    let entry = world.take("t").await;
    assert_eq!((entry.ats, entry.data.as_str()), (1, "\u{fffd}\u{fffd}"));
    let done = world.worker.retry(&entry, "t", "r", Duration::ZERO).await.expect("an answer");
    assert_eq!(done, Moved::Done);
    assert_eq!(world.take("t2").await.atm, 1);
}

#[tokio::test]
async fn a_take_says_when_the_next_delayed_entry_is_due() {
    let world = World::start().await;
    world.hash("1", 0, "{}").await;
    world.set(&format!("ZADD @delayed {} 1", (START + 700) * 4096 + 5)).await;
    assert_eq!(world.take_nothing().await, Some(Duration::from_millis(700)));
    world.at(699);
    assert_eq!(world.take_nothing().await, Some(Duration::from_millis(1)));
    world.at(700);
    let entry = world.take("t").await;
    assert_eq!(entry.id, "1");
    assert_eq!(world.run::<String>("HGET @1 delay").await, "0");
    world.said(&["waiting jobId 1 prev delayed", "active jobId 1 prev waiting"]).await;
}

#[tokio::test]
async fn a_delayed_id_without_a_hash_gets_none_by_its_promotion() {
    let world = World::start().await;
    world.set("HSET @meta paused 1").await;
    world.set("ZADD @delayed 4096 gone").await;
    assert_eq!(world.take_nothing().await, None);
    assert!(!world.run::<bool>("EXISTS @gone").await);
}
