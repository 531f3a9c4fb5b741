//! Scores and ranks of waiting transactions, many at once.
//!
//! Two stages. [`score_batch`] multiplies a fee by its class's priority. [`rank_batch`] is what selection orders by:
//! `w_fee · L((tip + 1) / (median + 1)) + w_boost · L(boost)`, where `L` is the base-2 logarithm below and a boost is
//! priority times sender factor.
//!
//! Every instruction set gives the same bits on every input. So: no fused multiply-add, one order of operations, the
//! logarithm a polynomial of our own, and every NaN the one canonical NaN. The division by the median is a
//! multiplication by its reciprocal, taken once. [`portable`] is the meaning; the vector code is written once, in
//! [`lanes`], over what the instruction sets have in common.

pub mod lanes;
pub mod portable;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use crate::Simd;

/// Below this many the portable code is used: setting up vectors would cost more than it saves.
pub const VECTOR_MIN: usize = 32;

/// How many classes a priority table holds. A class is its index.
pub const CLASSES: usize = 8;

/// Polynomial of `log2(1 + f) / f` on [√½ − 1, √2 − 1], lowest power first: the interpolation at its twelve Chebyshev
/// nodes, which errs by less than 6·10⁻¹¹. Ordering needs no more, and every term costs two operations.
pub(crate) const LOG2: [f64; 12] = [
    1.442_695_040_958_230_2,
    -0.721_347_524_894_552_2,
    0.480_898_311_082_400_2,
    -0.360_672_845_348_936,
    0.288_541_455_535_977_15,
    -0.240_502_798_250_011_72,
    0.206_071_651_099_141_27,
    -0.179_051_232_033_224_62,
    0.159_313_005_223_484_46,
    -0.157_226_529_711_530_48,
    0.153_452_869_374_545_1,
    -0.084_335_210_458_005_85,
];

/// The one NaN that leaves this module.
pub(crate) const CANONICAL_NAN: u64 = 0x7ff8_0000_0000_0000;

/// Why a batch was refused; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// The columns are not of one length.
    #[error("{} has {} entries and {} has {}", first.0, first.1, second.0, second.1)]
    Lengths {
        /// Name and length of the first.
        first: (&'static str, usize),
        /// Name and length of the one that differs.
        second: (&'static str, usize),
    },
    /// A class that no priority belongs to.
    #[error("classes[{index}] is {class}; known classes are 0 to {}", CLASSES - 1)]
    Class {
        /// Where it stands.
        index: usize,
        /// What it is; 0 to 7 are known.
        class: u8,
    },
}

/// What a rank weighs: the two weights, and the median tip that fees are measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankWeights {
    /// Weight of the fee's part.
    pub fee: f64,
    /// Weight of the boost's part.
    pub boost: f64,
    /// Running median of tips.
    pub median: f64,
}

impl RankWeights {
    /// What tips are multiplied with after adding one.
    pub(crate) fn scale(&self) -> f64 {
        1.0 / (self.median + 1.0)
    }
}

fn same_length(first: (&'static str, usize), second: (&'static str, usize)) -> Result<(), ScoreError> {
    if first.1 == second.1 { Ok(()) } else { Err(ScoreError::Lengths { first, second }) }
}

/// `scores[i] = fees[i] × priorities[classes[i]]`.
pub fn score_batch(
    fees: &[f64],
    classes: &[u8],
    priorities: &[f64; CLASSES],
    scores: &mut [f64],
) -> Result<(), ScoreError> {
    let simd = if fees.len() < VECTOR_MIN { Simd::Scalar } else { Simd::chosen() };
    score_batch_with(simd, fees, classes, priorities, scores)
}

/// [`score_batch`] on an instruction set of the caller's choice, for tests and benchmarks; one that this processor
/// lacks falls back to the portable code.
pub fn score_batch_with(
    simd: Simd,
    fees: &[f64],
    classes: &[u8],
    priorities: &[f64; CLASSES],
    scores: &mut [f64],
) -> Result<(), ScoreError> {
    same_length(("fees", fees.len()), ("classes", classes.len()))?;
    same_length(("fees", fees.len()), ("scores", scores.len()))?;
    // The maximum first: it vectorises, a search for the culprit does not.
    if classes.iter().copied().max().is_some_and(|class| usize::from(class) >= CLASSES) {
        let index = classes.iter().position(|class| usize::from(*class) >= CLASSES).unwrap_or_default();
        return Err(ScoreError::Class { index, class: classes[index] });
    }
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 if simd.is_available() => avx512::score(fees, classes, priorities, scores),
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 if simd.is_available() => avx2::score(fees, classes, priorities, scores),
        #[cfg(target_arch = "aarch64")]
        Simd::Neon if simd.is_available() => neon::score(fees, classes, priorities, scores),
        _ => portable::score(fees, classes, priorities, scores),
    }
    Ok(())
}

/// Ranks of transactions with these tips and boosts.
pub fn rank_batch(tips: &[f64], boosts: &[f64], weights: RankWeights, ranks: &mut [f64]) -> Result<(), ScoreError> {
    let simd = if tips.len() < VECTOR_MIN { Simd::Scalar } else { Simd::chosen() };
    rank_batch_with(simd, tips, boosts, weights, ranks)
}

/// [`rank_batch`] on an instruction set of the caller's choice, for tests and benchmarks; one that this processor lacks
/// falls back to the portable code.
pub fn rank_batch_with(
    simd: Simd,
    tips: &[f64],
    boosts: &[f64],
    weights: RankWeights,
    ranks: &mut [f64],
) -> Result<(), ScoreError> {
    same_length(("tips", tips.len()), ("boosts", boosts.len()))?;
    same_length(("tips", tips.len()), ("ranks", ranks.len()))?;
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 if simd.is_available() => avx512::rank(tips, boosts, weights, ranks),
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 if simd.is_available() => avx2::rank(tips, boosts, weights, ranks),
        #[cfg(target_arch = "aarch64")]
        Simd::Neon if simd.is_available() => neon::rank(tips, boosts, weights, ranks),
        _ => portable::rank(tips, boosts, weights, ranks),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
