use super::*;

/// What the signal says, or nothing.
async fn marker(world: &World) -> Vec<String> {
    world.run("ZRANGE @marker 0 -1 WITHSCORES").await
}

/// The same move on a queue in some state: what the signal is then, and whether the end of the last entry is told.
async fn after_an_end(state: &[&str]) -> (Vec<String>, bool) {
    let world = World::start().await;
    let entry = world.taken("1", "{}", "t").await;
    for command in state {
        world.set(command).await;
    }
    world.worker.complete(&entry, "t", "1").await.expect("an answer");
    (marker(&world).await, world.events().await.contains(&"drained".to_owned()))
}

#[tokio::test]
async fn the_end_of_an_entry_leaves_the_signal_that_is_right() {
    let due = START + 5000;
    let delayed = format!("ZADD @delayed {} 8", due * 4096 + 3);
    let later = ["1".to_owned(), due.to_string()];
    let now = ["0".to_owned(), "0".to_owned()];
    let (now, later, none) = (&now[..], &later[..], &[][..]);
    for (state, signal, drained) in [
        (&[][..], none, true),
        (&["LPUSH @wait 2"], now, false),
        (&["ZADD @prioritized 1 2"], now, false),
        (&["LPUSH @wait 2", &delayed], now, false),
        (&[&delayed], later, false),
        (&["LPUSH @active 7"], none, false),
        (&["HSET @meta paused 1"], none, false),
        (&["HSET @meta paused 1", "LPUSH @wait 2"], none, false),
        (&["HSET @meta concurrency 1", "LPUSH @active 7", "LPUSH @wait 2"], none, false),
        (&["HSET @meta concurrency 2", "LPUSH @active 7", "LPUSH @wait 2"], now, false),
    ] {
        assert_eq!(after_an_end(state).await, (signal.to_vec(), drained), "{state:?}");
    }
}

#[tokio::test]
async fn the_end_of_a_rate_limit_is_signalled_where_something_waits_for_it() {
    let limit = ["HSET @meta max 1 duration 1000", "SET @limiter 1 PX 60000", "LPUSH @wait 2"];
    let (signal, _) = after_an_end(&limit).await;
    assert_eq!(signal[0], "1");
    let end: i64 = signal[1].parse().expect("milliseconds");
    assert!(end > START + 30_000 && end <= START + 60_000, "{end}");
    assert_eq!(after_an_end(&limit[..2]).await, (vec![], false));
}

#[tokio::test]
async fn a_signal_is_put_back_only_where_somebody_could_take_something() {
    let due = START + 5000;
    for (state, signal) in [
        (&[][..], &[][..]),
        (&["LPUSH @wait 2"], &["0", "0"]),
        (&["LPUSH @wait 2", "HSET @meta paused 1"], &[]),
        (&["LPUSH @wait 2", "HSET @meta concurrency 0"], &[]),
        (&["LPUSH @wait 2", "HSET @meta max 1", "SET @limiter 1 PX 60000"], &[]),
        (&[&format!("ZADD @delayed {} 8", due * 4096)], &["1", &due.to_string()]),
    ] {
        let world = World::start().await;
        for command in state {
            world.set(command).await;
        }
        world.worker.wake().await.expect("an answer");
        assert_eq!(marker(&world).await, signal, "{state:?}");
        world.said(&[]).await;
    }
}

#[tokio::test]
async fn a_look_counts_what_a_take_would_give_and_moves_nothing() {
    let delayed = |at: i64| format!("ZADD @delayed {} d{at}", (START + at) * 4096);
    let (due, later) = (delayed(0), delayed(700));
    let soon = Some(Duration::from_millis(700));
    for (state, count, next) in [
        (&[][..], 0, None),
        (&["LPUSH @wait 1 2", "ZADD @prioritized 1 3"], 3, None),
        (&["LPUSH @wait 1 2 3 4 5 6"], 5, None),
        (&[&due, &later], 1, soon),
        (&[&later], 0, soon),
        (&["LPUSH @wait 1", "HSET @meta paused 1"], 0, None),
        (&["LPUSH @wait 1 2 3", "HSET @meta concurrency 3", "LPUSH @active 9"], 2, None),
        (&["LPUSH @wait 1 2 3", "HSET @meta concurrency 1", "LPUSH @active 9", &later], 0, None),
        (&["LPUSH @wait 1 2 3", "HSET @meta max 4", "SET @limiter 3 PX 60000"], 1, None),
    ] {
        let world = World::start().await;
        for command in state {
            world.set(command).await;
        }
        let before = world.dump().await;
        assert_eq!(world.worker.look(5).await.expect("an answer"), Look { due: count, next }, "{state:?}");
        assert_eq!(world.dump().await, before);
        world.said(&[]).await;
    }
}
