//! `safeurl scan`: from URLs to judged, stored results, here and now.

mod evidence;
mod input;
pub(super) mod progress;
mod report;
mod run;
#[cfg(test)]
pub(super) mod sample;
mod session;
pub(super) mod table;
mod trace;

use std::path::PathBuf;

use super::exit::Exit;
use super::settings::{JobArgs, SettingsArgs};
use super::terminal::LookArgs;
pub(super) use report::report_of_job;
pub(super) use run::{show_json, start_log, told};
pub(super) use session::{Scanned, Wishes, scan};

/// The part of the help that scripts rely on.
pub(super) const COLUMNS_HELP: &str = "\
Columns of --csv, in this order; new ones go to the end:
  url, state, verdict, score, confidence, status, final_url, ip, title, categories, brands,
  findings, failure_class, failure_message, job_id, duration_ms
  Several values in a cell are separated by semicolons. URLs are as they came. A cell that a
  spreadsheet would calculate (it begins with = + - @ or a tab) begins with ' instead.";

const AFTER_HELP: &str = "\
Exit codes:
  0        all scans have a result, however bad
  1        a scan ended FAILED or TIMED_OUT, or the operation failed
  2        usage or configuration; also a bad line in a file, after the rest was scanned
  3        --fail-on was reached (wins over 1 and 2)
  130/143  stopped by SIGINT/SIGTERM: what had ended is printed, the rest is cancelled and named

Examples:
  safeurl scan https://example.com/
  safeurl scan --json --view summary hxxp://suspicious[.]example/login
  safeurl scan --evidence ./evidence --tag case-17 http://suspicious.example/
  safeurl scan --fail-on suspicious --timeout 10s URL && open URL
  safeurl scan --trace scan.svg --warm URL
  safeurl scan --file urls.txt --csv > urls.csv
  grep -o 'http[^ ]*' mail.txt | safeurl scan -
  safeurl scan --allow-net 10.1.0.0/16 http://intranet.example/";

/// Open URLs in throw-away containers and say what is there
///
/// Each URL is stored as a job of its own, fetched in a container that serves it alone, judged, and stored. One URL
/// is reported in full, several as a table. Results go to stdout, progress to stderr where that is a terminal. ^C
/// stops what runs, prints what has ended, and ends with 130; a second ^C does not wait.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, after_long_help = format!("{COLUMNS_HELP}\n\n{AFTER_HELP}"))]
pub struct Args {
    /// What to open; hxxp:// and [.] are read as meant, a missing scheme means https, then http; - reads lines
    /// from stdin
    #[arg(required_unless_present = "files", value_name = "URL")]
    pub urls: Vec<String>,

    /// File with a URL a line; may be given again. Empty lines and lines that begin with # are left out, a bad line
    /// is named with its number and the rest is scanned
    #[arg(long = "file", short = 'f', value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// One compact JSON document a line and URL, as each scan ends
    #[arg(long)]
    pub json: bool,

    /// One line of CSV a URL, as each scan ends, below a line with the columns
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,

    /// How much a document holds
    #[arg(long, value_enum, default_value_t = View::Full, value_name = "VIEW")]
    pub view: View,

    /// End with 3 when a URL is at least this bad
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub fail_on: Option<FailOn>,

    /// Keep what was fetched and seen: a folder for each scan below this one, with the page's bytes in body.bin, the
    /// headers, the fetcher's report and the document
    #[arg(long, value_name = "DIR")]
    pub evidence: Option<PathBuf>,

    /// Draw where the time of one scan goes, as a picture (.svg), or write it down (.json)
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// Store the scan only once a container waits for it, as with a worker that keeps some waiting
    #[arg(long, requires = "trace")]
    pub warm: bool,

    #[command(flatten)]
    pub job: JobArgs,

    /// No progress; results and errors only
    #[arg(long, short)]
    pub quiet: bool,

    #[command(flatten)]
    pub look: LookArgs,

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
