//! What a page says of itself: meta elements, links to what belongs to it, structured data.

use std::collections::BTreeMap;

use super::{MAX_KEY_BYTES, MAX_TEXT_BYTES, Walk, shortened};
use crate::fetch::{Policy, refresh_target};
use crate::page::address::MAX_URL_BYTES;
use crate::page::dom::Element;
use crate::page::{Refresh, json_ld};

/// Pages made for every social network have some 60.
const MAX_META: usize = 100;
/// Types of things a page describes; a shop's list names a dozen.
const MAX_TYPES: usize = 50;
/// An icon inside the page is kept whole up to this, to be hashed; more is no icon.
const MAX_ICON_BYTES: usize = 256 * 1024;

impl Walk<'_> {
    pub(super) fn meta(&mut self, element: &Element) {
        let Some(content) = element.attribute("content") else { return };
        let kept = shortened(content, MAX_TEXT_BYTES);
        let name = element.attribute("name").or_else(|| element.attribute("http-equiv"));
        for key in [element.attribute("property"), name].into_iter().flatten() {
            if let Some(property) = key.trim().to_ascii_lowercase().strip_prefix("og:")
                && !keep(&mut self.features.open_graph, property, &kept)
            {
                self.capped("openGraph");
            }
        }
        if let Some(name) = name
            && !keep(&mut self.features.meta, &name.trim().to_ascii_lowercase(), &kept)
        {
            self.capped("meta");
        }
        let is_policy =
            element.attribute("name").is_some_and(|name| name.trim().eq_ignore_ascii_case("referrer"));
        if is_policy && self.inert == 0 {
            // Each one that means something takes the place of the one before.
            self.referrer = Policy::from_meta(content).or(self.referrer);
        }
        let is_refresh =
            element.attribute("http-equiv").is_some_and(|kind| kind.trim().eq_ignore_ascii_case("refresh"));
        if is_refresh && self.inert == 0 && self.refresh.is_none() {
            let value = shortened(content, MAX_URL_BYTES);
            self.features.meta_refresh = refresh_target(&value).map(|target| self.addresses.absolute(target));
            self.refresh = Some(Refresh { value, base: self.addresses.base().clone() });
        }
    }

    pub(super) fn link_element(&mut self, element: &Element) {
        let Some(href) = element.attribute("href") else { return };
        let rel =
            shortened(element.attribute("rel").unwrap_or_default(), MAX_TEXT_BYTES).to_ascii_lowercase();
        let has = |wanted: &[&str]| rel.split_ascii_whitespace().any(|word| wanted.contains(&word));
        if has(&["canonical"]) && self.features.canonical.is_none() {
            self.features.canonical = Some(self.addresses.absolute(href));
        }
        if has(&["icon"]) && self.icon.is_none() && !href.trim().is_empty() {
            let data = href.trim().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
            self.icon = match data {
                true => (href.len() <= MAX_ICON_BYTES).then(|| href.trim().to_owned()),
                false => Some(self.addresses.absolute(href)),
            };
        }
        if has(&[
            "stylesheet",
            "icon",
            "apple-touch-icon",
            "mask-icon",
            "preload",
            "modulepreload",
            "manifest",
        ]) {
            self.resource("link", Some(href));
        } else {
            self.embed("link", href);
        }
    }

    pub(super) fn json_ld(&mut self, json: &str) {
        let Self { features, contacts, .. } = self;
        let mut full = false;
        json_ld::read(json, &mut |said| {
            let Some(name) = contacts.said(said) else { return };
            let name = shortened(name.trim(), MAX_KEY_BYTES);
            // A context says "@type": "@id" of its own words.
            if name.is_empty() || name.starts_with('@') || features.json_ld.contains(&name) {
                return;
            }
            if features.json_ld.len() < MAX_TYPES {
                features.json_ld.push(name);
            } else {
                full = true;
            }
        });
        if full {
            self.capped("jsonLd");
        }
    }
}

/// `false` when there is no room for the key.
fn keep(map: &mut BTreeMap<String, String>, key: &str, value: &str) -> bool {
    let key = shortened(key, MAX_KEY_BYTES);
    if key.is_empty() || map.contains_key(&key) {
        return true;
    }
    let room = map.len() < MAX_META;
    if room {
        map.insert(key, value.to_owned());
    }
    room
}
