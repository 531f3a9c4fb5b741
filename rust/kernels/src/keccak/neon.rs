//! Two lanes.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::aarch64::*;

use super::permutation::{self, Lanes, State};

/// Permutes two states. Call only where NEON is available.
pub(super) fn permute(state: &mut State<2>) {
    #[target_feature(enable = "neon")]
    fn with_features(state: &mut State<2>) {
        // SAFETY: this function has the features.
        unsafe { permutation::permute::<2, uint64x2_t>(state) }
    }
    // SAFETY: `keccak256_many_with` asked whether they are available.
    unsafe { with_features(state) }
}

// SAFETY, for all: the caller has NEON.
impl Lanes<2> for uint64x2_t {
    #[inline(always)]
    unsafe fn load(words: &[u64; 2]) -> Self {
        unsafe { vld1q_u64(words.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn store(self, words: &mut [u64; 2]) {
        unsafe { vst1q_u64(words.as_mut_ptr(), self) }
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        unsafe { vdupq_n_u64(word) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        unsafe { veorq_u64(self, other) }
    }
    #[inline(always)]
    unsafe fn chi(self, one: Self, other: Self) -> Self {
        unsafe { veorq_u64(self, vbicq_u64(other, one)) }
    }
    #[inline(always)]
    unsafe fn rotate<const L: i32, const R: i32>(self) -> Self {
        // Shifts right by R into the room that the shift left by L made.
        unsafe { vsriq_n_u64::<R>(vshlq_n_u64::<L>(self), self) }
    }
}
