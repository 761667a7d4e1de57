//! What a browser would call the body when it saves it.
//!
//! Content-Disposition (RFC 6266) first, then the last segment of the URL's path. The name is text for a person
//! and for rules about endings, never a path: nothing here touches a file.

use encoding_rs::Encoding;

use super::Source;

/// Longer than any file system takes.
const MAX_NAME_BYTES: usize = 255;

/// The name, where the body is something to save.
pub(super) fn of(source: &Source<'_>, html: bool) -> Option<String> {
    let named = source.disposition.and_then(from_disposition);
    let name = match named {
        Some(name) => name,
        None if html => return None,
        None => percent_decoded(source.url.path_segments()?.next_back()?),
    };
    // Only the last part counts, and no control character reaches a terminal or a rule.
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    let clean = crate::report::cut(clean.trim().to_owned(), MAX_NAME_BYTES);
    (!clean.is_empty()).then_some(clean)
}

/// Whether the server asks for the body to be saved. A word that nobody knows asks for that too (RFC 6266, section 4.2).
pub(super) fn is_attachment(disposition: &str) -> bool {
    kind(disposition).is_some_and(|kind| !kind.is_empty() && !kind.eq_ignore_ascii_case("inline"))
}

/// The first word; some servers leave it out and begin with a parameter.
fn kind(disposition: &str) -> Option<&str> {
    disposition.split(';').next().map(str::trim).filter(|kind| !kind.contains('='))
}

/// `filename*` wins over `filename`.
fn from_disposition(value: &str) -> Option<String> {
    let parameters = parameters(value);
    let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    if let Some(extended) = get("filename*") {
        // charset'language'percent-encoded (RFC 8187); where the charset is none, the plain name counts.
        let mut parts = extended.splitn(3, '\'');
        if let (Some(charset), Some(_), Some(text)) = (parts.next(), parts.next(), parts.next())
            && let Some(encoding) = Encoding::for_label(charset.as_bytes())
        {
            return Some(encoding.decode_without_bom_handling(&percent_bytes(text)).0.into_owned());
        }
    }
    get("filename").cloned()
}

/// The parameters after the first word, names in lower case, quotes and escapes removed.
fn parameters(value: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = match kind(value) {
        Some(_) => value.split_once(';').map_or("", |(_, rest)| rest),
        None => value,
    };
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (text, next) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => match after.split_once(';') {
                Some((text, next)) => (text.trim().to_owned(), next),
                None => (after.trim().to_owned(), ""),
            },
        };
        let name = name.rsplit(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        found.push((name, text));
        rest = next;
    }
    found
}

/// The text up to the closing quote, and what follows. A backslash escapes a quote or itself and is else taken
/// as it stands: old programs send Windows paths.
fn unquoted(text: &str) -> (String, &str) {
    let mut read = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (read, text.get(at + 1..).unwrap_or_default()),
            '\\' => {
                let escaped = chars.next_if(|(_, next)| matches!(next, '"' | '\\'));
                read.push(escaped.map_or(c, |(_, next)| next));
            }
            _ => read.push(c),
        }
    }
    (read, "")
}

fn percent_decoded(text: &str) -> String {
    String::from_utf8_lossy(&percent_bytes(text)).into_owned()
}

fn percent_bytes(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |offset: usize| {
            bytes
                .get(at + offset)
                .and_then(|byte| char::from(*byte).to_digit(16))
                .and_then(|n| u8::try_from(n).ok())
        };
        match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high * 16 + low);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn name(url: &str, disposition: Option<&str>, html: bool) -> Option<String> {
        let url = Url::parse(url).expect("a URL");
        of(&Source { url: &url, declared: None, disposition, options: None }, html)
    }

    #[test]
    fn the_disposition_names_the_file_and_else_the_path_does() {
        let url = "http://a.test/dir/in%76oice.exe?x=/y";
        for (disposition, expected) in [
            (None, Some("invoice.exe")),
            (Some("attachment"), Some("invoice.exe")),
            (Some("attachment; filename=a.zip"), Some("a.zip")),
            (Some("attachment; FileName=\"a; \\\"b\\\".zip\"; x=y"), Some("a; \"b\".zip")),
            (Some("attachment; filename=a.zip; filename*=UTF-8''%e2%82%ac.zip"), Some("€.zip")),
            (Some("inline; filename=\"..\\..\\x.exe\""), Some("x.exe")),
            (Some("attachment; filename=\"../\""), None),
            (Some("attachment; filename=\"a\u{1b}[31m\""), Some("a[31m")),
            (Some("attachment; filename=\"open"), Some("open")),
            (Some("attachment; filename*=iso-8859-1'en'caf%E9.zip"), Some("café.zip")),
            (Some("attachment; filename*=nonsense''x.zip; filename=y.zip"), Some("y.zip")),
            (Some("attachment; filename*=UTF-8''%2e%2e%5cx.exe"), Some("x.exe")),
            (Some("attachment; filename=\"a\u{202e}gpj.exe\""), Some("a\u{202e}gpj.exe")),
            (Some("filename=only.exe"), Some("only.exe")),
        ] {
            assert_eq!(name(url, disposition, false).as_deref(), expected, "{disposition:?}");
        }
    }

    #[test]
    fn a_page_has_a_name_only_when_the_server_gives_one() {
        assert_eq!(name("http://a.test/x.html", None, true), None);
        assert_eq!(name("http://a.test/x", Some("inline; filename=y.html"), true).as_deref(), Some("y.html"));
        assert_eq!(name("http://a.test/", None, false), None);
    }

    #[test]
    fn an_attachment_is_what_the_first_word_says() {
        assert!(is_attachment("Attachment; filename=inline"));
        assert!(is_attachment("save-as; filename=x"));
        assert!(!is_attachment("Inline; filename=attachment"));
        assert!(!is_attachment("filename=x"));
        assert!(!is_attachment(""));
    }
}
