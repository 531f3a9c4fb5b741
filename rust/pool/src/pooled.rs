//! A transaction that waits, with what is asked of it most often.

use evm::validate::cost_max;
use types::{Address, B256, Recovered, U256};

use crate::Class;

/// A transaction in the pool.
///
/// What whoever looks at many reads stands first, beside the reference count. Selection reads none of it: a copy of what
/// it needs is in the sender's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Pooled {
    /// Most gas it may use.
    pub gas_limit: u64,
    /// Length of its EIP-2718 form in bytes.
    pub size_bytes: usize,
    /// How many blobs it brings.
    pub blobs: u16,
    /// What kind of work it is.
    pub class: Class,
    /// Whether it is shown to nobody but who makes blocks.
    pub private: bool,
    /// Its number in the pool; numbers are used again.
    pub(crate) id: u32,
    /// The sender's count that it expects.
    pub nonce: u64,
    /// How many had arrived before it: ties are broken by this.
    pub arrival: u64,
    /// Most wei a unit of gas may give the block's producer.
    pub tip: u128,
    /// Most wei a unit of gas may cost.
    pub fee_cap: u128,
    /// When it was taken, in milliseconds since 1970.
    pub since_ms: u64,
    /// What it takes in memory, all that the pool keeps for it included.
    pub memory_bytes: usize,
    /// Most that it can take from the sender's balance.
    pub cost: U256,
    /// Its name.
    pub hash: B256,
    /// What was signed, and who did.
    pub transaction: Recovered,
}

/// What the pool keeps for a transaction besides [`Pooled`] itself, at most: entries by hash, by worth, by arrival and
/// in the sender's queue, each in a table that is half empty, the sender's own entries, and what the allocator adds.
pub(crate) const INDEX_BYTES: usize = 640;

impl Pooled {
    /// Prepares a transaction for admission; nothing here needs the pool, so it can be done on any thread.
    pub fn new(transaction: Recovered, class: Class, private: bool, since_ms: u64) -> Self {
        let inner = &transaction.transaction;
        let size_bytes = inner.size_bytes();
        Self {
            tip: inner.max_priority_fee_per_gas(),
            fee_cap: inner.max_fee_per_gas(),
            gas_limit: inner.gas_limit(),
            arrival: 0,
            id: 0,
            nonce: inner.nonce(),
            size_bytes,
            blobs: u16::try_from(inner.blob_hashes().len()).unwrap_or(u16::MAX),
            class,
            private,
            since_ms,
            // Decoded lists take more than their bytes, call data doesn't.
            memory_bytes: size_of::<Self>() + INDEX_BYTES + 3 * size_bytes - 2 * inner.input().len(),
            cost: cost_max(inner),
            hash: inner.hash(),
            transaction,
        }
    }

    /// Who sent it.
    pub fn sender(&self) -> Address {
        self.transaction.sender
    }

    /// What a unit of its gas gives the producer at this base fee; None where it can't pay that.
    #[inline]
    pub fn effective_tip(&self, base_fee: u64) -> Option<u128> {
        Some(self.fee_cap.checked_sub(u128::from(base_fee))?.min(self.tip))
    }

    /// Most wei a unit of blob gas may cost.
    pub fn blob_fee_cap(&self) -> u128 {
        self.transaction.transaction.max_fee_per_blob_gas().unwrap_or_default()
    }
}
