//! Senders and their nonces. The counter is local: what the chain counts only confirms it, or shows that somebody else
//! writes with the same key, and then the lane freezes.
//!
//! A slot is a (sender, nonce) pair. It belongs to one public order, or to one or more private ones of which at most one
//! can execute, or it is a hole that the next order takes or a filler closes. It is forgotten when the chain has settled
//! it, and not before.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use types::{Address, B256, U256};

use crate::{
    fees::Offer,
    order::{Attempt, Slot},
    stored::{stored, stored_choice},
};

/// Whose a slot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// One order, or alternatives of which one can execute.
    Orders {
        /// Their names.
        ids: Vec<u64>,
    },
    /// Nobody's any more.
    Hole {
        /// Since when, by the engine's clock.
        since_ns: u64,
    },
    /// A transfer to ourselves closes it.
    Filler,
}

/// What is known of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is.
    pub owner: Owner,
    /// Whether any of its bytes went to public nodes, or will once they are signed.
    pub public: bool,
    /// Highest offer ever signed for it.
    pub highest: Offer,
    /// Highest cost of gas ever signed for it, or to be signed.
    pub cost: u128,
    /// Where it was consumed, and by what: a block of the canonical chain.
    pub consumed: Option<(u64, B256)>,
    /// The chain counts past it, as of this block, and nothing known consumed it.
    pub foreign: Option<(u64, B256)>,
    /// Transactions that only close it.
    pub fillers: Vec<Attempt>,
    /// What a signer outside is asked to close it with, by name.
    pub asked: Option<u64>,
}

/// One sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Who signs.
    pub sender: Address,
    /// What the chain counts, once it was asked.
    pub confirmed: Option<u64>,
    /// The next nonce that was never used here.
    pub next: u64,
    /// What is not settled, by nonce.
    pub slots: BTreeMap<u64, Entry>,
    /// Another writer was seen: nothing is signed until a person says so.
    pub frozen: bool,
    /// The wallet is empty: nothing new is signed for a while.
    pub paused: bool,
    /// The wallet failed: it is left alone for a while.
    pub resting: bool,
    /// How often it failed since it last signed.
    pub rests: u32,
    /// Whether the key is not in this process, so that somebody has to be asked.
    pub outside: bool,
    /// What the sender owns, in wei.
    pub balance: U256,
    /// Whether its signer's answer was checked once.
    pub proven: bool,
}

impl Lane {
    /// What it owns beyond what it has promised.
    pub fn spare(&self) -> U256 {
        let promised: U256 = self.slots.values().map(|entry| U256::from(entry.cost)).sum();
        self.balance.saturating_sub(promised)
    }

    /// Whether something new may be signed.
    pub fn is_open(&self) -> bool {
        self.confirmed.is_some() && !self.frozen && !self.paused && !self.resting
    }
}

/// All senders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lanes {
    lanes: Vec<Lane>,
    /// Open lanes by how many slots are unsettled: the least loaded first.
    load: BTreeSet<(u32, u32)>,
    holes: BTreeSet<Slot>,
}

stored_choice! {
    Owner {
        0: Orders { ids },
        1: Hole { since_ns },
        2: Filler,
    }
}
stored! {
    Entry { owner, public, highest, cost, consumed, foreign, fillers, asked }
    Lane { sender, confirmed, next, slots, frozen, paused, resting, rests, outside, balance, proven }
    Lanes { lanes, load, holes }
}

/// What an order asks of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Most wei that its gas can cost.
    pub cost: u128,
    /// Whether it goes to builders only, at first.
    pub private: bool,
}

impl Lanes {
    /// One lane for each sender; closed until the chain's count is known.
    pub fn new(senders: &[Address]) -> Self {
        let mut lanes = Self::default();
        lanes.extend(senders);
        lanes
    }

    /// Lanes for the senders that have none.
    pub fn extend(&mut self, senders: &[Address]) {
        let held: HashSet<_> = self.lanes.iter().map(|lane| lane.sender).collect();
        self.lanes.extend(senders.iter().filter(|sender| !held.contains(*sender)).map(|sender| Lane {
            sender: *sender,
            confirmed: None,
            next: 0,
            slots: BTreeMap::new(),
            frozen: false,
            paused: false,
            resting: false,
            rests: 0,
            outside: false,
            balance: U256::ZERO,
            proven: false,
        }));
    }

    /// Says whose keys are not in this process.
    pub fn set_outside(&mut self, senders: &[Address]) {
        for lane in &mut self.lanes {
            lane.outside = senders.contains(&lane.sender);
        }
    }

    /// Whether there is such a lane, whose key is not in this process.
    pub fn is_outside(&self, index: u32) -> bool {
        self.lanes.get(index as usize).is_some_and(|lane| lane.outside)
    }

    /// A lane.
    pub fn lane(&self, index: u32) -> &Lane {
        &self.lanes[index as usize]
    }

    /// All lanes with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Lane)> {
        self.lanes.iter().enumerate().map(|(index, lane)| (index as u32, lane))
    }

    /// The lane of a sender.
    pub fn find(&self, sender: &Address) -> Option<u32> {
        self.lanes.iter().position(|lane| lane.sender == *sender).map(|index| index as u32)
    }

    /// A slot that is not settled.
    pub fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.lanes[slot.lane as usize].slots.get(&slot.nonce)
    }

    /// The same, to be changed in all but its owner.
    pub fn entry_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.lanes[slot.lane as usize].slots.get_mut(&slot.nonce)
    }

    /// Changes a lane's standing.
    pub fn change(&mut self, index: u32, change: impl FnOnce(&mut Lane)) {
        self.load.remove(&self.weight(index));
        change(&mut self.lanes[index as usize]);
        if self.lane(index).is_open() {
            self.load.insert(self.weight(index));
        }
    }

    fn weight(&self, index: u32) -> (u32, u32) {
        (self.lane(index).slots.len() as u32, index)
    }

    /// What the least loaded sender can still pay; None where there is none.
    pub fn funds(&self) -> Option<U256> {
        self.load.first().map(|(_, index)| self.lane(*index).spare())
    }

    /// The slot for an order: the lowest hole, else one to share with other private orders, else the next of the least
    /// loaded lane. A private order stands in no row behind or before others: it would wait for them, or they for it.
    pub fn choose(&self, need: Need, depth: u32, sharing: u32) -> Option<Slot> {
        let pays = |index: u32| self.lane(index).spare() >= U256::from(need.cost);
        let alone = |slot: &Slot| self.lane(slot.lane).slots.len() == 1;
        let hole = self.holes.iter().find(|slot| {
            let entry = self.entry(**slot);
            self.lane(slot.lane).is_open()
                && entry.is_some_and(|entry| entry.consumed.is_none() && entry.foreign.is_none())
                && (!need.private || alone(slot) && entry.is_some_and(|entry| !entry.public))
                && pays(slot.lane)
        });
        if let Some(slot) = hole {
            return Some(*slot);
        }
        let depth = if need.private { 1 } else { depth };
        let next = |index: u32| Slot { lane: index, nonce: self.lane(index).next };
        let free = self.load.iter().take_while(|(load, _)| *load < depth).map(|(_, index)| *index);
        // A row that a private order stands in has no place behind it.
        let behind = |index: u32| need.private || self.lane(index).slots.values().all(|entry| entry.public);
        if let Some(index) = free.filter(|index| behind(*index)).find(|index| pays(*index)) {
            return Some(next(index));
        }
        if !need.private || sharing < 2 {
            return None;
        }
        self.load.iter().filter(|(load, _)| *load == 1).find_map(|(_, index)| {
            let (nonce, entry) = self.lane(*index).slots.first_key_value()?;
            let Owner::Orders { ids } = &entry.owner else { return None };
            let joins = !entry.public && entry.consumed.is_none() && ids.len() < sharing as usize;
            (joins && pays(*index)).then_some(Slot { lane: *index, nonce: *nonce })
        })
    }

    /// Gives a chosen slot to an order.
    pub fn reserve(&mut self, slot: Slot, order_id: u64) {
        self.holes.remove(&slot);
        self.change(slot.lane, |lane| {
            lane.next = lane.next.max(slot.nonce + 1);
            let entry = lane.slots.entry(slot.nonce).or_insert_with(|| Entry {
                owner: Owner::Orders { ids: Vec::new() },
                public: false,
                highest: Offer { max_fee: 0, tip: 0 },
                cost: 0,
                consumed: None,
                foreign: None,
                fillers: Vec::new(),
                asked: None,
            });
            match &mut entry.owner {
                Owner::Orders { ids } => ids.push(order_id),
                owner => *owner = Owner::Orders { ids: vec![order_id] },
            }
        });
    }

    /// Remembers what was signed for a slot.
    pub fn signed(&mut self, slot: Slot, attempt: &Attempt, public: bool) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.highest.max_fee = entry.highest.max_fee.max(attempt.offer.max_fee);
            entry.highest.tip = entry.highest.tip.max(attempt.offer.tip);
            entry.cost = entry.cost.max(attempt.gas_cost());
            entry.public |= public;
        }
    }

    /// An order leaves its slot, which the chain has not settled. Nobody left: a hole, or nothing at all where it is the
    /// last of its row and nothing was ever signed for it.
    pub fn leave(&mut self, slot: Slot, order_id: u64, now_ns: u64, never_left: bool) {
        let Some(entry) = self.entry_mut(slot) else { return };
        let Owner::Orders { ids } = &mut entry.owner else { return };
        ids.retain(|id| *id != order_id);
        if !ids.is_empty() {
            return;
        }
        let untouched = never_left && entry.highest.max_fee == 0;
        if untouched {
            (entry.cost, entry.public) = (0, false);
        }
        entry.owner = Owner::Hole { since_ns: now_ns };
        if untouched && self.lane(slot.lane).next == slot.nonce + 1 {
            self.change(slot.lane, |lane| {
                lane.slots.remove(&slot.nonce);
                lane.next = slot.nonce;
            });
        } else {
            self.holes.insert(slot);
        }
    }

    /// A filler was signed for a hole.
    pub fn fill(&mut self, slot: Slot, attempt: Attempt) {
        self.holes.remove(&slot);
        self.signed(slot, &attempt, true);
        if let Some(entry) = self.entry_mut(slot) {
            entry.owner = Owner::Filler;
            entry.fillers.push(attempt);
        }
    }

    /// The chain has settled a slot: it is forgotten.
    pub fn settle(&mut self, slot: Slot) -> Option<Entry> {
        self.holes.remove(&slot);
        let mut entry = None;
        self.change(slot.lane, |lane| entry = lane.slots.remove(&slot.nonce));
        entry
    }

    /// Holes with live slots behind them: they block those.
    pub fn blocking(&self) -> Vec<(Slot, u64)> {
        let blocks = |slot: &&Slot| {
            let lane = self.lane(slot.lane);
            let behind = lane.slots.range(slot.nonce + 1..);
            behind.into_iter().any(|(_, entry)| !matches!(entry.owner, Owner::Hole { .. }))
        };
        let since = |slot: &Slot| match self.entry(*slot).map(|entry| &entry.owner) {
            Some(Owner::Hole { since_ns }) => Some((*slot, *since_ns)),
            _ => None,
        };
        self.holes.iter().filter(blocks).filter_map(since).collect()
    }
}

#[cfg(test)]
mod tests;
