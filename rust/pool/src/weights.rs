//! How much fees and how much priorities decide, adapted to what the market does.
//!
//! Weights are thousandths that always sum to 1,000, each from 200 to 800. Under fee pressure fees gain, else under
//! congestion priorities do; when it is calm both go back to where they were configured, half as fast.

use std::collections::VecDeque;

use crate::Adaptation;

/// The sum.
const WHOLE: u16 = 1_000;

/// Neither weight is ever less, nor the other more than what is left.
const WEIGHT_MIN: u16 = 200;

/// What pressure moves at once.
const STEP: u16 = 100;

/// What calm moves back at once.
const STEP_BACK: u16 = 50;

/// Blocks whose tips make the median: 20 minutes of mainnet.
const MEDIAN_BLOCKS: usize = 100;

/// What the weights are made from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Signals {
    /// 75th percentile of waiting tips over the running median; 1 where either is unknown.
    pub fee_pressure: f64,
    /// Waiting gas in blocks of gas.
    pub congestion: f64,
}

/// The weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Thousandths that fees have.
    fee: u16,
}

impl Weights {
    /// The configured ones.
    pub fn baseline(adaptation: &Adaptation) -> Self {
        Self { fee: adaptation.fee_weight.clamp(WEIGHT_MIN, WHOLE - WEIGHT_MIN) }
    }

    /// The part of fees.
    pub fn fee(self) -> f64 {
        f64::from(self.fee) / f64::from(WHOLE)
    }

    /// The part of priority and factor.
    pub fn priority(self) -> f64 {
        f64::from(WHOLE - self.fee) / f64::from(WHOLE)
    }

    /// The next ones.
    pub fn adapted(self, signals: Signals, adaptation: &Adaptation) -> Self {
        let baseline = Self::baseline(adaptation).fee;
        let fee = if signals.fee_pressure > adaptation.fee_threshold {
            self.fee + STEP
        } else if signals.congestion > adaptation.congestion_threshold {
            self.fee - STEP
        } else if self.fee < baseline {
            (self.fee + STEP_BACK).min(baseline)
        } else {
            (self.fee - STEP_BACK).max(baseline)
        };
        Self { fee: fee.clamp(WEIGHT_MIN, WHOLE - WEIGHT_MIN) }
    }
}

/// Counts tips by size, 16 bins from each power of two to the next: what it says is at most 6 % too low.
#[derive(Clone, Debug)]
pub struct Histogram {
    bins: Box<[u32; BINS]>,
    total: u64,
}

const BINS: usize = 16 * 125;

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: Box::new([0; BINS]), total: 0 }
    }
}

fn bin_of(tip: u128) -> usize {
    match tip.checked_ilog2() {
        None | Some(..4) => tip as usize,
        Some(power) => (power as usize - 3) * 16 + (tip >> (power - 4)) as usize % 16,
    }
}

fn lowest_of(bin: usize) -> u128 {
    if bin < 16 { bin as u128 } else { (16 + bin as u128 % 16) << (bin / 16 - 1) }
}

impl Histogram {
    /// One more.
    pub fn add(&mut self, tip: u128) {
        self.add_bin(bin_of(tip));
    }

    /// One less, which was added before.
    pub fn remove(&mut self, tip: u128) {
        self.remove_bin(bin_of(tip));
    }

    fn add_bin(&mut self, bin: usize) {
        self.bins[bin] += 1;
        self.total += 1;
    }

    fn remove_bin(&mut self, bin: usize) {
        self.bins[bin] -= 1;
        self.total -= 1;
    }

    /// The tip that `percent` of all don't reach; None where there are none.
    pub fn percentile(&self, percent: u64) -> Option<u128> {
        let mut left = (self.total * percent).div_ceil(100).max(1);
        for (bin, count) in self.bins.iter().enumerate() {
            match left.checked_sub(u64::from(*count)) {
                Some(0) | None => return (self.total > 0).then(|| lowest_of(bin)),
                Some(rest) => left = rest,
            }
        }
        None
    }
}

/// The tips that the last blocks paid.
#[derive(Clone, Debug, Default)]
pub struct PaidTips {
    all: Histogram,
    /// Each tip's bin.
    blocks: VecDeque<Vec<u16>>,
    /// A block's memory, for the next one.
    spare: Vec<u16>,
}

impl PaidTips {
    /// A block has come.
    pub fn push(&mut self, tips: impl Iterator<Item = u128>) {
        let mut block = std::mem::take(&mut self.spare);
        block.clear();
        block.extend(tips.map(|tip| bin_of(tip) as u16));
        if block.is_empty() {
            return;
        }
        block.iter().for_each(|bin| self.all.add_bin(usize::from(*bin)));
        self.blocks.push_back(block);
        if self.blocks.len() > MEDIAN_BLOCKS
            && let Some(old) = self.blocks.pop_front()
        {
            old.iter().for_each(|bin| self.all.remove_bin(usize::from(*bin)));
            self.spare = old;
        }
    }

    /// The median; None while nothing was paid.
    pub fn median(&self) -> Option<u128> {
        self.all.percentile(50)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CALM: Signals = Signals { fee_pressure: 1.0, congestion: 0.0 };
    const PRESSED: Signals = Signals { fee_pressure: 1.51, congestion: 9.0 };
    const CONGESTED: Signals = Signals { fee_pressure: 1.5, congestion: 2.01 };

    #[test]
    fn pressure_moves_a_tenth_and_calm_half_of_it_back() {
        let adaptation = Adaptation::default();
        let mut weights = Weights::baseline(&adaptation);
        let mut path = Vec::new();
        let signals = [PRESSED, PRESSED, PRESSED, PRESSED, CALM, CONGESTED, CALM, CALM, CALM, CALM, CALM, CALM];
        for signal in signals {
            weights = weights.adapted(signal, &adaptation);
            path.push(weights.fee);
        }
        assert_eq!(path, [600, 700, 800, 800, 750, 650, 600, 550, 500, 500, 500, 500]);
        let exactly = Signals { fee_pressure: 1.5, congestion: 2.0 };
        assert_eq!(weights.adapted(exactly, &adaptation), weights);
        for _ in 0..9 {
            weights = weights.adapted(CONGESTED, &adaptation);
        }
        assert_eq!((weights.fee(), weights.priority()), (0.2, 0.8));
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_and_stay_within_bounds(
            baseline in 0u16..1200,
            signals in prop::collection::vec((0.0f64..4.0, 0.0f64..5.0), 0..60),
        ) {
            let adaptation = Adaptation { fee_weight: baseline, ..Adaptation::default() };
            let mut weights = Weights::baseline(&adaptation);
            for (fee_pressure, congestion) in signals {
                weights = weights.adapted(Signals { fee_pressure, congestion }, &adaptation);
                prop_assert!((0.2..=0.8).contains(&weights.fee()) && (0.2..=0.8).contains(&weights.priority()));
                prop_assert!((weights.fee() + weights.priority() - 1.0).abs() < 1e-12);
            }
            for _ in 0..12 {
                weights = weights.adapted(CALM, &adaptation);
            }
            prop_assert_eq!(weights, Weights::baseline(&adaptation));
        }

        #[test]
        fn percentiles_are_those_of_a_sorted_list_within_a_bin(
            mut tips in prop::collection::vec(prop_oneof![any::<u128>(), 0u128..100, 0u128..1 << 40], 1..200),
            percent in 1u64..101,
        ) {
            let mut histogram = Histogram::default();
            tips.iter().for_each(|tip| histogram.add(*tip));
            tips.sort_unstable();
            let exact = tips[(tips.len() * percent as usize).div_ceil(100) - 1];
            let told = histogram.percentile(percent).unwrap();
            prop_assert!(told <= exact && exact - told <= exact / 16, "{} {}", told, exact);
            tips.iter().for_each(|tip| histogram.remove(*tip));
            prop_assert_eq!(histogram.percentile(percent), None);
        }
    }

    #[test]
    fn the_median_is_of_the_last_hundred_blocks() {
        let mut paid = PaidTips::default();
        assert_eq!(paid.median(), None);
        for _ in 0..100 {
            paid.push([5, 5, 5].into_iter());
        }
        paid.push(std::iter::empty());
        assert_eq!(paid.median(), Some(5));
        for _ in 0..51 {
            paid.push([9, 9, 9].into_iter());
        }
        assert_eq!(paid.median(), Some(9));
    }
}
