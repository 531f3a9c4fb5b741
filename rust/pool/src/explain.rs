//! Why a waiting transaction stands where it stands, and what would bring it into the next block.

use kernels::score::portable::log2;
use types::B256;

use crate::{Class, History, Pool, Room, Tried, Weights, factor_of, select::to_float};

/// Something that keeps a transaction out of the next block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Obstacle {
    /// A transaction with this nonce has to come first, and nobody has sent it.
    Gap {
        /// The missing one.
        nonce: u64,
    },
    /// Transactions of the sender come first and are not in the next block either.
    Predecessor {
        /// The first of them.
        hash: B256,
    },
    /// The fee cap would have to be at least the base fee.
    FeeCap {
        /// The least that would do.
        required: u128,
    },
    /// The blob fee cap would have to be at least the blob base fee.
    BlobFeeCap {
        /// The least that would do.
        required: u128,
    },
    /// Others rank higher and fill the block: with this tip it would rank among them.
    Tip {
        /// The least that would do.
        required: u128,
    },
    /// It asks for more gas, blobs or bytes than are left when its turn comes.
    Size,
}

/// Where a transaction stands and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Its class.
    pub class: Class,
    /// The class's priority.
    pub priority: f64,
    /// What a unit of its gas would give the producer; None where it can't pay the base fee.
    pub tip: Option<u128>,
    /// The sender's factor.
    pub factor: f64,
    /// What the factor was made of; None where nothing is known of the sender.
    pub history: Option<History>,
    /// How much fees and priorities decide.
    pub weights: Weights,
    /// The running median that tips are measured by.
    pub median_tip: u128,
    /// Its rank; None where it can't pay the base fee.
    pub rank: Option<f64>,
    /// Its place in the next block, from 0; None where it would not be in it.
    pub place: Option<usize>,
    /// What keeps it out; None where it would be in it.
    pub obstacle: Option<Obstacle>,
}

impl Pool {
    /// Explains a waiting transaction, by the block that would be made now; None where it isn't here. Costs as much as
    /// [`Pool::schedule`].
    pub fn explain(&mut self, hash: &B256, room: &Room) -> Option<Explanation> {
        let (id, nonce) = self.place(hash)?;
        let schedule = self.schedule(room, &Tried::default());
        let queue = &self.queues[id as usize];
        let pooled = &queue.get(nonce)?.pooled;
        let class = pooled.class;
        let (priority, factor) = (self.settings.priorities.0[class as usize], factor_of(queue.step(class)));
        let tip = pooled.effective_tip(room.base_fee);
        let weights = self.rank_weights();
        let boost = weights.boost * log2(priority * factor);
        let scale = 1.0 / (weights.median + 1.0);
        let rank = tip.map(|tip| weights.fee * log2((to_float(tip) + 1.0) * scale) + boost);
        let place = schedule.transactions.iter().position(|other| other.hash == *hash);
        let scheduled = |nonce: u64| {
            queue
                .get(nonce)
                .is_some_and(|item| schedule.transactions.iter().any(|other| other.hash == item.pooled.hash))
        };
        let first_out = queue.ready().iter().find(|item| !scheduled(item.pooled.nonce));
        let obstacle = if place.is_some() {
            None
        } else if !queue.is_ready(nonce) {
            Some(Obstacle::Gap { nonce: queue.next_nonce() })
        } else if let Some(first) = first_out.filter(|first| first.pooled.nonce < nonce) {
            Some(Obstacle::Predecessor { hash: first.pooled.hash })
        } else if tip.is_none() {
            Some(Obstacle::FeeCap { required: u128::from(room.base_fee) })
        } else if pooled.blobs > 0 && pooled.blob_fee_cap() < room.blob_base_fee {
            Some(Obstacle::BlobFeeCap { required: room.blob_base_fee })
        } else if rank.is_some_and(|rank| rank > schedule.lowest_rank) {
            Some(Obstacle::Size)
        } else {
            // The rank's formula, solved for the tip.
            let needed = ((schedule.lowest_rank - boost) / weights.fee).exp2() / scale;
            Some(Obstacle::Tip { required: (needed.ceil() as u128).max(tip.unwrap_or_default() + 1) })
        };
        Some(Explanation {
            class,
            priority,
            tip,
            factor,
            history: self.factors.history(&queue.sender).copied(),
            weights: self.weights,
            median_tip: self.median_tip(),
            rank,
            place,
            obstacle,
        })
    }
}
