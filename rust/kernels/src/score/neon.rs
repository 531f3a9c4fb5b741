//! Two lanes of NEON.

use std::arch::aarch64::*;

use super::{
    CLASSES, RankWeights,
    lanes::{self, Lanes},
};

#[derive(Clone, Copy)]
struct Two(float64x2_t);

impl Two {
    #[inline(always)]
    #[expect(unsafe_code, reason = "vector intrinsics")]
    unsafe fn bits(self) -> uint64x2_t {
        // SAFETY: the caller has enabled NEON; a cast moves nothing.
        unsafe { vreinterpretq_u64_f64(self.0) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector intrinsics")]
    unsafe fn of(bits: uint64x2_t) -> Self {
        // SAFETY: as above.
        Self(unsafe { vreinterpretq_f64_u64(bits) })
    }
}

// SAFETY: every function uses NEON only, which `is_available` of this instruction set asks for.
#[expect(unsafe_code, reason = "vector intrinsics")]
#[expect(unsafe_op_in_unsafe_fn, reason = "each body is one intrinsic")]
unsafe impl Lanes for Two {
    const COUNT: usize = 2;
    type Mask = uint64x2_t;

    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        Self(vld1q_f64(from))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        vst1q_f64(to, self.0);
    }
    #[inline(always)]
    unsafe fn all(value: f64) -> Self {
        Self(vdupq_n_f64(value))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(vaddq_f64(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(vsubq_f64(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(vmulq_f64(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn add_bits(self, other: Self) -> Self {
        Self::of(vaddq_u64(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn sub_bits(self, other: Self) -> Self {
        Self::of(vsubq_u64(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn and_bits(self, other: Self) -> Self {
        Self::of(vandq_u64(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn or_bits(self, other: Self) -> Self {
        Self::of(vorrq_u64(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn exponent_bits(self) -> Self {
        Self::of(vshrq_n_u64::<52>(self.bits()))
    }
    #[inline(always)]
    unsafe fn below(self, other: Self) -> uint64x2_t {
        vcltq_f64(self.0, other.0)
    }
    #[inline(always)]
    unsafe fn equals(self, other: Self) -> uint64x2_t {
        vceqq_f64(self.0, other.0)
    }
    #[inline(always)]
    unsafe fn is_nan(self) -> uint64x2_t {
        veorq_u64(vceqq_f64(self.0, self.0), vdupq_n_u64(u64::MAX))
    }
    #[inline(always)]
    unsafe fn select(mask: uint64x2_t, yes: Self, no: Self) -> Self {
        Self(vbslq_f64(mask, yes.0, no.0))
    }
    #[inline(always)]
    unsafe fn look_up(table: &[f64; CLASSES], classes: *const u8) -> Self {
        let pair = [table[usize::from(*classes)], table[usize::from(*classes.add(1))]];
        Self(vld1q_f64(pair.as_ptr()))
    }
}

#[target_feature(enable = "neon")]
fn rank_enabled(tips: &[f64], boosts: &[f64], weights: RankWeights, ranks: &mut [f64]) {
    #[expect(unsafe_code, reason = "vector intrinsics")]
    // SAFETY: the features are enabled here; lengths were compared by the caller.
    unsafe {
        lanes::rank::<Two>(tips, boosts, weights, ranks);
    }
}

#[target_feature(enable = "neon")]
fn score_enabled(fees: &[f64], classes: &[u8], priorities: &[f64; CLASSES], scores: &mut [f64]) {
    #[expect(unsafe_code, reason = "vector intrinsics")]
    // SAFETY: the features are enabled here; lengths and classes were checked by the caller.
    unsafe {
        lanes::score::<Two>(fees, classes, priorities, scores);
    }
}

#[expect(unsafe_code, reason = "enters a function with more features")]
pub(super) fn rank(tips: &[f64], boosts: &[f64], weights: RankWeights, ranks: &mut [f64]) {
    // SAFETY: the dispatcher has asked the processor.
    unsafe { rank_enabled(tips, boosts, weights, ranks) }
}

#[expect(unsafe_code, reason = "enters a function with more features")]
pub(super) fn score(fees: &[f64], classes: &[u8], priorities: &[f64; CLASSES], scores: &mut [f64]) {
    // SAFETY: the dispatcher has asked the processor.
    unsafe { score_enabled(fees, classes, priorities, scores) }
}
