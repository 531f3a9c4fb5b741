//! Chance from a seed: SplitMix64, and the words that programs are made of.

use types::U256;

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed);
        // Neighbouring seeds part here.
        dice.0 = dice.next() ^ seed.rotate_left(32);
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Less than `bound`; 0 for 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True `times` in `of`.
    pub fn chance(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// A word as arithmetic meets them: small, near a power of two, negative, or anything.
    pub fn word(&mut self) -> U256 {
        match self.below(8) {
            0..=2 => U256::from(self.below(300)),
            3 => U256::ZERO,
            4 => U256::ONE << self.below(256) as usize,
            5 => (U256::ONE << self.below(256) as usize).wrapping_sub(U256::from(self.below(3))),
            6 => U256::ZERO.wrapping_sub(U256::from(self.below(300))),
            _ => U256::from_limbs(std::array::from_fn(|_| self.next())),
        }
    }
}
