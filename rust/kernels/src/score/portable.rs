//! The meaning of scores and ranks, one transaction at a time. Vector code must give these bits.

use super::{CANONICAL_NAN, CLASSES, LOG2, RankWeights};

/// Bits of √½, the lower end of the polynomial's mantissas.
const ROOT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();

/// 2⁵⁴ makes every subnormal normal.
const LIFT: f64 = (1u64 << 54) as f64;

/// Base-2 logarithm: −∞ of zero, the canonical NaN of anything below.
pub fn log2(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::from_bits(CANONICAL_NAN);
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    let (x, lifted) = if x < f64::MIN_POSITIVE { (x * LIFT, 54.0) } else { (x, 0.0) };
    // x = 2ᵏ·(1 + f) with 1 + f in [√½, √2). The difference of bits, moved up by 1023 exponents so that it stays
    // positive, holds k + 1023 above and the mantissa's distance from √½ below.
    let distance = x.to_bits() + ((1023 << 52) - ROOT_HALF);
    let exponent = (distance >> 52) as f64 - 1023.0 - lifted;
    let f = f64::from_bits((distance & ((1 << 52) - 1)) + ROOT_HALF) - 1.0;
    let mut sum = LOG2[LOG2.len() - 1];
    for term in LOG2.iter().rev().skip(1) {
        sum = sum * f + term;
    }
    exponent + f * sum
}

pub(super) fn canonical(x: f64) -> f64 {
    if x.is_nan() { f64::from_bits(CANONICAL_NAN) } else { x }
}

/// See [`super::score_batch`].
pub(super) fn score(fees: &[f64], classes: &[u8], priorities: &[f64; CLASSES], scores: &mut [f64]) {
    for ((fee, class), score) in fees.iter().zip(classes).zip(scores) {
        *score = canonical(fee * priorities[usize::from(*class)]);
    }
}

/// See [`super::rank_batch`].
pub(super) fn rank(tips: &[f64], boosts: &[f64], weights: RankWeights, ranks: &mut [f64]) {
    let scale = weights.scale();
    for ((tip, boost), rank) in tips.iter().zip(boosts).zip(ranks) {
        *rank = canonical(weights.fee * log2((tip + 1.0) * scale) + weights.boost * log2(*boost));
    }
}
