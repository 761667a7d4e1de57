//! Addresses written so that programs do not see them: spelled-out signs, and Cloudflare's encoding.

use super::around;

/// Before and behind a spelled-out `@`: an address's longest parts with their brackets.
const REACH: usize = 320;
/// The same of a local part alone, with a few dots spelled out.
const LOCAL_REACH: usize = 128;

/// The signs as people spell them inside brackets.
const AT: &[&str] = &["at", "@", "ät", "arroba", "chez"];
const DOT: &[&str] = &["dot", "punkt", "punto", "point", "ponto", "."];

/// Brackets they are put in.
const BRACKETS: &[(char, char)] = &[('[', ']'), ('(', ')'), ('{', '}'), ('<', '>'), ('«', '»')];

/// Gives every address in `text` whose `@` is spelled out.
pub(in crate::page) fn find_disguised(text: &str, found: &mut impl FnMut(String)) {
    let mut in_space = false;
    for (start, c) in text.char_indices() {
        // Of a row of spaces the first only: what follows the row is looked at from there, and it may be long.
        let spaces_begin = c.is_whitespace() && !in_space;
        in_space = c.is_whitespace();
        // An opening bracket, or the space before a word.
        let sign = if let Some((_, close)) = BRACKETS.iter().find(|(open, _)| *open == c) {
            bracketed(&text[start + c.len_utf8()..], *close, AT)
                .map(|length| (start + c.len_utf8() + length, false))
        } else if spaces_begin {
            bare(&text[start..], "at").map(|length| (start + length, true))
        } else {
            None
        };
        let Some((end, bare)) = sign else { continue };
        let before = text[..start].trim_end();
        let mut domain = Spelled::default();
        domain.read(&text[end..]);
        // The bare word is everyday English: only together with a spelled-out dot is it meant.
        if (bare && !domain.spelled) || !domain.text.contains('.') {
            continue;
        }
        if let Some(address) = around(&spelled_local(before), &domain.text) {
            found(address);
        }
    }
}

/// How long `[ word ]` is behind its opening bracket.
fn bracketed(text: &str, close: char, words: &[&str]) -> Option<usize> {
    let trimmed = text.trim_start_matches(' ');
    let end = trimmed.char_indices().take(12).find(|(_, c)| *c == close)?.0;
    let word = trimmed[..end].trim_end_matches(' ').to_lowercase();
    let spaces = text.len() - trimmed.len();
    (spaces <= 2 && words.contains(&word.as_str())).then(|| spaces + end + close.len_utf8())
}

/// How long ` word ` is, with its spaces.
fn bare(text: &str, word: &str) -> Option<usize> {
    let trimmed = text.trim_start();
    let behind = trimmed.get(word.len()..)?;
    let is_word =
        trimmed.get(..word.len())?.eq_ignore_ascii_case(word) && behind.starts_with(char::is_whitespace);
    is_word.then(|| text.len() - behind.len())
}

/// The text that ends with a local part in which dots may be spelled out too.
fn spelled_local(before: &str) -> String {
    let mut from = before.len().saturating_sub(LOCAL_REACH);
    while !before.is_char_boundary(from) {
        from += 1;
    }
    let mut spelled = Spelled::default();
    let mut rest = &before[from..];
    while let Some(c) = rest.chars().next() {
        match dot(rest) {
            Some(length) => {
                spelled.text.push('.');
                rest = rest[length..].trim_start();
            }
            None => {
                spelled.text.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    spelled.text
}

/// A domain with the dots put back.
#[derive(Debug, Default)]
struct Spelled {
    text: String,
    /// One of them was spelled out.
    spelled: bool,
}

impl Spelled {
    fn read(&mut self, text: &str) {
        let mut rest = text.trim_start();
        while let Some(c) = rest.chars().next().filter(|_| self.text.len() < REACH) {
            if let Some(length) = dot(rest) {
                self.text.push('.');
                self.spelled = true;
                rest = rest[length..].trim_start();
            } else if c.is_alphanumeric() || matches!(c, '-' | '.') {
                self.text.push(c);
                rest = &rest[c.len_utf8()..];
            } else {
                return;
            }
        }
    }
}

/// How long a spelled-out dot is.
fn dot(text: &str) -> Option<usize> {
    let trimmed = text.trim_start();
    let spaces = text.len() - trimmed.len();
    let first = trimmed.chars().next()?;
    if let Some((open, close)) = BRACKETS.iter().find(|(open, _)| *open == first) {
        return bracketed(&trimmed[open.len_utf8()..], *close, DOT)
            .map(|length| spaces + open.len_utf8() + length);
    }
    if spaces == 0 {
        return None;
    }
    bare(text, "dot")
}

/// What Cloudflare puts in place of addresses: hex, each byte xor-ed with the first.
pub(in crate::page) fn cloudflare(hex: &str) -> Option<String> {
    // Nothing longer comes out of an address.
    if hex.len() > 2 * REACH || !hex.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        (0..hex.len() / 2).map(|n| u8::from_str_radix(hex.get(2 * n..2 * n + 2)?, 16).ok()).collect();
    let bytes = bytes?;
    let (key, rest) = bytes.split_first()?;
    String::from_utf8(rest.iter().map(|byte| byte ^ key).collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut list = Vec::new();
        find_disguised(text, &mut |address| list.push(address));
        list
    }

    #[test]
    fn spelled_out_signs_are_put_back() {
        for (text, expected) in [
            ("write to name [at] domain [dot] tld now", "name@domain.tld"),
            ("name(at)example.org", "name@example.org"),
            ("first.last (AT) mail (DOT) example (dot) org.", "first.last@mail.example.org"),
            ("first dot last at example dot org", "first.last@example.org"),
            ("name AT example DOT com", "name@example.com"),
            ("name \n\t at \n\t example \u{a0} dot  com", "name@example.com"),
            ("name{at}example{punkt}de", "name@example.de"),
            ("name <at> example <.> de", "name@example.de"),
        ] {
            assert_eq!(all(text), [expected], "{text}");
        }
    }

    #[test]
    fn ordinary_sentences_hold_no_address() {
        for text in [
            "look at example.com",
            "MEET US AT EXAMPLE.COM",
            "see you at the dot",
            "item [at] the shop",
            "f(a) g(a) h",
        ] {
            assert_eq!(all(text), [""; 0], "{text}");
        }
        assert_eq!(all(&"(at)".repeat(10_000)), [""; 0]);
        assert_eq!(all(&" at dot".repeat(10_000)), [""; 0]);
    }

    #[test]
    fn cloudflares_encoding_is_undone() {
        assert_eq!(cloudflare("42232022276c212d2f").as_deref(), Some("ab`e.com"));
        assert_eq!(cloudflare("5a"), Some(String::new()));
        for nonsense in ["", "4", "zz", "é", &"00".repeat(5000)] {
            assert!(cloudflare(nonsense).is_none_or(|text| text.is_empty()), "{nonsense}");
        }
    }
}
