//! Small worlds, the diffs between them, and trie nodes in a map.

#![allow(dead_code, unreachable_pub, reason = "each suite takes what it needs")]

use std::collections::BTreeMap;

use execlayer_state::roots::{RootUpdate, trie};
use execlayer_state::{LedgerError, MemoryState, NodeKey, StateDiff, TrieNodes};
use proptest::prelude::*;
use types::{Address, Bytes, U256};

/// Stored nodes in a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes(pub BTreeMap<NodeKey, Bytes>);

impl TrieNodes for Nodes {
    fn node(&self, key: &NodeKey) -> Result<Option<Bytes>, LedgerError> {
        Ok(self.0.get(key).cloned())
    }
}

impl Nodes {
    pub fn write(&mut self, nodes: &[(NodeKey, Option<Bytes>)]) {
        for (key, node) in nodes {
            match node {
                Some(node) => self.0.insert(key.clone(), node.clone()),
                None => self.0.remove(key),
            };
        }
    }

    pub fn apply(&mut self, diff: &StateDiff) -> RootUpdate {
        let update = trie::apply(self, diff).unwrap();
        self.write(&update.nodes);
        update
    }
}

/// A world of one account.
pub fn account(address: u8, nonce: u64, slots: &[(u64, u64)]) -> MemoryState {
    let mut state = MemoryState::default();
    let address = Address::with_last_byte(address);
    state.insert(address, nonce, U256::ZERO, Bytes::new());
    for (key, value) in slots {
        state.set_storage(address, U256::from(*key), U256::from(*value));
    }
    state
}

/// Few addresses and slots, so that a history meets the same ones again.
pub fn world() -> impl Strategy<Value = MemoryState> {
    let account = (0u8..40, 0u64..3, proptest::collection::btree_map(0u16..60, 1u64..4, 0..12));
    proptest::collection::vec(account, 0..30).prop_map(|accounts| {
        let mut state = MemoryState::default();
        for (address, nonce, slots) in accounts {
            let address = Address::with_last_byte(address);
            state.insert(address, nonce, U256::from(nonce) << 90, Bytes::new());
            state.storage.remove(&address);
            for (key, value) in slots {
                state.set_storage(address, U256::from(key), U256::from(value) << (64 * value));
            }
        }
        state
    })
}

/// The diff that leads from one state to another.
pub fn diff_between(from: &MemoryState, to: &MemoryState) -> StateDiff {
    from.to_diff().inverse().then(&to.to_diff())
}
