//! Texts a script puts together out of literals: sums of strings, `atob`, `unescape`, `fromCharCode`, and names such a
//! text was given before. What depends on anything else is unknown, and stays so.

use std::collections::HashMap;

use super::token::{Kind, Token, unescaped};
use crate::page::embedded::{base64_decoded, percent_decoded};
use crate::report::cut;

/// Of one text: a page that a script writes.
const MAX_TEXT_BYTES: usize = 128 * 1024;
/// Calls and brackets inside each other.
const MAX_DEPTH: u32 = 16;
/// Names whose text is remembered; who hides an address uses a few.
const MAX_NAMES: usize = 500;
/// Of all texts put together in one page, so that doubling one again and again ends.
pub(super) const MAX_WORK: usize = 8 * 1024 * 1024;

/// A text and where its expression ends.
#[derive(Debug, PartialEq)]
pub(super) struct Constant {
    pub(super) text: String,
    /// All of it is known, not just the beginning.
    pub(super) whole: bool,
    pub(super) end: usize,
}

/// Reads expressions of one script.
pub(super) struct Constants<'a> {
    pub(super) code: &'a str,
    pub(super) tokens: &'a [Token],
    names: HashMap<&'a str, String>,
}

impl<'a> Constants<'a> {
    pub(super) fn new(code: &'a str, tokens: &'a [Token]) -> Self {
        Self { code, tokens, names: HashMap::new() }
    }

    pub(super) fn token(&self, at: usize) -> Option<(Kind, &'a str)> {
        self.tokens.get(at).map(|token| (token.kind, token.text(self.code)))
    }

    pub(super) fn is_mark(&self, at: usize, mark: &str) -> bool {
        self.token(at) == Some((Kind::Mark, mark))
    }

    fn is_name(&self, at: usize, name: &str) -> bool {
        self.token(at) == Some((Kind::Name, name))
    }

    /// Remembers what a name stands for, or that it is not known any more.
    pub(super) fn assign(&mut self, name: &'a str, text: Option<String>) {
        match text {
            Some(text) if self.names.len() < MAX_NAMES || self.names.contains_key(name) => {
                self.names.insert(name, text);
            }
            _ => {
                self.names.remove(name);
            }
        }
    }

    /// The sum of texts that begins at a token. `work` is what may still be put together.
    pub(super) fn sum(&self, at: usize, work: &mut usize) -> Option<Constant> {
        self.sum_at(at, work, 0)
    }

    fn sum_at(&self, at: usize, work: &mut usize, depth: u32) -> Option<Constant> {
        let mut sum = self.term(at, work, depth)?;
        while sum.whole && self.is_mark(sum.end, "+") {
            match self.term(sum.end + 1, work, depth) {
                Some(term) => {
                    sum.text = cut(sum.text + &term.text, MAX_TEXT_BYTES);
                    (sum.whole, sum.end) = (term.whole, term.end);
                }
                None => sum.whole = false,
            }
        }
        Some(sum)
    }

    fn term(&self, at: usize, work: &mut usize, depth: u32) -> Option<Constant> {
        if depth > MAX_DEPTH || *work == 0 {
            return None;
        }
        let (kind, token) = self.token(at)?;
        let term = match kind {
            Kind::Text | Kind::Open => {
                let text = unescaped(crate::report::prefix(token, MAX_TEXT_BYTES));
                Constant { text, whole: kind == Kind::Text, end: at + 1 }
            }
            Kind::Mark if token == "(" => {
                let inner = self.sum_at(at + 1, work, depth + 1)?;
                self.is_mark(inner.end, ")").then_some(Constant { end: inner.end + 1, ..inner })?
            }
            Kind::Name => self.named(at, token, work, depth)?,
            Kind::Mark | Kind::Number | Kind::Regex => return None,
        };
        // Each term costs what it adds, and a little so that empty ones cost too.
        *work = work.saturating_sub(term.text.len() + 1);
        self.reversed(term)
    }

    /// A call of a decoder, or a name that was given a text.
    fn named(&self, at: usize, name: &str, work: &mut usize, depth: u32) -> Option<Constant> {
        if matches!(name, "window" | "self" | "globalThis" | "this" | "top") && self.is_mark(at + 1, ".") {
            let named = matches!(self.token(at + 2), Some((Kind::Name, _)));
            return named.then(|| self.term(at + 2, work, depth + 1))?;
        }
        if name == "String" && self.is_mark(at + 1, ".") && self.is_name(at + 2, "fromCharCode") {
            return self.characters(at + 3);
        }
        let decode: fn(&str) -> String = match name {
            "atob" => |text| latin1(&base64_decoded(text.as_bytes()).unwrap_or_default()),
            "unescape" => unescape,
            "decodeURIComponent" | "decodeURI" => {
                |text| String::from_utf8_lossy(&percent_decoded(text)).into_owned()
            }
            "String" => str::to_owned,
            _ => {
                let text = self.names.get(name)?.clone();
                return Some(Constant { text, whole: true, end: at + 1 });
            }
        };
        if !self.is_mark(at + 1, "(") {
            return None;
        }
        let inner = self.sum_at(at + 2, work, depth + 1)?;
        (inner.whole && self.is_mark(inner.end, ")")).then(|| Constant {
            text: decode(&inner.text),
            whole: true,
            end: inner.end + 1,
        })
    }

    /// `(104, 0x74, …)`.
    fn characters(&self, at: usize) -> Option<Constant> {
        if !self.is_mark(at, "(") {
            return None;
        }
        let mut text = String::new();
        let mut at = at + 1;
        while let Some((Kind::Number, number)) = self.token(at) {
            let value = match number.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            text.push(char::from_u32(value).unwrap_or('\u{fffd}'));
            at += 1;
            if self.is_mark(at, ",") {
                at += 1;
            }
            if text.len() > MAX_TEXT_BYTES {
                return None;
            }
        }
        self.is_mark(at, ")").then_some(Constant { text, whole: true, end: at + 1 })
    }

    /// What is done with a text: turned around it is still known, anything else makes it unknown.
    fn reversed(&self, term: Constant) -> Option<Constant> {
        if !(self.is_mark(term.end, ".") || self.is_mark(term.end, "[")) {
            return Some(term);
        }
        let mut at = term.end;
        let text = term.text;
        for (name, takes_text) in [("split", true), ("reverse", false), ("join", true)] {
            let called = self.is_mark(at, ".") && self.is_name(at + 1, name) && self.is_mark(at + 2, "(");
            let empty = !takes_text || self.token(at + 3) == Some((Kind::Text, ""));
            at += 3 + usize::from(takes_text);
            if !(called && empty && self.is_mark(at, ")")) {
                return None;
            }
            at += 1;
        }
        Some(Constant { text: text.chars().rev().collect(), whole: term.whole, end: at })
    }
}

/// Bytes as the characters of the same number, as `atob` gives them.
fn latin1(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        // Scripts decode UTF-8 further on; the text is what matters.
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// `%41` and `%u0041`.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let hex = |from: usize, to: usize| u32::from_str_radix(rest.get(from..to)?, 16).ok();
        let (value, length) = match (rest.get(1..2), hex(2, 6), hex(1, 3)) {
            (Some("u" | "U"), Some(value), _) => (Some(value), 6),
            (_, _, Some(value)) => (Some(value), 3),
            _ => (Some(u32::from('%')), 1),
        };
        plain.push(value.and_then(char::from_u32).unwrap_or('\u{fffd}'));
        rest = &rest[length..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::super::token::tokens;
    use super::*;

    fn sum(code: &str) -> Option<(String, bool)> {
        let tokens = tokens(code);
        let constants = Constants::new(code, &tokens);
        constants.sum(0, &mut 1_000_000).map(|constant| (constant.text, constant.whole))
    }

    #[test]
    fn literals_are_added_and_decoded() {
        for (code, expected) in [
            ("'htt' + \"ps:\" + `//a`", "https://a"),
            ("('a' + ('b'))", "ab"),
            ("atob('aHR0' + 'cDovL2E=')", "http://a"),
            ("window.atob('YQ==')", "a"),
            ("unescape('%3C%u0062%zz')", "<b%zz"),
            ("decodeURIComponent('%C3%A9')", "é"),
            ("String.fromCharCode(104, 0x69)", "hi"),
            ("'cba'.split('').reverse().join('')", "abc"),
        ] {
            assert_eq!(sum(code), Some((expected.to_owned(), true)), "{code}");
        }
    }

    #[test]
    fn what_depends_on_anything_else_is_unknown() {
        assert_eq!(sum("'a' + b + 'c'"), Some(("a".to_owned(), false)));
        assert_eq!(sum("`a${b}c`"), Some(("a".to_owned(), false)));
        for code in ["b + 'a'", "'a'.length", "atob(b)", "atob('a' + b)", "'a'[0]", "1", "", "(", "atob("] {
            assert_eq!(sum(code), None, "{code}");
        }
        assert_eq!(sum(&"(".repeat(100_000)), None);
        assert_eq!(sum(&"window.".repeat(100_000)), None);
    }

    #[test]
    fn doubling_a_text_ends() {
        let tokens = tokens("x + x");
        let mut constants = Constants::new("x + x", &tokens);
        constants.assign("x", Some("x".repeat(MAX_TEXT_BYTES)));
        let mut work = MAX_WORK;
        let rounds = (0..).take_while(|_| constants.sum(0, &mut work).is_some_and(|sum| sum.whole)).count();
        assert!(rounds < 100, "{rounds}");
        assert!(constants.sum(0, &mut work).is_none_or(|sum| sum.text.len() <= MAX_TEXT_BYTES));
    }
}
