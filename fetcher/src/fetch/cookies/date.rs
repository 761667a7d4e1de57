//! The date of a cookie, in whatever order and punctuation servers write it (RFC 6265 section 5.1.1).

/// A date's words; servers write seven.
const MAX_TOKENS: usize = 32;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Seconds since the epoch; `None` for what browsers take for no date.
pub(super) fn parse(text: &str) -> Option<i64> {
    let delimiter = |byte: u8| matches!(byte, 0x09 | 0x20..=0x2f | 0x3b..=0x40 | 0x5b..=0x60 | 0x7b..=0x7e);
    let tokens = text.as_bytes().split(|byte| delimiter(*byte)).filter(|token| !token.is_empty());
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    // Each token is the first of these four that is not known yet and that it looks like.
    for token in tokens.take(MAX_TOKENS) {
        if time.is_none()
            && let Some(found) = clock(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = number(token, 1, 2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(token)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = number(token, 2, 4)
        {
            year = Some(match found {
                70..=99 => found + 1900,
                0..=69 => found + 2000,
                other => other,
            });
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    let good = (1..=days_in(month, year)).contains(&day)
        && year >= 1601
        && hour <= 23
        && minute <= 59
        && second <= 59;
    good.then(|| days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// `least` to `most` digits at the start, and no digit after them.
fn number(token: &[u8], least: usize, most: usize) -> Option<i64> {
    let digits = token.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits < least || digits > most {
        return None;
    }
    Some(token.iter().take(digits).fold(0, |value, byte| value * 10 + i64::from(byte - b'0')))
}

fn clock(token: &[u8]) -> Option<(i64, i64, i64)> {
    let mut fields = token.splitn(3, |byte| *byte == b':');
    let whole = |field: &[u8]| {
        number(field, 1, 2).filter(|_| field.len() <= 2 && field.iter().all(u8::is_ascii_digit))
    };
    let hour = whole(fields.next()?)?;
    let minute = whole(fields.next()?)?;
    Some((hour, minute, number(fields.next()?, 1, 2)?))
}

/// 1 to 12, by the first three letters.
fn month_of(token: &[u8]) -> Option<i64> {
    let start = token.get(..3)?;
    let at = MONTHS.iter().position(|name| start.eq_ignore_ascii_case(name.as_bytes()))?;
    i64::try_from(at + 1).ok()
}

fn days_in(month: i64, year: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the day a leap year adds is
/// the last one.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_month = (month * 153 + 2) / 5;
    // 1970-01-01 is day 719 468 when the first of March of the year 0 is day 0.
    year * 365 + year / 4 - year / 100 + year / 400 + before_month + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_every_form_servers_use() {
        // Expected by `date -u -d … +%s`.
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("2038 January 19 3:14:8", Some(2_147_483_648)),
            ("01 Mar 69 0:0:0", Some(3_129_321_600)),
            ("Mon, 01 Jan 1601 00:00:00", Some(-11_644_473_600)),
            ("Thu, 29 Feb 2023 00:00:00 GMT", None),
            ("Sun, 06 Nov 1994 24:00:00", None),
            ("Sun, 06 Nov 1600 08:49:37", None),
            ("Sun, 06 Nov 1994", None),
            ("06 Nov 08:49:37", None),
            ("0", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
