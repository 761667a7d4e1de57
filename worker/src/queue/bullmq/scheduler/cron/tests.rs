use proptest::prelude::*;

use super::*;

/// The first moments after one, on a line.
fn after(pattern: &str, from: &str, zone: &str, count: usize) -> String {
    let pattern = match Pattern::parse(pattern) {
        Ok(pattern) => pattern,
        Err(error) => return error.to_string(),
    };
    let zone = TimeZone::get(zone).expect("it is in the table");
    let mut at: Timestamp = from.parse().expect("it is a moment");
    let mut told = Vec::new();
    for _ in 0..count {
        let Some(next) = pattern.next(at, &zone) else { break };
        assert!(next > at, "{next} after {at}");
        told.push(next.to_string());
        at = next;
    }
    told.join(" ")
}

/// What cron-parser 5.10 answers.
#[test]
fn patterns_are_read_as_cron_parser_reads_them() {
    for (pattern, expected) in [
        ("* * * * *", "2026-01-15T10:21:00Z 2026-01-15T10:22:00Z 2026-01-15T10:23:00Z"),
        ("*/15 * * * *", "2026-01-15T10:30:00Z 2026-01-15T10:45:00Z 2026-01-15T11:00:00Z"),
        ("0 9-17/4 * * 1-5", "2026-01-15T13:00:00Z 2026-01-15T17:00:00Z 2026-01-16T09:00:00Z"),
        ("0 0 1 1 *", "2027-01-01T00:00:00Z 2028-01-01T00:00:00Z 2029-01-01T00:00:00Z"),
        ("0 0 L * *", "2026-01-31T00:00:00Z 2026-02-28T00:00:00Z 2026-03-31T00:00:00Z"),
        ("0 0 * * 5L", "2026-01-30T00:00:00Z 2026-02-27T00:00:00Z 2026-03-27T00:00:00Z"),
        ("0 0 * * 1#2", "2026-02-09T00:00:00Z 2026-03-09T00:00:00Z 2026-04-13T00:00:00Z"),
        ("0 0 13 * 5", "2026-01-16T00:00:00Z 2026-01-23T00:00:00Z 2026-01-30T00:00:00Z"),
        ("5/20 * * * *", "2026-01-15T10:25:00Z 2026-01-15T10:45:00Z 2026-01-15T11:05:00Z"),
        ("0 0 * * SUN", "2026-01-18T00:00:00Z 2026-01-25T00:00:00Z 2026-02-01T00:00:00Z"),
        ("0 0 * * 7", "2026-01-18T00:00:00Z 2026-01-25T00:00:00Z 2026-02-01T00:00:00Z"),
        ("0 0 * * 5-7", "2026-01-16T00:00:00Z 2026-01-17T00:00:00Z 2026-01-18T00:00:00Z"),
        ("0 0 * FEB,mar MON", "2026-02-02T00:00:00Z 2026-02-09T00:00:00Z 2026-02-16T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z 2036-02-29T00:00:00Z"),
        ("*/20 * * * * *", "2026-01-15T10:20:40Z 2026-01-15T10:21:00Z 2026-01-15T10:21:20Z"),
        ("? ? ? ? ?", "2026-01-15T10:21:00Z 2026-01-15T10:22:00Z 2026-01-15T10:23:00Z"),
        ("@daily", "2026-01-16T00:00:00Z 2026-01-17T00:00:00Z 2026-01-18T00:00:00Z"),
        ("@weekly", "2026-01-18T00:00:00Z 2026-01-25T00:00:00Z 2026-02-01T00:00:00Z"),
        ("@weekdays", "2026-01-16T00:00:00Z 2026-01-19T00:00:00Z 2026-01-20T00:00:00Z"),
        ("0 0 1-7 * 1", "2026-01-19T00:00:00Z 2026-01-26T00:00:00Z 2026-02-01T00:00:00Z"),
        ("0 0 */2 * *", "2026-01-17T00:00:00Z 2026-01-19T00:00:00Z 2026-01-21T00:00:00Z"),
        ("0 0 * * */2", "2026-01-17T00:00:00Z 2026-01-18T00:00:00Z 2026-01-20T00:00:00Z"),
        ("0 0 1 * ?", "2026-02-01T00:00:00Z 2026-03-01T00:00:00Z 2026-04-01T00:00:00Z"),
        ("0 0 * * 1L,5", "2026-01-16T00:00:00Z 2026-01-23T00:00:00Z 2026-01-26T00:00:00Z"),
        ("0 0 10,L * *", "2026-01-31T00:00:00Z 2026-02-10T00:00:00Z 2026-02-28T00:00:00Z"),
        ("0 0 31 * *", "2026-01-31T00:00:00Z 2026-03-31T00:00:00Z 2026-05-31T00:00:00Z"),
        ("0 0 L 2 1", "2026-02-02T00:00:00Z 2026-02-09T00:00:00Z 2026-02-16T00:00:00Z"),
        ("* *", "2026-01-15T10:21:00Z 2026-01-15T10:22:00Z 2026-01-15T10:23:00Z"),
        ("0-59/100 * * * *", "2026-01-15T11:00:00Z 2026-01-15T12:00:00Z 2026-01-15T13:00:00Z"),
        // It refuses this one; here it is never.
        ("0 0 30 2 *", ""),
    ] {
        assert_eq!(after(pattern, "2026-01-15T10:20:30.500Z", "UTC", 3), expected, "{pattern}");
    }
}

/// What cron-parser 5.10 answers, where the clocks change.
#[test]
fn a_time_that_the_clocks_leave_out_is_later_and_one_that_they_repeat_counts_once() {
    let berlin = "Europe/Berlin";
    for (pattern, from, zone, expected) in [
        (
            "30 2 * * *",
            "2026-03-28T00:00:00Z",
            berlin,
            "2026-03-28T01:30:00Z 2026-03-29T01:30:00Z 2026-03-30T00:30:00Z",
        ),
        (
            "0 * * * *",
            "2026-03-28T23:30:00Z",
            berlin,
            "2026-03-29T00:00:00Z 2026-03-29T01:00:00Z 2026-03-29T02:00:00Z",
        ),
        (
            "30 2 * * *",
            "2026-10-24T00:00:00Z",
            berlin,
            "2026-10-24T00:30:00Z 2026-10-25T00:30:00Z 2026-10-26T01:30:00Z",
        ),
        (
            "0 * * * *",
            "2026-10-24T23:30:00Z",
            berlin,
            "2026-10-25T00:00:00Z 2026-10-25T01:00:00Z 2026-10-25T02:00:00Z",
        ),
        (
            "*/30 2 * * *",
            "2026-10-24T20:30:00Z",
            berlin,
            "2026-10-25T00:00:00Z 2026-10-25T00:30:00Z 2026-10-26T01:00:00Z",
        ),
        (
            "*/30 * * * *",
            "2026-10-25T00:15:00Z",
            berlin,
            "2026-10-25T00:30:00Z 2026-10-25T01:00:00Z 2026-10-25T01:30:00Z",
        ),
        (
            "*/20 2 * * *",
            "2026-03-28T20:00:00Z",
            berlin,
            "2026-03-29T01:00:00Z 2026-03-29T01:20:00Z 2026-03-29T01:40:00Z",
        ),
        (
            "0 2,3 * * *",
            "2026-03-28T20:00:00Z",
            berlin,
            "2026-03-29T01:00:00Z 2026-03-30T00:00:00Z 2026-03-30T01:00:00Z",
        ),
        (
            "30 1 * * *",
            "2026-10-31T00:00:00Z",
            "America/New_York",
            "2026-10-31T05:30:00Z 2026-11-01T05:30:00Z 2026-11-02T06:30:00Z",
        ),
        (
            "0 12 * * *",
            "2026-01-01T00:00:00Z",
            "Asia/Kathmandu",
            "2026-01-01T06:15:00Z 2026-01-02T06:15:00Z 2026-01-03T06:15:00Z",
        ),
        // Midnight is left out on the 6th; cron-parser leaves out the whole run.
        (
            "0 0 * * *",
            "2026-09-05T00:00:00Z",
            "America/Santiago",
            "2026-09-05T04:00:00Z 2026-09-06T04:00:00Z 2026-09-07T03:00:00Z",
        ),
    ] {
        assert_eq!(after(pattern, from, zone, 3), expected, "{pattern} {zone}");
    }
}

#[test]
fn what_cannot_be_followed_is_told() {
    for (pattern, expected) in [
        ("0 0 * * FRI-MON", "its day of the week \"FRI-MON\" cannot be read"),
        ("60 * * * *", "its minute \"60\" cannot be read"),
        ("0 22-2 * * *", "its hour \"22-2\" cannot be read"),
        ("0 0 L-2 * *", "its day of the month \"L-2\" cannot be read"),
        ("0 0 15W * *", "its day of the month \"15W\" cannot be read"),
        ("H * * * *", "its minute \"H\" cannot be read"),
        ("0 0 * * L", "its day of the week \"L\" cannot be read"),
        ("1,2, * * * *", "its minute \"1,2,\" cannot be read"),
        ("*/0 * * * *", "its minute \"*/0\" cannot be read"),
        ("0 0 * * 1,3#1", "its day of the week \"1,3#1\" cannot be read"),
        ("0 0 * * 1#6", "its day of the week \"1#6\" cannot be read"),
        ("+1 * * * *", "its minute \"+1\" cannot be read"),
        ("* * * * * * *", "it has 7 fields, and may have six"),
        ("@reboot", "\"@reboot\" is no known pattern"),
    ] {
        assert_eq!(Pattern::parse(pattern).expect_err("it cannot be read").to_string(), expected);
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-zA-Z*?,/#@ -]{0,40}", millis in 0_i64..2_199_023_255_552) {
        if let Ok(pattern) = Pattern::parse(&text) {
            let from = Timestamp::from_millisecond(millis).expect("it is in range");
            if let Some(next) = pattern.next(from, &TimeZone::UTC) {
                prop_assert!(next > from);
            }
        }
    }
}
