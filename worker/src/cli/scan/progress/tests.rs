use std::fmt::Write as _;

use super::*;
use crate::cli::terminal::text::width;
use crate::domain::state::State;

/// Four scans of nine after a while: two done, three under way.
fn running(now: Instant) -> Running {
    let mut running = Running::new(9, now);
    let urls = [
        "http://harbour-courier.example/archive/2026/november/tide-tables.html?station=17&unit=m",
        "https://paypal-account-check.example/",
        "http://港.example/時刻表",
        "http://a.example/\u{1b}[2J",
        "http://silent.example:8080/",
    ];
    let ids: Vec<_> = (0..5).map(|n| ScanId::parse(format!("id-{n}")).expect("an id")).collect();
    for (id, url) in ids.iter().zip(urls) {
        running.urls.insert(id.clone(), url.to_owned());
    }
    let at = |seconds| now + Duration::from_secs(seconds);
    for (n, id) in ids.iter().enumerate() {
        running.step(&Progress::Fetching(id.clone()), at(n as u64));
    }
    running.step(&Progress::Analyzing(ids[2].clone()), at(6));
    running.step(&Progress::Queued(ids[4].clone()), at(6));
    running.step(&Progress::Ended(ids[1].clone(), State::Completed), at(7));
    running.malicious += 1;
    running
}

#[tokio::test(start_paused = true)]
async fn the_lines_of_running_scans_are_as_recorded() {
    let start = Instant::now();
    let running = running(start);
    let mut all = String::new();
    for (seconds, columns, rows) in [(7, 80, 24), (8, 60, 24), (75, 120, 24), (3_700, 40, 24), (9, 80, 6)] {
        let now = start + Duration::from_millis(seconds * 1000 + 300);
        let _ = writeln!(all, "=== after {seconds} s, {columns} columns, {rows} rows ===");
        for line in running.frame(now, columns, rows) {
            line.render(false, &mut all);
            all.push('\n');
        }
    }
    insta::assert_snapshot!("live", all);
}

#[tokio::test(start_paused = true)]
async fn no_line_reaches_the_last_column_and_none_steers_the_terminal_however_small_it_is() {
    let start = Instant::now();
    let running = running(start);
    for columns in 1..130 {
        for rows in [1, 3, 24] {
            let frame = running.frame(start + Duration::from_secs(9), columns, rows);
            assert!(frame.len() <= rows.max(4), "{columns}x{rows}: {frame:?}");
            for line in &frame {
                let mut text = String::new();
                line.render(false, &mut text);
                assert!(width(&text) < columns.max(3) && !text.contains('\u{1b}'), "{columns}: {text:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_ends_is_counted_once_and_no_longer_shown() {
    let now = Instant::now();
    let mut running = running(now);
    let again = Progress::Ended(ScanId::parse("id-1").expect("an id"), State::Completed);
    assert_eq!(running.step(&again, now), None);
    assert_eq!((running.done, running.active.len(), running.urls.len()), (1, 4, 4));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_drawn_it_is_never_time_to_draw() {
    let mut teller = Teller::new(Told::Lines, 1);
    let due = tokio::time::timeout(Duration::from_secs(3_600), teller.due()).await;
    assert!(due.is_err());
}

#[test]
fn the_clock_has_hours_only_where_it_comes_to_that() {
    let told = [0, 12, 75, 3_599, 3_600, 36_061].map(|seconds| clock(Duration::from_secs(seconds)));
    assert_eq!(told, ["0:00", "0:12", "1:15", "59:59", "1:00:00", "10:01:01"]);
}
