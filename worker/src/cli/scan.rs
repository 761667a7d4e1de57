//! `safeurl scan`: from URLs to judged, stored results, here and now.

mod progress;
mod report;
mod run;
#[cfg(test)]
pub(super) mod sample;
mod session;
pub(super) mod table;

use super::exit::Exit;
use super::settings::SettingsArgs;
pub(super) use report::report;
pub(super) use run::{colour, show_json, width};
pub(super) use session::{Scanned, scan};

/// Open URLs in throw-away containers and say what is there
///
/// Each URL is stored as a job of its own, fetched in a container that serves it alone, judged, and stored. Results go
/// to stdout as they come, progress to stderr. ^C kills the running containers and ends with 130.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl scan https://example.com/
  safeurl scan --json --view summary hxxp://suspicious[.]example/login
  safeurl scan --fail-on suspicious --timeout 10s URL && open URL
  safeurl scan --allow-net 10.1.0.0/16 http://intranet.example/")]
pub struct Args {
    /// What to open; hxxp:// and [.] are read as meant, a missing scheme means https, then http
    #[arg(required = true, value_name = "URL")]
    pub urls: Vec<String>,

    /// One compact JSON document a line and URL
    #[arg(long)]
    pub json: bool,

    /// How much a document holds
    #[arg(long, value_enum, default_value_t = View::Full, value_name = "VIEW")]
    pub view: View,

    /// End with 3 when a URL is at least this bad
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub fail_on: Option<FailOn>,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// How much a document holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum View {
    /// Everything that is stored.
    Full,
    /// Enough to act on, under 4 KB.
    Summary,
}

/// What `--fail-on` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// Malicious alone.
    Malicious,
    /// Suspicious or malicious.
    Suspicious,
}

/// Runs it.
///
/// # Errors
/// Wrong settings or URLs; database, engine or image that cannot be used.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    run::run(&args).await
}
