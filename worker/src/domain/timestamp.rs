//! A moment in milliseconds since the epoch, written as RFC 3339 UTC with milliseconds.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Reads RFC 3339 (`2026-11-21T10:00:00Z`), or a date alone, which begins at midnight UTC.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let day = text.len() == "2026-11-21".len();
        let text = if day { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let moment = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
        i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    /// `2026-11-21T10:00:00.000Z`. A value outside of the years 0 to 9999 is clamped to them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FIRST: i64 = -62_167_219_200_000; // 0000-01-01T00:00:00Z
        const LAST: i64 = 253_402_300_799_999; // 9999-12-31T23:59:59.999Z
        let nanos = i128::from(self.0.clamp(FIRST, LAST)) * 1_000_000;
        let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| fmt::Error)?;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second(),
            moment.millisecond()
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)?;
        let millis = moment.unix_timestamp_nanos() / 1_000_000;
        Ok(Self(i64::try_from(millis).map_err(D::Error::custom)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_with_milliseconds_and_read_back() {
        let moment = Timestamp::from_millis(1_795_219_200_007);
        let json = serde_json::to_string(&moment).expect("a string");
        assert_eq!(json, "\"2026-11-21T00:00:00.007Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).expect("its own output"), moment);
    }

    #[test]
    fn a_moment_is_read_with_an_offset_and_a_day_begins_at_midnight() {
        let ten = Timestamp::from_millis(1_795_255_200_000);
        assert_eq!(Timestamp::parse("2026-11-21T10:00:00Z"), Some(ten));
        assert_eq!(Timestamp::parse("2026-11-21T11:00:00.000+01:00"), Some(ten));
        assert_eq!(
            Timestamp::parse("2026-11-21").map(|at| at.to_string()).as_deref(),
            Some("2026-11-21T00:00:00.000Z")
        );
        for wrong in ["", "2026-13-01", "yesterday", "2026-11-21 10:00", "10 chars :"] {
            assert_eq!(Timestamp::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_beyond_the_calendar_are_clamped() {
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "0000-01-01T00:00:00.000Z");
    }
}
