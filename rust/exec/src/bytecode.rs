//! Code alone, without a chain around it: it stands at an address, somebody calls it with all the ether there is, and it
//! is told what happened. Gas counts as a transaction's, what it costs to be one included.

use std::sync::Arc;

use evm::{BlockEnv, ChainSpec, Executed, Fork, Tracer};
use state::MemoryState;
use types::{Address, Bytes, U256};

use crate::call::{CallError, CallRequest, Desk};

/// Where the code stands.
pub const RECEIVER: Address = Address::repeat_byte(0xcc);

/// Who calls it.
pub const SENDER: Address = Address::repeat_byte(0xaa);

/// Gas of a call that says nothing about it.
pub const GAS: u64 = 30_000_000;

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytecode {
    /// The code, or with `create` what makes it.
    pub code: Bytes,
    /// Call data.
    pub input: Bytes,
    /// Wei sent along.
    pub value: U256,
    /// Most gas.
    pub gas: Option<u64>,
    /// The rules.
    pub fork: Fork,
    /// Creation code, run as such, with the input behind it.
    pub create: bool,
}

impl Bytecode {
    /// Runs it, in the sight of a tracer if there is one.
    ///
    /// # Errors
    /// [`CallError`] where no transaction could do that; a revert or halt is none.
    pub fn run(&self, tracer: Option<&mut dyn Tracer>) -> Result<Executed, CallError> {
        let mut state = MemoryState::default();
        state.insert(SENDER, 0, U256::MAX >> 1, Bytes::new());
        let gas_limit = self.gas.unwrap_or(GAS);
        let (to, input) = if self.create {
            (None, [&self.code[..], &self.input].concat().into())
        } else {
            state.insert(RECEIVER, 1, U256::ZERO, self.code.clone());
            (Some(RECEIVER), self.input.clone())
        };
        let block = BlockEnv {
            number: 1,
            timestamp: 1,
            gas_limit: gas_limit.max(GAS),
            base_fee: (self.fork >= Fork::London).then_some(0),
            excess_blob_gas: (self.fork >= Fork::Cancun).then_some(0),
            ..BlockEnv::default()
        };
        let desk = Desk::new(&ChainSpec::at(1, self.fork), block, None, Arc::new(state));
        let request = CallRequest {
            from: SENDER,
            to,
            gas_limit: Some(gas_limit),
            value: self.value,
            input,
            ..CallRequest::default()
        };
        match tracer {
            Some(tracer) => desk.trace_call(&request, tracer).map(|(executed, _)| executed),
            None => desk.call(&request),
        }
    }
}

#[cfg(test)]
mod tests {
    use evm::{
        HaltReason, Outcome,
        trace::{Lines, Shown},
    };
    use types::primitives::hex;

    use super::*;

    fn run(code: &[u8], fork: Fork) -> Executed {
        Bytecode { code: Bytes::copy_from_slice(code), fork, ..Bytecode::default() }.run(None).unwrap()
    }

    #[test]
    fn code_answers_reverts_or_breaks_a_rule() {
        // PUSH1 42, PUSH1 0, MSTORE, PUSH1 32, PUSH1 0, and then RETURN or REVERT.
        let ends = |end: u8| [&hex!("602a60005260206000")[..], &[end]].concat();
        let word = Bytes::from(U256::from(42).to_be_bytes_vec());
        let executed = run(&ends(0xf3), Fork::Osaka);
        assert_eq!(executed.outcome, Outcome::Success { output: word.clone(), created: None });
        assert_eq!(executed.gas_used, 21_000 + 6 * 3);
        assert_eq!(run(&ends(0xfd), Fork::Osaka).outcome, Outcome::Revert { output: word });
        assert_eq!(
            run(&ends(0xfd), Fork::Homestead).outcome,
            Outcome::Halt { reason: HaltReason::InvalidOpcode(0xfd) }
        );
    }

    #[test]
    fn creation_code_makes_a_contract() {
        let code = hex!("60016000f3").into();
        let executed = Bytecode { code, create: true, ..Bytecode::default() }.run(None).unwrap();
        let created = Some(SENDER.create(0));
        assert_eq!(executed.outcome, Outcome::Success { output: Bytes::from_static(&[0]), created });
    }

    #[test]
    fn gas_below_what_a_transaction_costs_is_refused_and_steps_are_told() {
        let code: Bytes = hex!("6001600101").into();
        let with = |gas| Bytecode { code: code.clone(), gas: Some(gas), ..Bytecode::default() };
        assert!(matches!(with(20_999).run(None), Err(CallError::Rejected(_))));
        assert_eq!(with(21_008).run(None).unwrap().outcome, Outcome::Halt { reason: HaltReason::OutOfGas });
        let mut steps = 0;
        let mut lines = Lines::new(Shown::default(), |_: &str| steps += 1);
        assert!(with(21_009).run(Some(&mut lines)).unwrap().outcome.is_success());
        assert!(steps >= 3, "{steps}");
    }
}
