//! Eight lanes of AVX-512.

use std::arch::x86_64::*;

use super::{
    CLASSES, RankWeights,
    lanes::{self, Lanes},
};

#[derive(Clone, Copy)]
struct Eight(__m512d);

impl Eight {
    #[inline(always)]
    #[expect(unsafe_code, reason = "vector intrinsics")]
    unsafe fn bits(self) -> __m512i {
        // SAFETY: the caller has enabled AVX-512; a cast moves nothing.
        unsafe { _mm512_castpd_si512(self.0) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector intrinsics")]
    unsafe fn of(bits: __m512i) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_castsi512_pd(bits) })
    }
}

// SAFETY: every function uses AVX-512 F and BW only, which `is_available` of this instruction set asks for.
#[expect(unsafe_code, reason = "vector intrinsics")]
#[expect(unsafe_op_in_unsafe_fn, reason = "each body is one intrinsic")]
unsafe impl Lanes for Eight {
    const COUNT: usize = 8;
    type Mask = __mmask8;

    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        Self(_mm512_loadu_pd(from))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        _mm512_storeu_pd(to, self.0);
    }
    #[inline(always)]
    unsafe fn all(value: f64) -> Self {
        Self(_mm512_set1_pd(value))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(_mm512_add_pd(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(_mm512_sub_pd(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(_mm512_mul_pd(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn add_bits(self, other: Self) -> Self {
        Self::of(_mm512_add_epi64(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn sub_bits(self, other: Self) -> Self {
        Self::of(_mm512_sub_epi64(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn and_bits(self, other: Self) -> Self {
        Self::of(_mm512_and_epi64(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn or_bits(self, other: Self) -> Self {
        Self::of(_mm512_or_epi64(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn exponent_bits(self) -> Self {
        Self::of(_mm512_srli_epi64::<52>(self.bits()))
    }
    #[inline(always)]
    unsafe fn below(self, other: Self) -> __mmask8 {
        _mm512_cmp_pd_mask::<_CMP_LT_OQ>(self.0, other.0)
    }
    #[inline(always)]
    unsafe fn equals(self, other: Self) -> __mmask8 {
        _mm512_cmp_pd_mask::<_CMP_EQ_OQ>(self.0, other.0)
    }
    #[inline(always)]
    unsafe fn is_nan(self) -> __mmask8 {
        _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(self.0, self.0)
    }
    #[inline(always)]
    unsafe fn select(mask: __mmask8, yes: Self, no: Self) -> Self {
        Self(_mm512_mask_blend_pd(mask, no.0, yes.0))
    }
    #[inline(always)]
    unsafe fn look_up(table: &[f64; CLASSES], classes: *const u8) -> Self {
        let classes = _mm512_cvtepu8_epi64(_mm_loadl_epi64(classes.cast()));
        Self(_mm512_permutexvar_pd(classes, _mm512_loadu_pd(table.as_ptr())))
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn rank_enabled(tips: &[f64], boosts: &[f64], weights: RankWeights, ranks: &mut [f64]) {
    #[expect(unsafe_code, reason = "vector intrinsics")]
    // SAFETY: the features are enabled here; lengths were compared by the caller.
    unsafe {
        lanes::rank::<Eight>(tips, boosts, weights, ranks);
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn score_enabled(fees: &[f64], classes: &[u8], priorities: &[f64; CLASSES], scores: &mut [f64]) {
    #[expect(unsafe_code, reason = "vector intrinsics")]
    // SAFETY: the features are enabled here; lengths and classes were checked by the caller.
    unsafe {
        lanes::score::<Eight>(fees, classes, priorities, scores);
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
