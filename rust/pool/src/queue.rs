//! One sender's transactions by nonce: those that follow the account's nonce without a gap, and those behind one.
//!
//! Invariants: `ready[i]` has nonce `nonce + i`; everything in `gapped` is above `next_nonce()`; `cost` is the sum of all
//! costs. An emptied queue keeps its memory for the next sender.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use kernels::prefetch;
use types::{Address, U256};

use crate::{Class, Pooled, factor::NEUTRAL};

/// A transaction with what selection reads of it, one cache line: a sender's next ones are ranked and chosen without a look at
/// each, which would be another line somewhere in memory.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Item {
    pub(crate) tip: u128,
    pub(crate) fee_cap: u128,
    pub(crate) arrival: u64,
    pub(crate) gas_limit: u64,
    pub(crate) pooled: Arc<Pooled>,
    pub(crate) size_bytes: u32,
    pub(crate) blobs: u16,
    pub(crate) class: Class,
}

impl Item {
    pub(crate) fn new(pooled: Arc<Pooled>) -> Self {
        let Pooled { tip, fee_cap, arrival, gas_limit, size_bytes, blobs, class, .. } = *pooled;
        let size_bytes = u32::try_from(size_bytes).unwrap_or(u32::MAX);
        Self { tip, fee_cap, arrival, gas_limit, size_bytes, blobs, class, pooled }
    }

    /// The transaction's number in the pool.
    pub(crate) fn id(&self) -> u32 {
        self.pooled.id
    }
}

/// What selection reads stands first, in one cache line.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Queue {
    ready: VecDeque<Item>,
    /// The account's.
    pub(crate) nonce: u64,
    /// The step of the sender's factor by class, four bits each.
    steps: u32,
    pub(crate) sender: Address,
    gapped: BTreeMap<u64, Item>,
    /// Most that all of it can take from the account.
    pub(crate) cost: U256,
    /// Of all, how many bring blobs: all or none.
    pub(crate) blobs: u32,
    /// Whether the order of heads does not know yet what has changed.
    pub(crate) dirty: bool,
}

impl Queue {
    /// Begins anew, for this sender.
    pub(crate) fn open(&mut self, sender: Address, nonce: u64) {
        debug_assert!(self.is_empty());
        self.sender = sender;
        self.nonce = nonce;
        self.cost = U256::ZERO;
        self.blobs = 0;
        self.steps = u32::from_ne_bytes([NEUTRAL | NEUTRAL << 4; 4]);
    }

    pub(crate) fn len(&self) -> usize {
        self.ready.len() + self.gapped.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.gapped.is_empty()
    }

    pub(crate) fn get(&self, nonce: u64) -> Option<&Item> {
        match nonce.checked_sub(self.nonce).and_then(|place| self.ready.get(usize::try_from(place).ok()?)) {
            Some(ready) => Some(ready),
            None => self.gapped.get(&nonce),
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Item> {
        self.ready.iter().chain(self.gapped.values())
    }

    pub(crate) fn ready(&self) -> &VecDeque<Item> {
        &self.ready
    }

    /// Fetches what says where the ready ones are; then, in another step, the first two of them.
    pub(crate) fn prefetch(&self) {
        prefetch(self);
    }

    /// See [`prefetch`](Self::prefetch).
    pub(crate) fn prefetch_first(&self) {
        if let Some(first) = self.ready.front() {
            prefetch(first);
            prefetch(std::ptr::from_ref(first).wrapping_add(1));
        }
    }

    pub(crate) fn gapped(&self) -> impl Iterator<Item = &Item> {
        self.gapped.values()
    }

    pub(crate) fn is_ready(&self, nonce: u64) -> bool {
        (self.nonce..self.next_nonce()).contains(&nonce)
    }

    /// The first nonce that nobody here has taken.
    pub(crate) fn next_nonce(&self) -> u64 {
        self.nonce + self.ready.len() as u64
    }

    pub(crate) fn step(&self, class: Class) -> u8 {
        (self.steps >> (4 * class as u32)) as u8 & 15
    }

    pub(crate) fn set_step(&mut self, class: Class, step: u8) {
        let shift = 4 * class as u32;
        self.steps = self.steps & !(15 << shift) | u32::from(step) << shift;
    }

    /// Puts one in, in place of the one with the same nonce. Whatever it makes ready is told to `promoted`, itself
    /// not.
    pub(crate) fn insert(&mut self, item: Item, promoted: impl FnMut(&Item)) {
        self.cost += item.pooled.cost;
        self.blobs += u32::from(item.blobs > 0);
        let nonce = item.pooled.nonce;
        let replaced = match nonce.checked_sub(self.nonce) {
            Some(place) if place < self.ready.len() as u64 => {
                Some(std::mem::replace(&mut self.ready[place as usize], item))
            }
            Some(place) if place == self.ready.len() as u64 => {
                self.ready.push_back(item);
                self.promote(promoted);
                None
            }
            _ => self.gapped.insert(nonce, item),
        };
        if let Some(replaced) = replaced {
            self.release(&replaced);
        }
    }

    /// Takes one out; those that follow it stand behind a gap then, and are told to `demoted`.
    pub(crate) fn remove(&mut self, nonce: u64, demoted: impl FnMut(&Item)) -> Option<Item> {
        let removed = if self.is_ready(nonce) {
            let place = (nonce - self.nonce) as usize;
            self.demote_from(place + 1, demoted);
            self.ready.pop_back()
        } else {
            self.gapped.remove(&nonce)
        };
        removed.inspect(|removed| self.release(removed))
    }

    /// Takes out the next one whose turn it is, because the account's nonce has passed it.
    pub(crate) fn pass(&mut self) -> Option<Item> {
        let passed = self.ready.pop_front()?;
        self.nonce += 1;
        self.release(&passed);
        Some(passed)
    }

    /// The account's nonce is now this one, which no ready one is below.
    pub(crate) fn rebase(&mut self, nonce: u64, demoted: impl FnMut(&Item), promoted: impl FnMut(&Item)) {
        if nonce == self.nonce {
            return;
        }
        self.demote_from(0, demoted);
        self.nonce = nonce;
        self.promote(promoted);
    }

    /// Of those behind a gap, the first, if it is below this nonce.
    pub(crate) fn gapped_below(&self, nonce: u64) -> Option<u64> {
        self.gapped.keys().next().copied().filter(|first| *first < nonce)
    }

    /// The first that alone costs more than this.
    pub(crate) fn first_above(&self, balance: U256) -> Option<u64> {
        self.all().find(|item| item.pooled.cost > balance).map(|item| item.pooled.nonce)
    }

    /// The nonce of the last one.
    pub(crate) fn last_nonce(&self) -> Option<u64> {
        self.gapped.keys().next_back().copied().or_else(|| self.ready.back().map(|item| item.pooled.nonce))
    }

    fn release(&mut self, gone: &Item) {
        self.cost -= gone.pooled.cost;
        self.blobs -= u32::from(gone.blobs > 0);
    }

    fn demote_from(&mut self, place: usize, mut demoted: impl FnMut(&Item)) {
        for item in self.ready.drain(place..) {
            demoted(&item);
            self.gapped.insert(item.pooled.nonce, item);
        }
    }

    fn promote(&mut self, mut promoted: impl FnMut(&Item)) {
        while let Some(entry) = self.gapped.first_entry()
            && *entry.key() == self.nonce + self.ready.len() as u64
        {
            let item = entry.remove();
            promoted(&item);
            self.ready.push_back(item);
        }
    }
}
