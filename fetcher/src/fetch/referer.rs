//! What a page lets the next one know of it: the Referer header by the page's policy. Pure.
//!
//! <https://www.w3.org/TR/referrer-policy/>. Only a refresh has a page that causes it; the first request has none, and
//! redirects of a request keep what it had.

use url::Url;

use super::site::is_trustworthy;

/// A longer one is cut to its origin, as browsers do.
const MAX_REFERER_BYTES: usize = 4096;

/// The eight policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Policy {
    NoReferrer,
    NoReferrerWhenDowngrade,
    SameOrigin,
    Origin,
    StrictOrigin,
    OriginWhenCrossOrigin,
    #[default]
    StrictOriginWhenCrossOrigin,
    UnsafeUrl,
}

impl Policy {
    /// Of a Referrer-Policy header: the last word that is known counts.
    pub(super) fn from_header(value: &str) -> Option<Self> {
        value.split(',').filter_map(|word| Self::from_word(&word.trim().to_ascii_lowercase())).next_back()
    }

    /// Of a `<meta name=referrer>`, which also has words of an older draft.
    pub(crate) fn from_meta(content: &str) -> Option<Self> {
        match content.trim().to_ascii_lowercase().as_str() {
            "never" => Some(Self::NoReferrer),
            "default" => Some(Self::default()),
            "always" => Some(Self::UnsafeUrl),
            "origin-when-crossorigin" => Some(Self::OriginWhenCrossOrigin),
            word => Self::from_word(word),
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "no-referrer" => Self::NoReferrer,
            "no-referrer-when-downgrade" => Self::NoReferrerWhenDowngrade,
            "same-origin" => Self::SameOrigin,
            "origin" => Self::Origin,
            "strict-origin" => Self::StrictOrigin,
            "origin-when-cross-origin" => Self::OriginWhenCrossOrigin,
            "strict-origin-when-cross-origin" => Self::StrictOriginWhenCrossOrigin,
            "unsafe-url" => Self::UnsafeUrl,
            _ => return None,
        })
    }
}

/// The value a page at `from` sends along to `to`.
pub(super) fn referer(policy: Policy, from: &Url, to: &Url) -> Option<String> {
    let same = from.origin() == to.origin();
    let downgrade = is_trustworthy(from) && !is_trustworthy(to);
    let origin = || Some(format!("{}/", from.origin().ascii_serialization()));
    let whole = || {
        let mut page = from.clone();
        page.set_fragment(None);
        // Neither fails for http and https.
        let _ = page.set_username("");
        let _ = page.set_password(None);
        if page.as_str().len() > MAX_REFERER_BYTES { origin() } else { Some(page.into()) }
    };
    match policy {
        Policy::NoReferrer => None,
        Policy::NoReferrerWhenDowngrade | Policy::StrictOrigin | Policy::StrictOriginWhenCrossOrigin
            if downgrade =>
        {
            None
        }
        Policy::NoReferrerWhenDowngrade | Policy::UnsafeUrl => whole(),
        Policy::SameOrigin => {
            if same {
                whole()
            } else {
                None
            }
        }
        Policy::Origin | Policy::StrictOrigin => origin(),
        Policy::OriginWhenCrossOrigin | Policy::StrictOriginWhenCrossOrigin => {
            if same {
                whole()
            } else {
                origin()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(policy: &str, from: &str, to: &str) -> Option<String> {
        let url = |text| Url::parse(text).expect("a URL");
        referer(Policy::from_word(policy).expect("a policy"), &url(from), &url(to))
    }

    #[test]
    fn each_policy_sends_what_the_standard_says() {
        const PAGE: &str = "https://a.test/p?q";
        const WHOLE: Option<&str> = Some(PAGE);
        const ORIGIN: Option<&str> = Some("https://a.test/");
        // To the same origin, to another over https, to another over http.
        for (policy, same, other, downgrade) in [
            ("no-referrer", None, None, None),
            ("no-referrer-when-downgrade", WHOLE, WHOLE, None),
            ("same-origin", WHOLE, None, None),
            ("origin", ORIGIN, ORIGIN, ORIGIN),
            ("strict-origin", ORIGIN, ORIGIN, None),
            ("origin-when-cross-origin", WHOLE, ORIGIN, ORIGIN),
            ("strict-origin-when-cross-origin", WHOLE, ORIGIN, None),
            ("unsafe-url", WHOLE, WHOLE, WHOLE),
        ] {
            let to = |target: &str| sent(policy, "https://u:p@a.test/p?q#f", target);
            assert_eq!(to("https://a.test/x").as_deref(), same, "{policy}");
            assert_eq!(to("https://b.test/x").as_deref(), other, "{policy}");
            assert_eq!(to("http://b.test/x").as_deref(), downgrade, "{policy}");
        }
    }

    #[test]
    fn a_plain_page_has_nothing_to_downgrade_and_a_long_address_is_cut_to_its_origin() {
        let policy = "strict-origin-when-cross-origin";
        assert_eq!(sent(policy, "http://a.test:8/p", "http://b.test/").as_deref(), Some("http://a.test:8/"));
        let long = format!("http://a.test/{}", "x".repeat(MAX_REFERER_BYTES));
        assert_eq!(sent(policy, &long, "http://a.test/").as_deref(), Some("http://a.test/"));
    }

    #[test]
    fn the_last_known_word_of_a_header_counts_and_a_page_may_use_the_old_words() {
        assert_eq!(Policy::from_header("no-referrer, ORIGIN ,from-the-future"), Some(Policy::Origin));
        assert_eq!(Policy::from_header("never"), None);
        assert_eq!(Policy::from_meta(" Always "), Some(Policy::UnsafeUrl));
        assert_eq!(Policy::from_meta(""), None);
    }
}
