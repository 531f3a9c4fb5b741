//! The whole: a chain of blocks over a ledger. The life of a block is here and nowhere else.
//!
//! [`Chain`] composes execution, pool and store. It is used as `Arc<Chain>` from any number of threads: reading never
//! waits for writing, and whoever changes the chain (import, mine, undo) does so one after the other.
//!
//! ```
//! use std::sync::Arc;
//! use execlayer_chain::{Chain, Genesis, MineOptions, Options, dev_key};
//!
//! let ledger = Arc::new(store::Store::memory());
//! let chain = Chain::open(ledger, Genesis::dev([]), Options::default())?;
//! let mined = chain.mine(MineOptions::at(1))?;
//! assert_eq!(chain.head().id, mined.block.id);
//! assert_eq!(chain.at(execlayer_chain::BlockRef::Latest)?.nonce(&dev_key(0).address())?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: a block that is refused leaves no trace; the ledger changes by one atomic commit per step, so that a
//! crash at any point leaves a whole block; the head that is published is always one that the ledger holds. Work within a
//! [`Stop`] that was asked ends at the next such place, and has then done nothing. No clock and no random source is read
//! here: whoever mines says what time it is.

mod anchor;
pub mod blocktest;
mod build;
mod call;
mod check;
mod dispatch;
mod error;
mod ethash;
mod execute;
mod genesis;
mod head;
mod header;
mod history;
mod import;
mod lookup;
mod metrics;
mod notify;
mod ommers;
mod prove;
mod recovery;
mod reorg;
mod senders;
mod snapshot;
mod submit;
pub mod transition;
mod turns;
mod waiting;

#[cfg(test)]
#[path = "../../exec/tests/fixtures/mod.rs"]
mod fixtures;

pub use anchor::Anchor;
pub use build::{MineOptions, Mined};
pub use check::{StateCheck, StateFault, check_state};
pub use dispatch::Dispatch;
pub use error::{ChainError, ImportError, MineError, SubmitError};
pub use ethash::Ethash;
pub use genesis::{DEV_CHAIN_ID, DEV_KEYS, Genesis, GenesisAccount, GenesisError, dev_key};
pub use head::{BlockRef, Chain, Head, History, Options};
pub use header::{Field, Mismatch};
pub use history::BlockState;
pub use import::{Imported, Progress, Replay, block_of};
pub use lookup::Located;
pub use metrics::ExecutionMetrics;
pub use notify::{HeadChange, Subscription};
pub use prove::{BlockList, ProvenAccount, ProvenItem};
pub use recovery::{Recovery, Trouble, recovery};
pub use senders::{Signer, signers};
pub use snapshot::{SnapshotFailure, SnapshotSummary, verify_snapshot};
pub use submit::{Submission, recover};
pub use waiting::{Heard, PoolEvent, PoolGuard, PoolSubscription};

// What stands on the chain speaks in these words, and reaches them through here.
pub use kernels::recover::SignedHash;
pub use state::{Ledger, Stop, Stopped, StoredBlock, View, ViewError};
pub use store::Store;
pub use {evm, exec, pool, state, store, types};
