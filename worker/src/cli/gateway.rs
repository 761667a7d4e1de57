//! `safeurl gateway`: the process that containers reach the web through. A worker starts it; a person never does.

use anyhow::Context;

use super::exit::Exit;
use crate::gateway;

/// The process that containers reach the web through; started by a worker, its control socket as stdin
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it until its worker and its last binding are gone.
///
/// # Errors
/// When it was not started by a worker, or cannot go on.
pub fn run(Args {}: Args) -> anyhow::Result<Exit> {
    gateway::process::run().context("the gateway process ended")?;
    Ok(Exit::Done)
}
