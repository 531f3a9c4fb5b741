//! Roots and node sets of random histories, against `alloy-trie` and against building anew.

mod world;

use std::collections::BTreeMap;

use alloy_trie::HashBuilder;
use alloy_trie::Nibbles;
use execlayer_state::roots::{RootError, RootUpdate, ordered_root, state_root, trie};
use execlayer_state::{MemoryState, StateDiff};
use proptest::prelude::*;
use types::{Address, B256, Bytes, EMPTY_ROOT, LeafAccount, U256, keccak256};
use world::{Nodes, account, diff_between, world};

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
    fn a_damaged_store_gives_an_error_or_a_root_but_no_panic(
        from in world(),
        to in world(),
        victim in any::<prop::sample::Index>(),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut nodes = Nodes::default();
        nodes.apply(&from.to_diff());
        prop_assume!(!nodes.0.is_empty());
        let key = victim.get(&nodes.0.keys().cloned().collect::<Vec<_>>()).clone();
        match damage {
            None => { nodes.0.remove(&key); }
            Some((at, byte)) => {
                let mut node = nodes.0[&key].to_vec();
                *at.get_mut(&mut node) = byte;
                nodes.0.insert(key, node.into());
            }
        }
        let outcome = trie::apply(&nodes, &diff_between(&from, &to));
        if let Err(error) = outcome {
            prop_assert!(!error.to_string().is_empty());
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

#[test]
fn a_large_diff_gives_what_many_small_ones_give() {
    let mut state = MemoryState::default();
    for index in 0..4000u64 {
        let address = Address::left_padding_from(&index.to_be_bytes());
        state.insert(address, index, U256::from(index), Bytes::new());
        state.set_storage(address, U256::from(index), U256::from(index));
        state.set_storage(Address::ZERO, U256::from(index), U256::from(index) << 200);
    }
    let diff = state.to_diff();
    let mut at_once = Nodes::default();
    let update = at_once.apply(&diff);
    assert_eq!(update.root, alloy_state_root(&state));
    assert!(update.nodes.is_sorted() && update.nodes.len() == at_once.0.len());

    let mut stepwise = Nodes::default();
    for accounts in diff.accounts.chunks(300) {
        stepwise.apply(&StateDiff { accounts: accounts.to_vec(), codes: Vec::new() });
    }
    assert_eq!(stepwise, at_once);

    // All but a few go away, so that branches fold up on every level, below and at the root.
    let few = StateDiff { accounts: diff.inverse().accounts.split_off(3), codes: Vec::new() };
    let kept = few.inverse();
    let update = at_once.apply(&few);
    let mut rest = MemoryState::default();
    rest.apply(&StateDiff { accounts: diff.accounts[..3].to_vec(), codes: Vec::new() });
    assert_eq!(update.root, alloy_state_root(&rest));
    let mut anew = Nodes::default();
    anew.apply(&rest.to_diff());
    assert_eq!(at_once, anew);
    at_once.apply(&kept);
    assert_eq!(at_once, stepwise);
}

#[test]
fn an_empty_diff_keeps_the_root_and_changes_nothing() {
    let state = account(1, 1, &[(1, 1)]);
    let mut nodes = Nodes::default();
    assert_eq!(trie::apply(&nodes, &StateDiff::default()).unwrap().root, EMPTY_ROOT);
    let root = nodes.apply(&state.to_diff()).root;
    let update = trie::apply(&nodes, &StateDiff::default()).unwrap();
    assert_eq!(update, RootUpdate { root, ..RootUpdate::default() });
}

#[test]
fn a_diff_that_does_not_start_from_the_trie_is_refused() {
    let state = account(1, 1, &[(1, 1)]);
    let mut nodes = Nodes::default();
    nodes.apply(&state.to_diff());

    let other_account = diff_between(&account(1, 2, &[(1, 1)]), &account(1, 3, &[(1, 1)]));
    assert!(matches!(trie::apply(&nodes, &other_account), Err(RootError::AccountBefore { .. })));
    let other_slot = diff_between(&account(1, 1, &[(1, 2)]), &account(1, 1, &[(1, 3)]));
    let (address, slot) = (Address::with_last_byte(1), U256::from(1));
    assert_eq!(
        trie::apply(&nodes, &other_slot),
        Err(RootError::SlotBefore { address, slot, before: U256::from(2), held: U256::from(1) })
    );
    assert!(matches!(trie::apply(&nodes, &state.to_diff()), Err(RootError::SlotBefore { .. })));
}

#[test]
fn an_account_does_not_go_without_its_slots() {
    let mut nodes = Nodes::default();
    nodes.apply(&account(1, 1, &[(1, 1)]).to_diff());
    let mut diff = account(1, 1, &[(1, 1)]).to_diff().inverse();
    diff.accounts[0].1.slots.clear();
    assert!(matches!(trie::apply(&nodes, &diff), Err(RootError::StorageLeft { .. })));
}

#[test]
fn a_missing_node_is_named() {
    let mut nodes = Nodes::default();
    nodes.apply(&account(1, 1, &[(1, 1 << 40), (2, 1 << 40)]).to_diff());
    let owner = Some(keccak256(Address::with_last_byte(1)));
    let key = nodes.0.keys().filter(|key| key.owner == owner).nth(1).unwrap().clone();
    nodes.0.remove(&key);
    let diff = diff_between(&account(1, 1, &[(1, 1 << 40), (2, 1 << 40)]), &account(1, 1, &[(1, 5), (2, 6)]));
    assert_eq!(trie::apply(&nodes, &diff), Err(RootError::Missing(key)));
}
