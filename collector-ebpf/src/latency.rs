//! Boundaries of the run-queue latency histogram: those of a Prometheus native histogram of schema 2.
//!
//! Schema 2 puts four buckets in each power of two, bucket `i` holding `(2^((i-1)/4), 2^(i/4)]` **seconds**
//! (Prometheus documentation, "Native histograms", section "Schema"). Whole-nanosecond bounds lose
//! nothing: a wait of whole nanoseconds is at most `2^(i/4)` s exactly when it is at most the floor of that.
//! Since the kernel side counts in these very buckets, nothing is re-bucketed later.

/// Buckets per power of two: schema 2 means 2².
pub const BUCKETS_PER_OCTAVE: usize = 4;
/// log2 of the zero threshold in seconds: a wait of at most 2⁻²⁰ s (0.95 µs) is in bucket 0.
pub const LOWEST_EXPONENT: i32 = -20;
/// log2 of the largest bound in seconds: a wait of more than 2⁴ s (16 s) is in the last bucket.
pub const HIGHEST_EXPONENT: i32 = 4;

/// Bounds between buckets: [`LOWEST_EXPONENT`] and [`HIGHEST_EXPONENT`] included.
pub const BOUNDS: usize = HIGHEST_EXPONENT.abs_diff(LOWEST_EXPONENT) as usize * BUCKETS_PER_OCTAVE + 1;
/// Buckets: one up to each bound, and one for what is longer than the last.
pub const BUCKETS: usize = BOUNDS + 1;

/// Upper bound of bucket `i`, inclusive, in nanoseconds: ⌊10⁹ · 2^(i/4 − 20)⌋.
pub static BOUNDS_NS: [u64; BOUNDS] = bounds_ns();

/// ⌊2^(quarter/4) · 2⁶⁰⌋ for the four steps within a power of two.
const QUARTER_POWERS: [u64; BUCKETS_PER_OCTAVE] =
    [1_152_921_504_606_846_976, 1_371_062_456_318_104_877, 1_630_477_228_166_597_776, 1_938_975_120_585_633_118];

#[expect(clippy::cast_possible_truncation, reason = "octaves are few, and the largest bound is 16 s")]
const fn bounds_ns() -> [u64; BOUNDS] {
    let mut bounds = [0; BOUNDS];
    let mut i = 0;
    while i < BOUNDS {
        let octave = (i / BUCKETS_PER_OCTAVE) as u32;
        let scaled = 1_000_000_000 * QUARTER_POWERS[i % BUCKETS_PER_OCTAVE] as u128;
        // Exponent of two: octave - 20, and 60 for the fixed point.
        bounds[i] = (scaled >> (60 + LOWEST_EXPONENT.unsigned_abs() - octave)) as u64;
        i += 1;
    }
    bounds
}

/// The bucket that holds a wait of `ns` nanoseconds, in `0..BUCKETS`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "there are 98 buckets")]
pub fn bucket_of(ns: u64) -> usize {
    if ns <= BOUNDS_NS[0] {
        return 0;
    }
    let octave = opaque(ns.ilog2()).wrapping_sub(LOWEST_LOG2);
    // Also where waits beyond the last bound go, unless they are in the same power of two.
    if octave > OCTAVES {
        return BUCKETS - 1;
    }
    let mut found = octave as usize * BUCKETS_PER_OCTAVE;
    // An octave's bounds are no powers of two in nanoseconds, so the wait may lie in this octave or in the one before.
    // Steps only go up: older verifiers lose track of an index that was lowered.
    found += BUCKETS_PER_OCTAVE * usize::from(ns > LATE_BOUNDS_NS[found + BUCKETS_PER_OCTAVE]);
    found += 2 * usize::from(ns > LATE_BOUNDS_NS[found + 2]);
    found += usize::from(ns > LATE_BOUNDS_NS[found + 1]);
    opaque(found.wrapping_sub(BUCKETS_PER_OCTAVE - 1) as u32) as usize
}

/// ⌊log2⌋ of the lowest bound in nanoseconds (953): the power of two in which the first octave begins.
const LOWEST_LOG2: u32 = bounds_ns()[0].ilog2();
const OCTAVES: u32 = HIGHEST_EXPONENT.abs_diff(LOWEST_EXPONENT);

/// [`BOUNDS_NS`] one octave late, after zeros, and filled up to a power of two: any index that [`bucket_of`] can form,
/// by its own steps or in the eyes of a verifier that knows only its bits, is in range.
static LATE_BOUNDS_NS: [u64; 128] = late_bounds_ns();

const fn late_bounds_ns() -> [u64; 128] {
    let mut late = [u64::MAX; 128];
    let bounds = bounds_ns();
    let mut i = 0;
    while i < BOUNDS + BUCKETS_PER_OCTAVE {
        late[i] = if i < BUCKETS_PER_OCTAVE { 0 } else { bounds[i - BUCKETS_PER_OCTAVE] };
        i += 1;
    }
    late
}

/// Hides a value's range from the compiler, which would otherwise remove the range check that the verifier needs.
#[inline(always)]
fn opaque(value: u32) -> u32 {
    // SAFETY: reads a local variable.
    unsafe { core::ptr::read_volatile(&raw const value) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{BOUNDS, BOUNDS_NS, BUCKETS, LOWEST_EXPONENT, bucket_of};

    #[test]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the second opinion on the bounds is computed in floating point"
    )]
    fn bounds_are_those_of_schema_2_in_whole_nanoseconds() {
        for (i, bound) in BOUNDS_NS.iter().enumerate() {
            let seconds = 2f64.powf(i as f64 / 4.0 + f64::from(LOWEST_EXPONENT));
            assert_eq!(*bound, (seconds * 1e9).floor() as u64, "bound {i}");
        }
    }

    #[test]
    fn every_wait_lies_between_the_bounds_of_its_bucket() {
        let linear = |ns: u64| BOUNDS_NS.iter().position(|b| ns <= *b).unwrap_or(BOUNDS);
        for bound in BOUNDS_NS {
            for ns in [bound - 1, bound, bound + 1] {
                assert_eq!(bucket_of(ns), linear(ns), "{ns} ns");
            }
        }
        for shift in 0..64 {
            for ns in [1u64 << shift, (1 << shift) - 1, 3 << shift, u64::MAX >> shift] {
                assert_eq!(bucket_of(ns), linear(ns), "{ns} ns");
            }
        }
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }
}
