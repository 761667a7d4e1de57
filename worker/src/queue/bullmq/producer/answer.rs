//! The answer of one of a producer's scripts: a flat array, read from the front.

use std::vec::IntoIter;

use redis::Value;

use crate::queue::bullmq::link::{Link, RedisError};
use crate::queue::bullmq::script::Operation;

/// What is left to read of it.
pub(crate) struct Answer {
    operation: &'static str,
    rest: IntoIter<Value>,
}

impl Answer {
    /// Carries the operation out.
    pub(in crate::queue::bullmq) async fn to(
        link: &Link,
        operation: &Operation,
        arguments: &[&str],
    ) -> Result<Self, RedisError> {
        Ok(Self::of(operation.name, link.run(operation, arguments).await?))
    }

    /// What was answered to an operation.
    pub(crate) fn of(operation: &'static str, parts: Vec<Value>) -> Self {
        Self { operation, rest: parts.into_iter() }
    }

    /// The next element.
    pub(crate) fn text(&mut self) -> Result<String, RedisError> {
        let part = self.rest.next().ok_or_else(|| self.wrong("too little"))?;
        self.text_of(&part)
    }

    /// The next element, a count.
    pub(crate) fn number(&mut self) -> Result<u64, RedisError> {
        let text = self.text()?;
        text.parse().map_err(|_| self.wrong(&text))
    }

    /// The next element, of which only one is possible.
    pub(in crate::queue::bullmq) fn expect(&mut self, only: &str) -> Result<(), RedisError> {
        let text = self.text()?;
        if text == only { Ok(()) } else { Err(self.wrong(&text)) }
    }

    /// Everything that follows.
    pub(crate) fn rest(mut self) -> Result<Vec<String>, RedisError> {
        let rest = std::mem::take(&mut self.rest);
        rest.map(|part| self.text_of(&part)).collect()
    }

    /// Something that the operation cannot have said.
    pub(in crate::queue::bullmq) fn wrong(&self, found: &str) -> RedisError {
        RedisError::Answer { operation: self.operation, found: found.to_owned() }
    }

    /// Bytes that are no text become the replacement character: other programs may have written anything.
    fn text_of(&self, part: &Value) -> Result<String, RedisError> {
        match part {
            Value::BulkString(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Value::Int(number) => Ok(number.to_string()),
            _ => Err(self.wrong("neither a text nor a number")),
        }
    }
}
