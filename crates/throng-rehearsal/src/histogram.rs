//! Percentiles of very many times in little room: 32 steps per doubling, so that a value is at most 3 % off. Pure.

use serde::{Deserialize, Serialize};

/// Steps within a doubling.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Counts of values by size. Sums of two are what one would have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Bucket and count, buckets rising, none twice, none empty; at most 1,920 of them for 64 bits.
    counts: Vec<(u16, u64)>,
    max: u64,
}

impl Histogram {
    /// Counts a value.
    pub fn note(&mut self, value: u64) {
        self.add_to(bucket(value), 1);
        self.max = self.max.max(value);
    }

    /// Takes over all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            self.add_to(*bucket, *count);
        }
        self.max = self.max.max(other.max);
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// The largest value, exactly; 0 without any.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// A value that so many per cent do not exceed, at most 3 % too high; 0 without any.
    pub fn percentile(&self, percent: u64) -> u64 {
        let wanted = (self.count() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in &self.counts {
            seen += count;
            if seen >= wanted {
                return last_of(*bucket).min(self.max);
            }
        }
        self.max
    }

    fn add_to(&mut self, bucket: u16, more: u64) {
        match self
            .counts
            .binary_search_by_key(&bucket, |(known, _)| *known)
        {
            Ok(place) => self.counts[place].1 += more,
            Err(place) => self.counts.insert(place, (bucket, more)),
        }
    }
}

fn bucket(value: u64) -> u16 {
    if value < STEPS {
        return u16::try_from(value).expect("below the number of steps");
    }
    let shift = value.ilog2() - STEP_BITS;
    let step = (value >> shift) - STEPS;
    u16::try_from(u64::from(shift + 1) * STEPS + step).expect("60 doublings of 32 steps")
}

/// The largest value of a bucket.
fn last_of(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < STEPS {
        return bucket;
    }
    let (shift, step) = (bucket / STEPS - 1, bucket % STEPS);
    let end = u128::from(STEPS + step + 1) << shift;
    u64::try_from(end - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn percentiles_are_at_most_three_per_cent_high_however_they_were_added_up(
            values in proptest::collection::vec(any::<u64>().prop_map(|n| n >> (n % 61)), 1..300),
            percent in 1_u64..=100,
        ) {
            let (mut left, mut right) = (Histogram::default(), Histogram::default());
            for (index, value) in values.iter().enumerate() {
                if index % 3 == 0 { left.note(*value) } else { right.note(*value) }
            }
            left.merge(&right);
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let place = (sorted.len() * usize::try_from(percent).unwrap()).div_ceil(100) - 1;
            let (exact, told) = (sorted[place], left.percentile(percent));
            prop_assert!(told >= exact && told - exact <= exact / 32, "{} for {}", told, exact);
            prop_assert_eq!(left.count(), values.len() as u64);
            prop_assert_eq!(left.max(), sorted[sorted.len() - 1]);
        }
    }

    #[test]
    fn nothing_counted_is_zero() {
        assert_eq!(Histogram::default().percentile(99), 0);
    }
}
