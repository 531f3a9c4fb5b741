//! What can be chosen about a pool: how much it may hold, whom it prefers, how quickly it adapts.

use types::Address;

use crate::Priorities;

/// The bounds of a pool. Every limit is inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions, all senders together.
    pub transactions: usize,
    /// Bytes of memory that the pool takes.
    pub memory_bytes: usize,
    /// Transactions of one sender.
    pub per_sender: usize,
    /// Bytes of one transaction.
    pub transaction_size_bytes: usize,
    /// By how many percent both fees of a replacement must stand above those of the replaced.
    pub replacement_percent: u8,
    /// The same where blobs are replaced: all three fees.
    pub blob_replacement_percent: u8,
    /// Blob transactions, all senders together.
    pub blob_transactions: usize,
    /// Blob transactions of one sender.
    pub blob_transactions_per_sender: usize,
}

impl Limits {
    /// What of the memory is there for transactions and all that is kept for them: the rest, one part in 64, is for what
    /// belongs to none, as the events not yet read and what is known of senders.
    pub(crate) fn memory_for_transactions(&self) -> usize {
        self.memory_bytes - self.memory_bytes / 64
    }
}

impl Default for Limits {
    /// A quarter of a million transactions in half a GiB: some twenty minutes of full mainnet blocks. One transaction
    /// may have 128 KiB and a replacement costs a tenth more, as everywhere on Ethereum; blobs are geth's.
    fn default() -> Self {
        Self {
            transactions: 250_000,
            memory_bytes: 512 << 20,
            per_sender: 20_000,
            transaction_size_bytes: 128 << 10,
            replacement_percent: 10,
            blob_replacement_percent: 100,
            blob_transactions: 4_096,
            blob_transactions_per_sender: 16,
        }
    }
}

/// How weights follow the market.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptation {
    /// Thousandths of the rank that fees decide when all is calm; the rest is priority's. From 200 to 800.
    pub fee_weight: u16,
    /// Blocks between two adjustments.
    pub update_interval: u64,
    /// Fee pressure above this gives weight to fees: 75th percentile of waiting tips over the median of the tips that
    /// the last 100 blocks paid.
    pub fee_threshold: f64,
    /// Congestion above this gives weight to priorities: waiting gas in blocks of gas.
    pub congestion_threshold: f64,
}

impl Default for Adaptation {
    fn default() -> Self {
        Self { fee_weight: 500, update_interval: 10, fee_threshold: 1.5, congestion_threshold: 2.0 }
    }
}

/// How long what was learnt about senders lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Senders whose history is kept; the one longest unheard of is forgotten first.
    pub senders: usize,
    /// Factors in the score cache.
    pub cache_entries: usize,
    /// Seconds of the chain's time for which a cached factor holds.
    pub cache_seconds: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { senders: 65_536, cache_entries: 10_000, cache_seconds: 600 }
    }
}

/// All of a pool's settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// How much it may hold.
    pub limits: Limits,
    /// Whom it prefers.
    pub priorities: Priorities,
    /// Senders whose transactions are of the class `system`.
    pub system_senders: Vec<Address>,
    /// How weights move.
    pub adaptation: Adaptation,
    /// What is remembered of senders.
    pub memory: Memory,
}
