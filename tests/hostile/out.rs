//! What a fetcher that was taken over gets out through its gateway, through the whole program: what is refused, what the
//! verdict says of it, and that nothing is left.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::claims::{claims, hex, page, stage};
use crate::leftovers;
use crate::stage::Stage;

/// The report at the end of each: one answer, of which the gateway knows nothing.
fn honest() -> String {
    claims("/schema", &safeurl_protocol::SCHEMA.to_string())
}

/// Scans pages that make the fetcher do these steps and report; their documents.
fn scanned(stage: &Stage, pages: &[&[&str]]) -> Vec<Value> {
    let honest = honest();
    let urls: Vec<_> =
        pages.iter().map(|steps| page(&[*steps, &[honest.as_str(), "exit 0"]].concat())).collect();
    let ran = stage.run(["scan", "--json"].into_iter().chain(urls.iter().map(String::as_str)));
    let documents = ran.json();
    let of = |url: &String| documents.iter().find(|document| document["task"]["url"] == url.as_str());
    let found = urls.iter().map(|url| of(url).cloned().unwrap_or_else(|| panic!("{url}: {ran:?}"))).collect();
    leftovers::none_within(stage, Duration::from_secs(45));
    found
}

/// What is quoted for a finding; none of these: there is no such finding.
fn quoted(document: &Value, rule: &str) -> Vec<String> {
    let findings = document["verdict"]["findings"].as_array().expect("findings").iter();
    let of_rule = findings.filter(|finding| finding["ruleId"] == rule);
    of_rule.flat_map(|finding| finding["evidence"].as_array().expect("evidence").iter()).map(text).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A server that reads whatever comes and says so many bytes; how many it got.
fn server(says: usize) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, got) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&got);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let counter = Arc::clone(&counter);
            let mut speaking = stream.try_clone().unwrap();
            std::thread::spawn(move || {
                let _ = speaking.write_all(&vec![b'y'; says]);
            });
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut chunk = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut chunk) {
                    counter.fetch_add(read as u64, Ordering::Relaxed);
                }
            });
        }
    });
    (address, got)
}

#[test]
fn each_budget_that_was_reached_is_named_in_the_verdict_and_one_less_is_not() {
    let stage = stage("40s")
        .with("SAFEURL_FETCH_BODY_CAP", "64KiB")
        .with("SAFEURL_GATEWAY_BYTES_IN", "64KiB")
        .with("SAFEURL_GATEWAY_ALLOW_NETWORKS", "127.0.0.1/32");
    let ((small, got), (large, _)) = (server(0), server(200_000));
    // Ten redirects and four are fourteen hosts; thirty-two connections; 256 KiB out; 64 KiB in.
    let cases = [
        ("connect 14 0 10.0.0.$N:80".to_owned(), None),
        ("connect 15 0 10.0.0.$N:80".to_owned(), Some("hosts")),
        ("connect 32 0 10.0.0.1:80".to_owned(), None),
        ("connect 33 0 10.0.0.1:80".to_owned(), Some("connections")),
        (format!("connect 1 300000 {small}"), Some("bytes-out")),
        (format!("connect 1 0 {large}"), Some("bytes-in")),
    ];
    for (steps, budget) in &cases {
        let document = &scanned(&stage, &[&[steps.as_str()]])[0];
        assert_eq!(document["job"]["state"], "COMPLETED", "{steps}: {document}");
        let named = quoted(document, "ledger-budget");
        assert_eq!(named, budget.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), "{steps}");
    }
    let until = Instant::now() + Duration::from_secs(30);
    while got.load(Ordering::Relaxed) < 256 * 1024 {
        assert!(Instant::now() < until, "{} bytes came", got.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(got.load(Ordering::Relaxed), 256 * 1024, "what the server got");
}

/// The worker stands still from before the time is over until the server has seen the end of the connection: it is the
/// gateway alone that cuts it.
#[test]
fn a_connection_that_outlives_its_time_is_cut_by_the_gateway_alone_and_the_scan_with_it() {
    let stage = stage("5s");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = page(&[&format!("connect 1 1 {}", listener.local_addr().unwrap()), "hang"]);
    let mut worker = stage.worker(&[]);
    stage.wait_for_tables();
    assert_eq!(stage.run(["submit", &url]).code, Some(0));
    let (mut connection, _) = listener.accept().unwrap();
    worker.signal("-STOP");
    connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut heard = Vec::new();
    let ended = connection.read_to_end(&mut heard);
    worker.signal("-CONT");
    assert_eq!((ended.map_err(|error| error.kind()), heard), (Ok(1), b"x".to_vec()));

    stage.wait_for("SELECT state FROM scan_jobs", "TIMED_OUT", Duration::from_secs(60));
    let id = stage.query("SELECT id FROM scan_jobs")[0][0].clone();
    let document = stage.run(["jobs", "show", "--json", &id]).json().remove(0);
    assert_eq!(document["job"]["failure"]["class"], "timeout", "{document}");
    assert_eq!(document["egress"][0]["error"], "deadline", "{document}");
    worker.signal("-TERM");
    worker.end();
    leftovers::none_within(&stage, Duration::from_secs(45));
}

/// A server that ends every connection at once; how many it met.
fn curt() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, met) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&met);
    std::thread::spawn(move || {
        for _ in listener.incoming().map_while(Result::ok) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, met)
}

/// 1024 is the most that can be set, so that not even by its settings does a gateway become a source of floods.
#[test]
fn ten_thousand_connections_end_at_their_budget_and_a_thousand_pass_where_it_is_wide() {
    let cases = [("32", 10_000, 32, true), ("1024", 1_024, 1_024, false), ("1024", 10_000, 1_024, true)];
    for (budget, asked, passed, named) in cases {
        let stage = stage("2m").with("SAFEURL_GATEWAY_MAX_CONNECTIONS", budget);
        let (address, met) = curt();
        let document = &scanned(&stage, &[&[&format!("connect {asked} 0 {address}")]])[0];
        assert_eq!(document["job"]["state"], "COMPLETED", "{asked} of {budget}: {document}");
        assert_eq!(met.load(Ordering::Relaxed), passed, "{asked} of {budget}");
        let expected = if named { vec!["connections".to_owned()] } else { Vec::new() };
        assert_eq!(quoted(document, "ledger-budget"), expected, "{asked} of {budget}");
    }
}

#[test]
fn what_is_denied_or_smuggled_is_refused_written_down_and_told() {
    let denied = ["10.0.0.1:80", "169.254.169.254:80", "[fd00::1]:443", "192.168.0.1:80"];
    let head = "CONNECT a.test:80 HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /";
    let smuggled = format!("say-to-gateway {}", hex(head));
    let steps: Vec<_> = denied.iter().map(|target| format!("connect 1 0 {target}")).collect();
    let steps: Vec<_> = steps.iter().map(String::as_str).collect();
    let stage = stage("40s");
    let documents = scanned(&stage, &[&steps, &[&smuggled], &[]]);
    for document in &documents {
        assert_eq!(document["job"]["state"], "COMPLETED", "{document}");
        assert!(document["egress"].as_array().unwrap().iter().all(|entry| entry["dialed"].is_null()));
    }
    let egress = documents[0]["egress"].as_array().unwrap();
    let decisions: Vec<_> = egress.iter().map(|entry| entry["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["denied"; 4], "{egress:?}");
    assert_eq!(quoted(&documents[0], "ledger-denied").len(), denied.len());
    for control in &documents[1..] {
        assert!(quoted(control, "ledger-denied").is_empty(), "{control}");
    }
}
