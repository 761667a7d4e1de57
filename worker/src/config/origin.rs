//! Where a value comes from.
//!
//! Owns the record that `config show` prints: every setting, its value with secrets masked, and the layer it came
//! from. It holds no secret, so it may be shown whole.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

/// The place one value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `config/safeurl.toml` as embedded in the program.
    Default,
    /// A file.
    File {
        /// Its path as it was given.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A variable of the file `.env`.
    DotEnv {
        /// Its name.
        name: String,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        name: String,
    },
    /// A flag of the command line.
    Flag {
        /// With its dashes.
        flag: &'static str,
    },
    /// Left open, and decided by another setting.
    Follows {
        /// Its key.
        from: &'static str,
        /// Where that one stands.
        base: Box<Origin>,
    },
    /// A flag that adds to what the layers below say.
    Added {
        /// With its dashes.
        flag: &'static str,
        /// What it adds to.
        base: Box<Origin>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::DotEnv { name } => write!(f, ".env {name}"),
            Self::Environment { name } => write!(f, "environment {name}"),
            Self::Flag { flag } => write!(f, "flag {flag}"),
            Self::Follows { from, base } => write!(f, "follows from {from}, {base}"),
            Self::Added { flag, base } => write!(f, "flag {flag} added to {base}"),
        }
    }
}

/// One setting as it may be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// `section.key`.
    pub key: &'static str,
    /// Masked where it is secret.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// Every setting with its origin, in the order of the reference file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origins {
    settings: Vec<Shown>,
}

impl Origins {
    pub(super) fn push(&mut self, shown: Shown) {
        self.settings.push(shown);
    }

    /// Replaces what was written down for a key.
    pub(super) fn settle(&mut self, key: &str, value: Value, origin: Origin) {
        if let Some(shown) = self.settings.iter_mut().find(|shown| shown.key == key) {
            (shown.value, shown.origin) = (value, origin);
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Shown> {
        self.settings.iter()
    }

    /// The one with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Shown> {
        self.settings.iter().find(|shown| shown.key == key)
    }

    /// Whether anything above the embedded defaults sets this key.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.get(key).is_some_and(|shown| shown.origin != Origin::Default)
    }
}

impl Shown {
    /// The value as a person reads it: bare text, lists and tables by comma.
    #[must_use]
    pub fn text(&self) -> String {
        bare(&self.value)
    }
}

fn bare(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => items.iter().map(bare).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            map.iter().map(|(name, value)| format!("{name}={}", bare(value))).collect::<Vec<_>>().join(", ")
        }
    }
}
