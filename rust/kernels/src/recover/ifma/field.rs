//! The field of secp256k1's coordinates: integers modulo p = 2^256 − 2^32 − 977, eight at a time, lazily reduced.
//!
//! Three shapes, so that the type says what may be done next:
//!
//! * [`Fe`]: what may be multiplied. Limbs 0–3 are below 2^52, limb 4 below 2^50; the value is right modulo p only and
//!   below 2^258. The multiply-add instructions read 52 bits of each limb, hence the bound.
//! * [`Columns`]: the ten columns of one or two products, weights 2^(52 i), not carried.
//! * [`Sum`]: five *signed* columns, not carried: products after folding, plus and minus elements. [`Sum::carry`] makes
//!   an `Fe` of it, so that additions and subtractions after a product share its one carry chain.
//!
//! **Bounds.** A product adds at most 9 terms below 2^52 to a column, a second product on top doubles that: below
//! 2^57 with the factor two that squares need. Column 9 gets one high half of two limbs below 2^50: below 2^48 each.
//! Folding multiplies columns 5–9 by 2^260 mod p = 2^36 + 0x3d10 and adds at most three terms below 2^52: a `Sum`
//! from products stays below 2^58, scaled by at most 3 below 2^60. `carry` demands limbs within ±2^61 and limb 4
//! above −2^59, so a whole product may be negated and any few elements subtracted. Debug builds assert each of these
//! bounds.

use core::arch::x86_64::*;

#[cfg(debug_assertions)]
use super::lanes::words;
use super::lanes::{Lanes, Limbs, MASK_52, pack, splat, splat_limbs, unpack};

/// 2^256 mod p.
const FOLD_256: u64 = (1 << 32) + 977;
/// 2^260 mod p.
const FOLD_260: u64 = FOLD_256 << 4;
/// The low 48 bits: what limb 4 holds of a number below 2^256.
const MASK_48: u64 = (1 << 48) - 1;
/// `carry` adds this many p, so that limb 4 is positive from −2^59 on.
const BIAS: u64 = 1 << 12;

/// An element that may be multiplied.
#[derive(Clone, Copy)]
pub(super) struct Fe(Limbs);

/// Columns of products, waiting to be folded.
#[derive(Clone, Copy)]
pub(super) struct Columns([Lanes; 10]);

/// Signed columns, waiting to be carried.
#[derive(Clone, Copy)]
pub(super) struct Sum(Limbs);

impl Fe {
    /// A small number, the same in all lanes.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn small(value: u64) -> Self {
        Self(splat_limbs([value, 0, 0, 0, 0]))
    }

    /// Limbs, the same in all lanes.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn splat(limbs: [u64; 5]) -> Self {
        Self(splat_limbs(limbs)).checked()
    }

    /// Packed words of numbers below 2^256, reduced or not.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn from_packed(words: [Lanes; 4]) -> Self {
        Self(unpack(words))
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn mul(&self, other: &Self) -> Sum {
        self.columns(other).fold()
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn square(&self) -> Sum {
        self.square_columns().fold()
    }

    /// The product's columns.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn columns(&self, other: &Self) -> Columns {
        Columns([_mm512_setzero_si512(); 10]).plus(self, other)
    }

    /// The square's columns: each mixed product once, doubled.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn square_columns(&self) -> Columns {
        let a = &self.0;
        let mut c = [_mm512_setzero_si512(); 10];
        for i in 0..5 {
            for j in i + 1..5 {
                c[i + j] = _mm512_madd52lo_epu64(c[i + j], a[i], a[j]);
                c[i + j + 1] = _mm512_madd52hi_epu64(c[i + j + 1], a[i], a[j]);
            }
        }
        for column in &mut c[1..9] {
            *column = _mm512_add_epi64(*column, *column);
        }
        for i in 0..5 {
            c[2 * i] = _mm512_madd52lo_epu64(c[2 * i], a[i], a[i]);
            c[2 * i + 1] = _mm512_madd52hi_epu64(c[2 * i + 1], a[i], a[i]);
        }
        Columns(c)
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn minus(&self, other: &Self) -> Sum {
        Sum(self.0).minus(other)
    }

    /// `self` in the lanes of `mask`, `other` elsewhere.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn select(mask: __mmask8, yes: &Self, no: &Self) -> Self {
        let mut limbs = no.0;
        for (limb, yes) in limbs.iter_mut().zip(yes.0) {
            *limb = _mm512_mask_mov_epi64(*limb, mask, yes);
        }
        Self(limbs)
    }

    /// Lanes turned about: lane i gets what lane `turn[i]` holds.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn permuted(&self, turn: Lanes) -> Self {
        let turned = |limb| _mm512_permutexvar_epi64(turn, limb);
        let [a, b, c, d, e] = self.0;
        Self([turned(a), turned(b), turned(c), turned(d), turned(e)])
    }

    /// The same residue below 2^256, packed; not below p.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn to_packed(self) -> [Lanes; 4] {
        pack(self.below_2_256().0)
    }

    /// The residue itself, below p, packed.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn to_canonical(self) -> [Lanes; 4] {
        let value = self.below_2_256();
        // value ≥ p exactly where value + 2^256 − p reaches 2^256.
        let mut raised = value.0;
        raised[0] = _mm512_add_epi64(raised[0], splat(FOLD_256));
        let raised = ripple(raised);
        let above = _mm512_cmpgt_epu64_mask(raised[4], splat(MASK_48));
        let mut limbs = value.0;
        for (limb, raised) in limbs.iter_mut().zip(raised) {
            *limb = _mm512_mask_mov_epi64(*limb, above, raised);
        }
        limbs[4] = _mm512_and_si512(limbs[4], splat(MASK_48));
        pack(limbs)
    }

    /// The element where its parity is `odd`'s, its negative elsewhere: below p, packed.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn with_parity(self, odd: __mmask8) -> [Lanes; 4] {
        let is_odd = _mm512_test_epi64_mask(self.to_canonical()[0], splat(1));
        Sum(self.0).negated_where(is_odd ^ odd).carry().to_canonical()
    }

    /// The lanes in which the element is zero modulo p.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn zero_lanes(self) -> __mmask8 {
        let [a, b, c, d] = self.to_canonical();
        let any = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
        _mm512_cmpeq_epi64_mask(any, _mm512_setzero_si512())
    }

    /// Folds what is above 2^256, twice: after the first fold at most one is left there, and then so little is below
    /// that adding 2^256 mod p to limb 0 carries no further.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn below_2_256(self) -> Self {
        let (mask, fold) = (splat(MASK_48), splat(FOLD_256));
        let mut l = self.0;
        l[0] = _mm512_madd52lo_epu64(l[0], _mm512_srli_epi64::<48>(l[4]), fold);
        l[4] = _mm512_and_si512(l[4], mask);
        let mut l = ripple(l);
        l[0] = _mm512_madd52lo_epu64(l[0], _mm512_srli_epi64::<48>(l[4]), fold);
        l[4] = _mm512_and_si512(l[4], mask);
        Self(l).checked()
    }

    /// Asserts the bounds in debug builds.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn checked(self) -> Self {
        #[cfg(debug_assertions)]
        {
            for limb in &self.0[..4] {
                assert!(words(*limb).iter().all(|limb| *limb <= MASK_52), "limb above 52 bits");
            }
            assert!(words(self.0[4]).iter().all(|limb| *limb < 1 << 50), "top limb above 50 bits");
        }
        self
    }
}

impl Columns {
    /// Adds another product.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn plus(self, a: &Fe, b: &Fe) -> Self {
        let mut c = self.0;
        for i in 0..5 {
            for j in 0..5 {
                c[i + j] = _mm512_madd52lo_epu64(c[i + j], a.0[i], b.0[j]);
                c[i + j + 1] = _mm512_madd52hi_epu64(c[i + j + 1], a.0[i], b.0[j]);
            }
        }
        Self(c)
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn doubled(self) -> Self {
        let mut c = self.0;
        for column in &mut c {
            *column = _mm512_add_epi64(*column, *column);
        }
        Self(c)
    }

    /// Multiplies the upper five columns by 2^260 mod p and adds them to the lower five. The upper ones are carried
    /// first, because only 52 bits of each take part.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn fold(self) -> Sum {
        let mut c = self.0;
        for i in 6..10 {
            c[i] = _mm512_add_epi64(c[i], _mm512_srli_epi64::<52>(c[i - 1]));
        }
        #[cfg(debug_assertions)]
        assert!(words(c[9]).iter().all(|column| *column < 1 << 50), "top column above 50 bits");
        let fold = splat(FOLD_260);
        for i in 0..4 {
            c[i] = _mm512_madd52lo_epu64(c[i], c[i + 5], fold);
            c[i + 1] = _mm512_madd52hi_epu64(c[i + 1], c[i + 5], fold);
        }
        c[4] = _mm512_madd52lo_epu64(c[4], c[9], fold);
        // Below 2^36: the weight of column 9's high half is 2^260 once more.
        let above = _mm512_madd52hi_epu64(_mm512_setzero_si512(), c[9], fold);
        c[0] = _mm512_madd52lo_epu64(c[0], above, fold);
        c[1] = _mm512_madd52hi_epu64(c[1], above, fold);
        Sum([c[0], c[1], c[2], c[3], c[4]])
    }
}

impl Sum {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn plus(mut self, other: &Fe) -> Self {
        for (limb, other) in self.0.iter_mut().zip(other.0) {
            *limb = _mm512_add_epi64(*limb, other);
        }
        self
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn minus(mut self, other: &Fe) -> Self {
        for (limb, other) in self.0.iter_mut().zip(other.0) {
            *limb = _mm512_sub_epi64(*limb, other);
        }
        self
    }

    /// Two or three times the sum.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn times<const FACTOR: u8>(mut self) -> Self {
        for limb in &mut self.0 {
            *limb = match FACTOR {
                2 => _mm512_slli_epi64::<1>(*limb),
                3 => _mm512_add_epi64(_mm512_slli_epi64::<1>(*limb), *limb),
                _ => unreachable!("no other factor is needed"),
            };
        }
        self
    }

    /// The sum's negative in the lanes of `mask`.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn negated_where(mut self, mask: __mmask8) -> Self {
        let zero = _mm512_setzero_si512();
        for limb in &mut self.0 {
            *limb = _mm512_mask_sub_epi64(*limb, mask, zero, *limb);
        }
        self
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn negated(mut self) -> Self {
        let zero = _mm512_setzero_si512();
        for limb in &mut self.0 {
            *limb = _mm512_sub_epi64(zero, *limb);
        }
        self
    }

    /// Carries into an element. With `BIAS` p added, limb 4 is positive; what it has above 2^48, less one, is folded
    /// into limb 0. The one kept back pays for a negative carry out of limb 3, so the result's limb 4 is about 2^48 to
    /// 2^49, never below zero.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn carry(self) -> Fe {
        #[cfg(debug_assertions)]
        self.assert_bounds();
        let [mut c0, mut c1, mut c2, mut c3, mut c4] = self.0;
        let mask = splat(MASK_52);
        c4 = _mm512_add_epi64(c4, splat(BIAS << 48));
        let above = _mm512_srli_epi64::<48>(c4);
        // (c4 & MASK_48) | 2^48
        c4 = _mm512_ternarylogic_epi64::<0xea>(c4, splat(MASK_48), splat(1 << 48));
        c0 = _mm512_sub_epi64(c0, splat((BIAS + 1) * FOLD_256));
        c0 = _mm512_madd52lo_epu64(c0, above, splat(FOLD_256));
        c1 = _mm512_add_epi64(c1, _mm512_srai_epi64::<52>(c0));
        c2 = _mm512_add_epi64(c2, _mm512_srai_epi64::<52>(c1));
        c3 = _mm512_add_epi64(c3, _mm512_srai_epi64::<52>(c2));
        c4 = _mm512_add_epi64(c4, _mm512_srai_epi64::<52>(c3));
        let cut = |limb| _mm512_and_si512(limb, mask);
        Fe([cut(c0), cut(c1), cut(c2), cut(c3), c4]).checked()
    }

    #[cfg(debug_assertions)]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn assert_bounds(&self) {
        for limb in &self.0 {
            assert!(words(*limb).iter().all(|limb| limb.cast_signed().unsigned_abs() < 1 << 61), "column above 2^61");
        }
        assert!(words(self.0[4]).iter().all(|limb| limb.cast_signed() > -(1 << 59)), "top column below -2^59");
    }
}

/// Carries unsigned limbs upwards; limb 4 keeps all it gets.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn ripple(mut limbs: Limbs) -> Limbs {
    let mask = splat(MASK_52);
    for i in 0..4 {
        limbs[i + 1] = _mm512_add_epi64(limbs[i + 1], _mm512_srli_epi64::<52>(limbs[i]));
        limbs[i] = _mm512_and_si512(limbs[i], mask);
    }
    limbs
}
