use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tokio::sync::Barrier;

use super::*;

/// Takes until nothing is left, ending each entry before the next one.
async fn order(world: &World) -> Vec<String> {
    let mut order = Vec::new();
    loop {
        match world.worker.take("t").await.expect("an answer") {
            Taken::Entry(entry) => {
                let done = world.worker.complete(&entry, "t", "1").await.expect("an answer");
                assert_eq!(done, Moved::Done);
                order.push(entry.id);
            }
            Taken::Nothing { .. } => return order,
        }
    }
}

#[tokio::test]
async fn entries_come_in_the_order_in_which_they_were_added() {
    let world = World::start().await;
    let added: Vec<_> = (0..50).map(|n| format!("e{n}")).collect();
    for id in &added {
        world.add(id, "{}").await;
    }
    assert_eq!(order(&world).await, added);
    let events = world.events().await;
    assert_eq!(events.iter().filter(|event| *event == "drained").count(), 1);
    assert_eq!(events.last().map(String::as_str), Some("drained"));
}

#[tokio::test]
async fn those_due_in_the_same_millisecond_keep_their_order() {
    let world = World::start().await;
    let ids: Vec<_> = ["5", "3", "4", "1", "2"].map(str::to_owned).into();
    for id in &ids {
        world.taken(id, "{}", id).await;
        world.worker.postpone(id, id, Duration::from_millis(80)).await.expect("an answer");
    }
    world.at(79);
    assert_eq!(order(&world).await, Vec::<String>::new());
    world.at(80);
    assert_eq!(order(&world).await, ids);
}

#[tokio::test]
async fn plain_ones_come_first_and_the_others_by_priority_and_age() {
    let world = World::start().await;
    for (n, (id, priority)) in [("a10", 10), ("a1", 1), ("b10", 10), ("a3", 3)].into_iter().enumerate() {
        world.hash(id, priority, "{}").await;
        world.set(&format!("ZADD @delayed {} {id}", START * 4096 + n as i64)).await;
    }
    world.add("plain", "{}").await;
    world.hash("front", 0, "{}").await;
    world.set("RPUSH @wait front").await;
    assert_eq!(order(&world).await, ["front", "plain", "a1", "a3", "a10", "b10"]);
    assert!(!world.run::<bool>("EXISTS @pc").await, "the counter begins anew with an empty queue");
}

#[tokio::test]
async fn a_thousand_due_entries_are_moved_at_once_and_the_rest_by_the_next_take() {
    let world = World::start().await;
    let mut words = vec!["ZADD".to_owned(), "@delayed".to_owned()];
    words.extend((0..1500).flat_map(|n| [(START * 4096 + n).to_string(), format!("e{n}")]));
    world.call::<redis::Value>(&words).await;
    assert_eq!(world.take("t").await.id, "e0");
    assert_eq!(world.run::<u64>("ZCARD @delayed").await, 500);
    assert_eq!(world.take("t").await.id, "e1");
    assert_eq!(world.run::<u64>("LLEN @wait").await, 1498);
}

/// Many workers on connections of their own take and end everything; no entry comes to two of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_entry_is_taken_by_two_workers() {
    let world = World::start().await;
    let all: BTreeSet<_> = (0..300).map(|n| format!("e{n}")).collect();
    for id in &all {
        world.add(id, "{}").await;
    }
    let together = Arc::new(Barrier::new(6));
    let workers: Vec<_> = (0..6)
        .map(|n| {
            let (worker, together) = (world.worker(Some("w")), Arc::clone(&together));
            tokio::spawn(async move {
                together.wait().await;
                let mut had = Vec::new();
                for turn in 0.. {
                    let token = format!("w{n}:{turn}");
                    let Taken::Entry(entry) = worker.take(&token).await.expect("an answer") else { break };
                    // Some go back, to be taken again by anybody.
                    let moved = if turn % 7 == 3 {
                        worker.give_back(&entry.id, &token).await
                    } else {
                        had.push(entry.id.clone());
                        worker.complete(&entry, &token, "1").await
                    };
                    assert_eq!(moved.expect("an answer"), Moved::Done);
                }
                had
            })
        })
        .collect();
    let mut had = Vec::new();
    for worker in workers {
        had.extend(worker.await.expect("a worker"));
    }
    assert_eq!(had.len(), all.len());
    assert_eq!(had.into_iter().collect::<BTreeSet<_>>(), all);
    let lines = world.dump().await;
    assert!(!lines.iter().any(|line| line.contains(":lock") || line.starts_with("active")), "{lines:?}");
}

#[derive(Debug, Clone)]
enum Act {
    Add { priority: u32 },
    Take,
    Complete,
    Fail,
    Retry { delay: u64 },
    Postpone { delay: u64 },
    GiveBack,
    Wait { millis: i64 },
    HandOver,
    Abandon,
    Check,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3_u32).prop_map(|priority| Act::Add { priority }),
        6 => Just(Act::Take),
        2 => Just(Act::Complete),
        1 => Just(Act::Fail),
        2 => (0..3_u64).prop_map(|delay| Act::Retry { delay }),
        1 => (0..3_u64).prop_map(|delay| Act::Postpone { delay }),
        1 => Just(Act::GiveBack),
        2 => (0..3_i64).prop_map(|millis| Act::Wait { millis }),
        1 => Just(Act::HandOver),
        1 => Just(Act::Abandon),
        1 => Just(Act::Check),
    ]
}

/// What any run of a worker must leave: each entry in exactly one place, a lock where it is active and held and nowhere
/// else, and a signal wherever something could be taken.
async fn hold_together(world: &World, added: usize, held: &BTreeMap<String, (Entry, String)>) {
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for place in ["wait", "active", "delayed", "prioritized", "completed", "failed"] {
        let kind = if matches!(place, "wait" | "active") { "LRANGE" } else { "ZRANGE" };
        for id in world.run::<Vec<String>>(&format!("{kind} @{place} 0 -1")).await {
            places.entry(id).or_default().push(place);
        }
    }
    assert_eq!(places.len(), added, "{places:?}");
    for (id, places) in &places {
        assert_eq!(places.len(), 1, "{id} {places:?}");
        let lock: Option<String> = world.run(&format!("GET @{id}:lock")).await;
        assert_eq!(lock.as_deref(), held.get(id).map(|(_, token)| token.as_str()), "{id} {places:?}");
        assert!(lock.is_none() || places == &["active"], "{id} {places:?}");
    }
    let look = world.worker.look(99).await.expect("an answer");
    let signals: Vec<String> = world.run("ZRANGE @marker 0 -1").await;
    assert!(look.due == 0 || !signals.is_empty(), "{look:?}");
    assert!(look.next.is_none() || !signals.is_empty(), "{look:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_a_worker_does_no_entry_is_lost_doubled_or_left_without_a_signal(
        acts in prop::collection::vec(act(), 1..60)
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(run(acts));
    }
}

async fn run(acts: Vec<Act>) {
    let world = World::start().await;
    let (mut added, mut now, mut turn) = (0, 0, 0);
    let mut held: BTreeMap<String, (Entry, String)> = BTreeMap::new();
    let worker = &world.worker;
    for act in acts {
        let one = held.pop_last();
        let mut done = true;
        match (act, one) {
            (Act::Add { priority }, one) => {
                held.extend(one);
                let id = format!("e{added}");
                added += 1;
                world.hash(&id, priority, r#"{"attempts":99}"#).await;
                world.set(&format!("ZADD @delayed {} {id}", (START + now) * 4096)).await;
                world.set(&format!("ZADD @marker {} 1", START + now)).await;
            }
            (Act::Take, one) => {
                held.extend(one);
                turn += 1;
                let token = format!("w1:{turn}");
                // Whoever is woken takes the signal with it.
                world.set("DEL @marker").await;
                match worker.take(&token).await.expect("an answer") {
                    Taken::Entry(entry) => {
                        held.insert(entry.id.clone(), (*entry, token));
                    }
                    // A listener blocks until then itself, and passes the signal on when it ends.
                    Taken::Nothing { .. } => worker.wake().await.expect("an answer"),
                }
            }
            (Act::Wait { millis }, one) => {
                held.extend(one);
                now += millis;
                world.at(now);
            }
            (Act::HandOver, Some((id, (_, token)))) => {
                world.set("DEL @marker").await;
                let over = worker.hand_over(&token, &[], &[], &[]).await.expect("an answer");
                // A token may begin like another one's.
                for given in &over.given_back {
                    held.remove(given);
                }
                done = over.given_back.contains(&id);
            }
            (Act::Abandon, Some((id, _))) => world.set(&format!("DEL @{id}:lock")).await,
            (Act::Check, one) => {
                held.extend(one);
                world.set("DEL @stalled-check").await;
                worker.check_stalled().await.expect("an answer");
            }
            (act, Some((id, (entry, token)))) => {
                // Somebody else had the signal and found nothing before this move.
                world.set("DEL @marker").await;
                let millis = Duration::from_millis;
                let moved = match act {
                    Act::Complete => worker.complete(&entry, &token, "1").await,
                    Act::Fail => worker.fail(&entry, &token, "r").await,
                    Act::Retry { delay } => worker.retry(&entry, &token, "r", millis(delay)).await,
                    Act::Postpone { delay } => worker.postpone(&id, &token, millis(delay)).await,
                    _ => worker.give_back(&id, &token).await,
                };
                done = moved.expect("an answer") == Moved::Done;
            }
            (_, None) => {}
        }
        assert!(done);
        hold_together(&world, added, &held).await;
    }
}
