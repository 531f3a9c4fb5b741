//! Why the chain could not do it, one enum for each kind of question. Bad blocks and transactions are the asker's
//! mistake and change nothing; what the ledger reports is passed on as it is.

use evm::Rejection;
use exec::ExecError;
use pool::{PoolError, journal::JournalError};
use state::{LedgerError, Stopped, ViewError, roots::RootError};
use types::{B256, BlockId, RecoverError, TransactionError};

use crate::{BlockRef, GenesisError, header::Mismatch};

/// Why a chain cannot be opened, or a question about it not be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The genesis is wrong in itself.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The first header names another state root than the first accounts have.
    #[error("genesis header: {0}")]
    GenesisHeader(Mismatch),
    /// The ledger holds another chain.
    #[error("the store holds a chain with genesis {held}, not {given}")]
    OtherGenesis {
        /// Hash of the first block that is there.
        held: B256,
        /// Hash of the first block that was asked for.
        given: B256,
    },
    /// The ledger holds a part of a snapshot: restoring it did not come to its end.
    #[error("the snapshot of block {block} was not restored to its end here: empty the folder and restore it again")]
    Unfinished {
        /// The snapshot's block.
        block: B256,
    },
    /// No such block is known.
    #[error("block {0} not found")]
    UnknownBlock(BlockRef),
    /// The block is known, but not the state after it any more.
    #[error("state at block {} is not kept: the history window begins at block {oldest}", block.number)]
    StateUnavailable {
        /// Which block.
        block: BlockId,
        /// The oldest canonical block whose state can be read.
        oldest: u64,
    },
    /// Not an anchor of this chain, or one that was undone or released.
    #[error("anchor {0} is not set")]
    UnknownAnchor(u64),
    /// Anchors are forgotten one by one; these were not.
    #[error("{0} anchors are set, no more are allowed")]
    TooManyAnchors(usize),
    /// The store failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The state cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The trie cannot be read.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Nobody waits for the answer any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a block was not taken. The chain is then as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The bytes are no block.
    #[error("malformed block: {0}")]
    Malformed(alloy_rlp::Error),
    /// The block before it is not known.
    #[error("block {} has unknown parent {parent}", block.number)]
    UnknownParent {
        /// Which block.
        block: BlockId,
        /// The block that it names as its parent.
        parent: B256,
    },
    /// A header, or what belongs to it, is not what it has to be.
    #[error("block {}: {mismatch}", block.number)]
    Mismatch {
        /// Which block.
        block: BlockId,
        /// The field, and both values.
        mismatch: Mismatch,
    },
    /// A transaction's signature is nobody's.
    #[error("block {}: transaction {index}: {error}", block.number)]
    Sender {
        /// Which block.
        block: BlockId,
        /// Which transaction.
        index: usize,
        /// Why.
        error: RecoverError,
    },
    /// The block could not be executed.
    #[error("block {}: {error}", block.number)]
    Execution {
        /// Which block.
        block: BlockId,
        /// Why.
        error: ExecError,
    },
    /// A stream of blocks cannot be read, or written.
    #[error("stream of blocks: {0}")]
    Unreadable(String),
    /// Not the block's fault.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Why a transaction was not taken into the pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The bytes are no transaction.
    #[error(transparent)]
    Malformed(#[from] TransactionError),
    /// The signature is nobody's.
    #[error("invalid sender: {0}")]
    Sender(#[from] RecoverError),
    /// It could stand in no block on top of the head.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The pool does not want it.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// It could not be noted in the pool's journal, and what can't be kept is not taken.
    #[error(transparent)]
    Journal(JournalError),
    /// Not the transaction's fault.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Why no block was made. The chain and the pool are then as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MineError {
    /// What was asked for breaks a rule of headers.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// What was given is no transaction, or nobody's.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Which.
        index: usize,
        /// Why.
        error: Box<SubmitError>,
    },
    /// A transaction that was given cannot stand in the block, or what comes before or after them failed.
    #[error(transparent)]
    Execution(ExecError),
    /// The chain could not be read or written.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// What the ledger, the state or the trie report is an error of the chain everywhere.
macro_rules! through_chain {
    ($($outer:ident: $($inner:ident),*;)*) => {
        $($(impl From<$inner> for $outer {
            fn from(error: $inner) -> Self {
                Self::Chain(error.into())
            }
        })*)*
    };
}

through_chain! {
    ImportError: LedgerError, ViewError, RootError, Stopped;
    SubmitError: LedgerError, ViewError, Stopped;
    MineError: LedgerError, ViewError, RootError, Stopped;
}
