use safeurl_protocol::ledger::Entry;

use super::*;
use crate::domain::scan::sample;

fn entry(decision: Decision, rule: &str) -> Entry {
    Entry {
        seq: 1,
        host: "secret.example".into(),
        port: 80,
        addresses: Vec::new(),
        tried: Vec::new(),
        dialed: (decision == Decision::Allowed).then(|| "192.0.2.1".into()),
        decision,
        rule: rule.into(),
        bytes_in: 100,
        bytes_out: 7,
        opened_at: 0,
        dns_ms: None,
        connect_ms: None,
        duration_ms: None,
        error: None,
    }
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
}

fn counted() -> Counted {
    Counted {
        states: vec![(State::Queued, 5)],
        classes: vec![(FailureClass::Dns, 2)],
        ready: 3,
        delayed: 2,
        held_back: 6,
        reserved: 1,
        oldest: Some(Duration::from_millis(1_500)),
        containers: Some(4),
    }
}

#[test]
fn what_happened_is_counted_where_it_belongs() {
    let metrics = Metrics::new();
    metrics.settled((State::Completed, None));
    metrics.settled((State::Failed, Some(FailureClass::Dns)));
    metrics.settled((State::Failed, Some(FailureClass::Dns)));
    metrics.lease_lost();
    metrics.taken_over();
    metrics.adopted();
    metrics.error(Part::Engine);
    metrics.container_started(80);
    metrics.ran(700);
    metrics.turned((5, 1, 2));
    metrics.pool((3, 1));
    metrics.pool_asked(true);
    let text = metrics.text(None);
    for line in [
        "safeurl_pool_ready 3",
        "safeurl_pool_starting 1",
        "safeurl_pool_hits_total 1",
        "safeurl_pool_misses_total 0",
        r#"safeurl_jobs_settled_total{state="COMPLETED",class="none"} 1"#,
        r#"safeurl_jobs_settled_total{state="FAILED",class="dns"} 2"#,
        r#"safeurl_jobs_settled_total{state="FAILED",class="tls"} 0"#,
        "safeurl_lease_losses_total 1",
        "safeurl_take_overs_total 1",
        "safeurl_adoptions_total 1",
        "safeurl_engine_errors_total 1",
        "safeurl_database_errors_total 0",
        r#"safeurl_container_start_seconds_bucket{le="0.1"} 1"#,
        r#"safeurl_container_start_seconds_bucket{le="0.05"} 0"#,
        "safeurl_run_seconds_sum 0.7",
        "safeurl_slots 5",
        "safeurl_slots_used 3",
        "safeurl_attempts_waiting 1",
        concat!("safeurl_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        has(&text, line);
    }
}

#[test]
fn a_ledger_counts_connections_bytes_and_denials_and_no_name_gets_in() {
    let metrics = Metrics::new();
    let entries = vec![
        entry(Decision::Allowed, "global"),
        entry(Decision::Denied, "metadata"),
        entry(Decision::Denied, "hosts"),
        entry(Decision::Denied, "secret.example"),
        Entry { dialed: None, ..entry(Decision::Allowed, "unresolved") },
    ];
    metrics.passed(&Ledger { entries, ..Ledger::default() });
    let text = metrics.text(None);
    for line in [
        "safeurl_gateway_connections_total 1",
        r#"safeurl_gateway_denials_total{rule="metadata"} 1"#,
        r#"safeurl_gateway_denials_total{rule="hosts"} 1"#,
        r#"safeurl_gateway_denials_total{rule="other"} 1"#,
        r#"safeurl_gateway_denials_total{rule="loopback"} 0"#,
        r#"safeurl_gateway_passed_bytes_total{direction="in"} 500"#,
        r#"safeurl_gateway_passed_bytes_total{direction="out"} 35"#,
    ] {
        has(&text, line);
    }
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn a_claim_tells_how_long_the_job_had_been_due() {
    let metrics = Metrics::new();
    let mut job = sample("http://example.test/");
    job.created = Timestamp::from_millis(0);
    job.run_at = Some(Timestamp::from_millis(10_000));
    job.started = Some(Timestamp::from_millis(10_040));
    metrics.claimed(&job);
    let text = metrics.text(None);
    has(&text, "safeurl_jobs_claimed_total 1");
    has(&text, r#"safeurl_queue_wait_seconds_bucket{le="0.01"} 0"#);
    has(&text, r#"safeurl_queue_wait_seconds_bucket{le="0.05"} 1"#);
}

#[test]
fn what_the_database_holds_is_told_or_left_out_and_never_zero_for_unknown() {
    let metrics = Metrics::new();
    let text = metrics.text(Some(&counted()));
    for line in [
        "safeurl_database_up 1",
        r#"safeurl_jobs{state="QUEUED"} 5"#,
        r#"safeurl_jobs{state="FAILED"} 0"#,
        r#"safeurl_failed_jobs{class="dns"} 2"#,
        "safeurl_queue_ready 3",
        "safeurl_queue_delayed 2",
        "safeurl_queue_held_back 6",
        "safeurl_queue_reserved 1",
        "safeurl_queue_oldest_age_seconds 1.5",
        "safeurl_containers 4",
    ] {
        has(&text, line);
    }
    let silent = metrics.text(None);
    has(&silent, "safeurl_database_up 0");
    for name in ["safeurl_jobs{", "safeurl_failed_jobs{", "safeurl_queue_ready ", "safeurl_containers "] {
        assert!(!silent.lines().any(|line| line.starts_with(name)), "{name} in\n{silent}");
    }
    has(&silent, "safeurl_lease_losses_total 0");
}

#[test]
fn a_scrape_is_as_the_format_wants_it() {
    let metrics = Metrics::new();
    let text = metrics.text(Some(&counted()));
    assert!(text.ends_with("# EOF\n"));
    let mut families = Vec::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(described) = line.strip_prefix("# ") {
            let mut words = described.split(' ');
            let (kind, name) = (words.next().expect("a kind"), words.next().expect("a name"));
            assert!(["HELP", "TYPE", "UNIT"].contains(&kind), "{line}");
            assert!(
                name.starts_with("safeurl_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            if kind == "HELP" {
                assert!(!families.contains(&name), "{name} is there twice");
                families.push(name);
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap_or(series);
        let family = families.last().expect("a family before its series");
        assert!(name.starts_with(family), "{line} below {family}");
    }
    assert!(families.len() > 20, "{families:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_turn_of_the_loop_is_known() {
    let metrics = Metrics::new();
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(metrics.last_turn(), Duration::from_secs(30));
    metrics.turned((1, 0, 0));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(metrics.last_turn(), Duration::from_secs(2));
}

#[test]
fn an_analysis_is_timed() {
    let metrics = Metrics::new();
    metrics.analysed(Duration::from_secs(3));
    let text = metrics.text(None);
    has(&text, "safeurl_analysis_seconds_sum 3.0");
    has(&text, "safeurl_analysis_seconds_count 1");
}
