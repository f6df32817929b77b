//! Classic histogram buckets for run-queue latency. Each bound is also a native one, so that each classic bucket is an
//! exact sum of native buckets: nothing is interpolated.

use collector_ebpf::latency::{BOUNDS, BUCKETS_PER_OCTAVE, LOWEST_EXPONENT};

use crate::snapshot::Latency;

/// A classic bucket: all waits of at most its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The bound in seconds, written as Prometheus itself writes a number.
    pub le: &'static str,
    /// Native buckets up to the bound.
    natives: usize,
}

/// Number of bounds; `+Inf` comes on top.
pub const CLASSIC_BOUNDS: usize = 17;

/// 3.8 µs to 16 s, finest where a wait begins to be felt. Each is a power of two.
pub static CLASSIC: [Bucket; CLASSIC_BOUNDS] = [
    bucket(-18, "3.814697265625e-06"),
    bucket(-16, "1.52587890625e-05"),
    bucket(-14, "6.103515625e-05"),
    bucket(-12, "0.000244140625"),
    bucket(-10, "0.0009765625"),
    bucket(-9, "0.001953125"),
    bucket(-8, "0.00390625"),
    bucket(-7, "0.0078125"),
    bucket(-6, "0.015625"),
    bucket(-5, "0.03125"),
    bucket(-4, "0.0625"),
    bucket(-3, "0.125"),
    bucket(-2, "0.25"),
    bucket(-1, "0.5"),
    bucket(0, "1"),
    bucket(2, "4"),
    bucket(4, "16"),
];

const fn bucket(exponent: i32, le: &'static str) -> Bucket {
    let octaves = (exponent - LOWEST_EXPONENT).unsigned_abs() as usize;
    let natives = octaves * BUCKETS_PER_OCTAVE + 1;
    assert!(exponent >= LOWEST_EXPONENT && natives <= BOUNDS);
    Bucket { le, natives }
}

/// Waits of at most each bound of [`CLASSIC`], and all waits.
#[inline]
pub fn cumulative(latency: &Latency) -> ([u64; CLASSIC_BOUNDS], u64) {
    let mut counts = [0; CLASSIC_BOUNDS];
    let mut seen = 0;
    let mut next = 0;
    for (count, bucket) in counts.iter_mut().zip(&CLASSIC) {
        seen += latency.buckets[next..bucket.natives].iter().sum::<u64>();
        next = bucket.natives;
        *count = seen;
    }
    (counts, seen + latency.buckets[next..].iter().sum::<u64>())
}

#[cfg(test)]
mod tests {
    use collector_ebpf::latency::{BOUNDS_NS, BUCKETS, bucket_of};
    use proptest::{
        prelude::{any, prop_assert, prop_assert_eq, proptest},
        test_runner::Config,
    };

    use super::{BUCKETS_PER_OCTAVE, CLASSIC, LOWEST_EXPONENT, Latency, cumulative};

    #[test]
    fn each_bound_is_written_as_the_exact_number_that_ends_its_last_native_bucket() {
        for bucket in &CLASSIC {
            let octaves = u32::try_from((bucket.natives - 1) / BUCKETS_PER_OCTAVE).map_or(f64::NAN, f64::from);
            let bound = (octaves + f64::from(LOWEST_EXPONENT)).exp2();
            assert_eq!(bucket.le.parse(), Ok(bound));
            let ns = BOUNDS_NS[bucket.natives - 1];
            assert_eq!(format!("{:.0}", (bound * 1e9).floor()), ns.to_string(), "{}", bucket.le);
        }
    }

    #[test]
    fn bounds_are_written_as_prometheus_writes_them() {
        for bucket in &CLASSIC {
            let value: f64 = bucket.le.parse().unwrap_or(f64::NAN);
            // Go: an exponent of two digits below 10⁻⁴, else the plain number.
            let plain = if value < 1e-4 { format!("{value:e}").replace("e-", "e-0") } else { value.to_string() };
            assert_eq!(bucket.le, plain);
        }
    }

    proptest! {
        #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

        #[test]
        fn each_count_is_that_of_the_waits_up_to_its_bound(
            waits in proptest::collection::vec(any::<u64>(), 0..64), shift in 0..60,
        ) {
            let waits: Vec<u64> = waits.iter().map(|wait| wait >> shift).collect();
            let mut latency = Latency { buckets: [0; BUCKETS] };
            for wait in &waits {
                latency.buckets[bucket_of(*wait)] += 1;
            }
            let (counts, all) = cumulative(&latency);
            prop_assert_eq!(all, waits.len() as u64);
            prop_assert_eq!(all, latency.count());
            prop_assert!(counts.is_sorted() && counts.iter().all(|count| *count <= all));
            for (count, bucket) in counts.iter().zip(&CLASSIC) {
                let bound = BOUNDS_NS[bucket.natives - 1];
                prop_assert_eq!(*count, waits.iter().filter(|wait| **wait <= bound).count() as u64);
            }
        }
    }
}
