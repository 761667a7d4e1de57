//! Each script is needed: made a no-op, it turns lines red. A test that stays green without the script would say nothing
//! about it.

use std::collections::BTreeSet;
use std::thread;

use crate::lines::{LINES, line};
use crate::official::NODE6;
use crate::proxy::scripts;
use crate::world::Side;

/// A script, what runs in its place, and a line that falls then.
struct Row {
    script: &'static str,
    instead: &'static str,
    falls: &'static str,
}

const fn row(script: &'static str, instead: &'static str, falls: &'static str) -> Row {
    Row { script, instead, falls }
}

/// Every script. What runs instead does nothing and says that all is well.
const ROWS: &[Row] = &[
    row("add", "return { 'done', 'new', '1' }", "line_41"),
    row("came_to", "return { 'done' }", "line_24"),
    row("check_stalled", "return { 'stalled', {} }", "line_33"),
    row("complete", "return { 'done' }", "line_01"),
    row("counts", "return { 'counts', 0, 0, 0, 0, 0, 0, 0, 0, 0 }", "the_clients_count_what_stats_counts"),
    row("extend", "return { 'lost', {} }", "line_32"),
    row("fail", "return { 'done' }", "line_15"),
    row("give_back", "return { 'done' }", "a_worker_that_is_told_twice_gives_its_job_back"),
    row("hand_over", "return { 'handed', {}, {} }", "line_35"),
    row("iterate", "return { 'made' }", "line_31"),
    row("jobs", "return { 'read', 1 }", "what_waits_is_found_wherever_it_waits"),
    row("look", "return { 'due', 0 }", "line_01"),
    row("offer", "return { 'there' }", "an_offer_makes_sure_that_a_job_runs"),
    row("postpone", "return { 'done' }", "a_second_delivery_waits_for_the_first"),
    row("read", "return { 'gone' }", "line_56"),
    row("rerun", "return { 'there' }", "an_operator_s_retry_runs_the_same_entry_again"),
    row("retry", "return { 'done' }", "line_16"),
    row("scheduler", "return { 'none' }", "line_31"),
    row("take", "return { 'nothing' }", "line_01"),
    row("waiting", "return { 'ids' }", "what_waits_is_found_wherever_it_waits"),
    row("wake", "return { 'done' }", "a_marker_that_is_put_back_wakes_another_worker"),
];

/// How many lines run at a time: they wait more than they work.
const AT_ONCE: usize = 11;

#[test]
fn making_any_script_a_no_op_turns_lines_red() {
    let files: BTreeSet<String> = std::fs::read_dir(scripts())
        .expect("the scripts")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".lua")?.to_owned()))
        .collect();
    assert_eq!(files, ROWS.iter().map(|row| row.script.to_owned()).collect(), "one row a script");
    let green: Vec<_> = ROWS.chunks(AT_ONCE).flat_map(stays_green).collect();
    assert!(green.is_empty(), "still green: {}", green.join(", "));
}

fn stays_green(rows: &[Row]) -> Vec<String> {
    let is_green =
        |row: &Row| line(row.falls).failing(NODE6, Side::Without(row.script, row.instead)).is_empty();
    thread::scope(|scope| {
        let runs: Vec<_> = rows.iter().map(|row| (row, scope.spawn(|| is_green(row)))).collect();
        let green = runs.into_iter().filter_map(|(row, run)| run.join().expect("it ends").then_some(row));
        green.map(|row| format!("{} without {}", row.falls, row.script)).collect()
    })
}

/// The whole table: which lines fall with which script. `SCRIPTS` and `LINES` narrow it down (names by comma).
#[test]
#[ignore = "an hour and more; by hand"]
fn which_lines_each_script_turns_red() {
    let narrowed = |name: &str| std::env::var(name).unwrap_or_default();
    let (scripts, lines) = (narrowed("SCRIPTS"), narrowed("LINES"));
    let chosen = |list: &str, name: &str| list.is_empty() || list.split(',').any(|one| one == name);
    for row in ROWS.iter().filter(|row| chosen(&scripts, row.script)) {
        let side = Side::Without(row.script, row.instead);
        let lines: Vec<_> =
            LINES.iter().filter(|line| chosen(&lines, line.name) && line.kinds.contains(&NODE6[0])).collect();
        let mut red = Vec::new();
        for some in lines.chunks(AT_ONCE) {
            let falls: Vec<_> = thread::scope(|scope| {
                let runs: Vec<_> =
                    some.iter().map(|line| scope.spawn(move || line.failing(NODE6, side))).collect();
                runs.into_iter().map(|run| !run.join().expect("it ends").is_empty()).collect()
            });
            red.extend(some.iter().zip(falls).filter_map(|(line, falls)| falls.then_some(line.name)));
        }
        println!("{}: {}", row.script, red.join(" "));
        assert!(!red.is_empty(), "{} is needed by nobody", row.script);
    }
}
