//! `safeurl image`: the fetcher's image.

use std::path::PathBuf;

use serde::Serialize;

use super::exit::Exit;
use super::output::{Output, plain};
use super::problem::Annotate;
use super::settings::{ConfigArgs, ImageArgs};
use crate::config::Settings;
use crate::sandbox::Engine;
use crate::sandbox::image::{self, Image, ImageError};

/// What to do when the engine does not answer.
pub(super) const ENGINE_HINT: &str =
    "start a Docker engine, or name one with DOCKER_HOST; `safeurl doctor` says what is missing";

/// The fetcher's image: build, show, stage
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with it.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Build the image in this program through the engine
    #[command(after_help = "Examples:
  safeurl image build")]
    Build(Plain),
    /// Print the image that scans would use
    #[command(after_help = "Examples:
  safeurl image show
  safeurl image show --json | jq -r .digest")]
    Show(Show),
    /// Write the fetcher and its Dockerfile to a folder
    #[command(after_help = "Examples:
  safeurl image stage ./fetcher && docker build -t registry.example/safeurl-fetcher ./fetcher")]
    Stage(Stage),
}

/// Of `image build`.
#[derive(Debug, clap::Args)]
pub struct Plain {
    #[command(flatten)]
    pub settings: ConfigArgs,
}

/// Of `image show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// One compact JSON document: {"reference", "digest"}
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: ImageArgs,
}

/// Of `image stage`.
#[derive(Debug, clap::Args)]
pub struct Stage {
    /// The folder; made if missing
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// What `image show --json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    reference: &'a str,
    digest: &'a str,
}

/// Runs it.
///
/// # Errors
/// Whatever is wrong with the settings, the engine or the image.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    let mut output = Output::stdout();
    match args.command {
        Command::Build(Plain { settings }) => {
            let (settings, _) = settings.load()?;
            let built =
                image::build_embedded(&engine(&settings)).await.or_else(|error| explain(error, false))?;
            print(&mut output, &built, false)?;
        }
        Command::Show(Show { json, settings }) => {
            let (settings, _) = settings.load()?;
            let wanted = settings.sandbox.image.as_deref();
            let found = image::resolve(&engine(&settings), wanted).await;
            let found = found.or_else(|error| explain(error, wanted.is_some()))?;
            print(&mut output, &found, json)?;
        }
        Command::Stage(Stage { dir }) => {
            image::stage(&dir).or_else(|error| explain(error, false))?;
            output.line(&format!("{}", dir.display()))?;
        }
    }
    Ok(Exit::Done)
}

/// The engine that the settings name; nothing is connected yet.
pub(super) fn engine(settings: &Settings) -> Engine {
    Engine::new(Some(&settings.sandbox.docker_host))
}

fn print(output: &mut Output, image: &Image, json: bool) -> anyhow::Result<()> {
    if json {
        output.json(&Shown { reference: &image.reference, digest: &image.id })
    } else {
        output.line(&format!("{}  {}", plain(&image.reference), plain(&image.id)))
    }
}

/// What to do about it. `named`: the image is one that a setting names, which no command of this program makes.
pub(super) fn explain<T>(error: ImageError, named: bool) -> anyhow::Result<T> {
    if matches!(error, ImageError::Engine(_)) {
        return Err(error).hint(ENGINE_HINT);
    }
    match error.hint() {
        Some(command) if named => Err(error)
            .hint(format!("run `{command}`, and name no other by --image, FETCHER_IMAGE or sandbox.image")),
        Some(command) => Err(error).hint(format!("run `{command}`")),
        None => Err(error.into()),
    }
}
