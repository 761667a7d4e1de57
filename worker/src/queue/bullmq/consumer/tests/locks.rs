use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, token)| ((*id).to_owned(), (*token).to_owned())).collect()
}

/// Held since the first start of each.
fn held(pairs: &[(&str, &str)]) -> Vec<Held> {
    let held = |(id, token): &(&str, &str)| Held { id: (*id).into(), token: (*token).into(), started: 1 };
    pairs.iter().map(held).collect()
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn a_lock_is_prolonged_by_its_holder_only() {
    let world = World::start().await;
    for (id, token) in [("1", "w1:1"), ("2", "w1:2"), ("3", "other:1")] {
        world.taken(id, "{}", token).await;
        world.set(&format!("PEXPIRE @{id}:lock 4000")).await;
    }
    world.set("SADD @stalled 1 2 3").await;
    let held = held(&[("1", "w1:1"), ("2", "w1:2"), ("3", "w1:3")]);
    assert_eq!(world.worker.extend(&held).await.expect("an answer"), ["3"]);
    let dump = world.dump().await;
    assert!(dump.contains(&"1:lock = w1:1 PX 30000".to_owned()), "{dump:?}");
    assert!(dump.contains(&"3:lock = other:1 PX 5000".to_owned()), "{dump:?}");
    assert!(dump.contains(&"stalled = {3}".to_owned()), "{dump:?}");
    assert_eq!(world.worker.extend(&held).await.expect("an answer"), ["3"], "and the same again");
    world.said(&[]).await;
}

// Redis was away for longer than a lock holds, and comes back with the entry where it was.
#[tokio::test]
async fn a_lock_that_ran_out_is_its_holders_again_unless_somebody_has_taken_the_entry_since() {
    let world = World::start().await;
    for (id, token) in [("1", "w1:1"), ("2", "w1:2"), ("3", "w1:3"), ("4", "w1:4")] {
        world.taken(id, "{}", token).await;
        world.set(&format!("DEL @{id}:lock")).await;
    }
    world.set("SADD @stalled 1 2 3 4").await;
    // The second one waits again, the third one was taken by somebody whose lock ran out as well, the fourth one is gone.
    world.set("LREM @active 1 2").await;
    world.set("RPUSH @wait 2").await;
    world.set("HINCRBY @3 ats 1").await;
    world.set("DEL @4").await;
    let held = held(&[("1", "w1:1"), ("2", "w1:2"), ("3", "w1:3"), ("4", "w1:4")]);
    assert_eq!(world.worker.extend(&held).await.expect("an answer"), ["2", "3", "4"]);
    let dump = world.dump().await;
    let locks: Vec<_> = dump.iter().filter(|line| line.contains(":lock = ")).collect();
    assert_eq!(locks, ["1:lock = w1:1 PX 30000"], "{dump:?}");
    assert!(dump.contains(&"stalled = {2, 3, 4}".to_owned()), "{dump:?}");
}

#[tokio::test]
async fn any_number_of_locks_is_prolonged() {
    let world = World::start().await;
    let held: Vec<_> =
        (0..1200).map(|n| Held { id: format!("e{n}"), token: "t".to_owned(), started: 1 }).collect();
    assert_eq!(world.worker.extend(&[]).await.expect("an answer"), Vec::<String>::new());
    assert_eq!(world.worker.extend(&held).await.expect("an answer").len(), 1200);
    let mut words = vec!["MSET".to_owned()];
    words.extend(held.iter().flat_map(|held| [format!("@{}:lock", held.id), held.token.clone()]));
    world.call::<redis::Value>(&words).await;
    assert_eq!(world.worker.extend(&held).await.expect("an answer").len(), 0);
    assert!(world.run::<i64>("PTTL @e1199:lock").await > 0);
}

#[tokio::test]
async fn a_dead_workers_locks_are_taken_over_left_or_opened_and_those_of_others_are_not_touched() {
    let world = World::start().await;
    for (id, token) in [
        ("1", "dead:1"),
        ("2", "dead:2"),
        ("3", "dead:3"),
        ("4", "dead:4"),
        ("5", "deadly:1"),
        ("6", "dead:6"),
        ("7", "x"),
    ] {
        world.taken(id, "{}", token).await;
    }
    world.set("DEL @7:lock").await;
    world.set("SADD @stalled 1 2 3 4 5 7").await;
    let mine = pairs(&[("1", "w1:1"), ("7", "w1:7"), ("5", "w1:5"), ("9", "w1:9")]);
    let spare = ids(&["dead:6", "dead:60"]);
    let over = world.worker.hand_over("dead:", &mine, &ids(&["2"]), &spare).await.expect("an answer");
    assert_eq!(over, HandedOver { ours: ids(&["7", "1"]), given_back: ids(&["4", "3"]), left: 1 });
    let dump: Vec<_> = world.dump().await.into_iter().filter(|line| !line.contains("= {ats")).collect();
    assert_eq!(
        dump,
        [
            "1:lock = w1:1 PX 30000",
            "2:lock = dead:2 PX 30000",
            "5:lock = deadly:1 PX 30000",
            "6:lock = dead:6 PX 30000",
            "7:lock = w1:7 PX 30000",
            "active = [7, 6, 5, 2, 1]",
            "marker = [0 -> 0]",
            "stalled = {2, 5}",
            "wait = [4, 3]",
        ]
    );
    world.said(&["waiting jobId 4 prev active", "waiting jobId 3 prev active"]).await;
    // The same again, because the answer was lost: what is ours is ours, and nothing else happens.
    let over = world.worker.hand_over("dead:", &mine, &ids(&["2"]), &spare).await.expect("an answer");
    assert_eq!(over, HandedOver { ours: ids(&["7", "1"]), given_back: vec![], left: 1 });
    world.said(&[]).await;
    assert!(!world.run::<bool>("HEXISTS @3 stc").await, "it is not counted as stalled");
}

#[tokio::test]
async fn no_lock_begins_with_nothing() {
    let world = World::start().await;
    world.taken("1", "{}", "dead:1").await;
    world.taken("2", "{}", "x").await;
    world.set("DEL @2:lock").await;
    let over = world.worker.hand_over("", &pairs(&[("2", "w1:2")]), &[], &[]).await.expect("an answer");
    assert_eq!(over, HandedOver { ours: ids(&["2"]), given_back: vec![], left: 0 });
    assert_eq!(world.run::<String>("GET @1:lock").await, "dead:1");
}

#[tokio::test]
async fn locks_are_handed_over_however_many_entries_are_active() {
    let world = World::start().await;
    for n in 0..1300 {
        let token = if n % 2 == 0 { "dead:1" } else { "other:1" };
        world.set(&format!("LPUSH @active e{n}")).await;
        world.set(&format!("SET @e{n}:lock {token}")).await;
    }
    let over =
        world.worker.hand_over("dead:", &pairs(&[("e1298", "w1:1")]), &[], &[]).await.expect("an answer");
    assert_eq!((over.ours, over.given_back.len()), (ids(&["e1298"]), 649));
    assert_eq!(world.run::<u64>("LLEN @active").await, 651);
    assert_eq!(world.run::<u64>("LLEN @wait").await, 649);
}

#[tokio::test]
async fn an_abandoned_entry_is_marked_by_one_check_and_brought_back_by_the_next() {
    let world = World::start().await;
    world.taken("1", "{}", "crasher:1").await;
    world.taken("2", "{}", "alive:1").await;
    world.set("DEL @1:lock").await;
    assert_eq!(world.worker.check_stalled().await.expect("an answer"), Vec::<String>::new());
    let dump = world.dump().await;
    assert!(dump.contains(&"stalled = {1, 2}".to_owned()), "{dump:?}");
    assert!(dump.contains(&"stalled-check = 1795292090000 PX 30000".to_owned()), "{dump:?}");
    world.said(&[]).await;
    // Whoever else checks within the interval does nothing.
    let other = world.worker(Some("w2"));
    assert_eq!(other.check_stalled().await.expect("an answer"), Vec::<String>::new());
    assert_eq!(world.dump().await, dump);

    world.set("DEL @stalled-check").await;
    world.set("HSET @1 priority 5").await;
    assert_eq!(other.check_stalled().await.expect("an answer"), ["1"]);
    world
        .holds(&[
            "1 = {ats 1, data {\"k\":1}, delay 0, name scan, opts {}, pb w1, priority 5, processedOn 1795292090000, \
             stc 1, timestamp 1795292090000}",
            "2 = {ats 1, data {\"k\":1}, delay 0, name scan, opts {}, pb w1, priority 0, processedOn 1795292090000, \
             timestamp 1795292090000}",
            "2:lock = alive:1 PX 30000",
            "active = [2]",
            "marker = [0 -> 0]",
            "stalled = {2}",
            "stalled-check = 1795292090000 PX 30000",
            "wait = [1]",
        ])
        .await;
    world.said(&["waiting jobId 1 prev active", "stalled jobId 1"]).await;
}

#[tokio::test]
async fn an_entry_that_stalls_too_often_is_to_be_failed_by_whoever_takes_it_unless_a_scheduler_lives_by_it() {
    for (scheduler, deferred) in [("none", true), ("HSET @1 rjk s", true), ("ZADD @repeat 5 s", false)] {
        let world = World::start().await;
        world.taken("1", "{}", "crasher:1").await;
        world.set("HSET @1 stc 1").await;
        if scheduler != "none" {
            world.set("HSET @1 rjk s").await;
            world.set(if scheduler.starts_with("ZADD") { scheduler } else { "PING" }).await;
        }
        world.set("DEL @1:lock").await;
        world.set("SADD @stalled 1").await;
        assert_eq!(world.worker.check_stalled().await.expect("an answer"), ["1"]);
        let entry = world.take("t").await;
        let text = deferred.then_some("job stalled more than allowable limit");
        assert_eq!(entry.deferred.as_deref(), text, "{scheduler}");
        assert_eq!(entry.atm, 0);
    }
}

#[tokio::test]
async fn what_ended_or_was_removed_since_the_last_check_is_not_brought_back() {
    let world = World::start().await;
    world.set("SADD @stalled ended removed").await;
    world.hash("ended", 0, "{}").await;
    world.set("LPUSH @active removed").await;
    assert_eq!(world.worker.check_stalled().await.expect("an answer"), Vec::<String>::new());
    assert!(!world.run::<bool>("EXISTS @wait").await);
    assert!(!world.run::<bool>("EXISTS @removed").await);
    assert!(!world.run::<bool>("EXISTS @active").await);
}

#[tokio::test]
async fn a_check_marks_any_number_of_active_entries() {
    let world = World::start().await;
    let mut words = vec!["LPUSH".to_owned(), "@active".to_owned()];
    words.extend((0..9000).map(|n| format!("e{n}")));
    world.call::<redis::Value>(&words).await;
    world.worker.check_stalled().await.expect("an answer");
    assert_eq!(world.run::<u64>("SCARD @stalled").await, 9000);
}
