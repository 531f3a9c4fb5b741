//! Proofs of what is there and what is not, and of nothing else.

#[path = "../../exec/tests/fixtures/mod.rs"]
mod fixtures;
mod world;

use execlayer_state::roots::proof::{
    prove_account, prove_item, prove_slot, verify, verify_account, verify_item, verify_slot,
};
use execlayer_state::roots::{ProofError, RootError, ordered_root};
use proptest::prelude::*;
use types::{Address, B256, Bytes, EMPTY_ROOT, U256, keccak256};
use world::{Nodes, account, world};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_account_and_slot_has_a_proof_and_so_has_every_absence(state in world()) {
        let mut nodes = Nodes::default();
        let root = nodes.apply(&state.to_diff()).root;
        for byte in 0..45 {
            let address = Address::with_last_byte(byte);
            let proof = prove_account(&nodes, &address).unwrap();
            prop_assert_eq!(proof.account.map(|leaf| leaf.account()), state.accounts.get(&address).copied());
            prop_assert_eq!(verify_account(root, &address, &proof.nodes), Ok(proof.account));

            let storage_root = proof.account.map_or(EMPTY_ROOT, |leaf| leaf.storage_root);
            for slot in (0..62).map(U256::from) {
                let held = state.storage.get(&address).and_then(|slots| slots.get(&slot)).copied();
                let proof = prove_slot(&nodes, &address, &slot).unwrap();
                prop_assert_eq!(proof.value, held.unwrap_or_default());
                prop_assert_eq!(verify_slot(storage_root, &slot, &proof.nodes), Ok(proof.value));
            }
        }
    }

    #[test]
    fn proofs_are_those_of_the_plain_trie(state in world()) {
        use alloy_trie::{HashBuilder, Nibbles, proof::ProofRetainer};
        let mut nodes = Nodes::default();
        nodes.apply(&state.to_diff());
        for (address, slots) in &state.storage {
            let mut hashed: Vec<_> = slots.iter().map(|(key, value)| (keccak256(key.to_be_bytes::<32>()), value)).collect();
            hashed.sort_unstable();
            let target = Nibbles::unpack(keccak256(U256::from(7).to_be_bytes::<32>()));
            let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::from_iter([target]));
            for (key, value) in hashed {
                builder.add_leaf(Nibbles::unpack(key), &alloy_rlp::encode(value));
            }
            builder.root();
            let expected: Vec<Bytes> = builder.take_proof_nodes().into_nodes_sorted().into_iter().map(|(_, node)| node).collect();
            prop_assert_eq!(prove_slot(&nodes, address, &U256::from(7)).unwrap().nodes, expected);
        }
    }

    #[test]
    fn every_item_of_a_list_has_a_proof_and_the_next_one_none(
        items in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 0..150),
        wrong in any::<u8>(),
    ) {
        let root = ordered_root(&items);
        for index in 0..items.len() + 2 {
            let proof = prove_item(&items, index);
            prop_assert_eq!(verify_item(root, index, &proof), Ok(items.get(index).cloned().map(Bytes::from)));
            prop_assert_ne!(verify_item(root, index, &proof), Ok(Some(vec![wrong; 70].into())));
        }
    }

    /// What a damaged proof says is an error, or the truth (where the damage was none).
    #[test]
    fn a_damaged_proof_proves_nothing_else(
        state in world(),
        address in 0u8..45,
        node in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        damage in prop::option::of(any::<u8>()),
    ) {
        let mut nodes = Nodes::default();
        let root = nodes.apply(&state.to_diff()).root;
        let address = Address::with_last_byte(address);
        let mut proof = prove_account(&nodes, &address).unwrap();
        prop_assume!(!proof.nodes.is_empty());
        let index = node.index(proof.nodes.len());
        let mut bytes = proof.nodes[index].to_vec();
        match damage {
            Some(byte) => *place.get_mut(&mut bytes) = byte,
            None => bytes.truncate(place.index(bytes.len())),
        }
        let harmless = proof.nodes[index] == bytes;
        proof.nodes[index] = bytes.into();
        let verdict = verify_account(root, &address, &proof.nodes);
        if harmless {
            prop_assert_eq!(verdict, Ok(proof.account));
        } else {
            prop_assert!(matches!(verdict, Err(ProofError::Hash { index: at, .. }) if at == index), "{:?}", verdict);
        }
    }

    /// The hashes are right, so the bytes are looked at: whoever makes a root may make nodes of any kind.
    #[test]
    fn nodes_of_any_bytes_under_a_root_of_their_own_never_panic(
        state in world(),
        node in any::<prop::sample::Index>(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        raw in prop::collection::vec(any::<u8>(), 0..100),
        key in prop::collection::vec(any::<u8>(), 0..34),
    ) {
        let _ = verify(keccak256(&raw), &key, &[raw.into()]);
        let mut nodes = Nodes::default();
        nodes.apply(&state.to_diff());
        prop_assume!(!nodes.0.is_empty());
        let mut bytes = node.get(&nodes.0.values().collect::<Vec<_>>()).to_vec();
        for (place, byte) in places {
            *place.get_mut(&mut bytes) = byte;
        }
        let _ = verify(keccak256(&bytes), &key, &[bytes.clone().into()]);
        let _ = verify_account(keccak256(&bytes), &Address::ZERO, &[bytes.into()]);
    }
}

#[test]
fn a_proof_is_neither_too_short_nor_too_long() {
    let mut nodes = Nodes::default();
    let mut state = account(1, 1, &[]);
    state.insert(Address::with_last_byte(2), 1, U256::ZERO, Bytes::new());
    let root = nodes.apply(&state.to_diff()).root;
    let address = Address::with_last_byte(1);
    let proof = prove_account(&nodes, &address).unwrap().nodes;
    assert_eq!(proof.len(), 2);

    let expected = keccak256(&proof[1]);
    assert_eq!(verify_account(root, &address, &proof[..1]), Err(ProofError::Short { nodes: 1, expected }));
    assert_eq!(verify_account(root, &address, &[]), Err(ProofError::Short { nodes: 0, expected: root }));
    let long = [&proof[..], &proof[..1]].concat();
    assert_eq!(verify_account(root, &address, &long), Err(ProofError::Long { nodes: 3, used: 2 }));
    assert_eq!(verify(root, &[0; 33], &proof), Err(ProofError::Key(33)));
    let got = keccak256(&proof[0]);
    assert_eq!(
        verify_account(B256::ZERO, &address, &proof),
        Err(ProofError::Hash { index: 0, expected: B256::ZERO, got })
    );
}

#[test]
fn nothing_is_proven_by_nothing() {
    let empty = Bytes::from_static(&[0x80]);
    assert_eq!(verify(EMPTY_ROOT, b"key", &[]), Ok(None));
    assert_eq!(verify(EMPTY_ROOT, b"key", std::slice::from_ref(&empty)), Ok(None));
    assert_eq!(verify(EMPTY_ROOT, b"key", &[empty.clone(), empty]), Err(ProofError::Long { nodes: 2, used: 0 }));
    assert_eq!(prove_account(&Nodes::default(), &Address::ZERO).unwrap().nodes, Vec::<Bytes>::new());
    assert_eq!(prove_item([[0u8; 0]; 0], 0), Vec::<Bytes>::new());
}

#[test]
fn a_node_of_the_right_hash_that_no_trie_holds_is_named() {
    let node = Bytes::from_static(&[0xc1, 0x80]);
    let verdict = verify(keccak256(&node), b"key", &[node]);
    assert!(matches!(verdict, Err(ProofError::Node { index: 0, .. })), "{verdict:?}");
    let leaf = Bytes::from_static(&[0xc2, 0x20, 0x05]);
    assert_eq!(verify(keccak256(&leaf), b"", std::slice::from_ref(&leaf)), Ok(Some(Bytes::from_static(&[5]))));
}

#[test]
fn a_missing_node_is_an_error_of_the_store() {
    let mut nodes = Nodes::default();
    let mut state = account(1, 1, &[]);
    state.insert(Address::with_last_byte(2), 1, U256::ZERO, Bytes::new());
    nodes.apply(&state.to_diff());
    let key = nodes.0.keys().nth(1).unwrap().clone();
    nodes.0.remove(&key);
    let verdicts = [1, 2].map(|byte| prove_account(&nodes, &Address::with_last_byte(byte)));
    assert!(verdicts.contains(&Err(RootError::Missing(key))));
}

/// The exchanges of the public RPC fixtures: what other clients prove, we verify.
#[test]
fn proofs_of_other_clients_verify() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    let mut verified = 0;
    for (_, text) in fixtures.files("rpc-conformance", |name| name.contains("/eth_getProof/") && name.ends_with(".io"))
    {
        let text = String::from_utf8(text).unwrap();
        let answer = text.lines().find_map(|line| line.strip_prefix("<< ")).unwrap();
        let result = &serde_json::from_str::<serde_json::Value>(answer).unwrap()["result"];
        let nodes = |list: &serde_json::Value| -> Vec<Bytes> { serde_json::from_value(list.clone()).unwrap() };
        let number = |value: &serde_json::Value| -> U256 { value.as_str().unwrap().parse().unwrap() };

        // The state root is not in the answer; the first node is the root.
        let proof = nodes(&result["accountProof"]);
        let address: Address = result["address"].as_str().unwrap().parse().unwrap();
        let leaf = verify_account(keccak256(&proof[0]), &address, &proof).unwrap().unwrap();
        assert_eq!(U256::from(leaf.nonce), number(&result["nonce"]));
        assert_eq!(leaf.balance, number(&result["balance"]));
        assert_eq!(leaf.storage_root, result["storageHash"].as_str().unwrap().parse::<B256>().unwrap());
        verified += 1;
    }
    assert!(verified >= 2, "{verified} proofs");
}
