//! `safeurl man`: the manual, a page a command.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;

use super::exit::Exit;
use super::output::{Output, plain};
use super::problem::Annotate as _;

/// Print the manual page, or write the pages of all commands to a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl man | man -l -
  safeurl man --output ~/.local/share/man/man1 && man safeurl-jobs-list")]
pub struct Args {
    /// Write every page to this folder, made if missing, and print the names of the files
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When the pages cannot be written.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let pages = pages();
    let mut output = Output::stdout();
    let Some(folder) = args.output else {
        let (_, first) = &pages[0];
        output.text(first)?;
        return Ok(Exit::Done);
    };
    write(&folder, &pages, &mut output)?;
    Ok(Exit::Done)
}

fn write(folder: &Path, pages: &[(String, String)], output: &mut Output) -> anyhow::Result<()> {
    const HINT: &str = "name a folder that you may write to by --output";
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))
        .hint(HINT)?;
    for (name, page) in pages {
        let path = folder.join(format!("{name}.1"));
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display())).hint(HINT)?;
        output.line(&plain(&path.display().to_string()))?;
    }
    Ok(())
}

/// Every page with its name, the program's own first.
fn pages() -> Vec<(String, String)> {
    let mut root = super::offered().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add(&root, &mut pages);
    pages
}

fn add(command: &Command, pages: &mut Vec<(String, String)>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut page = Vec::new();
    // Memory takes all of it.
    let _ = Man::new(command.clone()).title(name.clone()).render(&mut page);
    pages.push((name, String::from_utf8_lossy(&page).into_owned()));
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        add(below, pages);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command as Process, Stdio};

    use super::*;

    #[test]
    fn every_command_has_a_page_and_hidden_ones_have_none() {
        let names: Vec<_> = pages().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names[0], "safeurl");
        for expected in
            ["safeurl-scan", "safeurl-jobs", "safeurl-jobs-list", "safeurl-db-migrate", "safeurl-man"]
        {
            assert!(names.iter().any(|name| name == expected), "{expected} is not in {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("gateway") || name.contains("demo")), "{names:?}");
    }

    #[test]
    fn every_page_has_its_parts_and_is_set_without_a_warning() {
        for (name, page) in pages() {
            for part in [".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
                assert!(page.contains(part), "{part} in {name}");
            }
            let does = !page.contains(".SH SUBCOMMANDS");
            assert!(!does || page.contains("Examples:"), "{name} has no examples");
            let groff = Process::new("groff")
                .args(["-man", "-Tutf8", "-ww", "-z"])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            // Where nobody reads manual pages the parts above are what there is to check.
            let Ok(mut groff) = groff else { continue };
            groff.stdin.take().expect("it is piped").write_all(page.as_bytes()).expect("groff reads");
            let ended = groff.wait_with_output().expect("groff ends");
            let told = String::from_utf8_lossy(&ended.stderr);
            assert!(ended.status.success() && told.is_empty(), "{name}: {told}");
        }
    }
}
