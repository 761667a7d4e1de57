//! What an entry's producer asks for in `opts`, read as BullMQ's workers read it.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::domain::delivery::{Backoff, Retries};

/// The options of an entry. Text that is no JSON object asks for nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options(Map<String, Value>);

/// How many ended entries stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// The newest so many; none when 0. `None` keeps all.
    pub count: Option<u64>,
    /// Those that have ended within this time.
    pub age: Option<Duration>,
    /// How many of the older ones go at once.
    pub limit: u64,
}

impl Keep {
    const ALL: Self = Self { count: None, age: None, limit: AT_ONCE };
}

/// How many ended entries are dropped at once, BullMQ's own number: more would hold up everybody else.
const AT_ONCE: u64 = 1000;

/// The longest delay: a year. Redis' scores, 2⁵³ at most, hold `due · 4096` until the year 2039.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 86_400);

impl Options {
    pub(super) fn read(opts: &str) -> Self {
        Self(serde_json::from_str(opts).unwrap_or_default())
    }

    /// Attempts at most as they are written: 0 where nothing is.
    pub(crate) fn attempts(&self) -> u32 {
        // A part of an attempt is another one to BullMQ's comparison.
        self.number("attempts").map_or(0, |number| number.ceil() as u32)
    }

    /// A type of backoff that only the producer's own workers know is taken as a fixed one.
    pub(super) fn retries(&self) -> Retries {
        Retries { attempts: self.attempts(), backoff: self.backoff() }
    }

    fn backoff(&self) -> Backoff {
        let Some(Value::Object(backoff)) = self.0.get("backoff") else {
            return match self.number("backoff") {
                Some(millis) if millis > 0.0 => Backoff::Fixed { delay: span(millis), jitter: 0.0 },
                _ => Backoff::None,
            };
        };
        let delay = span(backoff.get("delay").and_then(number).unwrap_or(0.0));
        let jitter = backoff.get("jitter").and_then(number).unwrap_or(0.0).clamp(0.0, 1.0);
        match backoff.get("type").and_then(Value::as_str) {
            Some("exponential") => Backoff::Exponential { delay, jitter },
            _ => Backoff::Fixed { delay, jitter },
        }
    }

    /// Whether it goes before those that wait.
    pub(crate) fn lifo(&self) -> bool {
        self.0.get("lifo") == Some(&Value::Bool(true))
    }

    /// How many lines of its log stay; `None` for all.
    pub(crate) fn log_lines(&self) -> Option<u64> {
        self.number("kl").map(|lines| lines as u64).filter(|lines| *lines > 0)
    }

    /// How many stack traces stay; `None` for all.
    pub(super) fn stack_traces(&self) -> Option<usize> {
        self.number("stackTraceLimit").filter(|limit| *limit >= 0.0).map(|limit| limit as usize)
    }

    /// What stays of the entries with a result.
    pub(crate) fn keep_completed(&self) -> Keep {
        keep(self.0.get("removeOnComplete"))
    }

    /// What stays of the entries without one.
    pub(crate) fn keep_failed(&self) -> Keep {
        keep(self.0.get("removeOnFail"))
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(number)
    }
}

fn keep(asked: Option<&Value>) -> Keep {
    let count = |value: &Value| number(value).filter(|count| *count >= 0.0).map(|count| count as u64);
    match asked {
        Some(Value::Bool(true)) => Keep { count: Some(0), ..Keep::ALL },
        Some(Value::Object(rule)) => Keep {
            count: rule.get("count").and_then(count),
            age: rule.get("age").and_then(number).filter(|age| *age >= 0.0).map(|age| span(age * 1000.0)),
            limit: rule.get("limit").and_then(count).map_or(AT_ONCE, |limit| limit.clamp(1, AT_ONCE)),
        },
        Some(value) => Keep { count: count(value), ..Keep::ALL },
        None => Keep::ALL,
    }
}

/// JavaScript calculates with a number in quotes as with one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

fn span(millis: f64) -> Duration {
    Duration::from_millis(millis.max(0.0).round() as u64).min(LONGEST)
}

/// The whole number that a text begins with, as `parseInt` reads it; one that is too large is the largest.
pub(super) fn leading_integer(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return None;
    }
    let number = digits[..length].parse().unwrap_or(i64::MAX);
    Some(if text.starts_with('-') { -number } else { number })
}
