//! Reading a state.
//!
//! A [`View`] is a state at rest: the same question always has the same answer. Execution is a pure function of a view,
//! so everything that must not matter (disk, caches, the network behind a fork) hides behind this trait.

use std::collections::BTreeMap;

use alloy_primitives::map::{AddressHashMap, B256HashMap, HashMap};
use types::{Account, Address, B256, Bytes, EMPTY_CODE_HASH, U256, keccak256};

use crate::{StateDiff, Stopped};

/// Why a view has no answer. Never "the account does not exist": that is an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// The place where the state lives failed.
    #[error("state cannot be read: {0}")]
    Unreadable(String),
    /// A state that is only partly here: these accounts and slots would have to be fetched.
    #[error("state is not at hand: {} accounts, {} slots", accounts.len(), slots.len())]
    Missing {
        /// Accounts to fetch.
        accounts: Vec<Address>,
        /// Slots to fetch.
        slots: Vec<(Address, U256)>,
    },
    /// An account names code that nobody holds: the state is damaged.
    #[error("code {0} is not in the state")]
    MissingCode(B256),
    /// Nobody waits for the answer any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A state at rest.
pub trait View: Send + Sync {
    /// The account, or None where there is none.
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError>;

    /// The slot's value; zero where nothing was written.
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError>;

    /// The code with this hash.
    fn code(&self, hash: &B256) -> Result<Bytes, ViewError>;

    /// The hash of a block of this state's past, for BLOCKHASH; zero where it is unknown. The 256-block rule is the
    /// caller's.
    fn block_hash(&self, number: u64) -> Result<B256, ViewError>;

    /// Every slot of the account that is not zero, ascending. Costs what it returns; only self-destruction of old
    /// forks, snapshots and tools ask.
    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError>;

    /// Whether the account has any slot that is not zero (EIP-7610 asks at every creation).
    fn has_storage(&self, address: &Address) -> Result<bool, ViewError> {
        Ok(!self.slots(address)?.is_empty())
    }

    /// Whether to go on with what this state is read for: work that reads nothing for a while asks in between. A view
    /// that stands on another passes the question on.
    fn check(&self) -> Result<(), Stopped> {
        Ok(())
    }
}

impl<V: View + ?Sized> View for &V {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        (**self).account(address)
    }
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        (**self).storage(address, slot)
    }
    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        (**self).code(hash)
    }
    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        (**self).block_hash(number)
    }
    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        (**self).slots(address)
    }
    fn has_storage(&self, address: &Address) -> Result<bool, ViewError> {
        (**self).has_storage(address)
    }
    fn check(&self) -> Result<(), Stopped> {
        (**self).check()
    }
}

/// A whole state in memory, plain maps: for tests, fixtures and tools. It is the oracle of every faster view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    /// Accounts by address.
    pub accounts: AddressHashMap<Account>,
    /// Slots that are not zero, by account.
    pub storage: AddressHashMap<BTreeMap<U256, U256>>,
    /// Code by hash.
    pub codes: B256HashMap<Bytes>,
    /// Hashes of past blocks by number.
    pub block_hashes: HashMap<u64, B256>,
}

impl MemoryState {
    /// Puts an account in place with its code.
    pub fn insert(&mut self, address: Address, nonce: u64, balance: U256, code: Bytes) {
        let code_hash = if code.is_empty() { EMPTY_CODE_HASH } else { keccak256(&code) };
        if !code.is_empty() {
            self.codes.insert(code_hash, code);
        }
        self.accounts.insert(address, Account { nonce, balance, code_hash });
    }

    /// Writes a slot; zero removes it.
    pub fn set_storage(&mut self, address: Address, slot: U256, value: U256) {
        let slots = self.storage.entry(address).or_default();
        if value.is_zero() {
            slots.remove(&slot);
        } else {
            slots.insert(slot, value);
        }
        if slots.is_empty() {
            self.storage.remove(&address);
        }
    }

    /// Moves this state forward (or back, with an inverse). Asserts that the diff starts where this state stands.
    pub fn apply(&mut self, diff: &StateDiff) {
        for (hash, code) in &diff.codes {
            self.codes.insert(*hash, code.clone());
        }
        for (address, change) in &diff.accounts {
            assert_eq!(self.accounts.get(address), change.before.as_ref(), "diff does not start here: {address}");
            match change.after {
                Some(account) => self.accounts.insert(*address, account),
                None => self.accounts.remove(address),
            };
            for slot in &change.slots {
                let held = self.storage.get(address).and_then(|slots| slots.get(&slot.key)).copied();
                assert_eq!(held.unwrap_or_default(), slot.before, "diff does not start here: {address} {}", slot.key);
                self.set_storage(*address, slot.key, slot.after);
            }
        }
    }

    /// The diff that makes this state out of nothing.
    pub fn to_diff(&self) -> StateDiff {
        let mut diff = StateDiff::default();
        for (address, account) in &self.accounts {
            let slots = self.storage.get(address).into_iter().flatten();
            diff.accounts.push((
                *address,
                crate::AccountDiff {
                    before: None,
                    after: Some(*account),
                    slots: slots
                        .map(|(key, value)| crate::SlotDiff { key: *key, before: U256::ZERO, after: *value })
                        .collect(),
                },
            ));
        }
        diff.accounts.sort_unstable_by_key(|(address, _)| *address);
        diff.codes = self.codes.iter().map(|(hash, code)| (*hash, code.clone())).collect();
        diff.codes.sort_unstable_by_key(|(hash, _)| *hash);
        diff
    }
}

impl View for MemoryState {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        Ok(self.accounts.get(address).copied())
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        Ok(self.storage.get(address).and_then(|slots| slots.get(slot)).copied().unwrap_or_default())
    }

    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        if *hash == EMPTY_CODE_HASH {
            return Ok(Bytes::new());
        }
        self.codes.get(hash).cloned().ok_or(ViewError::MissingCode(*hash))
    }

    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        Ok(self.block_hashes.get(&number).copied().unwrap_or_default())
    }

    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        let slots = self.storage.get(address).into_iter().flatten();
        Ok(slots.map(|(key, value)| (*key, *value)).collect())
    }
}
