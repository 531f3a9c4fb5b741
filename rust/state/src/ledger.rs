//! What a store keeps of a chain. `chain` writes whole blocks through this face and reads them back; it never learns
//! whether they lie in LMDB or in memory.
//!
//! The rule that everything rests on: [`Ledger::commit`] is atomic. After a crash at any point the ledger opens at the
//! state before or after a commit, never between.

use std::sync::Arc;

use types::{Account, Address, B256, BlockId, Body, Bytes, Header, Receipt, U256};

use crate::{StateDiff, Stopped, View, roots::Lattice};

/// Why the ledger could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The place is held by another process.
    #[error("{path} is in use by another process (pid {pid}); stop it, or open the folder read-only")]
    InUse {
        /// The folder.
        path: String,
        /// Who holds it; 0 where that cannot be told.
        pid: u32,
    },
    /// Written by another version.
    #[error("{path} holds schema version {found}, this build reads {expected}: {advice}")]
    Schema {
        /// The folder.
        path: String,
        /// What it holds.
        found: u32,
        /// What we read.
        expected: u32,
        /// What to do about it.
        advice: &'static str,
    },
    /// No room left; nothing was written.
    #[error("no space left in {path}: nothing of this write was kept")]
    Full {
        /// The folder.
        path: String,
    },
    /// Opened to read only.
    #[error("the store was opened read-only")]
    ReadOnly,
    /// A setting, or an argument, that nothing can be done with.
    #[error("{name} cannot be {value}: {expected}")]
    Setting {
        /// Which one.
        name: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// What was read back is not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The system said no.
    #[error("{action} {path}: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// Nobody waits for the answer any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Where a trie node stands: in the state trie, or in the storage trie of an account (by the hash of its address), at a
/// path of nibbles from the root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey {
    /// None: the state trie.
    pub owner: Option<B256>,
    /// One nibble a byte, 0 to 15, at most 64.
    pub path: Vec<u8>,
}

/// Reads trie nodes by their place.
pub trait TrieNodes: Send + Sync {
    /// RLP of the node that stands there; None where none does.
    fn node(&self, key: &NodeKey) -> Result<Option<Bytes>, LedgerError>;
}

/// The state at the head, frozen: later commits don't show. Execution reads it as a [`View`], roots as [`TrieNodes`].
pub trait StateReader: View + TrieNodes {
    /// Which block's state this is; None before the genesis is written.
    fn head(&self) -> Option<BlockId>;

    /// Accounts behind `after` (None: from the first), ascending by address, at most `limit` of them. Fewer than that:
    /// there are no more.
    fn accounts_after(&self, after: Option<Address>, limit: usize) -> Result<Vec<(Address, Account)>, LedgerError>;

    /// The account's slots that are not zero, behind `after` (None: from the first), ascending, at most `limit` of them.
    /// Fewer than that: there are no more.
    fn slots_after(
        &self,
        address: &Address,
        after: Option<U256>,
        limit: usize,
    ) -> Result<Vec<(U256, U256)>, LedgerError>;
}

/// How to get from a block's state back to its parent's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReverseDiff {
    /// The inverse of the block's diff.
    pub diff: StateDiff,
    /// The trie nodes that the block replaced, as they were: None where there was none.
    pub nodes: Vec<(NodeKey, Option<Bytes>)>,
}

/// What a block comes to besides what its header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Checksum of the accounts lattice hash of the state after the block.
    pub lattice: B256,
    /// Wei that nobody has any more since this block: base fees, blob fees, balances of destroyed accounts.
    pub burned: U256,
    /// Wei that the block's beneficiary got from its transactions.
    pub fees: U256,
    /// Sum of all burned wei up to and with this block.
    pub burned_total: U256,
    /// Sum of all fees up to and with this block.
    pub fees_total: U256,
}

impl Tally {
    /// That of a block on top of this one.
    #[must_use]
    pub fn next(&self, lattice: B256, burned: U256, fees: U256) -> Self {
        let sum = |total: U256, more| total.saturating_add(more);
        Self {
            lattice,
            burned,
            fees,
            burned_total: sum(self.burned_total, burned),
            fees_total: sum(self.fees_total, fees),
        }
    }
}

/// A block with what executing it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Number and hash.
    pub id: BlockId,
    /// The header.
    pub header: Header,
    /// Transactions, ommers, withdrawals.
    pub body: Body,
    /// Who sent each transaction.
    pub senders: Vec<types::Address>,
    /// One per transaction.
    pub receipts: Vec<Receipt>,
    /// Sum of all difficulties up to and with this block.
    pub total_difficulty: U256,
    /// What it comes to.
    pub tally: Tally,
}

/// A block that became canonical, or no longer is: what those who follow the chain are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Which block. Its diff is the inverse of its way back's.
    pub block: BlockId,
    /// The block before it.
    pub parent: B256,
    /// It is no longer canonical.
    pub is_reverted: bool,
}

/// One atomic step of a ledger. Parts that are empty change nothing.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Blocks to keep (canonical or not), by hash.
    pub blocks: Vec<Arc<StoredBlock>>,
    /// Blocks to forget, by hash, with all that was kept for them.
    pub forget: Vec<B256>,
    /// From state to state: applied to the flat accounts, slots and codes.
    pub diff: StateDiff,
    /// Trie nodes to write (Some) or remove (None), as roots gave them.
    pub nodes: Vec<(NodeKey, Option<Bytes>)>,
    /// Ways back, by the hash of the block that they undo.
    pub reverse: Vec<(B256, ReverseDiff)>,
    /// Ways back that will not be needed again.
    pub forget_reverse: Vec<B256>,
    /// Lattice hashes by block, of the states that can be reached: set (Some) or forgotten (None).
    pub lattices: Vec<(B256, Option<Lattice>)>,
    /// What followers are told, in the order in which it happened.
    pub notifications: Vec<Notification>,
    /// Nobody needs to be told of blocks up to this height any more.
    pub forget_notifications: Option<u64>,
    /// Canonical hashes by number: set (Some) or cleared (None). Transaction and log indices follow these.
    pub canonical: Vec<(u64, Option<B256>)>,
    /// The block whose state the ledger holds after this commit.
    pub head: Option<BlockId>,
    /// Small named values (genesis, counters, checkpoints): set or removed.
    pub metadata: Vec<(String, Option<Bytes>)>,
}

/// Where a chain lives. Reads see the newest commit; [`Ledger::reader`] freezes one.
pub trait Ledger: Send + Sync {
    /// Does all of `commit`, or nothing of it. Durable on return, as far as the store was told to be.
    fn commit(&self, commit: Commit) -> Result<(), LedgerError>;

    /// The state as it stands now, frozen.
    fn reader(&self) -> Result<Arc<dyn StateReader>, LedgerError>;

    /// The block whose state the ledger holds; None before the genesis.
    fn head(&self) -> Result<Option<BlockId>, LedgerError>;

    /// A header by its hash.
    fn header(&self, hash: &B256) -> Result<Option<Header>, LedgerError>;

    /// A block by its hash, with receipts and senders.
    fn block(&self, hash: &B256) -> Result<Option<Arc<StoredBlock>>, LedgerError>;

    /// The canonical block's hash at a height.
    fn canonical(&self, number: u64) -> Result<Option<B256>, LedgerError>;

    /// In which canonical block a transaction stands, and at which index.
    fn transaction(&self, hash: &B256) -> Result<Option<(B256, u32)>, LedgerError>;

    /// The way back from a block to its parent.
    fn reverse(&self, hash: &B256) -> Result<Option<ReverseDiff>, LedgerError>;

    /// The lattice hash of the state after a block; None where that state is out of reach.
    fn lattice(&self, hash: &B256) -> Result<Option<Lattice>, LedgerError>;

    /// What followers are told of blocks from this height up, at most `limit` of it: by height, and of one height in the
    /// order in which it happened.
    fn notifications(&self, from: u64, limit: usize) -> Result<Vec<Notification>, LedgerError>;

    /// A small named value.
    fn metadata(&self, name: &str) -> Result<Option<Bytes>, LedgerError>;

    /// Waits until everything committed is on the disk, whatever the durability setting.
    fn sync(&self) -> Result<(), LedgerError>;
}
