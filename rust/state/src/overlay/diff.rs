//! What came of it: the diff of one transaction, read off the journal, and of everything, read off the arenas.

use alloy_primitives::map::HashMap;
use types::U256;

use super::{Overlay, held::Held, journal::Undo};
use crate::{AccountDiff, SlotDiff, StateDiff};

impl Overlay<'_> {
    /// What the transaction that [`Overlay::begin`] opened has changed so far.
    pub fn transaction_diff(&self) -> StateDiff {
        // The first entry for each place holds what it was before the transaction.
        let mut before: HashMap<u32, Held> = HashMap::default();
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
        let mut changes: Vec<(u32, Held)> = before.into_iter().collect();
        changes.sort_unstable_by_key(|(account, _)| self.accounts[*account as usize].address);
        let mut sink = Sink::with_capacity(self, changes.len());
        for (account, before) in changes {
            let slots = slots.remove(&account).into_iter().flatten();
            sink.push(account, before, slots.map(|(slot, before)| self.slot_diff(slot, before)).collect());
        }
        sink.finish()
    }

    /// What everything since the overlay stood over its view has changed.
    pub fn diff(&self) -> StateDiff {
        let mut sink = Sink::with_capacity(self, self.changed.len());
        for account in self.by_address_order() {
            let slots = self.own_slots(account).map(|slot| self.slot_diff(slot, self.slots[slot as usize].initial));
            sink.push(account, self.accounts[account as usize].initial, slots.collect());
        }
        sink.finish()
    }

    /// The changed accounts, ascending by address.
    fn by_address_order(&self) -> impl Iterator<Item = u32> {
        // Numbers sort several times faster than addresses found by index: the first twelve bytes stand in front of the
        // index. That is the whole order unless somebody has ground out addresses alike in twelve bytes.
        let rank = |index: &u32| {
            let address = &self.accounts[*index as usize].address;
            let mut bytes = [0; 16];
            bytes[..12].copy_from_slice(&address[..12]);
            bytes[12..].copy_from_slice(&index.to_be_bytes());
            u128::from_be_bytes(bytes)
        };
        let mut ranks: Vec<u128> = self.changed.iter().map(rank).collect();
        ranks.sort_unstable();
        let address = |rank: &u128| self.accounts[*rank as u32 as usize].address;
        if ranks.windows(2).any(|pair| pair[0] >> 32 == pair[1] >> 32) {
            ranks.sort_unstable_by_key(address);
        }
        ranks.into_iter().map(|rank| rank as u32)
    }

    fn slot_diff(&self, slot: u32, before: U256) -> SlotDiff {
        let slot = &self.slots[slot as usize];
        SlotDiff { key: slot.key, before, after: slot.current }
    }
}

/// Takes accounts ascending by address, and keeps what really changed.
struct Sink<'a, 'v> {
    overlay: &'a Overlay<'v>,
    diff: StateDiff,
}

impl<'a, 'v> Sink<'a, 'v> {
    fn with_capacity(overlay: &'a Overlay<'v>, accounts: usize) -> Self {
        Self { overlay, diff: StateDiff { accounts: Vec::with_capacity(accounts), codes: Vec::new() } }
    }

    fn push(&mut self, account: u32, before: Held, mut slots: Vec<SlotDiff>) {
        let entry = &self.overlay.accounts[account as usize];
        slots.retain(|slot| slot.before != slot.after);
        if before == entry.current && slots.is_empty() {
            return;
        }
        slots.sort_unstable_by_key(|slot| slot.key);
        let codes = &self.overlay.codes;
        self.diff.codes.extend(codes.news(&before, &entry.current));
        let (before, after) = (codes.account(&before), codes.account(&entry.current));
        self.diff.accounts.push((entry.address, AccountDiff { before, after, slots }));
    }

    fn finish(mut self) -> StateDiff {
        self.diff.codes.sort_unstable_by_key(|(hash, _)| *hash);
        self.diff.codes.dedup_by_key(|(hash, _)| *hash);
        self.diff
    }
}
