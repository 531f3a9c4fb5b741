//! What came of it: the diff of one transaction, read off the journal, and of everything, read off the arenas.

use alloy_primitives::map::HashMap;
use types::{Address, B256, Bytes, U256};

use super::{
    AccountEntry, NO_SLOT, Overlay, SlotEntry,
    held::{Codes, Held},
    journal::Undo,
};
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
        StateDiff::beside(&[self.changes()], &InSequence)
    }

    /// The same, found but not yet copied.
    pub fn changes(&self) -> Changes<'_> {
        // Numbers sort several times faster than addresses found by index: the first twelve bytes stand in front of the
        // index. That is the whole order unless somebody has ground out addresses alike in twelve bytes.
        let rank = |index: &u32| {
            let mut bytes = [0; 16];
            bytes[..12].copy_from_slice(&self.accounts[*index as usize].address[..12]);
            bytes[12..].copy_from_slice(&index.to_be_bytes());
            u128::from_be_bytes(bytes)
        };
        let changed = |index: &&u32| {
            let entry = &self.accounts[**index as usize];
            entry.initial != entry.current || self.own_slots(**index).any(|slot| self.slots[slot as usize].is_changed())
        };
        let mut order: Vec<u128> = Vec::with_capacity(self.changed.len());
        order.extend(self.changed.iter().filter(changed).map(rank));
        order.sort_unstable();
        let address = |rank: &u128| self.accounts[*rank as u32 as usize].address;
        if order.windows(2).any(|pair| pair[0] >> 32 == pair[1] >> 32) {
            order.sort_unstable_by_key(address);
        }
        Changes { accounts: &self.accounts, slots: &self.slots, codes: &self.codes, order }
    }

    fn slot_diff(&self, slot: u32, before: U256) -> SlotDiff {
        let slot = &self.slots[slot as usize];
        SlotDiff { key: slot.key, before, after: slot.current }
    }
}

impl SlotEntry {
    fn is_changed(&self) -> bool {
        self.current != self.initial
    }
}

/// What an overlay has changed, to be copied by any thread.
pub struct Changes<'o> {
    accounts: &'o [AccountEntry],
    slots: &'o [SlotEntry],
    codes: &'o Codes,
    /// The changed accounts, ascending by address, each behind the first bytes of its address.
    order: Vec<u128>,
}

/// A changed account among those of several overlays: whose, and which of that one's.
#[derive(Clone, Copy, Debug)]
struct Changed {
    overlay: u32,
    account: u32,
}

/// Who does the same with every item of a list.
pub trait Each {
    /// How many items it works at, at once.
    fn workers(&self) -> usize;

    /// What comes of every item, in order.
    fn each<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R>;
}

/// One item after the other.
#[derive(Clone, Copy, Debug)]
pub struct InSequence;

impl Each for InSequence {
    fn workers(&self) -> usize {
        1
    }
    fn each<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
        items.iter().map(work).collect()
    }
}

impl Changes<'_> {
    fn address(&self, account: u32) -> &Address {
        &self.accounts[account as usize].address
    }

    fn account(&self, account: u32) -> AccountDiff {
        let entry = &self.accounts[account as usize];
        let mut slots = Vec::new();
        let mut next = entry.first_slot;
        while next != NO_SLOT {
            let slot = &self.slots[next as usize];
            if slot.is_changed() {
                slots.push(SlotDiff { key: slot.key, before: slot.initial, after: slot.current });
            }
            next = slot.next;
        }
        slots.sort_unstable_by_key(|slot| slot.key);
        AccountDiff { before: self.codes.account(&entry.initial), after: self.codes.account(&entry.current), slots }
    }

    fn news(&self) -> impl Iterator<Item = (B256, Bytes)> {
        let order = if self.codes.any_set() { &self.order[..] } else { &[] };
        let entries = order.iter().map(|rank| &self.accounts[*rank as u32 as usize]);
        entries.filter_map(|entry| self.codes.news(&entry.initial, &entry.current))
    }
}

impl StateDiff {
    /// What several overlays over the same view have changed whose transactions do not clash.
    pub fn beside(all: &[Changes<'_>], each: &impl Each) -> Self {
        let shares = shares(all, each.workers());
        let mut lines = each.each(&shares, |share| in_line(all, share)).into_iter();
        let (mut firsts, mut followers) = lines.next().unwrap_or_default();
        for (more, others) in lines {
            firsts.extend(more);
            followers.extend(others);
        }
        let account = |changed: &Changed| {
            let own = |changed: &Changed| all[changed.overlay as usize].account(changed.account);
            let address = *all[changed.overlay as usize].address(changed.account);
            let others = followers.get(&(changed.overlay, changed.account)).into_iter().flatten();
            (address, others.fold(own(changed), |sum, other| sum.beside(own(other))))
        };
        let accounts = each.each(&firsts, account);
        let mut codes: Vec<(B256, Bytes)> = all.iter().flat_map(Changes::news).collect();
        codes.sort_unstable_by_key(|(hash, _)| *hash);
        codes.dedup_by_key(|(hash, _)| *hash);
        Self { accounts, codes }
    }
}

/// A share of every overlay's changed accounts: those of a range of addresses.
type Share<'c> = Vec<&'c [u128]>;

/// So many of them, alike in size if addresses are spread alike in all overlays.
fn shares<'c>(all: &'c [Changes<'_>], count: usize) -> Vec<Share<'c>> {
    let mut rest: Share<'_> = all.iter().map(|changes| &changes.order[..]).collect();
    let most = all.iter().map(|changes| &changes.order[..]).max_by_key(|order| order.len()).unwrap_or_default();
    let mut shares = Vec::with_capacity(count);
    for index in 1..count {
        let Some(bound) = most.get(most.len() * index / count).map(|rank| rank >> 32) else { break };
        let split = rest.iter_mut().map(|order| {
            let (share, behind) = order.split_at(order.partition_point(|rank| rank >> 32 < bound));
            *order = behind;
            share
        });
        shares.push(split.collect());
    }
    shares.push(rest);
    shares
}

type Followers = HashMap<(u32, u32), Vec<Changed>>;

/// The share's accounts, ascending by address; where several overlays changed one, it stands for the first, and the
/// others follow that one.
fn in_line(all: &[Changes<'_>], share: &Share<'_>) -> (Vec<Changed>, Followers) {
    let changed = |overlay: u32, rank: &u128| Changed { overlay, account: *rank as u32 };
    if let [alone] = share[..] {
        return (alone.iter().map(|rank| changed(0, rank)).collect(), HashMap::default());
    }
    let mut firsts: Vec<Changed> = Vec::with_capacity(share.iter().map(|order| order.len()).sum());
    let mut followers = Followers::default();
    let mut rest = share.clone();
    let address = |changed: &Changed| all[changed.overlay as usize].address(changed.account);
    loop {
        let heads =
            (0..).zip(&rest).filter_map(|(overlay, order)| order.first().map(|rank| (*rank, changed(overlay, rank))));
        let least = heads.min_by(|(one, first), (two, second)| {
            (one >> 32).cmp(&(two >> 32)).then_with(|| address(first).cmp(address(second)))
        });
        let Some((_, changed)) = least else { return (firsts, followers) };
        let order = &mut rest[changed.overlay as usize];
        *order = &order[1..];
        match firsts.last() {
            Some(last) if address(last) == address(&changed) => {
                followers.entry((last.overlay, last.account)).or_default().push(changed);
            }
            _ => firsts.push(changed),
        }
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
