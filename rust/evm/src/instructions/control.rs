//! Where to go next, and how to end.

use types::{Bytes, U256};

use crate::{
    frame::{Frame, Machine},
    interpreter::{Exit, Flow, HaltReason},
};

pub(super) fn stop(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.output = Bytes::new();
    Err(Exit::Return)
}

/// INVALID, and every byte that is no opcode at this fork.
pub(crate) fn undefined(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let byte = frame.code.bytes.get(frame.pc.wrapping_sub(1)).copied().unwrap_or_default();
    Err(HaltReason::InvalidOpcode(byte).into())
}

#[inline(always)]
pub(super) fn jumpdest(_: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    Ok(())
}

/// The place that a jump to `target` goes to.
#[inline(always)]
fn destination(frame: &Frame, target: U256) -> Result<usize, Exit> {
    let target = usize::try_from(target).map_err(|_| HaltReason::InvalidJump)?;
    if frame.code.is_jump_target(target) { Ok(target) } else { Err(HaltReason::InvalidJump.into()) }
}

#[inline(always)]
pub(super) fn jump(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    if frame.check_is_due() {
        frame.check_now(machine)?;
    }
    let target = frame.stack.pop();
    frame.pc = destination(frame, target)?;
    Ok(())
}

#[inline(always)]
pub(super) fn jumpi(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    if frame.check_is_due() {
        frame.check_now(machine)?;
    }
    let [target, condition] = frame.stack.take();
    if !condition.is_zero() {
        frame.pc = destination(frame, target)?;
    }
    Ok(())
}

#[inline(always)]
pub(super) fn pc(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.push(U256::from(frame.pc - 1));
    Ok(())
}

#[inline(always)]
pub(super) fn gas(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.push(U256::from(frame.gas));
    Ok(())
}

pub(super) fn return_(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [offset, length] = frame.stack.take();
    frame.output = frame.read(machine, offset, length)?;
    Err(Exit::Return)
}

pub(super) fn revert(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [offset, length] = frame.stack.take();
    frame.output = frame.read(machine, offset, length)?;
    Err(Exit::Revert)
}
