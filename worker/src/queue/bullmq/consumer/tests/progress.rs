use super::*;

#[tokio::test]
async fn how_far_an_entry_has_come_is_written_told_and_logged() {
    let world = World::start().await;
    let entry = world.taken("1", "{}", "t").await;
    world.worker.came_to(&entry, "{\"stage\":\"FETCHING\"}", "line one").await.expect("an answer");
    world.worker.came_to(&entry, "not json", "line two").await.expect("an answer");
    assert_eq!(world.run::<Vec<String>>("LRANGE @1:logs 0 -1").await, ["line one", "line two"]);
    assert_eq!(world.run::<String>("HGET @1 progress").await, "\"not json\"");
    world
        .said(&["progress jobId 1 data {\"stage\":\"FETCHING\"}", "progress jobId 1 data \"not json\""])
        .await;
}

#[tokio::test]
async fn what_is_told_on_the_way_keeps_the_stream_short() {
    let world = World::start().await;
    world.set("HSET @meta opts.maxLenEvents 10").await;
    let entry = world.taken("1", "{}", "t").await;
    for _ in 0..150 {
        world.worker.came_to(&entry, "1", "line").await.expect("an answer");
    }
    // A stream is trimmed by whole nodes of a hundred.
    assert!(world.run::<u64>("XLEN @events").await < 150);
}

#[tokio::test]
async fn as_many_lines_of_the_log_stay_as_the_entry_asks_for() {
    for (opts, kept) in [(r#"{"kl":2}"#, 2), (r#"{"kl":0}"#, 4), ("{}", 4)] {
        let world = World::start().await;
        let entry = world.taken("1", opts, "t").await;
        for line in ["1", "2", "3", "4"] {
            world.worker.came_to(&entry, "1", line).await.expect("an answer");
        }
        let lines: Vec<String> = world.run("LRANGE @1:logs 0 -1").await;
        assert_eq!(lines, ["1", "2", "3", "4"][4 - kept..], "{opts}");
    }
}

#[tokio::test]
async fn nothing_is_written_of_an_entry_that_is_gone() {
    let world = World::start().await;
    let entry = world.taken("1", "{}", "t").await;
    world.set("DEL @1 @1:lock @active").await;
    world.worker.came_to(&entry, "1", "line").await.expect("an answer");
    world.holds(&[]).await;
    world.said(&[]).await;
    assert_eq!(world.worker.read("1").await.expect("an answer"), None);
}

#[tokio::test]
async fn an_entry_is_read_as_it_is_now() {
    let world = World::start().await;
    let taken = world.taken("1", r#"{"attempts":3}"#, "t").await;
    assert_eq!(world.worker.read("1").await.expect("an answer"), Some(taken));
    world.set("HSET @1 atm 2 defa late").await;
    let read = world.worker.read("1").await.expect("an answer").expect("an entry");
    assert_eq!((read.atm, read.deferred.as_deref()), (2, Some("late")));
    world.set("SET @odd text").await;
    assert_eq!(world.worker.read("odd").await.expect("an answer"), None);
}
