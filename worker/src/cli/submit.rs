//! `safeurl submit`: puts URLs into the queue for a worker.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use super::database;
use super::exit::Exit;
use super::output::{Output, plain};
use super::queue::Outer;
use super::settings::{RequestArgs, StoreArgs};
use super::urls::Lines;
use crate::domain::scan::{Method, Options, ScanId};
use crate::domain::target::Target;
use crate::queue::bullmq::producer::NewEntry;
use crate::store::{NewJob, OpenMode, Store};

/// Rows that go in at once: few enough that no reader of the database waits for them.
const AT_ONCE: usize = 500;

/// Whose jobs those of the command line are.
pub(super) const USER: &str = "local";

/// The last priority. BullMQ has no more, and jobs may go through one (`PRIORITY_LIMIT` in its sources).
const LAST_PRIORITY: i64 = 1 << 21;

/// The longest delay: a year.
const LONGEST_DELAY: Duration = Duration::from_secs(365 * 24 * 3600);

/// Put URLs into the queue and print their job ids
///
/// Prints one id a line, in the order of the URLs. In a file each line is a URL; empty lines and lines that begin with
/// # are left out. A bad line is named with its number, the rest still goes in, and the exit code is 2.
///
/// With a queue in Redis the jobs go into the database first. If Redis does not answer they stand there all the same and
/// a worker adds them to the queue; that is told, and the exit code stays 0, because submitting again would double them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl submit https://example.com/ https://example.org/
  safeurl submit --file urls.txt --tag reported --priority 10
  safeurl submit --delay 1h --timeout 10s --respect-robots https://example.com/
  grep -o 'http[^ ]*' mail.txt | safeurl submit -")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["urls", "file"]))]
pub struct Args {
    /// What to open; - reads lines from stdin
    #[arg(value_name = "URL")]
    pub urls: Vec<String>,

    /// File with a URL a line
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Order among the waiting: 0 first, 1 before 2
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..=LAST_PRIORITY))]
    pub priority: i64,

    /// Not to be scanned before this has passed, such as 30s or 1h
    #[arg(long, value_name = "DURATION", value_parser = delay)]
    pub delay: Option<Duration>,

    #[command(flatten)]
    pub request: RequestArgs,

    #[command(flatten)]
    pub settings: StoreArgs,
}

fn delay(text: &str) -> Result<Duration, String> {
    let delay = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if delay > LONGEST_DELAY { Err("that is more than a year".to_owned()) } else { Ok(delay) }
}

/// Runs it.
///
/// # Errors
/// Whatever is wrong with the settings, the database, or with reading the lines.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    let (settings, _) = args.settings.load()?;
    let options = args.request.options()?;
    let store = database::open_ready(&settings, OpenMode::Create).await?;
    let outer = Outer::of(&settings)?;
    let mut queue = Queue {
        store,
        outer,
        options,
        priority: args.priority,
        delay: args.delay,
        max_attempts: settings.retry.max_attempts,
        waiting: Vec::new(),
        output: Output::stdout(),
        refused: false,
    };
    if let Some(path) = &args.file {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        queue.lines(BufReader::new(file), &path.display().to_string()).await?;
    }
    for (n, url) in args.urls.iter().enumerate() {
        if url == "-" {
            queue.lines(std::io::stdin().lock(), "stdin").await?;
        } else {
            queue.take(url, || format!("URL {}", n + 1)).await?;
        }
    }
    queue.flush().await?;
    queue.outer.tell();
    Ok(if queue.refused { Exit::Usage } else { Exit::Done })
}

/// The way in: what is fine goes on in blocks, what is not is told and left out.
struct Queue {
    store: Store,
    outer: Outer,
    options: Options,
    priority: i64,
    delay: Option<Duration>,
    max_attempts: u32,
    waiting: Vec<NewJob>,
    output: Output,
    refused: bool,
}

impl Queue {
    async fn lines(&mut self, from: impl BufRead, name: &str) -> anyhow::Result<()> {
        for line in Lines::of(from) {
            let (n, line) = line.with_context(|| format!("cannot read {name}"))?;
            self.take(&line, || format!("{name}: line {n}")).await?;
        }
        Ok(())
    }

    async fn take(&mut self, url: &str, place: impl Fn() -> String) -> anyhow::Result<()> {
        if let Err(wrong) = Target::parse(url) {
            eprintln!("error: {}: {}", plain(&place()), plain(&wrong.to_string()));
            self.refused = true;
            return Ok(());
        }
        self.waiting.push(NewJob {
            id: ScanId::fresh(),
            user: USER.to_owned(),
            url: url.to_owned(),
            options: self.options.clone(),
            priority: self.priority,
            method: Method::Cli,
            max_attempts: self.max_attempts,
            reserved_for: None,
            delay: self.delay,
        });
        if self.waiting.len() >= AT_ONCE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        let jobs = std::mem::take(&mut self.waiting);
        let entries: Vec<_> =
            if self.outer.is_there() { jobs.iter().map(entry).collect() } else { Vec::new() };
        for id in self.store.submit(jobs).await.context("cannot queue the URLs")? {
            self.output.line(id.as_str())?;
        }
        self.outer.add(entries).await;
        Ok(())
    }
}

fn entry(job: &NewJob) -> NewEntry {
    NewEntry::scan(&job.id, &job.user, &job.url, job.max_attempts)
        .with_priority(job.priority)
        .after(job.delay.unwrap_or_default())
}
