//! Eight unsigned 64-bit lanes, and the few ways in which numbers enter and leave them.
//!
//! A 256-bit number is held in one of three shapes: [`Row`], eight consecutive words of *one* signature (two numbers,
//! one cache line); four `Lanes` of packed 64-bit words; five `Lanes` of 52-bit limbs ([`Limbs`]), which is what the
//! multiply-add instructions want. In the latter two each lane belongs to another signature.

use core::arch::x86_64::*;

/// Eight 64-bit numbers, one per signature of a group.
pub(super) type Lanes = __m512i;

/// A number below 2^260 per lane: 52 bits a limb, lowest first.
pub(super) type Limbs = [Lanes; 5];

/// How many signatures share one vector.
pub(super) const WIDTH: usize = 8;

/// The low 52 bits.
pub(super) const MASK_52: u64 = (1 << 52) - 1;

/// Two 256-bit numbers of one signature, lowest word first: a point's `x` and `y`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Row(pub(super) Lanes);

impl Row {
    /// From two big-endian numbers.
    #[inline]
    pub(super) fn from_numbers(first: &[u8; 32], second: &[u8; 32]) -> Self {
        let word = |bytes: &[u8; 32], at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let [a, b] = [first, second].map(|bytes| [word(bytes, 24), word(bytes, 16), word(bytes, 8), word(bytes, 0)]);
        Self(lanes([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]]))
    }

    /// The two numbers one after the other, big-endian.
    #[inline]
    pub(super) fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let words = words(self.0);
        for (i, word) in words[..4].iter().rev().chain(words[4..].iter().rev()).enumerate() {
            bytes[8 * i..8 * i + 8].copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }
}

/// The eight numbers as one vector.
#[inline]
pub(super) fn lanes(words: [u64; WIDTH]) -> Lanes {
    // SAFETY: both are 64 bytes in which every bit pattern is valid.
    unsafe { core::mem::transmute(words) }
}

/// The vector's eight numbers.
#[inline]
pub(super) fn words(lanes: Lanes) -> [u64; WIDTH] {
    // SAFETY: as above.
    unsafe { core::mem::transmute(lanes) }
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn splat(value: u64) -> Lanes {
    _mm512_set1_epi64(value.cast_signed())
}

/// The same number in all lanes.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn splat_limbs(limbs: [u64; 5]) -> Limbs {
    [splat(limbs[0]), splat(limbs[1]), splat(limbs[2]), splat(limbs[3]), splat(limbs[4])]
}

/// Four packed words to five limbs.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn unpack(w: [Lanes; 4]) -> Limbs {
    let mask = splat(MASK_52);
    let cut = |v| _mm512_and_si512(v, mask);
    [
        cut(w[0]),
        cut(_mm512_or_si512(_mm512_srli_epi64::<52>(w[0]), _mm512_slli_epi64::<12>(w[1]))),
        cut(_mm512_or_si512(_mm512_srli_epi64::<40>(w[1]), _mm512_slli_epi64::<24>(w[2]))),
        cut(_mm512_or_si512(_mm512_srli_epi64::<28>(w[2]), _mm512_slli_epi64::<36>(w[3]))),
        _mm512_srli_epi64::<16>(w[3]),
    ]
}

/// Five limbs of a number below 2^256 to four packed words.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn pack(l: Limbs) -> [Lanes; 4] {
    [
        _mm512_or_si512(l[0], _mm512_slli_epi64::<52>(l[1])),
        _mm512_or_si512(_mm512_srli_epi64::<12>(l[1]), _mm512_slli_epi64::<40>(l[2])),
        _mm512_or_si512(_mm512_srli_epi64::<24>(l[2]), _mm512_slli_epi64::<28>(l[3])),
        _mm512_or_si512(_mm512_srli_epi64::<36>(l[3]), _mm512_slli_epi64::<16>(l[4])),
    ]
}

/// Turns eight vectors about: word `i` of vector `j` becomes word `j` of vector `i`.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn transpose(v: [Lanes; 8]) -> [Lanes; 8] {
    // Pairs of words, then pairs of 128-bit quarters, then of 256-bit halves.
    let mut a = v;
    for i in 0..4 {
        a[2 * i] = _mm512_unpacklo_epi64(v[2 * i], v[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi64(v[2 * i], v[2 * i + 1]);
    }
    let mut b = a;
    for half in 0..2 {
        for i in 0..2 {
            let (low, high) = (a[4 * half + i], a[4 * half + i + 2]);
            b[4 * half + i] = _mm512_shuffle_i64x2::<0b10_00_10_00>(low, high);
            b[4 * half + i + 2] = _mm512_shuffle_i64x2::<0b11_01_11_01>(low, high);
        }
    }
    let mut c = b;
    for i in 0..4 {
        c[i] = _mm512_shuffle_i64x2::<0b10_00_10_00>(b[i], b[i + 4]);
        c[i + 4] = _mm512_shuffle_i64x2::<0b11_01_11_01>(b[i], b[i + 4]);
    }
    c
}

/// The two numbers of eight rows, packed: first all `x`, then all `y`.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn from_rows(rows: [Row; WIDTH]) -> ([Lanes; 4], [Lanes; 4]) {
    let [a, b, c, d, e, f, g, h] = transpose(rows.map(|row| row.0));
    ([a, b, c, d], [e, f, g, h])
}

/// The rows of eight pairs of packed numbers.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn to_rows(x: [Lanes; 4], y: [Lanes; 4]) -> [Row; WIDTH] {
    transpose([x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]]).map(Row)
}
