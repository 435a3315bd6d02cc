//! What is chosen at random, so that any input can be made again.

use crate::support::split_mix;

/// A stream of choices.
pub struct Random(u64);

impl Random {
    /// One of its own for each input, so that any input can be made again without those before it.
    pub fn new(seed: u64, name: &str, number: u64) -> Self {
        let mut random = Self(seed);
        for byte in name.bytes() {
            random.0 ^= random.next() ^ u64::from(byte);
        }
        random.0 ^= number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        split_mix::next(&mut self.0)
    }

    /// From 0 to `most - 1`; 0 when there is nothing to choose.
    pub fn below(&mut self, most: usize) -> usize {
        let most = u64::try_from(most).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % most).unwrap_or(0)
    }

    /// Mostly few, sometimes very many: below a power of two that is itself chosen, at most `2^(doublings - 1)`.
    pub fn times(&mut self, doublings: usize) -> usize {
        let most = 1 << self.below(doublings);
        self.below(most)
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}
