//! How URLs are read, against the web platform's tests and those of another parser.
//!
//! What is fetched is always http or https, so a case asks for that: a web address of the standard comes out of
//! [`Target::parse`] and of a redirect as the standard writes it, and anything else is refused. Where a target is
//! stricter than the standard on purpose, [`refused_by_rule`] says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
#![expect(clippy::expect_used, reason = "what the tests share stops where it cannot go on")]

/// What the fetcher resolves redirects and links with.
#[path = "../../fetcher/src/reference.rs"]
mod reference;
#[path = "tally.rs"]
pub mod tally;

use std::borrow::Cow;

use safeurl::domain::target::{MAX_URL_BYTES, Target, TargetError};
use serde_json::Value;
use tally::Tally;
use url::{Url, quirks};

/// The objects of a file, and where each stands in it. Half of a surrogate pair is read as U+FFFD, as a browser
/// does before its URL parser sees the text; comments are strings.
fn cases(file: &str) -> Vec<(String, Value)> {
    let value: Value = serde_json::from_str(&without_lone_surrogates(&tally::text(file))).unwrap();
    let Value::Array(entries) = value else { panic!("{file} is no list") };
    let numbered = entries.into_iter().enumerate().filter(|(_, entry)| entry.is_object());
    numbered.map(|(number, entry)| (number.to_string(), entry)).collect()
}

/// The number of objects in a file, by the lines that open one.
fn opened(file: &str, indent: &str) -> usize {
    let open = format!("{indent}{{");
    tally::text(file).lines().filter(|line| line.trim_end() == open).count()
}

/// `\uXXXX` halves without their other half become `\ufffd`.
fn without_lone_surrogates(json: &str) -> String {
    let mut read = String::with_capacity(json.len());
    let mut rest = json;
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    while let Some(at) = rest.find('\\') {
        read.push_str(&rest[..at]);
        rest = &rest[at..];
        let (taken, text) = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, Cow::Borrowed(&rest[..12])),
            (Some(0xd800..=0xdfff), _) => (6, Cow::Borrowed("\\ufffd")),
            _ => (2, Cow::Borrowed(&rest[..2])),
        };
        read.push_str(&text);
        rest = &rest[taken..];
    }
    read.push_str(rest);
    read
}

fn field<'a>(case: &'a Value, name: &str) -> Option<&'a str> {
    case.get(name).and_then(Value::as_str)
}

fn is_web(href: &str) -> bool {
    href.starts_with("http:") || href.starts_with("https:")
}

/// What a target refuses though the standard takes it: white space and control characters inside the text, texts
/// longer than any server takes, and hosts that the name system has no room for.
fn refused_by_rule(text: &str, meant: &Url) -> bool {
    let text = text.trim();
    let name = meant.domain().unwrap_or("x");
    let name = name.strip_suffix('.').unwrap_or(name);
    text.chars().any(|c| c.is_whitespace() || c.is_control())
        || text.len() > MAX_URL_BYTES
        || name.len() > 253
        || name.split('.').any(|label| label.is_empty() || label.len() > 63)
}

/// A name in ASCII with an `xn--` label that UTS #46 does not let through. The standard has taken such names since
/// 2025, in lower case and otherwise as they are; a URL here cannot hold one, so it is refused.
fn is_bad_punycode(href: &str) -> bool {
    let after = href.split_once("//").map_or("", |(_, after)| after);
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    let name = authority.rsplit('@').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    name.split('.').any(|label| label.starts_with("xn--"))
        && idna::domain_to_ascii_from_cow(Cow::Borrowed(name.as_bytes()), idna::AsciiDenyList::URL).is_err()
}

/// The web address of the standard, unless no URL here can hold it.
fn web_address(href: Option<&str>) -> Option<&str> {
    href.filter(|href| is_web(href) && !is_bad_punycode(href))
}

/// Without what a target takes off: userinfo and fragment.
fn bare(href: &str) -> Url {
    let mut url = Url::parse(href).unwrap();
    url.set_fragment(None);
    url.set_username("").unwrap();
    url.set_password(None).unwrap();
    url
}

/// A submitted text: the standard's URL, or refused.
fn submitted(text: &str, expected: Option<&str>) -> Result<(), String> {
    let target = Target::parse(text);
    match (web_address(expected).map(bare), target) {
        (Some(url), Ok(target)) if refused_by_rule(text, &url) => Err(format!("taken as {}", target.url())),
        (Some(url), Ok(target)) if *target.url() == url => Ok(()),
        (Some(url), Ok(target)) => Err(format!("read as {} instead of {url}", target.url())),
        (Some(url), Err(_)) if refused_by_rule(text, &url) => Ok(()),
        (Some(_), Err(error)) => Err(format!("refused: {error}")),
        (None, Err(_)) => Ok(()),
        // Texts as people write them: no URL by the standard, and read by the target's own rules.
        (None, Ok(target)) if target.fallback().is_some() || target.defanged() => Ok(()),
        (None, Ok(target)) => Err(format!("taken as {}", target.url())),
    }
}

/// Every part of a URL, as the standard's tests name them.
fn parts(url: &Url) -> [(&'static str, String); 10] {
    [
        ("href", quirks::href(url).to_owned()),
        ("origin", quirks::origin(url)),
        ("protocol", quirks::protocol(url).to_owned()),
        ("username", quirks::username(url).to_owned()),
        ("password", quirks::password(url).to_owned()),
        ("host", quirks::host(url).to_owned()),
        ("hostname", quirks::hostname(url).to_owned()),
        ("port", quirks::port(url).to_owned()),
        ("pathname", quirks::pathname(url).to_owned()),
        ("search", quirks::search(url).to_owned()),
    ]
}

fn same_parts(url: &Url, expected: &Value) -> Result<(), String> {
    for (name, value) in parts(url).into_iter().chain([("hash", quirks::hash(url).to_owned())]) {
        if let Some(wanted) = field(expected, name)
            && wanted != value
        {
            return Err(format!("{name} is {value:?} instead of {wanted:?}"));
        }
    }
    Ok(())
}

/// One case of `urltestdata.json`: submitted when it has no base, else the target of a redirect from the base.
fn parsed(case: &Value) -> Result<(), String> {
    let input = field(case, "input").unwrap();
    let expected = web_address(field(case, "href"));
    let base = field(case, "base").filter(|base| *base != "about:blank");
    let Some(base) = base else {
        submitted(input, expected)?;
        return match (Url::parse(input), expected) {
            (Ok(url), Some(_)) => same_parts(&url, case),
            _ => Ok(()),
        };
    };
    // No page with such an address is ever fetched.
    if !Target::parse(base).is_ok_and(|target| target.fallback().is_none()) {
        return Ok(());
    }
    let joined = reference::resolve(&Url::parse(base).unwrap(), input);
    match (joined, expected) {
        (Ok(url), Some(_)) => same_parts(&url, case),
        // Refused, whatever exactly it is read as.
        (Ok(url), _) if is_web(url.as_str()) => Err(format!("read as {url} instead of {expected:?}")),
        (Err(error), Some(href)) => Err(format!("{error} instead of {href}")),
        _ => Ok(()),
    }
}

fn url_test_data(row: &'static str, file: &str, indent: &str) {
    let mut tally = Tally::new(row, opened(file, indent));
    for (number, case) in cases(file) {
        let input = field(&case, "input").unwrap().escape_default().to_string();
        let id: String = format!("{number} {input}").chars().take(80).collect();
        tally.case(id.trim(), parsed(&case));
    }
    tally.finish();
}

#[test]
fn web_addresses_are_read_as_the_standard_reads_them() {
    url_test_data("url-testdata", "url_wpt/urltestdata.json", "  ");
}

#[test]
fn halves_of_surrogate_pairs_are_read_as_replacement_characters() {
    url_test_data("url-testdata-javascript", "url_wpt/urltestdata-javascript-only.json", "    ");
}

#[test]
fn the_cases_of_another_parser_are_read_alike() {
    url_test_data("url-ada", "url_wpt/ada_extra_urltestdata.json", "  ");
}

#[test]
fn a_label_too_long_for_dns_is_refused_as_a_target() {
    url_test_data("url-ada-long", "url_wpt/ada_long_urltestdata.json", "  ");
}

/// A host by itself: what ends a host is percent-encoded, so that the whole text reaches the host parser.
fn host(input: &str, output: Option<&str>) -> Result<(), String> {
    let encoded: String = input
        .chars()
        .map(|c| match c {
            ':' | '/' | '?' | '#' | '\\' => format!("%{:02X}", u32::from(c)),
            other => other.to_string(),
        })
        .collect();
    let text = format!("https://{encoded}/x");
    let href = output.map(|host| format!("https://{host}/x"));
    let href = web_address(href.as_deref());
    let plain = Url::parse(&text).ok();
    if plain.as_ref().map(Url::as_str) != href {
        return Err(format!("{:?} instead of {output:?}", plain.as_ref().and_then(Url::host_str)));
    }
    submitted(&text, href)
}

/// A name that is refused because it breaks a rule of UTS #46 must be one of which the file says which rule.
fn broken_as_said(case: &Value) -> Result<(), String> {
    let output = field(case, "output").unwrap_or_default();
    let rules = field(case, "comment").unwrap_or_default().split("; ").filter(|rule| rule.len() == 2);
    if is_bad_punycode(&format!("https://{output}/x")) && rules.count() == 0 {
        return Err("refused, and the file names no rule it breaks".to_owned());
    }
    Ok(())
}

fn hosts(row: &'static str, file: &str) {
    let mut tally = Tally::new(row, opened(file, "  "));
    for (number, case) in cases(file) {
        let input = field(&case, "input").unwrap();
        let id: String = format!("{number} {}", input.escape_default()).chars().take(80).collect();
        let result = host(input, field(&case, "output"));
        tally.case(
            id.trim(),
            if row == "url-toascii" { result } else { result.and_then(|()| broken_as_said(&case)) },
        );
    }
    tally.finish();
}

#[test]
fn names_in_other_scripts_are_written_in_ascii() {
    hosts("url-toascii", "url_wpt/toascii.json");
}

#[test]
fn international_names_follow_uts_46() {
    hosts("url-idna", "url_wpt/IdnaTestV2.json");
}

#[test]
fn names_that_uts_46_no_longer_knows_are_refused() {
    hosts("url-idna-removed", "url_wpt/IdnaTestV2-removed.json");
}

#[test]
fn punycode_is_written_and_read_back() {
    let file = "url_wpt/punycode_tests.json";
    let mut tally = Tally::new("url-punycode", opened(file, ""));
    for (number, case) in cases(file) {
        let (decoded, encoded) = (field(&case, "decoded").unwrap(), field(&case, "encoded").unwrap());
        let written = idna::punycode::encode_str(decoded);
        let read = idna::punycode::decode_to_string(encoded);
        let same = written.as_deref() == Some(encoded) && read.as_deref() == Some(decoded);
        tally.case(number, if same { Ok(()) } else { Err(format!("{written:?}, {read:?}")) });
    }
    tally.finish();
}

#[test]
fn a_name_that_punycode_has_no_room_for_is_no_host() {
    let file = "url_wpt/bad_punycode_tests.json";
    let mut tally = Tally::new("url-punycode-bad", tally::text(file).matches("\"decoded\"").count());
    for (number, case) in cases(file) {
        tally.case(number, host(field(&case, "decoded").unwrap(), None));
    }
    tally.finish();
}

#[test]
fn a_host_that_dns_has_no_room_for_is_refused() {
    let file = "url_wpt/verifydnslength_tests.json";
    let mut tally = Tally::new("url-dns-length", opened(file, "  "));
    for (number, case) in cases(file) {
        let target = Target::parse(field(&case, "input").unwrap());
        let refused = matches!(target, Err(TargetError::Syntax { .. }));
        let agrees = case["failure"].as_bool() == Some(refused) && (refused || target.is_ok());
        tally.case(number, if agrees { Ok(()) } else { Err(format!("{target:?}")) });
    }
    tally.finish();
}

#[test]
fn what_is_not_ascii_in_a_query_is_written_as_utf_8() {
    let file = "url_wpt/percent-encoding.json";
    let mut tally = Tally::new("url-percent-encoding", opened(file, "  "));
    for (number, case) in cases(file) {
        let url = Url::parse("http://a.test/").unwrap();
        let joined = url.join(&format!("?{}#", field(&case, "input").unwrap())).unwrap();
        let (query, wanted) = (joined.query(), case["output"]["utf-8"].as_str());
        tally.case(
            number,
            if query == wanted { Ok(()) } else { Err(format!("{query:?} instead of {wanted:?}")) },
        );
    }
    tally.finish();
}

/// Sets one part of a web address. Others are never held: a target with such an address is refused.
fn set(property: &str, case: &Value) -> Result<(), String> {
    let href = field(case, "href").unwrap();
    if !is_web(href) {
        return match Target::parse(href) {
            Err(_) => Ok(()),
            Ok(target) => Err(format!("taken as {}", target.url())),
        };
    }
    let mut url = Url::parse(href).unwrap();
    let value = field(case, "new_value").unwrap();
    // A refused value leaves the URL as it is, which is what the expectation says then.
    match property {
        "protocol" => drop(quirks::set_protocol(&mut url, value)),
        "username" => drop(quirks::set_username(&mut url, value)),
        "password" => drop(quirks::set_password(&mut url, value)),
        "host" => drop(quirks::set_host(&mut url, value)),
        "hostname" => drop(quirks::set_hostname(&mut url, value)),
        "port" => drop(quirks::set_port(&mut url, value)),
        "pathname" => quirks::set_pathname(&mut url, value),
        "search" => quirks::set_search(&mut url, value),
        "hash" => quirks::set_hash(&mut url, value),
        "href" => drop(quirks::set_href(&mut url, value)),
        other => panic!("no setter {other}"),
    }
    same_parts(&url, &case["expected"])
}

#[test]
fn parts_of_web_addresses_are_set_as_the_standard_sets_them() {
    let files = ["url_wpt/setters_tests.json", "url_wpt/ada_extra_setters_tests.json"];
    let counted = files.map(|file| tally::text(file).matches("\"new_value\"").count());
    let mut tally = Tally::new("url-setters", counted.iter().sum());
    for file in files {
        let value: Value = serde_json::from_str(&without_lone_surrogates(&tally::text(file))).unwrap();
        for (property, cases) in value.as_object().unwrap() {
            let cases = cases.as_array().unwrap().iter().filter(|case| case.is_object());
            for (number, case) in cases.enumerate() {
                let ada = if file.contains("ada") { "ada " } else { "" };
                tally.case(format!("{ada}{property} {number}"), set(property, case));
            }
        }
    }
    tally.finish();
}
