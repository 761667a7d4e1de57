//! Which encoding a text is read with: byte order mark, header, the page's own word, then a guess.
//!
//! The order is that of the HTML standard, and so is the reading of a page's own word. The guess is UTF-8 where the bytes
//! are valid UTF-8 with more than ASCII in them; browsers refuse to guess that, so that nobody relies on it, but we want
//! the text as it is meant. Else the bytes and the country of the host decide, with the detector that Firefox has.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use url::Url;

use super::{Source, mime};

/// The standard asks for the first 1024 bytes. A browser that meets the page's word later, while it parses, starts anew
/// with it; looking this far finds it at once.
const PRESCAN_BYTES: usize = 64 * 1024;

/// An encoding shows in a few kilobytes of text that is not ASCII; this keeps the work small whatever is sent.
const DETECT_BYTES: usize = 256 * 1024;

/// The encoding of `bytes`.
pub(super) fn detect(source: &Source<'_>, bytes: &[u8], html: bool) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return encoding;
    }
    let declared = source.declared.and_then(mime::extract);
    if let Some(encoding) = declared.as_ref().and_then(mime::encoding) {
        return encoding;
    }
    let front = bytes.get(..PRESCAN_BYTES).unwrap_or(bytes);
    let own = if html { prescan(front).or_else(|| xml_declaration(front)) } else { xml_declaration(front) };
    own.unwrap_or_else(|| guess(bytes, source.url))
}

fn guess(bytes: &[u8], url: &Url) -> &'static Encoding {
    // ASCII is called what browsers call it where nobody says anything.
    let Some(first) = bytes.iter().position(|byte| !byte.is_ascii()) else { return WINDOWS_1252 };
    let rest = bytes.get(first..).unwrap_or_default();
    let valid = match std::str::from_utf8(rest) {
        Ok(_) => true,
        // A character cut in two at the end is no proof against UTF-8.
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
    };
    if valid {
        return UTF_8;
    }
    let country = url.domain().and_then(|name| name.trim_end_matches('.').rsplit('.').next());
    // The detector stops the program at a name it does not expect.
    let country =
        country.filter(|name| !name.is_empty() && name.bytes().all(is_name_byte)).map(str::as_bytes);
    // ISO-2022-JP is ASCII with escapes: a guess of it has been used to smuggle scripts past filters.
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(rest.get(..DETECT_BYTES).unwrap_or(rest), true);
    detector.guess(country, Utf8Detection::Deny)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// <https://html.spec.whatwg.org/multipage/parsing.html#prescan-a-byte-stream-to-determine-its-encoding>, without the XML
/// declaration, which is asked afterwards.
fn prescan(mut bytes: &[u8]) -> Option<&'static Encoding> {
    while let Some(at) = bytes.iter().position(|byte| *byte == b'<') {
        let tag = bytes.get(at + 1..)?;
        if tag.starts_with(b"!--") {
            // The dashes that open a comment can close it too.
            let end = tag.windows(3).skip(1).position(|three| three == b"-->")?;
            bytes = tag.get(end + 4..)?;
            continue;
        }
        let name = tag.strip_prefix(b"/").unwrap_or(tag);
        if name.first().is_some_and(u8::is_ascii_alphabetic) {
            let (element, rest) = until(name, |byte| byte.is_ascii_whitespace() || b"/>".contains(&byte));
            let (attributes, after) = attributes(rest)?;
            if element.len() == tag.len() - rest.len()
                && element.eq_ignore_ascii_case(b"meta")
                && let Some(encoding) = of_meta(&attributes)
            {
                return Some(encoding);
            }
            bytes = after;
        } else if tag.starts_with(b"!") || tag.starts_with(b"/") || tag.starts_with(b"?") {
            bytes = until(tag, |byte| byte == b'>').1;
        } else {
            bytes = tag;
        }
    }
    None
}

/// Names in lower case, and values.
type Attributes = Vec<(String, String)>;

fn of_meta(attributes: &[(String, String)]) -> Option<&'static Encoding> {
    let value = |name: &str| attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let label = match value("charset") {
        Some(label) => label.to_owned(),
        None => {
            value("http-equiv").filter(|kind| kind.eq_ignore_ascii_case("content-type"))?;
            of_content(value("content")?)?
        }
    };
    readable(Encoding::for_label(label.as_bytes())?)
}

/// Bytes in which a label could be read are not UTF-16, whatever they say.
fn readable(encoding: &'static Encoding) -> Option<&'static Encoding> {
    Some(match encoding {
        utf_16 if utf_16 == UTF_16BE || utf_16 == UTF_16LE => UTF_8,
        own if own.name() == "x-user-defined" => WINDOWS_1252,
        other => other,
    })
}

/// `<?xml … encoding="label"`, or its first letters in UTF-16.
/// <https://html.spec.whatwg.org/multipage/parsing.html#concept-get-xml-encoding-when-sniffing>
fn xml_declaration(bytes: &[u8]) -> Option<&'static Encoding> {
    if bytes.starts_with(b"<\0?\0x\0") {
        return Some(UTF_16LE);
    }
    if bytes.starts_with(b"\0<\0?\0x") {
        return Some(UTF_16BE);
    }
    let declaration = bytes.strip_prefix(b"<?xml")?;
    let (declaration, _) = until(declaration, |byte| byte == b'>');
    let word = b"encoding";
    let at = declaration.windows(word.len()).position(|found| found == word)?;
    let value = declaration.get(at + word.len()..)?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let quote = *value.first().filter(|byte| matches!(byte, b'"' | b'\''))?;
    let label = value.get(1..)?.split(|byte| *byte == quote).next()?;
    if label.iter().any(|byte| *byte <= b' ') {
        return None;
    }
    readable(Encoding::for_label(label)?)
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

/// The attributes of a tag up to its end, names in lower case, and what follows; `None` when the tag does not end.
fn attributes(mut bytes: &[u8]) -> Option<(Attributes, &[u8])> {
    let mut found = Vec::new();
    loop {
        bytes = skip(bytes, |byte| byte.is_ascii_whitespace() || byte == b'/');
        if *bytes.first()? == b'>' {
            return Some((found, &bytes[1..]));
        }
        // An equals sign in front belongs to the name.
        let after_first = bytes.get(1..)?;
        let length =
            after_first.iter().position(|byte| byte.is_ascii_whitespace() || b"=/>".contains(byte))?;
        let (name, rest) = bytes.split_at(length + 1);
        let rest = skip(rest, |byte| byte.is_ascii_whitespace());
        let Some(value) = rest.strip_prefix(b"=") else {
            found.push((text(name).to_ascii_lowercase(), String::new()));
            bytes = rest;
            continue;
        };
        let value = skip(value, |byte| byte.is_ascii_whitespace());
        let (value, rest) = match *value.first()? {
            quote @ (b'"' | b'\'') => {
                let (value, rest) = until(value.get(1..)?, |byte| byte == quote);
                (value, rest.get(1..)?)
            }
            _ => until(value, |byte| byte.is_ascii_whitespace() || byte == b'>'),
        };
        found.push((text(name).to_ascii_lowercase(), text(value)));
        bytes = rest;
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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

    fn at(host: &str, bytes: &[u8], declared: Option<&str>) -> &'static str {
        let url = Url::parse(&format!("http://{host}/")).expect("a URL");
        detect(&Source { url: &url, declared, disposition: None, options: None }, bytes, true).name()
    }

    fn name(bytes: &[u8], declared: Option<&str>) -> &'static str {
        at("a.test", bytes, declared)
    }

    #[test]
    fn a_byte_order_mark_wins_over_the_header_and_the_header_over_the_page() {
        let page = b"<meta charset=koi8-r>";
        assert_eq!(name(page, None), "KOI8-R");
        assert_eq!(name(page, Some("text/html; Charset=\"shift_jis\"")), "Shift_JIS");
        assert_eq!(name(b"\xff\xfe<\x00", Some("text/html; charset=utf-8")), "UTF-16LE");
        assert_eq!(name(b"<\x00a\x00", Some("text/html; charset=utf-16le")), "UTF-16LE");
        assert_eq!(name(page, Some("text/html; charset=nonsense")), "KOI8-R");
        assert_eq!(name(page, Some("text/html; charset=gbk, text/html")), "GBK");
    }

    #[test]
    fn the_page_says_its_encoding_in_the_ways_the_standard_knows() {
        for (page, expected) in [
            (&b"<META http-equiv='Content-Type' content='text/html; charset = \"gbk\"'>"[..], "GBK"),
            (b"<meta content=\"text/html;charset=euc-kr\" http-equiv=content-type>", "EUC-KR"),
            (b"<!-- <meta charset=gbk> --><meta/charset='big5'/>", "Big5"),
            (b"<!--><meta charset=big5>", "Big5"),
            (b"<meta charset=utf-16le>", "UTF-8"),
            (b"<meta charset=x-user-defined>", "windows-1252"),
            (b"<p title='<meta charset=gbk>'><meta charset=big5>", "Big5"),
            (b"</meta charset=gbk>", "windows-1252"),
            (b"<metal charset=gbk>", "windows-1252"),
            (b"<meta name=x content='charset=gbk'>", "windows-1252"),
            (b"<meta = = charset", "windows-1252"),
            (b"<meta =charset=gbk>", "windows-1252"),
            (b"<!-- <meta charset=gbk>", "windows-1252"),
            (b"<?xml version='1.0' encoding = 'shift_jis'?><html>", "Shift_JIS"),
            (b"<?xml encoding='shift_jis'?><meta charset=gbk>", "GBK"),
            (b"<\0?\0x\0m\0l\0", "UTF-16LE"),
            (b"\0<\0?\0x\0m\0l", "UTF-16BE"),
        ] {
            assert_eq!(name(page, None), expected, "{}", String::from_utf8_lossy(page));
        }
    }

    #[test]
    fn without_a_word_the_bytes_and_the_country_decide() {
        assert_eq!(name("é".as_bytes(), None), "UTF-8");
        assert_eq!(name(b"caf\xc3\xa9 \xc3", None), "UTF-8");
        assert_eq!(name(b"caf\xe9 au lait", None), "windows-1252");
        // "Привет, как дела" in windows-1251, "こんにちは" in Shift_JIS and EUC-JP.
        let russian = b"\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea \xe4\xe5\xeb\xe0";
        assert_eq!(at("a.example.ru", russian, None), "windows-1251");
        assert_eq!(at("a.example", b"\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd", None), "Shift_JIS");
        assert_eq!(at("a.jp", b"\xa4\xb3\xa4\xf3\xa4\xcb\xa4\xc1\xa4\xcf", None), "EUC-JP");
        for host in ["192.0.2.1", "[::1]", "a_b.test_", "a.xn--p1ai.", "localhost"] {
            assert!(!at(host, russian, None).is_empty(), "{host}");
        }
    }
}
