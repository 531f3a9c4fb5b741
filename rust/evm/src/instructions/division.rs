//! Quotients and remainders of words.
//!
//! What programs divide is mostly short by short, or one word by another of its length: these are settled here, in limbs
//! that never leave their registers, in about two thirds of the library's time. Everything else is the library's, which
//! is as good at long division as what we wrote in its place (reciprocals instead of divisions lost by a quarter).
//!
//! Divided by zero, everything is zero and leaves zero.

use types::U256;

use crate::interpreter::stack::copy;

/// Lowest first.
type Limbs = [u64; 4];

const ZERO: Limbs = [0; 4];

/// `b` becomes `a / b`.
#[inline(never)]
pub(super) fn quotient(a: &U256, b: &mut U256) {
    *b = U256::from_limbs(divide(limbs(a), limbs(b), U256::wrapping_div).quotient);
}

/// `b` becomes `a % b`.
#[inline(never)]
pub(super) fn remainder(a: &U256, b: &mut U256) {
    *b = U256::from_limbs(divide(limbs(a), limbs(b), U256::wrapping_rem).remainder);
}

/// `b` becomes `a / b`, both read as two's complement.
#[inline(never)]
pub(super) fn signed_quotient(a: &U256, b: &mut U256) {
    let (n, d) = (limbs(a), limbs(b));
    let quotient = divide(magnitude(n), magnitude(d), U256::wrapping_div).quotient;
    *b = U256::from_limbs(if is_negative(n) == is_negative(d) { quotient } else { negated(quotient) });
}

/// `b` becomes `a % b`, both read as two's complement; the remainder has the sign of `a`.
#[inline(never)]
pub(super) fn signed_remainder(a: &U256, b: &mut U256) {
    let (n, d) = (limbs(a), limbs(b));
    let remainder = divide(magnitude(n), magnitude(d), U256::wrapping_rem).remainder;
    *b = U256::from_limbs(if is_negative(n) { negated(remainder) } else { remainder });
}

/// `modulus` becomes `(a + b) % modulus`.
#[inline(never)]
pub(super) fn sum_remainder(a: &U256, b: &U256, modulus: &mut U256) {
    let (a, b, m) = (limbs(a), limbs(b), limbs(modulus));
    let (sum, carry) = sum(a, b);
    *modulus = U256::from_limbs(if !carry {
        divide(sum, m, U256::wrapping_rem).remainder
    } else if difference(a, m).1 && difference(b, m).1 {
        // Both are less than the modulus: once taken off, the carry is gone.
        difference(sum, m).0
    } else {
        U256::from_limbs(a).add_mod(U256::from_limbs(b), U256::from_limbs(m)).into_limbs()
    });
}

/// `modulus` becomes `(a * b) % modulus`.
#[inline(never)]
pub(super) fn product_remainder(a: &U256, b: &U256, modulus: &mut U256) {
    let (n, m) = (limbs(a), limbs(b));
    let [_, _, n2, n3] = n;
    let [_, _, m2, m3] = m;
    let (a, b) = (U256::from_limbs(n), U256::from_limbs(m));
    *modulus = if n2 | n3 | m2 | m3 == 0 {
        // Two limbs each: the product is a word.
        let product = a.wrapping_mul(b).into_limbs();
        U256::from_limbs(divide(product, limbs(modulus), U256::wrapping_rem).remainder)
    } else {
        a.mul_mod(b, copy(modulus))
    };
}

/// What came of a division; who asks for one of them has the other never computed.
struct Divided {
    quotient: Limbs,
    remainder: Limbs,
}

impl Divided {
    #[inline(always)]
    fn new(quotient: Limbs, remainder: Limbs) -> Self {
        Self { quotient, remainder }
    }
}

/// Divides `n` by `d`; `library` tells what is asked for where there is no way of our own.
#[inline(always)]
fn divide(n: Limbs, d: Limbs, library: impl FnOnce(U256, U256) -> U256) -> Divided {
    if d[1] | d[2] | d[3] == 0 {
        let d = d[0];
        if n[1] | n[2] | n[3] == 0 {
            let quotient = n[0].checked_div(d).unwrap_or_default();
            let remainder = n[0].checked_rem(d).unwrap_or_default();
            return Divided::new([quotient, 0, 0, 0], [remainder, 0, 0, 0]);
        }
        if d == 0 {
            return Divided::new(ZERO, ZERO);
        }
        if n[2] | n[3] == 0 {
            let (low, high) = split(join(n[1], n[0]) / u128::from(d));
            return Divided::new([low, high, 0, 0], [n[0].wrapping_sub(low.wrapping_mul(d)), 0, 0, 0]);
        }
    } else {
        // Which one is greater shows in the difference, and where the quotient is one that is the remainder.
        let (once, less) = difference(n, d);
        if less {
            return Divided::new(ZERO, n);
        }
        if difference(once, d).1 {
            return Divided::new([1, 0, 0, 0], once);
        }
        if let Some(divided) = by_equal(n, d) {
            return divided;
        }
    }
    let answer = library(U256::from_limbs(n), U256::from_limbs(d)).into_limbs();
    Divided::new(answer, answer)
}

/// A long word by another of its length, where the quotient is short: what the 64 bits from the dividend's highest on
/// say of it, with those that stand in the same place of the divisor. Where these have more than half of their bits,
/// that is at most one too many.
#[inline(always)]
fn by_equal(n: Limbs, d: Limbs) -> Option<Divided> {
    let (dividend, divisor) = match (n, d) {
        ([_, _, n0, n1], [_, _, d0, d1]) if n1 != 0 => ([n1, n0], [d1, d0]),
        ([_, n0, n1, _], [_, d0, d1, _]) if n1 != 0 => ([n1, n0], [d1, d0]),
        ([n0, n1, _, _], [d0, d1, _, _]) => ([n1, n0], [d1, d0]),
    };
    let shift = dividend[0].leading_zeros();
    let top = |[high, low]: [u64; 2]| split(join(high, low) << (shift & 63)).1;
    let divisor = top(divisor);
    if divisor >> 32 == 0 {
        return None;
    }
    let quotient = top(dividend) / divisor;
    let (multiple, over) = multiple(d, quotient);
    let (rest, less) = difference(n, multiple);
    Some(if over || less {
        Divided::new([quotient - 1, 0, 0, 0], sum(rest, d).0)
    } else {
        Divided::new([quotient, 0, 0, 0], rest)
    })
}

#[inline(always)]
fn limbs(word: &U256) -> Limbs {
    copy(word).into_limbs()
}

#[inline(always)]
fn is_negative(n: Limbs) -> bool {
    n[3] >> 63 == 1
}

#[inline(always)]
fn negated(n: Limbs) -> Limbs {
    difference(ZERO, n).0
}

#[inline(always)]
fn magnitude(n: Limbs) -> Limbs {
    if is_negative(n) { negated(n) } else { n }
}

/// Modulo 2^256, and whether that was one too many.
#[inline(always)]
fn difference(a: Limbs, b: Limbs) -> (Limbs, bool) {
    let mut borrow = false;
    let limbs = std::array::from_fn(|index| {
        let (less, one) = a[index].overflowing_sub(b[index]);
        let (less, two) = less.overflowing_sub(borrow.into());
        borrow = one | two;
        less
    });
    (limbs, borrow)
}

/// Modulo 2^256, and whether there is one more.
#[inline(always)]
fn sum(a: Limbs, b: Limbs) -> (Limbs, bool) {
    let mut carry = false;
    let limbs = std::array::from_fn(|index| {
        let (more, one) = a[index].overflowing_add(b[index]);
        let (more, two) = more.overflowing_add(carry.into());
        carry = one | two;
        more
    });
    (limbs, carry)
}

/// Modulo 2^256, and whether there is more.
#[inline(always)]
fn multiple(n: Limbs, times: u64) -> (Limbs, bool) {
    let mut carry = 0;
    let limbs = n.map(|limb| {
        let product;
        (product, carry) = split(u128::from(limb) * u128::from(times) + u128::from(carry));
        product
    });
    (limbs, carry != 0)
}

#[inline(always)]
fn join(high: u64, low: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// Low, high.
#[inline(always)]
fn split(two: u128) -> (u64, u64) {
    (two as u64, (two >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words of all lengths, of limbs at random and at their ends.
    fn word() -> impl Strategy<Value = U256> {
        let limb = prop_oneof![
            4 => any::<u64>(),
            1 => 0..4_u64,
            1 => Just(u64::MAX),
            1 => Just(1 << 63),
            1 => (0..64_u32).prop_map(|bit| 1 << bit),
        ];
        (prop::array::uniform4(limb), 0..=4_usize, 0..64_usize).prop_map(|(limbs, length, shift)| {
            U256::from_limbs(std::array::from_fn(|index| if index < length { limbs[index] } else { 0 })) >> shift
        })
    }

    /// Two words, also some near a multiple of the other.
    fn pair() -> impl Strategy<Value = (U256, U256)> {
        let near = (word(), 0..=u64::MAX, 0..64_u32, 0..3_u64).prop_map(|(d, times, shift, more)| {
            let times = U256::from(times >> shift);
            (d.wrapping_mul(times).wrapping_add(U256::from(more)).wrapping_sub(U256::ONE), d)
        });
        prop_oneof![(word(), word()), near]
    }

    fn plain_magnitude(word: U256) -> U256 {
        if word.bit(255) { word.wrapping_neg() } else { word }
    }

    /// The library's quotient and remainder.
    fn plain(a: U256, b: U256) -> (U256, U256) {
        if b.is_zero() { (b, b) } else { a.div_rem(b) }
    }

    fn check(a: U256, b: U256, modulus: U256) {
        let of = |operation: fn(&U256, &mut U256)| {
            let mut word = b;
            operation(&a, &mut word);
            word
        };
        let (divided, left) = plain(a, b);
        assert_eq!((of(quotient), of(remainder)), (divided, left), "{a:#x} by {b:#x}");
        let (divided, left) = plain(plain_magnitude(a), plain_magnitude(b));
        let divided = if a.bit(255) == b.bit(255) { divided } else { divided.wrapping_neg() };
        let left = if a.bit(255) { left.wrapping_neg() } else { left };
        assert_eq!((of(signed_quotient), of(signed_remainder)), (divided, left), "{a:#x} by {b:#x}, signed");
        let of = |operation: fn(&U256, &U256, &mut U256)| {
            let mut word = modulus;
            operation(&a, &b, &mut word);
            word
        };
        assert_eq!(of(sum_remainder), a.add_mod(b, modulus), "({a:#x} + {b:#x}) by {modulus:#x}");
        assert_eq!(of(product_remainder), a.mul_mod(b, modulus), "({a:#x} * {b:#x}) by {modulus:#x}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn every_answer_is_that_of_the_library((a, b) in pair(), modulus in word()) {
            check(a, b, modulus);
            check(b, a, modulus);
            check(modulus, a, b);
        }
    }

    #[test]
    fn words_at_the_ends_of_limbs_divide_as_the_library_divides_them() {
        let mut words = vec![U256::ZERO];
        for bit in [0_usize, 1, 31, 32, 33, 63, 64, 65, 95, 96, 127, 128, 129, 191, 192, 193, 223, 224, 254, 255] {
            let power: U256 = U256::ONE << bit;
            words.extend([power, power - U256::ONE, power.wrapping_neg(), power + U256::ONE]);
        }
        for a in &words {
            for b in &words {
                for modulus in words.iter().step_by(5).chain([a, b]) {
                    check(*a, *b, *modulus);
                }
            }
        }
    }

    #[test]
    fn an_estimate_whose_multiple_is_longer_than_a_word_is_one_too_many() {
        let d = U256::from_limbs([1 << 32, u64::MAX << 32, 0x3fff_ffff_ffff_ffff, 0x1_4497_a590]);
        check(U256::MAX, d, d);
        check(U256::ZERO, U256::MAX, d);
    }
}
