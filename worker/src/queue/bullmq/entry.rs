//! An entry of the queue as its hash says it.

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
    /// Reads a hash, field and value in turn.
    #[must_use]
    pub fn read(id: &str, fields: &[(String, String)]) -> Self {
        let _ = (id, fields);
        todo!("consumer")
    }

    /// What the decision about it needs.
    #[must_use]
    pub const fn delivered(&self) -> Delivered {
        Delivered { atm: self.atm, deferred: self.deferred.is_some() }
    }
}
