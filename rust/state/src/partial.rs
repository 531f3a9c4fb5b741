//! A state of which only a part is here: what somebody fetched from a node that has all of it.
//!
//! What was not fetched is never taken for empty: reading it is [`ViewError::Missing`], which names it, so that whoever
//! can fetch it does and tries again. Each value remembers when it was last read, so that only what is used is fetched
//! anew for the next block.

use std::{
    hash::{BuildHasher, Hash},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use alloy_primitives::map::{AddressHashMap, B256HashMap, B256HashSet, Entry, HashMap};
use types::{Account, Address, B256, Bytes, EMPTY_CODE_HASH, U256, keccak256};

use crate::{View, ViewError};

/// A value, and the turn in which it was last read.
#[derive(Debug)]
struct Held<T> {
    value: T,
    read: AtomicU64,
}

impl<T: Copy> Held<T> {
    fn read(&self, turn: u64) -> T {
        self.read.store(turn, Relaxed);
        self.value
    }
}

/// An account as a node tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedAccount {
    /// Whose.
    pub address: Address,
    /// Transactions sent.
    pub nonce: u64,
    /// Wei owned.
    pub balance: U256,
    /// Its code; None: the one that it had.
    pub code: Option<Bytes>,
}

/// What was fetched of one block's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Accounts; one without anything does not exist.
    pub accounts: Vec<FetchedAccount>,
    /// Account, slot, value.
    pub slots: Vec<(Address, U256, U256)>,
}

/// What was read of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Accounts, and whether their code may be another one in the next block: a contract's stays, that of an account
    /// without any or with a delegation (EIP-7702) may not.
    pub accounts: Vec<(Address, bool)>,
    /// Slots, with their accounts.
    pub slots: Vec<(Address, U256)>,
}

/// What is here of a state.
#[derive(Debug, Default)]
pub struct PartialState {
    accounts: AddressHashMap<Held<Option<Account>>>,
    slots: HashMap<(Address, U256), Held<U256>>,
    codes: B256HashMap<Bytes>,
    block_hashes: HashMap<u64, B256>,
    turn: u64,
}

impl PartialState {
    /// Another block's state: what was fetched of it takes the place of everything.
    pub fn turn(&mut self, fetched: Fetched) {
        let (accounts, slots) = (std::mem::take(&mut self.accounts), std::mem::take(&mut self.slots));
        self.turn += 1;
        self.take(fetched, &accounts);
        for (address, held) in &mut self.accounts {
            *held.read.get_mut() = accounts.get(address).map_or(self.turn, |before| before.read.load(Relaxed));
        }
        for (place, held) in &mut self.slots {
            *held.read.get_mut() = slots.get(place).map_or(self.turn, |before| before.read.load(Relaxed));
        }
        self.forget_codes();
    }

    fn forget_codes(&mut self) {
        let named: B256HashSet = self.accounts.values().filter_map(|held| Some(held.value?.code_hash)).collect();
        self.codes.retain(|hash, _| named.contains(hash));
    }

    /// The next block's state, where it is known what that block changed: so much was fetched of that, and everything else
    /// is as it was. What was not read in the last `turns` turns goes.
    pub fn advance(&mut self, fetched: Fetched, turns: u64) {
        let since = self.turn.saturating_sub(turns);
        let (accounts, slots) = (std::mem::take(&mut self.accounts), std::mem::take(&mut self.slots));
        self.turn += 1;
        self.take(fetched, &accounts);
        carry(&mut self.accounts, accounts, since);
        carry(&mut self.slots, slots, since);
        self.forget_codes();
    }

    /// More of the same block's state.
    pub fn add(&mut self, fetched: Fetched) {
        self.take(fetched, &AddressHashMap::default());
    }

    fn take(&mut self, fetched: Fetched, before: &AddressHashMap<Held<Option<Account>>>) {
        let read = || AtomicU64::new(self.turn);
        for FetchedAccount { address, nonce, balance, code } in fetched.accounts {
            let code_hash = match code {
                Some(code) if code.is_empty() => EMPTY_CODE_HASH,
                Some(code) => {
                    let hash = keccak256(&code);
                    self.codes.insert(hash, code);
                    hash
                }
                None => before.get(&address).and_then(|held| held.value).map_or(EMPTY_CODE_HASH, |held| held.code_hash),
            };
            let account = Account { nonce, balance, code_hash };
            let value = (account != Account::default()).then_some(account);
            self.accounts.insert(address, Held { value, read: read() });
        }
        for (address, slot, value) in fetched.slots {
            self.slots.insert((address, slot), Held { value, read: read() });
        }
    }

    /// Tells the hash of a block of this state's past.
    pub fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
        self.block_hashes.retain(|held, _| held + 256 > number);
    }

    /// What was read in the last `turns` turns, in order.
    pub fn used(&self, turns: u64) -> Used {
        let since = self.turn.saturating_sub(turns);
        let is_used = |read: &AtomicU64| read.load(Relaxed) > since || self.turn <= turns;
        let is_fixed = |account: Account| {
            self.codes.get(&account.code_hash).is_some_and(|code| !code.is_empty() && code.first() != Some(&0xef))
        };
        let accounts = self.accounts.iter().filter(|(_, held)| is_used(&held.read));
        let mut accounts: Vec<_> =
            accounts.map(|(address, held)| (*address, !held.value.is_some_and(is_fixed))).collect();
        let slots = self.slots.iter().filter(|(_, held)| is_used(&held.read));
        let mut slots: Vec<_> = slots.map(|(place, _)| *place).collect();
        accounts.sort_unstable();
        slots.sort_unstable();
        Used { accounts, slots }
    }
}

/// Puts values that were read after a turn to those that are new; of these only the time they were read.
fn carry<K: Eq + Hash, T, S: BuildHasher>(to: &mut HashMap<K, Held<T>, S>, from: HashMap<K, Held<T>, S>, since: u64) {
    for (key, held) in from.into_iter().filter(|(_, held)| held.read.load(Relaxed) > since) {
        match to.entry(key) {
            Entry::Vacant(place) => drop(place.insert(held)),
            Entry::Occupied(place) => place.get().read.store(held.read.load(Relaxed), Relaxed),
        }
    }
}

impl View for PartialState {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        let held = self.accounts.get(address).map(|held| held.read(self.turn));
        held.ok_or_else(|| ViewError::Missing { accounts: vec![*address], slots: Vec::new() })
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        let held = self.slots.get(&(*address, *slot)).map(|held| held.read(self.turn));
        held.ok_or_else(|| ViewError::Missing { accounts: Vec::new(), slots: vec![(*address, *slot)] })
    }

    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        if *hash == EMPTY_CODE_HASH {
            return Ok(Bytes::new());
        }
        self.codes.get(hash).cloned().ok_or(ViewError::MissingCode(*hash))
    }

    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        let unknown = || ViewError::Unreadable(format!("the hash of block {number} was not told"));
        self.block_hashes.get(&number).copied().ok_or_else(unknown)
    }

    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        Err(ViewError::Unreadable(format!("nobody tells all slots of {address}")))
    }

    fn has_storage(&self, address: &Address) -> Result<bool, ViewError> {
        // Asked of accounts that are created: one with slots and neither nonce nor code has not come to be for years.
        Ok(self.slots.iter().any(|((owner, _), held)| owner == address && !held.value.is_zero()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Address = Address::repeat_byte(1);
    const B: Address = Address::repeat_byte(2);
    const SLOT: U256 = U256::ONE;

    fn account(address: Address, nonce: u64, code: Option<&[u8]>) -> FetchedAccount {
        FetchedAccount { address, nonce, balance: U256::from(7), code: code.map(Bytes::copy_from_slice) }
    }

    #[test]
    fn what_was_not_fetched_is_missing_and_what_is_empty_is_an_answer() {
        let mut state = PartialState::default();
        let missing = ViewError::Missing { accounts: vec![A], slots: Vec::new() };
        assert_eq!(state.account(&A), Err(missing));
        assert_eq!(state.storage(&A, &SLOT), Err(ViewError::Missing { accounts: Vec::new(), slots: vec![(A, SLOT)] }));
        let nobody = FetchedAccount { balance: U256::ZERO, ..account(A, 0, Some(b"")) };
        state.add(Fetched { accounts: vec![nobody], slots: vec![(A, SLOT, U256::ZERO)] });
        assert_eq!((state.account(&A), state.storage(&A, &SLOT)), (Ok(None), Ok(U256::ZERO)));
        assert!(state.block_hash(5).is_err());
        state.set_block_hash(5, B256::repeat_byte(5));
        assert_eq!(state.block_hash(5), Ok(B256::repeat_byte(5)));
        state.set_block_hash(261, B256::ZERO);
        assert!(state.block_hash(5).is_err(), "too long ago");
    }

    #[test]
    fn another_block_has_no_value_of_the_one_before_but_codes_that_stay() {
        let mut state = PartialState::default();
        state.add(Fetched {
            accounts: vec![account(A, 1, Some(&[0x60])), account(B, 1, Some(&[]))],
            slots: vec![(A, SLOT, SLOT)],
        });
        let hash = keccak256([0x60]);
        assert_eq!(state.used(8), Used { accounts: vec![(A, false), (B, true)], slots: vec![(A, SLOT)] });
        state.turn(Fetched { accounts: vec![account(A, 2, None)], slots: Vec::new() });
        let held = state.account(&A).unwrap().unwrap();
        assert_eq!((held.nonce, held.code_hash), (2, hash));
        assert_eq!(state.code(&hash).unwrap()[..], [0x60]);
        assert!(state.account(&B).is_err() && state.storage(&A, &SLOT).is_err());
    }

    #[test]
    fn the_next_block_has_what_was_fetched_of_it_and_everything_else_as_it_was_while_it_is_used() {
        let mut state = PartialState::default();
        state.turn(Fetched {
            accounts: vec![account(A, 1, Some(&[0x60])), account(B, 1, Some(b""))],
            slots: vec![(A, SLOT, SLOT), (B, SLOT, SLOT)],
        });
        let changed = Fetched { accounts: vec![account(A, 2, None)], slots: vec![(A, SLOT, U256::from(5))] };
        state.advance(changed, 2);
        let held = state.account(&A).unwrap().unwrap();
        assert_eq!((held.nonce, state.code(&held.code_hash).unwrap().len()), (2, 1));
        assert_eq!(state.account(&B).unwrap().unwrap().nonce, 1);
        assert_eq!((state.storage(&A, &SLOT), state.storage(&B, &SLOT)), (Ok(U256::from(5)), Ok(SLOT)));
        for _ in 0..4 {
            assert!(state.account(&A).is_ok() && state.storage(&B, &SLOT).is_ok());
            state.advance(Fetched::default(), 2);
        }
        assert!(state.account(&B).is_err() && state.storage(&A, &SLOT).is_err(), "nobody has read them");
        assert_eq!(state.used(2), Used { accounts: vec![(A, false)], slots: vec![(B, SLOT)] });
    }

    #[test]
    fn what_is_not_read_for_some_turns_is_not_carried_on() {
        let mut state = PartialState::default();
        let both = || Fetched { accounts: vec![account(A, 1, Some(b"")), account(B, 1, Some(b""))], slots: Vec::new() };
        state.turn(both());
        for _ in 0..3 {
            assert!(state.account(&A).is_ok());
            state.turn(both());
        }
        assert_eq!(state.used(2).accounts, vec![(A, true)]);
        assert_eq!(state.used(8).accounts.len(), 2);
    }
}
