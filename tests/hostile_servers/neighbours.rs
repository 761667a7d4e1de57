//! What a normal scan notices of hostile ones beside it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::chains;
use crate::frames::{Attack, attacks};
use crate::leftovers;
use crate::server::{page, plain, secure};
use crate::stage::{Stage, Worker};

/// Hostile scans at a time; one place of the worker's is left.
const HOSTILE: usize = 4;

/// These flood until somebody ends them: the most bytes there can be, and the most work for each byte.
const FLOODS: [&str; 2] = ["strange frames in the body", "priorities in the body"];

/// A stage where nothing ends a flood before its time.
fn stage() -> Stage {
    Stage::new()
        .with("SAFEURL_SANDBOX_TIMEOUT", "10m")
        .with("SAFEURL_GATEWAY_BYTES_IN", "16GiB")
        .with("SAFEURL_WORKER_CONCURRENCY", (HOSTILE + 1).to_string())
}

fn normal() -> SocketAddr {
    plain(|_, stream| {
        let text = "A sentence that says something about the subject. ".repeat(40);
        let _ = stream.write_all(&page(&format!("<title>normal</title><h1>Normal</h1><p>{text}</p>")));
    })
}

/// Submits the hostile ones and waits until each of them floods.
fn hold(stage: &Stage) {
    let shown = chains::alone(&["127.0.0.1"], 2000, 4000);
    let playing = Arc::new(AtomicUsize::new(0));
    let floods: Vec<Attack> = attacks().into_iter().filter(|attack| FLOODS.contains(&attack.name)).collect();
    assert_eq!(floods.len(), FLOODS.len());
    for n in 0..HOSTILE {
        let (attack, playing) = (floods[n % floods.len()].clone(), Arc::clone(&playing));
        let address = secure(chains::server(&shown, &["h2"]), move |stream| {
            playing.fetch_add(1, Ordering::Relaxed);
            attack.play(stream);
        });
        let ran = stage.run(["submit", &format!("https://{address}/")]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let until = Instant::now() + Duration::from_secs(60);
    while playing.load(Ordering::Relaxed) < HOSTILE {
        assert!(Instant::now() < until, "{}", stage.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ends the hostile ones.
fn release(stage: &Stage, worker: &Worker) {
    let ran = stage.run(["jobs", "cancel", "--state", "fetching"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let cancelled = "SELECT count(*) FROM scan_jobs WHERE failure_class = 'cancelled'";
    stage.wait_for(cancelled, &HOSTILE.to_string(), Duration::from_secs(60));
    leftovers::none_but_of(worker, stage, Duration::from_secs(60));
}

fn scanned(stage: &Stage, address: SocketAddr) -> String {
    let ran = stage.run(["submit", &format!("http://{address}/")]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let id = ran.out.trim().to_owned();
    stage.wait_for(
        &format!("SELECT state FROM scan_jobs WHERE id = '{id}'"),
        "COMPLETED",
        Duration::from_secs(60),
    );
    id
}

#[test]
fn a_normal_scan_ends_while_four_hostile_ones_are_held() {
    let stage = stage();
    let worker = stage.worker(&[]);
    stage.wait_for_tables();
    hold(&stage);
    let address = normal();
    for _ in 0..3 {
        scanned(&stage, address);
    }
    let held =
        stage.query("SELECT count(*), count(DISTINCT attempt) FROM scan_jobs WHERE state = 'FETCHING'");
    assert_eq!(
        held,
        [[HOSTILE.to_string(), "1".to_owned()]],
        "the others still run, each in its first attempt"
    );
    let audited = stage.query("SELECT count(*) FROM audit_logs WHERE http_status = 200");
    assert!(audited[0][0].parse::<usize>().unwrap() >= 3, "{audited:?}");
    release(&stage, &worker);
}

/// Milliseconds from submission to end of so many normal scans, one after the other.
fn times(stage: &Stage, address: SocketAddr, count: usize) -> Vec<u64> {
    let mut times: Vec<u64> = (0..count)
        .map(|_| {
            let id = scanned(stage, address);
            let rows =
                stage.query(&format!("SELECT finished_ms - created_ms FROM scan_jobs WHERE id = '{id}'"));
            rows[0][0].parse().unwrap()
        })
        .collect();
    times.sort_unstable();
    times
}

fn told(what: &str, times: &[u64]) -> (u64, u64) {
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
    println!("{what}: median {} ms, p95 {} ms, longest {} ms", at(50), at(95), at(100));
    (at(50), at(95))
}

#[test]
#[ignore = "a measurement, for a quiet machine: make neighbours"]
fn how_long_a_normal_scan_takes_alone_and_beside_four_hostile_ones() {
    const SCANS: usize = 60;
    let load = || std::fs::read_to_string("/proc/loadavg").unwrap();
    let stage = stage();
    let worker = stage.worker(&[]);
    stage.wait_for_tables();
    let address = normal();
    times(&stage, address, 3);
    print!("load before: {}", load());
    let alone = told("alone", &times(&stage, address, SCANS));
    hold(&stage);
    let beside = told("beside four", &times(&stage, address, SCANS));
    print!("load after: {}", load());
    let ratio = |beside: u64, alone: u64| beside as f64 / alone as f64;
    println!("ratio: median {:.2}, p95 {:.2}", ratio(beside.0, alone.0), ratio(beside.1, alone.1));
    release(&stage, &worker);
}
