//! Text that knows its width: pieces with a style each, wrapped and cut by the columns they take.
//!
//! What comes in is made harmless here, so nothing that is shown can steer a terminal; escapes are written around
//! finished pieces, so none is ever cut in the middle.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar as _;

use crate::cli::output::plain;

pub(in crate::cli) const NONE: Style = Style::new();
pub(in crate::cli) const STRONG: Style = Style::new().bold();
pub(in crate::cli) const FAINT: Style = Style::new().dimmed();
pub(in crate::cli) const RED: Style = AnsiColor::Red.on_default();
pub(in crate::cli) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(in crate::cli) const GREEN: Style = AnsiColor::Green.on_default();
pub(in crate::cli) const BLUE: Style = AnsiColor::Cyan.on_default();

/// In the place of what is missing.
const ELLIPSIS: char = '…';

/// Longer text is cut before it is wrapped: a line for a person, not a document. Above the longest URL taken.
const LONGEST: usize = 9000;

/// A line, or what will become lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Text {
    pieces: Vec<(Style, String)>,
}

impl Text {
    /// One piece.
    pub(in crate::cli) fn new(style: Style, text: &str) -> Self {
        Self::default().and(style, text)
    }

    /// One more piece, on the same line: line ends and tabs of strangers become spaces.
    pub(in crate::cli) fn and(mut self, style: Style, text: &str) -> Self {
        self.push(style, &printable(text));
        self
    }

    /// So many spaces.
    pub(in crate::cli) fn gap(self, columns: usize) -> Self {
        self.and(NONE, &" ".repeat(columns))
    }

    /// Another text behind this one.
    pub(in crate::cli) fn join(mut self, other: Self) -> Self {
        for (style, text) in other.pieces {
            self.push(style, &text);
        }
        self
    }

    fn push(&mut self, style: Style, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.pieces.last_mut() {
            Some((last, piece)) if *last == style => piece.push_str(text),
            _ => self.pieces.push((style, text.to_owned())),
        }
    }

    /// Columns it takes.
    pub(in crate::cli) fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| width(text)).sum()
    }

    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// With spaces behind it up to a width.
    pub(in crate::cli) fn padded(self, to: usize) -> Self {
        let missing = to.saturating_sub(self.width());
        self.gap(missing)
    }

    /// Lines of at most `columns` each, broken at spaces, and within a word only where it alone is too long.
    pub(in crate::cli) fn wrap(&self, columns: usize) -> Vec<Self> {
        let columns = columns.max(2);
        let mut lines = Vec::new();
        let mut line = Self::default();
        let mut used = 0;
        for word in self.words() {
            let wide = word.width();
            // A word that no line holds begins where there is room, the others where they fit.
            let begins_here = wide > columns && used * 2 <= columns;
            if used > 0 && used + wide > columns && !begins_here {
                lines.push(std::mem::take(&mut line).trimmed());
                used = 0;
            }
            if wide <= columns {
                // Spaces at a break are the break.
                if !(used == 0 && word.is_blank() && !lines.is_empty()) {
                    used += wide;
                    line = line.join(word);
                }
                continue;
            }
            for (style, text) in &word.pieces {
                for c in text.chars() {
                    let wide = c.width().unwrap_or(0);
                    if used + wide > columns {
                        lines.push(std::mem::take(&mut line));
                        used = 0;
                    }
                    line.push(*style, c.encode_utf8(&mut [0; 4]));
                    used += wide;
                }
            }
        }
        if !line.is_empty() || lines.is_empty() {
            lines.push(line.trimmed());
        }
        lines
    }

    /// Words and the spaces between them, in turn. A word may go on over pieces.
    fn words(&self) -> Vec<Self> {
        let mut words: Vec<Self> = Vec::new();
        let mut blank = None;
        for (style, text) in &self.pieces {
            for c in text.chars() {
                let space = c == ' ';
                if blank != Some(space) {
                    words.push(Self::default());
                    blank = Some(space);
                }
                if let Some(word) = words.last_mut() {
                    word.push(*style, c.encode_utf8(&mut [0; 4]));
                }
            }
        }
        words
    }

    fn is_blank(&self) -> bool {
        self.pieces.iter().all(|(_, text)| text.chars().all(|c| c == ' '))
    }

    fn trimmed(mut self) -> Self {
        while let Some((_, text)) = self.pieces.last_mut() {
            text.truncate(text.trim_end_matches(' ').len());
            if !text.is_empty() {
                break;
            }
            self.pieces.pop();
        }
        self
    }

    /// Adds it to what is printed, without spaces at its end, each styled piece closed before the next begins.
    pub(in crate::cli) fn render(&self, colour: bool, to: &mut String) {
        for (style, text) in &self.clone().trimmed().pieces {
            if colour && *style != NONE {
                let _ = write!(to, "{style}{text}{style:#}");
            } else {
                to.push_str(text);
            }
        }
    }
}

/// Lines as they are printed, each ended by a newline.
pub(in crate::cli) fn rendered(lines: &[Text], colour: bool) -> String {
    let mut text = String::new();
    for line in lines {
        line.render(colour, &mut text);
        text.push('\n');
    }
    text
}

/// Columns that a text takes. Clusters that a terminal may draw in fewer are counted in full, so a line is never
/// longer than was counted.
pub(in crate::cli) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Hostile text on one line of a terminal.
pub(in crate::cli) fn printable(text: &str) -> String {
    let spaced = text.replace(['\n', '\t'], " ");
    let end = spaced.char_indices().nth(LONGEST).map_or(spaced.len(), |(at, _)| at);
    let mut shown = plain(&spaced[..end]).into_owned();
    if end < spaced.len() {
        shown.push(ELLIPSIS);
    }
    shown
}

/// The beginning that fits.
pub(in crate::cli) fn start(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut cut = head(text, columns.saturating_sub(1));
    cut.push(ELLIPSIS);
    cut
}

/// Beginning and end of what does not fit: of URLs, the host and what tells them apart.
pub(in crate::cli) fn middle(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let front = head(text, room.div_ceil(2) + room / 8);
    let back = fitting(text.chars().rev(), room - width(&front).min(room));
    let back: String = back.chars().rev().collect();
    format!("{front}{ELLIPSIS}{back}")
}

/// The beginning that fits, without a sign that there is more.
pub(in crate::cli) fn head(text: &str, columns: usize) -> String {
    fitting(text.chars(), columns)
}

fn fitting(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= columns
    };
    chars.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn each(lines: &[Text], colour: bool) -> Vec<String> {
        rendered(lines, colour).lines().map(str::to_owned).collect()
    }

    #[test]
    fn words_go_to_the_next_line_and_long_ones_are_broken() {
        let text = Text::new(NONE, "a link to ").and(RED, "somewhere.example/long/path").and(NONE, " and on");
        let expected = ["a link to", "somewhere.exam", "ple/long/path", "and on"];
        assert_eq!(each(&text.wrap(14), false), expected);
        let coloured = each(&text.wrap(14), true);
        assert_eq!(coloured[1], "\u{1b}[31msomewhere.exam\u{1b}[0m");
    }

    #[test]
    fn wide_characters_take_two_columns_and_marks_none() {
        assert_eq!(width("港の時刻表"), 10);
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(start("港の時刻表", 6), "港の…");
        assert_eq!(middle("港の時刻表です", 8), "港の…す");
        assert_eq!(each(&Text::new(NONE, "港の時刻表").wrap(5), false), ["港の", "時刻", "表"]);
    }

    #[test]
    fn the_middle_is_what_a_long_url_loses() {
        let url = "http://harbour-courier.test/archive/2026/tide-tables.html?page=17";
        assert_eq!(middle(url, 40), "http://harbour-courier.t…es.html?page=17");
        assert_eq!(middle("short", 40), "short");
        assert_eq!(middle(url, 1), "…");
    }

    #[test]
    fn terminal_escapes_of_a_page_are_shown_and_not_obeyed() {
        assert_eq!(printable("a\x1b[31mb\u{202e}c\nd"), "a\\u{1b}[31mb\\u{202e}c d");
        assert_eq!(printable(&"x".repeat(LONGEST + 1)).chars().count(), LONGEST + 1);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked_and_nothing_but_spaces_is_lost(
            parts in prop::collection::vec(("\\PC{0,30}", any::<bool>()), 0..6), columns in 2_usize..60,
        ) {
            let styled = |text: Text, (part, red): &(String, bool)| {
                text.and(if *red { RED } else { NONE }, part)
            };
            let text = parts.iter().fold(Text::default(), styled);
            let lines = text.wrap(columns);
            for line in &lines {
                prop_assert!(line.width() <= columns, "{line:?}");
            }
            let dense = |lines: &[Text]| each(lines, false).concat().replace(' ', "");
            prop_assert_eq!(dense(&lines), dense(std::slice::from_ref(&text)));
        }

        #[test]
        fn what_is_cut_fits(text in "\\PC{0,80}", columns in 1_usize..60) {
            prop_assert!(width(&start(&text, columns)) <= columns);
            prop_assert!(width(&middle(&text, columns)) <= columns);
        }
    }
}
