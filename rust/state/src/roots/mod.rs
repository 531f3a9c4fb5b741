//! The commitments made from a diff.
//!
//! - [`trie::apply`]: a diff over stored nodes gives the next state root and the nodes that changed.
//! - [`ordered_root`]: the root over a block's transactions, receipts or withdrawals.
//! - [`state_root`]: the root of a whole state, from nothing.

mod edit;
mod node;
pub mod trie;

#[cfg(test)]
mod tests;

pub use node::NodeError;
pub use trie::{RootError, RootUpdate, ordered_root, state_root};
