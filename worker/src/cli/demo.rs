//! `safeurl demo`: the demo site scanned as a person would scan it, and checked row by row. What `make demo` runs.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::demo_site::{self, Row};
use super::exit::Exit;
use super::output::Output;
use super::scan::progress::Told;
use super::scan::table::{Row as TableRow, table};
use super::scan::{Scanned, Wishes, scan, start_log, told};
use super::settings::SettingsArgs;
use super::terminal::LookArgs;
use crate::config::{Level, Log, Settings};
use crate::domain::document::Document;
use crate::shutdown::Signals;

/// Scan a small site on loopback that shows each way a scan can end, offline, and check every end
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    look: LookArgs,

    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs it. Ends with 1 when a row did not end as it must.
///
/// # Errors
/// Wrong settings; engine or image that cannot be used.
pub async fn run(mut args: Args) -> anyhow::Result<Exit> {
    let folder = Folder::new()?;
    args.settings.store.database = Some(format!("file:{}", folder.0.join("demo.db").display()));
    // Short, so that the server that never answers does not hold up the table.
    args.settings.timeout.get_or_insert_with(|| "5s".to_owned());
    let (mut settings, _) = args.settings.load()?;
    settings.log = Log { level: Level::Warn, ..settings.log };
    let told = told(args.look.color, Told::Lines);
    start_log(&settings.log, &told, None)?;
    let (_signals, signals) = Signals::listen().context("cannot listen to signals")?;

    let listen = Ipv4Addr::LOCALHOST;
    let site = demo_site::serve(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    only_reach(&mut settings, listen)?;
    let urls: Vec<String> = site.rows().iter().map(|row| row.url.clone()).collect();
    let mut documents: Vec<Option<Document>> = vec![None; urls.len()];
    let keep = |place: usize, document| {
        documents[place] = Some(document);
        Ok(())
    };
    let Scanned { complete, .. } = scan(&settings, &urls, Wishes::default(), &signals, told, keep).await?;
    let documents: Vec<_> = documents.into_iter().flatten().collect();
    if let (false, Some(signal)) = (complete, signals.signal()) {
        return Ok(Exit::Aborted(signal));
    }
    let mut output = Output::stdout();
    let rows: Vec<_> = documents.iter().map(TableRow::of).collect();
    output.text(&table(&rows, args.look.look()))?;
    let wrong = surprises(site.rows(), &documents);
    for surprise in &wrong {
        output.line(surprise)?;
    }
    if wrong.is_empty() {
        output.line(&format!("all {} scans ended as they must", urls.len()))?;
    }
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Failed })
}

/// The demonstration is offline: its names stand for loopback, and no name server is asked for any other.
fn only_reach(settings: &mut Settings, listen: Ipv4Addr) -> anyhow::Result<()> {
    settings.gateway.hosts = demo_site::hosts(listen);
    settings.gateway.allow_networks = vec![listen.to_string().parse().context("an address is a network")?];
    settings.gateway.resolvers = vec![(listen, 9).into()];
    Ok(())
}

/// What did not end as it must, one line each. The documents were read back from the database.
fn surprises(rows: &[Row], documents: &[Document]) -> Vec<String> {
    let mut wrong = Vec::new();
    if rows.len() != documents.len() {
        wrong.push(format!("{} scans have a document, not {}", documents.len(), rows.len()));
    }
    for (row, document) in rows.iter().zip(documents) {
        let mut differs = |what: &str, expected: String, found: String| {
            if expected != found {
                wrong.push(format!("{}: {what} is {found}, not {expected}", row.name));
            }
        };
        let verdict = &document.body.verdict;
        differs("the state", row.expect.state.to_string(), document.job.state.to_string());
        differs("the verdict", row.expect.verdict.as_str().into(), verdict.state.as_str().into());
        let class = document.job.failure.as_ref().map(|failure| failure.class);
        differs("the class", format!("{:?}", row.expect.class), format!("{class:?}"));
        if let Some(truncated) = row.expect.truncated {
            let found = document.body.content.as_ref().map(|content| content.truncated);
            differs("truncated", format!("{:?}", Some(truncated)), format!("{found:?}"));
        }
        if let Some(strongest) = row.expect.strongest {
            let found = verdict.findings.first().map(|finding| finding.rule_id.as_str());
            differs("the strongest finding", strongest.into(), found.unwrap_or("none").into());
        }
    }
    wrong
}

/// A temporary folder, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("safeurl-demo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(dir: &Path) {
    if let Err(error) = std::fs::remove_dir_all(dir) {
        eprintln!("error: cannot remove {}: {error}", dir.display());
    }
}
