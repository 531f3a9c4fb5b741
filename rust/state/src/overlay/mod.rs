//! The state while transactions change it: what the view holds, what was written over it, and how to take it back.
//!
//! One overlay serves a whole block (or a parallel worker's transaction). [`Overlay::begin`] opens a transaction;
//! within it [`Overlay::checkpoint`] and [`Overlay::rollback`] nest as calls do. Every change leaves one journal entry
//! that holds the value before, so rolling back costs what is undone and nothing else. At the end
//! [`Overlay::settle`] applies what is due at a transaction's end, [`Overlay::transaction_diff`] tells what the
//! transaction changed and [`Overlay::diff`] what the block changed.
//!
//! Accounts and slots live in arenas and are named by [`AccountId`] and [`SlotId`], which stay good for the life of
//! the overlay: hash an address once, then index. What is true for one transaction only (warm, created, destroyed, the
//! value a slot began with) is marked with the transaction's stamp, so that the next one begins by counting up, not by
//! clearing. A steady run allocates nothing per transaction, and [`Overlay::rebase`] carries the arenas on to the
//! next block.
//!
//! Knows no rule of a fork: what is warm, what a wipe costs, which accounts are cleared is the caller's decision.

mod diff;
mod footprint;
mod held;
mod journal;

use alloy_primitives::map::{AddressHashMap, Entry, HashMap};
use types::{Account, Address, B256, Bytes, EMPTY_CODE_HASH, Log, U256, keccak256};

use crate::{View, ViewError};
use footprint::Tracking;
use held::{Codes, Held};
use journal::Undo;

pub use diff::{Changes, Each, InOrder, InSequence};
pub use footprint::{Clash, Footprint, Footprints, Place, Presence, Touch, Touched};
pub use journal::EmptyAccounts;

/// Transactions of one overlay have numbers below this.
const STAMPS: u32 = 1 << (32 - Fate::STAMP_SHIFT);

/// No slot follows.
const NO_SLOT: u32 = u32::MAX;

/// The account whose touch survives a rollback: mainnet's block 2,675,119 made that bug a rule (EIP-716's story).
const RIPEMD: Address = Address::with_last_byte(3);

/// Names an account of one overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountId(u32);

/// Names a slot of one overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotId(u32);

/// A place to roll back to. Checkpoints nest: the last one taken is the first one ended.
#[derive(Debug)]
#[must_use = "a checkpoint is ended by `commit` or `rollback`"]
pub struct Checkpoint {
    journal: usize,
    logs: usize,
    refund: i64,
    burned: U256,
}

/// Two lines of the cache, and neither of them another's.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct AccountEntry {
    current: Held,
    /// As the view has it.
    initial: Held,
    address: Address,
    /// Head of the list of this account's slots.
    first_slot: u32,
    /// Stamp of the transaction for which it is true.
    warm: u32,
    fate: Fate,
}

const _: () = assert!(size_of::<AccountEntry>() == 128);

/// What few transactions do to an account, in four bytes: a stamp, and what is true for the transaction that it names;
/// and whether the account stands in `changed`, which is true for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate(u32);

impl Fate {
    const CREATED: u32 = 1;
    const DESTROYED: u32 = 2;
    const LISTED: u32 = 4;
    const STAMP_SHIFT: u32 = 3;

    /// Whether the transaction with this stamp did that.
    #[inline]
    fn has(self, what: u32, stamp: u32) -> bool {
        self.0 & what != 0 && self.0 >> Self::STAMP_SHIFT == stamp
    }

    /// The transaction with this stamp does that; true the first time.
    #[inline]
    fn add(&mut self, what: u32, stamp: u32) -> bool {
        let before = if self.0 >> Self::STAMP_SHIFT == stamp { self.0 } else { self.0 & Self::LISTED };
        self.0 = before | what | stamp << Self::STAMP_SHIFT;
        before & what == 0
    }

    /// It did not.
    fn remove(&mut self, what: u32) {
        self.0 &= !what;
    }

    /// True the first time.
    #[inline]
    fn list(&mut self) -> bool {
        let before = self.0;
        self.0 |= Self::LISTED;
        before & Self::LISTED == 0
    }
}

impl AccountEntry {
    #[inline]
    fn new(address: Address, initial: Held) -> Self {
        Self { current: initial, initial, address, first_slot: NO_SLOT, warm: 0, fate: Fate::default() }
    }
}

#[derive(Clone, Debug)]
struct SlotEntry {
    account: u32,
    /// Next slot of the same account.
    next: u32,
    key: U256,
    current: U256,
    /// As the view has it.
    initial: U256,
    /// What it held when the transaction stamped in `began` first wrote it.
    original: U256,
    began: u32,
    warm: u32,
}

/// See the module's head.
pub struct Overlay<'v> {
    view: &'v dyn View,
    by_address: AddressHashMap<u32>,
    accounts: Vec<AccountEntry>,
    by_slot: HashMap<(u32, U256), u32>,
    slots: Vec<SlotEntry>,
    codes: Codes,
    transient: HashMap<(u32, U256), U256>,
    journal: Vec<Undo>,
    /// Accounts that were written at least once, or whose slots were.
    changed: Vec<u32>,
    logs: Vec<Log>,
    refund: i64,
    /// Wei that left accounts for nowhere in this transaction.
    burned: U256,
    stamp: u32,
    ripemd_touched: bool,
    tracker: Tracking,
    /// What kept footprints before, for its memory.
    idle: Tracking,
}

impl<'v> Overlay<'v> {
    /// Over a state at rest.
    pub fn new(view: &'v dyn View) -> Self {
        Self {
            view,
            by_address: AddressHashMap::default(),
            accounts: Vec::new(),
            by_slot: HashMap::default(),
            slots: Vec::new(),
            codes: Codes::new(),
            transient: HashMap::default(),
            journal: Vec::new(),
            changed: Vec::new(),
            logs: Vec::new(),
            refund: 0,
            burned: U256::ZERO,
            stamp: 1,
            ripemd_touched: false,
            tracker: None,
            idle: None,
        }
    }

    /// Forgets everything and stands over another view; memory already taken is kept.
    #[must_use]
    pub fn rebase(mut self, view: &dyn View) -> Overlay<'_> {
        self.by_address.clear();
        self.accounts.clear();
        self.by_slot.clear();
        self.slots.clear();
        self.codes.clear();
        self.transient.clear();
        self.journal.clear();
        self.changed.clear();
        self.logs.clear();
        Overlay { view, refund: 0, burned: U256::ZERO, stamp: 1, ripemd_touched: false, tracker: None, ..self }
    }

    /// Makes room for this many accounts, where the caller can tell.
    pub fn reserve(&mut self, accounts: usize) {
        self.by_address.reserve(accounts);
        self.accounts.reserve(accounts);
        self.changed.reserve(accounts);
    }

    /// Accounts, slots and footprints that fit without taking more memory.
    pub fn entries_capacity(&self) -> usize {
        let footprints = self.idle.as_ref().map_or(0, |idle| idle.borrow().capacity());
        self.accounts.capacity() + self.slots.capacity() + footprints
    }

    /// Accounts and slots that it holds.
    pub fn entries(&self) -> usize {
        self.accounts.len() + self.slots.len()
    }

    /// The state underneath.
    pub fn view(&self) -> &'v dyn View {
        self.view
    }

    /// Opens the next transaction: nothing is warm, created or destroyed, no log, no refund, nothing to roll back.
    pub fn begin(&mut self) {
        self.stamp += 1;
        assert!(self.stamp < STAMPS, "fewer than half a billion transactions per overlay");
        self.journal.clear();
        self.logs.clear();
        self.refund = 0;
        self.burned = U256::ZERO;
        self.ripemd_touched = false;
        if !self.transient.is_empty() {
            self.transient.clear();
        }
    }

    // ---- accounts

    /// Finds the account, reading it from the view the first time.
    #[inline]
    pub fn load(&mut self, address: &Address) -> Result<AccountId, ViewError> {
        let vacant = match self.by_address.entry(*address) {
            Entry::Occupied(found) => return Ok(AccountId(*found.get())),
            Entry::Vacant(vacant) => vacant,
        };
        let initial = self.codes.hold(self.view.account(address)?);
        let index = u32::try_from(self.accounts.len()).expect("fewer than four billion accounts");
        self.accounts.push(AccountEntry::new(*address, initial));
        vacant.insert(index);
        Ok(AccountId(index))
    }

    /// Finds accounts that will be asked for, all in one go: between look-ups alone, none waits for the memory that
    /// another asked for. What cannot be read is left for [`Overlay::load`] to say.
    pub fn foresee(&mut self, addresses: &[Address]) {
        let first = self.accounts.len();
        for address in addresses {
            if let Entry::Vacant(vacant) = self.by_address.entry(*address) {
                vacant.insert(u32::try_from(self.accounts.len()).expect("fewer than four billion accounts"));
                self.accounts.push(AccountEntry::new(*address, Held::NOTHING));
            }
        }
        let mut unread = Unread { overlay: self, next: first };
        while unread.read_next() {}
    }

    /// The account as it stands; None where there is none.
    #[inline]
    pub fn account(&self, id: AccountId) -> Option<Account> {
        self.note(id, Touch::READ);
        self.codes.account(&self.entry(id).current)
    }

    /// Whether there is an account.
    #[inline]
    pub fn exists(&self, id: AccountId) -> bool {
        self.note(id, Touch::READ);
        self.entry(id).current.exists()
    }

    /// Whose account this is.
    #[inline]
    pub fn address(&self, id: AccountId) -> Address {
        self.entry(id).address
    }

    /// Its balance; zero where there is no account.
    #[inline]
    pub fn balance(&self, id: AccountId) -> U256 {
        self.note(id, Touch::READ_BALANCE);
        self.entry(id).current.balance
    }

    /// Its nonce; zero where there is no account.
    #[inline]
    pub fn nonce(&self, id: AccountId) -> u64 {
        self.note(id, Touch::READ_NONCE);
        self.entry(id).current.nonce
    }

    /// Hash of its code; that of no bytes where there is no account.
    #[inline]
    pub fn code_hash(&self, id: AccountId) -> B256 {
        self.note(id, Touch::READ_CODE);
        self.codes.hash(&self.entry(id).current)
    }

    /// Whether it has code.
    #[inline]
    pub fn has_code(&self, id: AccountId) -> bool {
        self.note(id, Touch::READ_CODE);
        self.entry(id).current.has_code()
    }

    /// No account, or one that EIP-161 calls empty.
    #[inline]
    pub fn is_empty(&self, id: AccountId) -> bool {
        let empty = self.entry(id).current.is_empty();
        // What is not empty stays so unless it is wiped.
        self.note(id, if empty { Touch::READ } else { Touch::READ_CODE });
        empty
    }

    /// Its code.
    pub fn code(&mut self, id: AccountId) -> Result<Bytes, ViewError> {
        self.note(id, Touch::READ_CODE);
        let view = self.view;
        self.codes.bytes(&self.accounts[id.0 as usize].current, |hash| view.code(hash))
    }

    /// Marks the account as accessed in this transaction; true if it was cold.
    #[inline]
    pub fn warm(&mut self, id: AccountId) -> bool {
        let stamp = self.stamp;
        let entry = &mut self.accounts[id.0 as usize];
        if entry.warm == stamp {
            return false;
        }
        entry.warm = stamp;
        self.journal.push(Undo::Warm { account: id.0 });
        true
    }

    /// Whether this transaction accessed the account already.
    #[inline]
    pub fn is_warm(&self, id: AccountId) -> bool {
        self.entry(id).warm == self.stamp
    }

    /// Makes a write out of nothing: from EIP-161 on an empty account is cleared at the end, before it one springs up.
    #[inline]
    pub fn touch(&mut self, id: AccountId) {
        self.journal.push(Undo::Touch { account: id.0 });
    }

    /// Adds to the balance; the account springs up where there was none.
    ///
    /// Wraps at 2^256 as the field's clients do; no chain holds that much.
    #[inline]
    pub fn credit(&mut self, id: AccountId, value: U256) {
        self.note(id, Touch::CREDIT);
        let held = self.change(id);
        held.balance = held.balance.wrapping_add(value);
    }

    /// Takes from the balance. The caller has seen that it suffices.
    #[inline]
    pub fn debit(&mut self, id: AccountId, value: U256) {
        self.note(id, Touch::WRITE_BALANCE);
        let held = self.change(id);
        held.balance = held.balance.checked_sub(value).expect("the caller has seen that the balance suffices");
    }

    /// Takes from the balance what nobody gets: [`Overlay::settle`] counts it. The caller has seen that it suffices.
    #[inline]
    pub fn burn(&mut self, id: AccountId, value: U256) {
        self.debit(id, value);
        self.burned += value;
    }

    /// Moves value; false, and nothing moved, where the balance does not suffice.
    #[inline]
    pub fn transfer(&mut self, from: AccountId, to: AccountId, value: U256) -> bool {
        if !value.is_zero() && self.balance(from) < value {
            return false;
        }
        if value.is_zero() {
            self.touch(from);
            self.credit(to, value);
        } else {
            self.debit(from, value);
            self.credit(to, value);
        }
        true
    }

    /// Changes nonce and balance together, with one journal entry.
    #[inline]
    pub fn write(&mut self, id: AccountId, change: impl FnOnce(&mut u64, &mut U256)) {
        self.note(id, Touch::WRITE_BALANCE.and(Touch::WRITE_NONCE));
        let held = self.change(id);
        change(&mut held.nonce, &mut held.balance);
    }

    /// What every write of an account begins with: it is journaled, listed as changed, and springs up where there was
    /// none.
    #[inline]
    fn change(&mut self, id: AccountId) -> &mut Held {
        let entry = &mut self.accounts[id.0 as usize];
        self.journal.push(Undo::Account { account: id.0, previous: entry.current });
        if entry.fate.list() {
            self.changed.push(id.0);
        }
        entry.current.sprung_up()
    }

    /// Sets the nonce.
    pub fn set_nonce(&mut self, id: AccountId, nonce: u64) {
        self.note(id, Touch::WRITE_NONCE);
        self.change(id).nonce = nonce;
    }

    /// Sets the code (creation, or a delegation); empty code takes it away.
    pub fn set_code(&mut self, id: AccountId, code: Bytes) {
        let hash = if code.is_empty() { EMPTY_CODE_HASH } else { keccak256(&code) };
        self.note(id, Touch::WRITE_CODE);
        self.change(id);
        self.codes.set(&mut self.accounts[id.0 as usize].current, hash, code);
    }

    /// Marks the account as created in this transaction.
    pub fn mark_created(&mut self, id: AccountId) {
        let stamp = self.stamp;
        if self.accounts[id.0 as usize].fate.add(Fate::CREATED, stamp) {
            self.journal.push(Undo::Created { account: id.0 });
        }
    }

    /// Whether this transaction created the account.
    pub fn is_created(&self, id: AccountId) -> bool {
        self.entry(id).fate.has(Fate::CREATED, self.stamp)
    }

    /// Marks the account to be wiped when the transaction settles; true the first time.
    pub fn destroy(&mut self, id: AccountId) -> bool {
        let stamp = self.stamp;
        let first = self.accounts[id.0 as usize].fate.add(Fate::DESTROYED, stamp);
        if first {
            self.journal.push(Undo::Destroyed { account: id.0 });
        }
        first
    }

    /// Whether this transaction will wipe the account.
    pub fn is_destroyed(&self, id: AccountId) -> bool {
        self.entry(id).fate.has(Fate::DESTROYED, self.stamp)
    }

    // ---- storage

    /// Finds the slot, reading it from the view the first time.
    pub fn load_slot(&mut self, id: AccountId, key: &U256) -> Result<SlotId, ViewError> {
        if let Some(index) = self.by_slot.get(&(id.0, *key)) {
            let slot = SlotId(*index);
            self.note_slot(slot, Touch::READ_SLOT);
            return Ok(slot);
        }
        let entry = &self.accounts[id.0 as usize];
        // What did not exist has no storage: creations read nothing from the view.
        let initial = if !entry.initial.exists() { U256::ZERO } else { self.view.storage(&entry.address, key)? };
        let slot = SlotId(self.insert_slot(id.0, *key, initial));
        self.note_slot(slot, Touch::READ_SLOT);
        Ok(slot)
    }

    fn insert_slot(&mut self, account: u32, key: U256, initial: U256) -> u32 {
        let index = u32::try_from(self.slots.len()).expect("fewer than four billion slots");
        let entry = &mut self.accounts[account as usize];
        let next = std::mem::replace(&mut entry.first_slot, index);
        self.slots.push(SlotEntry {
            account,
            next,
            key,
            current: initial,
            initial,
            original: initial,
            began: 0,
            warm: 0,
        });
        self.by_slot.insert((account, key), index);
        index
    }

    /// What the slot holds.
    #[inline]
    pub fn slot(&self, id: SlotId) -> U256 {
        self.slots[id.0 as usize].current
    }

    /// What the slot held when the transaction began.
    #[inline]
    pub fn original(&self, id: SlotId) -> U256 {
        let slot = &self.slots[id.0 as usize];
        if slot.began == self.stamp { slot.original } else { slot.current }
    }

    /// Marks the slot as accessed in this transaction; true if it was cold.
    #[inline]
    pub fn warm_slot(&mut self, id: SlotId) -> bool {
        let stamp = self.stamp;
        let slot = &mut self.slots[id.0 as usize];
        if slot.warm == stamp {
            return false;
        }
        slot.warm = stamp;
        self.journal.push(Undo::WarmSlot { slot: id.0 });
        true
    }

    /// Writes the slot.
    #[inline]
    pub fn set_slot(&mut self, id: SlotId, value: U256) {
        self.note_slot(id, Touch::WRITE_SLOT);
        let stamp = self.stamp;
        let slot = &mut self.slots[id.0 as usize];
        if slot.current == value {
            return;
        }
        if slot.began != stamp {
            slot.began = stamp;
            slot.original = slot.current;
        }
        self.journal.push(Undo::Slot { slot: id.0, previous: slot.current });
        slot.current = value;
        let account = slot.account;
        let entry = &mut self.accounts[account as usize];
        if entry.fate.list() {
            self.changed.push(account);
        }
    }

    /// Whether the account has any slot that is not zero.
    pub fn has_storage(&self, id: AccountId) -> Result<bool, ViewError> {
        self.note(id, Touch::ALL_SLOTS);
        if self.own_slots(id.0).any(|slot| !self.slots[slot as usize].current.is_zero()) {
            return Ok(true);
        }
        let entry = self.entry(id);
        if !entry.initial.exists() || !self.view.has_storage(&entry.address)? {
            return Ok(false);
        }
        let held = self.view.slots(&entry.address)?;
        Ok(held.iter().any(|(key, _)| !self.by_slot.contains_key(&(id.0, *key))))
    }

    /// What the transaction's transient storage holds.
    pub fn transient(&self, id: AccountId, key: &U256) -> U256 {
        self.transient.get(&(id.0, *key)).copied().unwrap_or_default()
    }

    /// Writes transient storage.
    pub fn set_transient(&mut self, id: AccountId, key: U256, value: U256) {
        let previous = self.transient.insert((id.0, key), value).unwrap_or_default();
        self.journal.push(Undo::Transient { account: id.0, key, previous });
    }

    // ---- the rest of a transaction's traces

    /// Appends a log.
    pub fn log(&mut self, log: Log) {
        self.logs.push(log);
    }

    /// Logs of the transaction so far.
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// Hands over the transaction's logs.
    pub fn take_logs(&mut self) -> Vec<Log> {
        std::mem::take(&mut self.logs)
    }

    /// Changes the refund counter; it may stand below zero inside a transaction.
    #[inline]
    pub fn refund(&mut self, gas: i64) {
        self.refund += gas;
    }

    /// The refund counter.
    pub fn refunded(&self) -> i64 {
        self.refund
    }

    /// Hash of a past block, for BLOCKHASH; the 256-block rule is the caller's.
    pub fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        self.view.block_hash(number)
    }

    /// Which account of the arena has this address, if it was loaded.
    pub fn find(&self, address: &Address) -> Option<AccountId> {
        self.by_address.get(address).map(|index| AccountId(*index))
    }

    /// The key of a slot, and whose it is.
    pub fn slot_key(&self, id: SlotId) -> (AccountId, U256) {
        let slot = &self.slots[id.0 as usize];
        (AccountId(slot.account), slot.key)
    }

    fn entry(&self, id: AccountId) -> &AccountEntry {
        &self.accounts[id.0 as usize]
    }

    /// Indices of the account's slots that are at hand.
    fn own_slots(&self, account: u32) -> impl Iterator<Item = u32> {
        let first = self.accounts[account as usize].first_slot;
        std::iter::successors((first != NO_SLOT).then_some(first), |slot| {
            let next = self.slots[*slot as usize].next;
            (next != NO_SLOT).then_some(next)
        })
    }
}

/// Accounts at the arena's end that have a place there but were not read yet. Those left over when it goes, whether the
/// view failed or panicked, were never there.
struct Unread<'o, 'v> {
    overlay: &'o mut Overlay<'v>,
    next: usize,
}

impl Unread<'_, '_> {
    /// Reads one; whether there was one, and it could be read.
    #[inline]
    fn read_next(&mut self) -> bool {
        let Some(entry) = self.overlay.accounts.get_mut(self.next) else { return false };
        let Ok(account) = self.overlay.view.account(&entry.address) else { return false };
        let held = self.overlay.codes.hold(account);
        (entry.current, entry.initial) = (held, held);
        self.next += 1;
        true
    }
}

impl Drop for Unread<'_, '_> {
    fn drop(&mut self) {
        for entry in self.overlay.accounts.drain(self.next..) {
            self.overlay.by_address.remove(&entry.address);
        }
    }
}

#[cfg(test)]
mod tests;
