use super::*;

fn same(how: Value, opts: Value) -> NewEntry {
    let mut entry = entry(opts);
    let mut how = how;
    how["id"] = json!("a");
    entry.opts.insert("deduplication".to_owned(), how);
    entry
}

#[tokio::test]
async fn the_first_holds_a_deduplication_id_and_the_others_are_turned_away() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.add(same(json!({}), json!({}))).await, new("1"));
    assert_eq!(bench.add(same(json!({}), json!({}))).await, before("1"));
    assert_eq!(bench.field("1", "deid").await.as_deref(), Some("a"));
    let opts = bench.field("1", "opts").await.expect("opts");
    assert!(opts.contains(r#""de":{"id":"a"}"#), "{opts}");
    let expected = [
        "added jobId 1 name scan",
        "waiting jobId 1",
        "deduplicated jobId 1 deduplicationId a deduplicatedJobId 2",
    ];
    assert_eq!(bench.events().await, expected);
    assert_eq!(bench.ask::<i64>("PTTL bull:scan-jobs:de:a").await, -1);
}

#[tokio::test]
async fn a_hold_with_a_time_is_prolonged_only_where_that_is_asked_for() {
    let mut bench = Bench::new().await;
    bench.add(same(json!({"ttl": 50_000}), json!({}))).await;
    let () = bench.ask("PEXPIRE bull:scan-jobs:de:a 20000").await;
    assert_eq!(bench.add(same(json!({"ttl": 50_000}), json!({}))).await, before("1"));
    assert!(bench.ask::<i64>("PTTL bull:scan-jobs:de:a").await <= 20_000);
    assert_eq!(bench.add(same(json!({"ttl": 50_000, "extend": true}), json!({}))).await, before("1"));
    assert!(bench.ask::<i64>("PTTL bull:scan-jobs:de:a").await > 20_000);
}

#[tokio::test]
async fn a_delayed_entry_is_replaced_and_a_waiting_one_stays() {
    let mut bench = Bench::new().await;
    let replacing = |opts| same(json!({"replace": true}), opts);
    bench.add(replacing(json!({"delay": 9000}))).await;
    assert_eq!(bench.add(replacing(json!({"delay": 9500}))).await, new("2"));
    let expected = [
        "added jobId 1 name scan",
        "delayed jobId 1 delay 1795292175834",
        "removed jobId 1 prev delayed",
        "deduplicated jobId 2 deduplicationId a deduplicatedJobId 1",
        "added jobId 2 name scan",
        "delayed jobId 2 delay 1795292176334",
    ];
    assert_eq!(bench.events().await, expected);
    assert!(bench.hash("1").await.is_empty());
    assert_eq!(bench.set("delayed").await.len(), 1);
    assert_eq!(bench.add(replacing(json!({}))).await, new("3"), "at once now");
    assert_eq!(bench.add(replacing(json!({}))).await, before("3"));
    assert_eq!(bench.ask::<String>("GET bull:scan-jobs:de:a").await, "3");
}

#[tokio::test]
async fn while_the_holder_is_at_work_the_last_one_is_kept_for_afterwards() {
    let mut bench = Bench::new().await;
    let keeping = || same(json!({"keepLastIfActive": true}), json!({}));
    bench.add(keeping()).await;
    assert_eq!(bench.add(keeping()).await, before("1"));
    assert!(bench.hash("dn:a").await.is_empty(), "nothing is at work");
    let _: String = bench.ask("RPOPLPUSH bull:scan-jobs:wait bull:scan-jobs:active").await;
    bench.add(keeping()).await;
    let last = NewEntry { name: "again".to_owned(), data: json!({"n": 2}), ..keeping() };
    assert_eq!(bench.add(last).await, before("1"));
    let kept = bench.hash("dn:a").await;
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["data", "jid", "name", "opts"]);
    assert_eq!(
        (kept["name"].as_str(), kept["data"].as_str(), kept["jid"].as_str()),
        ("again", r#"{"n":2}"#, "4")
    );
}

#[tokio::test]
async fn a_hold_without_an_end_whose_entry_is_gone_is_taken() {
    let mut bench = Bench::new().await;
    let () = bench.ask("SET bull:scan-jobs:de:a 77").await;
    assert_eq!(bench.add(same(json!({}), json!({}))).await, new("1"));
    assert_eq!(bench.ask::<String>("GET bull:scan-jobs:de:a").await, "1");
}
