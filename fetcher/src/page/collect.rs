//! One walk over the tree that takes the facts of a page with it.
//!
//! What is inside `template` and `noscript` is listed like the rest, since pages hide things there, but it is no
//! visible text, and a refresh in there is nothing a browser that runs scripts would follow. Each list has a cap
//! with a reason, and `capped` names the lists that reached it; totals go on counting. Documents inside the page are
//! read by the same walk, one level deep (see [`nested`]).

mod head;
mod nested;
#[cfg(test)]
mod tests;

use std::time::Instant;

use safeurl_protocol::{Features, Frame, Link, Script, TextStatistics};
use url::Url;

use super::address::Addresses;
use super::contact::Contacts;
use super::dom::{DOCUMENT, Dom, Element, NodeId};
use super::embedded::{self, Found, MAX_EMBEDDED, percent_decoded};
use super::form::Forms;
use super::marker::Markers;
use super::script::{self, Language, Scripts};
use super::text::{self, Words};
use super::visible::{conceals, is_hidden, is_inert, is_inline, is_reversed, is_unseen};
use super::{Refresh, comment};
use crate::fetch::Policy;
use crate::report::prefix;

/// Link farms have thousands and say the same with 500.
const MAX_LINKS: usize = 500;
/// Large applications load some 100.
const MAX_SCRIPTS: usize = 200;
/// Advertising pages have some 30.
const MAX_FRAMES: usize = 100;
/// Shops show some 200 pictures.
const MAX_RESOURCES: usize = 300;

/// Of a title, a description, a meta value.
const MAX_TEXT_BYTES: usize = 2 * 1024;
/// Of a link's text, which is a few words.
const MAX_LINK_TEXT_BYTES: usize = 256;
/// Nodes looked at for a link's text: a link around the whole page is not read again and again.
const MAX_LINK_NODES: usize = 200;
/// Of a meta element's name, a language, a type.
const MAX_KEY_BYTES: usize = 100;
/// Nodes between two looks at the clock.
const NODES_A_LOOK: u32 = 256;

/// The facts of a page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) features: Features,
    pub(super) text: TextStatistics,
    pub(super) refresh: Option<Refresh>,
    pub(super) icon: Option<String>,
    pub(super) referrer: Option<Policy>,
    /// The deadline came before the end, or there were more documents inside than are read.
    pub(super) stopped: bool,
}

/// Takes the facts of a tree, and of the documents in it, until the deadline.
pub(super) fn collect(dom: &Dom, url: &Url, deadline: Instant) -> Page {
    let (mut page, inside) = Walk::over(dom, url, deadline);
    nested::add(&mut page, inside, url, deadline);
    page
}

/// Documents in the page that are yet to be read.
#[derive(Debug, Default)]
struct Inside {
    /// Carried in an address or an attribute, with what they are relative to.
    carried: Vec<(Vec<u8>, Url)>,
    /// Written by scripts.
    written: Vec<String>,
    base: Option<Url>,
}

struct Walk<'a> {
    dom: &'a Dom,
    addresses: Addresses<'a>,
    forms: Forms,
    features: Features,
    words: Words,
    contacts: Contacts,
    markers: Markers,
    scripts: Scripts,
    inside: Inside,
    refresh: Option<Refresh>,
    icon: Option<String>,
    referrer: Option<Policy>,
    titled: bool,
    /// What the elements around the node are, outermost first.
    around: Vec<Around>,
    /// How many of them make its content not part of the page.
    inert: u32,
    /// How many make its text invisible.
    unseen: u32,
    /// How many hide a frame.
    concealed: u32,
    stopped: bool,
}

/// An element around the node.
#[derive(Debug, Clone, Copy)]
struct Around {
    form: Option<NodeId>,
    inert: bool,
    unseen: bool,
    concealed: bool,
    inline: bool,
}

impl<'a> Walk<'a> {
    fn over(dom: &'a Dom, url: &'a Url, deadline: Instant) -> (Page, Inside) {
        let addresses = Addresses::new(dom, url);
        let forms = Forms::find(dom, &addresses);
        let mut walk = Walk {
            dom,
            addresses,
            forms,
            features: Features::default(),
            words: Words::default(),
            contacts: Contacts::default(),
            markers: Markers::default(),
            scripts: Scripts::default(),
            inside: Inside::default(),
            refresh: None,
            icon: None,
            referrer: None,
            titled: false,
            around: Vec::new(),
            inert: 0,
            unseen: 0,
            concealed: 0,
            stopped: false,
        };
        walk.run(deadline);
        walk.done()
    }

    /// Visits every node in tree order, without recursion.
    fn run(&mut self, deadline: Instant) {
        let dom = self.dom;
        let mut node = DOCUMENT;
        for count in 1u32.. {
            self.enter(node);
            if count.is_multiple_of(NODES_A_LOOK) && Instant::now() >= deadline {
                self.stopped = true;
                return;
            }
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
            self.text(node, text);
            return;
        }
        if let Some(text) = dom.comment(node) {
            self.comment(text);
            return;
        }
        let Some(element) = dom.element(node) else { return };
        let around = Around {
            form: (element.html() == "form").then_some(node),
            inert: is_inert(element),
            unseen: is_unseen(element),
            concealed: conceals(element),
            inline: is_inline(element),
        };
        self.take(node, element);
        self.attributes(node, element);
        self.markers.element(element);
        self.inert += u32::from(around.inert);
        self.unseen += u32::from(around.unseen);
        self.concealed += u32::from(around.concealed);
        self.around.push(around);
        self.border(around);
    }

    /// The mirror of [`Self::enter`].
    fn leave(&mut self, node: NodeId) {
        if self.dom.element(node).is_none() {
            return;
        }
        let Some(around) = self.around.pop() else { return };
        self.inert -= u32::from(around.inert);
        self.unseen -= u32::from(around.unseen);
        self.concealed -= u32::from(around.concealed);
        self.border(around);
    }

    /// Words and blocks end where an element that is not inline begins or ends. One that is not seen is not there.
    fn border(&mut self, around: Around) {
        if !around.inline {
            self.words.gap();
            if self.unseen == 0 {
                self.contacts.gap();
            }
        }
    }

    fn text(&mut self, node: NodeId, text: &str) {
        if self.unseen == 0 {
            self.words.push(text);
            self.contacts.visible(text);
            return;
        }
        let holder = self.dom.parent(node).and_then(|parent| self.dom.element(parent));
        if !matches!(holder.map(Element::html), Some("script" | "style")) && text.contains(['@', '(', '[']) {
            self.contacts.text(text);
        }
    }

    fn comment(&mut self, text: &str) {
        let Some(note) = comment::of_note(text) else { return };
        if self.features.comments.len() < comment::MAX_COMMENTS {
            self.features.comments.push(note);
        } else {
            self.capped("comments");
        }
    }

    fn take(&mut self, node: NodeId, element: &Element) {
        let dom = self.dom;
        match element.html() {
            "html" => {
                let language = element.attribute("lang").or_else(|| element.attribute("xml:lang"));
                let language = language.map(str::trim).filter(|text| !text.is_empty());
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
            "iframe" | "frame" => self.frame(element),
            "img" | "source" | "video" | "audio" | "embed" => {
                self.resource(element.html(), element.attribute("src"));
            }
            "object" => self.resource("object", element.attribute("data")),
            "input" => {
                self.resource("input", element.attribute("src"));
                self.control(element);
            }
            "select" | "textarea" | "button" => self.control(element),
            _ => {}
        }
        if &*element.name.local == "script" {
            self.script(node, element);
        }
    }

    fn control(&mut self, element: &Element) {
        let form = self.around.iter().rev().find_map(|around| around.form);
        self.forms.add(element, form, &self.addresses);
    }

    /// What attributes say on any element.
    fn attributes(&mut self, node: NodeId, element: &Element) {
        for attribute in &element.attributes {
            let value = &*attribute.value;
            match &*attribute.name.local {
                "data-cfemail" => self.contacts.encoded(value),
                "alt" | "aria-label" | "content" | "data-email" | "data-mail" | "title" | "value" => {
                    self.contacts.value(value);
                }
                "itemprop" if value.trim() == "telephone" => {
                    let shown = || {
                        let parts = self.dom.below(node).take(MAX_LINK_NODES);
                        text::collapse(parts.filter_map(|id| self.dom.text(id)), MAX_KEY_BYTES)
                    };
                    let number = element.attribute("content").map_or_else(shown, str::to_owned);
                    self.contacts.marked(&number);
                }
                name if name.starts_with("on") && name.len() > 3 => self.scripts.read(value),
                _ => {}
            }
        }
        if is_reversed(element) {
            let parts = self.dom.below(node).take(MAX_LINK_NODES).filter_map(|id| self.dom.text(id));
            self.contacts.reversed(&text::collapse(parts, MAX_LINK_TEXT_BYTES));
        }
    }

    fn anchor(&mut self, node: NodeId, element: &Element) {
        let Some(href) = element.attribute("href") else { return };
        self.contacts.link(href);
        self.embed(element.html(), href);
        let trimmed = href.trim();
        if trimmed.get(..11).is_some_and(|scheme| scheme.eq_ignore_ascii_case("javascript:")) {
            self.scripts.read(&String::from_utf8_lossy(&percent_decoded(&trimmed[11..])));
        }
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

    fn frame(&mut self, element: &Element) {
        let src = element.attribute("src");
        match (element.html(), element.attribute("srcdoc")) {
            // It wins over the source.
            ("iframe", Some(srcdoc)) if !srcdoc.trim().is_empty() => {
                self.embedded(embedded::of_srcdoc(srcdoc))
            }
            (name, _) => self.embed(name, src.unwrap_or_default()),
        }
        if self.features.iframes.len() >= MAX_FRAMES {
            return self.capped("iframes");
        }
        let hidden = self.concealed > 0 || is_hidden(element);
        let src = src.map(|src| self.addresses.absolute(src));
        self.features.iframes.push(Frame { src, hidden });
    }

    fn script(&mut self, node: NodeId, element: &Element) {
        self.features.script_count = self.features.script_count.saturating_add(1);
        let script = match element.attribute("src").or_else(|| element.attribute("href")) {
            Some(src) => {
                self.embed("script", src);
                let src = Some(self.addresses.absolute(src));
                Script { src, inline_sha256: None, size: None, traits: Vec::new() }
            }
            None if self.features.scripts.len() >= MAX_SCRIPTS => return self.capped("scripts"),
            None => {
                let inline = script::inline(self.dom, node);
                self.markers.script(&inline.text);
                match inline.language {
                    Language::Code => self.scripts.read(&inline.text),
                    Language::JsonLd => self.json_ld(&inline.text),
                    Language::Data => {}
                }
                inline.script
            }
        };
        if self.features.scripts.len() >= MAX_SCRIPTS {
            return self.capped("scripts");
        }
        self.features.scripts.push(script);
    }

    fn resource(&mut self, element: &str, address: Option<&str>) {
        let Some(address) = address.filter(|text| !text.trim().is_empty()) else { return };
        self.embed(element, address);
        if self.features.resources.len() < MAX_RESOURCES {
            self.features.resources.push(self.addresses.absolute(address));
        } else {
            self.capped("resources");
        }
    }

    /// A document that an address may carry.
    fn embed(&mut self, element: &str, address: &str) {
        if let Some(found) = embedded::of_address(element, address) {
            self.embedded(found);
        }
    }

    fn embedded(&mut self, found: Found) {
        if self.features.embedded.len() >= MAX_EMBEDDED {
            return self.capped("embedded");
        }
        if let Some(html) = found.html {
            self.stopped |= !self.inside.carry(found.embedded.kind, html, self.addresses.base());
        }
        self.features.embedded.push(found.embedded);
    }

    /// Names a list that holds less than there was.
    fn capped(&mut self, list: &str) {
        nested::name_capped(&mut self.features, list);
    }

    fn done(mut self) -> (Page, Inside) {
        self.contacts.gap();
        for text in std::mem::take(&mut self.scripts.texts) {
            self.contacts.value(&text);
        }
        let caps = [
            ("forms", self.forms.count() > self.forms.listed()),
            ("forms.inputs", self.forms.inputs_capped),
            ("links", self.features.links.capped),
            ("emails", self.contacts.emails_capped),
            ("phones", self.contacts.phones_capped),
            ("markers", self.markers.capped),
            ("possibleRedirects", self.scripts.capped),
        ];
        for (list, _) in caps.into_iter().filter(|(_, capped)| *capped) {
            self.capped(list);
        }
        let mut features = self.features;
        features.description = features.meta.get("description").cloned();
        if features.language.is_none() {
            let declared = features.meta.get("content-language").and_then(|value| value.split(',').next());
            let declared = declared.map(str::trim).filter(|text| !text.is_empty());
            features.language = declared.map(|text| shortened(text, MAX_KEY_BYTES));
        }
        features.password_fields = self.forms.password_fields;
        (features.forms, features.form_count) = self.forms.done();
        (features.emails, features.phones) = (self.contacts.emails, self.contacts.phones);
        features.markers = self.markers.done();
        features.possible_redirects = self.scripts.redirects;
        for redirect in &mut features.possible_redirects {
            redirect.to = self.addresses.absolute(&redirect.to);
        }
        let mut inside = self.inside;
        inside.written = self.scripts.written;
        inside.base = Some(self.addresses.base().clone());
        let page = Page {
            features,
            text: self.words.statistics(),
            refresh: self.refresh,
            icon: self.icon,
            referrer: self.referrer,
            stopped: self.stopped || self.scripts.unread,
        };
        (page, inside)
    }
}

fn shortened(text: &str, max: usize) -> String {
    prefix(text, max).to_owned()
}
