//! Which of a page's texts are telephone numbers, and whose.
//!
//! Numbering plans are a library's (a port of libphonenumber, of which another port reads Russian and Lithuanian
//! freephone numbers as those of somebody else). Its tables take 7 MB and each plan that a page makes it look at some
//! 500 kB more, kept for good: they are loaded for one page that has candidates and dropped with it.

use std::collections::BTreeSet;

use rlibphonenumber::{PhoneNumber, PhoneNumberFormat, PhoneNumberUtil, Region};
use safeurl_protocol::PhoneText;
use url::Url;

use super::brands::OPEN_COUNTRIES;
use super::case::Case;
use crate::domain::document::Phone;

/// The longest number has 15 digits (E.164), an extension and what people write between them.
const MAX_CHARACTERS: usize = 40;

/// Texts looked at: more numbers than this are a directory, and each may cost a numbering plan.
const MAX_TEXTS: usize = 100;

/// The numbering plans of the world.
pub struct Phones(PhoneNumberUtil);

/// Numbers of the page, without doubles, in its order.
pub(super) fn of(case: &Case<'_>) -> Vec<Phone> {
    let Some(features) = case.features() else { return Vec::new() };
    let texts: Vec<_> =
        features.phones.iter().take(MAX_TEXTS).filter(|text| is_written(&text.text)).collect();
    if texts.is_empty() {
        return Vec::new();
    }
    let Some(phones) = Phones::new() else { return Vec::new() };
    let regions = regions(features.language.as_deref(), case.page.as_ref());
    let regions: Vec<&str> = regions.iter().map(String::as_str).collect();
    let mut known = BTreeSet::new();
    let read = texts.into_iter().filter_map(|text| phones.read(text, &regions));
    read.filter(|phone| known.insert(phone.e164.clone())).collect()
}

impl Phones {
    /// Loads the tables; `None` where the library cannot read its own.
    #[must_use]
    pub fn new() -> Option<Self> {
        PhoneNumberUtil::new().ok().map(Self)
    }

    /// The number that the text stands for, when it is written without its country in one of these regions (ISO 3166-1
    /// alpha-2), the likeliest first. What is marked as a number must be a possible one, running text a valid one.
    #[must_use]
    pub fn read(&self, text: &PhoneText, regions: &[&str]) -> Option<Phone> {
        if !is_written(&text.text) {
            return None;
        }
        let dialled = text.text.trim();
        let abroad = dialled.strip_prefix("00").map(|rest| format!("+{rest}"));
        let home = regions.iter().filter_map(|code| Region::from_code(code).ok());
        let mut readings: Vec<(PhoneNumber, Option<Region>)> = Vec::new();
        if dialled.starts_with(['+', '\u{ff0b}']) {
            readings.extend(self.0.parse(dialled, None).ok().map(|number| (number, None)));
        } else {
            readings.extend(
                home.filter_map(|region| Some((self.0.parse(dialled, Some(region)).ok()?, Some(region)))),
            );
            // Without a home, `00` is how most of the world dials abroad.
            readings.extend(abroad.and_then(|abroad| Some((self.0.parse(&abroad, None).ok()?, None))));
        }
        let valid = readings.iter().find(|(number, _)| self.0.is_valid_number(number));
        let possible = || readings.iter().find(|(number, _)| self.0.is_possible_number(number));
        let (number, home) = valid.or_else(|| possible().filter(|_| text.marked))?;
        // Several regions share a plan: a number that is good at home is one of home.
        let own = regions
            .iter()
            .filter_map(|code| Region::from_code(code).ok())
            .chain(*home)
            .find(|region| self.is_of(number, *region));
        let region =
            own.or_else(|| self.0.get_region_for_number(number)).map(|region| region.as_region_str());
        Some(Phone {
            e164: self.0.format(number, PhoneNumberFormat::E164).into_owned(),
            // 001 stands for numbers of no country.
            region: region.map(|region| region.to_string()).filter(|region| region != "001"),
            text: text.text.clone(),
        })
    }

    /// Whether the number is given out in the region. The library looks at the national part alone.
    fn is_of(&self, number: &PhoneNumber, region: Region) -> bool {
        self.0.get_country_code_for_region(region) == Some(number.country_code)
            && self.0.is_valid_number_for_region(number, region)
    }
}

/// Digits and what people write between them, and no more of it than a number needs: nothing else reaches the library.
fn is_written(text: &str) -> bool {
    let written = |c: char| {
        c.is_ascii_digit()
            || matches!(c, '+' | '-' | '(' | ')' | '.' | '/' | ' ' | '\u{a0}' | '\u{ad}' | '\u{ff0b}')
            || matches!(c, '\u{2000}'..='\u{2015}' | '\u{202f}' | '\u{2060}' | '\u{2212}' | '\u{3000}')
            || matches!(c, '\u{ff08}'..='\u{ff0f}' | '\u{ff10}'..='\u{ff19}' | '\u{660}'..='\u{669}')
    };
    text.chars().take(MAX_CHARACTERS + 1).count() <= MAX_CHARACTERS && text.chars().all(written)
}

/// Where a page is at home: by its language's region (`de-CH`), then by the country of its name.
fn regions(language: Option<&str>, page: Option<&Url>) -> Vec<String> {
    let subtags = language.unwrap_or_default().split(['-', '_']).skip(1);
    let of_language = subtags.take(3).find(|tag| is_country(tag)).map(str::to_ascii_uppercase);
    let host = page.and_then(Url::domain).unwrap_or_default().trim_end_matches('.');
    let tld = host.rsplit('.').next().unwrap_or_default();
    let of_name = match tld {
        "uk" => Some("GB".to_owned()),
        "su" => Some("RU".to_owned()),
        open if OPEN_COUNTRIES.contains(&open) => None,
        tld => is_country(tld).then(|| tld.to_ascii_uppercase()),
    };
    let mut regions: Vec<_> = of_language.into_iter().chain(of_name).collect();
    regions.dedup();
    regions
}

fn is_country(tag: &str) -> bool {
    tag.len() == 2 && tag.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, marked: bool, regions: &[&str]) -> Option<(String, Option<String>)> {
        let phones = Phones::new().expect("the tables read");
        let read = phones.read(&PhoneText { text: text.into(), marked }, regions)?;
        assert_eq!(read.text, text);
        Some((read.e164, read.region))
    }

    #[test]
    fn a_number_is_read_as_it_is_dialled_where_the_page_is_at_home() {
        for (text, marked, regions, e164, region) in [
            ("+41 44 668 18 00", false, &[][..], "+41446681800", Some("CH")),
            ("044 668 18 00", false, &["CH"], "+41446681800", Some("CH")),
            ("044 668 18 00", false, &["US", "CH"], "+41446681800", Some("CH")),
            ("0041 44 668 18 00", false, &[], "+41446681800", Some("CH")),
            ("0041 44 668 18 00", false, &["DE"], "+41446681800", Some("CH")),
            ("(212) 555-0123", false, &["US"], "+12125550123", Some("US")),
            ("8 800 123-45-67", false, &["RU"], "+78001234567", Some("RU")),
            ("+800 1234 5678", false, &["DE"], "+80012345678", None),
            // Shared plans: freephone numbers of North America, Finland and Åland.
            ("+1 800 212 3456", false, &["CA"], "+18002123456", Some("CA")),
            // Possible, but not one that is given out.
            ("+1 212 055 0123", true, &[], "+12120550123", None),
        ] {
            assert_eq!(
                read(text, marked, regions),
                Some((e164.to_owned(), region.map(str::to_owned))),
                "{text} in {regions:?}"
            );
        }
    }

    #[test]
    fn what_is_no_number_or_of_no_known_country_is_left_out() {
        for (text, marked, regions) in [
            ("044 668 18 00", true, &[][..]),
            ("+1 212 055 0123", false, &[]),
            ("31/01/2024", false, &["CH"]),
            ("12", true, &["CH"]),
            ("+41446681800<script>", true, &[]),
            ("call +41 44 668 18 00", true, &[]),
            ("+41 44 668 18 00                              0", true, &[]),
            ("", true, &["CH"]),
            ("++((((", true, &["CH"]),
            ("044 668 18 00", false, &["nowhere", "ZZ", ""]),
        ] {
            assert_eq!(read(text, marked, regions), None, "{text} in {regions:?}");
        }
    }

    #[test]
    fn a_page_is_at_home_by_its_language_and_then_by_its_name() {
        for (language, url, expected) in [
            (Some("de-CH"), "https://harbour.example/", &["CH"][..]),
            (Some("zh-Hant-TW"), "https://harbour.hk/", &["TW", "HK"]),
            (Some("de-de"), "https://harbour.de/", &["DE"]),
            (Some("en"), "https://harbour.co.uk/", &["GB"]),
            (None, "https://harbour.io/", &[]),
            (None, "https://192.0.2.1/", &[]),
            (Some("en_GB"), "https://harbour.com/", &["GB"]),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(regions(language, Some(&url)), expected, "{language:?} {url}");
        }
    }
}
