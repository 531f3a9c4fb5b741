//! Calls that nobody signed, tried on a state and thrown away: what they would do, how much gas they need, what they
//! touch. Execution's own rules decide; what does not hold for a call are the limits on a transaction's gas, and that
//! its sender has no code.
//!
//! A [`Desk`] is where calls are tried: rules, a block, and the state after it, each with what somebody wants to be
//! different ([`StateOverrides`], [`BlockOverrides`]). Nothing done at a desk changes anything, so one desk serves any
//! number of threads.

mod access_list;
mod batch;
mod estimate;
mod overrides;
mod request;

use std::sync::Arc;

use evm::{
    BlockEnv, ChainSpec, CustomFailure, Executed, Fault, Fork, Outcome, Rejection, Rules, Tracer, TransactError,
    transact,
};
use state::{Overlay, StateDiff, Stop, Stopped, View, ViewError};
use types::{Account, Address, B256, Bytes, Recovered, U256};

use crate::spare;

pub use access_list::AccessListed;
pub use batch::{Alike, Calls, Columns, REASONS};
pub use overrides::{AccountOverride, BlockOverrides, OverrideError, StateOverrides};
pub use request::CallRequest;

/// Why a call has no outcome. A revert is an outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No transaction like this could be executed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// With all the gas there is it reverts, or halts for a reason that more gas would not mend.
    #[error("the call fails whatever its gas: {0:?}")]
    Unsuccessful(Outcome),
    /// There is no gas limit with which it would succeed.
    #[error("gas required exceeds allowance ({allowance})")]
    GasExceeded {
        /// The most gas that was tried.
        allowance: u64,
    },
    /// An opcode or precompile of the chain's own failed.
    #[error(transparent)]
    Custom(#[from] CustomFailure),
    /// The state cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
}

impl From<Fault> for CallError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::View(error) => error.into(),
            Fault::Custom(failure) => failure.into(),
        }
    }
}

impl From<TransactError> for CallError {
    fn from(error: TransactError) -> Self {
        match error {
            TransactError::Rejected(rejection) => rejection.into(),
            TransactError::Fault(fault) => fault.into(),
        }
    }
}

/// Where calls are tried. See the module's head.
#[derive(Clone)]
pub struct Desk {
    rules: Rules,
    block: BlockEnv,
    /// The same block, in which nothing is paid: what calls see that pay nothing.
    free: BlockEnv,
    state: Arc<dyn View>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("rules", &self.rules).field("block", &self.block).finish_non_exhaustive()
    }
}

impl Desk {
    /// Over a state, as the last thing in a block. `total_difficulty` is that of the block's parent, which says
    /// whether the merge has happened where nothing else does.
    pub fn new(spec: &ChainSpec, block: BlockEnv, total_difficulty: Option<U256>, state: Arc<dyn View>) -> Self {
        let rules = spec.rules_merged(block.number, block.timestamp, total_difficulty);
        let free = BlockEnv { base_fee: block.base_fee.map(|_| 0), ..block.clone() };
        Self { rules, block, free, state }
    }

    /// The same with accounts as somebody wants them.
    ///
    /// # Errors
    /// What is wanted contradicts itself.
    pub fn with_state(mut self, overrides: &StateOverrides) -> Result<Self, OverrideError> {
        if !overrides.is_empty() {
            self.rules = overrides.rules(self.rules)?;
            self.state = Arc::new(overrides.over(self.state)?);
        }
        Ok(self)
    }

    /// The rules that hold.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The block that calls see.
    pub fn block(&self) -> &BlockEnv {
        &self.block
    }

    /// What the call does.
    ///
    /// # Errors
    /// See [`CallError`]; a revert or halt is no error.
    pub fn call(&self, request: &CallRequest) -> Result<Executed, CallError> {
        self.over(|overlay| self.run(request, self.gas_limit(request), overlay, None))
    }

    /// What the call does, and what it would change.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call_with_diff(&self, request: &CallRequest) -> Result<(Executed, StateDiff), CallError> {
        self.watched(request, None)
    }

    /// What each call does after those before it, and what it would change.
    ///
    /// # Errors
    /// See [`CallError`]; the first call that has no outcome ends them all.
    pub fn in_turn(&self, requests: &[CallRequest]) -> Result<Vec<(Executed, StateDiff)>, CallError> {
        self.over(|overlay| {
            let one = |request: &CallRequest| {
                let executed = self.run(request, self.gas_limit(request), overlay, None)?;
                Ok((executed, overlay.transaction_diff()))
            };
            requests.iter().map(one).collect()
        })
    }

    /// The same in the sight of a tracer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn trace_call(
        &self,
        request: &CallRequest,
        tracer: &mut dyn Tracer,
    ) -> Result<(Executed, StateDiff), CallError> {
        self.watched(request, Some(tracer))
    }

    /// What a transaction would do, with all that a block asks of one.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn transact(
        &self,
        transaction: &Recovered,
        tracer: Option<&mut dyn Tracer>,
    ) -> Result<(Executed, StateDiff), CallError> {
        let Self { rules, block, .. } = self;
        self.over(|overlay| {
            let executed = match tracer {
                Some(tracer) => transact::trace(rules, block, transaction, overlay, tracer)?,
                None => transact::transact(rules, block, transaction, overlay)?,
            };
            Ok((executed, overlay.transaction_diff()))
        })
    }

    /// The transaction that this request would be, as if its sender had signed it; where nothing is said, with the
    /// sender's next nonce and the most gas that a transaction may have.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn unsigned(&self, request: &CallRequest, nonce: Option<u64>) -> Result<Recovered, CallError> {
        let most = if self.rules.has(Fork::Osaka) { transact::validate::GAS_LIMIT_MAX } else { u64::MAX };
        let gas_limit = request.gas_limit.unwrap_or(self.block.gas_limit.min(most));
        let held = self.state.account(&request.from)?.unwrap_or_default().nonce;
        let transaction = request.transaction(&self.rules, &self.block, nonce.unwrap_or(held), gas_limit);
        Ok(Recovered::new(transaction, request.from))
    }

    fn watched(
        &self,
        request: &CallRequest,
        tracer: Option<&mut dyn Tracer>,
    ) -> Result<(Executed, StateDiff), CallError> {
        let gas_limit = self.gas_limit(request);
        self.over(|overlay| {
            let executed = self.run(request, gas_limit, overlay, tracer)?;
            Ok((executed, overlay.transaction_diff()))
        })
    }

    /// Lends an overlay of the state.
    fn over<T>(&self, work: impl FnOnce(&mut Overlay<'_>) -> Result<T, CallError>) -> Result<T, CallError> {
        let state = Stoppable::of_current(&*self.state);
        let mut overlay = spare::take(&state);
        let done = work(&mut overlay);
        spare::put(overlay);
        done
    }

    /// One call on an overlay, which holds what it changed until [`Overlay::abandon`] or the next one begins.
    fn run(
        &self,
        request: &CallRequest,
        gas_limit: u64,
        overlay: &mut Overlay<'_>,
        tracer: Option<&mut dyn Tracer>,
    ) -> Result<Executed, CallError> {
        let sender = overlay.load(&request.from)?;
        let nonce = overlay.nonce(sender);
        let block = if request.is_free() { &self.free } else { &self.block };
        let call = Recovered::new(request.transaction(&self.rules, block, nonce, gas_limit), request.from);
        Ok(transact::call(&self.rules, block, &call, overlay, tracer)?)
    }

    /// What the call may use: what it says, or what the block has.
    fn gas_limit(&self, request: &CallRequest) -> u64 {
        request.gas_limit.unwrap_or(self.block.gas_limit)
    }
}

/// A state that is read for as long as the work goes on that asked for it: a desk is older than its calls.
struct Stoppable<'v> {
    state: &'v dyn View,
    stop: Stop,
}

impl<'v> Stoppable<'v> {
    fn of_current(state: &'v dyn View) -> Self {
        Self { state, stop: Stop::current() }
    }
}

impl View for Stoppable<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        self.state.account(address)
    }
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        self.state.storage(address, slot)
    }
    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        self.state.code(hash)
    }
    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        self.state.block_hash(number)
    }
    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        self.state.slots(address)
    }
    fn has_storage(&self, address: &Address) -> Result<bool, ViewError> {
        self.state.has_storage(address)
    }
    fn check(&self) -> Result<(), Stopped> {
        self.stop.check()?;
        self.state.check()
    }
}
