//! The names of a queue's keys. All of them begin with the same text, so that a hash tag in prefix or name puts them into
//! one slot of a cluster.

/// Prefix and name of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
    queue: String,
}

impl Keys {
    /// `prefix:queue:…`. A name must not contain a colon, which the settings see to.
    #[must_use]
    pub fn new(prefix: &str, queue: &str) -> Self {
        Self { prefix: prefix.to_owned(), queue: queue.to_owned() }
    }

    /// The prefix, `bull` by default.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The queue's name.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// What every key begins with, the colon included.
    #[must_use]
    pub fn base(&self) -> String {
        format!("{}:{}:", self.prefix, self.queue)
    }

    /// One key: `wait`, `marker`, an entry's id.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}:{}:{name}", self.prefix, self.queue)
    }
}
