//! A state and what changed since, as one view.

use state::{StateDiff, Stopped, View, ViewError};
use types::{Account, Address, B256, Bytes, U256};

/// `view` with `diff` on top. Costs a search in the diff more than the view does: good for a short diff, or for few
/// questions.
pub(crate) struct After<'a> {
    view: &'a dyn View,
    diff: &'a StateDiff,
}

impl<'a> After<'a> {
    pub(crate) fn new(view: &'a dyn View, diff: &'a StateDiff) -> Self {
        Self { view, diff }
    }
}

impl View for After<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        match self.diff.account(address) {
            Some(change) => Ok(change.after),
            None => self.view.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        let changed = self.diff.account(address).and_then(|change| {
            let index = change.slots.binary_search_by_key(slot, |slot| slot.key).ok()?;
            Some(change.slots[index].after)
        });
        changed.map_or_else(|| self.view.storage(address, slot), Ok)
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
