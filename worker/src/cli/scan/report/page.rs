//! What the page is, what it wants of its visitor, and what it loads.

use std::collections::BTreeMap;

use safeurl_protocol::{EmbeddedKind, RedirectMeans, Script};
use url::Url;

use super::{LIST, bytes, listed};
use crate::cli::terminal::defang::Defang;
use crate::cli::terminal::layout::Section;
use crate::cli::terminal::text::{FAINT, NONE, RED, Text, YELLOW};
use crate::domain::document::{Content, Document, Features, Form, Page};
use crate::domain::target::apex_of;

/// Names and fields in one row.
const IN_A_ROW: usize = 16;

pub(super) fn sections(document: &Document, defang: Defang) -> Vec<Section> {
    let body = &document.body;
    let mut sections = Vec::new();
    if let Some(features) = &body.features {
        sections.push(forms(features, defang));
    }
    sections.push(what(body.page.as_ref(), body.content.as_ref(), body.features.as_ref(), defang));
    if let Some(features) = &body.features {
        sections.push(loads(features, body.page.as_ref(), defang));
        sections.push(hidden(features, defang));
        sections.push(links(features, defang));
        sections.push(contacts(features, defang));
        sections.push(technologies(features));
    }
    sections
}

fn what(
    page: Option<&Page>,
    content: Option<&Content>,
    features: Option<&Features>,
    defang: Defang,
) -> Section {
    let mut section = Section::short("What is there");
    if let Some(page) = page {
        section.pair_if("title", page.title.as_ref().map(|title| Text::new(NONE, &defang.text(title))));
        section.pair_if("about", page.description.as_ref().map(|text| Text::new(NONE, &defang.text(text))));
    }
    if let Some(content) = content {
        section.pair("type", kind(content));
        file(&mut section, content);
        let truncated = if content.truncated { ", cut short" } else { "" };
        section.pair("size", format!("{}{truncated}", bytes(content.size)));
    }
    if let Some(page) = page {
        let text = content.and_then(|content| content.text.as_ref());
        let language = text.and_then(|text| text.language.as_ref()).or(page.language.as_ref());
        section.pair_if("language", language);
        section.pair_if("text", text.map(|text| format!("{} words", text.words)));
        section.pair_if("server", page.server.as_ref());
    }
    section.pair_if("sha256", content.map(|content| &content.sha256));
    let icon = features.and_then(|features| features.favicon.as_ref());
    section.pair_if("icon", icon.map(|icon| format!("mmh3 {}", icon.mmh3)));
    section
}

/// What the bytes are, and what the server says when that is something else.
fn kind(content: &Content) -> Text {
    let declared = content.declared_mime_type.as_deref().unwrap_or("no type");
    match content.sniffed_mime_type.as_deref() {
        Some(sniffed) if declared.starts_with(sniffed) => Text::new(NONE, declared),
        Some(sniffed) => Text::new(NONE, sniffed).and(YELLOW, &format!(", declared as {declared}")),
        None => Text::new(NONE, declared),
    }
}

fn file(section: &mut Section, content: &Content) {
    let Some(name) = &content.file_name else {
        return section.pair_if("file", content.attachment.then_some("to be saved, without a name"));
    };
    let mut text = Text::new(NONE, name);
    if content.attachment {
        text = text.and(FAINT, " (to be saved)");
    }
    if content.name_matches_type == Some(false) {
        text = text.and(RED, ", whose name does not fit what it is");
    }
    section.pair("file", text);
}

fn forms(features: &Features, defang: Defang) -> Section {
    let mut section = Section::full("What it wants");
    section.list(&features.forms, LIST, |section, form| wants(section, form, defang));
    section
}

fn wants(section: &mut Section, form: &Form, defang: Defang) {
    let mut marks = Text::default();
    if form.has_password {
        marks = marks.and(YELLOW, "asks for a password");
    }
    if form.cross_domain {
        let to = form.action_domain.as_deref().map(|domain| defang.host(domain)).unwrap_or_default();
        let comma = if marks.is_empty() { "" } else { ", " };
        marks = marks.and(NONE, comma).and(RED, &format!("sends it to another site: {to}"));
    }
    let action = Text::new(NONE, &defang.text(&form.action));
    section.row(Text::new(FAINT, &form.method), action, marks);
    let mut fields = Text::default();
    // What is pressed is not what is asked for.
    let pressed = ["button", "submit", "reset", "image"];
    let asked: Vec<_> = form.inputs.iter().filter(|input| !pressed.contains(&input.kind.as_str())).collect();
    for (n, input) in asked.iter().take(IN_A_ROW).enumerate() {
        let name = if input.name.is_empty() { "(no name)" } else { &input.name };
        let style = if input.kind == "password" { YELLOW } else { FAINT };
        let comma = if n == 0 { "" } else { ", " };
        fields = fields.and(FAINT, comma).and(style, &format!("{name}: {}", input.kind));
    }
    if !fields.is_empty() {
        section.more(fields);
    }
    section.left_out(asked.len().saturating_sub(IN_A_ROW));
    for input in form.inputs.iter().filter(|input| input.form_action.is_some()).take(IN_A_ROW) {
        let to = input.form_action.as_deref().unwrap_or_default();
        section.more(Text::new(YELLOW, &format!("{} sends it to {}", input.name, defang.text(to))));
    }
}

fn loads(features: &Features, page: Option<&Page>, defang: Defang) -> Section {
    let mut section = Section::short("What it loads");
    let own = page.and_then(|page| page.apex_domain.as_deref().or(page.domain.as_deref()));
    let (counts, foreign) = scripts(&features.scripts, own);
    section.pair_if("scripts", (!features.scripts.is_empty()).then_some(counts));
    section.list(foreign, LIST, |section, (domain, count)| {
        section.pair("", format!("{count} from {}", defang.host(&domain)));
    });
    let traits: BTreeMap<&str, ()> =
        features.scripts.iter().flat_map(|script| &script.traits).map(|name| (name.as_str(), ())).collect();
    section
        .pair_if("in scripts", (!traits.is_empty()).then(|| Text::new(YELLOW, &listed(traits.into_keys()))));
    section.list(&features.iframes, LIST, |section, frame| {
        let text = Text::new(NONE, &defang.text(frame.src.as_deref().unwrap_or("inside the page")));
        section.pair("frame", if frame.hidden { text.and(YELLOW, " (hidden)") } else { text });
    });
    section
}

/// Counts in words, and foreign domains, most used first.
fn scripts(scripts: &[Script], own: Option<&str>) -> (String, Vec<(String, usize)>) {
    let (mut inline, mut same) = (0_usize, 0_usize);
    let mut foreign: BTreeMap<String, usize> = BTreeMap::new();
    for script in scripts {
        let Some(src) = &script.src else {
            inline += 1;
            continue;
        };
        let url = Url::parse(src).ok();
        let domain = url.as_ref().and_then(|url| apex_of(url).or_else(|| url.host_str().map(str::to_owned)));
        match domain {
            Some(domain) if Some(domain.as_str()) == own => same += 1,
            Some(domain) => *foreign.entry(domain).or_default() += 1,
            None => *foreign.entry("no host".to_owned()).or_default() += 1,
        }
    }
    let other: usize = foreign.values().sum();
    let counts = [(inline, "in the page"), (same, "of its own"), (other, "of others")];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let mut foreign: Vec<_> = foreign.into_iter().collect();
    foreign.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    (counts, foreign)
}

/// What is not to be seen by looking at the page.
fn hidden(features: &Features, defang: Defang) -> Section {
    let mut section = Section::short("What it hides");
    section.list(&features.possible_redirects, LIST, |section, redirect| {
        let by = match redirect.by {
            RedirectMeans::Location => "may go to",
            RedirectMeans::Replace => "may turn into",
            RedirectMeans::Open => "may open",
            RedirectMeans::Meta => "may refresh to",
        };
        section.pair(by, Text::new(NONE, &defang.text(&redirect.to)));
    });
    section.list(&features.embedded, LIST, |section, embedded| {
        let how = match embedded.kind {
            EmbeddedKind::Data => "data URL",
            EmbeddedKind::Blob => "blob URL",
            EmbeddedKind::Srcdoc => "srcdoc",
        };
        let kind = embedded.mime_type.as_deref().unwrap_or("unknown type");
        let size = embedded.size.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
        section.pair("carries", format!("{kind}{size} ({how} in {})", embedded.element));
    });
    section.list(&features.comments, LIST, |section, comment| {
        section.pair("comment", Text::new(FAINT, &defang.text(comment)));
    });
    section
}

fn links(features: &Features, defang: Defang) -> Section {
    let mut section = Section::short("Where it points");
    let links = &features.links;
    if links.internal + links.external > 0 {
        section.pair("links", format!("{} on the site, {} to others", links.internal, links.external));
    }
    section.list(&links.domains, LIST, |section, domain| {
        section.pair("", format!("{} to {}", domain.links, defang.host(&domain.domain)));
    });
    section
}

fn contacts(features: &Features, defang: Defang) -> Section {
    let mut section = Section::short("Contacts");
    section.list(features.emails.iter().flatten(), LIST, |section, address| {
        section.pair("e-mail", Text::new(NONE, &defang.host(address)));
    });
    section.list(features.phones.iter().flatten(), LIST, |section, phone| {
        let region = phone.region.as_ref().map(|region| format!(" ({region})")).unwrap_or_default();
        section.pair("phone", format!("{}{region}", phone.e164));
    });
    section
}

fn technologies(features: &Features) -> Section {
    let mut section = Section::short("Made with");
    section.list(features.technologies.iter().flatten(), LIST, |section, technology| {
        let version = technology.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        let text = Text::new(NONE, &format!("{}{version}", technology.name));
        let kinds = listed(technology.categories.iter().map(String::as_str));
        section.row(Text::default(), text, Text::new(FAINT, &kinds));
    });
    section
}
