//! What is written down whenever a transaction comes, goes or changes its standing: sums, the order in which a full pool
//! lets go, and what followers are told.

use std::sync::Arc;

use crate::{
    Change, Event, Pooled,
    heap::{Entry, Heap, Places, Walk, reserve},
    queue::Item,
    state::Tally,
};

/// What a transaction is worth to a full pool: one that stands behind a gap less than one that can't pay the base fee,
/// that one less than one that can; among their like, what they offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Worth(u128);

/// Fees above this (some 10^19 ether a unit of gas) are alike.
const FEE_MAX: u128 = (1 << 126) - 1;

impl Worth {
    pub(crate) fn of(pooled: &Pooled, ready: bool, base_fee: u64) -> Self {
        let (standing, fee) = match (ready, pooled.effective_tip(base_fee)) {
            (false, _) => (0, pooled.fee_cap),
            (true, None) => (1, pooled.fee_cap),
            (true, Some(tip)) => (2, tip),
        };
        Self(standing << 126 | fee.min(FEE_MAX))
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub(crate) tally: Tally,
    pub(crate) events: Vec<Event>,
    pub(crate) base_fee: u64,
    /// Least worth first, and of equal ones the latest arrival.
    worst: Heap,
    places: Places,
}

impl Books {
    fn entry(&self, item: &Item, ready: bool) -> Entry {
        let worth = Worth::of(&item.pooled, ready, self.base_fee);
        Entry { key: !worth.0, arrival: u64::MAX - item.arrival, id: item.id() }
    }

    fn tell(&mut self, pooled: &Arc<Pooled>, change: Change) {
        self.events.push(Event { pooled: Arc::clone(pooled), change });
    }

    pub(crate) fn enter(&mut self, item: &Item, ready: bool) {
        self.tally.add(&item.pooled);
        if ready {
            self.tally.promote(&item.pooled);
        }
        reserve(&mut self.places, item.id());
        let entry = self.entry(item, ready);
        self.worst.push(entry, &mut self.places);
        self.tell(&item.pooled, Change::Added { pending: ready });
    }

    pub(crate) fn leave(&mut self, item: &Item, ready: bool, change: Change) {
        self.tally.remove(&item.pooled);
        if ready {
            self.tally.demote(&item.pooled);
        }
        self.worst.remove(self.places[item.id() as usize], &mut self.places);
        self.tell(&item.pooled, change);
    }

    pub(crate) fn promote(&mut self, item: &Item) {
        self.tally.promote(&item.pooled);
        self.rate(item, true);
        self.tell(&item.pooled, Change::Promoted);
    }

    pub(crate) fn demote(&mut self, item: &Item) {
        self.tally.demote(&item.pooled);
        self.rate(item, false);
        self.tell(&item.pooled, Change::Demoted);
    }

    /// Puts it where it belongs by worth; whether it stood elsewhere.
    pub(crate) fn rate(&mut self, item: &Item, ready: bool) -> bool {
        let (place, entry) = (self.places[item.id() as usize], self.entry(item, ready));
        let moved = self.worst.get(place) != Some(&entry);
        if moved {
            self.worst.replace(place, entry, &mut self.places);
        }
        moved
    }

    /// The number of the one that is worth least.
    pub(crate) fn worst(&self) -> Option<u32> {
        self.worst.first().map(|entry| entry.id)
    }

    /// Numbers and worths, the least first.
    pub(crate) fn worst_first(&self) -> impl Iterator<Item = (u32, Worth)> {
        let mut walk = Walk::default();
        walk.start(&self.worst);
        std::iter::from_fn(move || walk.next(&self.worst)).map(|entry| (entry.id, Worth(!entry.key)))
    }
}
