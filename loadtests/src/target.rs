//! What a figure has to keep to, and whether it did. Pure.

use std::fmt;

use serde::Serialize;

/// A bound on one figure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// What the figure is.
    pub(crate) figure: &'static str,
    /// The most that is fine.
    pub(crate) at_most: f64,
    /// What it is counted in.
    pub(crate) unit: &'static str,
}

/// A figure held against its target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    figure: &'static str,
    measured: f64,
    at_most: f64,
    unit: &'static str,
    met: bool,
}

impl Target {
    /// Compares; what is not a number misses every target.
    pub(crate) fn judge(self, measured: f64) -> Verdict {
        let Self { figure, at_most, unit } = self;
        Verdict { figure, measured, at_most, unit, met: measured <= at_most }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "≤ {} {}", self.at_most, self.unit)
    }
}

impl Verdict {
    /// Whether the target is met.
    pub(crate) fn met(&self) -> bool {
        self.met
    }

    /// For a table.
    pub(crate) fn word(&self) -> &'static str {
        if self.met { "met" } else { "MISSED" }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { figure, measured, at_most, unit, .. } = self;
        write!(f, "{figure}: {measured:.3} {unit}, target at most {at_most} {unit}: {}", self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    const TARGET: Target = Target { figure: "cost", at_most: 40.0, unit: "ns" };

    #[test]
    fn the_bound_itself_is_fine_and_more_is_not() {
        assert!(TARGET.judge(40.0).met());
        assert!(!TARGET.judge(40.001).met());
    }

    #[test]
    fn what_could_not_be_measured_is_missed() {
        assert!(!TARGET.judge(f64::NAN).met());
    }

    #[test]
    fn a_miss_says_what_was_found_and_what_is_allowed() {
        assert_eq!(TARGET.judge(41.5).to_string(), "cost: 41.500 ns, target at most 40 ns: MISSED");
    }
}
