//! What a frame can ask about itself, its transaction, its block and other accounts.

use types::{Address, B256, U256};

use crate::{
    frame::{Frame, Machine},
    interpreter::Flow,
    spec::Fork,
};

/// Blocks back that BLOCKHASH knows.
const BLOCK_HASHES: u64 = 256;

#[inline(always)]
fn word(address: Address) -> U256 {
    U256::from_be_bytes(address.into_word().0)
}

#[inline(always)]
fn push(frame: &mut Frame, word: U256) -> Flow {
    frame.stack.push(word);
    Ok(())
}

#[inline(always)]
pub(super) fn address(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    push(frame, word(frame.message.target))
}

#[inline(always)]
pub(super) fn origin(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    push(frame, word(machine.origin))
}

#[inline(always)]
pub(super) fn caller(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    push(frame, word(frame.message.caller))
}

#[inline(always)]
pub(super) fn callvalue(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    push(frame, frame.message.value)
}

#[inline(always)]
pub(super) fn calldataload(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    let input = &frame.message.input;
    let offset = frame.stack.top();
    let rest = usize::try_from(*offset).ok().and_then(|offset| input.get(offset..)).unwrap_or_default();
    *offset = match rest.first_chunk::<32>() {
        Some(word) => U256::from_be_bytes(*word),
        None => {
            let mut word = [0; 32];
            word[..rest.len()].copy_from_slice(rest);
            U256::from_be_bytes(word)
        }
    };
    Ok(())
}

#[inline(always)]
pub(super) fn calldatasize(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    push(frame, U256::from(frame.message.input.len()))
}

#[inline(always)]
pub(super) fn codesize(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    push(frame, U256::from(frame.code.bytes.len()))
}

#[inline(always)]
pub(super) fn gasprice(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    push(frame, machine.gas_price)
}

#[inline(always)]
pub(super) fn returndatasize(frame: &mut Frame, _: &mut Machine<'_, '_>) -> Flow {
    push(frame, U256::from(frame.returned.len()))
}

pub(super) fn balance(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let address = frame.stack.pop();
    let account = frame.access(machine, address)?;
    push(frame, machine.overlay.balance(account))
}

pub(super) fn extcodesize(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let address = frame.stack.pop();
    let account = frame.access(machine, address)?;
    let size = machine.overlay.code(account)?.len();
    push(frame, U256::from(size))
}

/// Zero for an account that is not there, or empty (EIP-1052).
pub(super) fn extcodehash(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let address = frame.stack.pop();
    let account = frame.access(machine, address)?;
    let overlay = &machine.overlay;
    push(frame, if overlay.is_empty(account) { U256::ZERO } else { overlay.code_hash(account).into() })
}

pub(super) fn selfbalance(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    push(frame, machine.overlay.balance(frame.account))
}

/// Zero unless it is one of the 256 blocks before this one.
pub(super) fn blockhash(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let wanted = u64::try_from(frame.stack.pop()).unwrap_or(u64::MAX);
    let number = machine.block.number;
    let known = wanted < number && number - wanted <= BLOCK_HASHES;
    let hash = if known { machine.overlay.block_hash(wanted)? } else { B256::ZERO };
    push(frame, hash.into())
}

#[inline(always)]
pub(super) fn coinbase(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    push(frame, word(machine.block.beneficiary))
}

#[inline(always)]
pub(super) fn timestamp(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    push(frame, U256::from(machine.block.timestamp))
}

#[inline(always)]
pub(super) fn number(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    push(frame, U256::from(machine.block.number))
}

/// Before the merge this byte is DIFFICULTY.
#[inline(always)]
pub(super) fn prevrandao(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let block = machine.block;
    push(frame, if machine.rules.has(Fork::Paris) { block.prev_randao.into() } else { block.difficulty })
}

#[inline(always)]
pub(super) fn gaslimit(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    push(frame, U256::from(machine.block.gas_limit))
}

#[inline(always)]
pub(super) fn chainid(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    push(frame, U256::from(machine.rules.chain_id))
}

#[inline(always)]
pub(super) fn basefee(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    push(frame, U256::from(machine.block.base_fee.unwrap_or_default()))
}

pub(super) fn blobhash(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let index = frame.stack.top();
    let hash = usize::try_from(*index).ok().and_then(|index| machine.blob_hashes.get(index));
    *index = hash.copied().unwrap_or_default().into();
    Ok(())
}

pub(super) fn blobbasefee(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    push(frame, U256::from(machine.rules.blob_base_fee(machine.block)))
}
