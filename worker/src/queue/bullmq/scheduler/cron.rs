//! Cron patterns as the npm package `cron-parser` reads them, which BullMQ's workers use
//! (<https://github.com/harrisiirak/cron-parser>).
//!
//! Five fields, or six with seconds first: numbers, `*`, `?`, lists, ranges, steps, names of months and days, `L` (last
//! day of the month), `5L` (the last Friday), `1#2` (the second Monday), and `@daily` and the like. A day fits by either
//! of its two fields where both are restricted. `H` is refused: it stands for a number that each program draws by
//! itself. A time that a change of clocks leaves out is an hour later that day; one that it repeats counts once, unless
//! every hour is meant.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    seconds: Set,
    minutes: Set,
    hours: Set,
    days: Set,
    last_day: bool,
    months: Set,
    weekdays: Set,
    /// Weekdays (0 is Sunday) that fit on their last occurrence in the month.
    last_weekdays: Set,
    /// The occurrence in the month on which the weekdays fit; 0 is all.
    nth: u8,
}

/// Why a pattern cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    /// More than six fields.
    #[error("it has {found} fields, and may have six")]
    Fields {
        /// How many.
        found: usize,
    },
    /// A field cannot be read.
    #[error("its {field} {found:?} cannot be read")]
    Field {
        /// Which.
        field: &'static str,
        /// What stands there.
        found: String,
    },
    /// `@…`.
    #[error("{found:?} is no known pattern")]
    Alias {
        /// What stands there.
        found: String,
    },
}

/// Small numbers, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Set(u64);

impl Set {
    const NONE: Self = Self(0);

    const fn has(self, number: i64) -> bool {
        number >= 0 && number < 64 && self.0 >> number & 1 == 1
    }

    fn numbers(self) -> impl Iterator<Item = i8> {
        (0..60).filter(move |number| self.has(i64::from(*number)))
    }

    const fn of(first: u8, last: u8) -> Self {
        Self((u64::MAX >> (63 - last)) & (u64::MAX << first))
    }
}

/// A field: its name, its numbers, and the names that they have.
struct Field {
    name: &'static str,
    first: u8,
    last: u8,
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", first: 0, last: 59, names: &[] };
const MINUTE: Field = Field { name: "minute", first: 0, last: 59, names: &[] };
const HOUR: Field = Field { name: "hour", first: 0, last: 23, names: &[] };
const DAY: Field = Field { name: "day of the month", first: 1, last: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Field = Field {
    name: "day of the week",
    first: 0,
    last: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// A 29th of February is at most eight years away.
const LONGEST_DAYS: usize = 366 * 9;

impl Pattern {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        let text = if text.starts_with('@') { alias(text)? } else { text };
        let fields: Vec<&str> = text.split_whitespace().collect();
        // What is missing stands for any, at the beginning for the full minute.
        let mut all = ["0", "*", "*", "*", "*", "*"];
        let space =
            all.len().checked_sub(fields.len()).ok_or(PatternError::Fields { found: fields.len() })?;
        all[space..].copy_from_slice(&fields);
        let [second, minute, hour, day, month, weekday] = all;
        let (days, last_day) = days(day)?;
        let (weekdays, last_weekdays, nth) = weekdays(weekday)?;
        let pattern = Self {
            seconds: SECOND.set(second)?,
            minutes: MINUTE.set(minute)?,
            hours: HOUR.set(hour)?,
            days,
            last_day,
            months: MONTH.set(month)?,
            weekdays,
            last_weekdays,
            nth,
        };
        Ok(pattern)
    }

    /// The first moment after this one, on a full second; `None` when there is none.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut date = after.to_zoned(zone.clone()).date();
        for _ in 0..LONGEST_DAYS {
            if self.fits(date) {
                let found = if self.hours == Set::of(HOUR.first, HOUR.last) {
                    self.on_each_hour(date, after, zone)
                } else {
                    self.on_its_hours(date, after, zone)
                };
                if found.is_some() {
                    return found;
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn fits(&self, date: Date) -> bool {
        let (day, length) = (date.day(), date.days_in_month());
        let weekday = i64::from(date.weekday().to_sunday_zero_offset());
        let by_day = self.days.has(i64::from(day)) || self.last_day && day == length;
        let by_weekday = self.weekdays.has(weekday)
            && (self.nth == 0 || u8::try_from((day - 1) / 7 + 1) == Ok(self.nth))
            || self.last_weekdays.has(weekday) && day > length - 7;
        let any_day = self.days == Set::of(DAY.first, DAY.last);
        let any_weekday = self.weekdays == Set::of(0, 6) && self.nth == 0;
        let fits = match (any_day, any_weekday) {
            (true, true) => true,
            (true, false) => by_weekday,
            (false, true) => by_day,
            (false, false) => by_day || by_weekday,
        };
        fits && self.months.has(i64::from(date.month()))
    }

    /// By the clock on the wall.
    fn on_its_hours(&self, date: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        for hour in self.hours.numbers() {
            for minute in self.minutes.numbers() {
                for second in self.seconds.numbers() {
                    let at =
                        zone.to_ambiguous_timestamp(date.at(hour, minute, second, 0)).compatible().ok()?;
                    if at > after {
                        return Some(at);
                    }
                }
            }
        }
        None
    }

    /// By the time that passes, so that an hour that comes twice counts twice.
    fn on_each_hour(&self, date: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0)).compatible().ok()?;
        let whole = Timestamp::from_second(after.as_second()).ok()?.checked_add(1.second()).ok()?;
        let mut at = start.max(whole);
        loop {
            let local = at.to_zoned(zone.clone());
            if local.date() != date {
                return None;
            }
            if !self.minutes.has(i64::from(local.minute())) {
                at = at.checked_add(SignedDuration::from_secs(60 - i64::from(local.second()))).ok()?;
            } else if !self.seconds.has(i64::from(local.second())) {
                at = at.checked_add(1.second()).ok()?;
            } else {
                return Some(at);
            }
        }
    }
}

fn alias(text: &str) -> Result<&'static str, PatternError> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "@yearly" => "0 0 0 1 1 *",
        "@monthly" => "0 0 0 1 * *",
        "@weekly" => "0 0 0 * * 0",
        "@daily" => "0 0 0 * * *",
        "@hourly" => "0 0 * * * *",
        "@minutely" => "0 * * * * *",
        "@secondly" => "* * * * * *",
        "@weekdays" => "0 0 0 * * 1-5",
        "@weekends" => "0 0 0 * * 0,6",
        _ => return Err(PatternError::Alias { found: text.chars().take(40).collect() }),
    })
}

fn days(text: &str) -> Result<(Set, bool), PatternError> {
    let (mut set, mut last) = (Set::NONE, false);
    for part in text.split(',') {
        if part.eq_ignore_ascii_case("l") {
            last = true;
        } else {
            set.0 |= DAY.part(part).ok_or_else(|| DAY.unreadable(text))?.0;
        }
    }
    Ok((set, last))
}

fn weekdays(text: &str) -> Result<(Set, Set, u8), PatternError> {
    let unreadable = || WEEKDAY.unreadable(text);
    let sunday_is_zero = |set: Set| Set((set.0 | set.0 >> 7) & 0x7f);
    if let Some((day, nth)) = text.split_once('#') {
        let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth)).ok_or_else(unreadable)?;
        let day = WEEKDAY.number(day).ok_or_else(unreadable)?;
        return Ok((sunday_is_zero(Set::of(day, day)), Set::NONE, nth));
    }
    let (mut set, mut last) = (Set::NONE, Set::NONE);
    for part in text.split(',') {
        match part.strip_suffix(['L', 'l']) {
            Some(day) => {
                let day = WEEKDAY.number(day).ok_or_else(unreadable)?;
                last.0 |= sunday_is_zero(Set::of(day, day)).0;
            }
            None => set.0 |= sunday_is_zero(WEEKDAY.part(part).ok_or_else(unreadable)?).0,
        }
    }
    Ok((set, last, 0))
}

impl Field {
    fn set(&self, text: &str) -> Result<Set, PatternError> {
        let parts = text.split(',').map(|part| self.part(part));
        parts.reduce(|all, part| Some(Set(all?.0 | part?.0))).flatten().ok_or_else(|| self.unreadable(text))
    }

    fn unreadable(&self, text: &str) -> PatternError {
        PatternError::Field { field: self.name, found: text.chars().take(40).collect() }
    }

    /// One part of a list: a number, a range, either with a step.
    fn part(&self, text: &str) -> Option<Set> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u8>().ok().filter(|step| *step > 0)?)),
            None => (text, None),
        };
        let (first, last) = match (range, range.split_once('-')) {
            ("*" | "?", _) => (self.first, self.last_of_all()),
            (_, Some((first, last))) => (self.number(first)?, self.number(last)?),
            (_, None) => {
                let number = self.number(range)?;
                (number, if step.is_some() { self.last_of_all() } else { number })
            }
        };
        if first > last {
            return None;
        }
        Some(Set((first..=last)
            .step_by(usize::from(step.unwrap_or(1)))
            .fold(0, |set, number| set | 1 << number)))
    }

    /// Sunday's second number is not meant by `*`.
    fn last_of_all(&self) -> u8 {
        if self.last == WEEKDAY.last { WEEKDAY.last - 1 } else { self.last }
    }

    fn number(&self, text: &str) -> Option<u8> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(place) => self.first + u8::try_from(place).ok()?,
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            None => return None,
        };
        (self.first..=self.last).contains(&number).then_some(number)
    }
}

#[cfg(test)]
mod tests;
