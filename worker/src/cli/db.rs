//! `safeurl db`: the database's schema.

use std::collections::BTreeMap;

use serde::Serialize;

use super::database;
use super::exit::Exit;
use super::output::{Output, plain};
use super::settings::StoreArgs;
use crate::store::{Migrated, OpenMode, Schema, Store};

/// The database: migrate, status
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with it.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Bring the schema up to this program's, and say from where to where
    ///
    /// Takes a fresh file, one of an older version, and the database of an existing installation, which stays usable
    /// by the program it belongs to. A database on a server is migrated by this command alone.
    #[command(after_help = "Examples:
  safeurl db migrate
  safeurl db migrate --database file:/var/lib/safeurl/jobs.db
  safeurl db migrate --database libsql://jobs-example.turso.io")]
    Migrate(Migrate),
    /// Print the schema's version and the number of jobs by state
    #[command(after_help = "Examples:
  safeurl db status
  safeurl db status --json | jq .jobs")]
    Status(Status),
}

/// Of `db migrate`.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    #[command(flatten)]
    pub settings: StoreArgs,
}

/// Of `db status`.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// One compact JSON document
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: StoreArgs,
}

/// What `db status --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    path: &'a str,
    schema: Option<u32>,
    known: u32,
    kind: &'static str,
    jobs: BTreeMap<&'static str, u64>,
}

/// Runs it.
///
/// # Errors
/// Whatever is wrong with the settings or the database.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Migrate(args) => migrate(args).await,
        Command::Status(args) => status(args).await,
    }
}

async fn migrate(args: Migrate) -> anyhow::Result<Exit> {
    let (settings, _) = args.settings.load()?;
    let store = database::open(&settings, OpenMode::Create).await?;
    let Migrated { from, to } = store.migrate().await?;
    let path = store.place();
    let told =
        if from == to { format!("is at schema {to} already") } else { format!("schema {from} -> {to}") };
    Output::stdout().line(&format!("{}: {told}", plain(&path)))?;
    Ok(Exit::Done)
}

async fn status(args: Status) -> anyhow::Result<Exit> {
    let (settings, _) = args.settings.load()?;
    let store = database::open(&settings, OpenMode::Existing).await?;
    let (kind, schema) = match store.schema().await? {
        Schema::Empty => ("empty", None),
        Schema::Foreign => ("foreign", None),
        Schema::Ours { version } => ("ours", Some(version)),
        Schema::Newer { version } => ("newer", Some(version)),
    };
    let (ours, path) = (kind == "ours", store.place());
    let counted = if ours { store.counts().await? } else { Vec::new() };
    let report = Report {
        path: &path,
        schema,
        known: Store::SCHEMA,
        kind,
        jobs: counted.into_iter().map(|(state, count)| (state.as_str(), count)).collect(),
    };
    let mut output = Output::stdout();
    if args.json {
        output.json(&report)?;
        return Ok(Exit::Done);
    }
    let known = report.known;
    let told = match (kind, schema) {
        ("empty", _) => format!("empty; `safeurl db migrate` makes schema {known}"),
        ("foreign", _) => {
            format!("an existing installation's; `safeurl db migrate` adds schema {known} to it")
        }
        (_, Some(version)) if version > known => {
            format!("schema {version}; this program knows {known} at most")
        }
        (_, Some(version)) if version < known => {
            format!("schema {version}; `safeurl db migrate` makes it {known}")
        }
        (_, version) => format!("schema {}", version.unwrap_or(known)),
    };
    output.line(&format!("{}: {told}", plain(report.path)))?;
    for (state, count) in &report.jobs {
        output.line(&format!("{state:<10} {count:>8}"))?;
    }
    Ok(Exit::Done)
}
