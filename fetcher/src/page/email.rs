//! E-mail addresses in running text: dot-strings of RFC 5321 at a domain name with a top level.
//!
//! Quoted local parts, address literals, comments and folding are legal and nobody prints them, so they are not
//! read. Domains come out in ASCII (IDNA) and lower case. Work per `@` is bounded by an address's greatest length.

mod disguise;

pub(super) use disguise::{cloudflare, find_disguised};

use url::Host;

/// RFC 5321, 4.5.3.1.1.
const MAX_LOCAL_BYTES: usize = 64;
/// RFC 5321, 4.5.3.1.3, without the brackets of a path; a domain of 253 leaves room for little else.
const MAX_ADDRESS_BYTES: usize = 254;
/// A domain in its own script takes more bytes than in ASCII.
const MAX_DOMAIN_BYTES: usize = 512;

/// Endings of file names that follow an `@` (`image@2x.png`, `module@latest.js`); none is a top-level domain.
const FILES: &[&str] = &[
    "asp", "aspx", "avi", "avif", "bak", "bmp", "cfg", "conf", "css", "csv", "cjs", "dll", "doc", "docx",
    "eot", "exe", "flv", "gif", "gz", "htm", "html", "ico", "ini", "jpeg", "jpg", "js", "json", "jsp", "jsx",
    "less", "lock", "log", "map", "mjs", "mpeg", "msi", "otf", "pdf", "php", "png", "ppt", "pptx", "rar",
    "rtf", "sass", "scss", "sql", "svg", "swf", "tar", "tgz", "tif", "tiff", "tmp", "toml", "ts", "tsx",
    "ttf", "txt", "vue", "wasm", "wav", "webm", "webp", "woff", "woff2", "xls", "xlsx", "xml", "yaml", "yml",
];

/// Gives every address in `text`, in order, doubles included.
pub(super) fn find(text: &str, found: &mut impl FnMut(String)) {
    for (at, _) in text.match_indices('@') {
        let (before, after) = (&text[..at], &text[at + 1..]);
        if let Some(address) = around(before, after) {
            found(address);
        }
    }
}

/// The address whose `@` stands between two texts.
fn around(before: &str, after: &str) -> Option<String> {
    let long = domain_text(after);
    let (domain, length) = domain(long)?;
    let local = local(before, after.as_bytes().get(length).copied())?;
    (local.len() + 1 + domain.len() <= MAX_ADDRESS_BYTES).then(|| format!("{local}@{domain}"))
}

/// The local part that ends a text, without what encloses the whole address.
fn local(before: &str, next: Option<u8>) -> Option<&str> {
    let bytes = before.as_bytes();
    let far = bytes.len().saturating_sub(MAX_LOCAL_BYTES + 2);
    let is_part = |byte: u8| is_atext(byte) || byte == b'.';
    let start = (far..bytes.len()).rev().take_while(|n| is_part(bytes[*n])).last()?;
    // Only ASCII has been passed, so that this is a character's border.
    let mut local = &before[start..];
    let outside = start.checked_sub(1).map(|n| bytes[n]);
    // Escapes, second signs and quotes make it part of something else, as the user's name in a URL does.
    if matches!(outside, Some(b'@' | b'\\' | b'"')) && !(outside == Some(b'"') && next == Some(b'"')) {
        return None;
    }
    if outside == Some(b':') && local.starts_with("//") {
        return None;
    }
    if let Some(first) = local.bytes().next() {
        let closing = match first {
            b'{' => Some(b'}'),
            b'\'' | b'`' | b'*' | b'_' | b'|' | b'~' => Some(first),
            _ => None,
        };
        if closing.is_some() && closing == next {
            local = &local[1..];
        }
    }
    // Dots before it belong to the sentence.
    local = local.trim_start_matches('.');
    let good =
        !local.is_empty() && local.len() <= MAX_LOCAL_BYTES && !local.ends_with('.') && !local.contains("..");
    good.then_some(local)
}

/// <https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3>
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// As much of a text as may be a domain.
fn domain_text(after: &str) -> &str {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.');
    let end = after
        .char_indices()
        .take_while(|(at, c)| *at < MAX_DOMAIN_BYTES && is_part(*c))
        .last()
        .map_or(0, |(at, c)| at + c.len_utf8());
    &after[..end]
}

/// The domain a text begins with, in ASCII, and how many bytes of the text it is.
fn domain(text: &str) -> Option<(String, usize)> {
    // A full stop after it ends the sentence; two of them end the address.
    let text = text.split("..").next()?.trim_end_matches(['.', '-']);
    let text = without_glued_script(text);
    let top = text.rsplit_once('.')?.1;
    let letters = top.chars().all(char::is_alphabetic) && top.chars().count() >= 2;
    let punycode = top.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--")) && top.len() > 4;
    let lower = top.to_lowercase();
    if !(letters || punycode) || FILES.contains(&lower.as_str()) {
        return None;
    }
    let good = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    if !text.split('.').all(good) {
        return None;
    }
    let Ok(Host::Domain(ascii)) = Host::parse(text) else { return None };
    let fits = ascii.len() <= 253 && ascii.split('.').all(|label| label.len() <= 63);
    fits.then_some((ascii, text.len()))
}

/// In scripts without spaces the sentence goes on right behind the address: a top level that begins in ASCII ends with it.
fn without_glued_script(text: &str) -> &str {
    let Some(dot) = text.rfind('.') else { return text };
    let top = &text[dot + 1..];
    if !top.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return text;
    }
    let end = top.find(|c: char| !c.is_ascii()).unwrap_or(top.len());
    &text[..dot + 1 + end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut list = Vec::new();
        find(text, &mut |address| list.push(address));
        list
    }

    #[test]
    fn addresses_are_taken_out_of_a_sentence_without_what_surrounds_them() {
        for (text, expected) in [
            ("Write to Info@Example.COM.", "Info@example.com"),
            ("(a.b+c@d-e.co.uk)", "a.b+c@d-e.co.uk"),
            ("'o'brien@x.org'", "o'brien@x.org"),
            ("\"x@y.org\"", "x@y.org"),
            ("{x@y.org}", "x@y.org"),
            ("…sales@x.org, …", "sales@x.org"),
            ("...sales@x.org...", "sales@x.org"),
            ("联系foo@bar.com谢谢", "foo@bar.com"),
            ("a@bücher.example", "a@xn--bcher-kva.example"),
            ("a@例え.テスト", "a@xn--r8jz45g.xn--zckzah"),
            ("mailto:x@y.org?subject=z", "x@y.org"),
        ] {
            assert_eq!(all(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_an_address_is_none() {
        for text in [
            "image@2x.png",
            "foo@bar.js",
            "https://cdn.test/npm/pkg@1.2.3/index.js",
            "user@host",
            "@handle.bsky",
            "a@b@c.org",
            "https://user@host.example/",
            ".@x.org",
            "a..b@x.org",
            "a@-x.org",
            "a@x..org",
            "a@255.255.255.255",
            "a@x.123",
            "font@woff.woff2",
            "a @ b.org",
        ] {
            assert_eq!(all(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn lengths_are_those_of_the_standard() {
        let local = "l".repeat(64);
        assert_eq!(all(&format!("{local}@x.org")).len(), 1);
        assert_eq!(all(&format!("x{local}@x.org")), [""; 0]);
        let label = "d".repeat(63);
        assert_eq!(all(&format!("a@{label}.org")).len(), 1);
        assert_eq!(all(&format!("a@{label}d.org")), [""; 0]);
        assert_eq!(all(&format!("{local}@{label}.{label}.{label}.org")), [""; 0]);
        assert_eq!(all(&"a@".repeat(100_000)), [""; 0]);
        assert_eq!(all(&"@".repeat(100_000)), [""; 0]);
        assert_eq!(all(&format!("a@{}", "é.".repeat(100_000))), [""; 0]);
    }
}
