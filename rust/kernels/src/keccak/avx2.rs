//! Four lanes.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::permutation::{self, Lanes, State};

/// Permutes four states. Call only where AVX2 is available.
pub(super) fn permute(state: &mut State<4>) {
    #[target_feature(enable = "avx2")]
    fn with_features(state: &mut State<4>) {
        // SAFETY: this function has the features.
        unsafe { permutation::permute::<4, __m256i>(state) }
    }
    // SAFETY: `keccak256_many_with` asked whether they are available.
    unsafe { with_features(state) }
}

// SAFETY, for all: the caller has AVX2.
impl Lanes<4> for __m256i {
    #[inline(always)]
    unsafe fn load(words: &[u64; 4]) -> Self {
        unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, words: &mut [u64; 4]) {
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self) }
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        unsafe { _mm256_set1_epi64x(word as i64) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        unsafe { _mm256_xor_si256(self, other) }
    }
    #[inline(always)]
    unsafe fn chi(self, one: Self, other: Self) -> Self {
        unsafe { _mm256_xor_si256(self, _mm256_andnot_si256(one, other)) }
    }
    #[inline(always)]
    unsafe fn rotate<const L: i32, const R: i32>(self) -> Self {
        unsafe { _mm256_or_si256(_mm256_slli_epi64::<L>(self), _mm256_srli_epi64::<R>(self)) }
    }
}
