//! The answer of one of a producer's scripts: a flat array, read from the front.

use std::vec::IntoIter;

use crate::queue::bullmq::link::{Link, RedisError};
use crate::queue::bullmq::script::Operation;

/// What is left to read of it.
pub(in crate::queue::bullmq) struct Answer {
    operation: &'static str,
    rest: IntoIter<String>,
}

impl Answer {
    /// Carries the operation out.
    pub(in crate::queue::bullmq) async fn to(
        link: &Link,
        operation: &Operation,
        arguments: &[&str],
    ) -> Result<Self, RedisError> {
        let texts: Vec<String> = link.run(operation, arguments).await?;
        Ok(Self { operation: operation.name, rest: texts.into_iter() })
    }

    /// The next element.
    pub(in crate::queue::bullmq) fn text(&mut self) -> Result<String, RedisError> {
        self.rest.next().ok_or_else(|| self.wrong("too little"))
    }

    /// The next element, a count.
    pub(in crate::queue::bullmq) fn number(&mut self) -> Result<u64, RedisError> {
        let text = self.text()?;
        text.parse().map_err(|_| self.wrong(&text))
    }

    /// The next element, of which only one is possible.
    pub(in crate::queue::bullmq) fn expect(&mut self, only: &str) -> Result<(), RedisError> {
        let text = self.text()?;
        if text == only { Ok(()) } else { Err(self.wrong(&text)) }
    }

    /// Everything that follows.
    pub(in crate::queue::bullmq) fn rest(self) -> Vec<String> {
        self.rest.collect()
    }

    /// Something that the operation cannot have said.
    pub(in crate::queue::bullmq) fn wrong(&self, found: &str) -> RedisError {
        RedisError::Answer { operation: self.operation, found: found.to_owned() }
    }
}
