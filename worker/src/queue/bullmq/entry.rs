//! An entry of the queue as its hash says it.

mod options;
#[cfg(test)]
mod tests;

use serde_json::Value;

use options::leading_integer;
pub(super) use options::{Keep, LONGEST, Options};

use crate::domain::delivery::{Delivered, Retries};

/// An entry. Other programs write it: whatever cannot be read has the value that BullMQ's own readers give it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// The job's name.
    pub name: String,
    /// JSON text, byte for byte.
    pub data: String,
    /// JSON text.
    pub opts: String,
    /// When it was added, in milliseconds by the producer's clock.
    pub timestamp: i64,
    /// Attempts made.
    pub atm: u32,
    /// Attempts started.
    pub ats: u32,
    /// The text with which it is to be failed unrun.
    pub deferred: Option<String>,
    /// The scheduler whose iteration it is.
    pub scheduler: Option<String>,
    /// The full key of the flow's parent.
    pub parent_key: Option<String>,
    /// The stack traces so far, as JSON text.
    pub stacktrace: Option<String>,
    /// How often it is tried.
    pub retries: Retries,
}

impl Entry {
    /// Reads a hash, field and value in turn; of a field that comes twice the last one counts.
    #[must_use]
    pub fn read(id: &str, fields: &[(String, String)]) -> Self {
        // An empty text is no text to BullMQ's readers.
        let text = |name: &str| {
            let found = fields.iter().rev().find(|(field, _)| field == name);
            found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        let count = |name: &str| {
            let read = text(name).and_then(|value| leading_integer(&value));
            read.map(|number| u32::try_from(number.max(0)).unwrap_or(u32::MAX))
        };
        let opts = text("opts").unwrap_or_else(|| "{}".to_owned());
        Self {
            id: id.to_owned(),
            name: text("name").unwrap_or_default(),
            data: text("data").unwrap_or_else(|| "{}".to_owned()),
            timestamp: text("timestamp").and_then(|value| leading_integer(&value)).unwrap_or(0),
            // The older name of the count, where there is one, is what BullMQ's readers prefer.
            atm: count("attemptsMade").or_else(|| count("atm")).unwrap_or(0),
            ats: count("ats").unwrap_or(0),
            deferred: text("defa"),
            scheduler: text("rjk"),
            parent_key: text("parentKey"),
            stacktrace: text("stacktrace"),
            retries: Options::read(&opts).retries(),
            opts,
        }
    }

    /// What the decision about it needs.
    #[must_use]
    pub const fn delivered(&self) -> Delivered {
        Delivered { atm: self.atm, deferred: self.deferred.is_some() }
    }

    pub(crate) fn options(&self) -> Options {
        Options::read(&self.opts)
    }

    /// The stack traces with one more failed attempt, as JSON text: the newest ones, as many as the entry asks for.
    pub(crate) fn stacktrace_with(&self, reason: &str) -> String {
        let before =
            self.stacktrace.as_deref().and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
        let mut traces = before.unwrap_or_default();
        traces.push(Value::from(reason));
        if let Some(limit) = self.options().stack_traces() {
            traces.drain(..traces.len().saturating_sub(limit));
        }
        Value::from(traces).to_string()
    }
}
