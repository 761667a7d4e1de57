//! What was measured, and what is made of it: middle, tails, ratios. Pure.

use serde::Serialize;

/// What the numbers of a series count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(in crate::cli) enum Unit {
    /// Milliseconds.
    #[serde(rename = "ms")]
    Millis,
    /// Things a second.
    #[serde(rename = "1/s")]
    PerSecond,
    /// Mebibytes.
    #[serde(rename = "MiB")]
    Mebibytes,
    /// Mebibytes a second.
    #[serde(rename = "MiB/s")]
    MebibytesPerSecond,
}

impl Unit {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Millis => "ms",
            Self::PerSecond => "1/s",
            Self::Mebibytes => "MiB",
            Self::MebibytesPerSecond => "MiB/s",
        }
    }
}

/// One thing, measured some times.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Series {
    /// Never changes, for who reads the JSON.
    pub(super) name: String,
    /// What it is, for a person.
    pub(super) what: String,
    pub(super) unit: Unit,
    #[serde(flatten)]
    pub(super) marks: Marks,
    /// In the order in which they were measured.
    pub(super) samples: Vec<f64>,
}

impl Series {
    pub(super) fn new(
        name: impl Into<String>,
        what: impl Into<String>,
        unit: Unit,
        samples: Vec<f64>,
    ) -> Self {
        Self { name: name.into(), what: what.into(), unit, marks: Marks::of(&samples), samples }
    }
}

/// Middle and tails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Marks {
    pub(super) runs: usize,
    /// The middle one, or the mean of the two in the middle; `None` of nothing, as the others.
    pub(super) median: Option<f64>,
    /// The smallest one that 95 of 100 are not above.
    pub(super) p95: Option<f64>,
    /// The smallest one that 99 of 100 are not above: of fewer than a hundred the largest.
    pub(super) p99: Option<f64>,
}

impl Marks {
    pub(super) fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let runs = sorted.len();
        let at = |place: usize| sorted.get(place).copied();
        let median = match (at(runs.saturating_sub(1) / 2), at(runs / 2)) {
            (Some(below), Some(above)) => Some(f64::midpoint(below, above)),
            _ => None,
        };
        // The rank is counted from 1.
        let rank = |percent: usize| at((runs * percent).div_ceil(100).saturating_sub(1));
        Self { runs, median, p95: rank(95), p99: rank(99) }
    }
}

/// How the middles of series stand to each other.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Ratio {
    /// Never changes, for who reads the JSON.
    pub(super) name: &'static str,
    /// What it is, for a person.
    pub(super) what: String,
    /// The series that is divided.
    pub(super) of: String,
    /// The series by whose sum it is divided.
    pub(super) by: Vec<String>,
    pub(super) ratio: f64,
}

/// Divides the median of one series by the sum of those of others; `None` where one of them was not measured or
/// there is nothing to divide by.
pub(super) fn ratio(
    all: &[Series],
    name: &'static str,
    what: impl Into<String>,
    of: &str,
    by: &[&str],
) -> Option<Ratio> {
    let median = |wanted: &str| all.iter().find(|series| series.name == wanted)?.marks.median;
    let divisor = by.iter().map(|name| median(name)).sum::<Option<f64>>()?;
    let ratio = (divisor > 0.0).then(|| median(of).map(|median| median / divisor))??;
    Some(Ratio {
        name,
        what: what.into(),
        of: of.to_owned(),
        by: by.iter().map(|name| (*name).to_owned()).collect(),
        ratio,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, samples: &[f64]) -> Series {
        Series::new(name, "", Unit::Millis, samples.to_vec())
    }

    #[test]
    fn the_middle_is_one_of_them_or_between_two_and_the_tails_are_measured_values() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let marks = Marks::of(&hundred);
        assert_eq!((marks.median, marks.p95, marks.p99), (Some(50.5), Some(95.0), Some(99.0)));
        let marks = Marks::of(&[3.0, 1.0, 2.0]);
        assert_eq!((marks.median, marks.p95, marks.p99), (Some(2.0), Some(3.0), Some(3.0)));
        let marks = Marks::of(&[7.0]);
        assert_eq!((marks.runs, marks.median, marks.p99), (1, Some(7.0), Some(7.0)));
    }

    #[test]
    fn nothing_has_no_middle() {
        assert_eq!(Marks::of(&[]), Marks { runs: 0, median: None, p95: None, p99: None });
    }

    #[test]
    fn a_ratio_divides_by_the_sum_and_is_missing_with_any_of_its_series() {
        let all = [series("a", &[6.0]), series("b", &[1.0]), series("c", &[2.0]), series("none", &[])];
        let of = |by: &[&str]| ratio(&all, "r", "", "a", by).map(|ratio| ratio.ratio);
        assert_eq!(of(&["b", "c"]), Some(2.0));
        assert_eq!((of(&["b", "none"]), of(&["b", "unknown"]), of(&[])), (None, None, None));
        let zero = [series("a", &[6.0]), series("zero", &[0.0])];
        assert!(ratio(&zero, "r", "", "a", &["zero"]).is_none());
    }
}
