//! How results look on a terminal, and in a pipe.
//!
//! Owns the decisions (colour, width, whether dangerous URLs are made harmless), text that knows its width, and the
//! one place that draws over its own lines. What is shown is the business of the commands. Everything but
//! `screen` is pure: what comes out depends on the arguments alone.

pub(super) mod answer;
pub(super) mod column;
pub(super) mod defang;
pub(super) mod layout;
pub(super) mod screen;
pub(super) mod text;
pub(super) mod time;

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;

/// Columns where there is no terminal to ask.
pub(super) const PIPE: usize = 100;

/// Narrower than this nothing fits; a terminal that is, wraps by itself.
const NARROWEST: usize = 40;

/// Wider than this is not read any more: eyes lose the line.
const WIDEST: usize = 240;

/// From here on columns stand side by side.
const WIDE: usize = 100;

/// From here on whole job ids have room beside everything else.
pub(super) const WITH_IDS: usize = 160;

/// How results are shown.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct LookArgs {
    /// Colours: on a terminal (NO_COLOR, CLICOLOR and TERM are heeded), always, or never
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: When,

    /// Show dangerous URLs as they are, not as hxxp://host[.]example
    #[arg(long)]
    pub no_defang: bool,
}

/// When there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum When {
    /// On a terminal whose user did not refuse them.
    #[default]
    Auto,
    /// In a pipe, too.
    Always,
    /// Nowhere.
    Never,
}

/// What a text is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) width: usize,
    pub(super) colour: bool,
    pub(super) defang: bool,
    /// Whether a person looks at it. Listings that programs read are not cut.
    pub(super) terminal: bool,
}

impl LookArgs {
    /// For stdout as it is now.
    pub(super) fn look(&self) -> Look {
        let variable = |name: &str| std::env::var_os(name);
        Look {
            width: width(columns(), variable("COLUMNS").as_deref()),
            colour: colour(self.color, std::io::stdout().is_terminal(), variable),
            defang: !self.no_defang,
            terminal: std::io::stdout().is_terminal(),
        }
    }
}

/// Whether stderr is a terminal that can move its cursor.
pub(super) fn can_draw() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    std::io::stderr().is_terminal() && !dumb
}

/// Whether what is drawn on stderr has colours.
pub(super) fn colours_on_stderr(when: When) -> bool {
    colour(when, std::io::stderr().is_terminal(), |name| std::env::var_os(name))
}

fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col))
}

/// `COLUMNS` is what a person exported on purpose; then the terminal's own answer.
fn width(terminal: Option<usize>, variable: Option<&OsStr>) -> usize {
    let asked = variable.and_then(OsStr::to_str).and_then(|text| text.trim().parse().ok());
    let width = asked.or(terminal).filter(|width| *width > 0).unwrap_or(PIPE);
    width.clamp(NARROWEST, WIDEST)
}

/// The conventions of <https://no-color.org/> and <https://bixense.com/clicolors/>, the flag first.
fn colour(when: When, terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto if set("NO_COLOR").is_some() => false,
        When::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        When::Auto => {
            let refused = set("CLICOLOR").is_some_and(|value| value == "0");
            terminal && !refused && set("TERM").is_some_and(|term| term != "dumb")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(when: When, terminal: bool, variables: &[(&str, &str)]) -> bool {
        colour(when, terminal, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn colours_follow_the_flag_then_the_variables_then_the_terminal() {
        let xterm = ("TERM", "xterm");
        for (when, terminal, variables, expected) in [
            (When::Auto, true, vec![xterm], true),
            (When::Auto, false, vec![xterm], false),
            (When::Auto, true, vec![("TERM", "dumb")], false),
            (When::Auto, true, vec![], false),
            (When::Auto, true, vec![xterm, ("NO_COLOR", "1")], false),
            (When::Auto, true, vec![xterm, ("NO_COLOR", "")], true),
            (When::Auto, true, vec![xterm, ("CLICOLOR", "0")], false),
            (When::Auto, false, vec![("CLICOLOR_FORCE", "1")], true),
            (When::Auto, false, vec![("CLICOLOR_FORCE", "0")], false),
            (When::Auto, false, vec![("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
            (When::Always, false, vec![("NO_COLOR", "1"), ("TERM", "dumb")], true),
            (When::Never, true, vec![xterm, ("CLICOLOR_FORCE", "1")], false),
        ] {
            assert_eq!(decided(when, terminal, &variables), expected, "{when:?} {terminal} {variables:?}");
        }
    }

    #[test]
    fn the_width_is_what_was_asked_for_then_the_terminals_then_a_pipes() {
        let width = |terminal, variable: Option<&str>| width(terminal, variable.map(OsStr::new));
        assert_eq!(width(None, None), PIPE);
        assert_eq!(width(Some(0), None), PIPE);
        assert_eq!(width(Some(87), None), 87);
        assert_eq!(width(Some(87), Some("60")), 60);
        assert_eq!(width(Some(87), Some("wide")), 87);
        assert_eq!(width(Some(3), None), NARROWEST);
        assert_eq!(width(None, Some("999999")), WIDEST);
    }
}
