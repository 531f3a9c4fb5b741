//! Four lanes of AVX2.

use std::arch::x86_64::*;

use super::{
    CLASSES, RankWeights,
    lanes::{self, Lanes},
};

#[derive(Clone, Copy)]
struct Four(__m256d);

impl Four {
    #[inline(always)]
    #[expect(unsafe_code, reason = "vector intrinsics")]
    unsafe fn bits(self) -> __m256i {
        // SAFETY: the caller has enabled AVX2; a cast moves nothing.
        unsafe { _mm256_castpd_si256(self.0) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "vector intrinsics")]
    unsafe fn of(bits: __m256i) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_castsi256_pd(bits) })
    }
}

// SAFETY: every function uses AVX2 only, which `is_available` of this instruction set asks for.
#[expect(unsafe_code, reason = "vector intrinsics")]
#[expect(unsafe_op_in_unsafe_fn, reason = "each body is one intrinsic")]
unsafe impl Lanes for Four {
    const COUNT: usize = 4;
    type Mask = __m256d;

    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        Self(_mm256_loadu_pd(from))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        _mm256_storeu_pd(to, self.0);
    }
    #[inline(always)]
    unsafe fn all(value: f64) -> Self {
        Self(_mm256_set1_pd(value))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(_mm256_add_pd(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(_mm256_sub_pd(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(_mm256_mul_pd(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn add_bits(self, other: Self) -> Self {
        Self::of(_mm256_add_epi64(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn sub_bits(self, other: Self) -> Self {
        Self::of(_mm256_sub_epi64(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn and_bits(self, other: Self) -> Self {
        Self::of(_mm256_and_si256(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn or_bits(self, other: Self) -> Self {
        Self::of(_mm256_or_si256(self.bits(), other.bits()))
    }
    #[inline(always)]
    unsafe fn exponent_bits(self) -> Self {
        Self::of(_mm256_srli_epi64::<52>(self.bits()))
    }
    #[inline(always)]
    unsafe fn below(self, other: Self) -> __m256d {
        _mm256_cmp_pd::<_CMP_LT_OQ>(self.0, other.0)
    }
    #[inline(always)]
    unsafe fn equals(self, other: Self) -> __m256d {
        _mm256_cmp_pd::<_CMP_EQ_OQ>(self.0, other.0)
    }
    #[inline(always)]
    unsafe fn is_nan(self) -> __m256d {
        _mm256_cmp_pd::<_CMP_UNORD_Q>(self.0, self.0)
    }
    #[inline(always)]
    unsafe fn select(mask: __m256d, yes: Self, no: Self) -> Self {
        Self(_mm256_blendv_pd(no.0, yes.0, mask))
    }
    #[inline(always)]
    unsafe fn look_up(table: &[f64; CLASSES], classes: *const u8) -> Self {
        let classes = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(classes.cast::<i32>().read_unaligned()));
        Self(_mm256_i64gather_pd::<8>(table.as_ptr(), classes))
    }
}

#[target_feature(enable = "avx2")]
fn rank_enabled(tips: &[f64], boosts: &[f64], weights: RankWeights, ranks: &mut [f64]) {
    #[expect(unsafe_code, reason = "vector intrinsics")]
    // SAFETY: the features are enabled here; lengths were compared by the caller.
    unsafe {
        lanes::rank::<Four>(tips, boosts, weights, ranks);
    }
}

#[target_feature(enable = "avx2")]
fn score_enabled(fees: &[f64], classes: &[u8], priorities: &[f64; CLASSES], scores: &mut [f64]) {
    #[expect(unsafe_code, reason = "vector intrinsics")]
    // SAFETY: the features are enabled here; lengths and classes were checked by the caller.
    unsafe {
        lanes::score::<Four>(fees, classes, priorities, scores);
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
