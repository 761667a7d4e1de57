//! URLs as people have them in files: one a line, with comments, empty lines, and whatever an editor put there.

use std::io::{self, BufRead, Read as _};

/// Longer lines are cut: no URL is that long, and what is cut is still too long for one.
const LONGEST_LINE: u64 = 64 * 1024;

/// The lines that are meant, each with its number.
pub(super) struct Lines<R> {
    from: R,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(from: R) -> Self {
        Self { from, number: 0 }
    }

    /// One line with its end, `None` after the last.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        if self.from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let mut last = line.last().copied();
        while last != Some(b'\n') {
            let mut rest = Vec::new();
            if self.from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut rest)? == 0 {
                break;
            }
            last = rest.last().copied();
        }
        Ok(Some(line))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<(usize, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.line() {
                Ok(line) => line?,
                Err(error) => return Some(Err(error)),
            };
            self.number += 1;
            let line = String::from_utf8_lossy(&line);
            // Editors put a mark of the encoding in front of the first line.
            let line = line.trim_start_matches('\u{feff}').trim();
            if !line.is_empty() && !line.starts_with('#') {
                return Some(Ok((self.number, line.to_owned())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_left_out_and_counted() {
        let text = "\u{feff}http://a.test/\r\n\r\n  # a comment\n\thttp://b.test/ \nlast";
        let lines: Vec<_> =
            Lines::of(text.as_bytes()).map(|line| line.expect("memory can be read")).collect();
        let expected = [(1, "http://a.test/"), (4, "http://b.test/"), (5, "last")];
        assert_eq!(lines, expected.map(|(number, line)| (number, line.to_owned())));
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_a_long_one() {
        let text = format!("{}\nnext", "x".repeat(300_000));
        let lines: Vec<_> =
            Lines::of(text.as_bytes()).map(|line| line.expect("memory can be read")).collect();
        assert_eq!((lines.len(), lines[0].1.len()), (2, 64 * 1024));
        assert_eq!(lines[1], (2, "next".to_owned()));
    }
}
