//! What waits: transactions that were admitted and are not yet in a block.
//!
//! One [`Pool`] holds a queue for each sender, in the order of nonces. What follows the sender's account nonce without a
//! gap is *pending* and can be selected; what stands behind a gap is *queued* until the gap is filled.
//!
//! Invariants: every transaction is in its sender's queue, in the index by hash and in the order of worth, and in each
//! exactly once; counts and bytes are kept up as transactions come and go, never by a scan; the pool is never larger
//! than its [`Limits`]; a refused transaction changes nothing. The pool executes nothing and reads no state: who admits
//! says what the sender's account is, and has checked everything that one transaction alone can be checked for.

mod admit;
mod limits;
mod queue;
mod select;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use types::{Address, B256, Recovered, U256};

pub use admit::{Admitted, PoolError};
pub use limits::Limits;
use queue::Queue;
pub use select::Best;

/// A transaction in the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pooled {
    /// What was signed, and who did.
    pub transaction: Recovered,
    /// Its name.
    pub hash: B256,
    /// Length of its EIP-2718 form in bytes.
    pub size_bytes: usize,
    /// How many had arrived before it: ties are broken by this.
    pub arrival: u64,
}

impl Pooled {
    /// Most that it can take from the sender's balance.
    pub fn cost(&self) -> U256 {
        let transaction = &self.transaction.transaction;
        let gas = U256::from(transaction.max_fee_per_gas()) * U256::from(transaction.gas_limit());
        let blobs = transaction.max_fee_per_blob_gas().map_or(U256::ZERO, |fee| {
            U256::from(fee) * U256::from(transaction.blob_hashes().len()) * U256::from(GAS_PER_BLOB)
        });
        gas.saturating_add(blobs).saturating_add(transaction.value())
    }

    /// Its place in the order of worth: a better tip is worth more, and of equal ones the earlier.
    fn worth(&self) -> Worth {
        Worth { tip: self.transaction.transaction.max_priority_fee_per_gas(), age: u64::MAX - self.arrival }
    }
}

/// Gas that one blob takes (EIP-4844).
const GAS_PER_BLOB: u64 = 1 << 17;

/// What decides who leaves a full pool: the least goes first. Arrivals differ, so no two are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    tip: u128,
    age: u64,
}

/// The waiting transactions. Cloning shares the transactions and copies the indices.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    limits: Limits,
    senders: HashMap<Address, Queue>,
    hashes: HashMap<B256, (Address, u64)>,
    by_worth: BTreeSet<(Worth, B256)>,
    size_bytes: usize,
    arrivals: u64,
}

impl Pool {
    /// An empty pool.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How many transactions wait, queued ones included.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Sum of the transactions' lengths.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A waiting transaction by its hash.
    pub fn get(&self, hash: &B256) -> Option<&Arc<Pooled>> {
        let (sender, nonce) = self.hashes.get(hash)?;
        self.senders[sender].get(*nonce)
    }

    /// Those of a sender that can be included now, by nonce.
    pub fn pending(&self, sender: &Address) -> impl Iterator<Item = &Arc<Pooled>> {
        self.senders.get(sender).into_iter().flat_map(Queue::pending)
    }

    /// Those of a sender that stand behind a gap, by nonce.
    pub fn queued(&self, sender: &Address) -> impl Iterator<Item = &Arc<Pooled>> {
        self.senders.get(sender).into_iter().flat_map(Queue::queued)
    }

    /// Who has transactions here, ascending by address.
    pub fn senders(&self) -> Vec<Address> {
        let mut senders: Vec<_> = self.senders.keys().copied().collect();
        senders.sort_unstable();
        senders
    }

    /// The nonce that the sender's next transaction should have; None where nothing of the sender is pending.
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        self.senders.get(sender).map(Queue::next_nonce)
    }

    /// What the sender's account looks like now: drops what its nonce has passed, and promotes what follows it.
    pub fn settle(&mut self, sender: &Address, nonce: u64) {
        let Some(queue) = self.senders.get_mut(sender) else { return };
        for passed in queue.settle(nonce) {
            self.forget(&passed);
        }
        if self.senders[sender].is_empty() {
            self.senders.remove(sender);
        }
    }

    /// Takes one out; those of the sender that follow it become queued.
    pub fn remove(&mut self, hash: &B256) -> Option<Arc<Pooled>> {
        let (sender, nonce) = *self.hashes.get(hash)?;
        let queue = self.senders.get_mut(&sender).expect("an indexed transaction has a queue");
        let removed = queue.remove(nonce).expect("an indexed transaction is in its queue");
        if queue.is_empty() {
            self.senders.remove(&sender);
        }
        self.forget(&removed);
        Some(removed)
    }

    /// Empties the pool.
    pub fn clear(&mut self) {
        *self = Self { limits: self.limits, arrivals: self.arrivals, ..Self::default() };
    }

    fn forget(&mut self, gone: &Pooled) {
        self.hashes.remove(&gone.hash);
        self.by_worth.remove(&(gone.worth(), gone.hash));
        self.size_bytes -= gone.size_bytes;
    }
}

#[cfg(test)]
mod tests;
