//! Slots that last, slots that last for the transaction, and logs.

use types::{B256, Bytes, Log, U256};

use crate::{
    frame::{Frame, Machine},
    interpreter::{Exit, Flow, HaltReason, length},
    spec::{Fork, opcodes},
};

pub(super) fn sload(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let key = frame.stack.pop();
    let value = read(frame, machine, key)?;
    frame.stack.push(value);
    Ok(())
}

/// What a slot of the frame's account holds. The opcode's own price has been paid.
#[inline(always)]
pub(crate) fn read(frame: &mut Frame, machine: &mut Machine<'_, '_>, key: U256) -> Result<U256, Exit> {
    let slot = machine.overlay.load_slot(frame.account, &key)?;
    if machine.rules.has(Fork::Berlin) && machine.overlay.warm_slot(slot) {
        let schedule = machine.schedule();
        frame.charge(schedule.sload_cold - u64::from(schedule.opcode[opcodes::SLOAD as usize]))?;
    }
    Ok(machine.overlay.slot(slot))
}

pub(super) fn sstore(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [key, new] = frame.stack.take();
    write(frame, machine, key, new)
}

/// Writes a slot of the frame's account, all of it paid for here.
///
/// The price of a write depends on three values: what the transaction began with, what is there, what comes. Before
/// net gas (EIP-1283 at Constantinople, EIP-2200 from Istanbul on) only the last two count.
#[inline(always)]
pub(crate) fn write(frame: &mut Frame, machine: &mut Machine<'_, '_>, key: U256, new: U256) -> Flow {
    frame.forbid_static()?;
    let schedule = machine.rules.instructions.schedule();
    if frame.gas <= schedule.sstore_sentry && schedule.sstore_sentry != 0 {
        return Err(HaltReason::OutOfGas.into());
    }
    let slot = machine.overlay.load_slot(frame.account, &key)?;
    if machine.rules.has(Fork::Berlin) && machine.overlay.warm_slot(slot) {
        frame.charge(schedule.sstore_cold)?;
    }
    let (original, current) = (machine.overlay.original(slot), machine.overlay.slot(slot));
    let net = machine.rules.fork == Fork::Constantinople || machine.rules.has(Fork::Istanbul);
    // Without net gas every write is the first.
    let first = !net || original == current;
    let (set, reset, noop) = (schedule.sstore_set, schedule.sstore_reset, schedule.sstore_noop);
    let clear = schedule.sstore_clear_refund as i64;
    let cost = if net && (!first || current == new) {
        noop
    } else if current.is_zero() && !new.is_zero() {
        set
    } else {
        reset
    };
    frame.charge(cost)?;
    let mut refund = 0;
    if first {
        if !current.is_zero() && new.is_zero() {
            refund += clear;
        }
    } else if current != new {
        if !original.is_zero() {
            if current.is_zero() {
                refund -= clear;
            } else if new.is_zero() {
                refund += clear;
            }
        }
        if original == new {
            refund += if original.is_zero() { set } else { reset } as i64 - noop as i64;
        }
    }
    if refund != 0 {
        machine.overlay.refund(refund);
    }
    machine.overlay.set_slot(slot, new);
    Ok(())
}

pub(super) fn tload(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let key = frame.stack.top();
    *key = machine.overlay.transient(frame.account, key);
    Ok(())
}

pub(super) fn tstore(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [key, value] = frame.stack.take();
    frame.forbid_static()?;
    machine.overlay.set_transient(frame.account, key, value);
    Ok(())
}

pub(super) fn log<const N: usize>(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [offset, size] = frame.stack.take();
    let topics: [U256; N] = frame.stack.take();
    frame.forbid_static()?;
    let size = length(size)?;
    frame.charge((size as u64).saturating_mul(machine.schedule().log_byte))?;
    let offset = frame.reach(machine, offset, size)?;
    let data = Bytes::copy_from_slice(frame.memory.slice(offset, size));
    let topics = topics.iter().map(|topic| B256::from(*topic)).collect();
    machine.overlay.log(Log::new_unchecked(frame.message.target, topics, data));
    Ok(())
}
