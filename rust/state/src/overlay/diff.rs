//! What came of it: the diff of one transaction, read off the journal, and of everything, read off the arenas.

use alloy_primitives::map::HashMap;
use types::{Account, Address, B256, Bytes, EMPTY_CODE_HASH, U256};

use super::{Overlay, journal::Undo};
use crate::{AccountDiff, SlotDiff, StateDiff};

impl Overlay<'_> {
    /// What the transaction that [`Overlay::begin`] opened has changed so far.
    pub fn transaction_diff(&self) -> StateDiff {
        // The first entry for each place holds what it was before the transaction.
        let mut before: HashMap<u32, Option<Account>> = HashMap::default();
        let mut slots: HashMap<u32, HashMap<u32, U256>> = HashMap::default();
        for undo in &self.journal {
            match undo {
                Undo::Account { account, previous } => {
                    before.entry(*account).or_insert(*previous);
                }
                Undo::Slot { slot, previous } => {
                    let account = self.slots[*slot as usize].account;
                    slots.entry(account).or_default().entry(*slot).or_insert(*previous);
                }
                _ => {}
            }
        }
        for account in slots.keys() {
            before.entry(*account).or_insert(self.accounts[*account as usize].current);
        }
        let changes = before.into_iter().map(|(account, before)| {
            let slots = slots.remove(&account).into_iter().flatten();
            let slots = slots.map(|(slot, before)| self.slot_diff(slot, before)).collect();
            (account, before, slots)
        });
        self.collect(changes.collect())
    }

    /// What everything since the overlay stood over its view has changed.
    pub fn diff(&self) -> StateDiff {
        let changes = self.changed.iter().map(|account| {
            let slots = self.own_slots(*account).map(|slot| self.slot_diff(slot, self.slots[slot as usize].initial));
            (*account, self.accounts[*account as usize].initial, slots.collect())
        });
        self.collect(changes.collect())
    }

    fn slot_diff(&self, slot: u32, before: U256) -> SlotDiff {
        let slot = &self.slots[slot as usize];
        SlotDiff { key: slot.key, before, after: slot.current }
    }

    fn collect(&self, changes: Vec<(u32, Option<Account>, Vec<SlotDiff>)>) -> StateDiff {
        let mut codes: Vec<(B256, Bytes)> = Vec::new();
        let mut accounts: Vec<(Address, AccountDiff)> = Vec::with_capacity(changes.len());
        for (index, before, mut slots) in changes {
            let entry = &self.accounts[index as usize];
            slots.retain(|slot| slot.before != slot.after);
            if before == entry.current && slots.is_empty() {
                continue;
            }
            slots.sort_unstable_by_key(|slot| slot.key);
            let hash = entry.current.map_or(EMPTY_CODE_HASH, |account| account.code_hash);
            if before.is_none_or(|account| account.code_hash != hash)
                && let Some(code) = self.codes.get(&hash)
            {
                codes.push((hash, code.clone()));
            }
            accounts.push((entry.address, AccountDiff { before, after: entry.current, slots }));
        }
        accounts.sort_unstable_by_key(|(address, _)| *address);
        codes.sort_unstable_by_key(|(hash, _)| *hash);
        codes.dedup_by_key(|(hash, _)| *hash);
        StateDiff { accounts, codes }
    }
}
