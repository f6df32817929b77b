//! Repeated measurements as median, least and greatest. Pure.

use std::fmt;

use serde::Serialize;

/// What repeated measurements of one thing gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The value in the middle; of an even number, the mean of the two.
    pub(crate) median: f64,
    /// Least.
    pub(crate) min: f64,
    /// Greatest.
    pub(crate) max: f64,
}

impl Spread {
    /// `None` without values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }

    /// Least and greatest, with as many decimals as the format asks for.
    pub(crate) fn range(self) -> Range {
        Range(self)
    }
}

/// Prints `min–max`.
pub(crate) struct Range(Spread);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(1);
        write!(f, "{:.decimals$}–{:.decimals$}", self.0.min, self.0.max)
    }
}

/// `amount / count`.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53: a hundred days in nanoseconds")]
pub(crate) fn per(amount: u64, count: u64) -> f64 {
    amount as f64 / count as f64
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_median_is_the_value_in_the_middle_however_they_are_ordered() {
        let found = Spread::of([9.0, 1.0, 4.0]);
        assert_eq!(found, Some(Spread { median: 4.0, min: 1.0, max: 9.0 }));
    }

    #[test]
    fn of_an_even_number_it_is_the_mean_of_the_two_in_the_middle() {
        let found = Spread::of([8.0, 2.0, 100.0, 4.0]);
        assert_eq!(found, Some(Spread { median: 6.0, min: 2.0, max: 100.0 }));
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_range_has_the_decimals_asked_for() {
        let text = Spread::of([1.0, 2.25]).map(|spread| format!("{:.2}", spread.range()));
        assert_eq!(text.as_deref(), Some("1.00–2.25"));
    }
}
