use super::*;

#[tokio::test]
async fn a_completed_entry_leaves_what_official_workers_leave() {
    let world = World::start().await;
    let entry = world.taken("1", "{\"attempts\":0}", "t").await;
    world.at(1033);
    let moved = world.worker.complete(&entry, "t", "{\"ok\":true,\"n\":3}").await.expect("an answer");
    assert_eq!(moved, Moved::Done);
    world
        .holds(&[
            "1 = {atm 1, ats 1, data {\"k\":1}, delay 0, finishedOn 1795292091033, name scan, opts {\"attempts\":0}, \
             pb w1, priority 0, processedOn 1795292090000, returnvalue {\"ok\":true,\"n\":3}, timestamp 1795292090000}",
            "completed = [1 -> 1795292091033]",
        ])
        .await;
    world.said(&["completed jobId 1 returnvalue {\"ok\":true,\"n\":3} prev active", "drained"]).await;
}

#[tokio::test]
async fn a_failed_entry_leaves_what_official_workers_leave() {
    let world = World::start().await;
    world.add("1", "{\"attempts\":5}").await;
    world.set("HSET @1 stc 2 defa dead").await;
    let entry = world.take("t").await;
    assert_eq!(entry.deferred.as_deref(), Some("dead"));
    world.set("DEL @marker").await;
    world.events().await;
    world.at(7);
    assert_eq!(world.worker.fail(&entry, "t", "dead").await.expect("an answer"), Moved::Done);
    world
        .holds(&[
            "1 = {atm 1, ats 1, data {\"k\":1}, delay 0, failedReason dead, finishedOn 1795292090007, name scan, \
             opts {\"attempts\":5}, pb w1, priority 0, processedOn 1795292090000, stacktrace [\"dead\"], stc 2, \
             timestamp 1795292090000}",
            "failed = [1 -> 1795292090007]",
        ])
        .await;
    // Before the last attempt nothing is exhausted.
    world.said(&["failed jobId 1 failedReason dead prev active", "drained"]).await;
}

#[tokio::test]
async fn the_last_attempt_is_told_whatever_the_attempts_are() {
    for (opts, made, exhausted) in
        [("{}", 0, true), (r#"{"attempts":2}"#, 1, true), (r#"{"attempts":2}"#, 0, false)]
    {
        let world = World::start().await;
        world.add("1", opts).await;
        world.set(&format!("HSET @1 atm {made}")).await;
        let entry = world.take("t").await;
        world.worker.fail(&entry, "t", "r").await.expect("an answer");
        let told = format!("retries-exhausted jobId 1 attemptsMade {}", made + 1);
        assert_eq!(world.events().await.contains(&told), exhausted, "{opts}");
    }
}

#[tokio::test]
async fn a_result_that_is_no_json_is_told_as_a_text_that_is() {
    let world = World::start().await;
    for (id, given, written) in
        [("1", "NaN", "\"NaN\""), ("2", "", "\"\""), ("3", "null", "null"), ("4", " 1 ", " 1 ")]
    {
        let entry = world.taken(id, "{}", "t").await;
        world.worker.complete(&entry, "t", given).await.expect("an answer");
        assert_eq!(world.run::<String>(&format!("HGET @{id} returnvalue")).await, written);
    }
}

#[tokio::test]
async fn an_entry_that_is_not_kept_leaves_no_key_but_is_told() {
    for failed in [false, true] {
        let world = World::start().await;
        let entry = world.taken("1", r#"{"removeOnComplete":true,"removeOnFail":0}"#, "t").await;
        world.set("RPUSH @1:logs line").await;
        world.set("HSET @1:processed child 1").await;
        world.set("HSET @1:failed child r").await;
        if failed {
            world.set("SADD @1:dependencies child").await;
            world.set("ZADD @1:unsuccessful 1 child").await;
            world.worker.fail(&entry, "t", "r").await.expect("an answer");
        } else {
            world.worker.complete(&entry, "t", "1").await.expect("an answer");
        }
        world.holds(&[]).await;
        let ended: &[&str] = &["completed jobId 1 returnvalue 1 prev active", "drained"];
        let broken: &[&str] = &[
            "failed jobId 1 failedReason r prev active",
            "retries-exhausted jobId 1 attemptsMade 1",
            "drained",
        ];
        world.said(if failed { broken } else { ended }).await;
    }
}

#[tokio::test]
async fn only_the_newest_are_kept_with_all_their_keys_gone() {
    let world = World::start().await;
    for (id, at) in [("1", 1), ("2", 2), ("3", 3)] {
        let entry = world.taken(id, "{}", "t").await;
        world.set(&format!("RPUSH @{id}:logs line")).await;
        world.at(at);
        world.worker.complete(&entry, "t", "1").await.expect("an answer");
    }
    let entry = world.taken("4", r#"{"removeOnComplete":{"count":2}}"#, "t").await;
    world.at(4);
    world.worker.complete(&entry, "t", "1").await.expect("an answer");
    assert_eq!(world.run::<Vec<String>>("ZRANGE @completed 0 -1").await, ["3", "4"]);
    let keys: Vec<_> =
        world.dump().await.iter().filter_map(|line| line.split(" =").next().map(str::to_owned)).collect();
    assert_eq!(keys, ["3", "3:logs", "4", "completed"]);
}

#[tokio::test]
async fn those_that_ended_long_ago_go_as_many_at_once_as_is_asked_for() {
    let world = World::start().await;
    for id in ["1", "2", "3"] {
        let entry = world.taken(id, "{}", "t").await;
        world.worker.fail(&entry, "t", "r").await.expect("an answer");
    }
    let entry = world.taken("4", r#"{"removeOnFail":{"age":1,"limit":2}}"#, "t").await;
    world.at(999);
    world.worker.fail(&entry, "t", "r").await.expect("an answer");
    assert_eq!(world.run::<u64>("ZCARD @failed").await, 4);
    let entry = world.taken("5", r#"{"removeOnFail":{"age":1,"limit":2}}"#, "t").await;
    world.at(1000);
    world.worker.fail(&entry, "t", "r").await.expect("an answer");
    assert_eq!(world.run::<Vec<String>>("ZRANGE @failed 0 -1").await, ["3", "4", "5"]);
}

#[tokio::test]
async fn a_thousand_at_most_go_at_once() {
    let world = World::start().await;
    let mut words = vec!["ZADD".to_owned(), "@completed".to_owned()];
    words.extend((0..1500).flat_map(|n| [n.to_string(), format!("old-{n}")]));
    world.call::<redis::Value>(&words).await;
    for (id, left) in [("1", 501), ("2", 5)] {
        let entry = world.taken(id, r#"{"removeOnComplete":5}"#, "t").await;
        world.worker.complete(&entry, "t", "1").await.expect("an answer");
        assert_eq!(world.run::<u64>("ZCARD @completed").await, left);
    }
}

#[tokio::test]
async fn the_stream_of_events_is_kept_short() {
    let world = World::start().await;
    world.set("HSET @meta opts.maxLenEvents 10").await;
    for n in 0..150 {
        world.set(&format!("XADD @events * event noise n {n}")).await;
    }
    world.add("1", "{}").await;
    let entry = world.take("t").await;
    world.worker.complete(&entry, "t", "1").await.expect("an answer");
    // A stream is trimmed by whole nodes of a hundred.
    assert!(world.run::<u64>("XLEN @events").await < 100);
}

#[tokio::test]
async fn a_stream_without_a_length_gets_one_from_whoever_tells_of_an_entry() {
    let world = World::start().await;
    world.set("DEL @meta").await;
    assert_eq!(world.take_nothing().await, None);
    world.worker.wake().await.expect("an answer");
    world.worker.look(1).await.expect("an answer");
    assert!(!world.run::<bool>("EXISTS @meta").await, "nothing was told of a queue that is not there");
    let entry = world.taken("1", "{}", "t1").await;
    world.worker.retry(&entry, "t1", "r", Duration::ZERO).await.expect("an answer");
    assert_eq!(world.run::<Vec<String>>("HGETALL @meta").await, ["opts.maxLenEvents", "10000"]);
    world.set("HSET @meta opts.maxLenEvents 7").await;
    let entry = world.take("t2").await;
    world.worker.complete(&entry, "t2", "1").await.expect("an answer");
    assert_eq!(world.run::<Vec<String>>("HGETALL @meta").await, ["opts.maxLenEvents", "7"]);
}

#[tokio::test]
async fn a_deduplication_without_an_end_is_released_by_the_entry_that_holds_it() {
    let world = World::start().await;
    for (hold, left) in [("SET @de:d 1", false), ("SET @de:d 1 PX 60000", true), ("SET @de:d 9", true)] {
        world.set("DEL @de:d").await;
        world.set(hold).await;
        world.add("1", "{}").await;
        world.set("HSET @1 deid d").await;
        let entry = world.take("t").await;
        world.worker.fail(&entry, "t", "r").await.expect("an answer");
        assert_eq!(world.run::<bool>("EXISTS @de:d").await, left, "{hold}");
        world.set("DEL @1 @failed").await;
    }
}

#[tokio::test]
async fn the_entry_that_was_asked_for_meanwhile_follows_the_one_that_held_it_back() {
    let world = World::start().await;
    let opts = r#"{"de":{"id":"d","keepLastIfActive":true},"attempts":2}"#;
    world.add("1", opts).await;
    world.set("HSET @1 deid d").await;
    world.set("SET @de:d 1").await;
    world.set("SET @id 1").await;
    let entry = world.take("t").await;
    world.set("DEL @marker").await;
    world.events().await;
    world.set(&format!("HSET @dn:d name next data {{\"n\":2}} opts {opts}")).await;
    world.at(5);
    world.worker.complete(&entry, "t", "1").await.expect("an answer");
    let held: Vec<_> = world.dump().await.into_iter().filter(|line| !line.starts_with("1 ")).collect();
    assert_eq!(
        held,
        [
            &format!(
                "2 = {{data {{\"n\":2}}, deid d, delay 0, name next, opts {opts}, priority 0, timestamp 1795292090005}}"
            ),
            "completed = [1 -> 1795292090005]",
            "de:d = 2",
            "id = 2",
            "marker = [0 -> 0]",
            "wait = [2]",
        ]
    );
    world
        .said(&["added jobId 2 name next", "waiting jobId 2", "completed jobId 1 returnvalue 1 prev active"])
        .await;
}

#[tokio::test]
async fn the_entry_that_follows_keeps_its_id_its_time_its_priority_and_its_family() {
    for (next, place) in [
        (r#"opts {"delay":500} jid late"#, "delayed"),
        (r#"opts {"priority":3} jid late"#, "prioritized"),
        (r#"opts {"lifo":true} jid late pk bull:p:1 pd {"id":"1"} pdk bull:p:1:dependencies rjk s"#, "wait"),
    ] {
        let world = World::start().await;
        world.add("1", "{}").await;
        world.set("HSET @1 deid d").await;
        let entry = world.take("t").await;
        world.set(&format!("HSET @dn:d name next data 1 {next}")).await;
        world.worker.fail(&entry, "t", "r").await.expect("an answer");
        let kind = if place == "wait" { "LRANGE" } else { "ZRANGE" };
        assert_eq!(world.run::<Vec<String>>(&format!("{kind} @{place} 0 -1")).await, ["late"]);
        assert!(!world.run::<bool>("EXISTS @dn:d").await);
        if place == "wait" {
            let fields: Vec<String> = world.run("HMGET @late parentKey parent rjk").await;
            assert_eq!(fields, ["bull:p:1", "{\"id\":\"1\"}", "s"]);
            assert_eq!(
                world.run::<Vec<String>>("SMEMBERS bull:p:1:dependencies").await,
                ["bull:scan-jobs:late"]
            );
        }
    }
}

#[tokio::test]
async fn the_entry_that_follows_is_signalled_as_any_that_is_added() {
    for (limits, signals) in [("max 1", &["0", "1"][..]), ("concurrency 0", &[]), ("paused 1", &[])] {
        let world = World::start().await;
        let entry = world.taken("1", "{}", "t").await;
        world.set("HSET @1 deid d").await;
        world.set("HSET @dn:d name next data 1 opts {} jid late").await;
        world.set("SET @limiter 1 PX 60000").await;
        world.set(&format!("HSET @meta {limits}")).await;
        world.worker.complete(&entry, "t", "1").await.expect("an answer");
        assert_eq!(world.run::<Vec<String>>("ZRANGE @marker 0 -1").await, signals, "{limits}");
    }
}

#[tokio::test]
async fn the_entry_that_follows_is_not_made_twice() {
    let world = World::start().await;
    world.hash("late", 0, "{}").await;
    world.add("1", "{}").await;
    world.set("HSET @1 deid d").await;
    let entry = world.take("t").await;
    world.events().await;
    world.set("HSET @dn:d name next data 1 opts {} jid late").await;
    world.worker.complete(&entry, "t", "1").await.expect("an answer");
    assert_eq!(world.run::<String>("HGET @late name").await, "scan");
    assert_eq!(world.events().await[0], "duplicated jobId late");
}
