//! Which encoding a text is read with: byte order mark, header, the page's own meta, then a guess.
//!
//! The order is that of the HTML standard. The guess is UTF-8 where the bytes are valid UTF-8, else
//! windows-1252, which is what browsers do for most of the world.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The standard asks for the first 1024 bytes; pages with long comments on top are read right beyond that.
const PRESCAN_BYTES: usize = 4096;

/// The encoding of `bytes`; `declared` is the Content-Type.
pub(super) fn detect(bytes: &[u8], declared: Option<&str>, html: bool) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return encoding;
    }
    if let Some(encoding) =
        declared.and_then(parameter).and_then(|label| Encoding::for_label(label.as_bytes()))
    {
        return encoding;
    }
    if html && let Some(encoding) = prescan(bytes.get(..PRESCAN_BYTES).unwrap_or(bytes)) {
        return encoding;
    }
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // A character cut in two at the end is no proof against UTF-8.
        Err(error) => error.error_len().is_none(),
    };
    if valid { UTF_8 } else { WINDOWS_1252 }
}

/// The charset parameter of a Content-Type.
fn parameter(declared: &str) -> Option<&str> {
    declared.split(';').skip(1).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}

/// <https://html.spec.whatwg.org/multipage/parsing.html#prescan-a-byte-stream-to-determine-its-encoding>,
/// reduced to comments and meta elements.
fn prescan(mut bytes: &[u8]) -> Option<&'static Encoding> {
    while let Some(at) = bytes.iter().position(|byte| *byte == b'<') {
        bytes = &bytes[at..];
        if let Some(comment) = bytes.strip_prefix(b"<!--") {
            let end = comment.windows(3).position(|three| three == b"-->")?;
            bytes = &comment[end..];
            continue;
        }
        let rest = &bytes[1..];
        let is_meta = rest.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"meta"))
            && rest.get(4).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'/');
        bytes = rest;
        if is_meta {
            let (attributes, after) = attributes(&rest[4..]);
            bytes = after;
            if let Some(encoding) = of_meta(&attributes) {
                return Some(encoding);
            }
        }
    }
    None
}

fn of_meta(attributes: &[(String, String)]) -> Option<&'static Encoding> {
    let value = |name: &str| attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let label = match value("charset") {
        Some(label) => label.to_owned(),
        None => {
            value("http-equiv").filter(|kind| kind.eq_ignore_ascii_case("content-type"))?;
            of_content(value("content")?)?
        }
    };
    let encoding = Encoding::for_label(label.as_bytes())?;
    // Bytes in which `<meta` could be read are not UTF-16, whatever they say.
    if encoding == UTF_16BE || encoding == UTF_16LE {
        return Some(UTF_8);
    }
    Some(if encoding.name() == "x-user-defined" { WINDOWS_1252 } else { encoding })
}

/// The label in `text/html; charset=label`.
fn of_content(content: &str) -> Option<String> {
    let lower = content.to_ascii_lowercase();
    let mut rest = lower.as_str();
    loop {
        let at = rest.find("charset")?;
        rest = rest[at + "charset".len()..].trim_start();
        if let Some(value) = rest.strip_prefix('=') {
            let value = value.trim_start();
            return match value.chars().next()? {
                quote @ ('"' | '\'') => value[1..].split_once(quote).map(|(label, _)| label.to_owned()),
                _ => value.split([';', ' ', '\t', '\n', '\r']).next().map(str::to_owned),
            };
        }
    }
}

/// The attributes of a tag up to its end, names in lower case, and what follows.
fn attributes(mut bytes: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let mut found = Vec::new();
    loop {
        bytes = skip(bytes, |byte| byte.is_ascii_whitespace() || byte == b'/');
        match bytes.first() {
            None => return (found, bytes),
            Some(b'>') => return (found, &bytes[1..]),
            Some(_) => {}
        }
        let (name, rest) = until(bytes, |byte| byte.is_ascii_whitespace() || b"=/>".contains(&byte));
        let rest = skip(rest, |byte| byte.is_ascii_whitespace());
        let Some(value) = rest.strip_prefix(b"=") else {
            // An equals sign in front is part of no name here; step over it so that the loop goes on.
            bytes = if name.is_empty() { &bytes[1..] } else { rest };
            continue;
        };
        let value = skip(value, |byte| byte.is_ascii_whitespace());
        let (value, rest) = match value.first() {
            Some(&quote @ (b'"' | b'\'')) => {
                let (value, rest) = until(&value[1..], |byte| byte == quote);
                (value, rest.get(1..).unwrap_or_default())
            }
            _ => until(value, |byte| byte.is_ascii_whitespace() || byte == b'>'),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        found.push((text(name).to_ascii_lowercase(), text(value)));
        bytes = rest;
    }
}

fn skip(bytes: &[u8], unwanted: impl Fn(u8) -> bool) -> &[u8] {
    until(bytes, |byte| !unwanted(byte)).1
}

fn until(bytes: &[u8], end: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|byte| end(*byte)).unwrap_or(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8], declared: Option<&str>) -> &'static str {
        detect(bytes, declared, true).name()
    }

    #[test]
    fn a_byte_order_mark_wins_over_the_header_and_the_header_over_the_page() {
        let page = b"<meta charset=koi8-r>";
        assert_eq!(name(page, None), "KOI8-R");
        assert_eq!(name(page, Some("text/html; Charset=\"shift_jis\"")), "Shift_JIS");
        assert_eq!(name(b"\xff\xfe<\x00", Some("text/html; charset=utf-8")), "UTF-16LE");
        assert_eq!(name(page, Some("text/html; charset=nonsense")), "KOI8-R");
    }

    #[test]
    fn the_page_says_its_encoding_in_the_ways_the_standard_knows() {
        for (page, expected) in [
            (&b"<META http-equiv='Content-Type' content='text/html; charset = \"gbk\"'>"[..], "GBK"),
            (b"<meta content=\"text/html;charset=euc-kr\" http-equiv=content-type>", "EUC-KR"),
            (b"<!-- <meta charset=gbk> --><meta/charset='big5'/>", "Big5"),
            (b"<meta charset=utf-16le>", "UTF-8"),
            (b"<meta charset=x-user-defined>", "windows-1252"),
            (b"<metal charset=gbk>\xe9 x", "windows-1252"),
            (b"<meta name=x content='charset=gbk'>", "UTF-8"),
            (b"<meta = = charset", "UTF-8"),
            (b"<!-- <meta charset=gbk>", "UTF-8"),
        ] {
            assert_eq!(name(page, None), expected, "{}", String::from_utf8_lossy(page));
        }
    }

    #[test]
    fn without_a_word_the_bytes_decide() {
        assert_eq!(name("é".as_bytes(), None), "UTF-8");
        assert_eq!(name(b"caf\xc3", None), "UTF-8");
        assert_eq!(name(b"caf\xe9 au lait", None), "windows-1252");
    }
}
