//! Which accounts and slots a call touches, as an access list that would pay for them in advance.

use std::collections::{BTreeMap, BTreeSet};

use evm::{
    Executed, HaltReason, Tracer,
    spec::opcodes::{self as op},
    trace::Step,
};
use types::{AccessList, AccessListItem, Address, B256, U256};

use super::{CallError, CallRequest, Desk};

/// Runs with a longer and longer list until nothing is added. What a call touches can depend on the gas it has left, so
/// that a list may never be the last one; no known contract needs a third round.
const ROUNDS_MAX: usize = 32;

/// A list, and the call that had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessListed {
    /// Ascending. Sender, recipient and precompiles are in it only with slots: they are warm anyway.
    pub access_list: AccessList,
    /// How the call went with it, whatever the outcome.
    pub executed: Executed,
}

impl Desk {
    /// The access list that covers all that the call touches beside what is warm anyway, with the call that had it.
    ///
    /// # Errors
    /// See [`CallError`]; a revert or halt is no error.
    pub fn access_list(&self, request: &CallRequest) -> Result<AccessListed, CallError> {
        let mut request = request.clone();
        let mut warm: BTreeSet<Address> = evm::precompiles::addresses(&self.rules).copied().collect();
        warm.insert(request.from);
        match request.to {
            Some(to) => warm.insert(to),
            None => {
                let nonce = self.state.account(&request.from)?.unwrap_or_default().nonce;
                warm.insert(request.from.create(nonce))
            }
        };
        warm.extend(request.authorizations.iter().filter_map(|signed| signed.recover_authority().ok()));
        let mut round = 0;
        loop {
            let mut touched = Touched::new(&warm, &request.access_list);
            let (executed, _) = self.trace_call(&request, &mut touched)?;
            let access_list = touched.list();
            round += 1;
            if access_list == request.access_list || round == ROUNDS_MAX {
                return Ok(AccessListed { access_list: request.access_list, executed });
            }
            request.access_list = access_list;
        }
    }
}

/// Notes what the code touches.
struct Touched<'w> {
    /// Not worth noting by themselves.
    warm: &'w BTreeSet<Address>,
    accounts: BTreeMap<Address, BTreeSet<B256>>,
}

impl<'w> Touched<'w> {
    fn new(warm: &'w BTreeSet<Address>, list: &AccessList) -> Self {
        let mut touched = Self { warm, accounts: BTreeMap::new() };
        for item in list.iter() {
            touched.account(item.address);
            for key in &item.storage_keys {
                touched.slot(item.address, (*key).into());
            }
        }
        touched
    }

    fn account(&mut self, address: Address) {
        if !self.warm.contains(&address) {
            self.accounts.entry(address).or_default();
        }
    }

    fn slot(&mut self, address: Address, key: U256) {
        self.accounts.entry(address).or_default().insert(key.into());
    }

    fn list(self) -> AccessList {
        let items = self.accounts.into_iter();
        let items = items.map(|(address, keys)| AccessListItem { address, storage_keys: keys.into_iter().collect() });
        AccessList(items.collect())
    }
}

impl Tracer for Touched<'_> {
    fn step(&mut self, step: &Step<'_>) {
        let word = |depth: usize| step.stack.len().checked_sub(1 + depth).map(|index| step.stack[index]);
        let address = |word: Option<U256>| word.map(|word| Address::from_word(word.into()));
        match step.opcode {
            op::SLOAD | op::SSTORE => {
                if let Some(key) = word(0) {
                    self.slot(step.address, key);
                }
            }
            op::BALANCE | op::EXTCODESIZE | op::EXTCODECOPY | op::EXTCODEHASH | op::SELFDESTRUCT => {
                address(word(0)).into_iter().for_each(|address| self.account(address));
            }
            op::CALL | op::CALLCODE | op::DELEGATECALL | op::STATICCALL => {
                address(word(1)).into_iter().for_each(|address| self.account(address));
            }
            _ => {}
        }
    }

    fn stepped(&mut self, _: u64, _: Option<HaltReason>) {}
}
