//! Integers modulo the group's order n, eight at a time, in Montgomery's way with 2^260; and the cut of a scalar into
//! the odd halves that the main loop reads in windows.
//!
//! [`Scalar::mul`] gives a·b / 2^260. For factors below 2^258 the result is below n + 2^256: the bound reproduces
//! itself, nothing is ever reduced further, and what follows copes with scalars below 2^257. Debug builds assert it.

use core::arch::x86_64::*;

use super::field::ripple;
#[cfg(debug_assertions)]
use super::lanes::words;
use super::lanes::{Lanes, Limbs, MASK_52, pack, splat, splat_limbs, unpack};

/// The order n.
const ORDER: [u64; 5] = [0x25e8cd0364141, 0xe6af48a03bbfd, 0xffffffebaaedc, 0xfffffffffffff, 0xffffffffffff];
/// −1/n mod 2^52.
const MINUS_INVERSE: u64 = 0xdff665588b13f;

// The lattice of pairs (a, b) with a + b·λ ≡ 0 mod n has the short basis (A1, −B1), (A2, A1). With these,
// (k, 0) = β1 (A1, −B1) + β2 (A2, A1) for β1 = k A1 / n, β2 = k B1 / n.
const A1: [u64; 3] = [0xc90e49284eb15, 0x21a7d46bcde86, 0x3086d2];
const A2: [u64; 3] = [0x1108d9d44cfd8, 0xf7a8e2f3f657c, 0x114ca50];
const B1: [u64; 3] = [0x47fa90abfe4c3, 0xd6010e88286f5, 0xe4437e];
/// 2^384 A1 / n, rounded down.
const G1: [u64; 5] = [0x3209a45dbb030, 0x1471e8ca7fe89, 0x284eb153daa8a, 0x6bcde86c90e49, 0x3086d221a7d4];
/// 2^384 B1 / n, rounded down.
const G2: [u64; 5] = [0x1b4ae8ac47f71, 0xac9df506c6157, 0xabfe4c4221208, 0x88286f547fa90, 0xe4437ed6010e];

/// A scalar below 2^258.
#[derive(Clone, Copy)]
pub(super) struct Scalar(Limbs);

/// An odd signed number k with |k| < 2^(BITS), held as (k + 2^BITS − 1) / 2: see [`Odd::window`].
#[derive(Clone, Copy)]
pub(super) struct Odd([Lanes; 3]);

impl Scalar {
    /// Packed words of any 256-bit number.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn from_packed(words: [Lanes; 4]) -> Self {
        Self(unpack(words))
    }

    /// Four packed words of the residue below 2^256.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn to_packed(self) -> [Lanes; 4] {
        // Below n + 2^256, so taking n off once is enough.
        pack(self.less_order_where_above().0)
    }

    /// Lanes turned about: lane i gets what lane `turn[i]` holds.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn permuted(&self, turn: Lanes) -> Self {
        let turned = |limb| _mm512_permutexvar_epi64(turn, limb);
        let [a, b, c, d, e] = self.0;
        Self([turned(a), turned(b), turned(c), turned(d), turned(e)])
    }

    /// The product over 2^260.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn mul(&self, other: &Self) -> Self {
        let n = splat_limbs(ORDER);
        let minus_inverse = splat(MINUS_INVERSE);
        let zero = _mm512_setzero_si512();
        let mut c = product(&self.0, &other.0);
        for i in 0..5 {
            // q n cancels what column i has below 2^52; its rest moves up.
            let q = _mm512_madd52lo_epu64(zero, c[i], minus_inverse);
            for j in 0..5 {
                c[i + j] = _mm512_madd52lo_epu64(c[i + j], q, n[j]);
                c[i + j + 1] = _mm512_madd52hi_epu64(c[i + j + 1], q, n[j]);
            }
            c[i + 1] = _mm512_add_epi64(c[i + 1], _mm512_srli_epi64::<52>(c[i]));
        }
        Self(ripple([c[5], c[6], c[7], c[8], c[9]])).checked()
    }

    /// Subtracts n in the lanes where the scalar is at least 2^256.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn less_order_where_above(self) -> Self {
        let above = _mm512_cmpge_epu64_mask(self.0[4], splat(1 << 48));
        let mut limbs = self.0;
        for (limb, order) in limbs.iter_mut().zip(splat_limbs(ORDER)) {
            *limb = _mm512_mask_sub_epi64(*limb, above, *limb, order);
        }
        for i in 0..4 {
            limbs[i + 1] = _mm512_add_epi64(limbs[i + 1], _mm512_srai_epi64::<52>(limbs[i]));
            limbs[i] = _mm512_and_si512(limbs[i], splat(MASK_52));
        }
        Self(limbs)
    }

    /// Two odd numbers below 2^132 with low + 2^128 high ≡ self mod n.
    ///
    /// Adding n where the scalar is even makes it odd, at most 2^257 + n. `low` takes its 128 bits; where the rest is
    /// even it takes one more and `low` goes down by 2^128, which leaves it odd.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn cut<const BITS: usize>(&self) -> [Odd; 2] {
        let one = splat(1);
        let mut k = self.0;
        let even = _mm512_testn_epi64_mask(k[0], one);
        for (limb, order) in k.iter_mut().zip(splat_limbs(ORDER)) {
            *limb = _mm512_mask_add_epi64(*limb, even, *limb, order);
        }
        let k = ripple(k);
        // 128 = 2·52 + 24.
        let mask = splat(MASK_52);
        let mut low = [k[0], k[1], _mm512_and_si512(k[2], splat((1 << 24) - 1))];
        let mut high = [
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<24>(k[2]), _mm512_slli_epi64::<28>(k[3])), mask),
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<24>(k[3]), _mm512_slli_epi64::<28>(k[4])), mask),
            _mm512_srli_epi64::<24>(k[4]),
        ];
        let even = _mm512_testn_epi64_mask(high[0], one);
        high[0] = _mm512_mask_or_epi64(high[0], even, high[0], one);
        low[2] = _mm512_mask_sub_epi64(low[2], even, low[2], splat(1 << 24));
        [Odd::new::<BITS>(low), Odd::new::<BITS>(high)]
    }

    /// Two odd numbers below 2^129 in size with first + second·λ ≡ self mod n.
    ///
    /// c1, c2 are β1, β2 rounded down, off by less than 1 + 2^−100 for a scalar below 2^257; so the rest of (k, 0) is
    /// u (A1, −B1) + v (A2, A1) with 0 ≤ u, v ≤ 1 + 2^−100. Taking off the one of 0, (A1, −B1), (A2, A1) and their
    /// sum that makes both halves odd keeps them within A1 + A2 < 1.28 · 2^128 and B1 + A1 < 1.09 · 2^128.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn split<const BITS: usize>(&self) -> [Odd; 2] {
        let c1 = self.scaled(G1);
        let c2 = self.scaled(G2);
        let first = add(low_product(&c1, A1), low_product(&c2, A2));
        let first = settle(sub([self.0[0], self.0[1], self.0[2]], first));
        let second = settle(sub(low_product(&c1, B1), low_product(&c2, A1)));
        let one = splat(1);
        let first_odd = _mm512_test_epi64_mask(first[0], one);
        let second_odd = _mm512_test_epi64_mask(second[0], one);
        // (A1, −B1) is odd in both halves, (A2, A1) in the second alone.
        let take_first = !first_odd;
        let take_second = first_odd ^ second_odd;
        let minus = |value: [Lanes; 3], mask, vector: [u64; 3]| {
            let mut value = value;
            for (limb, part) in value.iter_mut().zip(vector) {
                *limb = _mm512_mask_sub_epi64(*limb, mask, *limb, splat(part));
            }
            value
        };
        let first = minus(minus(first, take_first, A1), take_second, A2);
        let mut second = minus(second, take_second, A1);
        for (limb, part) in second.iter_mut().zip(B1) {
            *limb = _mm512_mask_add_epi64(*limb, take_first, *limb, splat(part));
        }
        [Odd::new::<BITS>(first), Odd::new::<BITS>(second)]
    }

    /// The scalar times `factor` over 2^384, rounded down: below 2^130.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn scaled(&self, factor: [u64; 5]) -> [Lanes; 3] {
        let mut c = product(&self.0, &splat_limbs(factor));
        let mask = splat(MASK_52);
        for i in 0..9 {
            c[i + 1] = _mm512_add_epi64(c[i + 1], _mm512_srli_epi64::<52>(c[i]));
            c[i] = _mm512_and_si512(c[i], mask);
        }
        // 384 = 7·52 + 20.
        let join = |low, high| {
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<20>(low), _mm512_slli_epi64::<32>(high)), mask)
        };
        [join(c[7], c[8]), join(c[8], c[9]), _mm512_srli_epi64::<20>(c[9])]
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn checked(self) -> Self {
        #[cfg(debug_assertions)]
        {
            for limb in &self.0[..4] {
                assert!(words(*limb).iter().all(|limb| *limb <= MASK_52), "limb above 52 bits");
            }
            assert!(words(self.0[4]).iter().all(|limb| *limb < 1 << 49), "scalar above 2^257");
        }
        self
    }
}

impl Odd {
    /// From limbs that need not be settled.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    fn new<const BITS: usize>(value: [Lanes; 3]) -> Self {
        let [a, b, c] = settle(value);
        #[cfg(debug_assertions)]
        {
            assert!(words(a).iter().all(|low| low & 1 == 1), "an even number");
            let high = words(c).map(|high| high.cast_signed() >> (BITS - 104));
            assert!(high.iter().all(|high| *high == 0 || *high == -1), "an odd number beyond its windows");
        }
        // k is odd, so (k + 2^BITS − 1) / 2 is k / 2 rounded down plus 2^(BITS − 1).
        let mask = splat(MASK_52);
        let half = |low, high| {
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<1>(low), _mm512_slli_epi64::<51>(high)), mask)
        };
        let top = _mm512_add_epi64(_mm512_srai_epi64::<1>(c), splat(1 << (BITS - 105)));
        Self([half(a, b), half(b, c), top])
    }

    /// The digit at `bit`, WIDTH bits wide: which odd multiple 2 i + 1, and the lanes where it is to be subtracted.
    ///
    /// k = Σ (2 e − 2^WIDTH + 1) 2^(WIDTH j) over the windows e of the number held: odd digits of either sign and
    /// never a zero, so all lanes add at every window.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn window<const WIDTH: usize>(&self, bit: usize) -> (Lanes, __mmask8) {
        let (limb, shift) = (bit / 52, (bit % 52) as u64);
        let mut e = _mm512_srlv_epi64(self.0[limb], splat(shift));
        if limb < 2 {
            e = _mm512_or_si512(e, _mm512_sllv_epi64(self.0[limb + 1], splat(52 - shift)));
        }
        let negative = _mm512_testn_epi64_mask(e, splat(1 << (WIDTH - 1)));
        let ones = splat(u64::MAX);
        let index = _mm512_and_si512(_mm512_mask_xor_epi64(e, negative, e, ones), splat((1 << (WIDTH - 1)) - 1));
        (index, negative)
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn product(a: &Limbs, b: &Limbs) -> [Lanes; 10] {
    let mut c = [_mm512_setzero_si512(); 10];
    for i in 0..5 {
        for j in 0..5 {
            c[i + j] = _mm512_madd52lo_epu64(c[i + j], a[i], b[j]);
            c[i + j + 1] = _mm512_madd52hi_epu64(c[i + j + 1], a[i], b[j]);
        }
    }
    c
}

/// The product's lowest three columns, not carried: all that a number below 2^155 in size needs.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn low_product(a: &[Lanes; 3], b: [u64; 3]) -> [Lanes; 3] {
    let mut c = [_mm512_setzero_si512(); 3];
    for i in 0..3 {
        for j in 0..3 - i {
            c[i + j] = _mm512_madd52lo_epu64(c[i + j], a[i], splat(b[j]));
            if i + j < 2 {
                c[i + j + 1] = _mm512_madd52hi_epu64(c[i + j + 1], a[i], splat(b[j]));
            }
        }
    }
    c
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn add(a: [Lanes; 3], b: [Lanes; 3]) -> [Lanes; 3] {
    [_mm512_add_epi64(a[0], b[0]), _mm512_add_epi64(a[1], b[1]), _mm512_add_epi64(a[2], b[2])]
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn sub(a: [Lanes; 3], b: [Lanes; 3]) -> [Lanes; 3] {
    [_mm512_sub_epi64(a[0], b[0]), _mm512_sub_epi64(a[1], b[1]), _mm512_sub_epi64(a[2], b[2])]
}

/// Carries signed limbs modulo 2^156; the top limb is signed.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn settle([a, b, c]: [Lanes; 3]) -> [Lanes; 3] {
    let mask = splat(MASK_52);
    let b = _mm512_add_epi64(b, _mm512_srai_epi64::<52>(a));
    let c = _mm512_add_epi64(c, _mm512_srai_epi64::<52>(b));
    let c = _mm512_srai_epi64::<12>(_mm512_slli_epi64::<12>(c));
    [_mm512_and_si512(a, mask), _mm512_and_si512(b, mask), c]
}
