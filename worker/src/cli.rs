//! The command line: what a person or a script can ask for, one command a file.
//!
//! Owns the arguments, what is printed and the exit code. Results go to stdout, everything else to stderr. It puts
//! the other modules together; none of them knows it.

mod assemble;
pub mod bench;
mod bullmq;
pub mod completions;
pub mod config;
pub mod csv;
mod database;
pub mod db;
pub mod demo;
pub mod demo_site;
pub mod doctor;
pub mod egress;
pub mod exit;
pub mod gateway;
pub mod image;
pub mod jobs;
pub mod man;
pub mod output;
pub mod problem;
mod queue;
pub mod scan;
pub mod settings;
pub mod stats;
pub mod submit;
pub mod terminal;
mod urls;
mod waterfall;
pub mod worker;
pub mod workers;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

use self::exit::Exit;

/// Opens untrusted links in throw-away containers and says what is there and how dangerous it is.
#[derive(Debug, Parser)]
#[command(name = "safeurl", version, propagate_version = true, after_help = exit::HELP)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Scan(scan::Args),
    Worker(worker::Args),
    Workers(workers::Args),
    Submit(submit::Args),
    Jobs(jobs::Args),
    Stats(stats::Args),
    Image(image::Args),
    Db(db::Args),
    Config(config::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Egress(egress::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[command(hide = true)]
    Gateway(gateway::Args),
    #[command(hide = true)]
    Demo(demo::Args),
    #[command(hide = true)]
    DemoSite(demo_site::DemoSiteArgs),
    #[command(hide = true)]
    BenchSubmitter(bench::SubmitterArgs),
}

/// The program, from its arguments to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return problem::usage(&told, &offered()).into(),
    };
    let ended = match cli.command {
        Command::Scan(args) => block_on(scan::run(args)),
        Command::Worker(args) => block_on(worker::run(args)),
        Command::Workers(args) => block_on(workers::run(args)),
        Command::Submit(args) => block_on(submit::run(args)),
        Command::Jobs(args) => block_on(jobs::run(args)),
        Command::Stats(args) => block_on(stats::run(args)),
        Command::Image(args) => block_on(image::run(args)),
        Command::Db(args) => block_on(db::run(args)),
        Command::Config(args) => config::run(args),
        Command::Doctor(args) => block_on(doctor::run(args)),
        Command::Bench(args) => block_on(bench::run(args)),
        Command::Egress(args) => egress::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Gateway(args) => gateway::run(args),
        Command::Demo(args) => block_on(demo::run(args)),
        Command::DemoSite(args) => block_on(demo_site::run(args)),
        Command::BenchSubmitter(args) => block_on(bench::submit(args)),
    };
    ended.unwrap_or_else(|error| problem::report(&error)).into()
}

/// The commands that are for people, without those that the program runs itself by.
fn offered() -> clap::Command {
    let all = Cli::command();
    let root = clap::Command::new("safeurl").version(env!("CARGO_PKG_VERSION")).propagate_version(true);
    let root = root.about(all.get_about().cloned().unwrap_or_default()).after_help(exit::HELP);
    let root = root.subcommand_required(true).arg_required_else_help(true);
    all.get_subcommands()
        .filter(|command| !command.is_hide_set())
        .cloned()
        .fold(root, clap::Command::subcommand)
}

/// Runs a command that waits for others.
fn block_on(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    let ended = runtime.block_on(command);
    // What still blocks (a name being looked up, a database being closed) does not hold up the end.
    runtime.shutdown_background();
    ended
}
