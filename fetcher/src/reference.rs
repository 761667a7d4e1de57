//! A reference read against the page it stands in, as browsers read it.

use std::borrow::Cow;

use url::{ParseError, Url};

/// The URL that `text` means on the page `base`.
///
/// The url crate reads any number of slashes in front of a host as the URL standard asks, except where the text has no
/// scheme: `///host/` would be an error, and a server could send browsers on to where we do not follow.
pub(crate) fn resolve(base: &Url, text: &str) -> Result<Url, ParseError> {
    let slash = |c: char| matches!(c, '/' | '\\');
    let blank = |c: char| c.is_ascii_control() || c == ' ';
    let start = text.trim_start_matches(blank);
    if !matches!(base.scheme(), "http" | "https") || !start.starts_with(slash) {
        return base.join(text);
    }
    // The standard drops these wherever they stand.
    let start: Cow<'_, str> = if start.contains(['\t', '\n', '\r']) {
        start.replace(['\t', '\n', '\r'], "").into()
    } else {
        start.into()
    };
    let rest = start.trim_start_matches(slash);
    match start.len() - rest.len() {
        0..3 => base.join(&start),
        _ => base.join(&format!("//{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_slashes_stands_before_a_host() {
        let base = Url::parse("https://a.test/dir/page").expect("a URL");
        for (text, meant) in [
            ("x", "https://a.test/dir/x"),
            ("/x", "https://a.test/x"),
            ("\\x", "https://a.test/x"),
            ("//b.test/x", "https://b.test/x"),
            ("///b.test/x", "https://b.test/x"),
            (" \t/\\/\n/\\b.test/x", "https://b.test/x"),
            ("////user@b.test:81?q", "https://user@b.test:81/?q"),
            ("http:///b.test/x", "http://b.test/x"),
            ("x//b.test", "https://a.test/dir/x//b.test"),
        ] {
            assert_eq!(resolve(&base, text).map(String::from).as_deref(), Ok(meant), "{text:?}");
        }
        for text in ["//", "///", "///?x"] {
            assert!(resolve(&base, text).is_err(), "{text:?}");
        }
    }
}
