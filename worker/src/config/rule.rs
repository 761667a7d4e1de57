//! What a setting accepts: numbers, durations, sizes, words, text.
//!
//! A rule reads a raw value, says in words what it accepts, and says how the value may be shown. Every bound stands
//! with the setting it bounds, in `settings.rs`; here is only how bounds are kept.

mod address;
mod bullmq;
mod list;
mod process_user;
mod restriction;
mod text;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::raw::Raw;
use super::size::{ByteSize, ByteSizeError};

pub(super) use address::{Database, Engine, HostMap, Listen, Port, Redis, Resolver, Subnet};
pub(super) use bullmq::{Queue, QueueName, QueuePrefix};
pub(super) use list::List;
pub(super) use process_user::ProcessUser;
pub(super) use restriction::Restriction;
pub(super) use text::{Folder, Name, RequestHeader, SecretText, Text};

/// How one setting is read and shown.
pub(super) trait Rule {
    /// What it becomes.
    type Out;

    /// What is accepted, to stand after "accepted: ".
    fn accepts(&self) -> String;

    /// Reads it; the error says what is wrong, to stand after the value.
    fn read(&self, raw: &Raw) -> Result<Self::Out, String>;

    /// As it may be shown.
    fn show(&self, value: &Self::Out) -> Value;

    /// A wrong value as an error may repeat it, if at all.
    fn quote(&self, text: &str) -> Option<String> {
        Some(format!("{text:?}"))
    }
}

/// The text of a value that must be text.
fn text(raw: &Raw) -> Result<&str, String> {
    match raw {
        Raw::Loose(text) => Ok(text.trim()),
        Raw::Text(text) => Ok(text),
        Raw::Whole(_) | Raw::Decimal(_) | Raw::Truth(_) | Raw::List(_) | Raw::Table(_) | Raw::Other(_) => {
            Err(format!("is {}, not text", raw.kind()))
        }
    }
}

/// Between two bounds, both included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Within<T> {
    least: T,
    most: T,
}

impl<T: PartialOrd + fmt::Display> Within<T> {
    fn check(&self, value: T) -> Result<T, String> {
        if value < self.least {
            return Err(format!("is less than {}", self.least));
        }
        if value > self.most {
            return Err(format!("is more than {}", self.most));
        }
        Ok(value)
    }
}

/// A rule for values between the ends of a range.
pub(super) fn within<T: Copy>(range: RangeInclusive<T>) -> Within<T> {
    Within { least: *range.start(), most: *range.end() }
}

impl Rule for Within<u32> {
    type Out = u32;

    fn accepts(&self) -> String {
        format!("a whole number from {} to {}", self.least, self.most)
    }

    fn read(&self, raw: &Raw) -> Result<u32, String> {
        let digits = match raw {
            Raw::Whole(digits) => digits,
            Raw::Loose(digits) => digits.trim(),
            Raw::Text(_) | Raw::Decimal(_) | Raw::Truth(_) | Raw::List(_) | Raw::Table(_) | Raw::Other(_) => {
                return Err(format!("is {}, not a whole number", raw.kind()));
            }
        };
        match digits.parse::<i128>() {
            Ok(number) if number < i128::from(self.least) => Err(format!("is less than {}", self.least)),
            Ok(number) => u32::try_from(number)
                .map_err(|_| format!("is more than {}", self.most))
                .and_then(|n| self.check(n)),
            Err(_) => Err("is not a whole number".to_owned()),
        }
    }

    fn show(&self, value: &u32) -> Value {
        Value::from(*value)
    }
}

impl Rule for Within<f64> {
    type Out = f64;

    fn accepts(&self) -> String {
        format!("a number from {} to {}", self.least, self.most)
    }

    fn read(&self, raw: &Raw) -> Result<f64, String> {
        let digits = match raw {
            Raw::Whole(digits) | Raw::Decimal(digits) => digits,
            Raw::Loose(digits) => digits.trim(),
            Raw::Text(_) | Raw::Truth(_) | Raw::List(_) | Raw::Table(_) | Raw::Other(_) => {
                return Err(format!("is {}, not a number", raw.kind()));
            }
        };
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => self.check(number),
            Ok(_) | Err(_) => Err("is not a number".to_owned()),
        }
    }

    fn show(&self, value: &f64) -> Value {
        Value::from(*value)
    }
}

impl Rule for Within<Duration> {
    type Out = Duration;

    fn accepts(&self) -> String {
        let (least, most) = (humantime::format_duration(self.least), humantime::format_duration(self.most));
        format!("a duration with its unit from {least} to {most}, such as \"{most}\"")
    }

    fn read(&self, raw: &Raw) -> Result<Duration, String> {
        let text = match raw {
            Raw::Whole(_) | Raw::Decimal(_) => return Err("has no unit".to_owned()),
            other => text(other)?,
        };
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err("has no unit".to_owned());
        }
        let value = humantime::parse_duration(text).map_err(|_| "is not a duration".to_owned())?;
        let shown = Within { least: Shown(self.least), most: Shown(self.most) };
        shown.check(Shown(value)).map(|Shown(value)| value)
    }

    fn show(&self, value: &Duration) -> Value {
        Value::from(Shown(*value).to_string())
    }
}

/// A duration as people write it.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Shown(Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Rule for Within<ByteSize> {
    type Out = ByteSize;

    fn accepts(&self) -> String {
        format!("a size with its unit from {} to {}, such as \"{}\"", self.least, self.most, self.most)
    }

    fn read(&self, raw: &Raw) -> Result<ByteSize, String> {
        let text = match raw {
            Raw::Whole(_) | Raw::Decimal(_) => return Err(ByteSizeError::NoUnit.to_string()),
            other => text(other)?,
        };
        text.parse().map_err(|wrong: ByteSizeError| wrong.to_string()).and_then(|size| self.check(size))
    }

    fn show(&self, value: &ByteSize) -> Value {
        Value::from(value.to_string())
    }
}

/// One of a few words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Rule for Word<T> {
    type Out = T;

    fn accepts(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.concat(),
        }
    }

    fn read(&self, raw: &Raw) -> Result<T, String> {
        let text = text(raw)?;
        let found = self.0.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| "is none of the words for it".to_owned())
    }

    fn show(&self, value: &T) -> Value {
        self.0.iter().find(|(_, known)| known == value).map_or(Value::Null, |(word, _)| Value::from(*word))
    }
}

/// Yes or no.
pub(super) struct Truth;

impl Rule for Truth {
    type Out = bool;

    fn accepts(&self) -> String {
        "true or false".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<bool, String> {
        match raw {
            Raw::Truth(value) => Ok(*value),
            Raw::Loose(text) => text.trim().parse().map_err(|_| "is neither true nor false".to_owned()),
            Raw::Text(_) | Raw::Whole(_) | Raw::Decimal(_) | Raw::List(_) | Raw::Table(_) | Raw::Other(_) => {
                Err(format!("is {}, not a truth value", raw.kind()))
            }
        }
    }

    fn show(&self, value: &bool) -> Value {
        Value::from(*value)
    }
}
