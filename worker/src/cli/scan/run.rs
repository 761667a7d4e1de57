//! What `safeurl scan` checks first, prints, and ends with.

use std::io::IsTerminal as _;

use anyhow::Context as _;

use super::report::report;
use super::session::{Scanned, scan};
use super::table::{WIDE, printable, table};
use super::{Args, FailOn, View};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::problem::Annotate as _;
use crate::config::{Level, Log, Origin, Origins, Settings};
use crate::domain::document::{Document, Summary};
use crate::domain::state::State;
use crate::domain::target::Target;
use crate::domain::verdict::VerdictState;
use crate::shutdown::Signals;
use crate::telemetry;

pub(super) async fn run(args: &Args) -> anyhow::Result<Exit> {
    let (settings, origins) = args.settings.load()?;
    refuse_bad_urls(&args.urls)?;
    telemetry::init(&quiet(&settings, &origins)).context("cannot set up log lines")?;
    let (_signals, signals) = Signals::listen().context("cannot listen to signals")?;
    let mut output = Output::stdout();
    let each = |document: &Document| {
        if args.json { show_json(&mut output, document, args.view) } else { Ok(()) }
    };
    let Scanned { documents, complete } = scan(&settings, &args.urls, &signals, false, each).await?;
    if !args.json {
        print(&documents)?;
    }
    Ok(match signals.signal() {
        Some(signal) if !complete => Exit::Aborted(signal),
        _ => verdict_exit(args.fail_on, &documents),
    })
}

/// A person sees progress and results; log lines below a warning are for who asks for them.
fn quiet(settings: &Settings, origins: &Origins) -> Log {
    let asked = origins.iter().any(|shown| shown.key == "log.level" && shown.origin != Origin::Default);
    let level = if asked { settings.log.level } else { Level::Warn };
    Log { level, ..settings.log.clone() }
}

/// Nothing is stored when one of them is not a URL.
fn refuse_bad_urls(urls: &[String]) -> anyhow::Result<()> {
    let bad: Vec<_> = urls.iter().filter_map(|url| Target::parse(url).err()).collect();
    let Some((last, others)) = bad.split_last() else { return Ok(()) };
    for error in others {
        eprintln!("error: {}", printable(&error.to_string()));
    }
    Err(last.clone()).usage().hint("http and https URLs are scanned; `safeurl scan --help` shows examples")
}

/// For a person: one scan in full, several as a table.
fn print(documents: &[Document]) -> anyhow::Result<()> {
    let mut output = Output::stdout();
    match documents {
        [document] => output.text(&report(document)),
        documents => output.text(&table(documents, width(), colour())),
    }
}

/// One document on a line of its own.
pub(in crate::cli) fn show_json(output: &mut Output, document: &Document, view: View) -> anyhow::Result<()> {
    match view {
        View::Full => output.json(document),
        View::Summary => output.json(&Summary::of(document)),
    }
}

/// Colours are for a terminal whose user did not refuse them (<https://no-color.org/>).
pub(in crate::cli) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns of the terminal; a pipe has room.
pub(in crate::cli) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or(WIDE, |size| if size.ws_col == 0 { WIDE } else { usize::from(size.ws_col) })
}

fn verdict_exit(fail_on: Option<FailOn>, documents: &[Document]) -> Exit {
    let worst = documents.iter().map(|document| document.body.verdict.state).max();
    let limit = fail_on.map(|fail_on| match fail_on {
        FailOn::Malicious => VerdictState::Malicious,
        FailOn::Suspicious => VerdictState::Suspicious,
    });
    if limit.is_some() && worst >= limit {
        return Exit::Reached;
    }
    let ended_well = documents.iter().all(|document| document.job.state == State::Completed);
    if ended_well { Exit::Done } else { Exit::Failed }
}
