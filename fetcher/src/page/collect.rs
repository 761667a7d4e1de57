//! One walk over the tree that takes the facts of a page with it.
//!
//! What is inside `template` and `noscript` is listed like the rest, since pages hide things there, but it is no
//! visible text, and a refresh in there is nothing a browser that runs scripts would follow. Each list has a cap
//! with a reason; totals go on counting.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use safeurl_protocol::{Features, Frame, Link, Script, TextStatistics};
use url::Url;

use super::dom::{DOCUMENT, Dom, Element, NodeId};
use super::form::Forms;
use super::text::{self, Words};
use super::{Refresh, script};
use crate::fetch::refresh_target;
use crate::report::prefix;

/// Link farms have thousands and say the same with 500.
const MAX_LINKS: usize = 500;
/// Large applications load some 100.
const MAX_SCRIPTS: usize = 200;
/// Advertising pages have some 30.
const MAX_FRAMES: usize = 100;
/// Shops show some 200 pictures.
const MAX_RESOURCES: usize = 300;
/// Pages made for every social network have some 60.
const MAX_META: usize = 100;

/// Longer than any URL that is meant to be followed.
const MAX_URL_BYTES: usize = 4 * 1024;
/// The type and the first bytes of embedded data.
const MAX_DATA_URL_BYTES: usize = 256;
/// Of a title, a description, a meta value.
const MAX_TEXT_BYTES: usize = 2 * 1024;
/// Of a link's text, which is a few words.
const MAX_LINK_TEXT_BYTES: usize = 256;
/// Nodes looked at for a link's text: a link around the whole page is not read again and again.
const MAX_LINK_NODES: usize = 200;
/// Of a meta element's name.
const MAX_KEY_BYTES: usize = 100;

/// The facts of a page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) features: Features,
    pub(super) text: TextStatistics,
    pub(super) refresh: Option<Refresh>,
}

/// Turns what attributes say into absolute URLs.
#[derive(Debug)]
pub(super) struct Addresses<'a> {
    page: &'a Url,
    base: Url,
}

impl<'a> Addresses<'a> {
    /// The first `base` with an href counts, as in browsers.
    fn new(dom: &Dom, page: &'a Url) -> Self {
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
}

/// Takes the facts of a tree.
pub(super) fn collect(dom: &Dom, url: &Url) -> Page {
    let addresses = Addresses::new(dom, url);
    let forms = Forms::find(dom, &addresses);
    let mut walk = Walk {
        dom,
        addresses,
        forms,
        features: Features::default(),
        words: Words::default(),
        refresh: None,
        titled: false,
        around: Vec::new(),
        inert: 0,
        unseen: 0,
    };
    walk.run();
    walk.done()
}

struct Walk<'a> {
    dom: &'a Dom,
    addresses: Addresses<'a>,
    forms: Forms,
    features: Features,
    words: Words,
    refresh: Option<Refresh>,
    titled: bool,
    /// The forms around the node.
    around: Vec<NodeId>,
    /// How many elements around the node make its content not part of the page.
    inert: u32,
    /// How many make its text invisible.
    unseen: u32,
}

impl Walk<'_> {
    /// Visits every node in tree order, without recursion.
    fn run(&mut self) {
        let dom = self.dom;
        let mut node = DOCUMENT;
        loop {
            self.enter(node);
            if let Some(child) = dom.first_child(node) {
                node = child;
                continue;
            }
            loop {
                self.leave(node);
                if let Some(next) = dom.next_sibling(node) {
                    node = next;
                    break;
                }
                match dom.parent(node) {
                    Some(parent) => node = parent,
                    None => return,
                }
            }
        }
    }

    fn enter(&mut self, node: NodeId) {
        let dom = self.dom;
        if let Some(text) = dom.text(node) {
            if self.unseen == 0 {
                self.words.push(text);
            }
            return;
        }
        let Some(element) = dom.element(node) else { return };
        self.take(node, element);
        self.inert += u32::from(is_inert(element));
        self.unseen += u32::from(is_unseen(element));
        if element.html() == "form" {
            self.around.push(node);
        }
        if !is_inline(element) {
            self.words.gap();
        }
    }

    /// The mirror of [`Self::enter`].
    fn leave(&mut self, node: NodeId) {
        let Some(element) = self.dom.element(node) else { return };
        self.inert -= u32::from(is_inert(element));
        self.unseen -= u32::from(is_unseen(element));
        if element.html() == "form" {
            self.around.pop();
        }
        if !is_inline(element) {
            self.words.gap();
        }
    }

    fn take(&mut self, node: NodeId, element: &Element) {
        let dom = self.dom;
        match element.html() {
            "html" => {
                let language = element.attribute("lang").map(str::trim).filter(|text| !text.is_empty());
                self.features.language = language.map(|text| shortened(text, MAX_KEY_BYTES));
            }
            "title" if !self.titled => {
                self.titled = true;
                let parts = dom.below(node).filter_map(|id| dom.text(id));
                let title = text::collapse(parts, MAX_TEXT_BYTES);
                self.features.title = (!title.is_empty()).then_some(title);
            }
            "meta" => self.meta(element),
            "link" => self.link_element(element),
            "a" | "area" => self.anchor(node, element),
            "iframe" | "frame" if self.features.iframes.len() < MAX_FRAMES => {
                let src = element.attribute("src").map(|src| self.addresses.absolute(src));
                self.features.iframes.push(Frame { src, hidden: is_hidden(element) });
            }
            "img" | "source" | "video" | "audio" | "embed" => self.resource(element.attribute("src")),
            "object" => self.resource(element.attribute("data")),
            "input" => {
                self.resource(element.attribute("src"));
                self.forms.add(element, self.around.last().copied());
            }
            "select" | "textarea" | "button" => self.forms.add(element, self.around.last().copied()),
            _ => {}
        }
        if &*element.name.local == "script" {
            self.script(node, element);
        }
    }

    fn meta(&mut self, element: &Element) {
        let Some(content) = element.attribute("content") else { return };
        let kept = shortened(content, MAX_TEXT_BYTES);
        if let Some(property) = element.attribute("property")
            && let Some(name) = property.trim().to_ascii_lowercase().strip_prefix("og:")
        {
            keep(&mut self.features.open_graph, name, kept.clone());
        }
        let Some(name) = element.attribute("name").or_else(|| element.attribute("http-equiv")) else {
            return;
        };
        keep(&mut self.features.meta, &name.trim().to_ascii_lowercase(), kept.clone());
        let is_refresh =
            element.attribute("http-equiv").is_some_and(|kind| kind.trim().eq_ignore_ascii_case("refresh"));
        if is_refresh && self.inert == 0 && self.refresh.is_none() {
            let value = shortened(content, MAX_URL_BYTES);
            self.features.meta_refresh = refresh_target(&value).map(|target| self.addresses.absolute(target));
            self.refresh = Some(Refresh { value, base: self.addresses.base.clone() });
        }
    }

    fn link_element(&mut self, element: &Element) {
        let Some(href) = element.attribute("href") else { return };
        let rel = element.attribute("rel").unwrap_or_default().to_ascii_lowercase();
        let mut words = rel.split_ascii_whitespace();
        if words.clone().any(|word| word == "canonical") && self.features.canonical.is_none() {
            self.features.canonical = Some(self.addresses.absolute(href));
        }
        if words.any(|word| {
            matches!(
                word,
                "stylesheet"
                    | "icon"
                    | "apple-touch-icon"
                    | "mask-icon"
                    | "preload"
                    | "modulepreload"
                    | "manifest"
            )
        }) {
            self.resource(Some(href));
        }
    }

    fn anchor(&mut self, node: NodeId, element: &Element) {
        let Some(href) = element.attribute("href") else { return };
        let links = &mut self.features.links;
        links.total = links.total.saturating_add(1);
        if links.list.len() >= MAX_LINKS {
            links.capped = true;
            return;
        }
        let dom = self.dom;
        let parts = dom.below(node).take(MAX_LINK_NODES).filter_map(|id| dom.text(id));
        let text = text::collapse(parts, MAX_LINK_TEXT_BYTES);
        links.list.push(Link { href: self.addresses.absolute(href), text });
    }

    fn script(&mut self, node: NodeId, element: &Element) {
        self.features.script_count = self.features.script_count.saturating_add(1);
        if self.features.scripts.len() >= MAX_SCRIPTS {
            return;
        }
        let script = match element.attribute("src").or_else(|| element.attribute("href")) {
            Some(src) => Script {
                src: Some(self.addresses.absolute(src)),
                inline_sha256: None,
                size: None,
                traits: Vec::new(),
            },
            None => script::inline(self.dom, node),
        };
        self.features.scripts.push(script);
    }

    fn resource(&mut self, address: Option<&str>) {
        let Some(address) = address.filter(|text| !text.trim().is_empty()) else { return };
        if self.features.resources.len() < MAX_RESOURCES {
            self.features.resources.push(self.addresses.absolute(address));
        }
    }

    fn done(mut self) -> Page {
        self.features.description = self.features.meta.get("description").cloned();
        self.features.password_fields = self.forms.password_fields;
        (self.features.forms, self.features.form_count) = self.forms.done();
        Page { features: self.features, text: self.words.statistics(), refresh: self.refresh }
    }
}

fn keep(map: &mut BTreeMap<String, String>, key: &str, value: String) {
    if map.len() < MAX_META && !key.is_empty() {
        map.entry(shortened(key, MAX_KEY_BYTES)).or_insert(value);
    }
}

fn shortened(text: &str, max: usize) -> String {
    prefix(text, max).to_owned()
}

/// A browser that runs scripts does not act on what is in here.
fn is_inert(element: &Element) -> bool {
    matches!(element.html(), "template" | "noscript")
}

fn is_unseen(element: &Element) -> bool {
    matches!(
        element.html(),
        "head" | "title" | "script" | "style" | "template" | "noscript" | "iframe" | "noframes" | "datalist"
    ) || is_hidden(element)
}

/// Hidden by its attributes or its inline style; style sheets are not read.
fn is_hidden(element: &Element) -> bool {
    let tiny = |name: &str| {
        let digits = element.attribute(name).map(str::trim).unwrap_or_default().trim_end_matches("px");
        matches!(digits.parse::<f32>(), Ok(size) if size <= 1.0)
    };
    let frame = matches!(element.html(), "iframe" | "frame");
    element.attribute("hidden").is_some()
        || element.attribute("style").is_some_and(|style| hides(style, frame))
        || (frame && (tiny("width") || tiny("height")))
}

fn hides(style: &str, frame: bool) -> bool {
    style.split(';').filter_map(|rule| rule.split_once(':')).any(|(name, value)| {
        let value = value.trim().trim_end_matches("!important").trim().to_ascii_lowercase();
        let size = || value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%').parse::<f32>();
        match name.trim().to_ascii_lowercase().as_str() {
            "display" => value == "none",
            "visibility" => value == "hidden" || value == "collapse",
            "opacity" => size().is_ok_and(|size| size == 0.0),
            "width" | "height" => frame && size().is_ok_and(|size| size <= 1.0),
            // Shown, but far outside of the window.
            "left" | "top" => frame && size().is_ok_and(|size| size <= -500.0),
            _ => false,
        }
    })
}

/// Elements whose border is inside a word as a person reads it.
fn is_inline(element: &Element) -> bool {
    matches!(
        element.html(),
        "a" | "abbr"
            | "b"
            | "bdi"
            | "bdo"
            | "big"
            | "cite"
            | "code"
            | "em"
            | "font"
            | "i"
            | "ins"
            | "del"
            | "kbd"
            | "label"
            | "mark"
            | "q"
            | "s"
            | "small"
            | "span"
            | "strike"
            | "strong"
            | "sub"
            | "sup"
            | "tt"
            | "u"
            | "var"
            | "wbr"
    )
}
