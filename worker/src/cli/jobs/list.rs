//! `safeurl jobs list`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::table::{Look, table, took};
use super::{List, open, the_one};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::terminal::LookArgs;
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
    match args.watch {
        Some(_) => watch(&store, &args, search, page, &mut output).await,
        None => {
            let rows = store.find_jobs(search, page).await?;
            let look = Look { header: !rows.is_empty(), ..look() };
            print(&mut output, &args, rows.iter(), store.now().await?, look)?;
            Ok(Exit::Done)
        }
    }
}

/// How it looks where it goes: names of columns and a width are for people.
fn look() -> Look {
    if std::io::stdout().is_terminal() {
        let look = LookArgs::default().look();
        Look { width: Some(look.width), header: true, colour: look.colour }
    } else {
        Look::default()
    }
}

fn print<'a>(
    output: &mut Output,
    args: &List,
    rows: impl Iterator<Item = &'a Listed>,
    now: Timestamp,
    look: Look,
) -> anyhow::Result<()> {
    if args.json {
        for row in rows {
            output.json(&Line::of(row, now))?;
        }
        return Ok(());
    }
    let rows: Vec<_> = rows.cloned().collect();
    let look = Look { header: look.header && look.width.is_some(), ..look };
    let text = table(&rows, now, look);
    if text.is_empty() { Ok(()) } else { output.text(&text) }
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
    let mut look_again = interval(args.watch.unwrap_or(super::WATCH));
    look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let redraws = std::io::stdout().is_terminal() && !args.json;
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
        if redraws {
            output.line(&screen(&table(&rows, now, look()), height()))?;
        } else {
            let changed = seen.changed(&rows);
            print(output, args, changed.into_iter(), now, Look::default())?;
        }
    }
    Ok(Exit::Done)
}

/// Lines of the terminal.
fn height() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(24, |size| usize::from(size.ws_row).max(2))
}

/// Drawn over what was there: from the top, each line to its end, nothing below. As many lines as there is room
/// for, the last one is the cursor's.
fn screen(text: &str, height: usize) -> String {
    let lines: Vec<_> =
        text.lines().take(height.saturating_sub(1)).map(|line| format!("{line}\x1b[K")).collect();
    format!("\x1b[H{}\x1b[J", lines.join("\n"))
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
    use super::super::sample::rows;
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
    fn a_screen_is_drawn_over_and_leaves_the_last_line_to_the_cursor() {
        assert_eq!(screen("a\nb\nc\n", 3), "\x1b[Ha\x1b[K\nb\x1b[K\x1b[J");
        assert_eq!(screen("", 3), "\x1b[H\x1b[J");
    }
}
