//! In which order pending transactions go into a block: best effective tip first, a sender's own ones by nonce, ties by
//! arrival, so that the same pool always gives the same block.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    iter::Peekable,
    sync::Arc,
};

use types::Address;

use crate::{Pool, Pooled};

/// Pending transactions, best first, at one base fee. Senders whose next one cannot pay the base fee are left out.
pub struct Best<'p> {
    base_fee: u64,
    heads: BinaryHeap<(u128, Reverse<u64>, Address)>,
    waiting: HashMap<Address, Waiting<'p>>,
}

/// What is left of a sender's pending transactions.
type Waiting<'p> = Peekable<Box<dyn Iterator<Item = &'p Arc<Pooled>> + 'p>>;

impl Pool {
    /// All that could stand in a block with this base fee, in the order in which it should.
    pub fn best(&self, base_fee: u64) -> Best<'_> {
        let mut best = Best { base_fee, heads: BinaryHeap::new(), waiting: HashMap::new() };
        for (sender, queue) in &self.senders {
            let pending: Box<dyn Iterator<Item = _>> = Box::new(queue.pending());
            best.waiting.insert(*sender, pending.peekable());
            best.raise(sender);
        }
        best
    }
}

impl Best<'_> {
    /// Leaves out what is left of a sender: its last one could not be included, so the later ones can't either.
    pub fn leave_out(&mut self, sender: &Address) {
        self.waiting.remove(sender);
    }

    /// Puts the sender's next transaction among the heads.
    fn raise(&mut self, sender: &Address) {
        let Some(next) = self.waiting.get_mut(sender).and_then(|queue| queue.peek()) else { return };
        let transaction = &next.transaction.transaction;
        if let Some(above) = transaction.max_fee_per_gas().checked_sub(u128::from(self.base_fee)) {
            let tip = above.min(transaction.max_priority_fee_per_gas());
            self.heads.push((tip, Reverse(next.arrival), *sender));
        }
    }
}

impl<'p> Iterator for Best<'p> {
    type Item = &'p Arc<Pooled>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((_, _, sender)) = self.heads.pop() {
            // A skipped sender's head is still in the heap.
            let Some(next) = self.waiting.get_mut(&sender).and_then(Iterator::next) else { continue };
            self.raise(&sender);
            return Some(next);
        }
        None
    }
}
