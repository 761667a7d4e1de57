//! The name of a restriction that containers are under.

use safeurl_protocol::probe::RESTRICTIONS;
use serde_json::Value;

use super::{Rule, text};
use crate::config::raw::Raw;

/// One of those that a probe tries.
pub(in crate::config) struct Restriction;

impl Rule for Restriction {
    type Out = &'static str;

    fn accepts(&self) -> String {
        format!("one of {}", RESTRICTIONS.join(", "))
    }

    fn read(&self, raw: &Raw) -> Result<&'static str, String> {
        let name = text(raw)?;
        let known = RESTRICTIONS.iter().find(|known| **known == name);
        known.copied().ok_or_else(|| "is no restriction of containers".to_owned())
    }

    fn show(&self, value: &&'static str) -> Value {
        Value::from(*value)
    }
}
