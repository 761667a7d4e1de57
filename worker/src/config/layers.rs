//! Which layer says what, and which one counts.
//!
//! Owns the order of the layers and the search for names that are no setting. It does not know what a value means:
//! the winner of each key goes on as it was written, with its origin.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Problem};
use super::key::{self, KEYS, Key};
use super::origin::Origin;
use super::raw::Raw;
use super::sources::{Flag, Sources};

/// A value as written, and where.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

/// By key.
pub(super) type Layer = BTreeMap<&'static str, Written>;

/// The text that is the lowest layer.
pub(super) const REFERENCE: &str = include_str!("../../../config/safeurl.toml");

/// The lowest layer. A test reads every key of it, so that nothing of it can be missing or wrong at run time.
pub(super) fn defaults() -> Result<Layer, ConfigError> {
    let (mut layer, unknown) = file(Path::new("config/safeurl.toml"), REFERENCE)?;
    if !unknown.is_empty() {
        return Err(ConfigError::Invalid(unknown));
    }
    for written in layer.values_mut() {
        written.origin = Origin::Default;
    }
    Ok(layer)
}

/// The winners of all layers above the defaults, with the problems of their names.
pub(super) fn settled(mut base: Layer, sources: &Sources) -> Result<(Layer, Vec<Problem>), ConfigError> {
    let mut problems = Vec::new();
    if let Some(text) = &sources.file {
        let (layer, unknown) = file(&text.path, &text.text)?;
        base.extend(layer);
        problems.extend(unknown);
    }
    let origin = |name: &str| Origin::DotEnv { name: name.to_owned() };
    base.extend(variables(&sources.dotenv, origin, &mut problems));
    let origin = |name: &str| Origin::Environment { name: name.to_owned() };
    base.extend(variables(&sources.environment, origin, &mut problems));
    for flag in &sources.flags {
        apply(&mut base, flag);
    }
    Ok((base, problems))
}

fn apply(layer: &mut Layer, flag: &Flag) {
    let raw = Raw::Loose(flag.text.clone());
    let adds = key::find(flag.key).is_some_and(|key| key.adds);
    let below = layer.remove(flag.key).filter(|_| adds);
    let written = match below.map(|below| (below.raw.items(), below.origin)) {
        Some((Some(items), origin)) => Written {
            // One flag is one item: a header may have commas in it, and a person writes the flag again.
            raw: Raw::List(items.into_iter().chain([raw]).collect()),
            origin: match origin {
                Origin::Added { .. } => origin,
                Origin::Default
                | Origin::File { .. }
                | Origin::DotEnv { .. }
                | Origin::Environment { .. }
                | Origin::Follows { .. }
                | Origin::Flag { .. } => Origin::Added { flag: flag.flag, base: Box::new(origin) },
            },
        },
        _ => Written { raw, origin: Origin::Flag { flag: flag.flag } },
    };
    layer.insert(flag.key, written);
}

fn variables(
    pairs: &BTreeMap<String, String>,
    origin: impl Fn(&str) -> Origin,
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::new();
    for key in KEYS {
        let ours = key.variable();
        let ours = pairs.get(&ours).map(|value| (ours, value.clone()));
        // `NAME=` in the files of existing installations means that it is not set.
        let older = || {
            key.older.iter().find_map(|older| {
                let value = pairs.get(older.name).filter(|value| !value.trim().is_empty())?;
                let (before, after) = older.around;
                let value = value.trim();
                // Somebody may have written what stands around it already.
                let before = if value.starts_with(before) { "" } else { before };
                let after = if value.ends_with(|last: char| last.is_ascii_digit()) { after } else { "" };
                Some((older.name.to_owned(), format!("{before}{value}{after}")))
            })
        };
        if let Some((name, value)) = ours.or_else(older) {
            layer.insert(key.path, Written { raw: Raw::Loose(value), origin: origin(&name) });
        }
    }
    let strangers = pairs.keys().filter(|name| {
        name.starts_with(key::VARIABLE_PREFIX)
            && !key::OTHER_VARIABLES.contains(&name.as_str())
            && !KEYS.iter().any(|key| key.variable() == **name)
    });
    for name in strangers {
        problems.push(Problem {
            origin: origin(name),
            message: "there is no such setting".to_owned(),
            hint: Some(match key::meant_variable(name) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "`safeurl config show` lists every setting".to_owned(),
            }),
        });
    }
    layer
}

fn file(path: &Path, text: &str) -> Result<(Layer, Vec<Problem>), ConfigError> {
    let line = |offset: usize| 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count();
    let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| line(span.start)),
        message: error.message().trim().replace('\n', ", "),
    })?;
    let mut layer = Layer::new();
    let mut problems = Vec::new();
    for (section, value) in document.get_ref() {
        let origin = |offset| Origin::File { path: path.to_owned(), line: line(offset) };
        let name = section.get_ref().as_ref();
        let DeValue::Table(entries) = value.get_ref() else {
            problems.push(unknown(origin(section.span().start), name));
            continue;
        };
        if !key::is_section(name) {
            problems.push(unknown_section(origin(section.span().start), name));
            continue;
        }
        for (entry, value) in entries {
            let origin = origin(entry.span().start);
            let path = format!("{name}.{}", entry.get_ref());
            match key::find(&path) {
                Some(key) => {
                    layer.insert(key.path, Written { raw: Raw::from_toml(value.get_ref()), origin });
                }
                None => problems.push(unknown(origin, &path)),
            }
        }
    }
    Ok((layer, problems))
}

fn unknown(origin: Origin, path: &str) -> Problem {
    let hint = match key::meant_path(path) {
        Some(meant) => format!("did you mean {} in [{}]?", meant.name(), meant.section()),
        None => "`safeurl config show` lists every setting".to_owned(),
    };
    Problem { origin, message: format!("there is no setting {path}"), hint: Some(hint) }
}

fn unknown_section(origin: Origin, name: &str) -> Problem {
    let hint = match key::meant_section(name) {
        Some(meant) => format!("did you mean [{meant}]?"),
        None => "`safeurl config show` lists every setting".to_owned(),
    };
    Problem { origin, message: format!("there is no section [{name}]"), hint: Some(hint) }
}

/// The value of one key; every key has one, because the defaults name them all.
pub(super) fn of<'l>(layer: &'l Layer, key: &Key) -> &'l Written {
    &layer[key.path]
}
