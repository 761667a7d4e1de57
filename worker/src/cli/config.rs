//! `safeurl config`: what is set, and where.

use serde::Serialize;
use serde_json::Value;

use super::exit::Exit;
use super::output::{Output, plain};
use super::settings::SettingsArgs;
use crate::config::Shown;

/// Settings: what they are and where they come from
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(Show),
}

/// Print every setting with its value and origin, secrets masked
///
/// Layers in growing weight: the defaults in this program, a file (--config, else ./safeurl.toml), the file .env, the
/// environment, flags. Nothing is opened; a wrong setting is an error with exit code 2.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl config show
  safeurl config show --json | jq '.settings[] | select(.origin != \"default\")'
  SAFEURL_SANDBOX_TIMEOUT=10s safeurl config show --memory 256MiB")]
pub struct Show {
    /// One JSON document: {"settings": [{"key", "value", "origin"}]}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    settings: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    key: &'a str,
    value: &'a Value,
    origin: String,
}

/// Runs it.
///
/// # Errors
/// Whatever is wrong with the settings.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let Command::Show(Show { json, settings }) = args.command;
    let (_, origins) = settings.load()?;
    let mut output = Output::stdout();
    if json {
        let entry = |shown: &'_ Shown| (shown.key, shown.value.clone(), shown.origin.to_string());
        let entries: Vec<_> = origins.iter().map(entry).collect();
        let settings =
            entries.iter().map(|(key, value, origin)| Entry { key, value, origin: origin.clone() }).collect();
        output.json(&Document { settings })?;
    } else {
        let width = |text: fn(&Shown) -> usize| origins.iter().map(text).max().unwrap_or(0);
        let keys = width(|shown| shown.key.len());
        // One long value would push every origin off the screen.
        let values = width(|shown| shown.text().chars().count()).min(40);
        for shown in origins.iter() {
            let (value, origin) = (shown.text(), shown.origin.to_string());
            output.line(&format!("{:keys$}  {:values$}  {}", shown.key, plain(&value), plain(&origin)))?;
        }
    }
    Ok(Exit::Done)
}
