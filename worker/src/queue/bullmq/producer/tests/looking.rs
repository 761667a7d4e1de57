use super::*;

#[tokio::test]
async fn every_state_is_counted() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.producer.counts().await.expect("Redis answers"), Counts::default());
    let line = |kind: &str, key: &str, count: usize| {
        let members: Vec<_> =
            (0..count).map(|n| if kind == "ZADD" { format!("{n} m{n}") } else { format!("m{n}") }).collect();
        format!("{kind} bull:scan-jobs:{key} {}", members.join(" "))
    };
    let lines = [
        line("LPUSH", "wait", 1),
        line("LPUSH", "paused", 2),
        line("LPUSH", "active", 4),
        line("ZADD", "delayed", 5),
        line("ZADD", "prioritized", 6),
        line("ZADD", "waiting-children", 7),
        line("ZADD", "completed", 8),
        line("ZADD", "failed", 9),
        "HSET bull:scan-jobs:meta paused 1".to_owned(),
    ];
    for line in lines {
        let () = bench.ask(&line).await;
    }
    let expected = Counts {
        waiting: 3,
        active: 4,
        delayed: 5,
        prioritized: 6,
        waiting_children: 7,
        completed: 8,
        failed: 9,
        paused: true,
    };
    assert_eq!(bench.producer.counts().await.expect("Redis answers"), expected);
}

#[tokio::test]
async fn the_jobs_of_all_entries_that_have_not_ended_are_told_up_to_a_limit() {
    let mut bench = Bench::new().await;
    let of = |job: Value, opts: Value| NewEntry { data: json!({"jobId": job}), ..entry(opts) };
    let mut entries = vec![
        of(json!("active"), json!({})),
        of(json!("ended"), json!({})),
        of(json!("delayed"), json!({"delay": 1})),
        of(json!("prioritized"), json!({"priority": 1})),
        of(json!(7), json!({})),
        NewEntry { data: json!("x".repeat(2 << 20)), ..entry(json!({})) },
    ];
    entries.extend((0..600).map(|n| of(json!(format!("job-{n}")), json!({}))));
    bench.producer.add(&entries).await.expect("Redis answers");
    let _: String = bench.ask("RPOPLPUSH bull:scan-jobs:wait bull:scan-jobs:active").await;
    let _: String = bench.ask("RPOP bull:scan-jobs:wait").await;
    let () = bench.ask("LPUSH bull:scan-jobs:paused no-hash").await;
    let mut connection = bench.redis.connection().await;
    let broken =
        redis::cmd("HSET").arg("bull:scan-jobs:6").arg("data").arg("{").query_async(&mut connection).await;
    assert_eq!(broken, Ok(0));
    let jobs = bench.producer.waiting_jobs(606).await.expect("Redis answers").expect("no more than that");
    let mut expected: HashSet<String> = (0..600).map(|n| format!("job-{n}")).collect();
    expected.extend(["active", "delayed", "prioritized", "7"].map(str::to_owned));
    assert_eq!(jobs, expected);
    assert_eq!(bench.producer.waiting_jobs(605).await.expect("Redis answers"), None);
}

#[tokio::test]
async fn names_that_are_no_text_hide_no_others() {
    let mut bench = Bench::new().await;
    bench.add(NewEntry { data: json!({"jobId": "job"}), ..entry(json!({})) }).await;
    for arguments in [
        [&b"HSET"[..], b"bull:scan-jobs:2", b"data", b"{\"jobId\":\"\xff\"}"],
        [b"LPUSH", b"bull:scan-jobs:wait", b"2", b"\xfe"],
    ] {
        let mut command = redis::cmd("EVAL");
        command.arg("return redis.call(unpack(ARGV))").arg(0).arg(&arguments);
        let () = command.query_async(&mut bench.beside).await.expect("an answer");
    }
    let jobs = bench.producer.waiting_jobs(3).await.expect("Redis answers").expect("no more than that");
    assert_eq!(jobs, HashSet::from(["job".to_owned(), "\u{fffd}".to_owned()]));
}

#[tokio::test]
async fn data_of_many_megabytes_is_read_a_part_at_a_time() {
    let bench = Bench::new().await;
    let large = |n: usize| NewEntry {
        data: json!({"jobId": n.to_string(), "x": "x".repeat(700_000)}),
        ..entry(json!({}))
    };
    bench.producer.add(&(0..5).map(large).collect::<Vec<_>>()).await.expect("Redis answers");
    let jobs = bench.producer.waiting_jobs(10).await.expect("Redis answers").expect("no more than that");
    assert_eq!(jobs.len(), 5);
}
