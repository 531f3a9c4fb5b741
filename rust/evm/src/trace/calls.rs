//! The tree of messages: who called whom, with what, and how it ended.

use types::{Address, Bytes, U256};

use super::{Step, Tracer};
use crate::{
    frame::{FrameResult, Kind, Message, Status},
    interpreter::HaltReason,
    spec::opcodes::CREATE2,
};

/// Messages kept; a transaction at today's limits cannot send half as many.
const CALLS_MAX: usize = 1 << 20;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Index of the message in which it was sent; None for the transaction's own.
    pub parent: Option<usize>,
    /// The opcode that sent it.
    pub kind: &'static str,
    /// Who sent it: whose code was running, and as whom.
    pub from: Address,
    /// Whose code ran; the contract made.
    pub to: Address,
    /// Wei that came along.
    pub value: U256,
    /// Gas that it could use.
    pub gas: u64,
    /// Gas that it used.
    pub gas_used: u64,
    /// Call data, or the code that makes the contract.
    pub input: Bytes,
    /// What it returned, or why it reverted; the code of a contract made.
    pub output: Bytes,
    /// How it ended.
    pub status: Status,
}

/// A tracer that notes messages, in the order in which they began.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    calls: Vec<Call>,
    /// Those that run, outermost first; None: one that was too many.
    open: Vec<Option<usize>>,
    opcode: u8,
}

impl Calls {
    /// What was noted: the transaction's own message first, each before those that it sent.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// What was noted, handed over.
    pub fn into_calls(self) -> Vec<Call> {
        self.calls
    }
}

impl Tracer for Calls {
    fn step(&mut self, step: &Step<'_>) {
        self.opcode = step.opcode;
    }

    fn stepped(&mut self, _: u64, _: Option<HaltReason>) {}

    fn enter(&mut self, message: &Message, _: usize) {
        if self.calls.len() == CALLS_MAX {
            self.open.push(None);
            return;
        }
        let (kind, from, to) = match message.kind {
            Kind::Call => ("CALL", message.caller, message.target),
            Kind::StaticCall => ("STATICCALL", message.caller, message.target),
            Kind::CallCode => ("CALLCODE", message.caller, message.code_from),
            // In the name of its caller's caller; the one that sent it is the one as whom it runs.
            Kind::DelegateCall => ("DELEGATECALL", message.target, message.code_from),
            Kind::Create if self.opcode == CREATE2 => ("CREATE2", message.caller, message.target),
            Kind::Create => ("CREATE", message.caller, message.target),
        };
        let parent = self.open.last().copied().flatten();
        let (gas, input, value) = (message.gas, message.input.clone(), message.value);
        let output = Bytes::new();
        self.open.push(Some(self.calls.len()));
        self.calls.push(Call {
            parent,
            kind,
            from,
            to,
            value,
            gas,
            gas_used: 0,
            input,
            output,
            status: Status::Success,
        });
    }

    fn leave(&mut self, result: &FrameResult, _: usize) {
        if let Some(Some(index)) = self.open.pop() {
            let call = &mut self.calls[index];
            call.gas_used = call.gas.saturating_sub(result.gas_left);
            call.output = result.output.clone();
            call.status = result.status;
        }
    }
}
