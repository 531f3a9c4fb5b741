//! One transaction that calls a contract, on both sides: an answer to compare, then a race.

use std::{sync::Arc, time::Duration};

use evm::{
    BlockEnv, ChainSpec, Fork, GasSchedule, Instructions, Outcome, Rules, transact, transact::validate::GAS_LIMIT_MAX,
};
use revm::{
    ExecuteEvm, MainnetEvm,
    context::{
        TxEnv,
        result::{ExecutionResult, Output},
    },
    handler::MainnetContext,
};
use state::{MemoryState, Overlay};
use types::{Address, Bytes, Recovered, Signature, Transaction, TxKind, U256, keccak256, tx::TxLegacy};

use crate::{
    rival,
    row::{race, worked},
};

/// The contract that is called.
pub const CONTRACT: Address = Address::repeat_byte(0xc0);

const CALLER: Address = Address::repeat_byte(0xca);

/// Gas of the call, on a fork without a cap.
const GAS: u64 = 1 << 40;

/// A call, prepared for both.
pub struct Call {
    rules: Rules,
    env: BlockEnv,
    state: MemoryState,
    tx: Recovered,
    their_tx: TxEnv,
    their_machine: MainnetEvm<MainnetContext<rival::Database>>,
}

impl Call {
    /// A call of `code` at [`CONTRACT`], over what else there is.
    pub fn new(fork: Fork, mut state: MemoryState, code: Bytes, input: Bytes) -> Self {
        state.insert(CONTRACT, 1, U256::from(1_000), code);
        state.insert(CALLER, 0, U256::from(10_u64.pow(18)), Bytes::new());
        state.block_hashes.insert(999, keccak256("the block before"));
        let mut rules = ChainSpec::at(1, fork).rules(1, 1);
        // Of its own, so that no case finds the code of another.
        rules.instructions = Arc::new(Instructions::new(fork, GasSchedule::of(fork).clone()));
        let gas_limit = if fork < Fork::Osaka { GAS } else { GAS_LIMIT_MAX };
        let env = BlockEnv {
            number: 1_000,
            timestamp: 1,
            gas_limit,
            base_fee: Some(0),
            excess_blob_gas: Some(0),
            ..BlockEnv::default()
        };
        let tx = TxLegacy { chain_id: Some(1), gas_limit, to: TxKind::Call(CONTRACT), input, ..TxLegacy::default() };
        let tx = Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), CALLER);
        let their_machine = rival::machine(&rules, &env, rival::database(&state));
        Self { their_tx: rival::transaction(&tx), rules, env, state, tx, their_machine }
    }

    /// Whether both come to the same end, with the same gas.
    pub fn agrees(&mut self) -> Result<(), String> {
        // Once before: from the second run on, code is analysed.
        for _ in 0..2 {
            let ours = self.ours().1;
            let theirs = self.theirs().1;
            if ours != theirs {
                return Err(format!("{ours:?} here, {theirs:?} there"));
            }
            if ours.0.is_none() {
                return Err("the call failed".into());
            }
        }
        Ok(())
    }

    /// The least time of each side: ours, theirs.
    pub fn race(self) -> [Duration; 2] {
        // The sides take turns; each needs the call for itself.
        let call = std::cell::RefCell::new(self);
        race([&mut || call.borrow().ours().0, &mut || call.borrow_mut().theirs().0])
    }

    fn ours(&self) -> (Duration, (Option<Bytes>, u64)) {
        let (time, executed) = worked(|| {
            let mut overlay = Overlay::new(&self.state);
            transact(&self.rules, &self.env, &self.tx, &mut overlay).expect("a valid transaction")
        });
        let output = match executed.outcome {
            Outcome::Success { output, .. } => Some(output),
            _ => None,
        };
        (time, (output, executed.gas_used))
    }

    fn theirs(&mut self) -> (Duration, (Option<Bytes>, u64)) {
        let tx = self.their_tx.clone();
        let (time, done) = worked(|| self.their_machine.transact(tx).expect("a valid transaction"));
        let gas_used = done.result.tx_gas_used();
        let output = match done.result {
            ExecutionResult::Success { output: Output::Call(output), .. } => Some(output),
            _ => None,
        };
        (time, (output, gas_used))
    }
}
