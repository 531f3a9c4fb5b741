//! The world: what accounts and slots hold, how that changes, and the roots over it.
//!
//! - [`View`]: read a state. Execution sees nothing else of the world.
//! - [`StateDiff`]: what a transaction or block changed, with its inverse. It feeds trie, lattice hash, store and
//!   notifications.
//! - [`Overlay`]: a state while transactions change it.
//! - [`PartialState`]: a view of what was fetched, which says what is missing.
//! - [`Ledger`]: what a store keeps of a chain, committed whole blocks at a time.
//! - [`roots`]: the Merkle Patricia trie and the commitments made from a diff.
//! - [`Stop`]: asks long work on a state to stop.
//!
//! Knows no disk and no rule of execution.

pub mod diff;
pub mod ledger;
pub mod overlay;
pub mod partial;
pub mod roots;
pub mod stop;
pub mod view;

pub use diff::{AccountDiff, SlotDiff, StateDiff};
pub use ledger::{
    Commit, Ledger, LedgerError, NodeKey, Notification, ReverseDiff, StateReader, StoredBlock, Tally, TrieNodes,
};
pub use overlay::{
    AccountId, Changes, Checkpoint, Clash, Each, EmptyAccounts, Footprint, Footprints, InOrder, InSequence, Overlay,
    Place, Presence, SlotId, Touch, Touched,
};
pub use partial::{Fetched, FetchedAccount, PartialState, Used};
pub use stop::{Stop, Stopped};
pub use view::{MemoryState, View, ViewError};
