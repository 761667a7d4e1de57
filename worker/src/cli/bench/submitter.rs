//! Another process that puts jobs into a database while this one measures.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::installation::job;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::store::{DbConfig, OpenMode, Store};

/// Queue the URLs that come on standard input, one at a time
#[derive(Debug, clap::Args)]
pub struct SubmitterArgs {
    /// The database's file.
    #[arg(value_name = "FILE")]
    pub database: PathBuf,
}

/// The other process: queues each line as it comes, and says so.
///
/// # Errors
/// The database's, or those of standard input.
pub async fn run(args: SubmitterArgs) -> anyhow::Result<Exit> {
    let config = DbConfig { url: format!("file:{}", args.database.display()), auth_token: None };
    let store = Store::open(&config, OpenMode::Existing).await.context("cannot open the database")?;
    let mut output = Output::stdout();
    output.line("ready")?;
    // Nothing else of this process waits meanwhile: the database has threads of its own.
    for url in std::io::stdin().lines() {
        let url = url.context("cannot read standard input")?;
        let queued = store.submit(vec![job(&url)]).await.context("cannot queue a URL")?;
        for id in queued {
            output.line(id.as_str())?;
        }
    }
    Ok(Exit::Done)
}

/// This process' hold on it; it ends with its input.
pub(super) struct Submitter {
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Submitter {
    pub(super) async fn start(database: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(super::THIS_PROGRAM)
            .arg(super::SUBMITTER)
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start another process")?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("another process has no standard input or output");
        };
        let mut submitter = Self { input, answers: BufReader::new(output).lines(), _process: process };
        submitter.answer().await?;
        Ok(submitter)
    }

    async fn answer(&mut self) -> anyhow::Result<()> {
        let line = self.answers.next_line().await.context("cannot hear the other process")?;
        line.map(drop).context("the other process ended")
    }

    /// Has it queue a URL, and comes back when it has.
    pub(super) async fn submit(&mut self, url: &str) -> anyhow::Result<()> {
        self.input.write_all(format!("{url}\n").as_bytes()).await.context("the other process ended")?;
        self.answer().await
    }
}
