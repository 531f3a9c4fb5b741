//! What a transaction would do, without one: calls that change nothing, and how much gas they need.

use evm::{BlockEnv, Executed, Fork, HaltReason, Outcome, Rules, TransactError, transact};
use state::{Overlay, View};
use types::{
    AccessList, Address, Bytes, Recovered, Signature, Transaction, TxKind, U256,
    tx::{TxEip1559, TxEip2930},
};

use crate::{BlockRef, BlockState, CallError, Chain, execute, header};

/// A call that nobody signed. What is not said is the most generous: all the gas there is, at no price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Who calls.
    pub from: Address,
    /// Who is called; None: a contract is created.
    pub to: Option<Address>,
    /// Most gas; None: as much as a transaction may have.
    pub gas_limit: Option<u64>,
    /// Wei per gas; with a price, the caller must be able to pay it. None: free, and BASEFEE is zero.
    pub gas_price: Option<u128>,
    /// Wei moved, which the caller must have.
    pub value: U256,
    /// Call data, or creation code.
    pub input: Bytes,
    /// Addresses and slots that are warm.
    pub access_list: AccessList,
}

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// How it ended; a revert is an outcome.
    pub outcome: Outcome,
    /// As a transaction would have paid for.
    pub gas_used: u64,
}

/// Gas of the cheapest call there is.
const CALL_GAS_MIN: u64 = 21_000;

/// A transaction's gas at most from Osaka on (EIP-7825).
const TRANSACTION_GAS_MAX: u64 = 1 << 24;

impl Chain {
    /// Executes a call on the state after a block, as the last thing in that block.
    ///
    /// # Errors
    /// See [`CallError`]; a revert or halt is no error.
    pub fn call(&self, request: &CallRequest, block: BlockRef) -> Result<Called, CallError> {
        let desk = self.desk(block)?;
        let gas_limit = desk.gas_limit(request);
        let executed = desk.execute(request, gas_limit)?;
        Ok(Called { outcome: executed.outcome, gas_used: executed.gas_used })
    }

    /// The least gas limit with which the call succeeds.
    ///
    /// # Errors
    /// [`CallError::GasExceeded`] where no limit suffices; [`CallError::Unsuccessful`] where it reverts or halts for
    /// another reason with all the gas there is.
    pub fn estimate_gas(&self, request: &CallRequest, block: BlockRef) -> Result<u64, CallError> {
        let desk = self.desk(block)?;
        let allowance = desk.affordable(request)?;
        let most = desk.execute(request, allowance)?;
        match most.outcome {
            Outcome::Success { .. } => {}
            Outcome::Halt { reason: HaltReason::OutOfGas } => return Err(CallError::GasExceeded { allowance }),
            outcome => return Err(CallError::Unsuccessful(outcome)),
        }
        // It fails with less than it used in the end, and succeeds with all: the border lies between.
        let (mut fails, mut succeeds) = (most.gas_used.saturating_sub(1).max(CALL_GAS_MIN - 1), allowance);
        // Most calls need just what they use, plus what refunds gave back and a 64th for calls within.
        let guess = (most.gas_used + most.gas_refunded) * 64 / 63;
        let mut probe = if guess < succeeds { guess } else { fails + (succeeds - fails) / 2 };
        while fails + 1 < succeeds {
            let enough = match desk.execute(request, probe) {
                Ok(executed) => executed.outcome.is_success(),
                Err(CallError::Rejected(_)) => false,
                Err(error) => return Err(error),
            };
            *if enough { &mut succeeds } else { &mut fails } = probe;
            probe = fails + (succeeds - fails) / 2;
        }
        Ok(succeeds)
    }

    fn desk(&self, block: BlockRef) -> Result<Desk, CallError> {
        let state = self.at(block)?;
        let stored = self.block(state.id().into())?;
        let mut header = stored.header.clone();
        if block == BlockRef::Pending {
            // The block that would come next, a second after the head.
            let rules = self.next_rules(header.timestamp + 1);
            header.base_fee_per_gas = header::base_fee(&stored.header, &rules);
            header.excess_blob_gas = header.excess_blob_gas.map(|_| header::excess_blob_gas(&stored.header, &rules));
            header.parent_hash = stored.id.hash;
            header.number += 1;
            header.timestamp += 1;
        }
        let rules = self.spec().rules_merged(header.number, header.timestamp, Some(stored.total_difficulty));
        Ok(Desk { rules, environment: execute::environment(&header, &[]), state })
    }
}

/// Where calls are tried.
struct Desk {
    rules: Rules,
    environment: BlockEnv,
    state: BlockState,
}

impl Desk {
    fn gas_limit(&self, request: &CallRequest) -> u64 {
        let most = if self.rules.has(Fork::Osaka) { TRANSACTION_GAS_MAX } else { u64::MAX };
        let most = most.min(self.environment.gas_limit.max(CALL_GAS_MIN));
        request.gas_limit.unwrap_or(most).min(most)
    }

    /// The most gas that the caller can pay for.
    fn affordable(&self, request: &CallRequest) -> Result<u64, CallError> {
        let limit = self.gas_limit(request);
        let Some(price) = request.gas_price.filter(|price| *price > 0) else { return Ok(limit) };
        let balance = self.state.balance(&request.from)?;
        let for_gas = balance.saturating_sub(request.value) / U256::from(price);
        Ok(u64::try_from(for_gas).unwrap_or(u64::MAX).min(limit))
    }

    fn execute(&self, request: &CallRequest, gas_limit: u64) -> Result<Executed, CallError> {
        let nonce = self.state.account(&request.from)?.unwrap_or_default().nonce;
        let to = request.to.map_or(TxKind::Create, TxKind::Call);
        let CallRequest { value, input, access_list, .. } = request.clone();
        let mut environment = self.environment.clone();
        let price = request.gas_price.unwrap_or_default();
        if price == 0 {
            environment.base_fee = environment.base_fee.map(|_| 0);
        }
        let chain_id = self.rules.chain_id;
        // Nobody signed, and nobody asks: the sender is given.
        let signature = Signature::new(U256::ONE, U256::ONE, false);
        let transaction = if environment.base_fee.is_some() {
            Transaction::from_parts(
                TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: price,
                    to,
                    value,
                    access_list,
                    input,
                },
                signature,
            )
        } else if self.rules.has(Fork::Berlin) {
            let unsigned = TxEip2930 { chain_id, nonce, gas_price: price, gas_limit, to, value, access_list, input };
            Transaction::from_parts(unsigned, signature)
        } else {
            let unsigned = types::tx::TxLegacy { chain_id: None, nonce, gas_price: price, gas_limit, to, value, input };
            Transaction::from_parts(unsigned, signature)
        };
        let mut overlay = Overlay::new(&self.state);
        let called = Recovered::new(transaction, request.from);
        transact(&self.rules, &environment, &called, &mut overlay).map_err(|error| match error {
            TransactError::Rejected(rejection) => CallError::Rejected(rejection),
            TransactError::Fault(evm::Fault::View(error)) => error.into(),
            TransactError::Fault(evm::Fault::Custom(failure)) => CallError::Custom(failure),
        })
    }
}
