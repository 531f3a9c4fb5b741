//! The vector form of the portable code, written once over what AVX-512, AVX2 and NEON have in common.
//!
//! Each instruction set implements [`Lanes`] with its own registers and calls [`rank`] and [`score`] from a function
//! that enables its features; everything here is inlined into that function, so no call and no check is left inside the
//! loop. What does not fill a register is done by the portable code, which gives the same bits.

use super::{CANONICAL_NAN, CLASSES, LOG2, RankWeights, portable};

/// Some 64-bit lanes, as numbers or as bits.
///
/// # Safety
///
/// Every function must only be called where the instruction set is enabled.
#[expect(unsafe_code, reason = "vector intrinsics")]
pub(super) unsafe trait Lanes: Copy {
    /// How many.
    const COUNT: usize;
    /// One truth value a lane.
    type Mask: Copy;

    /// # Safety
    /// `from` must be readable for `COUNT` values.
    unsafe fn load(from: *const f64) -> Self;
    /// # Safety
    /// `to` must be writable for `COUNT` values.
    unsafe fn store(self, to: *mut f64);
    unsafe fn all(value: f64) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn add_bits(self, other: Self) -> Self;
    unsafe fn sub_bits(self, other: Self) -> Self;
    unsafe fn and_bits(self, other: Self) -> Self;
    unsafe fn or_bits(self, other: Self) -> Self;
    /// The exponent's bits, moved to the bottom.
    unsafe fn exponent_bits(self) -> Self;
    /// False where either is NaN.
    unsafe fn below(self, other: Self) -> Self::Mask;
    unsafe fn equals(self, other: Self) -> Self::Mask;
    /// Where a lane is NaN.
    unsafe fn is_nan(self) -> Self::Mask;
    /// `yes` where the mask is true.
    unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// # Safety
    /// `classes` must be readable for `COUNT` bytes, each below [`CLASSES`].
    unsafe fn look_up(table: &[f64; CLASSES], classes: *const u8) -> Self;
}

/// 2⁵² + 1023: with these bits or-ed under it, a small integer is a number that is too large by this much.
const MAGIC: f64 = (1u64 << 52) as f64;

#[inline(always)]
#[expect(unsafe_code, reason = "vector intrinsics")]
unsafe fn log2<L: Lanes>(x: L) -> L {
    // SAFETY: the caller has enabled the instruction set.
    unsafe {
        let bits = |bits: u64| L::all(f64::from_bits(bits));
        let root_half = L::all(std::f64::consts::FRAC_1_SQRT_2);
        let small = x.below(L::all(f64::MIN_POSITIVE));
        let lifted = L::select(small, x.mul(L::all((1u64 << 54) as f64)), x);
        let distance = lifted.sub_bits(root_half).add_bits(bits(1023 << 52));
        let exponent = distance.exponent_bits().or_bits(L::all(MAGIC)).sub(L::all(MAGIC)).sub(L::all(1023.0));
        let exponent = L::select(small, exponent.sub(L::all(54.0)), exponent);
        let f = distance.and_bits(bits((1 << 52) - 1)).add_bits(root_half).sub(L::all(1.0));
        let mut sum = L::all(LOG2[LOG2.len() - 1]);
        for term in LOG2.iter().rev().skip(1) {
            sum = sum.mul(f).add(L::all(*term));
        }
        let value = exponent.add(f.mul(sum));
        let value = L::select(x.equals(L::all(f64::INFINITY)), x, value);
        let value = L::select(x.equals(L::all(0.0)), L::all(f64::NEG_INFINITY), value);
        let value = L::select(x.below(L::all(0.0)), bits(CANONICAL_NAN), value);
        L::select(x.is_nan(), bits(CANONICAL_NAN), value)
    }
}

#[inline(always)]
#[expect(unsafe_code, reason = "vector intrinsics")]
unsafe fn canonical<L: Lanes>(x: L) -> L {
    // SAFETY: the caller has enabled the instruction set.
    unsafe { L::select(x.is_nan(), L::all(f64::from_bits(CANONICAL_NAN)), x) }
}

/// # Safety
/// The instruction set of `L` must be enabled; all columns must be of one length.
#[inline(always)]
#[expect(unsafe_code, reason = "vector intrinsics")]
pub(super) unsafe fn rank<L: Lanes>(tips: &[f64], boosts: &[f64], weights: RankWeights, ranks: &mut [f64]) {
    let whole = tips.len() - tips.len() % L::COUNT;
    // SAFETY: every access is below `whole`, which is at most the common length.
    unsafe {
        let (one, scale) = (L::all(1.0), L::all(weights.scale()));
        let (fee, boost) = (L::all(weights.fee), L::all(weights.boost));
        for at in (0..whole).step_by(L::COUNT) {
            let tip = L::load(tips.as_ptr().add(at)).add(one).mul(scale);
            let by_fee = fee.mul(log2(tip));
            let by_boost = boost.mul(log2(L::load(boosts.as_ptr().add(at))));
            canonical(by_fee.add(by_boost)).store(ranks.as_mut_ptr().add(at));
        }
    }
    portable::rank(&tips[whole..], &boosts[whole..], weights, &mut ranks[whole..]);
}

/// # Safety
/// The instruction set of `L` must be enabled; all columns must be of one length, every class below [`CLASSES`].
#[inline(always)]
#[expect(unsafe_code, reason = "vector intrinsics")]
pub(super) unsafe fn score<L: Lanes>(fees: &[f64], classes: &[u8], priorities: &[f64; CLASSES], scores: &mut [f64]) {
    let whole = fees.len() - fees.len() % L::COUNT;
    // SAFETY: every access is below `whole`, which is at most the common length.
    unsafe {
        for at in (0..whole).step_by(L::COUNT) {
            let priority = L::look_up(priorities, classes.as_ptr().add(at));
            canonical(L::load(fees.as_ptr().add(at)).mul(priority)).store(scores.as_mut_ptr().add(at));
        }
    }
    portable::score(&fees[whole..], &classes[whole..], priorities, &mut scores[whole..]);
}
