//! Random draws as pure functions of (seed, site, step, index): Threefry-2x32 with 20 rounds (Salmon et al.,
//! "Parallel random numbers: as easy as 1, 2, 3", 2011).
//!
//! Input: the run's seed, the number of the place in the program that draws (its site), the step, and the element's
//! index. Output: 32 or 64 random bits, or a float in [0, 1). Invariant: a draw depends on these four numbers alone,
//! never on how many elements are drawn together or by which thread.
//!
//! Definition, with T(key, counter) the block function and a 64-bit number standing for (low word, high word):
//! - the key of a site at a step is K = T(T(seed, site), step), derived once per site and step ([`Key::derive`]);
//! - the 64 bits of element i are the two words of T(K, i), the first one low ([`Key::bits64`]);
//! - the 32 bits of element i, with i = 8·block + 4·half + j, are word `half` of T(K, 4·block + j) ([`Key::bits32`]): eight
//!   elements take four counters, and a vector of four counters gives two whole vectors of elements;
//! - a uniform f32 is the top 24 of the 32 bits times 2^-24; a uniform f64 is the top 27 bits of the first word times
//!   2^-27 plus the top 26 of the second times 2^-53. Both are exact.

/// Arithmetic on 32-bit words, or on vectors of them.
pub trait Words {
    type W: Copy;
    fn word(&mut self, value: u32) -> Self::W;
    /// Modulo 2^32.
    fn add(&mut self, a: Self::W, b: Self::W) -> Self::W;
    fn xor(&mut self, a: Self::W, b: Self::W) -> Self::W;
    /// `by` is between 1 and 31.
    fn rotate_left(&mut self, a: Self::W, by: u32) -> Self::W;
}

/// Words of the host.
pub struct HostWords;

impl Words for HostWords {
    type W = u32;
    fn word(&mut self, value: u32) -> u32 {
        value
    }
    fn add(&mut self, a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }
    fn xor(&mut self, a: u32, b: u32) -> u32 {
        a ^ b
    }
    fn rotate_left(&mut self, a: u32, by: u32) -> u32 {
        a.rotate_left(by)
    }
}

/// The eight rotation distances of Threefry-2x32.
const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
/// Completes the key so that an all-zero key is no fixed point.
const PARITY: u32 = 0x1BD1_1BDA;
/// Elements that share a block of counters in the 32-bit scheme.
pub const BLOCK: u64 = 8;

/// Threefry-2x32-20: about 85 word operations for two words.
pub fn threefry<L: Words>(words: &mut L, key: [L::W; 2], counter: [L::W; 2]) -> [L::W; 2] {
    let parity = words.word(PARITY);
    let mixed = words.xor(key[0], key[1]);
    let schedule = [key[0], key[1], words.xor(parity, mixed)];
    let mut a = words.add(counter[0], key[0]);
    let mut b = words.add(counter[1], key[1]);
    for round in 0..20 {
        a = words.add(a, b);
        b = words.rotate_left(b, ROTATIONS[round % 8]);
        b = words.xor(b, a);
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            a = words.add(a, schedule[injection % 3]);
            let number = words.word(injection as u32);
            let second = words.add(schedule[(injection + 1) % 3], number);
            b = words.add(b, second);
        }
    }
    [a, b]
}

fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// What one site draws from at one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub [u32; 2]);

impl Key {
    pub fn derive(seed: u64, site: u64, step: u64) -> Key {
        let of_site = threefry(&mut HostWords, halves(seed), halves(site));
        Key(threefry(&mut HostWords, of_site, halves(step)))
    }

    /// The two words of a counter.
    pub fn words(self, counter: u64) -> [u32; 2] {
        threefry(&mut HostWords, self.0, halves(counter))
    }

    /// The 32 bits of an element.
    pub fn bits32(self, index: u64) -> u32 {
        let (block, within) = (index / BLOCK, index % BLOCK);
        let half = (within / 4) as usize;
        self.words(4 * block + within % 4)[half]
    }

    /// The 64 bits of an element.
    pub fn bits64(self, index: u64) -> u64 {
        let [low, high] = self.words(index);
        u64::from(low) | u64::from(high) << 32
    }

    /// Uniform in [0, 1).
    pub fn uniform_f32(self, index: u64) -> f32 {
        unit_f32(self.bits32(index))
    }

    /// Uniform in [0, 1).
    pub fn uniform_f64(self, index: u64) -> f64 {
        unit_f64(self.words(index))
    }
}

/// The top 24 bits as a multiple of 2^-24 in [0, 1).
pub fn unit_f32(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// The top 27 and 26 bits as a multiple of 2^-53 in [0, 1).
pub fn unit_f64(words: [u32; 2]) -> f64 {
    let high = f64::from(words[0] >> 5) * (1.0 / (1_u64 << 27) as f64);
    f64::from(words[1] >> 6).mul_add(1.0 / (1_u64 << 53) as f64, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_random123() {
        let cases = [
            ([0, 0], [0, 0], [0x6b20_0159, 0x99ba_4efe]),
            ([u32::MAX, u32::MAX], [u32::MAX, u32::MAX], [0x1cb9_96fc, 0xbb00_2be7]),
            ([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3], [0xc492_3a9c, 0x483d_f7a0]),
        ];
        for (key, counter, expected) in cases {
            assert_eq!(threefry(&mut HostWords, key, counter), expected);
        }
    }

    #[test]
    fn eight_elements_take_both_words_of_four_counters() {
        let key = Key::derive(7, 3, 11);
        for block in [0_u64, 1, 5, 1 << 40] {
            for j in 0..4 {
                let words = key.words(4 * block + j);
                assert_eq!(key.bits32(8 * block + j), words[0]);
                assert_eq!(key.bits32(8 * block + 4 + j), words[1]);
            }
        }
    }

    #[test]
    fn seed_site_and_step_each_change_the_key() {
        let base = Key::derive(1, 2, 3);
        for other in [Key::derive(2, 2, 3), Key::derive(1, 3, 3), Key::derive(1, 2, 4), Key::derive(1 << 32, 2, 3)] {
            assert_ne!(base, other);
        }
        assert_eq!(base, Key::derive(1, 2, 3));
    }

    #[test]
    fn uniform_draws_fill_the_unit_interval() {
        assert_eq!(unit_f32(0), 0.0);
        assert_eq!(unit_f32(u32::MAX), 1.0 - 2f32.powi(-24));
        assert_eq!(unit_f64([0, 0]), 0.0);
        assert_eq!(unit_f64([u32::MAX; 2]), 1.0 - 2f64.powi(-53));
        let key = Key::derive(42, 0, 0);
        let count = 100_000;
        let mean = (0..count).map(|i| f64::from(key.uniform_f32(i))).sum::<f64>() / count as f64;
        let second = (0..count).map(|i| key.uniform_f64(i).powi(2)).sum::<f64>() / count as f64;
        // Five standard deviations of the mean of U and of U².
        assert!((mean - 0.5).abs() < 5.0 * (1.0 / 12.0 / count as f64).sqrt(), "{mean}");
        assert!((second - 1.0 / 3.0).abs() < 5.0 * (4.0 / 45.0 / count as f64).sqrt(), "{second}");
    }
}
