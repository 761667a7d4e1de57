//! Text as a person reads it: white space collapsed, and the visible words of a page counted.

use safeurl_protocol::TextStatistics;

/// Enough to tell what a page says of itself; it is judged and never stored.
const EXCERPT_BYTES: usize = 4 * 1024;

/// White space of HTML at both ends removed and collapsed to one space inside, cut to `max` bytes.
pub(super) fn collapse<'a>(parts: impl IntoIterator<Item = &'a str>, max: usize) -> String {
    let mut collapsed = String::new();
    let mut gap = false;
    for c in parts.into_iter().flat_map(str::chars) {
        if c.is_ascii_whitespace() {
            gap = !collapsed.is_empty();
            continue;
        }
        if collapsed.len() + usize::from(gap) + c.len_utf8() > max {
            break;
        }
        if gap {
            collapsed.push(' ');
            gap = false;
        }
        collapsed.push(c);
    }
    collapsed
}

/// Counts words as text arrives in pieces.
#[derive(Debug, Default)]
pub(super) struct Words {
    count: u64,
    in_word: bool,
    gap: bool,
    excerpt: String,
}

impl Words {
    pub(super) fn push(&mut self, text: &str) {
        for c in text.chars() {
            if c.is_whitespace() {
                self.gap();
                continue;
            }
            if !self.in_word {
                self.count = self.count.saturating_add(1);
                self.in_word = true;
            }
            if self.excerpt.len() + 1 + c.len_utf8() > EXCERPT_BYTES {
                continue;
            }
            if std::mem::take(&mut self.gap) && !self.excerpt.is_empty() {
                self.excerpt.push(' ');
            }
            self.excerpt.push(c);
        }
    }

    /// A word ends here, as at the border of a block.
    pub(super) fn gap(&mut self) {
        self.in_word = false;
        self.gap = true;
    }

    pub(super) fn statistics(self) -> TextStatistics {
        TextStatistics { words: self.count, language: None, excerpt: self.excerpt }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_collapses_across_pieces() {
        assert_eq!(collapse(["  a\n", "\t b", "c "], 100), "a bc");
        assert_eq!(collapse(["a\u{a0}b"], 100), "a\u{a0}b");
        assert_eq!(collapse(["aé bb"], 4), "aé");
        assert_eq!(collapse([], 4), "");
    }

    #[test]
    fn words_are_counted_beyond_the_excerpt() {
        let mut words = Words::default();
        words.push("one tw");
        words.push("o");
        words.gap();
        words.push("three");
        words.push(&" é".repeat(10_000));
        let statistics = words.statistics();
        assert_eq!(statistics.words, 10_003);
        assert!(
            statistics.excerpt.starts_with("one two three é") && statistics.excerpt.len() <= EXCERPT_BYTES
        );
    }
}
