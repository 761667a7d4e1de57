//! Times for a person, in the unit people would use.

use crate::domain::timestamp::Timestamp;

/// Milliseconds.
pub(in crate::cli) fn duration(millis: u64) -> String {
    match millis {
        0..10_000 => format!("{millis} ms"),
        10_000..600_000 => format!("{:.1} s", millis as f64 / 1000.0),
        _ => format!("{} min", millis / 60_000),
    }
}

/// From one moment to a later one.
pub(in crate::cli) fn between(from: Timestamp, to: Timestamp) -> String {
    duration(u64::try_from(to.millis().saturating_sub(from.millis())).unwrap_or_default())
}

/// How long ago, in the greatest unit that has two of it.
pub(in crate::cli) fn age(from: Timestamp, now: Timestamp) -> String {
    let seconds = now.millis().saturating_sub(from.millis()).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_people_would_use() {
        let at = |seconds: i64| age(Timestamp::from_seconds(0), Timestamp::from_seconds(seconds));
        assert_eq!(
            [at(-5), at(0), at(119), at(120), at(7200), at(172_800)],
            ["0s", "0s", "119s", "2m", "2h", "2d"]
        );
        assert_eq!([9_999, 10_000, 600_000].map(duration), ["9999 ms", "10.0 s", "10 min"]);
        assert_eq!(between(Timestamp::from_seconds(2), Timestamp::from_seconds(1)), "0 ms");
    }
}
