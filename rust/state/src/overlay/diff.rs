//! What came of it: the diff of one transaction, read off the journal, and of everything, read off the arenas.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeSet};

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
        StateDiff::beside(&[self.changes(&self.in_order())], &InSequence)
    }

    /// What has changed, put in order: the first part of a diff, which needs nobody else's.
    pub fn in_order(&self) -> InOrder {
        let address = |index: u32| self.accounts[index as usize].address;
        let accounts = ranked(
            self.really_changed(),
            |index| u128::from_be_bytes(*address(index).first_chunk().expect("twenty bytes")),
            address,
        );
        let many =
            accounts.iter().map(|rank| *rank as u32).filter(|account| self.own_slots(*account).nth(MANY).is_some());
        let mut slots: Vec<(u32, Vec<u128>)> =
            many.map(|account| (account, slots_in_order(&self.accounts, &self.slots, account))).collect();
        slots.sort_unstable_by_key(|(account, _)| *account);
        InOrder { accounts, slots }
    }

    /// What is left of the order after [`Overlay::retract`]: places leave it, and hardly ever does one join.
    pub fn still_in_order(&self, mut order: InOrder) -> InOrder {
        order.accounts.retain(|rank| self.is_changed(*rank as u32));
        if order.accounts.len() != self.really_changed().count() {
            return self.in_order();
        }
        order.slots.retain(|(account, _)| self.is_changed(*account));
        order
            .slots
            .iter_mut()
            .for_each(|(_, slots)| slots.retain(|rank| self.slots[*rank as u32 as usize].is_changed()));
        order
    }

    fn really_changed(&self) -> impl Iterator<Item = u32> {
        self.changed.iter().copied().filter(|account| self.is_changed(*account))
    }

    fn is_changed(&self, account: u32) -> bool {
        let entry = &self.accounts[account as usize];
        entry.initial != entry.current || self.own_slots(account).any(|slot| self.slots[slot as usize].is_changed())
    }

    /// The same, to be copied with others'.
    pub fn changes<'o>(&'o self, order: &'o InOrder) -> Changes<'o> {
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

/// An account with more slots than these is the work of several threads.
const MANY: usize = 64;

/// What an overlay has changed, in order. Numbers sort several times faster than keys found by index, so the first twelve
/// bytes of each key stand in front of the index: a rank.
#[derive(Debug, Default)]
pub struct InOrder {
    /// Ranks of the changed accounts.
    accounts: Vec<u128>,
    /// Of accounts with many slots, by index: the ranks of those that changed.
    slots: Vec<(u32, Vec<u128>)>,
}

/// The ranks of these, ascending by their keys. `head` is the key's beginning.
fn ranked<K: Ord>(indices: impl Iterator<Item = u32>, head: impl Fn(u32) -> u128, key: impl Fn(u32) -> K) -> Vec<u128> {
    let mut ranks: Vec<u128> = Vec::with_capacity(indices.size_hint().1.unwrap_or(0));
    ranks.extend(indices.map(|index| head(index) >> 32 << 32 | u128::from(index)));
    ranks.sort_unstable();
    // The whole order, unless somebody has ground out keys that begin alike.
    if ranks.windows(2).any(|pair| pair[0] >> 32 == pair[1] >> 32) {
        ranks.sort_unstable_by_key(|rank| key(*rank as u32));
    }
    ranks
}

/// Whichever key is less, found by index only where their ranks begin alike.
fn by_rank<K: Ord>(one: (u128, impl FnOnce() -> K), two: (u128, impl FnOnce() -> K)) -> Ordering {
    (one.0 >> 32).cmp(&(two.0 >> 32)).then_with(|| one.1().cmp(&two.1()))
}

/// Ranks of the account's slots that changed.
fn slots_in_order(accounts: &[AccountEntry], slots: &[SlotEntry], account: u32) -> Vec<u128> {
    let key = |slot: u32| slots[slot as usize].key;
    let first = accounts[account as usize].first_slot;
    let own = std::iter::successors((first != NO_SLOT).then_some(first), |slot| {
        let next = slots[*slot as usize].next;
        (next != NO_SLOT).then_some(next)
    });
    let head = |slot: u32| {
        let [.., third, fourth] = *key(slot).as_limbs();
        u128::from(fourth) << 64 | u128::from(third)
    };
    ranked(own.filter(|slot| slots[*slot as usize].is_changed()), head, key)
}

/// What an overlay has changed, to be copied by any thread.
#[derive(Clone, Copy)]
pub struct Changes<'o> {
    accounts: &'o [AccountEntry],
    slots: &'o [SlotEntry],
    codes: &'o Codes,
    order: &'o InOrder,
}

/// A changed account among those of several overlays: whose, and which of that one's.
#[derive(Clone, Copy, Debug)]
struct Changed {
    overlay: u32,
    account: u32,
    /// Whether other overlays changed it, too.
    is_followed: bool,
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
    #[inline]
    fn address(&self, account: u32) -> &Address {
        &self.accounts[account as usize].address
    }

    /// The account at this address, if it changed.
    fn find(&self, address: &Address) -> Option<u32> {
        let accounts = &self.order.accounts;
        let index = accounts.binary_search_by(|rank| self.address(*rank as u32).cmp(address)).ok()?;
        Some(accounts[index] as u32)
    }

    /// The account's change; of those that have many slots without them.
    #[inline]
    fn account(&self, account: u32) -> AccountDiff {
        let entry = &self.accounts[account as usize];
        let (before, after) = (self.codes.account(&entry.initial), self.codes.account(&entry.current));
        let mut slots = Vec::new();
        if self.many(account).is_none() {
            let mut next = entry.first_slot;
            while next != NO_SLOT {
                let slot = &self.slots[next as usize];
                if slot.is_changed() {
                    slots.push(self.slot(next));
                }
                next = slot.next;
            }
            slots.sort_unstable_by_key(|slot| slot.key);
        }
        AccountDiff { before, after, slots }
    }

    fn slot(&self, slot: u32) -> SlotDiff {
        let slot = &self.slots[slot as usize];
        SlotDiff { key: slot.key, before: slot.initial, after: slot.current }
    }

    /// The ranks of its changed slots, if it has many.
    fn many(&self, account: u32) -> Option<&[u128]> {
        let slots = &self.order.slots;
        let index = slots.binary_search_by_key(&account, |(account, _)| *account).ok()?;
        Some(&slots[index].1)
    }

    fn news(&self) -> impl Iterator<Item = (B256, Bytes)> {
        let order = if self.codes.any_set() { &self.order.accounts[..] } else { &[] };
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
            if !changed.is_followed {
                return (address, own(changed));
            }
            let others = &followers[&(changed.overlay, changed.account)];
            (address, others.iter().fold(own(changed), |sum, other| sum.beside(own(other))))
        };
        let mut accounts = each.each(&firsts, account);
        for address in with_many_slots(all) {
            let index = accounts.binary_search_by_key(&address, |(address, _)| *address).expect("it has changed");
            let slots = slots_in_line(all, &address);
            accounts[index].1.slots = each.each(&slots, |(overlay, rank)| all[*overlay as usize].slot(*rank as u32));
        }
        let mut codes: Vec<(B256, Bytes)> = all.iter().flat_map(Changes::news).collect();
        codes.sort_unstable_by_key(|(hash, _)| *hash);
        codes.dedup_by_key(|(hash, _)| *hash);
        Self { accounts, codes }
    }
}

/// Whose slots are many, in any of the overlays.
fn with_many_slots(all: &[Changes<'_>]) -> BTreeSet<Address> {
    all.iter().flat_map(|changes| changes.order.slots.iter().map(|(account, _)| *changes.address(*account))).collect()
}

/// The account's changed slots in all overlays, ascending by key; no two changed the same one.
fn slots_in_line(all: &[Changes<'_>], address: &Address) -> Vec<(u32, u128)> {
    let mut lists: Vec<(u32, Cow<'_, [u128]>)> = Vec::with_capacity(all.len());
    for (overlay, changes) in (0..).zip(all) {
        if let Some(account) = changes.find(address) {
            let ranks = changes.many(account).map(Cow::Borrowed);
            let few = || Cow::Owned(slots_in_order(changes.accounts, changes.slots, account));
            lists.push((overlay, ranks.unwrap_or_else(few)));
        }
    }
    let key = |(overlay, rank): (u32, u128)| all[overlay as usize].slots[rank as u32 as usize].key;
    let mut line: Vec<(u32, u128)> = Vec::with_capacity(lists.iter().map(|(_, ranks)| ranks.len()).sum());
    let mut rest: Vec<(u32, &[u128])> = lists.iter().map(|(overlay, ranks)| (*overlay, &ranks[..])).collect();
    loop {
        let heads =
            rest.iter().enumerate().filter_map(|(list, (overlay, ranks))| Some((list, (*overlay, *ranks.first()?))));
        let least = heads.min_by(|(_, one), (_, two)| by_rank((one.1, || key(*one)), (two.1, || key(*two))));
        let Some((list, slot)) = least else { return line };
        rest[list].1 = &rest[list].1[1..];
        line.push(slot);
    }
}

/// A share of every overlay's changed accounts: those of a range of addresses.
type Share<'c> = Vec<&'c [u128]>;

/// So many of them, alike in size if addresses are spread alike in all overlays.
fn shares<'c>(all: &'c [Changes<'_>], count: usize) -> Vec<Share<'c>> {
    let mut rest: Share<'_> = all.iter().map(|changes| &changes.order.accounts[..]).collect();
    let most = rest.iter().copied().max_by_key(|order| order.len()).unwrap_or_default();
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
    let changed = |overlay: u32, rank: &u128| Changed { overlay, account: *rank as u32, is_followed: false };
    if let [alone] = share[..] {
        return (alone.iter().map(|rank| changed(0, rank)).collect(), HashMap::default());
    }
    let mut firsts: Vec<Changed> = Vec::with_capacity(share.iter().map(|order| order.len()).sum());
    let mut followers = Followers::default();
    let mut rest = share.clone();
    let address = |changed: &Changed| all[changed.overlay as usize].address(changed.account);
    // Addresses are looked at only where ranks begin alike: they lie all over the memory, mostly another core's.
    let mut last_rank = 0;
    loop {
        let heads =
            (0..).zip(&rest).filter_map(|(overlay, order)| order.first().map(|rank| (*rank, changed(overlay, rank))));
        let least =
            heads.min_by(|(one, first), (two, second)| by_rank((*one, || address(first)), (*two, || address(second))));
        let Some((rank, changed)) = least else { return (firsts, followers) };
        let is_alike = std::mem::replace(&mut last_rank, rank) >> 32 == rank >> 32;
        let order = &mut rest[changed.overlay as usize];
        *order = &order[1..];
        match firsts.last_mut() {
            Some(last) if is_alike && address(last) == address(&changed) => {
                last.is_followed = true;
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
