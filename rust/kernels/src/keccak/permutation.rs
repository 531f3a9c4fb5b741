//! Keccak-f[1600] over vectors of words: written once, compiled for each instruction set.
//!
//! The caller is a function with the target features of its [`Lanes`]; everything here is inlined into it.

/// The 25 words of N states: word by word, each with its N lanes side by side.
#[repr(align(64))]
pub(super) struct State<const N: usize>(pub(super) [[u64; N]; 25]);

impl<const N: usize> Default for State<N> {
    fn default() -> Self {
        Self([[0; N]; 25])
    }
}

/// A vector of N words.
///
/// # Safety
/// All functions need the instructions that the implementation is named for.
pub(super) trait Lanes<const N: usize>: Copy {
    unsafe fn load(words: &[u64; N]) -> Self;
    unsafe fn store(self, words: &mut [u64; N]);
    unsafe fn splat(word: u64) -> Self;
    unsafe fn xor(self, other: Self) -> Self;
    /// `self ^ (!one & other)`.
    unsafe fn chi(self, one: Self, other: Self) -> Self;
    /// Rotates left by L bits; R is 64 - L.
    unsafe fn rotate<const L: i32, const R: i32>(self) -> Self;

    /// `self ^ one ^ other`.
    #[inline(always)]
    unsafe fn xor3(self, one: Self, other: Self) -> Self {
        // SAFETY: the caller has the instructions.
        unsafe { self.xor(one).xor(other) }
    }
}

const ROUNDS: [u64; 24] = [
    0x0000000000000001,
    0x0000000000008082,
    0x800000000000808a,
    0x8000000080008000,
    0x000000000000808b,
    0x0000000080000001,
    0x8000000080008081,
    0x8000000000008009,
    0x000000000000008a,
    0x0000000000000088,
    0x0000000080008009,
    0x000000008000000a,
    0x000000008000808b,
    0x800000000000008b,
    0x8000000000008089,
    0x8000000000008003,
    0x8000000000008002,
    0x8000000000000080,
    0x000000000000800a,
    0x800000008000000a,
    0x8000000080008081,
    0x8000000000008080,
    0x0000000080000001,
    0x8000000080008008,
];

/// Permutes N states.
///
/// # Safety
/// The machine has the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn permute<const N: usize, V: Lanes<N>>(state: &mut State<N>) {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut a: [V; 25] = [V::splat(0); 25];
        for (vector, words) in a.iter_mut().zip(&state.0) {
            *vector = V::load(words);
        }
        for constant in ROUNDS {
            a = round::<N, V>(&a);
            a[0] = a[0].xor(V::splat(constant));
        }
        for (vector, words) in a.iter().zip(&mut state.0) {
            vector.store(words);
        }
    }
}

/// One round without its constant: theta, rho and pi, chi.
///
/// # Safety
/// As [`permute`].
#[inline(always)]
unsafe fn round<const N: usize, V: Lanes<N>>(a: &[V; 25]) -> [V; 25] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let column = |x: usize| a[x].xor3(a[x + 5], a[x + 10]).xor3(a[x + 15], a[x + 20]);
        let c = [column(0), column(1), column(2), column(3), column(4)];
        let d = [
            c[4].xor(c[1].rotate::<1, 63>()),
            c[0].xor(c[2].rotate::<1, 63>()),
            c[1].xor(c[3].rotate::<1, 63>()),
            c[2].xor(c[4].rotate::<1, 63>()),
            c[3].xor(c[0].rotate::<1, 63>()),
        ];
        // A row of the next state: five words from all over the old one, rotated, then mixed with their neighbours.
        macro_rules! row {
            ($($from:literal <<< $bits:literal),*) => {{
                let b = [$(a[$from].xor(d[$from % 5]).rotate::<$bits, { 64 - $bits }>()),*];
                [
                    b[0].chi(b[1], b[2]),
                    b[1].chi(b[2], b[3]),
                    b[2].chi(b[3], b[4]),
                    b[3].chi(b[4], b[0]),
                    b[4].chi(b[0], b[1]),
                ]
            }};
        }
        let rows = [
            row!(0 <<< 0, 6 <<< 44, 12 <<< 43, 18 <<< 21, 24 <<< 14),
            row!(3 <<< 28, 9 <<< 20, 10 <<< 3, 16 <<< 45, 22 <<< 61),
            row!(1 <<< 1, 7 <<< 6, 13 <<< 25, 19 <<< 8, 20 <<< 18),
            row!(4 <<< 27, 5 <<< 36, 11 <<< 10, 17 <<< 15, 23 <<< 56),
            row!(2 <<< 62, 8 <<< 55, 14 <<< 39, 15 <<< 41, 21 <<< 2),
        ];
        let [r0, r1, r2, r3, r4] = rows;
        [
            r0[0], r0[1], r0[2], r0[3], r0[4], r1[0], r1[1], r1[2], r1[3], r1[4], r2[0], r2[1], r2[2], r2[3], r2[4],
            r3[0], r3[1], r3[2], r3[3], r3[4], r4[0], r4[1], r4[2], r4[3], r4[4],
        ]
    }
}
