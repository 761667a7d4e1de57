//! Texts that look like telephone numbers; which of them are is the supervisor's to say, who knows the countries.
//!
//! A text counts by its shape: 7 to 15 digits (ITU-T E.164) in groups, with an international or a trunk prefix, a word
//! such as "Tel" before it, or groups as people print them. Dates, prices, addresses of hosts, book and card numbers
//! have shapes of their own and are left out.

/// Digits of the shortest local number worth calling, and of the longest there is.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// With its separators.
pub(super) const MAX_TEXT_BYTES: usize = 40;
/// Words in front of a number that say what it is, lower case.
const LABELS: &[&str] = &[
    "tel",
    "tél",
    "phone",
    "telefon",
    "teléfono",
    "telefone",
    "telefono",
    "fon",
    "mobile",
    "mobil",
    "cell",
    "handy",
    "fax",
    "call",
    "hotline",
    "whatsapp",
    "sms",
    "toll-free",
    "toll free",
    "dial",
    "电话",
    "電話",
    "тел",
    "☎",
    "📞",
];
/// Words in front of a number that say it is another kind of number.
const OTHERS: &[&str] = &["isbn", "issn", "iban", "ean", "vat", "order", "ref", "id", "ip", "version", "sku"];
/// How far before the number its word stands.
const LABEL_BYTES: usize = 20;

/// Gives every text in `text` that looks like a number.
pub(super) fn find<'a>(text: &'a str, found: &mut impl FnMut(&'a str)) {
    let mut at = 0;
    while let Some(start) = text[at..].find(|c: char| c.is_ascii_digit() || c == '+').map(|n| at + n) {
        let end = end_of(&text[start..]) + start;
        // An opening bracket before the first digit belongs to it.
        let from = if text[..start].ends_with('(') { start - 1 } else { start };
        let candidate = text[from..end].trim_end_matches(|c: char| !c.is_ascii_digit());
        if is_free(&text[..from], &text[from + candidate.len()..]) && is_number(candidate, &text[..from]) {
            found(candidate);
        }
        at = end.max(start + 1);
    }
}

/// Where digits and what people write between them end.
fn end_of(text: &str) -> usize {
    let mut separators = 0;
    let mut end = 0;
    for (at, c) in text.char_indices() {
        if c.is_ascii_digit() {
            separators = 0;
            end = at + 1;
        } else if is_separator(c) && separators < 3 || (at == 0 && c == '+') {
            separators += 1;
        } else {
            break;
        }
    }
    end
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '.' | '-' | '/' | '(' | ')' | '\u{2010}'..='\u{2013}')
}

/// Whether it stands by itself, not as part of a word, a price, a percentage or a time.
fn is_free(before: &str, after: &str) -> bool {
    let glued = |c: char| {
        c.is_alphanumeric() || matches!(c, '_' | '#' | '$' | '€' | '£' | '¥' | '=' | '@' | '%' | '°' | '&')
    };
    let mut behind = after.chars();
    let next = behind.next();
    let goes_on = matches!(next, Some(',' | ':' | '.')) && behind.next().is_some_and(|c| c.is_ascii_digit());
    let ahead = before.chars().next_back();
    let begun = matches!(ahead, Some(',' | '.' | ':' | '-' | '/'))
        && before[..before.len() - 1].ends_with(|c: char| c.is_alphanumeric());
    let labelled = begun && ahead == Some(':');
    !ahead.is_some_and(glued) && !next.is_some_and(glued) && !goes_on && (!begun || labelled)
}

fn is_number(text: &str, before: &str) -> bool {
    let groups: Vec<&str> =
        text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
    let digits: usize = groups.iter().map(|group| group.len()).sum();
    let first = groups.first().copied().unwrap_or_default();
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || text[1..].contains('+') {
        return false;
    }
    let last_words = tail(before).to_lowercase();
    if OTHERS.iter().any(|word| ends_with_word(&last_words, word)) {
        return false;
    }
    if text.starts_with('+') {
        return DIGITS.contains(&digits) && !first.starts_with('0');
    }
    // 00 is how most of the world dials the plus.
    if first.starts_with("00") && !first.starts_with("000") {
        return DIGITS.contains(&(digits - 2)) && digits > 9;
    }
    if !DIGITS.contains(&digits) {
        return false;
    }
    if is_another_thing(text, &groups) {
        return false;
    }
    if LABELS.iter().any(|word| ends_with_word(&last_words, word)) {
        return true;
    }
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    match lengths.as_slice() {
        // Without a separator: as many say their own number, with its trunk prefix.
        [one] => text.starts_with('0') && (10..=11).contains(one),
        [3, 3, 4] | [1, 3, 3, 4] => true,
        _ if text.starts_with('0') || text.starts_with('(') => (8..=12).contains(&digits),
        [.., _, _] if lengths.len() >= 3 => {
            let kinds: std::collections::BTreeSet<char> =
                text.chars().filter(|c| !c.is_ascii_digit()).collect();
            (8..=11).contains(&digits)
                && kinds.len() == 1
                && lengths.iter().all(|length| (2..=4).contains(length))
        }
        _ => false,
    }
}

/// Dates, spans of years, prices, addresses of hosts, book and card numbers.
fn is_another_thing(text: &str, groups: &[&str]) -> bool {
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let value = |group: &str| group.parse::<u64>().unwrap_or(u64::MAX);
    let is_year = |group: &str| group.len() == 4 && (1800..=2199).contains(&value(group));
    let is_date = match groups {
        [a, b, c] => {
            let day = |group: &str| group.len() <= 2 && (1..=31).contains(&value(group));
            (is_year(a) && day(b) && day(c))
                || (day(a) && day(b) && (is_year(c) || (c.len() == 2 && !text.contains(' '))))
        }
        _ => false,
    };
    let years = groups.len() >= 2 && groups.iter().all(|group| is_year(group));
    let only = |separator: char| text.chars().all(|c| c.is_ascii_digit() || c == separator);
    let host = only('.') && groups.len() == 4 && groups.iter().all(|group| value(group) <= 255);
    let decimal = only('.') && groups.len() == 2;
    let thousands = groups.len() >= 2
        && (1..=3).contains(&lengths[0])
        && lengths[1..].iter().all(|length| *length == 3)
        && !text.starts_with('0')
        && (only('.') || only(' ') || only('\u{a0}') || only('\u{202f}'));
    let digits: String = groups.concat();
    let book = digits.len() == 13 && (digits.starts_with("978") || digits.starts_with("979"));
    let card = matches!(lengths.as_slice(), [4, 4, 4, 1..=4] | [4, 6, 4..=5]);
    is_date || years || host || decimal || thousands || book || card
}

/// The last bytes of a text.
fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(LABEL_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

fn ends_with_word(text: &str, word: &str) -> bool {
    let text = text.trim_end_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '☎' | '📞'));
    // "Telephone number", "phone no."
    let text = ["number", "nummer", "no", "nr", "us", "us at", "us on"]
        .iter()
        .find_map(|more| text.strip_suffix(more)?.strip_suffix(' '))
        .unwrap_or(text);
    text.strip_suffix(word).is_some_and(|before| !before.ends_with(|c: char| c.is_ascii_alphabetic()))
        || (word.len() > 3 && text.ends_with(word))
}

/// The number a link stands for (`tel:`, `sms:`, `callto:`, WhatsApp), as it is written there.
pub(super) fn of_link(href: &str) -> Option<String> {
    let href = crate::report::prefix(href.trim(), 1024);
    let text = match href.split_once(':') {
        Some((scheme, rest))
            if ["tel", "sms", "callto", "smsto", "fax"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) =>
        {
            rest.trim_start_matches('/').split([';', '?']).next().unwrap_or_default()
        }
        _ => whatsapp(href)?,
    };
    let text = super::embedded::percent_decoded(text);
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let digits = text.chars().filter(char::is_ascii_digit).count();
    // Services have short numbers (112, 40404); a name is no number.
    (3..=17).contains(&digits).then(|| crate::report::cut(text, MAX_TEXT_BYTES))
}

/// Numbers for it are written without the plus; it is put back.
fn whatsapp(href: &str) -> Option<&str> {
    let rest = href.split_once("wa.me/").map(|(_, rest)| rest).or_else(|| {
        let query = href.split_once("whatsapp.com/send").or_else(|| href.split_once("whatsapp://send"))?.1;
        Some(query.split_once("phone=")?.1)
    })?;
    let rest = rest.split(['?', '&', '/', '#']).next().unwrap_or_default();
    (!rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<&str> {
        let mut list = Vec::new();
        find(text, &mut |number| list.push(number));
        list
    }

    #[test]
    fn numbers_as_people_print_them_are_found() {
        for (text, expected) in [
            ("Call +1 (650) 253-0000 today", "+1 (650) 253-0000"),
            ("(030) 901820", "(030) 901820"),
            ("0049 30 901820", "0049 30 901820"),
            ("01 23 45 67 89.", "01 23 45 67 89"),
            ("650-253-0000", "650-253-0000"),
            ("Tel: 2530000", "2530000"),
            ("Tel.:2530000", "2530000"),
            ("phone number 91 123 45 67", "91 123 45 67"),
            ("91 123 45 67", "91 123 45 67"),
            ("01712345678,", "01712345678"),
            ("+4930901820", "+4930901820"),
        ] {
            assert_eq!(all(text), [expected], "{text}");
        }
        assert_eq!(all("a 650-253-0000, b +49 30 901820").len(), 2);
    }

    #[test]
    fn other_numbers_have_other_shapes() {
        for text in [
            "2024-01-31",
            "31.12.2024",
            "12/31/2024",
            "31.12.24",
            "2019-2020",
            "2018 2019 2020",
            "192.168.100.200",
            "1.234.567",
            "1 234 567 890",
            "$650-253-0000",
            "12345678.90",
            "1234567",
            "1234567890123",
            "978-3-16-148410-0",
            "ISBN 3161484100",
            "4111 1111 1111 1111",
            "id=0171234567",
            "v10.20.30.4000",
            "12:30:4500",
            "99.5%",
            "0x12345678",
            "+",
            "123-4567",
            "order 01712345678",
            "+0 123 456 789",
        ] {
            assert_eq!(all(text), [""; 0], "{text}");
        }
        assert_eq!(all(&"1 ".repeat(100_000)), [""; 0]);
        assert_eq!(all(&"+".repeat(100_000)), [""; 0]);
    }

    #[test]
    fn links_say_what_is_a_number() {
        for (href, expected) in [
            ("tel:+1-650-253-0000;ext=5", Some("+1-650-253-0000")),
            ("TEL:%2B49%2030%20901820", Some("+49 30 901820")),
            ("sms:40404?body=x", Some("40404")),
            ("callto://+4930901820", Some("+4930901820")),
            ("https://wa.me/4930901820?text=x", Some("4930901820")),
            ("https://api.whatsapp.com/send?phone=4930901820&text=x", Some("4930901820")),
            ("callto:a.name", None),
            ("https://a.test/123456789", None),
            ("tel:", None),
        ] {
            assert_eq!(of_link(href).as_deref(), expected, "{href}");
        }
    }
}
