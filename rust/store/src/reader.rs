//! The state at some commit, frozen.

use std::{ops::Bound, sync::Arc};

use state::{LedgerError, NodeKey, StateReader, TrieNodes, View, ViewError};
use types::{Account, Address, B256, BlockId, Bytes, EMPTY_CODE_HASH, U256};

use crate::{
    Entry, Family, Snapshot,
    accounts::{decode_account, decode_slot, node_key, slot_key, slot_of},
    blocks::{decode_hash, decode_id, number_key},
    cache::{Cache, Name},
    encoding::decode,
};

/// Where the head's number and hash stand.
pub(crate) const HEAD: &[u8] = b"head";

pub(crate) struct Frozen {
    snapshot: Arc<dyn Snapshot>,
    cache: Arc<Cache>,
    head: Option<BlockId>,
}

impl Frozen {
    pub(crate) fn new(snapshot: Arc<dyn Snapshot>, cache: Arc<Cache>) -> Result<Self, LedgerError> {
        let head = head(&*snapshot)?;
        Ok(Self { snapshot, cache, head })
    }
}

pub(crate) fn head(snapshot: &dyn Snapshot) -> Result<Option<BlockId>, LedgerError> {
    let head = snapshot.get(Family::Metadata, HEAD)?;
    head.map(|bytes| decode_id(&bytes).map_err(|error| error.at(Family::Metadata, HEAD))).transpose()
}

pub(crate) fn canonical(snapshot: &dyn Snapshot, number: u64) -> Result<Option<B256>, LedgerError> {
    let key = number_key(number);
    let hash = snapshot.get(Family::Canonical, &key)?;
    hash.map(|bytes| decode_hash(&bytes).map_err(|error| error.at(Family::Canonical, &key))).transpose()
}

fn unreadable(error: LedgerError) -> ViewError {
    ViewError::Unreadable(error.to_string())
}

impl Frozen {
    /// A row, from the cache where it holds this snapshot's value.
    fn row(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, LedgerError> {
        let Some(name) = Name::new(family, key) else { return self.snapshot.get(family, key) };
        let version = self.snapshot.version();
        if let Some(value) = self.cache.get(&name, version) {
            return Ok(value);
        }
        let value = self.snapshot.get(family, key)?;
        self.cache.add(name, value.clone(), version);
        Ok(value)
    }

    fn read_account(&self, address: &Address) -> Result<Option<Account>, LedgerError> {
        let key = address.as_slice();
        let bytes = self.row(Family::Accounts, key)?;
        bytes.map(|bytes| decode_account(&bytes).map_err(|error| error.at(Family::Accounts, key))).transpose()
    }

    fn read_slot(&self, address: &Address, slot: &U256) -> Result<U256, LedgerError> {
        let key = slot_key(address, slot);
        match self.row(Family::Storage, &key)? {
            Some(bytes) => decode_slot(&bytes).map_err(|error| error.at(Family::Storage, &key)),
            None => Ok(U256::ZERO),
        }
    }

    fn read_slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, LedgerError> {
        let entries = self.snapshot.prefixed(Family::Storage, address.as_slice());
        entries.map(|entry| slot_entry(&entry?)).collect()
    }
}

/// A row of the storage: which slot, and what it holds.
fn slot_entry((key, value): &Entry) -> Result<(U256, U256), LedgerError> {
    let decoded = slot_of(key).and_then(|slot| Ok((slot, decode_slot(value)?)));
    decoded.map_err(|error| error.at(Family::Storage, key))
}

impl View for Frozen {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        self.read_account(address).map_err(unreadable)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        self.read_slot(address, slot).map_err(unreadable)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        if *hash == EMPTY_CODE_HASH {
            return Ok(Bytes::new());
        }
        self.row(Family::Code, hash.as_slice()).map_err(unreadable)?.ok_or(ViewError::MissingCode(*hash))
    }

    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        Ok(canonical(&*self.snapshot, number).map_err(unreadable)?.unwrap_or_default())
    }

    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        self.read_slots(address).map_err(unreadable)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, ViewError> {
        self.snapshot
            .prefixed(Family::Storage, address.as_slice())
            .next()
            .transpose()
            .map_err(unreadable)
            .map(|e| e.is_some())
    }
}

impl TrieNodes for Frozen {
    fn node(&self, key: &NodeKey) -> Result<Option<Bytes>, LedgerError> {
        self.row(Family::Nodes, &node_key(key))
    }
}

impl StateReader for Frozen {
    fn head(&self) -> Option<BlockId> {
        self.head
    }

    fn accounts_after(&self, after: Option<Address>, limit: usize) -> Result<Vec<(Address, Account)>, LedgerError> {
        let start = after.as_ref().map_or(Bound::Unbounded, |address| Bound::Excluded(address.as_slice()));
        let page = self.snapshot.page(Family::Accounts, start, None, limit)?;
        let account = |(key, value): &Entry| {
            let decoded =
                decode(key, |input| input.address()).and_then(|address| Ok((address, decode_account(value)?)));
            decoded.map_err(|error| error.at(Family::Accounts, key))
        };
        page.iter().map(account).collect()
    }

    fn slots_after(
        &self,
        address: &Address,
        after: Option<U256>,
        limit: usize,
    ) -> Result<Vec<(U256, U256)>, LedgerError> {
        let until = crate::kv::successor(address.as_slice());
        let start = after.map(|slot| slot_key(address, &slot));
        let start = start.as_ref().map_or(Bound::Included(address.as_slice()), |key| Bound::Excluded(&key[..]));
        let page = self.snapshot.page(Family::Storage, start, until.as_deref(), limit)?;
        page.iter().map(slot_entry).collect()
    }
}
