//! `safeurl egress`: the address rules, asked.

use std::io::BufRead;

use anyhow::Context;
use safeurl_egress::Policy;

use super::assemble::nat64_recheck;
use super::exit::Exit;
use super::output::{Output, plain};
use super::settings::EgressArgs;
use crate::gateway;

/// The way out: which addresses may be dialled
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(Check),
}

/// Say what the address rules decide, without sending or resolving anything
///
/// One answer a line. A host name is needs-resolution, unless it is an address in a spelling that some URL parser
/// accepts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl egress check 169.254.169.254 https://0x7f.1:8080/ example.com
  safeurl egress check --allow-net 10.0.0.0/8 --json 10.1.2.3
  safeurl egress check - < urls.txt")]
pub struct Check {
    /// What to check; - reads lines from stdin
    #[arg(required = true, value_name = "ADDR|URL")]
    inputs: Vec<String>,

    /// One compact JSON document a line: {"input", "decision", "rule"}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: EgressArgs,
}

/// Runs it.
///
/// # Errors
/// Whatever is wrong with the settings, or with reading stdin.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let Command::Check(Check { inputs, json, settings }) = args.command;
    let (settings, _) = settings.load()?;
    let policy = Policy::new(settings.gateway.allow_networks, nat64_recheck(settings.gateway.nat64));
    let mut output = Output::stdout();
    let mut answer = |input: &str| {
        let answer = gateway::check::check(&policy, input);
        if json {
            return output.json(&answer);
        }
        let rule = answer.rule.map(|rule| format!(" ({rule})")).unwrap_or_default();
        output.line(&format!("{}: {}{rule}", plain(input), answer.decision.as_str()))
    };
    for input in &inputs {
        if input == "-" {
            for line in std::io::stdin().lock().split(b'\n') {
                let line = line.context("cannot read stdin")?;
                // Not every line of a list that others made is UTF-8; what is not is no address either.
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_end_matches('\r');
                if !line.is_empty() {
                    answer(line)?;
                }
            }
        } else {
            answer(input)?;
        }
    }
    Ok(Exit::Done)
}
