//! Addresses in a page: made absolute as a browser does, and cut.

use url::Url;

use super::dom::{DOCUMENT, Dom};
use crate::report::prefix;

/// Longer than any URL that is meant to be followed.
pub(super) const MAX_URL_BYTES: usize = 4 * 1024;
/// The type and the first bytes of embedded data.
const MAX_DATA_URL_BYTES: usize = 256;

/// Turns what attributes say into absolute URLs.
#[derive(Debug)]
pub(super) struct Addresses<'a> {
    page: &'a Url,
    base: Url,
}

impl<'a> Addresses<'a> {
    /// The first `base` with an href counts, as in browsers.
    pub(super) fn new(dom: &Dom, page: &'a Url) -> Self {
        let base = dom
            .below(DOCUMENT)
            .filter_map(|node| dom.element(node).filter(|element| element.html() == "base"))
            .find_map(|element| element.attribute("href"))
            .and_then(|href| crate::reference::resolve(page, href.trim()).ok())
            .filter(|base| matches!(base.scheme(), "http" | "https"));
        Self { page, base: base.unwrap_or_else(|| page.clone()) }
    }

    /// Absolute, or the raw text when it is not a URL; cut.
    pub(super) fn absolute(&self, text: &str) -> String {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
            return prefix(text, MAX_DATA_URL_BYTES).to_owned();
        }
        let text = prefix(text, MAX_URL_BYTES);
        let absolute =
            crate::reference::resolve(&self.base, text).map_or_else(|_| text.to_owned(), String::from);
        crate::report::cut(absolute, MAX_URL_BYTES)
    }

    pub(super) fn absolute_page(&self) -> String {
        crate::report::cut(self.page.as_str().to_owned(), MAX_URL_BYTES)
    }

    /// What relative addresses are relative to.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }
}
