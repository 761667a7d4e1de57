//! `safeurl jobs list`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::table::{table, took};
use super::{List, open, the_one};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::terminal::Look;
use crate::cli::terminal::screen::{Screen, size};
use crate::cli::terminal::text::{FAINT, Text, rendered, start};
use crate::domain::failure::Failure;
use crate::domain::scan::{Job, Method};
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::VerdictState;
use crate::shutdown::Signals;
use crate::store::{Listed, Page, Search, Store};

/// One job of a listing; where a document says the same, the key is the same.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    id: &'a str,
    state: State,
    verdict: Option<VerdictState>,
    risk_score: Option<u8>,
    url: &'a str,
    user_id: &'a str,
    tags: &'a [String],
    attempt: u32,
    max_attempts: u32,
    priority: i64,
    method: Method,
    created_at: Timestamp,
    updated_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    duration_ms: Option<u64>,
    failure: Option<&'a Failure>,
}

impl<'a> Line<'a> {
    fn of(row: &'a Listed, now: Timestamp) -> Self {
        let job: &Job = &row.job;
        Self {
            id: job.id.as_str(),
            state: job.state,
            verdict: row.verdict,
            risk_score: row.score,
            url: &job.url,
            user_id: &job.user,
            tags: &job.options.tags,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            priority: job.priority,
            method: job.method,
            created_at: job.created,
            updated_at: job.updated,
            started_at: job.started,
            finished_at: job.finished,
            duration_ms: took(job, now),
            failure: job.failure.as_ref(),
        }
    }
}

pub(super) async fn run(args: List) -> anyhow::Result<Exit> {
    let store = open(&args.settings).await?;
    let search = args.filter.search(store.now().await?);
    let after = match &args.after {
        Some(text) => Some(the_one(&store, text).await?),
        None => None,
    };
    let page = Page { sort: args.sort, reverse: args.reverse, after, offset: args.offset, limit: args.limit };
    let mut output = Output::stdout();
    if args.watch.is_some() {
        return watch(&store, &args, search, page, &mut output).await;
    }
    let rows = store.find_jobs(search, page).await?;
    let look = args.look.look();
    print(&mut output, &args, &rows.iter().collect::<Vec<_>>(), store.now().await?, look)?;
    if look.terminal && !args.json {
        remark(&args, rows.len());
    }
    Ok(Exit::Done)
}

/// What a person may wonder about: why there is nothing, and whether this is all.
fn remark(args: &List, shown: usize) {
    match shown {
        0 if args.filter.is_empty() => eprintln!("no jobs yet; `safeurl submit URL` puts one into the queue"),
        0 => eprintln!("no job fits"),
        _ if u32::try_from(shown) == Ok(args.limit) => {
            eprintln!("{shown} jobs shown, there may be more (--limit)");
        }
        _ => {}
    }
}

fn print(
    output: &mut Output,
    args: &List,
    rows: &[&Listed],
    now: Timestamp,
    look: Look,
) -> anyhow::Result<()> {
    if args.json {
        for row in rows {
            output.json(&Line::of(row, now))?;
        }
        return Ok(());
    }
    let rows: Vec<_> = rows.iter().copied().cloned().collect();
    let lines = table(&rows, now, look);
    if lines.is_empty() { Ok(()) } else { output.text(&rendered(&lines, look.colour)) }
}

/// On a terminal the listing stays and is drawn again; elsewhere what changed comes as lines. Ends with the signal
/// that stops it.
async fn watch(
    store: &Store,
    args: &List,
    search: Search,
    page: Page,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let (_signals, shutdown) = Signals::listen().context("cannot listen to signals")?;
    let every = args.watch.unwrap_or(super::WATCH);
    let mut look_again = interval(every);
    look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let screen = (args.look.look().terminal && !args.json).then(Screen::stdout);
    let mut seen = Seen::default();
    while !output.is_closed() {
        tokio::select! {
            () = shutdown.draining() => {
                return Ok(shutdown.signal().map_or(Exit::Done, Exit::Aborted));
            }
            _ = look_again.tick() => {}
        }
        let rows = store.find_jobs(search.clone(), page.clone()).await?;
        let now = store.now().await?;
        // A terminal may have another width by now.
        let look = args.look.look();
        match &screen {
            Some(screen) => {
                let (columns, height) = size(std::io::stdout());
                screen.draw(&watched(&rows, now, every, look, height), columns, look.colour);
            }
            None => print(output, args, &seen.changed(&rows), now, look)?,
        }
    }
    Ok(Exit::Done)
}

/// The listing as far as there is room, and below it when that was. The last row is the cursor's.
fn watched(rows: &[Listed], now: Timestamp, every: Duration, look: Look, height: usize) -> Vec<Text> {
    let mut lines = table(rows, now, look);
    let room = height.saturating_sub(2).max(1);
    let hidden = lines.len().saturating_sub(room);
    lines.truncate(room);
    let count = match rows.len() {
        0 => "no job fits".to_owned(),
        1 => "1 job".to_owned(),
        many => format!("{many} jobs"),
    };
    let below = if hidden > 0 { ", more than there is room for" } else { "" };
    let clock = now.to_string();
    let clock = clock.get(11..19).unwrap_or(&clock);
    let every = humantime::format_duration(every);
    let told = format!("{count}{below}  {clock} UTC, again every {every}, ^C ends");
    lines.push(Text::new(FAINT, &start(&told, look.width)));
    lines
}

/// What was printed of each job.
#[derive(Default)]
struct Seen(BTreeMap<String, i64>);

impl Seen {
    /// The jobs that are new or another version than the last time.
    fn changed<'a>(&mut self, rows: &'a [Listed]) -> Vec<&'a Listed> {
        let before = std::mem::take(&mut self.0);
        self.0 = rows.iter().map(|row| (row.job.id.to_string(), row.job.version)).collect();
        rows.iter().filter(|row| before.get(row.job.id.as_str()) != Some(&row.job.version)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{NOW, rows};
    use super::*;

    #[test]
    fn what_did_not_change_is_not_told_again() {
        let mut rows = rows();
        let mut seen = Seen::default();
        assert_eq!(seen.changed(&rows).len(), rows.len());
        assert!(seen.changed(&rows).is_empty());
        rows[1].job.version += 1;
        let changed: Vec<_> = seen.changed(&rows).iter().map(|row| row.job.id.to_string()).collect();
        assert_eq!(changed, [rows[1].job.id.to_string()]);
    }

    #[test]
    fn a_watched_listing_leaves_a_row_to_the_cursor_and_says_what_it_left_out() {
        let look = Look { width: 80, colour: false, defang: true, terminal: true };
        let drawn = |rows: &[Listed], height| {
            let lines = watched(rows, NOW, Duration::from_secs(2), look, height);
            assert!(lines.len() < height && lines.iter().all(|line| line.width() <= 80), "{lines:?}");
            rendered(&lines, false)
        };
        assert!(drawn(&rows(), 24).ends_with("6 jobs  10:00:00 UTC, again every 2s, ^C ends\n"));
        assert!(drawn(&rows(), 5).contains("\n6 jobs, more than there is room for  "));
        assert!(drawn(&[], 24).starts_with("no job fits  "));
    }
}
