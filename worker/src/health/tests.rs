use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::metrics::Part;
use crate::store::testing::fresh;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

async fn health() -> (Health, Metrics) {
    let metrics = Metrics::new();
    let health = Health::listen(([127, 0, 0, 1], 0).into(), metrics.clone()).await.expect("a free port");
    (health, metrics)
}

async fn send(health: &Health, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(health.address()).await.expect("it listens");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    stream
}

async fn ask(health: &Health, request: &str) -> (u16, String) {
    let mut stream = send(health, &format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    let mut answer = String::new();
    timeout(LONG, stream.read_to_string(&mut answer)).await.expect("an end").expect("text");
    let status = answer.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, answer)
}

#[tokio::test]
async fn readiness_says_what_is_waited_for_until_nothing_is() {
    let (health, metrics) = health().await;
    metrics.silent(Part::Engine, "no socket");
    let (status, answer) = ask(&health, "GET /readyz").await;
    assert_eq!(status, 503);
    assert!(answer.contains("content-type: application/json"), "{answer}");
    assert!(answer.contains(r#""part":"engine","ready":false,"waitsFor":"no socket","since":""#), "{answer}");
    assert!(answer.contains("engine: no socket (since "), "{answer}");
    Part::ALL.into_iter().for_each(|part| metrics.answers(part));
    let (status, answer) = ask(&health, "GET /readyz").await;
    assert!(status == 200 && answer.contains(r#""ready":true,"says":"jobs can be taken""#), "{answer}");
    metrics.draining();
    let (status, answer) = ask(&health, "GET /readyz").await;
    let told = r#""says":"not ready: jobs: draining: no new job is taken (since "#;
    assert!(status == 503 && answer.contains(told), "{answer}");
}

#[tokio::test]
async fn a_worker_that_waits_lives_and_one_whose_loop_stands_still_does_not() {
    let metrics = Metrics::new();
    let counting = Counting::default();
    let lives = async |metrics: &Metrics| {
        answer::to(&hyper::Method::GET, "/livez", metrics, &counting).await.status().as_u16()
    };
    assert_eq!(lives(&metrics).await, 200, "although nothing answers");
    tokio::time::pause();
    tokio::time::advance(answer::STANDS_STILL).await;
    assert_eq!(lives(&metrics).await, 503);
    metrics.alive();
    assert_eq!(lives(&metrics).await, 200);
}

#[tokio::test]
async fn a_scrape_has_what_the_database_holds() {
    let (mut health, _) = health().await;
    let (status, answer) = ask(&health, "GET /metrics").await;
    assert!(status == 200 && answer.contains("application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(answer.contains("\nsafeurl_database_up 0\n") && answer.ends_with("# EOF\n"), "{answer}");
    let (_folder, store) = fresh().await;
    store.one("https://example.com/").await;
    health.count(store.clone());
    health.count_on("engine");
    // The task starts by itself.
    let counted = async {
        loop {
            let (_, answer) = ask(&health, "GET /metrics").await;
            if answer.contains("\nsafeurl_database_up 1\n") {
                return answer;
            }
        }
    };
    let answer = timeout(LONG, counted).await.expect("the database is counted");
    for line in ["safeurl_jobs{state=\"QUEUED\"} 1", "safeurl_queue_ready 1", "safeurl_containers 0"] {
        assert!(answer.contains(&format!("\n{line}\n")), "{line} in {answer}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_would_change_something_405() {
    let (health, _) = health().await;
    for path in ["/", "/livez/", "/metrics2", "//metrics", "*"] {
        assert_eq!(ask(&health, &format!("GET {path}")).await.0, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let (status, answer) = ask(&health, &format!("{method} /metrics")).await;
        assert!(status == 405 && answer.contains("allow: GET, HEAD"), "{answer}");
    }
    let (status, answer) = ask(&health, "HEAD /metrics").await;
    assert!(status == 200 && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(ask(&health, "GET /livez?probe=1").await.0, 200);
}

#[tokio::test]
async fn a_head_beyond_measure_is_refused_and_the_next_client_served() {
    let (health, _) = health().await;
    let long = format!("GET /livez HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD));
    let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS + 1));
    for head in [long.as_str(), many.as_str(), "\0\0\0\r\n\r\n", "GET /livez HTTP/9.9\r\n\r\n"] {
        let mut stream = send(&health, head).await;
        let mut answer = Vec::new();
        // A connection that is closed with bytes unread may be reset before the answer is heard.
        let _ = timeout(LONG, stream.read_to_end(&mut answer)).await.expect("an end");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(ask(&health, "GET /livez").await.0, 200);
}

#[tokio::test]
async fn clients_that_say_nothing_keep_nobody_out_and_are_sent_away() {
    let (health, _) = health().await;
    let mut silent = Vec::new();
    for _ in 0..MOST_CONNECTIONS + 3 {
        silent.push(send(&health, "GET /livez HTTP/1.1\r\n").await);
    }
    assert_eq!(ask(&health, "GET /livez").await.0, 200);
    // The oldest went to make room, the others go by their time.
    for mut stream in silent {
        let mut answer = Vec::new();
        let _ = timeout(LONG, stream.read_to_end(&mut answer)).await.expect("it is sent away");
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let (health, metrics) = health().await;
    let error = Health::listen(health.address(), metrics).await.expect_err("it is taken");
    assert!(error.to_string().contains(&health.address().to_string()), "{error}");
}
