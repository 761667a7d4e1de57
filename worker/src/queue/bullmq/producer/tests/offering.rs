use super::*;

fn scan() -> ScanId {
    ScanId::parse("0f5c-abc").expect("it is short")
}

fn of_scan() -> NewEntry {
    NewEntry::scan(&scan(), "u1", "http://a.example/", 3)
}

async fn offer(bench: &Bench, entry: &NewEntry) -> Offered {
    bench.producer.offer(entry).await.expect("Redis answers")
}

/// Ends the only waiting entry, as a worker would leave it behind.
async fn end(bench: &mut Bench, state: &str, result: &str) -> String {
    let id: String = bench.ask("RPOP bull:scan-jobs:wait").await;
    let () = bench.ask(&format!("ZADD bull:scan-jobs:{state} 5 {id}")).await;
    let () = bench
        .ask(&format!("HSET bull:scan-jobs:{id} finishedOn 5 processedOn 4 atm 3 ats 3 {result} x"))
        .await;
    let () = bench.ask("DEL bull:scan-jobs:marker bull:scan-jobs:events").await;
    id
}

#[tokio::test]
async fn an_entry_that_is_missing_is_added_and_one_that_is_there_is_left_alone() {
    let mut bench = Bench::new().await;
    assert_eq!(offer(&bench, &of_scan()).await, Offered::Added);
    let data: Value =
        serde_json::from_str(&bench.field("0f5c-abc", "data").await.expect("data")).expect("JSON");
    assert_eq!(data, json!({"jobId": "0f5c-abc", "url": "http://a.example/", "userId": "u1"}));
    let opts: Value =
        serde_json::from_str(&bench.field("0f5c-abc", "opts").await.expect("opts")).expect("JSON");
    let backoff = json!({"type": "exponential", "delay": 2000, "jitter": 1});
    assert_eq!(opts, json!({"attempts": 3, "backoff": backoff, "jobId": "0f5c-abc"}));
    let before = bench.events().await;
    assert_eq!(offer(&bench, &of_scan()).await, Offered::There);
    for (from, to) in [("wait", "active"), ("active", "paused")] {
        let _: String = bench.ask(&format!("RPOPLPUSH bull:scan-jobs:{from} bull:scan-jobs:{to}")).await;
        assert_eq!(offer(&bench, &of_scan()).await, Offered::There, "{to}");
    }
    let () = bench.ask("DEL bull:scan-jobs:paused").await;
    for set in ["delayed", "prioritized", "waiting-children"] {
        let () = bench.ask(&format!("ZADD bull:scan-jobs:{set} 1 0f5c-abc")).await;
        assert_eq!(offer(&bench, &of_scan()).await, Offered::There, "{set}");
        let () = bench.ask(&format!("DEL bull:scan-jobs:{set}")).await;
    }
    assert_eq!(bench.events().await, before);
    assert_eq!(bench.list("wait").await, [""; 0]);
}

#[tokio::test]
async fn an_entry_that_has_ended_runs_again_and_keeps_its_attempts() {
    for (state, result) in [("failed", "failedReason"), ("completed", "returnvalue")] {
        let mut bench = Bench::new().await;
        offer(&bench, &of_scan()).await;
        end(&mut bench, state, result).await;
        assert_eq!(offer(&bench, &of_scan()).await, Offered::Again);
        let hash = bench.hash("0f5c-abc").await;
        for gone in ["finishedOn", "processedOn", result] {
            assert!(!hash.contains_key(gone), "{gone}");
        }
        assert_eq!((hash["atm"].as_str(), hash["ats"].as_str()), ("3", "3"));
        assert_eq!(bench.list("wait").await, ["0f5c-abc"]);
        assert_eq!(bench.set(state).await, []);
        assert_eq!(bench.set("marker").await, pairs(&[("0", "0")]));
        assert_eq!(bench.events().await, [format!("waiting jobId 0f5c-abc prev {state}")]);
        assert_eq!(offer(&bench, &of_scan()).await, Offered::There);
    }
}

#[tokio::test]
async fn a_priority_and_a_delay_are_kept_to() {
    let mut bench = Bench::new().await;
    offer(&bench, &of_scan().with_priority(4)).await;
    assert_eq!(bench.set("prioritized").await, pairs(&[("0f5c-abc", "17179869185")]));
    let () = bench.ask("DEL bull:scan-jobs:prioritized").await;
    let () = bench.ask("ZADD bull:scan-jobs:failed 5 0f5c-abc").await;
    assert_eq!(offer(&bench, &of_scan()).await, Offered::Again);
    assert_eq!(bench.set("prioritized").await, pairs(&[("0f5c-abc", "17179869186")]), "as the entry says");
    for (priority, expected) in [(-3, None), (1 << 40, Some(1 << 21))] {
        let of = of_scan().with_priority(priority);
        assert_eq!(of.opts.get("priority").and_then(Value::as_u64), expected, "{priority}");
    }
    let later = NewEntry { id: Some("later".to_owned()), ..of_scan().after(Duration::from_secs(9)) };
    offer(&bench, &later).await;
    assert_eq!(bench.set("delayed").await.len(), 1);
    assert_eq!(bench.field("later", "delay").await.as_deref(), Some("9000"));
}

#[tokio::test]
async fn a_priority_that_is_no_whole_number_is_none() {
    let mut bench = Bench::new().await;
    offer(&bench, &of_scan()).await;
    end(&mut bench, "failed", "failedReason").await;
    let () = bench.ask("HSET bull:scan-jobs:0f5c-abc priority 0x2").await;
    assert_eq!(offer(&bench, &of_scan()).await, Offered::Again);
    assert_eq!(bench.list("wait").await, ["0f5c-abc"]);
    let () = bench.ask("DEL bull:scan-jobs:wait").await;
    assert_eq!(offer(&bench, &of_scan()).await, Offered::Found);
    assert_eq!(bench.list("wait").await, ["0f5c-abc"]);
}

#[tokio::test]
async fn an_entry_in_no_list_is_put_back_into_one() {
    let mut bench = Bench::new().await;
    offer(&bench, &of_scan()).await;
    let () = bench.ask("DEL bull:scan-jobs:wait bull:scan-jobs:marker").await;
    assert_eq!(offer(&bench, &of_scan()).await, Offered::Found);
    assert_eq!(bench.list("wait").await, ["0f5c-abc"]);
    assert_eq!(bench.set("marker").await, pairs(&[("0", "0")]));
}

#[tokio::test]
async fn the_entry_of_another_producer_runs_again_if_it_is_that_jobs() {
    let mut bench = Bench::new().await;
    bench.add(NewEntry { id: None, ..of_scan() }).await;
    let rerun = async |bench: &Bench, id: &str, job: &str| {
        let job = ScanId::parse(job).expect("it is short");
        bench.producer.rerun(id, &job).await.expect("Redis answers")
    };
    assert_eq!(rerun(&bench, "1", "0f5c-abc").await, Some(Offered::There));
    end(&mut bench, "failed", "failedReason").await;
    assert_eq!(rerun(&bench, "1", "another").await, None);
    assert_eq!(rerun(&bench, "2", "0f5c-abc").await, None);
    assert_eq!(bench.list("wait").await, [""; 0]);
    assert_eq!(rerun(&bench, "1", "0f5c-abc").await, Some(Offered::Again));
    assert_eq!(bench.list("wait").await, ["1"]);
    assert_eq!(bench.events().await, ["waiting jobId 1 prev failed"]);
}

#[tokio::test]
async fn a_child_that_runs_again_counts_for_its_parent_whatever_the_parent_is_called() {
    for (parent, waits) in [("p", true), ("a:b:c", true), ("p", false)] {
        let mut bench = Bench::new().await;
        let () = bench.ask(&format!("HSET bull:scan-jobs:{parent} name parent")).await;
        let mut child = of_scan();
        child.opts.insert("parent".to_owned(), json!({"id": parent, "queue": "bull:scan-jobs"}));
        assert_eq!(bench.add(child).await, new("0f5c-abc"));
        end(&mut bench, "failed", "failedReason").await;
        let children = format!("bull:scan-jobs:{parent}:dependencies");
        let () = bench.ask(&format!("DEL {children}")).await;
        if waits {
            let () = bench.ask(&format!("ZADD bull:scan-jobs:waiting-children 5 {parent}")).await;
        }
        assert_eq!(offer(&bench, &of_scan()).await, Offered::Again);
        let counted: Vec<String> = bench.ask(&format!("SMEMBERS {children}")).await;
        assert_eq!(counted == ["bull:scan-jobs:0f5c-abc"], waits, "{parent} {counted:?}");
    }
}

#[tokio::test]
async fn an_entry_that_runs_again_goes_before_the_others_where_its_producer_asked_for_that() {
    let mut bench = Bench::new().await;
    let mut last_in_first_out = of_scan();
    last_in_first_out.opts.insert("lifo".to_owned(), json!(true));
    offer(&bench, &last_in_first_out).await;
    end(&mut bench, "completed", "returnvalue").await;
    bench.add(entry(json!({}))).await;
    assert_eq!(offer(&bench, &last_in_first_out).await, Offered::Again);
    assert_eq!(bench.list("wait").await, ["2", "0f5c-abc"], "the right end is taken first");
}

#[tokio::test]
async fn an_end_after_the_look_that_led_to_an_offer_stays() {
    let mut bench = Bench::new().await;
    offer(&bench, &of_scan()).await;
    end(&mut bench, "failed", "failedReason").await;
    let late = bench.producer.offer_again(&of_scan(), 4).await.expect("Redis answers");
    assert_eq!(late, Offered::There);
    assert_eq!(bench.list("wait").await, [""; 0]);
    let known = bench.producer.offer_again(&of_scan(), 5).await.expect("Redis answers");
    assert_eq!(known, Offered::Again);
}
