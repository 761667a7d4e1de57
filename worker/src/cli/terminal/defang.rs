//! Dangerous addresses written so that no click and no terminal opens them: `hxxps://evil[.]example/path`.
//!
//! A URL written so is read as meant by every command of this program.

use std::borrow::Cow;

use crate::domain::target::is_host_in_text;
use crate::domain::verdict::VerdictState;

/// Whether the addresses of one scan are shown so.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Defang(pub(in crate::cli) bool);

impl Defang {
    /// For a scan with this verdict: nobody should get there by accident.
    pub(in crate::cli) fn of(verdict: VerdictState, wanted: bool) -> Self {
        let dangerous = match verdict {
            VerdictState::Malicious | VerdictState::Suspicious => true,
            VerdictState::Benign | VerdictState::Unknown | VerdictState::NotEvaluated => false,
        };
        Self(wanted && dangerous)
    }

    /// A URL, or text with URLs and names of hosts in it.
    pub(in crate::cli) fn text(self, text: &str) -> Cow<'_, str> {
        if self.0 { self::text(text) } else { Cow::Borrowed(text) }
    }

    /// The name of a host.
    pub(in crate::cli) fn host(self, name: &str) -> Cow<'_, str> {
        if self.0 { Cow::Owned(host(name)) } else { Cow::Borrowed(name) }
    }
}

/// A host name without a dot that could be followed.
fn host(name: &str) -> String {
    name.replace('.', "[.]")
}

/// A text with every http and https URL and every bare name of a host within it made harmless.
fn text(text: &str) -> Cow<'_, str> {
    let mut harmless = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    let mut in_url = false;
    while let Some((before, scheme, after)) = next(rest) {
        between(before, in_url, &mut harmless);
        let end = after.find(|c: char| ends_authority(c)).unwrap_or(after.len());
        let (authority, behind) = after.split_at(end);
        // A full stop at the end of a sentence is not part of a name.
        let name = authority.trim_end_matches('.');
        harmless.push_str(&scheme[..1]);
        harmless.push_str("xx");
        harmless.push_str(&scheme[3..]);
        harmless.push_str("://");
        harmless.push_str(&host(name));
        harmless.push_str(&authority[name.len()..]);
        rest = behind;
        in_url = true;
    }
    between(rest, in_url, &mut harmless);
    if harmless == text { Cow::Borrowed(text) } else { Cow::Owned(harmless) }
}

/// What stands in front of a URL. Behind another one, its path and query come first: nobody gets anywhere by them.
fn between(text: &str, in_url: bool, to: &mut String) {
    let end = if in_url { text.find(ends_url).unwrap_or(text.len()) } else { 0 };
    let (path, sentence) = text.split_at(end);
    to.push_str(path);
    names(sentence, to);
}

/// The words of a sentence, those that name hosts made harmless. What stands behind a slash is a file.
fn names(sentence: &str, to: &mut String) {
    let mut rest = sentence;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let name = word.trim_end_matches('.');
        let is_file = to.ends_with(['/', '\\']) && !to.ends_with("//") && !to.ends_with("\\\\");
        if !is_file && is_host_in_text(name) {
            to.push_str(&host(name));
            to.push_str(&word[name.len()..]);
        } else {
            to.push_str(word);
        }
        let end = behind.find(is_of_name).unwrap_or(behind.len());
        to.push_str(&behind[..end]);
        rest = &behind[end..];
    }
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn ends_url(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')')
}

/// What stands before the next such URL, its scheme, and what follows the two slashes.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let at = from + found;
        for length in [5, 4] {
            let scheme = at.checked_sub(length).and_then(|start| text.get(start..at));
            if let Some(scheme) = scheme
                .filter(|scheme| scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http"))
            {
                return Some((&text[..at - length], scheme, &text[at + 3..]));
            }
        }
        from = at + 3;
    }
    None
}

fn ends_authority(c: char) -> bool {
    c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | ')' | ',' | ';')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::target::Target;

    #[test]
    fn urls_in_a_sentence_lose_their_scheme_and_dots_and_nothing_else() {
        for (text, expected) in [
            ("http://evil.example/a.php?b=c.d", "hxxp://evil[.]example/a.php?b=c.d"),
            ("HTTPS://1.2.3.4:81", "HxxPS://1[.]2[.]3[.]4:81"),
            (
                "goes to (http://a.test/x) and https://b.test.",
                "goes to (hxxp://a[.]test/x) and hxxps://b[.]test.",
            ),
            ("é://http://x.y", "é://hxxp://x[.]y"),
            ("ftp://a.test and data:text", "ftp://a[.]test and data:text"),
            ("http://[::1]:8/", "hxxp://[::1]:8/"),
            (
                "PayPal on evil.example: mail a@evil.example (10.0.0.1).",
                "PayPal on evil[.]example: mail a@evil[.]example (10[.]0[.]0[.]1).",
            ),
            ("runs iwr evil.example/x.com of invoice.pdf", "runs iwr evil[.]example/x.com of invoice.pdf"),
            (
                "http://a.test/b.test?c=d.test at //e.test, not evil[.]example",
                "hxxp://a[.]test/b.test?c=d.test at //e[.]test, not evil[.]example",
            ),
        ] {
            assert_eq!(super::text(text), expected);
        }
    }

    proptest! {
        #[test]
        fn what_was_made_harmless_is_read_as_it_was_meant(
            tls in any::<bool>(), host in "[a-z]{1,8}(\\.[a-z]{2,8}){1,3}", port in 1_u16.., path in "[a-z0-9./?=&]{0,20}",
        ) {
            let url = format!("http{}://{host}:{port}/{path}", if tls { "s" } else { "" });
            let harmless = text(&url).into_owned();
            prop_assert!(!harmless.contains("http") && !harmless.contains(&host));
            let read = Target::parse(&harmless).expect("it is read as meant");
            let meant = Target::parse(&url).expect("a URL");
            prop_assert_eq!(read.url(), meant.url());
        }

        #[test]
        fn any_text_is_taken(text in "\\PC{0,40}(http://)?\\PC{0,40}") {
            let _ = super::text(&text);
        }
    }
}
