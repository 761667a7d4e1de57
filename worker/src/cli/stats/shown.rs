//! The numbers for a person. Pure.

use super::{Counted, Marks, OuterPart, Report, WorkerLine};
use crate::cli::terminal::Look;
use crate::cli::terminal::layout::{Section, arrange};
use crate::cli::terminal::text::{BLUE, FAINT, GREEN, NONE, RED, STRONG, Text, rendered};
use crate::cli::terminal::time::{age, duration};

/// Cells of the longest bar, where there is room.
const BAR: usize = 40;

/// What stands beside a bar: the hour, the count, how many failed, and the gaps.
const BESIDE_BAR: usize = 40;

/// Where the queue in Redis stands, if there is one.
const BEHIND_QUEUE: usize = 5;

/// Columns up to which names of hosts stand in one.
const HOST: usize = 32;

/// Each line ended by a newline. Bars are for a terminal.
pub(super) fn shown(report: &Report, look: Look) -> String {
    let jobs: u64 = report.states.iter().map(|counted| counted.jobs).sum();
    let count = if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") };
    let ago = age(report.since, report.now);
    let head = Text::new(STRONG, &count)
        .and(NONE, &format!(" in the last {ago}"))
        .and(FAINT, &format!(", since {}", report.since));
    let mut lines = head.wrap(look.width);
    let mut sections = vec![
        counted("State", &report.states),
        counted("Verdict", &report.verdicts),
        counted("Failed by", &report.failures),
        times(report),
        queue(report),
        slowest(report),
        hours(report, look),
        workers(report),
        database(report),
    ];
    if let Some(outer) = &report.queue.bullmq {
        sections.insert(BEHIND_QUEUE, in_redis(outer));
    }
    lines.extend(arrange(sections, look.width));
    rendered(&lines, look.colour)
}

fn counted(title: &'static str, counted: &[Counted]) -> Section {
    let mut section = Section::short(title);
    let digits = counted.iter().map(|counted| counted.jobs.to_string().len()).max().unwrap_or(0);
    for Counted { name, jobs } in counted {
        let name = if name == "anotherProgram" { "by another program" } else { name };
        section.pair(name, format!("{jobs:>digits$}"));
    }
    section
}

fn times(report: &Report) -> Section {
    let mut section = Section::short("Attempts");
    section.pair("waited", marks(&report.queue_wait_ms));
    section.pair("ran", marks(&report.run_ms));
    section.pair("retried", report.retries.to_string());
    section.pair("lost", report.losses.to_string());
    section
}

fn marks(marks: &Marks) -> String {
    match (marks.p50, marks.p95) {
        (Some(p50), Some(p95)) => format!("half in {}, 95 % in {}", duration(p50), duration(p95)),
        (p50, p95) => p50.or(p95).map_or_else(|| "-".to_owned(), duration),
    }
}

fn queue(report: &Report) -> Section {
    let queue = &report.queue;
    let mut section = Section::short("Queue, now");
    section.pair("waiting", queue.depth.to_string());
    section.pair_if("delayed", (queue.delayed > 0).then(|| queue.delayed.to_string()));
    let oldest = queue.oldest.as_ref();
    section.pair_if(
        "the oldest",
        oldest.map(|oldest| format!("{}, for {}", oldest.id, age(oldest.created_at, report.now))),
    );
    for user in &queue.users {
        section.pair("of user", format!("{}: {}", user.user, user.jobs));
    }
    section
}

fn in_redis(outer: &OuterPart) -> Section {
    let mut section = Section::short("In Redis, now");
    section.pair("queue", outer.name.as_str());
    section.pair_if("no answer", outer.error.as_deref());
    if let Some(counts) = &outer.counts {
        for (name, count) in [
            ("waiting", counts.waiting),
            ("prioritized", counts.prioritized),
            ("active", counts.active),
            ("delayed", counts.delayed),
            ("completed", counts.completed),
            ("failed", counts.failed),
        ] {
            section.pair(name, count.to_string());
        }
        let parents = counts.waiting_children;
        section.pair_if("waiting-children", (parents > 0).then(|| parents.to_string()));
        section.pair_if("paused", counts.paused.then_some("nothing is handed out"));
    }
    section
}

fn slowest(report: &Report) -> Section {
    let mut section = Section::full("Slowest");
    let times: Vec<_> = report.slowest.iter().map(|slow| duration(slow.ms)).collect();
    let wide = times.iter().map(String::len).max().unwrap_or(0);
    let hosts: Vec<Text> = report.slowest.iter().map(|slow| slow.host.as_str().into()).collect();
    let widest = hosts.iter().map(Text::width).max().unwrap_or(0).min(HOST);
    for ((slow, time), host) in report.slowest.iter().zip(times).zip(hosts) {
        section.row(
            Text::new(NONE, &format!("{time:>wide$}")),
            host.padded(widest),
            Text::new(FAINT, &slow.id),
        );
    }
    section
}

/// The last day, from the first hour in which there was something.
fn hours(report: &Report, look: Look) -> Section {
    let mut section = Section::full("By hour of creation (UTC), the last 24");
    let most = report.hours.iter().map(|hour| hour.jobs).max().unwrap_or(0);
    let digits = most.to_string().len();
    let cells = BAR.min(look.width.saturating_sub(BESIDE_BAR));
    for hour in report.hours.iter().skip_while(|hour| hour.jobs == 0) {
        let from = hour.from.to_string();
        let clock = from.get(5..16).unwrap_or(&from).replace('T', " ");
        let mut text = Text::new(NONE, &format!("{:>digits$}", hour.jobs));
        if look.terminal && hour.jobs > 0 {
            text = text.gap(2).and(BLUE, &bar(hour.jobs, most, cells));
        }
        if hour.failed > 0 {
            text = text.gap(2).and(RED, &format!("{} failed", hour.failed));
        }
        section.pair(&clock, text);
    }
    section
}

/// In proportion to the most; what is there at all shows.
fn bar(jobs: u64, most: u64, cells: usize) -> String {
    let cells = u128::from(jobs) * cells as u128;
    "▇".repeat(usize::try_from(cells.div_ceil(u128::from(most.max(1)))).unwrap_or_default())
}

fn workers(report: &Report) -> Section {
    let mut section = Section::full("Workers");
    for worker in &report.workers {
        let (word, style) = if worker.alive { ("alive", GREEN) } else { ("DEAD", RED) };
        let WorkerLine { host, pid, slots, id, .. } = worker;
        let heard = age(worker.heartbeat_at, report.now);
        let text = format!("{host}, process {pid}, {slots} at once, heard of {heard} ago");
        section.row(Text::new(style, word), text.into(), Text::new(FAINT, id));
    }
    if report.workers.is_empty() {
        section.more("none; `safeurl worker` starts one");
    }
    section
}

fn database(report: &Report) -> Section {
    let mut section = Section::full("Database");
    let size = report
        .database
        .bytes
        .map_or_else(String::new, |bytes| format!("  {:.1} MiB", bytes as f64 / f64::from(1 << 20)));
    section.more(Text::new(NONE, &report.database.path).and(FAINT, &size));
    section
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sample, with_redis};
    use super::*;
    use crate::cli::terminal::text::width;

    fn look(width: usize) -> Look {
        Look { width, colour: false, defang: true, terminal: true }
    }

    #[test]
    fn the_numbers_are_shown_as_recorded() {
        let mut text = String::new();
        for width in [60, 80, 120] {
            text.push_str(&format!("=== {width} columns ===\n{}\n", shown(&sample(), look(width))));
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
        insta::assert_snapshot!("stats", text);
        assert!(!shown(&sample(), Look { terminal: false, ..look(100) }).contains('▇'));
    }

    #[test]
    fn a_queue_in_redis_stands_beside_that_of_the_database() {
        let text = [true, false].map(|answers| shown(&with_redis(answers), look(80))).join("\n");
        insta::assert_snapshot!("stats-redis", text);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in 40..=200 {
            for line in shown(&sample(), look(columns)).lines() {
                assert!(width(line) <= columns && !line.ends_with(' '), "{columns}: {line:?}");
            }
        }
    }

    #[test]
    fn a_bar_shows_whatever_is_there_at_all() {
        assert_eq!([bar(0, 0, 40), bar(0, 9, 40), bar(1, 1_000_000, 40)], ["", "", "▇"].map(str::to_owned));
        assert_eq!(bar(9, 9, 40).chars().count(), 40);
    }
}
