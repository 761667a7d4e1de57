//! What a normal scan notices of servers that flood others beside it.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::chains;
use crate::frames::{Attack, attacks};
use crate::neighbours::{HOSTILE, compare, release, scanned, stage, submit};
use crate::server::{page, plain, secure};
use crate::stage::Stage;

/// These flood until somebody ends them: the most bytes there can be, and the most work for each byte.
const FLOODS: [&str; 2] = ["strange frames in the body", "priorities in the body"];

fn normal() -> String {
    let address = plain(|_, stream| {
        let text = "A sentence that says something about the subject. ".repeat(40);
        let _ = stream.write_all(&page(&format!("<title>normal</title><h1>Normal</h1><p>{text}</p>")));
    });
    format!("http://{address}/")
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
        submit(stage, &format!("https://{address}/"));
    }
    let until = Instant::now() + Duration::from_secs(60);
    while playing.load(Ordering::Relaxed) < HOSTILE {
        assert!(Instant::now() < until, "{}", stage.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_normal_scan_ends_while_four_hostile_ones_are_held() {
    let stage = stage();
    let worker = stage.worker(&[]);
    stage.wait_for_tables();
    hold(&stage);
    let url = normal();
    for _ in 0..3 {
        scanned(&stage, &url);
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

#[test]
#[ignore = "a measurement, for a quiet machine: make neighbours"]
fn how_long_a_normal_scan_takes_alone_and_beside_four_that_are_flooded() {
    let stage = stage();
    let worker = stage.worker(&[]);
    stage.wait_for_tables();
    compare(&stage, &normal(), || hold(&stage));
    release(&stage, &worker);
}
