//! Calls, creations and self-destruction: operations that reach other accounts.
//!
//! None of them runs anything itself: a call or creation leaves its message in the frame and suspends the loop;
//! `frame` runs the message and resumes this one with the result.

use std::sync::Arc;

use types::{Address, Bytes, U256, keccak256};

use crate::{
    analysis::Code,
    frame::{Frame, Kind, Machine, Message, Parties},
    interpreter::{Exit, Flow, HaltReason, length},
    spec::Fork,
};

/// Most bytes of creation code, from Shanghai on (EIP-3860).
pub(crate) const INITCODE_LIMIT: usize = 49_152;

/// EIP-150: a frame keeps at least one part in 64 of its gas.
#[inline]
fn all_but_one_64th(gas: u64) -> u64 {
    gas - gas / 64
}

pub(super) fn call(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [gas, to, value] = frame.stack.take();
    if !value.is_zero() {
        frame.forbid_static()?;
    }
    enter(frame, machine, Kind::Call, gas, to, value)
}

pub(super) fn callcode(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [gas, to, value] = frame.stack.take();
    enter(frame, machine, Kind::CallCode, gas, to, value)
}

pub(super) fn delegatecall(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [gas, to] = frame.stack.take();
    enter(frame, machine, Kind::DelegateCall, gas, to, U256::ZERO)
}

pub(super) fn staticcall(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [gas, to] = frame.stack.take();
    enter(frame, machine, Kind::StaticCall, gas, to, U256::ZERO)
}

/// What the four calls have in common: pay, split the gas, leave the message.
fn enter(frame: &mut Frame, machine: &mut Machine<'_, '_>, kind: Kind, requested: U256, to: U256, value: U256) -> Flow {
    let [input_offset, input_size, output_offset, output_size] = frame.stack.take();
    let (input_size, output_size) = (length(input_size)?, length(output_size)?);
    let input_offset = frame.reach(machine, input_offset, input_size)?;
    let output_offset = frame.reach(machine, output_offset, output_size)?;
    let code_account = frame.access(machine, to)?;
    let (code, delegate) = machine.running_code(code_account)?;
    if let Some(delegate) = delegate {
        let schedule = machine.rules.instructions.schedule();
        frame.charge(if machine.warm(delegate) { schedule.account_cold } else { schedule.account_warm })?;
    }
    let schedule = machine.rules.instructions.schedule();
    let mut stipend = 0;
    if !value.is_zero() {
        frame.charge(schedule.call_value)?;
        stipend = schedule.call_stipend;
    }
    if kind == Kind::Call {
        let makes_account = if machine.rules.has(Fork::SpuriousDragon) {
            !value.is_zero() && machine.overlay.is_empty(code_account)
        } else {
            !machine.overlay.exists(code_account)
        };
        if makes_account {
            frame.charge(schedule.call_new_account)?;
        }
    }
    let mut gas = u64::try_from(requested).unwrap_or(u64::MAX);
    if machine.rules.has(Fork::Tangerine) {
        gas = gas.min(all_but_one_64th(frame.gas));
    }
    frame.charge(gas)?;
    let to = Address::from_word(to.into());
    let this = &frame.message;
    let message = Message {
        kind,
        is_static: this.is_static || kind == Kind::StaticCall,
        caller: if kind == Kind::DelegateCall { this.caller } else { this.target },
        target: if matches!(kind, Kind::Call | Kind::StaticCall) { to } else { this.target },
        code_from: to,
        value: if kind == Kind::DelegateCall { this.value } else { value },
        input: Bytes::copy_from_slice(frame.memory.slice(input_offset, input_size)),
        gas: gas.saturating_add(stipend),
    };
    let target = if message.target == to { code_account } else { frame.account };
    let parties = Parties { caller: frame.account, target, code };
    frame.wait_for(message, parties, (output_offset, output_size))
}

pub(super) fn create(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [value, offset, size] = frame.stack.take();
    found(frame, machine, value, offset, size, None)
}

pub(super) fn create2(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let [value, offset, size, salt] = frame.stack.take();
    found(frame, machine, value, offset, size, Some(salt))
}

/// What the two creations have in common. With a salt the address follows from the code, and hashing it is paid for.
fn found(
    frame: &mut Frame,
    machine: &mut Machine<'_, '_>,
    value: U256,
    offset: U256,
    size: U256,
    salt: Option<U256>,
) -> Flow {
    frame.forbid_static()?;
    let size = length(size)?;
    if machine.rules.has(Fork::Shanghai) && size > INITCODE_LIMIT {
        return Err(HaltReason::InitcodeTooLarge.into());
    }
    let schedule = machine.rules.instructions.schedule();
    frame.charge_words(schedule.initcode_word, size)?;
    if salt.is_some() {
        frame.charge_words(schedule.keccak_word, size)?;
    }
    let code = frame.read(machine, offset, U256::from(size))?;
    frame.returned = Bytes::new();
    let nonce = machine.overlay.nonce(frame.account);
    let affordable = value.is_zero() || machine.overlay.balance(frame.account) >= value;
    let possible = affordable && nonce != u64::MAX && machine.has_room(frame);
    if !possible {
        frame.stack.push(U256::ZERO);
        return Ok(());
    }
    let gas = if machine.rules.has(Fork::Tangerine) { all_but_one_64th(frame.gas) } else { frame.gas };
    frame.charge(gas)?;
    let creator = frame.message.target;
    let target = match salt {
        Some(salt) => creator.create2(salt.to_be_bytes::<32>(), keccak256(&code)),
        None => creator.create(nonce),
    };
    machine.overlay.set_nonce(frame.account, nonce + 1);
    let message = Message {
        kind: Kind::Create,
        is_static: false,
        caller: creator,
        target,
        code_from: target,
        value,
        input: code.clone(),
        gas,
    };
    let target = machine.overlay.load(&target)?;
    let parties = Parties { caller: frame.account, target, code: Arc::new(Code::new(code)) };
    frame.wait_for(message, parties, (0, 0))
}

/// The balance goes to the heir; the account goes with the transaction, from Cancun on only if the transaction made it
/// (EIP-6780).
pub(super) fn selfdestruct(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let heir = frame.stack.pop();
    frame.forbid_static()?;
    let schedule = machine.rules.instructions.schedule();
    let heir = machine.overlay.load(&Address::from_word(heir.into()))?;
    if machine.rules.has(Fork::Berlin) && machine.warm(heir) {
        frame.charge(schedule.account_cold)?;
    }
    let balance = machine.overlay.balance(frame.account);
    let makes_account = if machine.rules.has(Fork::SpuriousDragon) {
        !balance.is_zero() && machine.overlay.is_empty(heir)
    } else {
        !machine.overlay.exists(heir)
    };
    if makes_account {
        frame.charge(schedule.selfdestruct_new_account)?;
    }
    let overlay = &mut machine.overlay;
    let dies = !machine.rules.has(Fork::Cancun) || overlay.is_created(frame.account);
    if heir != frame.account {
        overlay.transfer(frame.account, heir, balance);
    } else if dies {
        // Whoever leaves everything to itself leaves it to nobody.
        overlay.burn(frame.account, balance);
    }
    if dies && overlay.destroy(frame.account) {
        overlay.refund(schedule.selfdestruct_refund as i64);
    }
    frame.output = Bytes::new();
    Err(Exit::Return)
}
