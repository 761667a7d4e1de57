//! MIME types as the MIME Sniffing standard reads them, and which of several Content-Type values counts.

use data_url::mime::Mime;
use encoding_rs::Encoding;

/// No server means a longer Content-Type, and reading one takes time with the square of its parameters.
const MAX_BYTES: usize = 4 * 1024;

/// Names of types are this long at most (RFC 6838, section 4.2).
const MAX_ESSENCE_BYTES: usize = 127;

/// Reads one type.
pub(super) fn parse(text: &str) -> Option<Mime> {
    front(text).parse().ok()
}

/// The encoding that the charset parameter names.
pub(super) fn encoding(mime: &Mime) -> Option<&'static Encoding> {
    Encoding::for_label(mime.get_parameter("charset")?.as_bytes())
}

/// Reads the values of the Content-Type headers of a response, joined by commas: the last one that is a type counts,
/// with the charset of an earlier one of the same type. <https://fetch.spec.whatwg.org/#concept-header-extract-mime-type>
pub(super) fn extract(values: &str) -> Option<Mime> {
    let mut found: Option<Mime> = None;
    for mut mime in split(front(values)).filter_map(parse).filter(|mime| !mime.matches("*", "*")) {
        let charset = found
            .filter(|before| before.matches(&mime.type_, &mime.subtype))
            .and_then(|before| before.get_parameter("charset").map(str::to_owned));
        if let Some(charset) = charset
            && mime.get_parameter("charset").is_none()
        {
            mime.parameters.push(("charset".to_owned(), charset));
        }
        found = Some(mime);
    }
    found
}

fn front(text: &str) -> &str {
    let end = (0..=MAX_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// Commas inside quotes do not separate.
fn split(values: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    values
        .split(move |c| {
            let separates = c == ',' && !quoted;
            match c {
                '"' if !escaped => quoted = !quoted,
                _ => {}
            }
            escaped = quoted && c == '\\' && !escaped;
            separates
        })
        .map(|value| value.trim_matches([' ', '\t', '\r', '\n']))
}

/// `type/subtype` in lower case.
pub(super) fn essence(mime: &Mime) -> Option<String> {
    let essence = format!("{}/{}", mime.type_, mime.subtype);
    (essence.len() <= MAX_ESSENCE_BYTES).then_some(essence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_that_is_a_type_counts() {
        for (values, expected) in [
            ("Text/HTML; Charset=x", Some("text/html;charset=x")),
            ("text/plain, text/html", Some("text/html")),
            ("text/html;charset=gbk, text/html", Some("text/html;charset=gbk")),
            ("text/html;charset=gbk, text/plain", Some("text/plain")),
            (
                "text/html;charset=gbk, text/html;x=\",text/plain\"",
                Some("text/html;x=\",text/plain\";charset=gbk"),
            ),
            ("text/html, */*", Some("text/html")),
            ("text/html, nonsense", Some("text/html")),
            ("text/html;x=\"\\\",text/plain", Some("text/html;x=\"\\\",text/plain\"")),
            ("html", None),
            ("", None),
        ] {
            let found = extract(values).map(|mime| mime.to_string());
            assert_eq!(found.as_deref(), expected, "{values:?}");
        }
    }

    #[test]
    fn a_type_longer_than_any_is_read_as_far_as_the_limit() {
        let long = format!("text/html;{}", "é=x;".repeat(MAX_BYTES));
        assert!(extract(&long).is_some_and(|mime| mime.matches("text", "html")));
        assert_eq!(extract(&"a".repeat(10 * MAX_BYTES)), None);
    }
}
