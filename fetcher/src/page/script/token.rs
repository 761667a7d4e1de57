//! Tokens of JavaScript: enough to tell strings, names, comments and regular expressions apart. Nothing is run.
//!
//! Positions instead of copies, so that a megabyte of script costs a few megabytes of tokens at most.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Name,
    Number,
    /// A string, or a template without holes; the span is what is inside the quotes.
    Text,
    /// A template with holes; the span is what comes before the first.
    Open,
    Regex,
    Mark,
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    start: u32,
    end: u32,
}

impl Token {
    pub(crate) fn text<'a>(&self, code: &'a str) -> &'a str {
        code.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Bundles of a megabyte have some 300,000; who redirects does so in fewer. 3 MB of memory.
const MAX_TOKENS: usize = 250_000;
/// Holes inside holes of templates; people stop at two.
const MAX_HOLES: u32 = 64;

/// The tokens of a script, as far as the bound goes.
pub(crate) fn tokens(code: &str) -> Vec<Token> {
    let mut reader = Reader { code, bytes: code.as_bytes(), at: 0, tokens: Vec::new() };
    while reader.tokens.len() < MAX_TOKENS && reader.next() {}
    reader.tokens
}

struct Reader<'a> {
    code: &'a str,
    bytes: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Reads one token or one gap; `false` at the end.
    fn next(&mut self) -> bool {
        let Some(byte) = self.bytes.get(self.at).copied() else { return false };
        match byte {
            b if b.is_ascii_whitespace() => self.at += 1,
            b'/' if self.peek(1) == b'/' => self.line(),
            b'/' if self.peek(1) == b'*' => self.block(),
            // Old pages hide scripts from older browsers this way.
            b'<' if self.rest().starts_with(b"<!--") => self.line(),
            b'/' if self.expects_value() => self.regex(),
            b'"' | b'\'' => self.string(byte),
            b'`' => self.template(),
            b if b.is_ascii_digit() => self.word(Kind::Number),
            b if is_name(b) => self.word(Kind::Name),
            _ => self.mark(),
        }
        true
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        // Scripts are cut long before positions stop fitting.
        if let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end)) {
            self.tokens.push(Token { kind, start, end });
        }
    }

    fn line(&mut self) {
        let end = self.rest().iter().position(|b| matches!(b, b'\n' | b'\r'));
        self.at = end.map_or(self.bytes.len(), |end| self.at + end);
    }

    fn block(&mut self) {
        let end = self.code.get(self.at + 2..).and_then(|rest| rest.find("*/"));
        self.at = end.map_or(self.bytes.len(), |end| self.at + 2 + end + 2);
    }

    /// Whether a slash here begins a regular expression: where a value may begin.
    fn expects_value(&self) -> bool {
        let Some(last) = self.tokens.last() else { return true };
        let text = last.text(self.code);
        match last.kind {
            Kind::Mark => !matches!(text, ")" | "]" | "}"),
            Kind::Name => {
                matches!(text, "return" | "typeof" | "case" | "in" | "of" | "void" | "delete" | "else" | "do")
            }
            Kind::Number | Kind::Text | Kind::Open | Kind::Regex => false,
        }
    }

    fn regex(&mut self) {
        let start = self.at;
        let mut class = false;
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'\n' => break,
                b'\\' => self.at += 1,
                b'[' => class = true,
                b']' => class = false,
                b'/' if !class => {
                    self.at += 1;
                    break;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.at = self.at.min(self.bytes.len());
        self.push(Kind::Regex, start, self.at);
    }

    fn string(&mut self, quote: u8) {
        let start = self.at + 1;
        self.at = start;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.at += 1,
                // Not closed on its line: what it holds so far counts.
                b'\n' => break,
                byte if *byte == quote => break,
                _ => {}
            }
            self.at += 1;
        }
        let end = self.at.min(self.bytes.len());
        self.push(Kind::Text, start, end);
        self.at = end + 1;
    }

    fn template(&mut self) {
        let start = self.at + 1;
        self.at = start;
        let mut open = None;
        // Open braces of holes; inside of one a quote of this kind opens or closes templates that are of no interest.
        let mut holes = 0u32;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.at += 1,
                b'$' if self.peek(1) == b'{' && holes == 0 => {
                    open = open.or(Some(self.at));
                    holes = 1;
                    self.at += 1;
                }
                b'{' if holes > 0 && holes < MAX_HOLES => holes += 1,
                b'}' => holes = holes.saturating_sub(1),
                b'`' if holes == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        let end = self.at.min(self.bytes.len());
        match open {
            Some(open) => self.push(Kind::Open, start, open),
            None => self.push(Kind::Text, start, end),
        }
        self.at = end + 1;
    }

    fn word(&mut self, kind: Kind) {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(|b| is_name(*b) || b.is_ascii_digit()) {
            self.at += 1;
        }
        self.push(kind, start, self.at);
    }

    /// One sign, or one that ends in `=`, so that an assignment is a lone `=`.
    fn mark(&mut self) {
        let start = self.at;
        self.at += 1;
        if b"=!<>+-*/%&|^?".contains(&self.bytes[start]) {
            while matches!(self.peek(0), b'=') || (self.bytes[start] == b'=' && self.peek(0) == b'>') {
                self.at += 1;
            }
        }
        self.push(Kind::Mark, start, self.at);
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// What a literal stands for: escapes undone.
pub(crate) fn unescaped(literal: &str) -> String {
    if !literal.contains('\\') {
        return literal.to_owned();
    }
    let mut text = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else { break };
        let (decoded, length) = escape(c, rest);
        text.extend(decoded);
        rest = &rest[length..];
    }
    text.push_str(rest);
    text
}

/// The character behind a backslash, and how much text it takes.
fn escape(c: char, rest: &str) -> (Option<char>, usize) {
    let hex = |from: usize, to: usize| u32::from_str_radix(rest.get(from..to)?, 16).ok();
    let code = |value: Option<u32>, length: usize| match value {
        Some(value) => (Some(char::from_u32(value).unwrap_or('\u{fffd}')), length),
        None => (Some(c), c.len_utf8()),
    };
    match c {
        'x' => code(hex(1, 3), 3),
        'u' if rest[1..].starts_with('{') => {
            let end = rest.char_indices().take(10).find(|(_, c)| *c == '}').map_or(0, |(at, _)| at);
            code(hex(2, end), end + 1)
        }
        'u' => code(hex(1, 5), 5),
        '0'..='7' => {
            let length = rest.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            code(u32::from_str_radix(&rest[..length], 8).ok().filter(|value| *value < 256), length)
        }
        'n' => (Some('\n'), 1),
        'r' => (Some('\r'), 1),
        't' => (Some('\t'), 1),
        'b' | 'f' | 'v' => (Some(' '), 1),
        '\n' => (None, 1),
        c => (Some(c), c.len_utf8()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(code: &str) -> Vec<(Kind, &str)> {
        tokens(code).iter().map(|token| (token.kind, token.text(code))).collect()
    }

    #[test]
    fn strings_comments_and_regular_expressions_are_told_apart() {
        use Kind::{Mark, Name, Number, Open, Regex, Text};
        assert_eq!(
            texts(
                "a = 'x\\'y' // 'no'\n/* \"no\" */ + /[/'\"]\\//g / 2 === `t${b ? {c:`}`} : 1}u`<!-- no\n`v`"
            ),
            [
                (Name, "a"),
                (Mark, "="),
                (Text, "x\\'y"),
                (Mark, "+"),
                (Regex, "/[/'\"]\\//"),
                (Name, "g"),
                (Mark, "/"),
                (Number, "2"),
                (Mark, "==="),
                (Open, "t"),
                (Text, "v"),
            ]
        );
        assert_eq!(texts("x=>y"), [(Name, "x"), (Mark, "=>"), (Name, "y")]);
    }

    #[test]
    fn what_is_not_closed_ends_with_the_text() {
        for code in ["'x", "\"x\\", "`x", "`x${", "/x", "/*x", "//x", "x\\", "/[", "<!--", "é'é"] {
            tokens(code);
        }
        assert!(tokens(&";".repeat(300_000)).len() == MAX_TOKENS);
        assert!(tokens(&"`${".repeat(100_000)).len() <= 1);
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(
            unescaped(
                r"\x68\u0074\u{74}\160\/\n\
x\q\é"
            ),
            "http/\nxqé"
        );
        for broken in ["\\", "\\x", "\\xé", "\\u{", "\\u{110000}", "\\u12", "\\8", "\\ué"] {
            unescaped(broken);
        }
    }
}
