//! When a scheduler's next iteration is. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::cron::{Pattern, PatternError};

/// When iterations are, as the scheduler's hash says it. Times in milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    rhythm: Rhythm,
    start: u64,
    end: u64,
    limit: u64,
}

#[derive(Debug, Clone)]
enum Rhythm {
    Every { interval: u64, offset: u64 },
    Pattern(Box<Pattern>, TimeZone),
}

/// When the next one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Then.
    At(u64),
    /// Never: the limit or the end is reached, or the pattern fits no day.
    Over,
}

/// Why that cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// A repeatable job of an older kind, which newer workers do not go on with either.
    #[error("it has neither an interval nor a pattern")]
    NoRhythm,
    /// A field is no number.
    #[error("its {name} is {found:?}, which is no number of milliseconds")]
    Number {
        /// The field.
        name: &'static str,
        /// What stands there.
        found: String,
    },
    /// The pattern.
    #[error("its pattern cannot be followed")]
    Pattern(#[source] PatternError),
    /// The time zone.
    #[error("its time zone {name:?} is not known")]
    Zone {
        /// Its name.
        name: String,
        /// What the table says.
        source: jiff::Error,
    },
}

impl Plan {
    /// Reads it by the names of the fields.
    pub(crate) fn read<'a>(field: impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, PlanError> {
        let number = |name: &'static str| match field(name).filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => millis(text)
                .map(Some)
                .ok_or_else(|| PlanError::Number { name, found: text.chars().take(40).collect() }),
        };
        let rhythm = match (number("every")?.filter(|every| *every > 0), field("pattern")) {
            (Some(interval), _) => Rhythm::Every { interval, offset: number("offset")?.unwrap_or(0) },
            (None, Some(pattern)) => {
                let pattern = Pattern::parse(pattern).map_err(PlanError::Pattern)?;
                Rhythm::Pattern(Box::new(pattern), zone(field("tz"))?)
            }
            (None, None) => return Err(PlanError::NoRhythm),
        };
        Ok(Self {
            rhythm,
            start: number("startDate")?.unwrap_or(0),
            end: number("endDate")?.unwrap_or(u64::MAX),
            limit: number("limit")?.filter(|limit| *limit > 0).unwrap_or(u64::MAX),
        })
    }

    /// After the one at `before`, which was number `count`.
    pub(crate) fn next(&self, before: u64, now: u64, count: u64) -> Result<Next, PlanError> {
        if count >= self.limit {
            return Ok(Next::Over);
        }
        let at = match &self.rhythm {
            Rhythm::Every { interval, offset } => Some(slot(before, now.max(self.start), *interval, *offset)),
            Rhythm::Pattern(pattern, zone) => {
                let from = before.max(now).max(self.start);
                let from = i64::try_from(from).ok().and_then(|from| Timestamp::from_millisecond(from).ok());
                from.and_then(|from| pattern.next(from, zone))
                    .and_then(|at| u64::try_from(at.as_millisecond()).ok())
            }
        };
        Ok(at.filter(|at| *at <= self.end).map_or(Next::Over, Next::At))
    }
}

/// One interval on; where that has passed already, the first slot from now on, by the offset. What was missed is not
/// made up for.
fn slot(before: u64, now: u64, interval: u64, offset: u64) -> u64 {
    let next = before.saturating_add(interval);
    if next >= now {
        return next;
    }
    let offset = offset % interval;
    let since = now.saturating_sub(offset);
    (since - since % interval).saturating_add(interval).saturating_add(offset)
}

fn zone(name: Option<&str>) -> Result<TimeZone, PlanError> {
    match name.filter(|name| !name.is_empty()) {
        // What the other clients take is the zone of the worker that happens to run the iteration.
        None => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name)
            .map_err(|source| PlanError::Zone { name: name.chars().take(40).collect(), source }),
    }
}

/// Whole milliseconds, or what JavaScript prints for a date.
fn millis(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let date: Timestamp = text.parse().ok()?;
        u64::try_from(date.as_millisecond()).ok()
    })
}
