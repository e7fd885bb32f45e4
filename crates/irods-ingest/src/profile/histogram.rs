//! Times in buckets of fixed number: 64 to each power of two, so that what is read off them is wrong by less than 1 %.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Buckets to a power of two, as a power of two.
const BITS: u32 = 6;

/// How many values were in which bucket. At most 3,776 buckets, of which those that are empty are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Histogram(BTreeMap<u16, u64>);

impl Histogram {
    pub(super) fn add(&mut self, value: u64) {
        self.add_some(bucket(value), 1);
    }

    fn add_some(&mut self, bucket: u16, more: u64) {
        let count = self.0.entry(bucket).or_default();
        *count = count.saturating_add(more);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            self.add_some(*bucket, *count);
        }
    }

    /// The value below or at which `percent` of all are; 0 if there are none.
    pub(super) fn percentile(&self, percent: f64) -> u64 {
        let all = self
            .0
            .values()
            .fold(0, |sum: u64, n| sum.saturating_add(*n));
        let rank = (percent / 100.0 * all as f64).ceil().max(1.0) as u64;
        let mut below = 0_u64;
        for (bucket, count) in &self.0 {
            below = below.saturating_add(*count);
            if below >= rank {
                return middle(*bucket);
            }
        }
        0
    }
}

/// Below 128 each value is its own; above, the seven highest bits of a value say which.
fn bucket(value: u64) -> u16 {
    let shift = value.max(1).ilog2().saturating_sub(BITS);
    // At most 57 * 64 + 127.
    (shift << BITS) as u16 + (value >> shift) as u16
}

fn middle(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    let shift = (bucket >> BITS).saturating_sub(1).min(57);
    let lowest = (bucket - (shift << BITS)) << shift;
    lowest + ((1 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_are_in_the_order_of_values_and_few() {
        let edges = (0..64).flat_map(|bit| [0, 1, 2].map(|more| (1_u64 << bit).wrapping_add(more)));
        let mut values: Vec<u64> = edges.chain(0..300).chain([u64::MAX]).collect();
        values.sort_unstable();
        let buckets: Vec<u16> = values.iter().map(|value| bucket(*value)).collect();
        assert!(buckets.is_sorted());
        assert_eq!(buckets.last(), Some(&3775));
    }

    proptest! {
        #[test]
        fn a_bucket_stands_for_its_values_to_less_than_one_percent(value in any::<u64>(), shift in 0..64_u32) {
            let value = value >> shift;
            prop_assert!(middle(bucket(value)).abs_diff(value) as f64 <= value as f64 * 0.01);
        }

        #[test]
        fn percentiles_are_those_of_all_values(values in vec(0..u64::MAX / 2, 1..300), percent in 1..=100_u32) {
            let mut histogram = Histogram::default();
            let mut parts = [Histogram::default(), Histogram::default()];
            for (index, value) in values.iter().enumerate() {
                histogram.add(*value);
                parts[index % 2].add(*value);
            }
            let [mut merged, other] = parts;
            merged.merge(&other);
            prop_assert_eq!(&merged, &histogram);
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let rank = (f64::from(percent) / 100.0 * sorted.len() as f64).ceil() as usize;
            let exact = sorted[rank.max(1) - 1];
            let found = histogram.percentile(percent.into());
            prop_assert!(found.abs_diff(exact) as f64 <= exact as f64 * 0.01, "{} for {}", found, exact);
        }
    }
}
