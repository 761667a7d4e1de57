//! Text as a person reads it: white space collapsed, and the visible words of a page counted.

use safeurl_protocol::TextStatistics;

/// Enough to tell what a page says of itself; it is judged and never stored.
const EXCERPT_BYTES: usize = 4 * 1024;

/// Of a Thai word, on average.
const LETTERS_A_WORD: u64 = 5;

/// White space passed over in one text. Elements inside each other read the same text again, and there may be megabytes
/// of it.
const MAX_BLANKS: usize = 16 * 1024;

/// White space of HTML at both ends removed and collapsed to one space inside, cut to `max` bytes.
pub(super) fn collapse<'a>(parts: impl IntoIterator<Item = &'a str>, max: usize) -> String {
    let mut collapsed = String::new();
    let mut gap = false;
    let mut blanks = 0;
    for c in parts.into_iter().flat_map(str::chars) {
        if c.is_ascii_whitespace() {
            gap = !collapsed.is_empty();
            blanks += 1;
            if blanks > MAX_BLANKS {
                break;
            }
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
    /// Letters of a script without spaces since its last gap.
    run: u64,
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
            self.count(c);
            if self.excerpt.len() + 1 + c.len_utf8() > EXCERPT_BYTES {
                continue;
            }
            if std::mem::take(&mut self.gap) && !self.excerpt.is_empty() {
                self.excerpt.push(' ');
            }
            self.excerpt.push(c);
        }
    }

    /// Words of scripts that are written without spaces are counted as word processors do: each Chinese character
    /// and each kana is one; Thai, Lao, Khmer and Burmese words have some five letters.
    fn count(&mut self, c: char) {
        let (new, in_word) = match c {
            '\u{3040}'..='\u{30ff}'
            | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{323af}' => (true, false),
            // Their punctuation, and full-width forms of ours.
            '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' => (false, false),
            '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' => {
                self.run += 1;
                (self.run % LETTERS_A_WORD == 1, false)
            }
            _ => (!self.in_word, true),
        };
        self.count = self.count.saturating_add(u64::from(new));
        self.in_word = in_word;
    }

    /// A word ends here, as at the border of a block.
    pub(super) fn gap(&mut self) {
        self.in_word = false;
        self.run = 0;
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

    #[test]
    fn scripts_without_spaces_have_words_too() {
        for (text, count) in [
            ("你好，世界。", 4),
            ("iPhone 是手机 ok", 5),
            ("カタカナ", 4),
            ("สวัสดีครับ", 2),
            ("สวัสดี", 2),
            ("안녕 세계", 2),
        ] {
            let mut words = Words::default();
            words.push(text);
            assert_eq!(words.statistics().words, count, "{text}");
        }
    }
}
