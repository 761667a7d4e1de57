//! Where a response sends a browser, and whether we go there. Pure.
//!
//! A status with a Location comes first, then the Refresh header, then the page's meta refresh. A refresh
//! that names no other page is a reload, not a redirect, unless the page has just set a cookie that may change what it
//! shows; and one that waits long is meant for a reader.

use std::collections::HashSet;

use safeurl_protocol::{ErrorClass, HopError, Redirect, RedirectKind};
use url::Url;

use crate::plan::fetchable;

/// A refresh that takes longer is a page that renews itself. Redirectors wait 0 to 5 seconds, "you will be
/// forwarded" pages up to 10.
const MAX_REFRESH_SECONDS: u64 = 10;

/// What is kept of a target in the report.
const MAX_TARGET_BYTES: usize = 4 * 1024;

/// The next step out of a response.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Next {
    pub(crate) kind: RedirectKind,
    /// As a URL parser gives it; the raw text when it is not a URL.
    to: Result<Url, String>,
}

impl Next {
    fn new(kind: RedirectKind, base: &Url, text: &str) -> Self {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        Self { kind, to: crate::reference::resolve(base, text).map_err(|_| text.to_owned()) }
    }

    /// Where a status with a Location leads, as a URL to send a request to.
    pub(super) fn by_http(&self) -> Option<Url> {
        match (&self.to, self.kind) {
            (Ok(url), RedirectKind::Http) => fetchable(url.as_str()).ok(),
            _ => None,
        }
    }

    /// For the report.
    pub(crate) fn redirect(&self) -> Redirect {
        let text = match &self.to {
            Ok(url) => url.as_str(),
            Err(raw) => raw,
        };
        Redirect { kind: self.kind, to: crate::report::cut(text.to_owned(), MAX_TARGET_BYTES) }
    }
}

/// By status and Location; only the statuses browsers follow.
pub(crate) fn by_status(status: u16, location: Option<&str>, base: &Url) -> Option<Next> {
    match (status, location) {
        (301 | 302 | 303 | 307 | 308, Some(location)) => Some(Next::new(RedirectKind::Http, base, location)),
        _ => None,
    }
}

/// What a refresh does.
#[derive(Debug, PartialEq)]
pub(crate) enum Refreshed {
    /// Goes to another page.
    Away(Next),
    /// Asks for the same page again.
    Again(Next),
}

/// By the value of a Refresh header or of a meta refresh.
pub(crate) fn by_refresh(kind: RedirectKind, value: &str, page: &Url, base: &Url) -> Option<Refreshed> {
    let (seconds, target) = refresh(value)?;
    if seconds > MAX_REFRESH_SECONDS {
        return None;
    }
    let again = || Refreshed::Again(Next { kind, to: Ok(without_fragment(page)) });
    let Some(target) = target else { return Some(again()) };
    let next = Next::new(kind, base, target);
    match &next.to {
        // A place on the page is scrolled to, not asked for.
        Ok(url) if without_fragment(url) == without_fragment(page) => url.fragment().is_none().then(again),
        _ => Some(Refreshed::Away(next)),
    }
}

/// Reads a refresh value: seconds, and the text of a target when there is one.
/// <https://html.spec.whatwg.org/multipage/semantics.html#shared-declarative-refresh-steps>
pub(crate) fn refresh(value: &str) -> Option<(u64, Option<&str>)> {
    let space = |c: char| c.is_ascii_whitespace();
    let value = value.trim_start_matches(space);
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, rest) = value.split_at(digits);
    if number.is_empty() && !rest.starts_with('.') {
        return None;
    }
    // More digits than fit are a wait without end.
    let seconds = if number.is_empty() { 0 } else { number.parse().unwrap_or(u64::MAX) };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !rest.is_empty() && !rest.starts_with([';', ',']) && !rest.starts_with(space) {
        return None;
    }
    let rest = rest.trim_start_matches(space);
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_start_matches(space);
    if rest.is_empty() {
        return Some((seconds, None));
    }
    let target = match rest.get(..3) {
        Some(word) if word.eq_ignore_ascii_case("url") => {
            let after = rest[3..].trim_start_matches(space);
            after.strip_prefix('=').map_or(rest, |text| text.trim_start_matches(space))
        }
        _ => rest,
    };
    let target = match target.chars().next() {
        Some(quote @ ('"' | '\'')) => target[1..].split(quote).next().unwrap_or_default(),
        _ => target,
    };
    Some((seconds, Some(target)))
}

/// The pages this fetch has been to, with the cookies they were asked for with: a site that sets one and leads back
/// to the same page has another answer in mind.
#[derive(Debug)]
pub(crate) struct Visited(HashSet<(String, Option<String>)>);

impl Visited {
    pub(crate) fn new(first: &Url) -> Self {
        Self(HashSet::from([(first.as_str().to_owned(), None)]))
    }

    /// The URL to go to next, or why we stay. `cookies` tells what would be sent there.
    pub(crate) fn admit(
        &mut self,
        next: &Next,
        used_up: bool,
        max_bytes: usize,
        cookies: impl Fn(&Url) -> Option<String>,
    ) -> Result<Url, HopError> {
        let refuse = |class, message: String| Err(HopError { class, message });
        let url = match &next.to {
            Ok(url) => url,
            Err(_) => return refuse(ErrorClass::RedirectRefused, "the target is not a URL".to_owned()),
        };
        if url.as_str().len() > max_bytes {
            return refuse(
                ErrorClass::RedirectRefused,
                format!("the target has more than {max_bytes} bytes"),
            );
        }
        let url = match fetchable(url.as_str()) {
            Ok(url) => url,
            Err(message) => return refuse(ErrorClass::RedirectRefused, message),
        };
        let request = (url.as_str().to_owned(), cookies(&url));
        if self.0.contains(&request) {
            return refuse(ErrorClass::RedirectLoop, "the target was visited before".to_owned());
        }
        if used_up {
            return refuse(ErrorClass::TooManyRedirects, "more redirects than are followed".to_owned());
        }
        self.0.insert(request);
        Ok(url)
    }
}

fn without_fragment(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Url {
        Url::parse("http://a.test/dir/page?q").expect("a URL")
    }

    #[test]
    fn refresh_values_are_read_as_the_standard_says() {
        for (value, expected) in [
            ("0;url=http://b.test/", Some((0, Some("http://b.test/")))),
            (" 5 ; URL = 'x y' trailing", Some((5, Some("x y")))),
            ("3,\"/z", Some((3, Some("/z")))),
            ("1.5; next", Some((1, Some("next")))),
            (".5;a", Some((0, Some("a")))),
            ("0 urlx", Some((0, Some("urlx")))),
            ("0;url", Some((0, Some("url")))),
            ("7", Some((7, None))),
            ("7;", Some((7, None))),
            ("99999999999999999999999;a", Some((u64::MAX, Some("a")))),
            ("", None),
            ("x;url=a", None),
            ("0x;url=a", None),
            ("0;é", Some((0, Some("é")))),
        ] {
            assert_eq!(refresh(value), expected, "{value:?}");
        }
    }

    #[test]
    fn a_refresh_to_the_page_itself_or_after_a_long_wait_is_no_redirect() {
        let by = |value| by_refresh(RedirectKind::Meta, value, &page(), &page());
        let again = Some(Refreshed::Again(Next { kind: RedirectKind::Meta, to: Ok(page()) }));
        assert_eq!(by("0;url=page?q"), again);
        assert_eq!(by("5"), again);
        assert_eq!(by("0;url=#top"), None);
        assert_eq!(by("11"), None);
        assert_eq!(by("11;url=/other"), None);
        let other = Url::parse("http://a.test/other").expect("a URL");
        let away = Refreshed::Away(Next { kind: RedirectKind::Meta, to: Ok(other) });
        assert_eq!(by("10;url=/other"), Some(away));
    }

    #[test]
    fn only_the_statuses_browsers_follow_redirect() {
        for (status, follows) in [(300, false), (301, true), (304, false), (308, true), (201, false)] {
            assert_eq!(by_status(status, Some("/x"), &page()).is_some(), follows, "{status}");
        }
        assert_eq!(by_status(302, None, &page()), None);
    }

    #[test]
    fn each_reason_not_to_follow_has_its_class() {
        let mut visited = Visited::new(&page());
        let class = |visited: &mut Visited, to: &str, used_up| {
            let next = by_status(302, Some(to), &page()).expect("a redirect");
            visited.admit(&next, used_up, 100, |_| None).map_err(|error| error.class)
        };
        assert!(class(&mut visited, "/one", false).is_ok());
        assert_eq!(class(&mut visited, "/one#again", false), Err(ErrorClass::RedirectLoop));
        assert_eq!(class(&mut visited, "page?q", false), Err(ErrorClass::RedirectLoop));
        assert_eq!(class(&mut visited, "/two", true), Err(ErrorClass::TooManyRedirects));
        for to in ["javascript:alert(1)", "data:text/html,x", "ftp://a.test/", "http://", "http://[x/"] {
            assert_eq!(class(&mut visited, to, false), Err(ErrorClass::RedirectRefused), "{to}");
        }
        assert_eq!(class(&mut visited, &"x".repeat(100), false), Err(ErrorClass::RedirectRefused));
    }

    #[test]
    fn the_same_page_with_other_cookies_is_another_request() {
        let mut visited = Visited::new(&page());
        let next = by_status(302, Some("page?q"), &page()).expect("a redirect");
        let mut admit = |cookies: Option<&str>| {
            visited.admit(&next, false, 100, |_| cookies.map(str::to_owned)).map_err(|error| error.class)
        };
        assert_eq!(admit(None), Err(ErrorClass::RedirectLoop));
        assert_eq!(admit(Some("a=1")), Ok(page()));
        assert_eq!(admit(Some("a=1")), Err(ErrorClass::RedirectLoop));
        assert_eq!(admit(Some("a=2")), Ok(page()));
    }
}
