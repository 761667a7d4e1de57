//! Whom a process of ours is to run as.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::text::Name;
use super::{Rule, text};
use crate::config::raw::Raw;

/// The user ids that containers run as: nobody else may be one of them.
const CONTAINERS: RangeInclusive<u32> = 60_600..=65_533;

/// To the kernel no user, but the one that it has already.
const UNCHANGED: u32 = u32::MAX;

/// The user of the gateway's process, or none: as far as it can be judged without asking this machine for its users.
pub(in crate::config) struct ProcessUser;

const NAME: Name = Name { also: ":", what: "a user's name, uid or uid:gid" };

impl Rule for ProcessUser {
    type Out = Option<String>;

    fn accepts(&self) -> String {
        let (first, last) = (CONTAINERS.start(), CONTAINERS.end());
        format!("{}, neither root nor a uid from {first} to {last}, or nothing", NAME.what)
    }

    fn read(&self, raw: &Raw) -> Result<Option<String>, String> {
        let text = text(raw)?;
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let uid = number(user)?;
        if let Some(group) = group {
            let gid = number(group)?;
            if uid.is_none() || gid.is_none() {
                return Err("is not a uid and a gid, two numbers".to_owned());
            }
            if gid == Some(0) {
                return Err("is in root's group".to_owned());
            }
        }
        if uid == Some(0) || user == "root" {
            return Err("is root".to_owned());
        }
        if uid.is_some_and(|uid| CONTAINERS.contains(&uid)) {
            return Err("is a uid of containers".to_owned());
        }
        NAME.read(raw)
    }

    fn show(&self, value: &Option<String>) -> Value {
        NAME.show(value)
    }
}

/// The number of a user or group; `None` for what is a name.
fn number(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(UNCHANGED) | Err(_) => Err(format!("has a number beyond {}", UNCHANGED - 1)),
        Ok(number) => Ok(Some(number)),
    }
}
