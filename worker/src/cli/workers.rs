//! `safeurl workers`: who takes jobs from this database.

use serde::Serialize;

use super::database;
use super::exit::Exit;
use super::output::Output;
use super::settings::StoreArgs;
use super::terminal::column::{Column, lines, named, used};
use super::terminal::text::{FAINT, GREEN, NONE, RED, Text, middle, printable, rendered};
use super::terminal::time::age;
use super::terminal::{Look, LookArgs, WITH_IDS};
use crate::domain::scan::DEAD_AFTER;
use crate::domain::timestamp::Timestamp;
use crate::store::{OpenMode, WorkerView};

/// Columns of an id where it is cut.
const SHORT_ID: usize = 12;

/// What names a worker where its id is cut: the end, which tells workers apart that started together, and which their
/// folders of sockets are named by as well.
pub(super) fn short(id: &str) -> &str {
    let from = id.char_indices().rev().nth(SHORT_ID - 1).map_or(0, |(at, _)| at);
    &id[from..]
}

/// List the worker processes of the database, dead ones too
///
/// A worker is listed as soon as the database and its engine have answered it; one that still waits for them says so in
/// its log and at its /readyz. It is dead when its heartbeat is older than 6 s by the database's clock; others then see
/// to its jobs. Its row goes when it ends in order, else a day later.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl workers
  safeurl workers --json | jq -r 'select(.alive).host'")]
pub struct Args {
    /// One compact JSON document a line
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub look: LookArgs,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// One worker of a listing.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    id: &'a str,
    host: &'a str,
    pid: u32,
    version: &'a str,
    started_at: Timestamp,
    heartbeat_at: Timestamp,
    heartbeat_age_ms: u64,
    alive: bool,
    slots: u32,
    done: u64,
    engine_id: &'a str,
}

impl<'a> Line<'a> {
    fn of(worker: &'a WorkerView, now: Timestamp) -> Self {
        let row = &worker.row;
        Self {
            id: row.id.as_str(),
            host: &row.host,
            pid: row.pid,
            version: &row.version,
            started_at: worker.started,
            heartbeat_at: worker.heartbeat,
            heartbeat_age_ms: silence(worker, now),
            alive: is_alive(worker, now),
            slots: row.slots,
            done: worker.done,
            engine_id: &row.engine_id,
        }
    }
}

/// Runs it.
///
/// # Errors
/// Whatever is wrong with the settings or the database.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    let (settings, _) = args.settings.load()?;
    let store = database::open_ready(&settings, OpenMode::Existing).await?;
    let (workers, now) = (store.workers().await?, store.now().await?);
    let look = args.look.look();
    let mut output = Output::stdout();
    if args.json {
        for worker in &workers {
            output.json(&Line::of(worker, now))?;
        }
        return Ok(Exit::Done);
    }
    if workers.is_empty() {
        if look.terminal {
            eprintln!("no workers; `safeurl worker` starts one");
        }
        return Ok(Exit::Done);
    }
    output.text(&rendered(&table(&workers, now, look), look.colour))?;
    Ok(Exit::Done)
}

/// Milliseconds since it was last heard of.
fn silence(worker: &WorkerView, now: Timestamp) -> u64 {
    u64::try_from(now.millis().saturating_sub(worker.heartbeat.millis())).unwrap_or_default()
}

/// By the database's clock.
pub(super) fn is_alive(worker: &WorkerView, now: Timestamp) -> bool {
    u128::from(silence(worker, now)) < DEAD_AFTER.as_millis()
}

/// A terminal gets the names of the columns and what fits, the least telling ones going first; elsewhere nothing is
/// left out.
fn table(workers: &[WorkerView], now: Timestamp, look: Look) -> Vec<Text> {
    if !look.terminal {
        return lines(&columns(workers, now, true));
    }
    let mut columns = columns(workers, now, look.width >= WITH_IDS);
    while columns.len() > 2 && used(&columns) > look.width + super::terminal::column::GAP {
        columns.pop();
    }
    named(&columns)
}

fn columns(workers: &[WorkerView], now: Timestamp, whole: bool) -> Vec<Column> {
    const LONGEST: usize = 24;
    let cut = |text: &str| {
        let text = printable(text);
        if whole { text } else { middle(&text, LONGEST) }
    };
    let name = |worker: &WorkerView| {
        let name = printable(worker.row.id.as_str());
        if whole { name } else { short(&name).to_owned() }
    };
    vec![
        Column::of("WORKER", workers, |worker| Text::new(FAINT, &name(worker))),
        Column::of("STATE", workers, |worker| {
            if is_alive(worker, now) { Text::new(GREEN, "alive") } else { Text::new(RED, "dead") }
        }),
        Column::of("HOST", workers, |worker| Text::new(NONE, &cut(&worker.row.host))),
        Column::of("HEARD", workers, |worker| age(worker.heartbeat, now).into()).right(),
        Column::of("SLOTS", workers, |worker| worker.row.slots.to_string().into()).right(),
        Column::of("DONE", workers, |worker| worker.done.to_string().into()).right(),
        Column::of("STARTED", workers, |worker| Text::new(FAINT, &age(worker.started, now))).right(),
        Column::of("VERSION", workers, |worker| Text::new(FAINT, &cut(&worker.row.version))),
        Column::of("PID", workers, |worker| Text::new(FAINT, &worker.row.pid.to_string())).right(),
        Column::of("ENGINE", workers, |worker| Text::new(FAINT, &cut(&worker.row.engine_id))),
    ]
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::domain::scan::WorkerId;
    use crate::store::WorkerRow;

    const NOW: Timestamp = Timestamp::from_millis(1_795_255_200_000);

    fn worker(id: &str, host: &str, heard: i64) -> WorkerView {
        let ago = |millis: i64| Timestamp::from_millis(NOW.millis() - millis);
        WorkerView {
            row: WorkerRow {
                id: WorkerId::from_row(id.to_owned()),
                host: host.to_owned(),
                pid: 4711,
                version: "0.1.0".to_owned(),
                engine_id: "ZH4K:7LPX:N6QB:5GZT:2E3M:4Q7W:RTYU:IOPA:SDFG:HJKL:ZXCV:BNMQ".to_owned(),
                slots: 5,
            },
            done: 1207,
            started: ago(heard + 7_200_000),
            heartbeat: ago(heard),
        }
    }

    fn workers() -> Vec<WorkerView> {
        vec![
            worker("0199f6a2-6d00-7c11-9b53-1f4f4a0e8d11", "scan-1.example", 900),
            worker("0199f6a2-6d00-7c11-9b53-1f4f4a0e8d12", "scan-2\u{1b}[2J", 5_999),
            worker(
                "0199f6a2-6d00-7c11-9b53-1f4f4a0e8d13",
                "a-host-with-a-name-that-goes-on.and.on.example",
                6_000,
            ),
        ]
    }

    fn look(width: usize) -> Look {
        Look { width, colour: false, defang: true, terminal: true }
    }

    #[test]
    fn the_workers_are_listed_as_recorded_and_no_line_is_too_wide() {
        let mut text = String::new();
        for width in [40, 80, 120, 200] {
            let lines = table(&workers(), NOW, look(width));
            assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:?}");
            let _ = write!(text, "=== {width} columns ===\n{}\n", rendered(&lines, false));
        }
        let piped = table(&workers(), NOW, Look { terminal: false, ..look(40) });
        let _ = write!(text, "=== no terminal ===\n{}", rendered(&piped, false));
        insta::assert_snapshot!("workers", text);
    }

    #[test]
    fn a_worker_that_was_silent_for_six_seconds_is_dead() {
        let alive: Vec<_> = workers().iter().map(|worker| Line::of(worker, NOW).alive).collect();
        assert_eq!(alive, [true, true, false]);
    }
}
