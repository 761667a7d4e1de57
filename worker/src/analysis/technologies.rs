//! What a site is made with: servers, hosts, shops, frameworks, known by the traces they leave.
//!
//! The traces are data (`config/technologies.toml`). They are plain text with at most one version in it rather than
//! regular expressions: half a thousand compiled expressions would stand in memory for good, and looking for plain text
//! takes the same time whatever a page holds. How much of a page is looked at is bounded for each place.

mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Deserialize;
use url::Url;

use super::case::Case;
use super::lists::lists_host;
use crate::domain::document::Technology;
use trace::Trace;

/// The file as it was built in.
const EMBEDDED: &str = include_str!("../../../config/technologies.toml");

/// Read once.
static KNOWN: OnceLock<Technologies> = OnceLock::new();

/// Pages with thirty are rare; more is made up.
const MAX_FOUND: usize = 100;

/// Of one text; what tools leave stands at its beginning, but names of files at the end of an address.
const TEXT_BYTES: usize = 1024;

/// Of all texts of one place: every trace is looked for in every text, so that this bounds the time.
const PLACE_BYTES: usize = 64 * 1024;

/// Why the file does not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum TechnologiesError {
    /// Not TOML of this shape.
    #[error("the technologies do not read")]
    Syntax {
        /// Where and why.
        #[from]
        source: toml::de::Error,
    },
    /// An entry that says something impossible.
    #[error("technology '{name}': {reason}")]
    Entry {
        /// The entry's name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// One entry: a name, and traces by the place where they are left.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    categories: Vec<String>,
    #[serde(default)]
    implies: Vec<String>,
    /// Response headers by name in lower case.
    #[serde(default)]
    header: BTreeMap<String, Vec<Trace>>,
    /// Names of cookies that the page sets.
    #[serde(default)]
    cookie: Vec<Trace>,
    /// Meta elements by name in lower case.
    #[serde(default)]
    meta: BTreeMap<String, Vec<Trace>>,
    /// Sources of scripts.
    #[serde(default)]
    script: Vec<Trace>,
    /// Anything the page loads: scripts, styles, pictures, frames.
    #[serde(default)]
    resource: Vec<Trace>,
    /// Where links lead.
    #[serde(default)]
    link: Vec<Trace>,
    #[serde(default)]
    comment: Vec<Trace>,
    /// Names that the fetcher gives to traces in markup.
    #[serde(default)]
    marker: Vec<Trace>,
    /// Where forms post to.
    #[serde(default)]
    form: Vec<Trace>,
    /// Hosts of the page itself, each with all below it.
    #[serde(default)]
    host: Vec<String>,
    /// For the test: by place, one text that shows the entry (`name: text` for headers and metas).
    #[cfg_attr(not(test), expect(dead_code, reason = "the file proves itself in a test"))]
    example: BTreeMap<String, String>,
    /// For the test: the version that one of the examples shows.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "the file proves itself in a test"))]
    version: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    technology: Vec<Entry>,
}

/// All entries.
#[derive(Debug)]
pub(super) struct Technologies(Vec<Entry>);

/// All entries, read when they are first asked for: some 5 ms of a processor.
pub(super) fn known() -> &'static Technologies {
    KNOWN.get_or_init(|| Technologies::parse(EMBEDDED).expect("the embedded file is read by a test"))
}

/// What the page of this case is made with, by name.
pub(super) fn of(case: &Case<'_>) -> Vec<Technology> {
    known().found(&Traces::of(case))
}

impl Technologies {
    fn parse(text: &str) -> Result<Self, TechnologiesError> {
        let File { technology: entries } = toml::from_str(text)?;
        let mut names = BTreeSet::new();
        for entry in &entries {
            if !names.insert(entry.name.as_str()) {
                return entry.wrong("two entries have this name");
            }
            if entry.categories.is_empty() {
                return entry.wrong("it needs a category");
            }
            let lower = |name: &String| name.to_lowercase() == *name;
            if !entry.header.keys().chain(entry.meta.keys()).chain(&entry.host).all(lower) {
                return entry.wrong("names and hosts are written in lower case");
            }
        }
        for entry in &entries {
            if !entry.implies.iter().all(|name| names.contains(name.as_str())) {
                return entry.wrong("it implies what has no entry");
            }
        }
        Ok(Self(entries))
    }

    fn found(&self, traces: &Traces) -> Vec<Technology> {
        let mut found = BTreeMap::<&str, Option<String>>::new();
        for entry in &self.0 {
            if let Some(version) = entry.seen_in(traces) {
                found.insert(&entry.name, version);
            }
        }
        // Each round adds at least one entry or ends.
        loop {
            let implied: Vec<&str> = self
                .0
                .iter()
                .filter(|entry| found.contains_key(entry.name.as_str()))
                .flat_map(|entry| entry.implies.iter().map(String::as_str))
                .filter(|name| !found.contains_key(name))
                .collect();
            if implied.is_empty() {
                break;
            }
            found.extend(implied.into_iter().map(|name| (name, None)));
        }
        let shown = self.0.iter().filter_map(|entry| {
            let version = found.get(entry.name.as_str())?.clone();
            Some(Technology { name: entry.name.clone(), version, categories: entry.categories.clone() })
        });
        let mut shown: Vec<_> = shown.collect();
        shown.sort_by_cached_key(|technology| technology.name.to_lowercase());
        shown.truncate(MAX_FOUND);
        shown
    }
}

impl Entry {
    fn wrong<T>(&self, reason: &'static str) -> Result<T, TechnologiesError> {
        Err(TechnologiesError::Entry { name: self.name.clone(), reason })
    }

    /// Whether it left a trace, and the version where one says it.
    fn seen_in(&self, traces: &Traces) -> Option<Option<String>> {
        let named = |own: &BTreeMap<String, Vec<Trace>>, there: &BTreeMap<String, Vec<String>>| {
            let pairs = own.iter().filter_map(|(name, own)| Some((own, there.get(name)?)));
            strongest(pairs.filter_map(|(own, there)| first(own, there)))
        };
        let places = [
            (&self.cookie, &traces.cookie),
            (&self.script, &traces.script),
            (&self.resource, &traces.resource),
            (&self.link, &traces.link),
            (&self.comment, &traces.comment),
            (&self.marker, &traces.marker),
            (&self.form, &traces.form),
        ];
        let host = traces.host.as_ref().is_some_and(|host| lists_host(&self.host, host));
        let found =
            [named(&self.header, &traces.header), named(&self.meta, &traces.meta), host.then_some(None)];
        let listed = places.into_iter().filter_map(|(own, there)| first(own, there));
        strongest(found.into_iter().flatten().chain(listed))
    }
}

/// What the traces say of these texts together.
fn first(traces: &[Trace], texts: &[String]) -> Option<Option<String>> {
    strongest(traces.iter().flat_map(|trace| texts.iter().filter_map(|text| trace.find(text))))
}

/// One that names a version, else any.
fn strongest(mut found: impl Iterator<Item = Option<String>>) -> Option<Option<String>> {
    let one = found.next()?;
    Some(if one.is_some() { one } else { found.find(Option::is_some).flatten() })
}

/// Everything of a page in which traces are looked for, in lower case and bounded.
#[derive(Debug, Default)]
struct Traces {
    host: Option<String>,
    header: BTreeMap<String, Vec<String>>,
    cookie: Vec<String>,
    meta: BTreeMap<String, Vec<String>>,
    script: Vec<String>,
    resource: Vec<String>,
    link: Vec<String>,
    comment: Vec<String>,
    marker: Vec<String>,
    form: Vec<String>,
}

impl Traces {
    fn of(case: &Case<'_>) -> Self {
        let mut traces = Self::default();
        if let Some(answer) = case.answer {
            let mut left = PLACE_BYTES;
            for header in &answer.headers {
                let name = header.name.to_ascii_lowercase();
                let Some(value) = taken(&header.value, &mut left) else { break };
                if name == "set-cookie" {
                    traces.cookie.push(value.split('=').next().unwrap_or_default().trim().to_owned());
                }
                traces.header.entry(name).or_default().push(value);
            }
        }
        traces.host = case.page.as_ref().and_then(Url::host_str).map(str::to_ascii_lowercase);
        let Some(features) = case.features() else { return traces };
        let mut left = PLACE_BYTES;
        for (name, value) in &features.meta {
            let Some(value) = taken(value, &mut left) else { break };
            traces.meta.insert(name.to_ascii_lowercase(), vec![value]);
        }
        let sources = features.scripts.iter().filter_map(|script| script.src.as_deref());
        let frames = features.iframes.iter().filter_map(|frame| frame.src.as_deref());
        let loaded = features.resources.iter().map(String::as_str);
        traces.script = all(sources.clone());
        traces.resource = all(sources.chain(loaded).chain(frames));
        traces.link = all(features.links.list.iter().map(|link| link.href.as_str()));
        traces.comment = all(features.comments.iter().map(String::as_str));
        traces.marker = all(features.markers.iter().map(String::as_str));
        let actions = features.forms.iter().flat_map(|form| {
            let controls = form.inputs.iter().filter_map(|input| input.form_action.as_deref());
            std::iter::once(form.action.as_str()).chain(controls)
        });
        traces.form = all(actions);
        traces
    }
}

/// The texts of one place, without doubles, until they are too many.
fn all<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut left = PLACE_BYTES;
    let mut known = BTreeSet::new();
    let distinct = texts.filter(|text| known.insert(*text));
    distinct.map_while(|text| taken(text, &mut left)).collect()
}

/// The beginning of a text in lower case, paid for out of what may still be looked at.
fn taken(text: &str, left: &mut usize) -> Option<String> {
    let mut end = text.len().min(TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    *left = left.checked_sub(end.max(1))?;
    text.get(..end).map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests;
