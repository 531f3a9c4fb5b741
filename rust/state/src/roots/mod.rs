//! The commitments made from a diff, and proofs below them.
//!
//! - [`trie::apply`]: a diff over stored nodes gives the next state root and the nodes that changed.
//! - [`ordered_root`]: the root over a block's transactions, receipts or withdrawals.
//! - [`state_root`]: the root of a whole state, from nothing.
//! - [`proof`]: that something is in a trie, or is not; made from stored nodes, verified from a root alone.
//! - [`Entries`]: a stored trie in the order of its keys, each node held against its hash.
//! - [`Lattice`]: the accounts lattice hash, a sum over the state.

mod edit;
pub mod lattice;
mod node;
pub mod proof;
pub mod trie;
mod walk;

#[cfg(test)]
mod tests;

pub use lattice::Lattice;
pub use node::NodeError;
pub use proof::{AccountProof, ProofError, SlotProof};
pub use trie::{RootError, RootUpdate, ordered_root, state_root};
pub use walk::Entries;
