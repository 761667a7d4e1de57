//! `safeurl stats`: what goes on, in numbers.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;

use serde::Serialize;

use super::database;
use super::exit::Exit;
use super::jobs::Moment;
use super::jobs::table::{age, duration};
use super::output::{Output, plain};
use super::settings::StoreArgs;
use crate::domain::scan::DEAD_AFTER;
use crate::domain::timestamp::Timestamp;
use crate::store::{OpenMode, Percentiles, Stats, WorkerView};

/// Print what goes on: jobs by state and verdict, failures, durations, the queue, workers
///
/// Jobs count that were created then or later; the queue and the workers are those of now.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl stats
  safeurl stats --since 7d
  safeurl stats --json | jq .queue.depth")]
pub struct Args {
    /// Since when: RFC 3339, a date, or how long ago, such as 2h or 7d
    #[arg(long, value_name = "WHEN", default_value = "24h", value_parser = Moment::parse)]
    pub since: Moment,

    /// One compact JSON document
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// Cells of the longest bar.
const BAR: u64 = 40;

/// What `stats --json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    now: Timestamp,
    since: Timestamp,
    states: Vec<Counted>,
    verdicts: Vec<Counted>,
    failures: Vec<Counted>,
    hours: Vec<HourLine>,
    slowest: Vec<SlowLine>,
    queue_wait_ms: Marks,
    run_ms: Marks,
    retries: u64,
    losses: u64,
    queue: QueuePart,
    workers: Vec<WorkerLine>,
    database: DatabasePart,
}

#[derive(Serialize)]
struct Counted {
    name: String,
    jobs: u64,
}

#[derive(Serialize)]
struct HourLine {
    from: Timestamp,
    jobs: u64,
    failed: u64,
}

#[derive(Serialize)]
struct SlowLine {
    id: String,
    host: String,
    ms: u64,
}

#[derive(Serialize)]
struct Marks {
    p50: Option<u64>,
    p95: Option<u64>,
}

impl From<Percentiles> for Marks {
    fn from(Percentiles { p50, p95 }: Percentiles) -> Self {
        Self { p50, p95 }
    }
}

#[derive(Serialize)]
struct QueuePart {
    depth: u64,
    delayed: u64,
    oldest: Option<OldestLine>,
    users: Vec<UserLine>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OldestLine {
    id: String,
    created_at: Timestamp,
}

#[derive(Serialize)]
struct UserLine {
    user: String,
    jobs: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkerLine {
    id: String,
    host: String,
    pid: u32,
    version: String,
    slots: u32,
    started_at: Timestamp,
    heartbeat_at: Timestamp,
    alive: bool,
}

#[derive(Serialize)]
struct DatabasePart {
    path: String,
    bytes: u64,
}

/// Runs it.
///
/// # Errors
/// Whatever is wrong with the settings or the database.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    let (settings, _) = args.settings.load()?;
    let store = database::open_ready(&settings, OpenMode::Existing).await?;
    let since = args.since.at(store.now().await?);
    let stats = store.stats(since).await?;
    let report = Report::of(stats, since, store.workers().await?, store.path());
    let mut output = Output::stdout();
    if args.json {
        output.json(&report)?;
    } else {
        output.text(&text(&report, std::io::stdout().is_terminal()))?;
    }
    Ok(Exit::Done)
}

impl Report {
    fn of(stats: Stats, since: Timestamp, workers: Vec<WorkerView>, path: &Path) -> Self {
        let now = stats.now;
        let counted = |name: &str, jobs| Counted { name: name.to_owned(), jobs };
        Self {
            now,
            since,
            states: stats.states.iter().map(|(state, jobs)| counted(state.as_str(), *jobs)).collect(),
            verdicts: stats
                .verdicts
                .iter()
                .map(|(verdict, jobs)| counted(verdict.map_or("anotherProgram", |v| v.as_str()), *jobs))
                .collect(),
            failures: stats.classes.iter().map(|(class, jobs)| counted(class.as_str(), *jobs)).collect(),
            hours: stats
                .hours
                .iter()
                .map(|hour| HourLine { from: hour.from, jobs: hour.jobs, failed: hour.failed })
                .collect(),
            slowest: stats
                .slowest
                .into_iter()
                .map(|slow| SlowLine { id: slow.id.to_string(), host: slow.host, ms: slow.ms })
                .collect(),
            queue_wait_ms: stats.queue_wait.into(),
            run_ms: stats.run.into(),
            retries: stats.retries,
            losses: stats.losses,
            queue: QueuePart {
                depth: stats.queue.depth,
                delayed: stats.queue.delayed,
                oldest: stats
                    .queue
                    .oldest
                    .map(|(id, created_at)| OldestLine { id: id.to_string(), created_at }),
                users: stats.queue.users.into_iter().map(|(user, jobs)| UserLine { user, jobs }).collect(),
            },
            workers: workers.into_iter().map(|worker| WorkerLine::of(worker, now)).collect(),
            database: DatabasePart { path: path.display().to_string(), bytes: size(path) },
        }
    }
}

impl WorkerLine {
    fn of(worker: WorkerView, now: Timestamp) -> Self {
        let silent = now.millis().saturating_sub(worker.heartbeat.millis());
        Self {
            id: worker.row.id.to_string(),
            host: worker.row.host,
            pid: worker.row.pid,
            version: worker.row.version,
            slots: worker.row.slots,
            started_at: worker.started,
            heartbeat_at: worker.heartbeat,
            alive: u128::try_from(silent).unwrap_or_default() < DEAD_AFTER.as_millis(),
        }
    }
}

/// Bytes of the file and of its write-ahead log.
fn size(path: &Path) -> u64 {
    let log = format!("{}-wal", path.display());
    [path, Path::new(&log)]
        .into_iter()
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|found| found.len())
        .sum()
}

/// The report for a person, each line ended by a newline. Bars are for a terminal.
fn text(report: &Report, bars: bool) -> String {
    let mut text = String::new();
    let now = report.now;
    let mut say = |line: String| {
        let _ = writeln!(text, "{}", line.trim_end());
    };
    say(format!("since     {} ({} ago)", report.since, age(report.since, now)));
    for (title, counted) in
        [("state", &report.states), ("verdict", &report.verdicts), ("failure", &report.failures)]
    {
        for (number, Counted { name, jobs }) in counted.iter().enumerate() {
            say(format!("{:<8}  {name:<18} {jobs:>8}", if number == 0 { title } else { "" }));
        }
    }
    say(format!("again     {} retried, {} lost", report.retries, report.losses));
    say(format!("waited    {}", marks(&report.queue_wait_ms)));
    say(format!("ran       {}", marks(&report.run_ms)));
    for (number, slow) in report.slowest.iter().enumerate() {
        let title = if number == 0 { "slowest" } else { "" };
        say(format!("{title:<8}  {:>9}  {}  {}", duration(slow.ms), plain(&slow.id), plain(&slow.host)));
    }
    let most = report.hours.iter().map(|hour| hour.jobs).max().unwrap_or(0);
    for (number, hour) in report.hours.iter().enumerate().filter(|_| most > 0) {
        let title = if number == 0 { "hour" } else { "" };
        let from = hour.from.to_string();
        let clock = from.get(5..16).unwrap_or(&from).replace('T', " ");
        let failed = if hour.failed == 0 { String::new() } else { format!("  {} failed", hour.failed) };
        let bar = if bars { bar(hour.jobs, most) } else { String::new() };
        say(format!("{title:<8}  {clock}  {:>6}  {bar}{failed}", hour.jobs));
    }
    let queue = &report.queue;
    let oldest = queue.oldest.as_ref().map_or_else(String::new, |oldest| {
        format!(", the oldest {} for {}", plain(&oldest.id), age(oldest.created_at, now))
    });
    say(format!("queue     {} wait, {} of them for their time{oldest}", queue.depth, queue.delayed));
    for UserLine { user, jobs } in &queue.users {
        say(format!("          {:<18} {jobs:>8}", plain(user)));
    }
    if report.workers.is_empty() {
        say("workers   none".to_owned());
    }
    for (number, worker) in report.workers.iter().enumerate() {
        let title = if number == 0 { "workers" } else { "" };
        let (id, host, slots) = (plain(&worker.id), plain(&worker.host), worker.slots);
        let heard = age(worker.heartbeat_at, now);
        let alive = if worker.alive { "alive" } else { "DEAD " };
        let pid = worker.pid;
        say(format!("{title:<8}  {alive}  {id}  {host}:{pid}, {slots} at once, heard of {heard} ago"));
    }
    let (path, mib) = (plain(&report.database.path), report.database.bytes as f64 / f64::from(1 << 20));
    say(format!("database  {path}, {mib:.1} MiB"));
    text
}

fn marks(marks: &Marks) -> String {
    match (marks.p50, marks.p95) {
        (Some(p50), Some(p95)) => format!("{} (p50), {} (p95)", duration(p50), duration(p95)),
        (p50, p95) => p50.or(p95).map_or_else(|| "-".to_owned(), duration),
    }
}

/// In proportion to the most; what is there at all shows.
fn bar(jobs: u64, most: u64) -> String {
    let cells = (jobs * BAR).div_ceil(most.max(1));
    "▇".repeat(usize::try_from(cells).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::FailureClass;
    use crate::domain::scan::{ScanId, WorkerId};
    use crate::domain::state::State;
    use crate::domain::verdict::VerdictState;
    use crate::store::{HOURS, Hour, Queue, Slow, WorkerRow};

    fn sample() -> Report {
        let now = Timestamp::from_millis(1_795_255_200_000);
        let ago = |millis: i64| Timestamp::from_millis(now.millis() - millis);
        let id = |text: &str| ScanId::parse(text).expect("it is short");
        let hour = |n: usize| Hour {
            from: ago((HOURS - 1 - n) as i64 * 3_600_000),
            jobs: (n as u64 % 5) * 20,
            failed: u64::from(n == 3),
        };
        let worker = |name: &str, heard| WorkerView {
            row: WorkerRow {
                id: WorkerId::from_row(name.to_owned()),
                host: "host\u{1b}[2J".to_owned(),
                pid: 7,
                version: "0".to_owned(),
                engine_id: "e".to_owned(),
                slots: 4,
            },
            started: ago(60_000),
            heartbeat: ago(heard),
        };
        let stats = Stats {
            now,
            states: vec![(State::Completed, 900), (State::Failed, 30)],
            classes: vec![(FailureClass::Connect, 20), (FailureClass::Dns, 10)],
            verdicts: vec![(Some(VerdictState::Malicious), 7), (None, 3)],
            hours: (0..HOURS).map(hour).collect(),
            slowest: vec![Slow { id: id("job-1"), host: "slow.example".to_owned(), ms: 29_000 }],
            queue_wait: Percentiles { p50: Some(12), p95: Some(740) },
            run: Percentiles::default(),
            retries: 4,
            losses: 1,
            queue: Queue {
                depth: 12,
                delayed: 2,
                oldest: Some((id("job-2"), ago(300_000))),
                users: vec![("local".to_owned(), 12)],
            },
        };
        let workers = vec![worker("w-1", 900), worker("w-2", 3_600_000)];
        Report::of(stats, ago(86_400_000), workers, Path::new("/no/such.db"))
    }

    #[test]
    fn the_numbers_for_a_person_have_bars_on_a_terminal_only() {
        let text = super::text(&sample(), true);
        assert!(!text.contains('\u{1b}') && !super::text(&sample(), false).contains('▇'));
        insta::assert_snapshot!("stats", text);
    }

    #[test]
    fn the_numbers_as_json_are_as_recorded() {
        insta::assert_snapshot!("stats-json", serde_json::to_string_pretty(&sample()).expect("it is JSON"));
    }

    #[test]
    fn a_bar_shows_whatever_is_there_at_all() {
        assert_eq!([bar(0, 0), bar(0, 9), bar(1, 1_000_000)], ["", "", "▇"].map(str::to_owned));
        assert_eq!(bar(9, 9).chars().count() as u64, BAR);
    }
}
