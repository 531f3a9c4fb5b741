//! A state and what changed since, as one view.

use alloy_primitives::map::{AddressHashMap, HashMap};
use state::{StateDiff, Stopped, View, ViewError};
use types::{Account, Address, B256, Bytes, U256};

/// `view` with `diff` on top. Costs one look into a table more than the view does.
pub(crate) struct After<'a> {
    view: &'a dyn View,
    diff: &'a StateDiff,
    accounts: AddressHashMap<Option<Account>>,
    slots: HashMap<(Address, U256), U256>,
}

impl<'a> After<'a> {
    pub(crate) fn new(view: &'a dyn View, diff: &'a StateDiff) -> Self {
        let accounts = diff.accounts.iter().map(|(address, change)| (*address, change.after)).collect();
        let slots = diff
            .accounts
            .iter()
            .flat_map(|(address, change)| change.slots.iter().map(move |slot| ((*address, slot.key), slot.after)));
        Self { view, diff, accounts, slots: slots.collect() }
    }
}

impl View for After<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        match self.accounts.get(address) {
            Some(account) => Ok(*account),
            None => self.view.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        match self.slots.get(&(*address, *slot)) {
            Some(value) => Ok(*value),
            None => self.view.storage(address, slot),
        }
    }

    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        match self.diff.codes.binary_search_by_key(hash, |(hash, _)| *hash) {
            Ok(index) => Ok(self.diff.codes[index].1.clone()),
            Err(_) => self.view.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        self.view.block_hash(number)
    }

    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        let mut slots = self.view.slots(address)?;
        let Some(change) = self.diff.account(address) else {
            return Ok(slots);
        };
        for slot in &change.slots {
            match slots.binary_search_by_key(&slot.key, |(key, _)| *key) {
                Ok(index) if slot.after.is_zero() => drop(slots.remove(index)),
                Ok(index) => slots[index].1 = slot.after,
                Err(_) if slot.after.is_zero() => {}
                Err(index) => slots.insert(index, (slot.key, slot.after)),
            }
        }
        Ok(slots)
    }

    fn check(&self) -> Result<(), Stopped> {
        self.view.check()
    }
}
