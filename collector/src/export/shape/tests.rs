//! Both shapes against the kernel side's buckets, against exact powers of two and against single observations.

use collector_ebpf::latency::{BOUNDS_NS, BUCKETS, bucket_of};
use proptest::{
    prelude::{any, prop_assert_eq, proptest},
    test_runner::Config,
};

use super::{CORES, LATENCY, Shape};

const SHAPES: [&Shape; 2] = [&LATENCY, &CORES];

/// Upper bound of a bucket by the definition of schema 2, for buckets before the last.
fn upper(shape: &Shape, bucket: usize) -> f64 {
    let index = shape.first_index() - 1 + i32::try_from(bucket).unwrap_or(i32::MAX);
    (f64::from(index) / 4.0).exp2()
}

#[test]
fn latency_has_the_buckets_of_the_kernel_side() {
    assert_eq!(LATENCY.buckets(), BUCKETS);
    for (bucket, ns) in BOUNDS_NS.iter().enumerate() {
        assert_eq!(format!("{:.0}", (upper(&LATENCY, bucket) * 1e9).floor()), ns.to_string(), "bucket {bucket}");
    }
}

#[test]
fn the_zero_threshold_is_the_bound_of_the_first_bucket_and_bounds_are_exact() {
    for shape in SHAPES {
        assert_eq!(shape.zero_threshold().to_bits(), upper(shape, 0).to_bits());
        assert_eq!(shape.zero_threshold().to_bits(), f64::from(shape.lowest).exp2().to_bits());
        for classic in shape.classic() {
            assert_eq!(classic.bound().to_bits(), f64::from(classic.exponent).exp2().to_bits());
        }
    }
}

#[test]
fn bounds_are_written_as_prometheus_writes_them() {
    for classic in SHAPES.iter().flat_map(|shape| shape.classic()) {
        let value = classic.bound();
        assert_eq!(classic.le.parse(), Ok(value));
        // Go: an exponent of two digits below 10⁻⁴, else the plain number.
        let plain = if value < 1e-4 { format!("{value:e}").replace("e-", "e-0") } else { value.to_string() };
        assert_eq!(classic.le, plain);
    }
}

#[test]
fn too_few_buckets_are_counted_as_far_as_they_go() {
    let counts: Vec<u64> = CORES.cumulative(&[3, 4]).collect();
    assert_eq!(counts[..2], [3, 7]);
    assert_eq!(counts.last(), Some(&7));
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn each_count_is_that_of_the_waits_up_to_its_bound(
        waits in proptest::collection::vec(any::<u64>(), 0..64), shift in 0..60,
    ) {
        let waits: Vec<u64> = waits.iter().map(|wait| wait >> shift).collect();
        let mut buckets = [0; BUCKETS];
        for wait in &waits {
            buckets[bucket_of(*wait)] += 1;
        }
        let counts: Vec<u64> = LATENCY.cumulative(&buckets).collect();
        prop_assert_eq!(counts.len(), LATENCY.classic().len() + 1);
        prop_assert_eq!(counts.last(), Some(&(waits.len() as u64)));
        for (count, classic) in counts.iter().zip(LATENCY.classic()) {
            let whole = format!("{:.0}", (classic.bound() * 1e9).floor()).parse::<u64>()?;
            prop_assert_eq!(*count, waits.iter().filter(|wait| **wait <= whole).count() as u64);
        }
    }

    #[test]
    fn one_observation_counts_from_the_first_bound_that_holds_its_bucket(bucket in 0..CORES.buckets()) {
        let mut buckets = vec![0; CORES.buckets()];
        buckets[bucket] = 1;
        let counts = CORES.cumulative(&buckets);
        let bounds = CORES.classic().iter().map(super::Classic::bound).chain([f64::INFINITY]);
        for (count, bound) in counts.zip(bounds) {
            let holds = bound.is_infinite() || (bucket + 1 < CORES.buckets() && upper(&CORES, bucket) <= bound * 1.001);
            prop_assert_eq!(count == 1, holds, "bound {}", bound);
        }
    }
}
