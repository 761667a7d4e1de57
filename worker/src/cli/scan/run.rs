//! What `safeurl scan` checks first, prints, and ends with.

use std::io;

use anyhow::Context as _;

use super::evidence::Keeper;
use super::input::Input;
use super::progress::Told;
use super::report::report;
use super::session::{Scanned, Wishes, scan};
use super::table::{Row, table};
use super::trace::Tracing;
use super::{Args, FailOn, View};
use crate::cli::csv;
use crate::cli::exit::Exit;
use crate::cli::output::{Output, plain};
use crate::cli::terminal::screen::Screen;
use crate::cli::terminal::{Look, When, can_draw, colours_on_stderr};
use crate::config::{Level, Log, Origin, Origins, Settings};
use crate::domain::document::{Document, Summary};
use crate::domain::state::State;
use crate::domain::verdict::VerdictState;
use crate::shutdown::Signals;
use crate::telemetry::{self, Recorder};

/// Cancelled URLs that are named; more are counted.
const NAMED: usize = 20;

pub(super) async fn run(args: &Args) -> anyhow::Result<Exit> {
    let (settings, origins) = args.settings.load()?;
    let input = Input::gather(&args.urls, &args.files)?;
    if input.doubles > 0 && !args.quiet {
        eprintln!("note: each URL is scanned once; left out as repeated: {}", input.doubles);
    }
    let tracing = args.trace.as_deref().map(|file| Tracing::open(file, &input.urls)).transpose()?;
    let log = quiet(&settings, &origins);
    let told = if args.quiet { Told::Nowhere } else { told(args.look.color, Told::Nowhere) };
    start_log(&log, &told, tracing.as_ref().map(Tracing::recorder))?;
    let mut keeper = args.evidence.as_deref().map(Keeper::open).transpose()?;
    let (_signals, signals) = Signals::listen().context("cannot listen to signals")?;
    let mut printer = Printer::new(args, input.urls.len())?;
    let mut ended = None;
    let each = |place, document: Document| {
        ended = Some(document.job.id.clone());
        printer.take(place, document)
    };
    let wishes = Wishes { options: args.job.options(), keeper: keeper.as_mut(), warm: args.warm };
    let Scanned { complete, unfinished } = scan(&settings, &input.urls, wishes, &signals, told, each).await?;
    printer.finish()?;
    name_cancelled(&input.urls, &unfinished);
    let drawn = tracing.is_none_or(|tracing| tracing.finish(ended.as_deref()));
    let kept = keeper.is_none_or(Keeper::finish) && drawn;
    Ok(match signals.signal() {
        Some(signal) if !complete => Exit::Aborted(signal),
        _ => match printer.tally.exit(args.fail_on, input.bad > 0) {
            Exit::Done if !kept => Exit::Failed,
            exit => exit,
        },
    })
}

/// A person sees progress and results; log lines below a warning are for who asks for them.
fn quiet(settings: &Settings, origins: &Origins) -> Log {
    let asked = origins.iter().any(|shown| shown.key == "log.level" && shown.origin != Origin::Default);
    let level = if asked { settings.log.level } else { Level::Warn };
    Log { level, ..settings.log.clone() }
}

/// Progress is drawn where that can be.
pub(in crate::cli) fn told(colour: When, elsewhere: Told) -> Told {
    if can_draw() {
        Told::Drawn { screen: Screen::stderr(), colour: colours_on_stderr(colour) }
    } else {
        elsewhere
    }
}

/// Log lines stand above what is drawn.
pub(in crate::cli) fn start_log(log: &Log, told: &Told, recorder: Option<Recorder>) -> anyhow::Result<()> {
    let started = match told {
        Told::Drawn { screen, .. } => {
            let screen = screen.clone();
            telemetry::init_on(log, move || screen.clone(), recorder)
        }
        Told::Nowhere | Told::Lines => telemetry::init_on(log, io::stderr, recorder),
    };
    started.context("cannot set up log lines")
}

fn name_cancelled(urls: &[String], unfinished: &[usize]) {
    for url in unfinished.iter().filter_map(|place| urls.get(*place)).take(NAMED) {
        eprintln!("cancelled: {}", plain(url));
    }
    if unfinished.len() > NAMED {
        eprintln!("cancelled: and {} more", unfinished.len() - NAMED);
    }
}

/// Prints documents as they come, or keeps of them what is printed at the end.
struct Printer {
    output: Output,
    form: Form,
    tally: Tally,
}

enum Form {
    /// One scan for a person.
    Report(Look, Option<Box<Document>>),
    /// Several for a person, each at its place.
    Table(Look, Vec<Option<Row>>),
    Json(View),
    Csv,
}

impl Printer {
    fn new(args: &Args, total: usize) -> anyhow::Result<Self> {
        let look = args.look.look();
        let mut output = Output::stdout();
        let form = if args.json {
            Form::Json(args.view)
        } else if args.csv {
            output.line(&csv::header())?;
            Form::Csv
        } else if total == 1 {
            Form::Report(look, None)
        } else {
            Form::Table(look, vec![None; total])
        };
        Ok(Self { output, form, tally: Tally::default() })
    }

    fn take(&mut self, place: usize, document: Document) -> anyhow::Result<()> {
        self.tally.count(&document);
        match &mut self.form {
            Form::Json(view) => show_json(&mut self.output, &document, *view),
            Form::Csv => self.output.line(&csv::row(&document)),
            Form::Report(_, kept) => {
                *kept = Some(Box::new(document));
                Ok(())
            }
            Form::Table(_, rows) => {
                if let Some(row) = rows.get_mut(place) {
                    *row = Some(Row::of(&document));
                }
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        match &mut self.form {
            Form::Json(_) | Form::Csv | Form::Report(_, None) => Ok(()),
            Form::Report(look, Some(document)) => self.output.text(&report(document, *look)),
            Form::Table(look, rows) => {
                let rows: Vec<_> = std::mem::take(rows).into_iter().flatten().collect();
                if rows.is_empty() { Ok(()) } else { self.output.text(&table(&rows, *look)) }
            }
        }
    }
}

/// One document on a line of its own.
pub(in crate::cli) fn show_json(output: &mut Output, document: &Document, view: View) -> anyhow::Result<()> {
    match view {
        View::Full => output.json(document),
        View::Summary => output.json(&Summary::of(document)),
    }
}

/// What the exit code depends on.
#[derive(Debug, Default)]
struct Tally {
    worst: Option<VerdictState>,
    failed: bool,
}

impl Tally {
    fn count(&mut self, document: &Document) {
        self.worst = self.worst.max(Some(document.body.verdict.state));
        self.failed |= document.job.state != State::Completed;
    }

    fn exit(&self, fail_on: Option<FailOn>, bad_lines: bool) -> Exit {
        let limit = fail_on.map(|fail_on| match fail_on {
            FailOn::Malicious => VerdictState::Malicious,
            FailOn::Suspicious => VerdictState::Suspicious,
        });
        if limit.is_some() && self.worst >= limit {
            Exit::Reached
        } else if bad_lines {
            Exit::Usage
        } else if self.failed {
            Exit::Failed
        } else {
            Exit::Done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_worst_that_was_asked_for_wins_then_bad_lines_then_failures() {
        let exit = |state, failed: bool, fail_on, bad| {
            let mut tally = Tally::default();
            tally.count(&sample::judged(state));
            if failed {
                tally.count(&sample::failed("no answer"));
            }
            tally.exit(fail_on, bad)
        };
        let (malicious, benign) = (VerdictState::Malicious, VerdictState::Benign);
        assert_eq!(exit(malicious, true, Some(FailOn::Suspicious), true), Exit::Reached);
        assert_eq!(exit(VerdictState::Suspicious, false, Some(FailOn::Malicious), false), Exit::Done);
        assert_eq!(exit(malicious, false, None, false), Exit::Done);
        assert_eq!(exit(benign, true, Some(FailOn::Suspicious), true), Exit::Usage);
        assert_eq!(exit(benign, true, Some(FailOn::Suspicious), false), Exit::Failed);
        assert_eq!(Tally::default().exit(Some(FailOn::Suspicious), false), Exit::Done);
    }
}
