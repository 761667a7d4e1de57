//! `safeurl completions`: what a shell needs to finish commands, flags and their values.

use clap_complete::Shell;

use super::exit::Exit;
use super::output::Output;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl completions bash > ~/.local/share/bash-completion/completions/safeurl
  safeurl completions zsh > ~/.zfunc/_safeurl
  safeurl completions fish > ~/.config/fish/completions/safeurl.fish")]
pub struct Args {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Runs it.
///
/// # Errors
/// When the result cannot be written.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::offered(), "safeurl", &mut script);
    Output::stdout().text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
