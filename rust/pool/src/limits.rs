//! How much a pool may hold. Every limit is inclusive.

/// The bounds of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions, all senders together.
    pub transactions: usize,
    /// Bytes, all transactions together.
    pub size_bytes: usize,
    /// Transactions of one sender.
    pub per_sender: usize,
    /// Bytes of one transaction.
    pub transaction_size_bytes: usize,
    /// By how many percent both fees of a replacement must stand above those of the replaced.
    pub replacement_percent: u8,
}

impl Default for Limits {
    /// A quarter of a million transactions in half a GiB: some twenty minutes of full mainnet blocks. One transaction
    /// may have 128 KiB and a replacement costs a tenth more, as everywhere on Ethereum.
    fn default() -> Self {
        Self {
            transactions: 250_000,
            size_bytes: 512 << 20,
            per_sender: 20_000,
            transaction_size_bytes: 128 << 10,
            replacement_percent: 10,
        }
    }
}
