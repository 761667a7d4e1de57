//! Addresses in every spelling that some URL parser, resolver or C library takes for one.
//!
//! A host that is an address must never be asked of a name server, whose answer nobody could foresee. Reading
//! too much here is harmless, because what is read is judged and dialled as read; reading too little is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address a host is, in whatever spelling: dotted with one to four parts, each decimal, octal or hex and
/// reduced to its width as C libraries do; IPv6 with or without brackets and zone; percent-encoded; with other
/// digits, letters and dots of Unicode; with a trailing dot. `None` for a name.
#[must_use]
pub fn literal(host: &str) -> Option<IpAddr> {
    // As it is first: the `%` of a zone would otherwise be taken for an escape.
    address(&plain(host)).or_else(|| {
        let decoded = percent_decoded(host);
        (decoded != host).then(|| address(&plain(&decoded))).flatten()
    })
}

/// Whether the last label is a number, so that the host cannot be a name: no top-level domain is one
/// (<https://url.spec.whatwg.org/#ends-in-a-number-checker>).
#[must_use]
pub fn looks_numeric(host: &str) -> bool {
    let host = plain(&percent_decoded(host));
    let last = host.strip_suffix('.').unwrap_or(&host).rsplit('.').next().unwrap_or_default();
    !last.is_empty() && (last.bytes().all(|b| b.is_ascii_digit()) || number(last).is_some())
}

fn address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return ipv6(text).map(IpAddr::V6);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    ipv4(bare).map(IpAddr::V4)
}

fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let inner = text.strip_prefix('[').unwrap_or(text);
    let inner = inner.strip_suffix('.').unwrap_or(inner);
    let inner = inner.strip_suffix(']').unwrap_or(inner);
    let without_zone = inner.split('%').next().unwrap_or_default();
    without_zone.parse().ok()
}

/// The reading of `inet_aton`: the last part fills what the others leave.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let parts: Vec<u32> = text.split('.').take(5).map(number).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 {
        return None;
    }
    let mut bits = 0;
    for part in leading {
        // Parts beyond 255 wrap, as in `425.510.425.510` for 169.254.169.254.
        bits = (bits << 8) | (part & 0xff);
    }
    let width = 32 - 8 * leading.len();
    let kept = u32::MAX >> (32 - width);
    Some((bits.checked_shl(width as u32).unwrap_or(0) | (last & kept)).into())
}

/// One part of a dotted address, reduced to 32 bits.
fn number(part: &str) -> Option<u32> {
    let lower = part.to_ascii_lowercase();
    let prefixes = [("0x", 16), ("0o", 8), ("0", 8)];
    let (digits, radix) = prefixes
        .iter()
        .find_map(|(prefix, radix)| lower.strip_prefix(prefix).map(|rest| (rest, *radix)))
        .unwrap_or((&lower, 10));
    match (wrapping(digits, radix), radix) {
        // A lone `0` is no octal number and neither is `08`; both are read as decimal.
        (None, 8) => wrapping(&lower, 10),
        (None, 16) if digits.is_empty() => Some(0),
        (read, _) => read,
    }
}

fn wrapping(digits: &str, radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.chars().try_fold(0u32, |value, c| {
        c.to_digit(radix).map(|digit| value.wrapping_mul(radix).wrapping_add(digit))
    })
}

/// Percent-decodes until nothing changes, at most three times: escapes are found nested.
fn percent_decoded(host: &str) -> String {
    let mut text: String = host.chars().map(|c| if c == '\u{ff05}' { '%' } else { c }).collect();
    for _ in 0..3 {
        let decoded = decoded_once(&text);
        if decoded == text {
            break;
        }
        text = decoded;
    }
    text
}

fn decoded_once(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = (*first == b'%')
            .then(|| tail.first_chunk::<2>())
            .flatten()
            .and_then(|[high, low]| Some(hex(*high)? << 4 | hex(*low)?));
        match escape {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    // A hex digit fits in four bits.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// The host in ASCII where Unicode has a look-alike that normalises to it; what parsers drop is dropped.
fn plain(host: &str) -> String {
    let mut text = String::with_capacity(host.len());
    for c in host.chars() {
        match c {
            // White space that URL parsers remove, and what UTS 46 maps to nothing.
            '\t' | '\n' | '\r' | ' ' => {}
            '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{2064}' | '\u{feff}' => {}
            '\u{fe00}'..='\u{fe0f}' => {}
            // Full stops: ideographic, half-width ideographic, one dot leader, small.
            '\u{3002}' | '\u{ff61}' | '\u{2024}' | '\u{fe52}' => text.push('.'),
            '\u{fe55}' => text.push(':'),
            // The full-width forms of all of ASCII.
            '\u{ff01}'..='\u{ff5e}' => text.extend(char::from_u32(u32::from(c) - 0xff01 + 0x21)),
            _ if c.is_ascii() => text.push(c),
            _ => unicode_value(c, &mut text),
        }
    }
    text
}

/// Runs of characters that mean consecutive numbers: first and last character, number of the first.
const NUMBER_RUNS: &[(u32, u32, u32)] = &[
    (0x2460, 0x2473, 1),  // circled 1 to 20
    (0x24ea, 0x24ea, 0),  // circled 0
    (0x24eb, 0x24f4, 11), // negative circled 11 to 20
    (0x24f5, 0x24fe, 1),  // double circled 1 to 10
    (0x24ff, 0x24ff, 0),  // negative circled 0
    (0x2776, 0x277f, 1),  // dingbats, negative circled
    (0x2780, 0x2789, 1),  // dingbats, circled sans-serif
    (0x278a, 0x2793, 1),  // dingbats, negative circled sans-serif
    (0x2070, 0x2070, 0),  // superscripts
    (0x00b9, 0x00b9, 1),
    (0x00b2, 0x00b3, 2),
    (0x2074, 0x2079, 4),
    (0x2080, 0x2089, 0), // subscripts
];

/// The zeros of blocks of decimal digits (Unicode category Nd), which some parsers' `\d` accepts.
const DIGIT_ZEROS: &[u32] = &[
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6,
    0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0,
    0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x1fbf0,
];

fn unicode_value(c: char, text: &mut String) {
    let code = u32::from(c);
    if let Some((first, _, number)) =
        NUMBER_RUNS.iter().find(|(first, last, _)| (*first..=*last).contains(&code))
    {
        text.push_str(&(number + code - first).to_string());
    } else if let Some(zero) = DIGIT_ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code)) {
        text.extend(char::from_digit(code - zero, 10));
    } else {
        match code {
            // Digits with a full stop.
            0x2488..=0x249b => text.push_str(&format!("{}.", code - 0x2488 + 1)),
            // Circled letters, capital and small.
            0x24b6..=0x24e9 => text.extend(char::from_u32(u32::from(b'a') + (code - 0x24b6) % 26)),
            // Mathematical letters, thirteen alphabets of 52, and mathematical digits, five rows of ten.
            0x1d400..=0x1d6a3 => text.extend(char::from_u32(mathematical(code))),
            0x1d7ce..=0x1d7ff => text.extend(char::from_digit((code - 0x1d7ce) % 10, 10)),
            _ => text.push(c),
        }
    }
}

fn mathematical(code: u32) -> u32 {
    u32::from(b'a') + (code - 0x1d400) % 52 % 26
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        for (spelling, address) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("127.0.1", "127.0.0.1"),
            ("127.65535", "127.0.255.255"),
            ("0", "0.0.0.0"),
            ("0000.0000", "0.0.0.0"),
            ("2130706433", "127.0.0.1"),
            ("0x7f000001", "127.0.0.1"),
            ("0X7F.1", "127.0.0.1"),
            ("0x", "0.0.0.0"),
            ("017700000001", "127.0.0.1"),
            ("0177.0.0.01", "127.0.0.1"),
            ("0o177.0.0.1", "127.0.0.1"),
            ("0x0000007f.0x00000000.0x00000000.0x00000001", "127.0.0.1"),
            ("127.000.000.1", "127.0.0.1"),
            ("08.0.0.1", "8.0.0.1"),
            ("425.510.425.510", "169.254.169.254"),
            ("7147006462", "169.254.169.254"),
            ("0x41414141A9FEA9FE", "169.254.169.254"),
            ("0251.00376.000251.0000376", "169.254.169.254"),
            ("%31%32%37.0.0.1", "127.0.0.1"),
            ("127%2e0%2E0%2e1", "127.0.0.1"),
            ("%2531%2532%2537.1", "127.0.0.1"),
            ("１２７．０．０．１", "127.0.0.1"),
            ("127。0。0。1", "127.0.0.1"),
            ("127｡0｡0｡1", "127.0.0.1"),
            ("①②⑦.⓪.⓪.①", "127.0.0.1"),
            ("⑫⑦｡⓪｡⓪｡①", "127.0.0.1"),
            ("⓪ⓧ⑦ⓕ。①", "127.0.0.1"),
            ("⒈1.1.1", "1.1.1.1"),
            ("𝟙𝟚𝟟.𝟎.𝟢.𝟷", "127.0.0.1"),
            ("0𝐱7𝖿.1", "127.0.0.1"),
            ("१२७.०.०.१", "127.0.0.1"),
            ("¹²⁷.₀.0.1", "127.0.0.1"),
            ("127.0.0.1\u{200b}", "127.0.0.1"),
            ("12\t7.0.0\u{ad}.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[::1].", "::1"),
            ("%5B::1%5D", "::1"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("0000::1", "::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]", "fe80::1"),
            ("::1%lo", "::1"),
            ("fe80::1%eb0", "fe80::1"),
            ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
            ("::FFFF:7F00:1", "::ffff:127.0.0.1"),
            ("［：：１］", "::1"),
        ] {
            assert_eq!(literal(spelling), address.parse().ok(), "{spelling}");
        }
    }

    #[test]
    fn names_are_not_addresses() {
        for name in [
            "",
            ".",
            "localhost",
            "example.com",
            "1.2.3.4.5",
            "127.0.0.1.nip.io",
            "0xg",
            "face",
            "a.b.c.d",
            "1..2",
            "[example.com]",
            "x::1",
            "1.1.1.1x",
            "-1",
            "+1",
            "१२७.example",
        ] {
            assert_eq!(literal(name), None, "{name}");
        }
    }

    #[test]
    fn a_host_whose_last_label_is_a_number_cannot_be_a_name() {
        for host in ["1.2.3.4.5", "example.0x7f", "example.9", "a.b.09.", "foo.①", "foo.0x"] {
            assert!(looks_numeric(host), "{host}");
        }
        for host in ["example.com", "1.example", "localhost", "", "a.b1"] {
            assert!(!looks_numeric(host), "{host}");
        }
    }

    #[test]
    fn every_way_to_write_a_number_gives_the_same_address() {
        let mut bits: u32 = 7;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [a, b, c, d] = bits.to_be_bytes();
            let tail = u32::from_be_bytes([0, b, c, d]);
            let half = u32::from_be_bytes([0, 0, c, d]);
            let expected = Some(IpAddr::from(Ipv4Addr::from(bits)));
            for spelling in [
                format!("{bits}"),
                format!("{bits:#x}"),
                format!("0{bits:o}"),
                format!("{a}.{b}.{c}.{d}"),
                format!("{a:#x}.{b}.0{c:o}.{d:#X}"),
                format!("{a}.{tail}"),
                format!("0{a:o}.{b:#x}.{half}."),
            ] {
                assert_eq!(literal(&spelling), expected, "{spelling}");
            }
        }
    }

    #[test]
    fn arbitrary_text_is_read_without_a_panic() {
        let pieces =
            ["%", "%2", "[", "]", ":", "::", ".", "0x", "1", "é", "%ff", "①", "\u{10ffff}", "99999999999"];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    for d in pieces {
                        let _ = literal(&format!("{a}{b}{c}{d}"));
                        let _ = looks_numeric(&format!("{a}{b}{c}{d}"));
                    }
                }
            }
        }
    }
}
