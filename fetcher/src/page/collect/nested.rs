//! Documents inside a page, read one level deep and added to its facts.
//!
//! What a frame carries in itself (`srcdoc`, `data:`) is part of what a person is shown: its links, forms, scripts and
//! frames follow the page's own in the lists and count like them. Of markup that scripts write, forms and frames are
//! added, and a refresh in it is a possible redirect: whether it is ever written is not known.

use std::time::Instant;

use safeurl_protocol::{EmbeddedKind, Features, RedirectMeans};
use url::Url;

use super::{Inside, MAX_FRAMES, MAX_LINKS, MAX_SCRIPTS, Page, Walk};
use crate::page::contact::{MAX_EMAILS, MAX_PHONES};
use crate::page::form::MAX_FORMS;
use crate::page::parse;
use crate::report::prefix;

/// Documents read inside a page; who hides one hides one.
const MAX_DOCUMENTS: usize = 16;
/// Of all of them together.
const MAX_BYTES: usize = 2 * 1024 * 1024;

impl Inside {
    /// Keeps a document for later; `false` when there is not room for all of it.
    pub(super) fn carry(&mut self, kind: EmbeddedKind, mut html: Vec<u8>, base: &Url) -> bool {
        if html.is_empty() {
            return true;
        }
        let held: usize = self.carried.iter().map(|(html, _)| html.len()).sum();
        let room = if self.carried.len() < MAX_DOCUMENTS { MAX_BYTES.saturating_sub(held) } else { 0 };
        let whole = html.len() <= room;
        html.truncate(room);
        if html.is_empty() {
            return false;
        }
        let base = match kind {
            EmbeddedKind::Srcdoc => Some(base.clone()),
            // Nothing is relative to an address that holds its document itself.
            EmbeddedKind::Data | EmbeddedKind::Blob => Url::parse("data:,").ok(),
        };
        self.carried.extend(base.map(|base| (html, base)));
        whole
    }
}

/// Reads what is inside and adds it.
pub(super) fn add(page: &mut Page, inside: Inside, url: &Url, deadline: Instant) {
    for (html, base) in &inside.carried {
        let read = read(html, base, deadline);
        page.stopped |= read.stopped;
        add_carried(&mut page.features, read.features);
    }
    let base = inside.base.as_ref().unwrap_or(url);
    for html in &inside.written {
        let read = read(html.as_bytes(), base, deadline);
        page.stopped |= read.stopped;
        let mut features = read.features;
        add_refresh(&mut page.features, &mut features);
        add_forms(&mut page.features, &mut features);
    }
}

fn read(html: &[u8], base: &Url, deadline: Instant) -> Page {
    let parsed = parse::parse_inner(html, deadline);
    let (mut page, _) = Walk::over(&parsed.dom, base, deadline);
    page.stopped |= parsed.stopped;
    page
}

fn add_carried(page: &mut Features, mut inner: Features) {
    page.links.total = page.links.total.saturating_add(inner.links.total);
    page.script_count = page.script_count.saturating_add(inner.script_count);
    let links_left = extend(&mut page.links.list, &mut inner.links.list, MAX_LINKS);
    page.links.capped |= links_left || inner.links.capped;
    if page.links.capped {
        name_capped(page, "links");
    }
    if extend(&mut page.scripts, &mut inner.scripts, MAX_SCRIPTS) {
        name_capped(page, "scripts");
    }
    inner.emails.retain(|address| !page.emails.contains(address));
    if extend(&mut page.emails, &mut inner.emails, MAX_EMAILS) {
        name_capped(page, "emails");
    }
    inner.phones.retain(|phone| !page.phones.contains(phone));
    if extend(&mut page.phones, &mut inner.phones, MAX_PHONES) {
        name_capped(page, "phones");
    }
    add_refresh(page, &mut inner);
    add_redirects(page, &mut inner);
    add_forms(page, &mut inner);
}

fn add_forms(page: &mut Features, inner: &mut Features) {
    page.form_count = page.form_count.saturating_add(inner.form_count);
    page.password_fields = page.password_fields.saturating_add(inner.password_fields);
    inner.forms.iter_mut().for_each(|form| form.embedded = true);
    if extend(&mut page.forms, &mut inner.forms, MAX_FORMS) {
        name_capped(page, "forms");
    }
    if extend(&mut page.iframes, &mut inner.iframes, MAX_FRAMES) {
        name_capped(page, "iframes");
    }
    for list in &inner.capped {
        name_capped(page, list);
    }
}

/// A refresh in there is none of the page's: it moves a frame, or is not there before a script ran.
fn add_refresh(page: &mut Features, inner: &mut Features) {
    let refresh = inner.meta_refresh.take();
    inner
        .possible_redirects
        .extend(refresh.map(|to| safeurl_protocol::PossibleRedirect { to, by: RedirectMeans::Meta }));
    add_redirects(page, inner);
}

fn add_redirects(page: &mut Features, inner: &mut Features) {
    inner.possible_redirects.retain(|redirect| !page.possible_redirects.contains(redirect));
    let room = crate::page::script::MAX_REDIRECTS;
    if extend(&mut page.possible_redirects, &mut inner.possible_redirects, room) {
        name_capped(page, "possibleRedirects");
    }
}

/// Moves over what there is room for; whether something was left.
fn extend<T>(list: &mut Vec<T>, more: &mut Vec<T>, max: usize) -> bool {
    let room = max.saturating_sub(list.len()).min(more.len());
    list.extend(more.drain(..room));
    !more.is_empty()
}

/// Names a list once.
pub(super) fn name_capped(features: &mut Features, list: &str) {
    if !features.capped.iter().any(|named| named == list) {
        features.capped.push(prefix(list, 64).to_owned());
    }
}
