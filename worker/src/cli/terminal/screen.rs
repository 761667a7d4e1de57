//! Lines at the bottom of a terminal that are drawn anew while a command runs, with log lines and results above.
//!
//! Whoever else writes to the terminal meanwhile does so through [`Screen`]: its lines are taken away first and drawn
//! again afterwards. Nothing is left of them at the end.

use std::io::{self, Stderr, Stdout, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use super::text::Text;

/// Handle to what is drawn on stderr; clones draw on the same.
#[derive(Debug)]
pub(in crate::cli) struct Screen<W: Write = Stderr>(Arc<Mutex<Drawn<W>>>);

impl<W: Write> Clone for Screen<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Drawn<W> {
    to: W,
    /// Columns of each line that stands there.
    lines: Vec<usize>,
    columns: usize,
}

impl Screen {
    /// On stderr, with nothing drawn.
    pub(in crate::cli) fn stderr() -> Self {
        Self::on(io::stderr())
    }
}

impl Screen<Stdout> {
    /// On stdout, for results that change.
    pub(in crate::cli) fn stdout() -> Self {
        Self::on(io::stdout())
    }
}

/// Columns and rows of a terminal, as far as it says.
pub(in crate::cli) fn size(terminal: impl AsFd) -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(terminal).ok();
    let known = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
    known.map_or((80, 24), |size| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

impl<W: Write> Screen<W> {
    fn on(to: W) -> Self {
        Self(Arc::new(Mutex::new(Drawn { to, lines: Vec::new(), columns: usize::MAX })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Drawn<W>) -> T) -> T {
        // A line drawn by halves is drawn anew by the next.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Draws these lines in the place of those before. A terminal that went away loses them and nothing else.
    pub(in crate::cli) fn draw(&self, lines: &[Text], columns: usize, colour: bool) {
        self.with(|drawn| {
            drawn.columns = columns;
            let mut text = drawn.erasing();
            for line in lines {
                line.render(colour, &mut text);
                text.push('\n');
            }
            drawn.lines = lines.iter().map(Text::width).collect();
            drawn.write(&text);
        });
    }

    /// Takes the lines away.
    pub(in crate::cli) fn clear(&self) {
        self.with(Drawn::clear);
    }

    /// Does what prints to the same terminal, with the lines out of its way until they are drawn again.
    pub(in crate::cli) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.with(|drawn| {
            drawn.clear();
            work()
        })
    }
}

impl<W: Write> Drawn<W> {
    /// What takes the lines away. A terminal that has become narrower has broken them into more rows.
    fn erasing(&self) -> String {
        let rows: usize = self.lines.iter().map(|width| width.div_ceil(self.columns).max(1)).sum();
        // Line by line: some terminals keep what an erased screen showed in their history. The row below the lines
        // may hold the `^C` that the terminal itself has put there.
        if rows == 0 { String::new() } else { format!("\r\u{1b}[2K{}", "\u{1b}[1A\u{1b}[2K".repeat(rows)) }
    }

    fn clear(&mut self) {
        let text = self.erasing();
        self.lines.clear();
        self.write(&text);
    }

    /// In one write, so that no other program's text comes between.
    fn write(&mut self, text: &str) {
        if !text.is_empty() {
            let _ = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush());
        }
    }
}

/// For log lines: each comes in one write and stands above the lines.
impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|drawn| {
            drawn.clear();
            drawn.to.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(|drawn| drawn.to.flush())
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::NONE;
    use super::*;

    const UP: &str = "\u{1b}[1A";
    const ERASE: &str = "\u{1b}[2K";

    fn lines(texts: &[&str]) -> Vec<Text> {
        texts.iter().map(|text| Text::new(NONE, text)).collect()
    }

    fn written(screen: &Screen<Vec<u8>>) -> String {
        screen.with(|drawn| String::from_utf8(std::mem::take(&mut drawn.to)).expect("text was written"))
    }

    #[test]
    fn lines_are_drawn_over_those_before_and_leave_nothing() {
        let screen = Screen::on(Vec::new());
        screen.draw(&lines(&["one", "two"]), 80, false);
        assert_eq!(written(&screen), "one\ntwo\n");
        screen.draw(&lines(&["three"]), 80, false);
        assert_eq!(written(&screen), format!("\r{ERASE}{UP}{ERASE}{UP}{ERASE}three\n"));
        screen.clear();
        assert_eq!(written(&screen), format!("\r{ERASE}{UP}{ERASE}"));
        screen.clear();
        assert_eq!(written(&screen), "");
    }

    #[test]
    fn lines_that_a_narrower_terminal_broke_are_taken_away_whole() {
        let screen = Screen::on(Vec::new());
        screen.draw(&lines(&["0123456789", ""]), 80, false);
        written(&screen);
        screen.draw(&[], 4, false);
        assert_eq!(written(&screen), format!("\r{ERASE}{}", format!("{UP}{ERASE}").repeat(4)));
    }

    #[test]
    fn a_log_line_stands_above_and_tears_nothing() {
        let mut screen = Screen::on(Vec::new());
        screen.draw(&lines(&["running"]), 80, false);
        screen.write_all(b"WARN something\n").expect("memory takes it");
        screen.draw(&lines(&["running"]), 80, false);
        assert_eq!(written(&screen), format!("running\n\r{ERASE}{UP}{ERASE}WARN something\nrunning\n"));
    }
}
