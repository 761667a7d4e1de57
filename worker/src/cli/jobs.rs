//! `safeurl jobs`: what became of them.

mod change;
mod export;
mod filter;
mod list;
mod logs;
#[cfg(test)]
mod sample;
mod show;
mod table;
mod timeline;
mod wait;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;

pub use self::filter::{FilterArgs, Moment};
use super::database;
use super::exit::Exit;
use super::problem::Annotate;
use super::scan::View;
use super::settings::StoreArgs;
use super::terminal::LookArgs;
use crate::domain::scan::ScanId;
use crate::store::{OpenMode, Sort, Store};

/// How often a watched listing is looked at again, when nobody says otherwise.
const WATCH: Duration = Duration::from_secs(2);

/// Jobs: list, show, follow, export, wait for, cancel, try again
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with them.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List jobs, newest first
    #[command(after_help = "Examples:
  safeurl jobs list
  safeurl jobs list --state failed --class connect --class dns --since 2h
  safeurl jobs list --verdict malicious --domain example.com --sort score
  safeurl jobs list --state fetching --watch
  safeurl jobs list --json | jq -r .id")]
    List(List),
    /// Print one job with its result, attempts and history
    #[command(after_help = "Examples:
  safeurl jobs show 0199f6a2-6d8e-7c11-9b53-0f4f4a0e8d11
  safeurl jobs show --json --view full ID | jq .verdict")]
    Show(Show),
    /// Print what happened to a job, in the order of time
    ///
    /// Every connection that was dialled or denied, every change of state, and the end of what each container wrote
    /// to stderr.
    #[command(after_help = "Examples:
  safeurl jobs logs ID
  safeurl jobs logs --follow ID
  safeurl jobs logs --json ID | jq 'select(.kind == \"connection\")'")]
    Logs(Logs),
    /// Write jobs with their results, newest first
    #[command(after_help = "Columns of CSV:
  url, state, verdict, score, confidence, status, final_url, ip, title, categories, brands, findings,
  failure_class, failure_message, job_id, duration_ms
  A cell that begins like a formula has an apostrophe in front.

Examples:
  safeurl jobs export --format csv --since 7d --output week.csv
  safeurl jobs export --state completed --verdict malicious --view summary | jq -r .task.url")]
    Export(Export),
    /// Wait until jobs are final
    ///
    /// Ends with 1 when one of them ended FAILED or TIMED_OUT.
    #[command(after_help = "Examples:
  safeurl jobs wait ID
  safeurl jobs wait --timeout 5m $(safeurl submit --file urls.txt)")]
    Wait(Wait),
    /// Cancel jobs: waiting ones at once, running ones by their worker
    ///
    /// An entry in Redis is left there: when it is its turn, it finds the job cancelled and fails.
    #[command(after_help = "Examples:
  safeurl jobs cancel ID
  safeurl jobs cancel --state queued --user local --dry-run")]
    Cancel(Change),
    /// Put FAILED and TIMED_OUT jobs back into the queue
    ///
    /// With a queue in Redis the job's entry there runs again, or a new one is added if it is gone.
    #[command(after_help = "Examples:
  safeurl jobs retry ID
  safeurl jobs retry --state failed --class connect --since 2h --limit 100
  safeurl jobs retry --class timeout --dry-run")]
    Retry(Change),
}

/// Of `jobs list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// By what they are ordered
    #[arg(long, value_enum, ignore_case = true, default_value_t = Sort::Created, value_name = "ORDER")]
    pub sort: Sort,

    /// The other way round
    #[arg(long)]
    pub reverse: bool,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,

    /// Leave out so many
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub offset: u32,

    /// Go on behind this job, in the order of creation; fast however far down it is
    #[arg(long, value_name = "ID", conflicts_with_all = ["offset", "sort"])]
    pub after: Option<String>,

    /// Look again every so many seconds (2) until ^C: a terminal is redrawn, elsewhere changed jobs come as lines
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
    pub watch: Option<Duration>,

    /// One compact JSON document a line and job
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub filter: FilterArgs,

    #[command(flatten)]
    pub look: LookArgs,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// Of `jobs show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Which one; the first 8 characters or more, when no other job begins so
    #[arg(value_name = "ID")]
    pub id: String,

    /// The document as compact JSON
    #[arg(long)]
    pub json: bool,

    /// How much the document holds
    #[arg(long, value_enum, default_value_t = View::Full, value_name = "VIEW", requires = "json")]
    pub view: View,

    #[command(flatten)]
    pub look: LookArgs,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// Of `jobs logs`.
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// Which one; the first 8 characters or more, when no other job begins so
    #[arg(value_name = "ID")]
    pub id: String,

    /// Go on until the job is final
    #[arg(long)]
    pub follow: bool,

    /// One compact JSON document a line and event
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub look: LookArgs,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// Of `jobs export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// What is written
    #[arg(long, value_enum, default_value_t = Format::Jsonl, value_name = "FORMAT")]
    pub format: Format,

    /// How much a JSON document holds
    #[arg(long, value_enum, default_value_t = View::Full, value_name = "VIEW")]
    pub view: View,

    /// At most so many; all of them otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,

    /// Write to this file instead of stdout; it appears when it is complete
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub filter: FilterArgs,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// What an export is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON document a line.
    Jsonl,
    /// A line a job, with a header.
    Csv,
}

/// Of `jobs wait`.
#[derive(Debug, clap::Args)]
pub struct Wait {
    /// Which ones
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,

    /// Give up after this long, such as 30s, with exit code 1
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// Of `jobs cancel` and `jobs retry`.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Which ones; or name them by what they have in common
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,

    /// At most so many, the newest first; all that fit otherwise
    #[arg(long, value_name = "N", conflicts_with = "ids", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,

    /// Say what would be done and do nothing
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub filter: FilterArgs,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// Runs it.
///
/// # Errors
/// Whatever is wrong with the settings or the database, or a job that is not there.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::List(args) => list::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Logs(args) => logs::run(args).await,
        Command::Export(args) => export::run(args).await,
        Command::Wait(args) => wait::run(args).await,
        Command::Cancel(args) => change::cancel(args).await,
        Command::Retry(args) => change::retry(args).await,
    }
}

async fn open(settings: &StoreArgs) -> anyhow::Result<Store> {
    let (settings, _) = settings.load()?;
    database::open_ready(&settings, OpenMode::Existing).await
}

/// Fewer characters name too many jobs by chance.
const LEAST_PREFIX: usize = 8;

/// Jobs named when a beginning fits several.
const MATCHES: u32 = 10;

/// The job that an id or its beginning names.
enum Named {
    One(ScanId),
    Nothing,
    Several(Vec<ScanId>),
}

async fn named(store: &Store, text: &str) -> anyhow::Result<Named> {
    let id = ScanId::parse(text).usage().hint("`safeurl jobs list` shows the ids of the newest ones")?;
    if text.chars().count() < LEAST_PREFIX {
        return Ok(store.job(&id).await?.map_or(Named::Nothing, |job| Named::One(job.id)));
    }
    let mut found = store.ids_with_prefix(text, MATCHES + 1).await?;
    Ok(match found.len() {
        0 => Named::Nothing,
        1 => Named::One(found.remove(0)),
        _ => Named::Several(found),
    })
}

/// The job that an id or its beginning names, or an error that says what there is.
async fn the_one(store: &Store, text: &str) -> anyhow::Result<ScanId> {
    match named(store, text).await? {
        Named::One(id) => Ok(id),
        Named::Nothing => Err(anyhow!("there is no job {text}")).hint(UNKNOWN),
        Named::Several(ids) => Err(anyhow!("{} begin with {text}", several(&ids))).hint(AMBIGUOUS),
    }
}

const UNKNOWN: &str = "`safeurl jobs list` shows the newest ones; an id may be cut to 8 characters or more";
const AMBIGUOUS: &str = "give more characters of the one that is meant";

/// Jobs by name, as many as fit into a sentence.
fn several(ids: &[ScanId]) -> String {
    let shown = usize::try_from(MATCHES).unwrap_or(usize::MAX);
    let names: Vec<_> = ids.iter().take(shown).map(ScanId::as_str).collect();
    let more = if ids.len() > shown { " and more" } else { "" };
    format!("the jobs {}{more}", names.join(", "))
}

/// How often to look: a number of seconds, or a duration such as 500ms.
fn seconds(text: &str) -> Result<Duration, String> {
    const RANGE: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
    let plain = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let every = plain.or_else(|| humantime::parse_duration(text).ok());
    match every {
        Some(every) if RANGE.contains(&every) => Ok(every),
        Some(_) => Err("between 0.1 and 3600 seconds are taken".to_owned()),
        None => Err("not a number of seconds".to_owned()),
    }
}
