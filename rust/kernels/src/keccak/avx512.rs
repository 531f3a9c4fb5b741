//! Eight lanes: rotations and three-way logic are single instructions, and the whole state fits the registers.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::permutation::{self, Lanes, State};

/// Permutes eight states. Call only where AVX-512 is available.
pub(super) fn permute(state: &mut State<8>) {
    #[target_feature(enable = "avx512f")]
    fn with_features(state: &mut State<8>) {
        // SAFETY: this function has the features.
        unsafe { permutation::permute::<8, __m512i>(state) }
    }
    // SAFETY: `keccak256_many_with` asked whether they are available.
    unsafe { with_features(state) }
}

// SAFETY, for all: the caller has AVX-512F.
impl Lanes<8> for __m512i {
    #[inline(always)]
    unsafe fn load(words: &[u64; 8]) -> Self {
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, words: &mut [u64; 8]) {
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self) }
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        unsafe { _mm512_set1_epi64(word as i64) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        unsafe { _mm512_xor_si512(self, other) }
    }
    #[inline(always)]
    unsafe fn xor3(self, one: Self, other: Self) -> Self {
        unsafe { _mm512_ternarylogic_epi64::<0x96>(self, one, other) }
    }
    #[inline(always)]
    unsafe fn chi(self, one: Self, other: Self) -> Self {
        unsafe { _mm512_ternarylogic_epi64::<0xd2>(self, one, other) }
    }
    #[inline(always)]
    unsafe fn rotate<const L: i32, const R: i32>(self) -> Self {
        unsafe { _mm512_rol_epi64::<L>(self) }
    }
}
