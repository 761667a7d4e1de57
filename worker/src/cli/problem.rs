//! Errors as a person sees them: what failed, why, and what to run.
//!
//! Owns the form on stderr (`error: …`, a line for each cause, `hint: …`) and which exit code an error means. What
//! went wrong is said by the module it went wrong in.

mod cure;

use std::ffi::OsString;
use std::fmt;

use clap::Command;
use clap::error::ErrorKind;

use super::exit::Exit;
use super::output::plain;
use crate::config::ConfigError;

/// An error with what the command line knows about it.
#[derive(Debug)]
struct Annotated {
    error: anyhow::Error,
    hint: Option<String>,
    exit: Option<Exit>,
}

impl fmt::Display for Annotated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Annotated {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Adds to an error what to do about it and what it means for the exit code.
pub trait Annotate<T> {
    /// Shown as `hint: …`; the command to run stands in backticks.
    ///
    /// # Errors
    /// The same one, annotated.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;

    /// The fault is in what was asked for: exit code 2.
    ///
    /// # Errors
    /// The same one, annotated.
    fn usage(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Annotate<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| Annotated { error: error.into(), hint: Some(hint.into()), exit: None }.into())
    }

    fn usage(self) -> anyhow::Result<T> {
        self.map_err(|error| Annotated { error: error.into(), hint: None, exit: Some(Exit::Usage) }.into())
    }
}

/// The causes of an error, from the outermost in, also below what was annotated.
#[must_use]
pub fn causes(error: &anyhow::Error) -> Vec<&(dyn std::error::Error + 'static)> {
    let mut causes = Vec::new();
    let mut rest = Some(error);
    while let Some(error) = rest.take() {
        for cause in error.chain() {
            if let Some(annotated) = cause.downcast_ref::<Annotated>() {
                rest = Some(&annotated.error);
                break;
            }
            causes.push(cause);
        }
    }
    causes
}

/// An error with its causes on one line, for a log.
#[must_use]
pub fn one_line(error: &anyhow::Error) -> String {
    let mut told: Vec<String> = causes(error).iter().map(ToString::to_string).collect();
    told.dedup();
    plain(&told.join(": ")).into_owned()
}

/// What to do about an error, where somebody said it.
#[must_use]
pub fn hint(error: &anyhow::Error) -> Option<String> {
    tell(error).lines.iter().find_map(|line| line.strip_prefix("hint: ").map(str::to_owned))
}

/// An error as it will be told.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    lines: Vec<String>,
    exit: Exit,
}

/// Tells it on stderr. The exit code is 1 unless the error says otherwise.
pub fn report(error: &anyhow::Error) -> Exit {
    let told = tell(error);
    for line in &told.lines {
        eprintln!("{line}");
    }
    told.exit
}

/// Tells what is wrong with the arguments, or the help that they ask for.
pub fn usage(told: &clap::Error, offered: &Command) -> Exit {
    match told.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Help that nobody reads any more is no failure.
            let _ = told.print();
            return Exit::Done;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = told.print();
        }
        _ => {
            let command = command(offered, std::env::args_os().skip(1));
            for line in usage_lines(&told.render().to_string(), &command) {
                eprintln!("{line}");
            }
        }
    }
    Exit::Usage
}

/// The parser's words in this program's form: its tips are hints, and the last one is where to read more.
fn usage_lines(text: &str, command: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("For more information")) {
        let line = plain(line);
        if line.trim().is_empty() && lines.last().is_none_or(String::is_empty) {
            continue;
        }
        lines.push(match line.trim_start().strip_prefix("tip: ") {
            Some(tip) => format!("hint: {tip}"),
            None => line.into_owned(),
        });
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.push(format!("hint: `{command} --help` shows what it takes"));
    lines
}

/// The command that the arguments name, as far as they name one.
fn command(offered: &Command, arguments: impl Iterator<Item = OsString>) -> String {
    let mut path = offered.get_name().to_owned();
    let mut at = offered;
    for argument in arguments {
        match at.find_subcommand(&argument) {
            Some(below) => {
                path = format!("{path} {}", below.get_name());
                at = below;
            }
            // What stands behind the first word that names no command are its arguments.
            None => break,
        }
    }
    path
}

fn tell(error: &anyhow::Error) -> Told {
    let mut causes = Vec::new();
    let mut hints = Vec::new();
    let mut exit = None;
    let mut configuration = None;
    let mut untold = None;
    let mut rest = Some(error);
    while let Some(error) = rest.take() {
        for cause in error.chain() {
            if let Some(annotated) = cause.downcast_ref::<Annotated>() {
                hints.extend(annotated.hint.clone());
                exit = exit.or(annotated.exit);
                rest = Some(&annotated.error);
                break;
            }
            untold = untold.or_else(|| cure::of(cause));
            if let Some(refused) = cause.downcast_ref::<ConfigError>() {
                exit = exit.or(Some(Exit::Usage));
                configuration = Some(refused);
            }
            // Some libraries say the same again as their cause.
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
        }
    }
    let mut lines = match configuration {
        Some(ConfigError::Invalid(problems)) => {
            let told = problems.iter().flat_map(|problem| {
                let hint = problem.hint.iter().map(|hint| format!("hint: {}", plain(hint)));
                std::iter::once(format!("error: {}", plain(&problem.to_string()))).chain(hint)
            });
            told.collect()
        }
        Some(ConfigError::Unreadable { .. } | ConfigError::Syntax { .. }) | None => {
            let told = causes.iter().enumerate().map(|(n, cause)| {
                let lead = if n == 0 { "error" } else { "  because" };
                format!("{lead}: {}", plain(cause))
            });
            told.collect::<Vec<_>>()
        }
    };
    lines.extend(hints.iter().map(|hint| format!("hint: {}", plain(hint))));
    if let Some(cure) = untold.filter(|_| !lines.iter().any(|line| line.starts_with("hint: "))) {
        lines.push(format!("hint: {cure}"));
    }
    Told { lines, exit: exit.unwrap_or(Exit::Failed) }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::{Context, anyhow};

    use super::*;
    use crate::config::{Origin, Problem};
    use crate::health::HealthError;
    use crate::queue::bullmq::{Keys, Link, RedisConfig};

    fn told(error: anyhow::Error) -> (Vec<String>, u8) {
        let told = tell(&error);
        (told.lines, told.exit.code())
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_a_hint_wherever_it_was_annotated() {
        let inner: Result<(), _> = Err(io::Error::other("no such socket"));
        let outer: anyhow::Result<()> = inner.hint("run `safeurl doctor`").context("cannot reach the engine");
        let expected =
            ["error: cannot reach the engine", "  because: no such socket", "hint: run `safeurl doctor`"];
        assert_eq!(told(outer.expect_err("it is one")), (expected.map(str::to_owned).to_vec(), 1));
    }

    #[test]
    fn a_health_address_that_cannot_be_had_is_told_with_what_to_name_instead() {
        for (kind, cure) in [
            (io::ErrorKind::AddrInUse, "another program listens there"),
            (io::ErrorKind::AddrNotAvailable, "this machine has no such address"),
            (io::ErrorKind::PermissionDenied, "this user may not listen there"),
            (io::ErrorKind::OutOfMemory, "name another address"),
        ] {
            let address = "127.0.0.1:9464".parse().expect("it is an address");
            let error = HealthError::Listen { address, source: kind.into() };
            let (lines, code) = told(error.into());
            assert!(lines.last().is_some_and(|line| line.starts_with(&format!("hint: {cure}"))), "{lines:?}");
            assert_eq!(code, 1);
        }
    }

    #[test]
    fn an_address_of_redis_that_cannot_be_read_is_told_with_how_to_write_one() {
        for url in ["redis://:se#cret@h:1", "redis://:se%23cret@h:1/abc", "redis://:se%23cret@h:99999"] {
            let redis = RedisConfig { url: url.to_owned(), name: "w1".to_owned() };
            let error = Link::new(&redis, Keys::new("bull", "scan-jobs")).err().expect("no address");
            let (lines, code) = told(anyhow::Error::from(error).context("cannot use the queue in Redis"));
            assert!(
                lines.last().is_some_and(|line| line.starts_with("hint: write it as redis://")),
                "{lines:?}"
            );
            assert!(!lines.concat().contains("cret") && code == 1, "{lines:?}");
        }
    }

    #[test]
    fn a_fault_in_what_was_asked_for_ends_with_two() {
        let error: anyhow::Result<()> = Err(anyhow!("not a URL")).usage();
        assert_eq!(told(error.expect_err("it is one")), (vec!["error: not a URL".to_owned()], 2));
        let problem = |line, hint: Option<&str>| Problem {
            origin: Origin::File { path: "x.toml".into(), line },
            message: "no".into(),
            hint: hint.map(str::to_owned),
        };
        let refused = ConfigError::Invalid(vec![problem(1, Some("yes")), problem(2, None)]);
        let expected =
            ["error: x.toml:1: no", "hint: yes", "error: x.toml:2: no"].map(str::to_owned).to_vec();
        assert_eq!(told(anyhow::Error::new(refused).context("starting")), (expected, 2));
    }

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        let (lines, _) = told(anyhow!("bad\u{1b}[2J\nnext"));
        assert_eq!(lines, [r"error: bad\u{1b}[2J\nnext"]);
    }
}
