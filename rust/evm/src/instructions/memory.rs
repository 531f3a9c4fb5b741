//! Reading, writing, copying and hashing memory.

use types::{U256, keccak256};

use crate::{
    frame::{Frame, Machine},
    interpreter::{Flow, HaltReason, hashes, length},
};

#[inline(always)]
pub(super) fn mload(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let offset = *frame.stack.top();
    let offset = frame.reach(machine, offset, 32)?;
    *frame.stack.top() = frame.memory.word(offset);
    Ok(())
}

#[inline(always)]
pub(super) fn mstore(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [offset, word] = frame.stack.take();
    let offset = frame.reach(machine, offset, 32)?;
    frame.memory.set_word(offset, word);
    Ok(())
}

#[inline(always)]
pub(super) fn mstore8(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [offset, word] = frame.stack.take();
    let offset = frame.reach(machine, offset, 1)?;
    frame.memory.set_byte(offset, word.byte(0));
    Ok(())
}

#[inline(always)]
pub(super) fn msize(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    frame.stack.push(U256::from(frame.memory.len()));
    Ok(())
}

pub(super) fn mcopy(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [to, from, size] = frame.stack.take();
    let size = length(size)?;
    frame.charge_words(machine.schedule().copy_word, size)?;
    // The farther end decides the size; the nearer one is then within it.
    frame.reach(machine, to.max(from), size)?;
    let to = frame.reach(machine, to, size)?;
    let from = frame.reach(machine, from, size)?;
    frame.memory.copy_within(to, from, size);
    Ok(())
}

pub(super) fn hash(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [offset, size] = frame.stack.take();
    let size = length(size)?;
    frame.charge_words(machine.schedule().keccak_word, size)?;
    let offset = frame.reach(machine, offset, size)?;
    let input = frame.memory.slice(offset, size);
    let hash = match input.try_into() {
        Ok(words) => hashes::of_two_words(words),
        Err(_) => keccak256(input),
    };
    frame.stack.push(hash.into());
    Ok(())
}

pub(super) fn calldatacopy(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let (to, from, size) = frame.copy_target(machine)?;
    frame.memory.copy_padded(to, &frame.message.input, from, size);
    Ok(())
}

pub(super) fn codecopy(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let (to, from, size) = frame.copy_target(machine)?;
    frame.memory.copy_padded(to, &frame.code.bytes, from, size);
    Ok(())
}

pub(super) fn extcodecopy(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let address = frame.stack.pop();
    let (to, from, size) = frame.copy_target(machine)?;
    let account = frame.access(machine, address)?;
    let code = machine.overlay.code(account)?;
    frame.memory.copy_padded(to, &code, from, size);
    Ok(())
}

/// The one copy that does not pad: past the end it halts (EIP-211).
pub(super) fn returndatacopy(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let (to, from, size) = frame.copy_target(machine)?;
    let end = usize::try_from(from).ok().and_then(|from| from.checked_add(size));
    if end.is_none_or(|end| end > frame.returned.len()) {
        return Err(HaltReason::ReturnDataOutOfBounds.into());
    }
    frame.memory.copy_padded(to, &frame.returned, from, size);
    Ok(())
}
