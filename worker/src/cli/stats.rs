//! `safeurl stats`: what goes on, in numbers.

mod shown;

use std::path::Path;

use serde::Serialize;

use self::shown::shown;
use super::database;
use super::exit::Exit;
use super::jobs::Moment;
use super::output::{Output, plain};
use super::queue;
use super::settings::StoreArgs;
use super::terminal::LookArgs;
use super::workers::is_alive;
use crate::config::Settings;
use crate::domain::timestamp::Timestamp;
use crate::queue::bullmq::producer::{Counts, Producer};
use crate::store::{OpenMode, Percentiles, Stats, Store, WorkerView};

/// Print what goes on: jobs by state and verdict, failures, durations, the queue, workers
///
/// Jobs count that were created then or later; the queue and the workers are those of now. With a queue in Redis its
/// entries are counted as BullMQ's own clients count them; if it does not answer that stands there instead.
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
    pub look: LookArgs,

    #[command(flatten)]
    pub settings: StoreArgs,
}

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
    #[serde(skip_serializing_if = "Option::is_none")]
    bullmq: Option<OuterPart>,
}

/// The queue in Redis.
#[derive(Serialize)]
struct OuterPart {
    name: String,
    #[serde(flatten)]
    counts: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
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
    /// Its file, or its server's address.
    path: String,
    /// None for one on a server, which does not say.
    bytes: Option<u64>,
}

impl DatabasePart {
    fn of(store: &Store) -> Self {
        Self { path: store.place(), bytes: store.path().map(size) }
    }
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
    let mut report = Report::of(stats, since, store.workers().await?, DatabasePart::of(&store));
    report.queue.bullmq = outer(&settings).await?;
    let mut output = Output::stdout();
    if args.json {
        output.json(&report)?;
    } else {
        output.text(&shown(&report, args.look.look()))?;
    }
    Ok(Exit::Done)
}

/// Counts what stands in Redis, where there is one.
async fn outer(settings: &Settings) -> anyhow::Result<Option<OuterPart>> {
    let Some(link) = queue::link(settings)? else { return Ok(None) };
    let name = format!("{}:{}", link.keys().prefix(), link.keys().queue());
    Ok(Some(match Producer::new(link).counts().await {
        Ok(counts) => OuterPart { name, counts: Some(counts), error: None },
        Err(error) => OuterPart { name, counts: None, error: Some(plain(&error.one_line()).into_owned()) },
    }))
}

impl Report {
    fn of(stats: Stats, since: Timestamp, workers: Vec<WorkerView>, database: DatabasePart) -> Self {
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
                bullmq: None,
            },
            workers: workers.into_iter().map(|worker| WorkerLine::of(worker, now)).collect(),
            database,
        }
    }
}

impl WorkerLine {
    fn of(worker: WorkerView, now: Timestamp) -> Self {
        let alive = is_alive(&worker, now);
        Self {
            id: worker.row.id.to_string(),
            host: worker.row.host,
            pid: worker.row.pid,
            version: worker.row.version,
            slots: worker.row.slots,
            started_at: worker.started,
            heartbeat_at: worker.heartbeat,
            alive,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::FailureClass;
    use crate::domain::scan::{ScanId, WorkerId};
    use crate::domain::state::State;
    use crate::domain::verdict::VerdictState;
    use crate::store::{HOURS, Hour, Queue, Slow, WorkerRow};

    pub(super) fn sample() -> Report {
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
            done: 3,
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
        let database = DatabasePart { path: "/no/such.db".to_owned(), bytes: Some(0) };
        Report::of(stats, ago(86_400_000), workers, database)
    }

    /// With a queue in Redis that answers, or does not.
    pub(super) fn with_redis(answers: bool) -> Report {
        let counts = Counts { waiting: 3, active: 2, completed: 41, paused: true, ..Counts::default() };
        let mut report = sample();
        report.queue.bullmq = Some(OuterPart {
            name: "bull:scan-jobs".to_owned(),
            counts: answers.then_some(counts),
            error: (!answers).then(|| "Redis does not answer".to_owned()),
        });
        report
    }

    #[test]
    fn a_queue_in_redis_as_json_is_counted_or_says_what_is_wrong() {
        let told =
            [true, false].map(|answers| serde_json::json!(with_redis(answers))["queue"]["bullmq"].clone());
        insta::assert_snapshot!("stats-redis-json", serde_json::to_string_pretty(&told).expect("it is JSON"));
    }

    #[test]
    fn the_numbers_as_json_are_as_recorded() {
        insta::assert_snapshot!("stats-json", serde_json::to_string_pretty(&sample()).expect("it is JSON"));
    }
}
