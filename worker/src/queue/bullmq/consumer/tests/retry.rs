use super::*;

const TWICE: &str = r#"{"backoff":{"delay":600,"type":"exponential"},"attempts":2}"#;

#[tokio::test]
async fn two_attempts_with_a_backoff_leave_what_official_workers_leave() {
    let world = World::start().await;
    world.add("1", TWICE).await;
    world.at(20);
    let first = world.take("w1:1").await;
    world.set("DEL @marker").await;
    world.at(23);
    let moved =
        world.worker.retry(&first, "w1:1", "boom 0", Duration::from_millis(600)).await.expect("an answer");
    assert_eq!(moved, Moved::Done);
    let due = START + 623;
    world
        .holds(&[
            &format!(
                "1 = {{atm 1, ats 1, data {{\"k\":1}}, delay 600, failedReason boom 0, name scan, opts {TWICE}, \
                 pb w1, priority 0, processedOn 1795292090020, stacktrace [\"boom 0\"], timestamp 1795292090000}}"
            ),
            &format!("delayed = [1 -> {}]", due * 4096),
            &format!("marker = [1 -> {due}]"),
        ])
        .await;
    world.at(623);
    let second = world.take("w1:2").await;
    assert_eq!((second.atm, second.ats, second.stacktrace.as_deref()), (1, 2, Some("[\"boom 0\"]")));
    world.set("DEL @marker").await;
    world.at(625);
    assert_eq!(world.worker.fail(&second, "w1:2", "boom 1").await.expect("an answer"), Moved::Done);
    world
        .holds(&[
            &format!(
                "1 = {{atm 2, ats 2, data {{\"k\":1}}, delay 0, failedReason boom 1, finishedOn 1795292090625, name scan, \
                 opts {TWICE}, pb w1, priority 0, processedOn 1795292090623, stacktrace [\"boom 0\",\"boom 1\"], \
                 timestamp 1795292090000}}"
            ),
            "failed = [1 -> 1795292090625]",
        ])
        .await;
    world
        .said(&[
            "active jobId 1 prev waiting",
            &format!("delayed jobId 1 delay {due}"),
            "waiting jobId 1 prev delayed",
            "active jobId 1 prev waiting",
            "failed jobId 1 failedReason boom 1 prev active",
            "retries-exhausted jobId 1 attemptsMade 2",
            "drained",
        ])
        .await;
}

#[tokio::test]
async fn a_retry_at_once_goes_behind_the_others_and_behind_what_became_due() {
    let world = World::start().await;
    let entry = world.taken("1", "{}", "t").await;
    world.add("2", "{}").await;
    world.hash("3", 0, "{}").await;
    world.set(&format!("ZADD @delayed {} 3", START * 4096)).await;
    let moved = world.worker.retry(&entry, "t", "r", Duration::ZERO).await.expect("an answer");
    assert_eq!(moved, Moved::Done);
    assert_eq!(world.run::<Vec<String>>("LRANGE @wait 0 -1").await, ["1", "3", "2"]);
    assert_eq!(world.run::<Vec<String>>("HMGET @1 atm failedReason stacktrace").await, ["1", "r", "[\"r\"]"]);
    assert_eq!(world.run::<Vec<String>>("ZRANGE @marker 0 -1").await, ["0"]);
    world.said(&["waiting jobId 3 prev delayed", "waiting jobId 1 prev active"]).await;
}

#[tokio::test]
async fn a_retry_at_once_keeps_priority_and_last_in_first_out() {
    let world = World::start().await;
    let lifo = world.taken("1", r#"{"lifo":true}"#, "t1").await;
    world.add("2", "{}").await;
    world.worker.retry(&lifo, "t1", "r", Duration::ZERO).await.expect("an answer");
    assert_eq!(world.run::<Vec<String>>("LRANGE @wait 0 -1").await, ["2", "1"]);
    world.set("DEL @wait").await;
    world.set("SET @pc 4").await;
    let urgent = world.taken("3", "{}", "t3").await;
    // A priority that was changed meanwhile holds.
    world.set("HSET @3 priority 10").await;
    world.worker.retry(&urgent, "t3", "r", Duration::ZERO).await.expect("an answer");
    assert_eq!(world.run::<u64>("ZSCORE @prioritized 3").await, 42_949_672_965);
    assert_eq!(world.run::<u64>("GET @pc").await, 5);
}

#[tokio::test]
async fn the_older_count_of_attempts_is_carried_on_and_goes() {
    let world = World::start().await;
    world.add("1", r#"{"attempts":9}"#).await;
    world.set("HSET @1 attemptsMade 3 atm 1").await;
    let entry = world.take("t").await;
    assert_eq!(entry.atm, 3);
    world.worker.retry(&entry, "t", "r", Duration::ZERO).await.expect("an answer");
    assert_eq!(world.take("t2").await.atm, 4);
    assert!(!world.run::<bool>("HEXISTS @1 attemptsMade").await);
}

#[tokio::test]
async fn entries_delayed_to_the_same_millisecond_are_numbered_and_no_millisecond_overflows() {
    let world = World::start().await;
    let due = (START + 50) * 4096;
    for (id, score) in [("1", due), ("2", due + 1), ("3", due + 2)] {
        world.taken(id, "{}", id).await;
        world.worker.postpone(id, id, Duration::from_millis(50)).await.expect("an answer");
        assert_eq!(world.run::<i64>(&format!("ZSCORE @delayed {id}")).await, score);
    }
    world.set(&format!("ZADD @delayed {} 3", due + 4095)).await;
    world.taken("4", "{}", "4").await;
    world.worker.postpone("4", "4", Duration::from_millis(50)).await.expect("an answer");
    assert_eq!(world.run::<i64>("ZSCORE @delayed 4").await, due + 4095);
}

#[tokio::test]
async fn what_redis_hears_late_is_due_no_later_and_says_the_whole_wait() {
    let world = World::start().await;
    let late = |whole, over| Wait { whole: Duration::from_millis(whole), over: Duration::from_millis(over) };
    let entry = world.taken("1", "{}", "t1").await;
    world.taken("2", "{}", "t2").await;
    world.worker.retry(&entry, "t1", "r", late(7000, 3000)).await.expect("an answer");
    world.worker.postpone("2", "t2", late(7000, 3000)).await.expect("an answer");
    let due = (START + 4000) * 4096;
    for (id, score) in [("1", due), ("2", due + 1)] {
        assert_eq!(world.run::<String>(&format!("HGET @{id} delay")).await, "7000");
        assert_eq!(world.run::<i64>(&format!("ZSCORE @delayed {id}")).await, score);
    }
    let entry = world.taken("3", "{}", "t3").await;
    world.taken("4", "{}", "t4").await;
    world.worker.retry(&entry, "t3", "r", late(7000, 7000)).await.expect("an answer");
    world.worker.postpone("4", "t4", late(7000, 9000)).await.expect("an answer");
    assert_eq!(world.run::<Vec<String>>("LRANGE @wait 0 -1").await, ["3"], "its wait is over");
    assert_eq!(world.run::<String>("HGET @3 delay").await, "0");
    assert_eq!(world.run::<i64>("ZSCORE @delayed 4").await, START * 4096);
}

#[tokio::test]
async fn no_delay_is_longer_than_the_scores_can_hold() {
    let world = World::start().await;
    let entry = world.taken("1", "{}", "t").await;
    world.worker.retry(&entry, "t", "r", Duration::MAX).await.expect("an answer");
    let year = 365 * 86_400_000;
    assert_eq!(world.run::<i64>("ZSCORE @delayed 1").await, (START + year) * 4096);
}

#[tokio::test]
async fn a_postponed_entry_counts_no_attempt_and_comes_back_when_its_time_is_over() {
    let world = World::start().await;
    world.taken("1", "{}", "t").await;
    world.at(100);
    assert_eq!(
        world.worker.postpone("1", "t", Duration::from_millis(7000)).await.expect("an answer"),
        Moved::Done
    );
    let due = START + 7100;
    world
        .holds(&[
            "1 = {ats 1, data {\"k\":1}, delay 7000, name scan, opts {}, pb w1, priority 0, \
             processedOn 1795292090000, timestamp 1795292090000}",
            &format!("delayed = [1 -> {}]", due * 4096),
            &format!("marker = [1 -> {due}]"),
        ])
        .await;
    world.said(&[&format!("delayed jobId 1 delay {due}")]).await;
    world.at(7100);
    assert_eq!(world.take("t2").await.atm, 0);
}

#[tokio::test]
async fn an_entry_that_is_given_back_goes_first_and_counts_no_attempt() {
    let world = World::start().await;
    world.taken("1", "{}", "t").await;
    world.add("2", "{}").await;
    assert_eq!(world.worker.give_back("1", "t").await.expect("an answer"), Moved::Done);
    assert_eq!(world.run::<Vec<String>>("LRANGE @wait 0 -1").await, ["2", "1"]);
    assert!(!world.run::<bool>("HEXISTS @1 atm").await);
    assert!(!world.run::<bool>("HEXISTS @1 stc").await);
    assert!(!world.run::<bool>("EXISTS @1:lock").await);
    assert_eq!(world.run::<Vec<String>>("ZRANGE @marker 0 -1").await, ["0"]);
    world.said(&["waiting jobId 1 prev active"]).await;
}

#[tokio::test]
async fn an_entry_with_a_priority_goes_back_before_those_of_its_priority() {
    let world = World::start().await;
    for (id, priority, counter) in [("1", 10, 1), ("2", 10, 2), ("3", 1, 3)] {
        world.hash(id, priority, "{}").await;
        world.set(&format!("ZADD @prioritized {} {id}", u64::from(priority) << 32 | counter)).await;
    }
    assert_eq!(world.take("t3").await.id, "3");
    assert_eq!(world.take("t1").await.id, "1");
    world.worker.give_back("1", "t1").await.expect("an answer");
    world.worker.give_back("3", "t3").await.expect("an answer");
    assert_eq!(world.run::<Vec<String>>("ZRANGE @prioritized 0 -1").await, ["3", "1", "2"]);
}

#[tokio::test]
async fn what_leaves_active_while_the_older_version_has_paused_goes_into_its_list() {
    let world = World::start().await;
    let first = world.taken("1", "{}", "t1").await;
    world.taken("2", "{}", "t2").await;
    world.set("HSET @meta paused 1 version bullmq:5.81.5").await;
    world.worker.retry(&first, "t1", "r", Duration::ZERO).await.expect("an answer");
    world.worker.give_back("2", "t2").await.expect("an answer");
    assert_eq!(world.run::<Vec<String>>("LRANGE @paused 0 -1").await, ["1", "2"]);
    assert!(!world.run::<bool>("EXISTS @wait").await);
    assert!(!world.run::<bool>("EXISTS @marker").await);
}
