//! isemail's addresses, each printed in a sentence of a page, and which of them are taken out of it.
//!
//! What must happen is by the file's own categories:
//! - `VALID_CATEGORY`: exactly that address is found.
//! - `DNSWARN`: well formed, but its domain had no record. A page's reader does not ask the DNS, so that either exactly
//!   that address is found or nothing, never a part of it.
//! - `RFC5321` and `RFC5322` (quoted strings, address literals, bare or numeric top levels, too long): legal somewhere
//!   and nothing a page prints; nothing is found.
//! - `CFWS`, `DEPREC` and `ERR`: comments, folding, broken addresses. They may hold an address that is one by itself;
//!   the whole is not found, and what is found stands in it word for word.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "tally.rs"]
pub mod tally;

use tally::Tally;

struct Case {
    id: String,
    address: String,
    category: String,
}

fn cases(file: &str) -> Vec<Case> {
    let tests = file.split("<test id=\"").skip(1);
    tests
        .map(|test| Case {
            id: test.split('"').next().unwrap().to_owned(),
            address: controls(&element(test, "address").map(entities).unwrap_or_default()),
            category: element(test, "category").expect("every test has a category").trim().to_owned(),
        })
        .collect()
}

/// What is between an element's tags; `None` for `<name/>`.
fn element<'a>(test: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = test.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>")).expect("the element is closed").0)
}

fn entities(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').expect("an ampersand begins an entity");
        let number = name.strip_prefix('#').map(|number| match number.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16).unwrap(),
            None => number.parse().unwrap(),
        });
        plain.push(match (name, number) {
            (_, Some(number)) => char::from_u32(number).unwrap(),
            ("amp", _) => '&',
            ("lt", _) => '<',
            ("gt", _) => '>',
            ("quot", _) => '"',
            ("apos", _) => '\'',
            _ => panic!("unknown entity {name}"),
        });
        plain.push_str(rest);
    }
    plain
}

/// The file writes control characters as the pictures of them, U+2400 and its number, since XML has none.
fn controls(text: &str) -> String {
    let plain = |c: char| match u32::from(c) {
        n @ 0x2400..=0x241f => char::from_u32(n - 0x2400).unwrap(),
        _ => c,
    };
    text.chars().map(plain).collect()
}

fn found(address: &str) -> Vec<String> {
    let escaped = address.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let html = format!("<p>Please write to {escaped} if you can.</p>");
    safeurl_fetcher::page_facts(html.as_bytes(), "http://a.test/").unwrap().0.emails
}

/// An address with its domain in lower case, as it is reported.
fn reported(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
        None => address.to_owned(),
    }
}

fn check(case: &Case) -> Result<(), String> {
    let found = found(&case.address);
    let whole = found == [reported(&case.address)];
    let good = match case.category.as_str() {
        "ISEMAIL_VALID_CATEGORY" => whole,
        "ISEMAIL_DNSWARN" => whole || found.is_empty(),
        "ISEMAIL_RFC5321" | "ISEMAIL_RFC5322" => found.is_empty(),
        "ISEMAIL_CFWS" | "ISEMAIL_DEPREC" | "ISEMAIL_ERR" => {
            let text = case.address.to_lowercase();
            !found.contains(&reported(&case.address))
                && found.iter().all(|part| text.contains(&part.to_lowercase()))
        }
        other => panic!("unknown category {other}"),
    };
    if good { Ok(()) } else { Err(format!("{} {:?}: {found:?}", case.category, case.address)) }
}

fn row(name: &'static str, path: &str) {
    let file = tally::text(path);
    let mut tally = Tally::new(name, file.matches("</test>").count());
    for case in cases(&file) {
        tally.case(&case.id, check(&case));
    }
    tally.finish();
}

#[test]
fn addresses_of_isemail_are_found_when_a_page_would_print_them() {
    row("emails", "contact/isemail_tests.xml");
}

#[test]
fn the_original_addresses_of_isemail_are_found_when_a_page_would_print_them() {
    row("emails-original", "contact/isemail_tests_original.xml");
}
