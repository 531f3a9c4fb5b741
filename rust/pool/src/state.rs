//! What the pool holds, as sums that are kept up as transactions come and go, never made by a scan.

use types::U256;

use crate::{Class, Pooled, weights::Histogram};

/// The pool at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MempoolState {
    /// All that wait.
    pub total: usize,
    /// Of those, how many follow their sender's nonce without a gap.
    pub pending: usize,
    /// Of those, how many stand behind a gap.
    pub queued: usize,
    /// Wei per gas that is offered at most, averaged over all waiting gas.
    pub fee_rate: u128,
    /// Gas of all.
    pub gas: u64,
    /// Bytes of all transactions in their EIP-2718 form.
    pub size_bytes: usize,
    /// Bytes that they take in memory, all that is kept for them included.
    pub memory_bytes: usize,
    /// How long the oldest has waited, in milliseconds; None where nobody waits.
    pub oldest_ms: Option<u64>,
    /// How many there are of each class.
    pub classes: [usize; Class::ALL.len()],
    /// How many bring blobs.
    pub blob_transactions: usize,
    /// How many are private.
    pub private: usize,
}

/// The sums behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) pending: usize,
    pub(crate) total: usize,
    pub(crate) gas: u128,
    offered: U256,
    pub(crate) size_bytes: usize,
    pub(crate) memory_bytes: usize,
    classes: [usize; Class::ALL.len()],
    pub(crate) blobs: usize,
    private: usize,
    /// Of those that are pending.
    pub(crate) tips: Histogram,
}

impl Tally {
    pub(crate) fn add(&mut self, new: &Pooled) {
        self.total += 1;
        self.gas += u128::from(new.gas_limit);
        self.offered += offered(new);
        self.size_bytes += new.size_bytes;
        self.memory_bytes += new.memory_bytes;
        self.classes[new.class as usize] += 1;
        self.blobs += usize::from(new.blobs > 0);
        self.private += usize::from(new.private);
    }

    pub(crate) fn remove(&mut self, gone: &Pooled) {
        self.total -= 1;
        self.gas -= u128::from(gone.gas_limit);
        self.offered -= offered(gone);
        self.size_bytes -= gone.size_bytes;
        self.memory_bytes -= gone.memory_bytes;
        self.classes[gone.class as usize] -= 1;
        self.blobs -= usize::from(gone.blobs > 0);
        self.private -= usize::from(gone.private);
    }

    /// It can be selected now.
    pub(crate) fn promote(&mut self, pooled: &Pooled) {
        self.pending += 1;
        self.tips.add(pooled.tip);
    }

    /// It can't any more.
    pub(crate) fn demote(&mut self, pooled: &Pooled) {
        self.pending -= 1;
        self.tips.remove(pooled.tip);
    }

    pub(crate) fn state(&self, oldest_ms: Option<u64>) -> MempoolState {
        let rate = self.offered.checked_div(U256::from(self.gas)).unwrap_or_default();
        MempoolState {
            total: self.total,
            pending: self.pending,
            queued: self.total - self.pending,
            fee_rate: rate.saturating_to(),
            gas: u64::try_from(self.gas).unwrap_or(u64::MAX),
            size_bytes: self.size_bytes,
            memory_bytes: self.memory_bytes,
            oldest_ms,
            classes: self.classes,
            blob_transactions: self.blobs,
            private: self.private,
        }
    }
}

fn offered(pooled: &Pooled) -> U256 {
    U256::from(pooled.fee_cap) * U256::from(pooled.gas_limit)
}
