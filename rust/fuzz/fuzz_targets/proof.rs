//! Proofs and the trie nodes in them. The input is a key of 32 bytes, then nodes, each behind its length; the root is the
//! first node's hash, so that the walk begins, and inline nodes and branches lead on from there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use state::roots::proof;
use types::{Address, Bytes, U256, keccak256};

fuzz_target!(|data: &[u8]| {
    let Some((key, mut rest)) = data.split_first_chunk::<32>() else { return };
    let mut nodes = Vec::new();
    while let Some((length, tail)) = rest.split_first() {
        let (node, tail) = tail.split_at(tail.len().min(usize::from(*length) * 3));
        nodes.push(Bytes::copy_from_slice(node));
        rest = tail;
    }
    let root = nodes.first().map_or(types::EMPTY_ROOT, keccak256);
    let _ = proof::verify(root, key, &nodes);
    let _ = proof::verify(root, &key[..usize::from(key[0]) % 33], &nodes);
    let _ = proof::verify_account(root, &Address::from_slice(&key[..20]), &nodes);
    let _ = proof::verify_slot(root, &U256::from_be_bytes(*key), &nodes);
    let _ = proof::verify_item(root, usize::from(key[0]), &nodes);
});
