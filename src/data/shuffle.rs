//! Random orders of rows as functions of a seed.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014); bounded
//! numbers are drawn without bias by Lemire's method ("Fast Random Integer Generation in an Interval", 2019).

/// A stream of random numbers.
pub(super) struct Stream {
    state: u64,
}

impl Stream {
    /// The stream named by a seed and a path of numbers; streams of different paths are unrelated.
    pub(super) fn new(seed: u64, path: &[u64]) -> Self {
        let mut state = seed;
        for &number in path {
            state = mix(state).wrapping_add(mix(number ^ GAMMA));
        }
        Stream { state: mix(state) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// A uniform number below `bound`, which is not zero.
    fn below(&mut self, bound: u64) -> u64 {
        let rejected = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next()) * u128::from(bound);
            if product as u64 >= rejected {
                return (product >> 64) as u64;
            }
        }
    }

    /// Puts the items into a uniformly random order (Fisher–Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// A number that depends on all of a seed and a path of numbers.
pub(super) fn hash(seed: u64, path: &[u64]) -> u64 {
    Stream::new(seed, path).next()
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first numbers for seed 1234567, as published with the reference implementation.
        let mut stream = Stream { state: 1234567 };
        let drawn: Vec<u64> = (0..3).map(|_| stream.next()).collect();
        assert_eq!(drawn, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn all_orders_are_equally_likely() {
        const TRIALS: u64 = 24_000;
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..TRIALS {
            let mut items = [0, 1, 2, 3];
            Stream::new(seed, &[]).shuffle(&mut items);
            *counts.entry(items).or_insert(0u64) += 1;
        }
        let expected = TRIALS as f64 / 24.0;
        let chi_squared: f64 = counts.values().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
        // 23 degrees of freedom: the 0.9999 quantile is 56.
        assert!(counts.len() == 24 && chi_squared < 56.0, "{chi_squared}");
    }

    #[test]
    fn streams_differ_by_seed_and_path() {
        let first = |seed, path: &[u64]| Stream::new(seed, path).next();
        let mut numbers =
            [first(1, &[]), first(2, &[]), first(1, &[0]), first(1, &[1]), first(2, &[0]), first(1, &[0, 0])];
        numbers.sort();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
