//! Comparisons, logic, shifts.

use std::cmp::Ordering;

use types::U256;

use super::arithmetic::is_negative;
use crate::{
    frame::{Frame, Machine},
    interpreter::Flow,
};

#[inline(always)]
fn compare(frame: &mut Frame, holds: impl FnOnce(&U256, &U256) -> bool) -> Flow {
    let a = frame.stack.pop();
    frame.stack.change(|b| U256::from(u64::from(holds(&a, &b))));
    Ok(())
}

/// Two's complement: the one with a sign is the lesser; of equal signs the order is that of the words.
#[inline(always)]
fn signed_order(a: &U256, b: &U256) -> Ordering {
    is_negative(b).cmp(&is_negative(a)).then_with(|| a.cmp(b))
}

#[inline(always)]
pub(super) fn lt(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    compare(frame, |a, b| a < b)
}

#[inline(always)]
pub(super) fn gt(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    compare(frame, |a, b| a > b)
}

#[inline(always)]
pub(super) fn slt(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    compare(frame, |a, b| signed_order(a, b).is_lt())
}

#[inline(always)]
pub(super) fn sgt(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    compare(frame, |a, b| signed_order(a, b).is_gt())
}

#[inline(always)]
pub(super) fn eq(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    // `==` would be made of wide loads.
    compare(frame, |a, b| (*a ^ *b).is_zero())
}

#[inline(always)]
pub(super) fn iszero(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.change(|a| U256::from(u64::from(a.is_zero())));
    Ok(())
}

#[inline(always)]
pub(super) fn and(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let a = frame.stack.pop();
    *frame.stack.top() &= a;
    Ok(())
}

#[inline(always)]
pub(super) fn or(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let a = frame.stack.pop();
    *frame.stack.top() |= a;
    Ok(())
}

#[inline(always)]
pub(super) fn xor(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let a = frame.stack.pop();
    *frame.stack.top() ^= a;
    Ok(())
}

#[inline(always)]
pub(super) fn not(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let a = frame.stack.top();
    *a = !*a;
    Ok(())
}

/// Byte 0 is the highest.
#[inline(always)]
pub(super) fn byte(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let index = frame.stack.pop();
    let word = frame.stack.top();
    *word = if index < U256::from(32) { U256::from(word.byte(31 - index.as_limbs()[0] as usize)) } else { U256::ZERO };
    Ok(())
}

/// How far to shift; None: all of it.
#[inline(always)]
fn distance(word: U256) -> Option<usize> {
    (word < U256::from(256)).then(|| word.as_limbs()[0] as usize)
}

#[inline(always)]
pub(super) fn shl(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let distance = distance(frame.stack.pop());
    let word = frame.stack.top();
    *word = distance.map_or(U256::ZERO, |bits| *word << bits);
    Ok(())
}

#[inline(always)]
pub(super) fn shr(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let distance = distance(frame.stack.pop());
    let word = frame.stack.top();
    *word = distance.map_or(U256::ZERO, |bits| *word >> bits);
    Ok(())
}

#[inline(always)]
pub(super) fn sar(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let distance = distance(frame.stack.pop());
    let word = frame.stack.top();
    let fill = if is_negative(word) { U256::MAX } else { U256::ZERO };
    *word = match distance {
        None => fill,
        Some(0) => *word,
        Some(bits) => *word >> bits | fill << (256 - bits),
    };
    Ok(())
}

#[inline(always)]
pub(super) fn clz(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let a = frame.stack.top();
    *a = U256::from(a.leading_zeros());
    Ok(())
}
