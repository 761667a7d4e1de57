//! How long a server asks to be left alone (RFC 9110, section 10.2.3; RFC 6585, section 4). What it says is anybody's
//! text: whatever it is, the answer is a time that the caller caps.

use std::time::Duration;

use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::timestamp::Timestamp;

/// For a server that says it is too much and not for how long, or says it so that nobody can read it.
pub const UNSAID: Duration = Duration::from_secs(30);

/// The date of today's servers and that of C's asctime (RFC 9110, section 5.6.7). The third form has years of two digits,
/// and is as good as none.
const DATES: [&[BorrowedFormatItem<'_>]; 2] = [
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"),
    format_description!(
        "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
    ),
];

/// Whether a status asks for a pause: too many requests, or no service at present.
#[must_use]
pub const fn asks(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// The time that a value of Retry-After asks for: seconds, or until a date; [`UNSAID`] when it is neither. A date that has
/// passed asks for nothing.
#[must_use]
pub fn wait(value: Option<&str>, now: Timestamp) -> Duration {
    let Some(value) = value.map(str::trim) else { return UNSAID };
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Duration::from_secs(value.parse().unwrap_or(u64::MAX));
    }
    let date = DATES.iter().find_map(|form| PrimitiveDateTime::parse(value, form).ok());
    date.map_or(UNSAID, |date| {
        let until = Timestamp::from_seconds(date.assume_utc().unix_timestamp());
        Duration::from_millis(u64::try_from(until.millis().saturating_sub(now.millis())).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date of the standard's examples.
    const NOW: Timestamp = Timestamp::from_seconds(784_111_777);

    #[test]
    fn seconds_and_dates_are_read_and_everything_else_is_unsaid() {
        for (value, expected) in [
            ("120", 120),
            (" 0 ", 0),
            ("18446744073709551615", u64::MAX),
            ("99999999999999999999999999", u64::MAX),
            ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
            ("Sun Nov  6 08:51:37 1994", 120),
            ("Sun, 06 Nov 1994 08:49:36 GMT", 0),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sunday, 06-Nov-94 08:50:37 GMT", 30),
            ("", 30),
            ("-5", 30),
            ("1.5", 30),
            ("٣", 30),
            ("Sun, 31 Feb 1994 08:49:37 GMT", 30),
            ("soon", 30),
        ] {
            assert_eq!(wait(Some(value), NOW), Duration::from_secs(expected), "{value:?}");
        }
        assert_eq!(wait(None, NOW), UNSAID);
        assert!(asks(429) && asks(503) && !asks(200) && !asks(500) && !asks(301));
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_and_whatever_time_it_is_there_is_an_answer(
            value in ".*",
            day in 0..99_u32,
            year in 0..99_999_u32,
            now in any::<i64>(),
        ) {
            let now = Timestamp::from_millis(now);
            // It comes to an end without a panic.
            let _ = wait(Some(&value), now);
            let _ = wait(Some(&format!("Sun, {day:02} Nov {year:04} 08:49:37 GMT")), now);
        }
    }
}
