//! Roots and node sets of random histories, against `alloy-trie` and against building anew.

use std::collections::BTreeMap;

use alloy_trie::HashBuilder;
use alloy_trie::Nibbles;
use execlayer_state::roots::{RootUpdate, ordered_root, state_root, trie};
use execlayer_state::{LedgerError, MemoryState, NodeKey, StateDiff, TrieNodes};
use proptest::prelude::*;
use types::{Address, B256, Bytes, EMPTY_ROOT, LeafAccount, U256, keccak256};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Nodes(BTreeMap<NodeKey, Bytes>);

impl TrieNodes for Nodes {
    fn node(&self, key: &NodeKey) -> Result<Option<Bytes>, LedgerError> {
        Ok(self.0.get(key).cloned())
    }
}

impl Nodes {
    fn write(&mut self, nodes: &[(NodeKey, Option<Bytes>)]) {
        for (key, node) in nodes {
            match node {
                Some(node) => self.0.insert(key.clone(), node.clone()),
                None => self.0.remove(key),
            };
        }
    }

    fn apply(&mut self, diff: &StateDiff) -> RootUpdate {
        let update = trie::apply(self, diff).unwrap();
        self.write(&update.nodes);
        update
    }
}

/// The root that alloy's builder gives for entries whose keys are hashed first.
fn secure_root(entries: impl IntoIterator<Item = (B256, Vec<u8>)>) -> B256 {
    let sorted: BTreeMap<B256, Vec<u8>> = entries.into_iter().collect();
    let mut builder = HashBuilder::default();
    for (key, value) in sorted {
        builder.add_leaf(Nibbles::unpack(key), &value);
    }
    builder.root()
}

fn alloy_state_root(state: &MemoryState) -> B256 {
    secure_root(state.accounts.iter().map(|(address, account)| {
        let slots = state.storage.get(address).into_iter().flatten();
        let storage_root =
            secure_root(slots.map(|(key, value)| (keccak256(key.to_be_bytes::<32>()), alloy_rlp::encode(value))));
        (keccak256(address), alloy_rlp::encode(LeafAccount::new(account, storage_root)))
    }))
}

/// Few addresses and slots, so that a history meets the same ones again.
fn world() -> impl Strategy<Value = MemoryState> {
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
fn diff_between(from: &MemoryState, to: &MemoryState) -> StateDiff {
    from.to_diff().inverse().then(&to.to_diff())
}

proptest! {
    #[test]
    fn a_root_and_its_nodes_do_not_depend_on_history(worlds in proptest::collection::vec(world(), 1..5)) {
        let (mut nodes, mut state) = (Nodes::default(), MemoryState::default());
        for next in &worlds {
            let diff = diff_between(&state, next);
            let before = nodes.clone();
            let update = nodes.apply(&diff);

            prop_assert_eq!(update.root, alloy_state_root(next));
            prop_assert_eq!(update.root, state_root(next));
            let mut anew = Nodes::default();
            anew.apply(&next.to_diff());
            prop_assert_eq!(&nodes, &anew);

            let mut undone = nodes.clone();
            undone.write(&update.replaced);
            prop_assert_eq!(&undone, &before);
            let mut inverted = nodes.clone();
            let back = inverted.apply(&diff.inverse());
            prop_assert_eq!(back.root, alloy_state_root(&state));
            prop_assert_eq!(&inverted, &before);
            prop_assert_eq!(back.nodes, update.replaced);
            state = next.clone();
        }
    }

    #[test]
    fn an_ordered_root_is_the_root_over_the_indices(items in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 0..300)) {
        let expected = alloy_trie::root::ordered_trie_root_with_encoder(&items, |item, out| out.extend_from_slice(item));
        prop_assert_eq!(ordered_root(&items), expected);
    }
}

#[test]
fn nothing_has_the_empty_root() {
    assert_eq!(state_root(&MemoryState::default()), EMPTY_ROOT);
    assert_eq!(ordered_root([[0u8; 0]; 0]), EMPTY_ROOT);
}
