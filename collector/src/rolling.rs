//! The greatest value within a rolling window. Pure: the clock is passed in.

use crate::units::Nanos;

/// Parts of a window: what is told may be older than the window by one part.
const PARTS: u64 = 16;

/// The greatest of the values of the last window, in constant space.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RollingMax {
    /// Number of the part into which the last value fell.
    part: u64,
    /// The greatest value of each of the last parts.
    values: [f64; PARTS as usize],
}

impl RollingMax {
    /// Takes note of `value`, seen `now`.
    pub fn note(&mut self, value: f64, now: Nanos, window: Nanos) {
        self.advance(now, window);
        let place = &mut self.values[Self::place(self.part)];
        *place = place.max(value);
    }

    /// The greatest value within `window` up to `now`; zero if there was none.
    pub fn get(mut self, now: Nanos, window: Nanos) -> f64 {
        self.advance(now, window);
        self.values.into_iter().fold(0.0, f64::max)
    }

    /// Forgets the parts that the window has left. Another window numbers its parts differently and begins anew.
    fn advance(&mut self, now: Nanos, window: Nanos) {
        let part = now.0 / (window.0 / PARTS).max(1);
        if part < self.part || part - self.part >= PARTS {
            self.values = Default::default();
        } else {
            for passed in self.part + 1..=part {
                self.values[Self::place(passed)] = 0.0;
            }
        }
        self.part = part;
    }

    #[expect(clippy::cast_possible_truncation, reason = "a remainder below 16")]
    fn place(part: u64) -> usize {
        (part % PARTS) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, prop_assert, proptest};

    use super::{Nanos, PARTS, RollingMax};

    const WINDOW: Nanos = Nanos(1_600);

    #[test]
    fn a_peak_is_told_for_the_length_of_the_window_and_then_forgotten() {
        let mut peak = RollingMax::default();
        peak.note(3.0, Nanos(1_000), WINDOW);
        peak.note(1.0, Nanos(1_500), WINDOW);
        assert!((peak.get(Nanos(2_400), WINDOW) - 3.0).abs() < f64::EPSILON);
        assert!((peak.get(Nanos(2_700), WINDOW) - 1.0).abs() < f64::EPSILON);
        assert!(peak.get(Nanos(9_000), WINDOW).abs() < f64::EPSILON);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn it_is_between_the_maximum_of_the_window_and_that_of_one_part_more(
            steps in proptest::collection::vec((0u64..400, 0u32..100), 1..60),
        ) {
            let (mut peak, mut now, mut seen) = (RollingMax::default(), 10_000, Vec::new());
            for (step, value) in steps {
                now += step;
                peak.note(value.into(), Nanos(now), WINDOW);
                seen.push((now, f64::from(value)));
                let greatest = |span: u64| {
                    seen.iter().filter(|(at, _)| at + span > now).map(|(_, value)| *value).fold(0.0, f64::max)
                };
                let told = peak.get(Nanos(now), WINDOW);
                // The oldest part is cut off where the newest begins.
                prop_assert!(told >= greatest(WINDOW.0 - WINDOW.0 / PARTS));
                prop_assert!(told <= greatest(WINDOW.0));
            }
        }
    }
}
