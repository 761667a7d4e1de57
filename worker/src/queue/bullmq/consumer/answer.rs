//! What the scripts answer: an array whose first element says what became of the call.

use std::time::Duration;

use redis::Value;

use super::{HandedOver, Look, Moved, Taken};
use crate::queue::bullmq::entry::Entry;
use crate::queue::bullmq::link::RedisError;

/// An answer, taken apart.
#[derive(Clone)]
pub(crate) struct Answer {
    operation: &'static str,
    whole: Value,
}

impl Answer {
    pub(crate) const fn new(operation: &'static str, whole: Value) -> Self {
        Self { operation, whole }
    }

    pub(crate) fn taken(self) -> Result<Taken, RedisError> {
        match self.parts() {
            ("entry", [id, fields]) => self.entry(id, fields).map(|entry| Taken::Entry(Box::new(entry))),
            ("nothing", []) => Ok(Taken::Nothing { next: None }),
            ("nothing", [Value::Int(next)]) => Ok(Taken::Nothing { next: Some(millis(*next)) }),
            _ => Err(self.odd()),
        }
    }

    pub(crate) fn look(self) -> Result<Look, RedisError> {
        let counted = |due: i64, next| Look { due: usize::try_from(due).unwrap_or(0), next };
        match self.parts() {
            ("due", [Value::Int(due)]) => Ok(counted(*due, None)),
            ("due", [Value::Int(due), Value::Int(next)]) => Ok(counted(*due, Some(millis(*next)))),
            _ => Err(self.odd()),
        }
    }

    pub(crate) fn moved(self) -> Result<Moved, RedisError> {
        match self.parts() {
            ("done", []) => Ok(Moved::Done),
            ("refused", [Value::Int(code)]) => Ok(Moved::Refused(*code)),
            _ => Err(self.odd()),
        }
    }

    pub(crate) fn done(self) -> Result<(), RedisError> {
        match self.parts() {
            ("done" | "gone", []) => Ok(()),
            _ => Err(self.odd()),
        }
    }

    pub(crate) fn found(self) -> Result<Option<Entry>, RedisError> {
        match self.parts() {
            ("entry", [id, fields]) => self.entry(id, fields).map(Some),
            ("gone", []) => Ok(None),
            _ => Err(self.odd()),
        }
    }

    /// The ids behind this word.
    pub(crate) fn ids(self, what: &str) -> Result<Vec<String>, RedisError> {
        match self.parts() {
            (found, [ids]) if found == what => self.texts(ids),
            _ => Err(self.odd()),
        }
    }

    pub(crate) fn handed(self) -> Result<HandedOver, RedisError> {
        match self.parts() {
            ("handed", [ours, given_back, Value::Int(left)]) => Ok(HandedOver {
                ours: self.texts(ours)?,
                given_back: self.texts(given_back)?,
                left: usize::try_from(*left).unwrap_or(0),
            }),
            _ => Err(self.odd()),
        }
    }

    fn parts(&self) -> (&str, &[Value]) {
        match &self.whole {
            Value::Array(parts) => match parts.split_first() {
                Some((Value::BulkString(what), rest)) => (std::str::from_utf8(what).unwrap_or(""), rest),
                _ => ("", &[]),
            },
            _ => ("", &[]),
        }
    }

    fn entry(&self, id: &Value, fields: &Value) -> Result<Entry, RedisError> {
        let texts = self.texts(fields)?;
        let pairs: Vec<_> = texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        Ok(Entry::read(&self.text(id)?, &pairs))
    }

    fn texts(&self, list: &Value) -> Result<Vec<String>, RedisError> {
        match list {
            Value::Array(items) => items.iter().map(|item| self.text(item)).collect(),
            _ => Err(self.odd()),
        }
    }

    /// Bytes that are no text become the replacement character: other programs may have written anything.
    fn text(&self, value: &Value) -> Result<String, RedisError> {
        match value {
            Value::BulkString(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            _ => Err(self.odd()),
        }
    }

    /// Says the shape of what was found and not its content, which is the producer's.
    fn odd(&self) -> RedisError {
        let found = match (&self.whole, self.parts()) {
            (Value::Array(parts), ("", _)) => format!("an array of {}", parts.len()),
            (_, ("", _)) => "no array".to_owned(),
            (_, (what, rest)) => format!("{what} and {} more", rest.len()),
        };
        RedisError::Answer { operation: self.operation, found }
    }
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
