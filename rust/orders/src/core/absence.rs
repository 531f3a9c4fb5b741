//! After an absence longer than the ring of headers: what became of everything that was under way is looked up by its
//! hashes, and nothing is settled before that is known.
//!
//! A block below the ring is deeper than any reorganisation ever was. That it is canonical is the word of whoever looked
//! it up, who asks more than one node; of blocks within the ring only the ring's own word counts.

use std::collections::BTreeMap;

use types::{Address, B256};

use super::{Core, Want};
use crate::{chain::Receipt, order::Slot, stored::stored};

/// One of our transactions in a canonical block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The block's height.
    pub number: u64,
    /// Its hash.
    pub block: B256,
    /// What it says.
    pub receipt: Receipt,
}

stored!(Found { number, block, receipt });

impl Core {
    /// Asks for every slot that is not final.
    pub(super) fn look_up_all(&mut self) {
        self.state.lookups.extend(self.state.hashes.values().map(|signee| signee.slot));
        self.ask_lookups();
    }

    /// Asks for what is not answered.
    pub(super) fn ask_lookups(&mut self) {
        let mut asked: BTreeMap<Slot, Vec<B256>> = BTreeMap::new();
        for (hash, signee) in self.state.hashes.iter().filter(|(_, signee)| self.state.lookups.contains(&signee.slot)) {
            asked.entry(signee.slot).or_default().push(*hash);
        }
        for (slot, mut hashes) in asked {
            hashes.sort_unstable();
            let sender = self.state.lanes.lane(slot.lane).sender;
            self.want(Want::Lookup { sender, nonce: slot.nonce, hashes });
        }
    }

    /// Which of a slot's transactions the chain holds; None: none of those that were asked for.
    pub(super) fn looked_up(&mut self, sender: &Address, nonce: u64, found: Option<&Found>) {
        let Some(lane) = self.state.lanes.find(sender) else { return };
        let slot = Slot { lane, nonce };
        let ours =
            |found: &&Found| self.state.hashes.get(&found.receipt.tx_hash).is_some_and(|signee| signee.slot == slot);
        if found.is_some_and(|found| !ours(&found)) || !self.state.lookups.remove(&slot) {
            return;
        }
        let lowest = self.state.ring.lowest().unwrap_or(0);
        let below = found.filter(|found| found.number < lowest);
        let stays = |at: &(u64, B256), block: &B256| {
            below.is_some_and(|found| *at == (found.number, found.receipt.tx_hash) && *block == found.block)
        };
        let gone: Vec<_> = self
            .state
            .landed
            .range(..(lowest, B256::ZERO))
            .filter(|(at, landing)| landing.signee.slot == slot && !stays(at, &landing.block))
            .map(|(at, landing)| (*at, *landing))
            .collect();
        for (at, landing) in gone {
            self.unland_one(at, landing);
        }
        if let Some((found, signee)) =
            below.and_then(|found| Some((found, *self.state.hashes.get(&found.receipt.tx_hash)?)))
        {
            self.land(found.number, found.block, signee, &found.receipt);
        }
        self.go_on();
    }
}
