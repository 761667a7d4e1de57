//! stdout: results and nothing else.
//!
//! A reader that went away (`safeurl … | head -1`) ends the printing, not the command: its exit code stays true. Text
//! that others wrote is made harmless before it reaches a terminal.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use serde::Serialize;

/// Where results go, a line at a time.
#[derive(Debug)]
pub struct Output<W = io::Stdout> {
    to: W,
    closed: bool,
}

impl Output {
    /// stdout.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(io::stdout())
    }
}

impl<W: Write> Output<W> {
    /// Another place.
    pub const fn new(to: W) -> Self {
        Self { to, closed: false }
    }

    /// Whether the reader went away. Nothing printed from now on arrives; nothing is wrong.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// One line, at once.
    ///
    /// # Errors
    /// When it cannot be written although somebody reads.
    pub fn line(&mut self, text: &str) -> anyhow::Result<()> {
        if self.closed {
            return Ok(());
        }
        // In one write: lines of scans that end at the same time are not mixed.
        let written = self.to.write_all(format!("{text}\n").as_bytes()).and_then(|()| self.to.flush());
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => Err(error).context("cannot write the results"),
        }
    }

    /// Several lines, each of which ends itself.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn text(&mut self, text: &str) -> anyhow::Result<()> {
        self.line(text.trim_end_matches('\n'))
    }

    /// One document, compact, on a line of its own.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn json(&mut self, document: &impl Serialize) -> anyhow::Result<()> {
        self.line(&json(document).context("cannot write the results as JSON")?)
    }
}

/// Compact JSON with what would steer a terminal written as `\u....`, which means the same to whoever reads it: JSON
/// itself asks for that with the first 32 characters alone.
///
/// # Errors
/// As [`serde_json::to_string`].
pub fn json(document: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(document)?;
    if !text.contains(steers) {
        return Ok(text);
    }
    // They stand in strings only, and all of them are below U+10000.
    let escaped =
        text.chars().map(|c| if steers(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() });
    Ok(escaped.collect())
}

/// Text with what would steer a terminal written out: control characters, and those that turn the direction of
/// writing around (<https://trojansource.codes/>).
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let escaped =
        text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() });
    Cow::Owned(escaped.collect())
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone(ErrorKind);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let mut output = Output::new(Gone(ErrorKind::BrokenPipe));
        assert!(output.line("one").is_ok() && output.is_closed());
        assert!(output.line("two").is_ok());
        let mut full = Output::new(Gone(ErrorKind::StorageFull));
        assert!(full.line("one").is_err() && !full.is_closed());
    }

    #[test]
    fn a_document_is_one_line() {
        let mut output = Output::new(Vec::new());
        output.json(&serde_json::json!({"a": "x\ny"})).expect("memory takes it");
        assert_eq!(output.to, b"{\"a\":\"x\\ny\"}\n");
    }

    #[test]
    fn a_document_steers_no_terminal_and_means_the_same() {
        let document = serde_json::json!({"a": "é\u{1b}\u{7f}\u{9b}31m\u{202e}\u{2066}\u{fffd}"});
        let text = json(&document).expect("it is JSON");
        assert_eq!(text, "{\"a\":\"é\\u001b\\u007f\\u009b31m\\u202e\\u2066\u{fffd}\"}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON"), document);
    }

    #[test]
    fn plain_text_stays_and_steering_text_is_written_out() {
        assert_eq!(plain("Grüße ☃"), "Grüße ☃");
        assert_eq!(plain("a\u{1b}[31mb\r\n\t\u{9b}\u{202e}"), r"a\u{1b}[31mb\r\n\t\u{9b}\u{202e}");
    }
}
