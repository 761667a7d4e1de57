//! Well-known names and the sites that may use them.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Deserialize;

use super::lists::lists_host;
use super::names::{is_one_slip_away, skeleton};
use super::rules::RulesError;
use crate::domain::target::apex_of_name;

/// A shorter word is one slip away from too many others.
const SLIP_LETTERS: usize = 6;

/// A shorter word looks like too many others.
const LOOK_LETTERS: usize = 4;

/// Countries whose names anyone gets for little or nothing, so that a namesake there proves nothing.
pub(super) const OPEN_COUNTRIES: [&str; 14] =
    ["cc", "cf", "cm", "co", "ga", "gq", "io", "la", "me", "ml", "pw", "tk", "to", "ws"];

/// One brand.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Brand {
    /// As shown to a person.
    pub(super) name: String,
    /// Lower-case words that stand for the brand in addresses and titles. With a space: in titles only.
    words: Vec<String>,
    /// Words that mean something else too: in titles of pages that ask for secrets only.
    #[serde(default)]
    common_words: Vec<String>,
    /// Its own sites; each stands for all below it.
    domains: Vec<String>,
    /// Sites below its own where anyone publishes.
    #[serde(default)]
    open: Vec<String>,
    /// What each word looks like, made once.
    #[serde(skip)]
    looks: Vec<String>,
}

/// A host as brands are asked about it: what it says of itself is looked up once for all of them.
#[derive(Debug, Clone)]
pub(super) struct Place<'h> {
    host: &'h str,
    /// The word that is its site's name directly under a country, where whoever is called so is likely to have it.
    national: Option<String>,
}

impl<'h> Place<'h> {
    pub(super) fn of(host: &'h str) -> Self {
        let national = apex_of_name(host).and_then(|apex| {
            let (site, suffix) = apex.split_once('.')?;
            let country = suffix.rsplit('.').next().unwrap_or_default();
            (country.len() == 2 && !OPEN_COUNTRIES.contains(&country)).then(|| site.to_owned())
        });
        Self { host, national }
    }
}

impl Brand {
    /// The host belongs to the brand, and the brand answers for what is there.
    pub(super) fn owns(&self, host: &str) -> bool {
        lists_host(&self.domains, host) && !lists_host(&self.open, host)
    }

    /// The host is the brand's, whoever publishes on it, or very likely so.
    pub(super) fn runs(&self, place: &Place<'_>) -> bool {
        lists_host(&self.domains, place.host) || self.is_namesake(place)
    }

    /// The brand's very word under a country: large brands hold far more of those than a list can name.
    pub(super) fn is_namesake(&self, place: &Place<'_>) -> bool {
        place.national.as_ref().is_some_and(|site| self.words.contains(site))
    }

    /// Whether the text, in lower case, speaks of the brand, by whole words.
    pub(super) fn is_named_in(&self, lower: &str) -> bool {
        self.words.iter().chain(&self.common_words).any(|word| stands_in(word, lower))
    }

    /// The same, by words that mean nothing else.
    pub(super) fn is_named_surely_in(&self, lower: &str) -> bool {
        self.words.iter().any(|word| stands_in(word, lower))
    }

    /// Whether one word of an address is the brand's.
    pub(super) fn has_word(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }

    /// How near the name of a site (the registrable domain's first label, readable) comes to one of the words.
    /// `read` is the label's skeleton, made once for all brands.
    pub(super) fn likeness(&self, label: &str, read: &str) -> Option<Likeness> {
        if self.has_word(label) {
            return None;
        }
        let words =
            self.words.iter().zip(&self.looks).filter(|(word, _)| word.is_ascii() && !word.contains(' '));
        let near = words.filter_map(|(word, look)| {
            if look == read && word.len() >= LOOK_LETTERS {
                Some(Likeness::Looks)
            } else if word.len() >= SLIP_LETTERS && is_one_slip_away(label, word) {
                Some(Likeness::Slip)
            } else {
                None
            }
        });
        near.min()
    }
}

/// Whether the word stands in the text, both in lower case, as a whole one. Scripts that write without spaces put
/// their own letters right beside it.
fn stands_in(word: &str, text: &str) -> bool {
    let goes_on =
        |c: char| c.is_alphanumeric() && !matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}');
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(goes_on) && !after.is_some_and(goes_on)
    })
}

/// How a name comes near a brand's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    /// Letter by letter it looks the same: nobody is called that by chance.
    Looks,
    /// One letter is off, which happens to honest names too.
    Slip,
}

/// All brands. Pages name many hosts and words, nearly all of them nobody's: those are found out without asking each brand.
#[derive(Debug, Clone)]
pub(super) struct Brands {
    all: Vec<Brand>,
    /// Which of them have this domain among their own.
    by_domain: HashMap<String, Vec<usize>>,
    /// What stands for any of them in addresses.
    words: HashSet<String>,
}

impl Brands {
    pub(super) fn new(mut brands: Vec<Brand>) -> Result<Self, RulesError> {
        let mut names = BTreeSet::new();
        for brand in &brands {
            let wrong = |reason| Err(RulesError::Brand { name: brand.name.clone(), reason });
            if !names.insert(brand.name.as_str()) {
                return wrong("two brands have this name");
            }
            if brand.words.len() + brand.common_words.len() == 0 || brand.domains.is_empty() {
                return wrong("it needs at least one word and one domain");
            }
            let texts =
                brand.words.iter().chain(&brand.common_words).chain(&brand.domains).chain(&brand.open);
            if texts.into_iter().any(|text| text.is_empty() || text.to_lowercase() != *text) {
                return wrong("words and domains are written in lower case");
            }
            if !brand.open.iter().all(|host| lists_host(&brand.domains, host)) {
                return wrong("an open host must lie below one of its domains");
            }
        }
        for brand in &mut brands {
            brand.looks = brand.words.iter().map(|word| skeleton(word)).collect();
        }
        let mut by_domain = HashMap::<_, Vec<_>>::new();
        for (number, brand) in brands.iter().enumerate() {
            for domain in &brand.domains {
                by_domain.entry(domain.clone()).or_default().push(number);
            }
        }
        let words = brands.iter().flat_map(|brand| &brand.words).cloned().collect();
        Ok(Self { all: brands, by_domain, words })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Brand> {
        self.all.iter()
    }

    /// The brands that have the host, or one that it lies below, among their own, whoever publishes there; each once.
    fn listing(&self, host: &str) -> impl Iterator<Item = &Brand> {
        let host = host.trim_end_matches('.');
        let names = std::iter::successors(Some(host), |name| name.split_once('.').map(|(_, above)| above));
        let numbers = names.filter_map(|name| self.by_domain.get(name)).flatten().copied();
        let numbers: BTreeSet<_> = numbers.collect();
        numbers.into_iter().filter_map(|number| self.all.get(number))
    }

    /// The brands that [own](Brand::owns) the host.
    pub(super) fn owners(&self, host: &str) -> impl Iterator<Item = &Brand> {
        self.listing(host).filter(move |brand| brand.owns(host))
    }

    /// Whether any brand [runs](Brand::runs) the host. Names that belong to one brand resemble those of others.
    pub(super) fn any_runs(&self, place: &Place<'_>) -> bool {
        self.listing(place.host).next().is_some()
            || place.national.as_ref().is_some_and(|site| self.words.contains(site))
    }

    /// Whether the word of an address is some brand's.
    pub(super) fn has_word(&self, word: &str) -> bool {
        self.words.contains(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paypal() -> Brand {
        Brand {
            name: "PayPal".into(),
            words: vec!["paypal".into()],
            common_words: vec![],
            domains: vec!["paypal.com".into()],
            open: vec!["sites.paypal.com".into()],
            looks: vec![skeleton("paypal")],
        }
    }

    #[test]
    fn a_brand_is_named_by_whole_words() {
        for (text, named) in [
            ("PayPal: Log in", true),
            ("my-paypal", true),
            ("paypalish", false),
            ("PayPalにログイン", true),
            ("", false),
            ("épaypal", false),
        ] {
            assert_eq!(paypal().is_named_in(&text.to_lowercase()), named, "{text}");
        }
    }

    #[test]
    fn names_that_look_like_it_or_are_one_letter_off_resemble_it() {
        for (label, like) in [
            ("paypa1", Some(Likeness::Looks)),
            ("pаypal", Some(Likeness::Looks)),
            ("paypall", Some(Likeness::Slip)),
            ("paypal", None),
            ("example", None),
        ] {
            assert_eq!(paypal().likeness(label, &skeleton(label)), like, "{label}");
        }
    }

    #[test]
    fn what_others_publish_below_its_name_is_not_its_own() {
        assert!(paypal().owns("www.paypal.com"));
        assert!(
            !paypal().owns("evil.sites.paypal.com") && paypal().runs(&Place::of("evil.sites.paypal.com"))
        );
        assert!(!paypal().runs(&Place::of("paypal.com.evil.test")));
    }

    #[test]
    fn a_namesake_under_a_country_is_taken_for_the_brand_itself() {
        for (host, same) in [
            ("www.paypal.de", true),
            ("paypal.com.br", true),
            ("paypal.tk", false),
            ("paypal.icu", false),
            ("my-paypal.de", false),
            ("paypal.evil.de", false),
        ] {
            assert_eq!(paypal().is_namesake(&Place::of(host)), same, "{host}");
        }
        assert!(!paypal().owns("www.paypal.de"), "a likely owner is no proof");
    }

    #[test]
    fn brands_that_cannot_be_meant_are_refused() {
        let mut upper = paypal();
        upper.words = vec!["PayPal".into()];
        let mut stray = paypal();
        stray.open = vec!["elsewhere.test".into()];
        for brands in [vec![paypal(), paypal()], vec![upper], vec![stray]] {
            assert!(matches!(Brands::new(brands), Err(RulesError::Brand { .. })));
        }
    }
}
