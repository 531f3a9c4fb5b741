//! The vector form of the portable code, written once over what AVX-512, AVX2 and NEON have in common.
//!
//! Each instruction set is a table ([`instructions`]) that implements [`Lanes`] with its own registers and calls
//! [`rank`] and [`score`] from a function that enables its features; everything here is inlined into that function, so no
//! call and no check is left inside the loop. What does not fill a register is done by the portable code, which gives the same bits.

use super::{CANONICAL_NAN, CLASSES, LOG2, RankWeights, portable};

/// Some 64-bit lanes, as numbers or as bits.
///
/// # Safety
///
/// Every function must only be called where the instruction set is enabled.
#[expect(unsafe_code, reason = "vector intrinsics")]
pub(super) unsafe trait Lanes: Copy {
    /// How many.
    const COUNT: usize;
    /// One truth value a lane.
    type Mask: Copy;

    /// # Safety
    /// `from` must be readable for `COUNT` values.
    unsafe fn load(from: *const f64) -> Self;
    /// # Safety
    /// `to` must be writable for `COUNT` values.
    unsafe fn store(self, to: *mut f64);
    unsafe fn all(value: f64) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn add_bits(self, other: Self) -> Self;
    unsafe fn sub_bits(self, other: Self) -> Self;
    unsafe fn and_bits(self, other: Self) -> Self;
    unsafe fn or_bits(self, other: Self) -> Self;
    /// The exponent's bits, moved to the bottom.
    unsafe fn exponent_bits(self) -> Self;
    /// False where either is NaN.
    unsafe fn below(self, other: Self) -> Self::Mask;
    unsafe fn equals(self, other: Self) -> Self::Mask;
    /// Where a lane is NaN.
    unsafe fn is_nan(self) -> Self::Mask;
    /// `yes` where the mask is true.
    unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// # Safety
    /// `classes` must be readable for `COUNT` bytes, each below [`CLASSES`].
    unsafe fn look_up(table: &[f64; CLASSES], classes: *const u8) -> Self;
}

/// An instruction set as a table: how many lanes, in which registers, and the intrinsic for each function of [`Lanes`].
/// Makes `rank` and `score` of it, entries whose caller has asked the processor for the features.
macro_rules! instructions {
    (
        features: $features:literal,
        lanes: $count:literal,
        registers: $register:ty, $bits:ty, $mask:ty,
        casts: $to_bits:expr, $from_bits:expr,
        load: $load:expr,
        store: $store:expr,
        all: $all:expr,
        numbers: { $($number:ident: $of_numbers:expr,)* },
        bits: { $($bitwise:ident: $of_bits:expr,)* },
        exponent_bits: $exponent_bits:expr,
        masks: { $($comparison:ident: $compare:expr,)* },
        is_nan: |$nan:ident| $is_nan:expr,
        select: |$chosen:ident, $yes:ident, $no:ident| $select:expr,
        look_up: |$table:ident, $classes:ident| $look_up:expr,
    ) => {
        #[derive(Clone, Copy)]
        struct Register($register);

        impl Register {
            #[inline(always)]
            #[expect(unsafe_code, reason = "vector intrinsics")]
            unsafe fn bits(self) -> $bits {
                // SAFETY: the caller has enabled the instruction set; a cast moves nothing.
                unsafe { $to_bits(self.0) }
            }

            #[inline(always)]
            #[expect(unsafe_code, reason = "vector intrinsics")]
            unsafe fn of(bits: $bits) -> Self {
                // SAFETY: as above.
                Self(unsafe { $from_bits(bits) })
            }
        }

        // SAFETY: every function is one intrinsic of the set, or few, and the set is enabled where it is called.
        #[expect(unsafe_code, reason = "vector intrinsics")]
        #[expect(unsafe_op_in_unsafe_fn, reason = "each body is an intrinsic or two")]
        unsafe impl $crate::score::lanes::Lanes for Register {
            const COUNT: usize = $count;
            type Mask = $mask;

            #[inline(always)]
            unsafe fn load(from: *const f64) -> Self {
                Self($load(from))
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f64) {
                $store(to, self.0);
            }
            #[inline(always)]
            unsafe fn all(value: f64) -> Self {
                Self($all(value))
            }
            $(
                #[inline(always)]
                unsafe fn $number(self, other: Self) -> Self {
                    Self($of_numbers(self.0, other.0))
                }
            )*
            $(
                #[inline(always)]
                unsafe fn $bitwise(self, other: Self) -> Self {
                    Self::of($of_bits(self.bits(), other.bits()))
                }
            )*
            #[inline(always)]
            unsafe fn exponent_bits(self) -> Self {
                Self::of($exponent_bits(self.bits()))
            }
            $(
                #[inline(always)]
                unsafe fn $comparison(self, other: Self) -> $mask {
                    $compare(self.0, other.0)
                }
            )*
            #[inline(always)]
            unsafe fn is_nan(self) -> $mask {
                let $nan = self.0;
                $is_nan
            }
            #[inline(always)]
            unsafe fn select($chosen: $mask, yes: Self, no: Self) -> Self {
                let ($yes, $no) = (yes.0, no.0);
                Self($select)
            }
            #[inline(always)]
            unsafe fn look_up($table: &[f64; $crate::score::CLASSES], $classes: *const u8) -> Self {
                Self($look_up)
            }
        }

        #[expect(unsafe_code, reason = "enters a function with more features")]
        pub(super) fn rank(tips: &[f64], boosts: &[f64], weights: $crate::score::RankWeights, ranks: &mut [f64]) {
            #[target_feature(enable = $features)]
            fn enabled(tips: &[f64], boosts: &[f64], weights: $crate::score::RankWeights, ranks: &mut [f64]) {
                // SAFETY: the features are enabled here; lengths were compared by the caller.
                unsafe { $crate::score::lanes::rank::<Register>(tips, boosts, weights, ranks) }
            }
            // SAFETY: the dispatcher has asked the processor.
            unsafe { enabled(tips, boosts, weights, ranks) }
        }

        #[expect(unsafe_code, reason = "enters a function with more features")]
        pub(super) fn score(
            fees: &[f64],
            classes: &[u8],
            priorities: &[f64; $crate::score::CLASSES],
            scores: &mut [f64],
        ) {
            #[target_feature(enable = $features)]
            fn enabled(
                fees: &[f64],
                classes: &[u8],
                priorities: &[f64; $crate::score::CLASSES],
                scores: &mut [f64],
            ) {
                // SAFETY: the features are enabled here; lengths and classes were checked by the caller.
                unsafe { $crate::score::lanes::score::<Register>(fees, classes, priorities, scores) }
            }
            // SAFETY: the dispatcher has asked the processor.
            unsafe { enabled(fees, classes, priorities, scores) }
        }
    };
}

pub(super) use instructions;

/// 2⁵² + 1023: with these bits or-ed under it, a small integer is a number that is too large by this much.
const MAGIC: f64 = (1u64 << 52) as f64;

#[inline(always)]
#[expect(unsafe_code, reason = "vector intrinsics")]
unsafe fn log2<L: Lanes>(x: L) -> L {
    // SAFETY: the caller has enabled the instruction set.
    unsafe {
        let bits = |bits: u64| L::all(f64::from_bits(bits));
        let root_half = L::all(std::f64::consts::FRAC_1_SQRT_2);
        let small = x.below(L::all(f64::MIN_POSITIVE));
        let lifted = L::select(small, x.mul(L::all((1u64 << 54) as f64)), x);
        let distance = lifted.sub_bits(root_half).add_bits(bits(1023 << 52));
        let exponent = distance.exponent_bits().or_bits(L::all(MAGIC)).sub(L::all(MAGIC)).sub(L::all(1023.0));
        let exponent = L::select(small, exponent.sub(L::all(54.0)), exponent);
        let f = distance.and_bits(bits((1 << 52) - 1)).add_bits(root_half).sub(L::all(1.0));
        let mut sum = L::all(LOG2[LOG2.len() - 1]);
        for term in LOG2.iter().rev().skip(1) {
            sum = sum.mul(f).add(L::all(*term));
        }
        let value = exponent.add(f.mul(sum));
        let value = L::select(x.equals(L::all(f64::INFINITY)), x, value);
        let value = L::select(x.equals(L::all(0.0)), L::all(f64::NEG_INFINITY), value);
        let value = L::select(x.below(L::all(0.0)), bits(CANONICAL_NAN), value);
        L::select(x.is_nan(), bits(CANONICAL_NAN), value)
    }
}

#[inline(always)]
#[expect(unsafe_code, reason = "vector intrinsics")]
unsafe fn canonical<L: Lanes>(x: L) -> L {
    // SAFETY: the caller has enabled the instruction set.
    unsafe { L::select(x.is_nan(), L::all(f64::from_bits(CANONICAL_NAN)), x) }
}

/// # Safety
/// The instruction set of `L` must be enabled; all columns must be of one length.
#[inline(always)]
#[expect(unsafe_code, reason = "vector intrinsics")]
pub(super) unsafe fn rank<L: Lanes>(tips: &[f64], boosts: &[f64], weights: RankWeights, ranks: &mut [f64]) {
    let whole = tips.len() - tips.len() % L::COUNT;
    // SAFETY: every access is below `whole`, which is at most the common length.
    unsafe {
        let (one, scale) = (L::all(1.0), L::all(weights.scale()));
        let (fee, boost) = (L::all(weights.fee), L::all(weights.boost));
        for at in (0..whole).step_by(L::COUNT) {
            let tip = L::load(tips.as_ptr().add(at)).add(one).mul(scale);
            let by_fee = fee.mul(log2(tip));
            let by_boost = boost.mul(log2(L::load(boosts.as_ptr().add(at))));
            canonical(by_fee.add(by_boost)).store(ranks.as_mut_ptr().add(at));
        }
    }
    portable::rank(&tips[whole..], &boosts[whole..], weights, &mut ranks[whole..]);
}

/// # Safety
/// The instruction set of `L` must be enabled; all columns must be of one length, every class below [`CLASSES`].
#[inline(always)]
#[expect(unsafe_code, reason = "vector intrinsics")]
pub(super) unsafe fn score<L: Lanes>(fees: &[f64], classes: &[u8], priorities: &[f64; CLASSES], scores: &mut [f64]) {
    let whole = fees.len() - fees.len() % L::COUNT;
    // SAFETY: every access is below `whole`, which is at most the common length.
    unsafe {
        for at in (0..whole).step_by(L::COUNT) {
            let priority = L::look_up(priorities, classes.as_ptr().add(at));
            canonical(L::load(fees.as_ptr().add(at)).mul(priority)).store(scores.as_mut_ptr().add(at));
        }
    }
    portable::score(&fees[whole..], &classes[whole..], priorities, &mut scores[whole..]);
}
