//! `safeurl jobs`: what became of them.

mod change;
mod list;
mod show;
mod wait;

use anyhow::anyhow;

use super::database;
use super::exit::Exit;
use super::problem::Annotate;
use super::scan::View;
use super::settings::StoreArgs;
use super::terminal::LookArgs;
use crate::domain::scan::ScanId;
use crate::domain::state::State;
use crate::store::{OpenMode, Store};

/// Jobs: list, show, wait for, cancel, try again
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
  safeurl jobs list --state failed --state timed-out --limit 20
  safeurl jobs list --json | jq -r .id")]
    List(List),
    /// Print one job with its result, attempts and history
    #[command(after_help = "Examples:
  safeurl jobs show 0199f6a2-6d8e-7c11-9b53-0f4f4a0e8d11
  safeurl jobs show --json --view full ID | jq .verdict")]
    Show(Show),
    /// Wait until jobs are final
    ///
    /// Ends with 1 when one of them ended FAILED or TIMED_OUT.
    #[command(after_help = "Examples:
  safeurl jobs wait ID
  safeurl jobs wait $(safeurl submit --file urls.txt)")]
    Wait(Wait),
    /// Cancel jobs: waiting ones at once, running ones by their worker
    #[command(after_help = "Examples:
  safeurl jobs cancel ID")]
    Cancel(Ids),
    /// Put FAILED and TIMED_OUT jobs back into the queue
    #[command(after_help = "Examples:
  safeurl jobs retry ID
  safeurl jobs list --state failed --json | jq -r .id | xargs safeurl jobs retry")]
    Retry(Ids),
}

/// Of `jobs list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only jobs in this state; may be given again
    #[arg(long = "state", value_enum, value_name = "STATE")]
    pub states: Vec<StateArg>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u32,

    /// One compact JSON document a line and job
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// Of `jobs show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Which one
    #[arg(value_name = "ID")]
    pub id: String,

    /// The document as compact JSON
    #[arg(long)]
    pub json: bool,

    /// How much the document holds
    #[arg(long, value_enum, default_value_t = View::Full, value_name = "VIEW")]
    pub view: View,

    #[command(flatten)]
    pub look: LookArgs,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// Of `jobs wait`.
#[derive(Debug, clap::Args)]
pub struct Wait {
    /// Which ones
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,

    /// Give up after this long, with exit code 1
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub timeout: Option<std::time::Duration>,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// Of `jobs cancel` and `jobs retry`.
#[derive(Debug, clap::Args)]
pub struct Ids {
    /// Which ones
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,

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
        Command::Wait(args) => wait::run(args).await,
        Command::Cancel(args) => change::cancel(args).await,
        Command::Retry(args) => change::retry(args).await,
    }
}

async fn open(settings: &StoreArgs) -> anyhow::Result<Store> {
    let (settings, _) = settings.load()?;
    database::open_ready(&settings, OpenMode::Existing).await
}

fn id(text: &str) -> anyhow::Result<ScanId> {
    ScanId::parse(text).usage()
}

/// The error for an id that names nothing.
fn unknown<T>(id: &ScanId) -> anyhow::Result<T> {
    Err(anyhow!("there is no job {id}")).hint("`safeurl jobs list` shows the newest ones")
}

/// A state as a flag names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StateArg {
    /// Waits.
    Queued,
    /// In a container.
    Fetching,
    /// Being judged.
    Analyzing,
    /// Has a result.
    Completed,
    /// Ended without one.
    Failed,
    /// Ran out of time.
    TimedOut,
}

impl From<StateArg> for State {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Queued => Self::Queued,
            StateArg::Fetching => Self::Fetching,
            StateArg::Analyzing => Self::Analyzing,
            StateArg::Completed => Self::Completed,
            StateArg::Failed => Self::Failed,
            StateArg::TimedOut => Self::TimedOut,
        }
    }
}
