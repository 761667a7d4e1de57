//! What two URLs have in common, as browsers see it: the same origin, the same site, or neither. Pure.
//!
//! Browsers ask a list of 10 000 suffixes under which anybody can register a name. Compiled in it takes 700 KB, a
//! sixth of this program, for one question about hosts that a chain of redirects visits. So the rule is: a single
//! label is a suffix, and so is a short generic label under a country's. A wrong guess shows one host of such
//! a suffix the cookies of another for as long as one scan takes.

use std::net::IpAddr;

use url::{Host, Url};

/// How a request's target relates to the page that causes it, the closer the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Relation {
    /// Nobody's page causes it: the address was typed.
    None,
    SameOrigin,
    SameSite,
    CrossSite,
}

impl Relation {
    /// The value of Sec-Fetch-Site.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SameOrigin => "same-origin",
            Self::SameSite => "same-site",
            Self::CrossSite => "cross-site",
        }
    }
}

/// How `to` relates to a page at `from`.
pub(super) fn relation(from: &Url, to: &Url) -> Relation {
    if from.origin() == to.origin() {
        return Relation::SameOrigin;
    }
    let same_host = from.host_str() == to.host_str();
    let same = from.scheme() == to.scheme() && (same_host || (own(from).is_some() && own(from) == own(to)));
    if same { Relation::SameSite } else { Relation::CrossSite }
}

/// Labels under which countries have names registered. The common ones of some 60 countries.
const GENERIC: [&str; 26] = [
    "ac", "biz", "co", "com", "ed", "edu", "firm", "gen", "go", "gob", "gouv", "gov", "govt", "ind", "info",
    "lg", "ltd", "mil", "ne", "net", "nom", "or", "org", "plc", "sch", "web",
];

/// Whether anybody can register names below `domain` (lower case).
pub(super) fn is_public_suffix(domain: &str) -> bool {
    match domain.trim_end_matches('.').rsplit_once('.') {
        None => true,
        Some((second, country)) => country.len() == 2 && GENERIC.contains(&second),
    }
}

/// The domain somebody registered: one label more than the suffix. `None` for addresses and bare suffixes.
fn own(url: &Url) -> Option<&str> {
    let Some(Host::Domain(host)) = url.host() else { return None };
    let mut domain = host;
    while let Some((_, parent)) = domain.split_once('.') {
        if is_public_suffix(parent) {
            return Some(domain);
        }
        domain = parent;
    }
    None
}

/// Whether browsers trust the way to a URL, so that they send more to it: https, and whatever does not leave the
/// machine. <https://w3c.github.io/webappsec-secure-contexts/#is-origin-trustworthy>
pub(super) fn is_trustworthy(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    };
    local || url.scheme() == "https"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn a_site_is_a_scheme_and_a_registered_domain() {
        for (from, to, expected) in [
            ("https://a.test/x", "https://a.test/y", Relation::SameOrigin),
            ("https://a.test/", "https://a.test:444/", Relation::SameSite),
            ("https://a.test/", "https://www.a.test/", Relation::SameSite),
            ("https://x.a.test/", "https://y.a.test/", Relation::SameSite),
            ("http://a.test/", "https://a.test/", Relation::CrossSite),
            ("https://a.test/", "https://b.test/", Relation::CrossSite),
            ("https://a.co.uk/", "https://b.co.uk/", Relation::CrossSite),
            ("https://x.a.co.uk/", "https://a.co.uk/", Relation::SameSite),
            ("http://127.0.0.1/", "http://127.0.0.1:81/", Relation::SameSite),
            ("http://10.0.0.1/", "http://9.0.0.1/", Relation::CrossSite),
            ("http://test/", "http://test:8/", Relation::SameSite),
            ("http://one/", "http://two/", Relation::CrossSite),
        ] {
            assert_eq!(relation(&url(from), &url(to)), expected, "{from} {to}");
        }
    }

    #[test]
    fn suffixes_are_single_labels_and_generic_ones_under_a_country() {
        for (domain, expected) in [
            ("com", true),
            ("co.uk", true),
            ("com.br", true),
            ("bbc.uk", false),
            ("co.test", false),
            ("a.b.c", false),
        ] {
            assert_eq!(is_public_suffix(domain), expected, "{domain}");
        }
    }

    #[test]
    fn https_and_loopback_are_trusted() {
        for (text, expected) in [
            ("https://a.test/", true),
            ("http://127.0.0.9/", true),
            ("http://[::1]/", true),
            ("http://x.localhost/", true),
            ("http://a.test/", false),
        ] {
            assert_eq!(is_trustworthy(&url(text)), expected, "{text}");
        }
    }
}
