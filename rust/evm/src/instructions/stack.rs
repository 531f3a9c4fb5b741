//! Words pushed, copied, exchanged and dropped.

use types::U256;

use crate::{
    frame::{Frame, Machine},
    interpreter::Flow,
};

#[inline(always)]
pub(super) fn pop(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.pop();
    Ok(())
}

/// Where the code ends within the immediate, zeros stand in for the rest.
#[inline(always)]
pub(super) fn push<const N: usize>(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let mut word = [0; 32];
    let rest = frame.code.bytes.get(frame.pc..).unwrap_or_default();
    match rest.first_chunk::<N>() {
        Some(immediate) => word[32 - N..].copy_from_slice(immediate),
        None => word[32 - N..32 - N + rest.len()].copy_from_slice(rest),
    }
    frame.stack.push(U256::from_be_bytes(word));
    frame.pc += N;
    Ok(())
}

/// DUP1 is depth 1.
#[inline(always)]
pub(super) fn dup<const N: usize>(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.dup(N - 1);
    Ok(())
}

/// SWAP1 exchanges with depth 1.
#[inline(always)]
pub(super) fn swap<const N: usize>(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.swap(N);
    Ok(())
}
