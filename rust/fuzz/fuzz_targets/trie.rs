//! A state's trie whose stored nodes are arbitrary bytes: changing accounts and slots in it gives a root or says what is
//! damaged. The input is nodes, each behind the account on whose path it stands, how deep, and its length.

#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use state::{AccountDiff, LedgerError, NodeKey, SlotDiff, StateDiff, TrieNodes, roots::trie};
use types::{Account, Address, B256, Bytes, U256, keccak256};

struct Nodes(HashMap<NodeKey, Bytes>);

impl TrieNodes for Nodes {
    fn node(&self, key: &NodeKey) -> Result<Option<Bytes>, LedgerError> {
        Ok(self.0.get(key).cloned())
    }
}

fn address(number: u8) -> Address {
    Address::repeat_byte(number)
}

/// The first nibbles of an account's key, or of its first slot's.
fn place(number: u8, depth: usize, in_storage: bool) -> NodeKey {
    let owner = keccak256(address(number));
    let key = if in_storage { keccak256(B256::ZERO) } else { owner };
    let nibbles = key.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    NodeKey { owner: in_storage.then_some(owner), path: nibbles.take(depth).collect() }
}

fuzz_target!(|data: &[u8]| {
    let (mut nodes, mut rest) = (Nodes(HashMap::new()), data);
    while let Some(([which, length], tail)) = rest.split_first_chunk::<2>() {
        let (node, tail) = tail.split_at(tail.len().min(usize::from(*length) * 3));
        let key = place(which & 3, usize::from(which >> 3) & 7, which & 4 != 0);
        nodes.0.insert(key, Bytes::copy_from_slice(node));
        rest = tail;
    }
    let slot = SlotDiff { key: U256::ZERO, before: U256::ZERO, after: U256::ONE };
    let changes = (0..4).map(|number| {
        let (before, after) =
            if number == 3 { (Some(Account::default()), None) } else { (None, Some(Account::default())) };
        (address(number), AccountDiff { before, after, slots: if number < 2 { vec![slot] } else { Vec::new() } })
    });
    let diff = StateDiff { accounts: changes.collect(), codes: Vec::new() };
    if let Ok(update) = trie::apply(&nodes, &diff) {
        assert_eq!(update.nodes.len(), update.replaced.len());
    }
});
