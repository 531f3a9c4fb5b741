//! Blocks: Ethereum's header and body, with our transaction in it.

use alloy_primitives::B256;

use crate::Transaction;

/// A whole block. RLP is Ethereum's: `[header, transactions, ommers, withdrawals?]`.
pub type Block = alloy_consensus::Block<Transaction>;

/// What follows the header.
pub type Body = alloy_consensus::BlockBody<Transaction>;

/// A block's place and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BlockId {
    /// Height; the genesis is 0.
    pub number: u64,
    /// Keccak-256 of the header's RLP.
    pub hash: B256,
}
