//! `safeurl jobs export`: jobs with their results, as many as there are.
//!
//! Goes through the rows a page at a time, each behind the last row of the one before: it holds a page, not the
//! table. A file is written beside its place and moved there when it is complete.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::{Export, Format, open};
use crate::cli::csv;
use crate::cli::exit::Exit;
use crate::cli::output::{self, Output, plain};
use crate::cli::problem::Annotate as _;
use crate::cli::scan::View;
use crate::domain::document::{Document, Summary};
use crate::shutdown::{Phase, Shutdown, Signals};
use crate::store::{Page, Store};

/// Documents at a time. One may have the size of the largest report, so that few are held at once.
const PAGE: u32 = 16;

pub(super) async fn run(args: Export) -> anyhow::Result<Exit> {
    let store = open(&args.settings).await?;
    let (_signals, shutdown) = Signals::listen().context("cannot listen to signals")?;
    let Some(path) = &args.output else {
        let mut output = Output::stdout();
        return write(&store, &args, &shutdown, &mut output).await;
    };
    let path = place(path)?;
    let beside = Beside::new(&path)?;
    let mut output = Output::new(&beside.file);
    let ended = write(&store, &args, &shutdown, &mut output).await;
    if matches!(ended, Ok(Exit::Done | Exit::Failed)) {
        beside.publish(&path)?;
    }
    ended
}

async fn write<W: Write>(
    store: &Store,
    args: &Export,
    shutdown: &Shutdown,
    output: &mut Output<W>,
) -> anyhow::Result<Exit> {
    let search = args.filter.search(store.now().await?);
    let mut left = args.limit.unwrap_or(u32::MAX);
    let mut after = None;
    let mut exit = Exit::Done;
    if args.format == Format::Csv {
        output.line(&csv::header())?;
    }
    while left > 0 && !output.is_closed() {
        if shutdown.phase() > Phase::Running {
            return Ok(shutdown.signal().map_or(Exit::Failed, Exit::Aborted));
        }
        let limit = left.min(PAGE);
        let page = Page { after: after.take(), limit, ..Page::default() };
        let found = store.find_documents(search.clone(), page).await?;
        let Some((last, _)) = found.last() else { break };
        after = Some(last.clone());
        left -= limit.min(u32::try_from(found.len()).unwrap_or(limit));
        for (id, document) in found {
            match document {
                Ok(document) => output.line(&record(&document, args)?)?,
                Err(error) => {
                    eprintln!("error: {}: {}", plain(id.as_str()), plain(&error.to_string()));
                    exit = Exit::Failed;
                }
            }
        }
    }
    Ok(exit)
}

/// One job, without the line's end.
fn record(document: &Document, args: &Export) -> anyhow::Result<String> {
    let json = match (args.format, args.view) {
        (Format::Csv, _) => return Ok(csv::row(document)),
        (Format::Jsonl, View::Full) => output::json(document),
        (Format::Jsonl, View::Summary) => output::json(&Summary::of(document)),
    };
    json.context("cannot write a document as JSON")
}

/// What to do about a file that cannot be written.
const ELSEWHERE: &str =
    "name a file in a folder that you may write to, or leave out --output and redirect stdout";

/// The file that is meant, links followed. Anything but a file is not replaced.
fn place(path: &Path) -> anyhow::Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(real) if real.is_file() => Ok(real),
        Ok(real) => Err(anyhow!("{} is there and is not a file", real.display())).usage().hint(ELSEWHERE),
        Err(_) => Ok(path.to_owned()),
    }
}

/// A file that is being written beside its place. Dropped unpublished, it goes.
struct Beside {
    path: PathBuf,
    file: File,
}

impl Beside {
    fn new(target: &Path) -> anyhow::Result<Self> {
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = target.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", target.display())).hint(ELSEWHERE)?;
        Ok(Self { path, file })
    }

    /// Moves it to its place, once all of it is on the disk.
    fn publish(&self, target: &Path) -> anyhow::Result<()> {
        let moved = self.file.sync_all().and_then(|()| fs::rename(&self.path, target));
        moved.with_context(|| format!("cannot write {}", target.display())).hint(ELSEWHERE)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After publishing there is nothing of that name any more.
        let _ = fs::remove_file(&self.path);
    }
}
