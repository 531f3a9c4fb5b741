//! Trying orders on the state after the newest block, as far as it was fetched: the block that would come next.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chain::{
    ViewError,
    evm::{BlockEnv, ChainSpec, Executed, Fork, Outcome},
    exec::call::{CallError, CallRequest, Desk},
    state::{Fetched, FetchedAccount, PartialState, Used},
    types::{Account, B256, Bytes, U256},
};
use orders::{
    chain::Log,
    presim::{Missing, Simulator, Trial, TrialEnd, Tried},
};
use pyo3::prelude::*;

use crate::convert::argument;

/// So many turns a value is carried on that nobody reads.
const TURNS_KEPT: u64 = 8;

/// Most times that wait to be taken.
const TIMES_MAX: usize = 10_000;

/// The newest state, for the engine that tries orders on it and for whoever brings what is missing.
#[derive(Clone)]
pub(crate) struct HeadState(Arc<Mutex<Newest>>);

struct Newest {
    spec: ChainSpec,
    block: B256,
    next: Option<BlockEnv>,
    state: Arc<PartialState>,
    desk: Option<Desk>,
    seconds: Vec<f64>,
}

impl HeadState {
    pub(crate) fn new(spec: ChainSpec) -> Self {
        let state = Arc::default();
        let newest = Newest { spec, block: B256::ZERO, next: None, state, desk: None, seconds: Vec::new() };
        Self(Arc::new(Mutex::new(newest)))
    }

    /// Whose state it is. `next`: the block that calls see; `grown`: of the state before it, this is what has changed.
    pub(crate) fn turn(&self, block: B256, next: BlockEnv, fetched: Fetched, grown: bool) {
        let mut newest = self.held();
        let number = next.number - 1;
        (newest.block, newest.next) = (block, Some(next));
        newest.change(|state| {
            state.set_block_hash(number, block);
            if grown { state.advance(fetched, TURNS_KEPT) } else { state.turn(fetched) }
        });
    }

    /// More of it. False: it is another block's by now.
    pub(crate) fn add(&self, block: &B256, fetched: Fetched) -> bool {
        let mut newest = self.held();
        let same = newest.block == *block;
        if same {
            newest.change(|state| state.add(fetched));
        }
        same
    }

    /// See [`PartialState::used`].
    pub(crate) fn used(&self) -> Used {
        self.held().state.used(TURNS_KEPT)
    }

    /// How long the simulations took since this was last asked.
    pub(crate) fn take_seconds(&self) -> Vec<f64> {
        std::mem::take(&mut self.held().seconds)
    }

    fn held(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newest {
    fn change(&mut self, change: impl FnOnce(&mut PartialState)) {
        // The desk shares the state; without it nobody does.
        self.desk = None;
        change(Arc::get_mut(&mut self.state).expect("only the desk shares it"));
        let state = Arc::clone(&self.state);
        self.desk = self.next.clone().map(|next| Desk::new(&self.spec, next, None, state));
    }

    fn run(&self, trial: &Trial, after: &[(u64, Trial)]) -> Result<Tried, TrialEnd> {
        let desk = self.desk.as_ref().ok_or(TrialEnd::Behind)?;
        let most = desk.block().gas_limit;
        let request = |trial: &Trial| CallRequest {
            from: trial.from,
            to: Some(trial.to),
            gas_limit: Some(trial.gas_limit.min(most)),
            input: Bytes::copy_from_slice(&trial.input),
            ..CallRequest::default()
        };
        let requests: Vec<_> = after.iter().map(|(_, rival)| rival).chain([trial]).map(request).collect();
        let mut done = desk.in_turn(&requests).map_err(|error| self.end(error))?;
        let (executed, diff) = done.pop().ok_or(TrialEnd::Behind)?;
        // Nothing is paid for the gas of a call, so what the producer got is a payment.
        let producer = diff.account(&desk.block().beneficiary);
        let wei = |account: Option<Account>| account.map_or(U256::ZERO, |account| account.balance);
        let paid = producer.map_or(U256::ZERO, |change| wei(change.after).saturating_sub(wei(change.before)));
        Ok(tried(self.block, executed, u128::try_from(paid).unwrap_or(u128::MAX)))
    }

    fn end(&self, error: CallError) -> TrialEnd {
        match error {
            CallError::View(ViewError::Missing { accounts, slots }) => {
                TrialEnd::Missing(Missing { block: self.block, accounts, slots })
            }
            error => TrialEnd::Unable(error.to_string()),
        }
    }
}

fn tried(block: B256, executed: Executed, payment: u128) -> Tried {
    let Executed { outcome, gas_used, gas_refunded, logs, .. } = executed;
    let (success, output) = match outcome {
        Outcome::Success { output, .. } => (true, output.to_vec()),
        Outcome::Revert { output } => (false, output.to_vec()),
        Outcome::Halt { .. } => (false, Vec::new()),
    };
    let log = |(index, log): (usize, chain::types::Log)| Log {
        address: log.address,
        topics: log.topics().to_vec(),
        data: log.data.data.to_vec(),
        index: index as u32,
    };
    let logs = logs.into_iter().enumerate().map(log).collect();
    Tried { block, success, gas: gas_used, peak: gas_used + gas_refunded, output, logs, payment }
}

/// Address, nonce, balance, code; None: the code that it had.
pub(crate) type AccountRow<'py> = (Bound<'py, PyAny>, u64, Bound<'py, PyAny>, Option<Vec<u8>>);

/// Accounts, and whether their code is wanted; slots.
pub(crate) type UsedRows = (Vec<(String, bool)>, Vec<(String, String)>);

/// Address, slot, value.
pub(crate) type SlotRow<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

pub(crate) fn fetched(accounts: Vec<AccountRow<'_>>, slots: Vec<SlotRow<'_>>) -> PyResult<Fetched> {
    let account = |(address, nonce, balance, code): AccountRow<'_>| {
        let address = argument("address", &address).address()?;
        let balance = argument("balance", &balance).u256()?;
        Ok(FetchedAccount { address, nonce, balance, code: code.map(Into::into) })
    };
    let slot = |(address, slot, value): SlotRow<'_>| {
        let word = |name, value| argument(name, value).word().map(|word| U256::from_be_bytes(word.0));
        Ok((argument("address", &address).address()?, word("slot", &slot)?, word("value", &value)?))
    };
    let accounts = accounts.into_iter().map(account).collect::<PyResult<_>>()?;
    Ok(Fetched { accounts, slots: slots.into_iter().map(slot).collect::<PyResult<_>>()? })
}

/// Ethereum's rules change with time; other chains follow one fork, the newest where none is named.
pub(crate) fn rules_of(chain_id: u64, fork: Option<Fork>) -> ChainSpec {
    match fork {
        None if chain_id == 1 => ChainSpec::mainnet(),
        fork => ChainSpec::at(chain_id, fork.unwrap_or(Fork::ALL[Fork::ALL.len() - 1])),
    }
}

impl Simulator for HeadState {
    fn simulate(&mut self, block: &B256, trial: &Trial, after: &[(u64, Trial)]) -> TrialEnd {
        let mut newest = self.held();
        if newest.block != *block {
            return TrialEnd::Behind;
        }
        let began = Instant::now();
        let tried = newest.run(trial, after);
        if tried.is_ok() && newest.seconds.len() < TIMES_MAX {
            newest.seconds.push(began.elapsed().as_secs_f64());
        }
        tried.map_or_else(|end| end, TrialEnd::Done)
    }
}
