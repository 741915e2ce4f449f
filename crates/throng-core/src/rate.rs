//! How often somebody may do something: a bucket of tokens for each name, in a table of fixed size.
//!
//! A bucket fills evenly and holds what may be done at once. Who has none is a newcomer with a full bucket: a table that
//! is full forgets whoever could take the most, which costs nobody anything but a bound that is a little wider.

use std::collections::BTreeMap;

/// Tokens are counted in thousandths, so that a rate of one in some seconds fills every millisecond.
const MILLI: u64 = 1_000;

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once, after a rest.
    pub burst: u32,
    /// In a thousand seconds, for ever.
    pub per_1000_s: u32,
}

impl Rate {
    /// So often a second, and four times as much at once.
    pub const fn per_second(calls: u32) -> Self {
        Self {
            burst: calls.saturating_mul(4),
            per_1000_s: calls.saturating_mul(1_000),
        }
    }

    /// A millisecond brings a thousandth of a thousandth of what a thousand seconds bring.
    const fn grown(self, tokens: u64, ms: u64) -> u64 {
        let grown = tokens.saturating_add(ms.saturating_mul(self.per_1000_s as u64) / MILLI);
        let full = self.burst as u64 * MILLI;
        if grown < full { grown } else { full }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In thousandths.
    tokens: u64,
    at_ms: u64,
}

/// The buckets of a kind.
#[derive(Clone, Debug)]
pub struct Rates<N> {
    rate: Rate,
    names_max: usize,
    buckets: BTreeMap<N, Bucket>,
}

impl<N: Ord + Clone> Rates<N> {
    /// All buckets full, and room for so many that are not.
    pub const fn new(rate: Rate, names_max: usize) -> Self {
        Self {
            rate,
            names_max,
            buckets: BTreeMap::new(),
        }
    }

    /// Takes a token; or says how many seconds to wait for one, at least 1.
    pub fn take(&mut self, name: &N, now_ms: u64) -> Result<(), u32> {
        let tokens = self.tokens(name, now_ms);
        if tokens < MILLI {
            return Err(self.wait_s(tokens));
        }
        self.put(name, tokens - MILLI, now_ms);
        Ok(())
    }

    /// Whether there is a token, without taking it; else how many seconds to wait for one, at least 1.
    pub fn look(&self, name: &N, now_ms: u64) -> Result<(), u32> {
        let tokens = self.tokens(name, now_ms);
        if tokens < MILLI {
            return Err(self.wait_s(tokens));
        }
        Ok(())
    }

    /// Whether something was done in this name lately: it has its bucket.
    pub fn knows(&self, name: &N) -> bool {
        self.buckets.contains_key(name)
    }

    fn tokens(&self, name: &N, now_ms: u64) -> u64 {
        let full = u64::from(self.rate.burst) * MILLI;
        let bucket = self.buckets.get(name);
        bucket.map_or(full, |bucket| self.grown(*bucket, now_ms))
    }

    fn grown(&self, bucket: Bucket, now_ms: u64) -> u64 {
        let passed_ms = now_ms.saturating_sub(bucket.at_ms);
        self.rate.grown(bucket.tokens, passed_ms)
    }

    fn wait_s(&self, tokens: u64) -> u32 {
        let missing = MILLI - tokens;
        let ms = (missing * MILLI).div_ceil(u64::from(self.rate.per_1000_s.max(1)));
        u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
    }

    fn put(&mut self, name: &N, tokens: u64, now_ms: u64) {
        if self.buckets.len() >= self.names_max && !self.buckets.contains_key(name) {
            self.forget_one(now_ms);
        }
        let at_ms = now_ms;
        self.buckets.insert(name.clone(), Bucket { tokens, at_ms });
    }

    fn forget_one(&mut self, now_ms: u64) {
        let fullest = self.buckets.iter().max_by_key(|(_, bucket)| {
            let oldest_first = u64::MAX - bucket.at_ms;
            (self.grown(**bucket, now_ms), oldest_first)
        });
        if let Some(name) = fullest.map(|(name, _)| name.clone()) {
            self.buckets.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_is_taken_at_once_and_then_as_often_as_the_bucket_fills() {
        let mut rates = Rates::new(Rate::per_second(2), 9);
        for _ in 0..8 {
            assert_eq!(rates.take(&"key", 1_000), Ok(()));
        }
        assert_eq!(rates.take(&"key", 1_000), Err(1));
        assert_eq!(rates.take(&"another", 1_000), Ok(()), "each has its own");
        assert_eq!(rates.take(&"key", 1_499), Err(1));
        assert_eq!(rates.take(&"key", 1_500), Ok(()));
        assert_eq!(rates.take(&"key", 1_500), Err(1));
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_after_which_there_is_a_token() {
        let rate = Rate {
            burst: 1,
            per_1000_s: 100,
        };
        let mut rates = Rates::new(rate, 9);
        assert_eq!(rates.take(&7, 0), Ok(()));
        assert_eq!((rates.look(&7, 0), rates.look(&7, 500)), (Err(10), Err(10)));
        assert_eq!(rates.look(&7, 9_999), Err(1));
        assert_eq!(rates.take(&7, 10_000), Ok(()));
        assert_eq!(
            rates.take(&7, 5_000),
            Err(10),
            "a clock that goes back gives nothing"
        );
    }

    #[test]
    fn a_full_table_forgets_whoever_could_take_the_most() {
        let mut rates = Rates::new(Rate::per_second(1), 2);
        for _ in 0..4 {
            rates.take(&"greedy", 0).unwrap();
        }
        rates.take(&"modest", 0).unwrap();
        rates.take(&"new", 0).unwrap();
        assert_eq!(rates.take(&"greedy", 0), Err(1));
        assert!(!rates.knows(&"modest") && rates.knows(&"new"));
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_the_burst_and_what_time_brings(
            calls in 1_u32..50, steps in proptest::collection::vec(0_u64..400, 1..300),
        ) {
            let mut rates = Rates::new(Rate::per_second(calls), 4);
            let (mut now_ms, mut taken) = (0, 0_u64);
            for step in steps {
                now_ms += step;
                match rates.take(&(), now_ms) {
                    Ok(()) => taken += 1,
                    Err(wait_s) => prop_assert_eq!(rates.look(&(), now_ms + u64::from(wait_s) * 1_000), Ok(())),
                }
                let brought = now_ms * u64::from(calls) / 1_000;
                prop_assert!(taken <= u64::from(calls) * 4 + brought);
            }
        }
    }
}
