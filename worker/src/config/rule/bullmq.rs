//! Rules for the queue: its kind, and its name and prefix in Redis.

use serde_json::Value;

use super::{Rule, text};
use crate::config::QueueKind;
use crate::config::raw::Raw;

/// The kind of queue, or nothing: then it follows from whether there is a Redis.
pub(in crate::config) struct Queue;

impl Rule for Queue {
    type Out = Option<QueueKind>;

    fn accepts(&self) -> String {
        "\"embedded\", \"bullmq\", or nothing".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<Option<QueueKind>, String> {
        match text(raw)? {
            "" => Ok(None),
            "embedded" => Ok(Some(QueueKind::Embedded)),
            "bullmq" => Ok(Some(QueueKind::BullMq)),
            _ => Err("is no kind of queue".to_owned()),
        }
    }

    fn show(&self, value: &Option<QueueKind>) -> Value {
        Value::from(value.map_or("", QueueKind::as_str))
    }
}

/// The most bytes of a name or prefix: every key has both.
const MOST: usize = 200;

/// The name of a queue. BullMQ's own programs refuse a colon in it: their keys are parts between colons.
pub(in crate::config) struct QueueName;

impl Rule for QueueName {
    type Out = String;

    fn accepts(&self) -> String {
        format!("1 to {MOST} visible ASCII characters without spaces and colons, such as \"scan-jobs\"")
    }

    fn read(&self, raw: &Raw) -> Result<String, String> {
        let name = part(text(raw)?)?;
        if name.contains(':') {
            return Err("has a colon, which separates the parts of a key".to_owned());
        }
        Ok(name)
    }

    fn show(&self, value: &String) -> Value {
        Value::from(value.as_str())
    }
}

/// What all keys begin with. May have colons, and braces for a hash tag.
pub(in crate::config) struct QueuePrefix;

impl Rule for QueuePrefix {
    type Out = String;

    fn accepts(&self) -> String {
        format!(
            "1 to {MOST} visible ASCII characters without spaces, such as \"bull\" or, in a cluster, \"{{bull}}\""
        )
    }

    fn read(&self, raw: &Raw) -> Result<String, String> {
        let prefix = part(text(raw)?)?;
        if prefix.ends_with(':') {
            return Err("ends with a colon, which is put behind it by itself".to_owned());
        }
        Ok(prefix)
    }

    fn show(&self, value: &String) -> Value {
        Value::from(value.as_str())
    }
}

fn part(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.len() > MOST {
        return Err(format!("has {} bytes", text.len()));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("has spaces or characters that are not visible ASCII".to_owned());
    }
    // An opened tag that nothing closes, or an empty one, is none: the keys would be spread over the cluster.
    let tag = text.split_once('{').map(|(_, rest)| rest.split_once('}'));
    if matches!(tag, Some(None | Some(("", _)))) {
        return Err("has a brace that makes no hash tag".to_owned());
    }
    Ok(text.to_owned())
}
