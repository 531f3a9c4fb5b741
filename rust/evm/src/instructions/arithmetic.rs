//! Addition to exponentiation, all modulo 2^256.

use types::U256;

use crate::{
    frame::{Frame, Machine},
    interpreter::Flow,
};

/// The sign of a word read as two's complement.
#[inline(always)]
pub(super) fn is_negative(word: &U256) -> bool {
    word.bit(255)
}

#[inline(always)]
fn magnitude(word: U256) -> U256 {
    if is_negative(&word) { word.wrapping_neg() } else { word }
}

/// Zero where there is nothing to divide by. (`checked_div` moves the word once more, some 4 ns.)
#[inline(always)]
fn quotient(a: U256, b: U256) -> U256 {
    if b.is_zero() { b } else { a.wrapping_div(b) }
}

#[inline(always)]
fn remainder(a: U256, b: U256) -> U256 {
    if b.is_zero() { b } else { a.wrapping_rem(b) }
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
    let a = frame.stack.pop();
    let b = frame.stack.top();
    *b = quotient(a, *b);
    Ok(())
}

#[inline(always)]
pub(super) fn sdiv(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let a = frame.stack.pop();
    let b = frame.stack.top();
    let negative = is_negative(&a) != is_negative(b);
    let quotient = quotient(magnitude(a), magnitude(*b));
    *b = if negative { quotient.wrapping_neg() } else { quotient };
    Ok(())
}

#[inline(always)]
pub(super) fn r#mod(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let a = frame.stack.pop();
    let b = frame.stack.top();
    *b = remainder(a, *b);
    Ok(())
}

/// The remainder has the sign of the dividend.
#[inline(always)]
pub(super) fn smod(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let a = frame.stack.pop();
    let b = frame.stack.top();
    let remainder = remainder(magnitude(a), magnitude(*b));
    *b = if is_negative(&a) { remainder.wrapping_neg() } else { remainder };
    Ok(())
}

#[inline(always)]
pub(super) fn addmod(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let [a, b] = frame.stack.take();
    let modulus = frame.stack.top();
    *modulus = a.add_mod(b, *modulus);
    Ok(())
}

#[inline(always)]
pub(super) fn mulmod(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let [a, b] = frame.stack.take();
    let modulus = frame.stack.top();
    *modulus = a.mul_mod(b, *modulus);
    Ok(())
}

#[inline(always)]
pub(super) fn exp(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [base, exponent] = frame.stack.take();
    frame.charge(machine.schedule().exp_byte * exponent.byte_len() as u64)?;
    frame.stack.push(base.wrapping_pow(exponent));
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
