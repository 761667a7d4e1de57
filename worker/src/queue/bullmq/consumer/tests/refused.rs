use super::*;

/// Every move out of `active`, by name.
async fn moves(worker: &Consumer, entry: &Entry, token: &str) -> Vec<(&'static str, Moved)> {
    let wait = Duration::from_secs(1);
    vec![
        ("complete", worker.complete(entry, token, "{}").await.expect("an answer")),
        ("fail", worker.fail(entry, token, "r").await.expect("an answer")),
        ("retry", worker.retry(entry, token, "r", Duration::ZERO).await.expect("an answer")),
        ("retry later", worker.retry(entry, token, "r", wait).await.expect("an answer")),
        ("postpone", worker.postpone(&entry.id, token, wait).await.expect("an answer")),
        ("give back", worker.give_back(&entry.id, token).await.expect("an answer")),
    ]
}

/// All moves are refused with this code, and the queue is as it was.
async fn all_refused(world: &World, entry: &Entry, token: &str, code: i64) {
    let before = world.dump().await;
    for (name, moved) in moves(&world.worker, entry, token).await {
        assert_eq!(moved, Moved::Refused(code), "{name}");
    }
    assert_eq!(world.dump().await, before);
    world.said(&[]).await;
}

#[tokio::test]
async fn an_entry_that_is_gone_is_refused_with_minus_one() {
    let world = World::start().await;
    let entry = world.taken("1", "{}", "t").await;
    world.set("DEL @1").await;
    all_refused(&world, &entry, "t", -1).await;
    world.set("DEL @1:lock").await;
    all_refused(&world, &entry, "t", -1).await;
}

#[tokio::test]
async fn an_entry_without_a_lock_is_refused_with_minus_two() {
    let world = World::start().await;
    let entry = world.taken("1", "{}", "t").await;
    world.set("DEL @1:lock").await;
    all_refused(&world, &entry, "t", -2).await;
}

#[tokio::test]
async fn an_entry_that_is_not_active_is_refused_with_minus_three_and_keeps_its_lock() {
    let world = World::start().await;
    let entry = world.taken("1", "{}", "t").await;
    world.set("DEL @active").await;
    all_refused(&world, &entry, "t", -3).await;
}

#[tokio::test]
async fn an_entry_that_somebody_else_has_is_refused_with_minus_six() {
    let world = World::start().await;
    let entry = world.taken("1", "{}", "theirs").await;
    all_refused(&world, &entry, "t", -6).await;
}

#[tokio::test]
async fn only_a_result_is_refused_while_children_are_open() {
    for (key, code) in
        [("SADD @1:dependencies bull:other:9", -4), ("ZADD @1:unsuccessful 5 bull:other:9", -9)]
    {
        let world = World::start().await;
        let entry = world.taken("1", "{}", "t").await;
        world.set(key).await;
        let before = world.dump().await;
        let refused = world.worker.complete(&entry, "t", "{}").await.expect("an answer");
        assert_eq!(refused, Moved::Refused(code));
        assert_eq!(world.dump().await, before);
        assert_eq!(world.worker.fail(&entry, "t", "r").await.expect("an answer"), Moved::Done);
    }
}

#[tokio::test]
async fn a_move_that_is_repeated_because_its_answer_was_lost_is_refused_and_changes_nothing() {
    for repeated in 0..6 {
        let world = World::start().await;
        let entry = world.taken("1", "{}", "t").await;
        let wait = Duration::from_secs(1);
        let once = async || match repeated {
            0 => world.worker.complete(&entry, "t", "{}").await.expect("an answer"),
            1 => world.worker.fail(&entry, "t", "r").await.expect("an answer"),
            2 => world.worker.retry(&entry, "t", "r", Duration::ZERO).await.expect("an answer"),
            3 => world.worker.retry(&entry, "t", "r", wait).await.expect("an answer"),
            4 => world.worker.postpone("1", "t", wait).await.expect("an answer"),
            _ => world.worker.give_back("1", "t").await.expect("an answer"),
        };
        assert_eq!(once().await, Moved::Done, "{repeated}");
        world.events().await;
        all_refused(&world, &entry, "t", -2).await;
        if repeated >= 2 {
            world.at(5000);
            world.take("t2").await;
            world.events().await;
            all_refused(&world, &entry, "t", -6).await;
        }
    }
}

#[tokio::test]
async fn an_end_that_is_not_kept_is_refused_with_minus_one_when_it_is_repeated() {
    let world = World::start().await;
    let entry = world.taken("1", r#"{"removeOnComplete":true}"#, "t").await;
    assert_eq!(world.worker.complete(&entry, "t", "{}").await.expect("an answer"), Moved::Done);
    world.events().await;
    all_refused(&world, &entry, "t", -1).await;
}
