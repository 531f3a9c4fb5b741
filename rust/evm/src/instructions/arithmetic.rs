//! Addition to exponentiation, all modulo 2^256.

use types::U256;

use super::division;
use crate::{
    frame::{Frame, Machine},
    interpreter::Flow,
};

/// The sign of a word read as two's complement.
#[inline(always)]
pub(super) fn is_negative(word: &U256) -> bool {
    word.bit(255)
}

/// `base` multiplied with itself, by the exponent's bits from the highest down: so each step is a square, which takes
/// fewer products than any two words.
fn power(base: U256, exponent: U256) -> U256 {
    if let [low, 0, 0, 0] = *base.as_limbs()
        && low.is_power_of_two()
    {
        let shift = U256::from(low.trailing_zeros()).saturating_mul(exponent);
        return if shift < U256::from(256) { U256::ONE << shift.to::<usize>() } else { U256::ZERO };
    }
    let Some(below_highest) = exponent.bit_len().checked_sub(1) else { return U256::ONE };
    (0..below_highest).rev().fold(base, |power, bit| {
        let power = square(power);
        if exponent.bit(bit) { power.wrapping_mul(base) } else { power }
    })
}

#[inline(always)]
fn square(word: U256) -> U256 {
    let [a, b, c, d] = *word.as_limbs();
    let product = |x: u64, y: u64| u128::from(x) * u128::from(y);
    let (low, high) = (|wide: u128| wide as u64, |wide: u128| (wide >> 64) as u64);
    // Products of different limbs, which a square holds twice each.
    let (ab, ac) = (product(a, b), product(a, c));
    let second = u128::from(high(ab)) + u128::from(low(ac));
    let third = high(ac).wrapping_add(high(second)).wrapping_add(a.wrapping_mul(d)).wrapping_add(b.wrapping_mul(c));
    let (aa, bb) = (product(a, a), product(b, b));
    let one = u128::from(high(aa)) + (u128::from(low(ab)) << 1);
    let two = u128::from(low(bb)) + (u128::from(low(second)) << 1) + (one >> 64);
    let three = high(bb).wrapping_add(third << 1).wrapping_add(high(two));
    U256::from_limbs([low(aa), low(one), low(two), three])
}

#[inline(always)]
pub(super) fn add(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let a = frame.stack.pop();
    let b = frame.stack.top();
    *b = a.wrapping_add(*b);
    Ok(())
}

#[inline(always)]
pub(super) fn mul(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let a = frame.stack.pop();
    let b = frame.stack.top();
    *b = a.wrapping_mul(*b);
    Ok(())
}

#[inline(always)]
pub(super) fn sub(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let a = frame.stack.pop();
    let b = frame.stack.top();
    *b = a.wrapping_sub(*b);
    Ok(())
}

#[inline(always)]
pub(super) fn div(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.fold(|[a], b| division::quotient(a, b));
    Ok(())
}

#[inline(always)]
pub(super) fn sdiv(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.fold(|[a], b| division::signed_quotient(a, b));
    Ok(())
}

#[inline(always)]
pub(super) fn r#mod(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.fold(|[a], b| division::remainder(a, b));
    Ok(())
}

#[inline(always)]
pub(super) fn smod(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.fold(|[a], b| division::signed_remainder(a, b));
    Ok(())
}

#[inline(always)]
pub(super) fn addmod(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.fold(|[b, a], modulus| division::sum_remainder(a, b, modulus));
    Ok(())
}

#[inline(always)]
pub(super) fn mulmod(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.fold(|[b, a], modulus| division::product_remainder(a, b, modulus));
    Ok(())
}

#[inline(always)]
pub(super) fn exp(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [base, exponent] = frame.stack.take();
    frame.charge(machine.schedule().exp_byte * exponent.byte_len() as u64)?;
    frame.stack.push(power(base, exponent));
    Ok(())
}

/// Copies bit `8 * (size + 1) - 1` to all above it.
#[inline(always)]
pub(super) fn signextend(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let size = frame.stack.pop();
    let word = frame.stack.top();
    if size < U256::from(31) {
        let sign = size.as_limbs()[0] as usize * 8 + 7;
        let below = (U256::ONE << sign) - U256::ONE;
        *word = if word.bit(sign) { *word | !below } else { *word & below };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words of all lengths.
    fn word() -> impl Strategy<Value = U256> {
        (any::<[u64; 4]>(), 0..=256_usize).prop_map(|(limbs, shift)| U256::from_limbs(limbs) >> shift)
    }

    proptest! {
        #[test]
        fn powers_are_those_of_repeated_multiplication(base in word(), exponent in word()) {
            prop_assert_eq!(square(base), base.wrapping_mul(base));
            prop_assert_eq!(power(base, exponent), base.wrapping_pow(exponent));
        }

        #[test]
        fn powers_of_two_are_shifts(shift in 0..256_usize, exponent in 0..300_u64) {
            let (base, exponent) = (U256::ONE << shift, U256::from(exponent));
            prop_assert_eq!(power(base, exponent), base.wrapping_pow(exponent));
            prop_assert_eq!(power(base, U256::MAX), base.wrapping_pow(U256::MAX));
        }
    }

    #[test]
    fn nothing_to_the_power_of_nothing_is_one() {
        let [zero, one] = [U256::ZERO, U256::ONE];
        assert_eq!([power(zero, zero), power(zero, one), power(one, zero)], [one, zero, one]);
    }
}
