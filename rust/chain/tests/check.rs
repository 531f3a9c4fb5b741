//! A state is held against its head: what is damaged, in the rows or in the trie, is found and named.

use std::sync::Arc;

use execlayer_chain::{Chain, Genesis, GenesisAccount, MineOptions, Options, StateCheck, StateFault, check_state};
use state::roots::RootError;
use store::{Batch, Family, Store};
use types::{Address, Bytes, U256, keccak256};

const KEEPER: Address = Address::repeat_byte(0xce);
const SLOTS: u64 = 40;

/// A chain with storage, and what a look at it gives.
fn world() -> (Arc<Store>, StateCheck) {
    let storage = (1..=SLOTS).map(|slot| (U256::from(slot), U256::from(slot * slot))).collect();
    let keeper = GenesisAccount { code: Bytes::from_static(&[0]), storage, ..GenesisAccount::default() };
    let store = Arc::new(Store::memory());
    let genesis = Genesis::dev([(KEEPER, keeper)]);
    let chain = Chain::open(store.clone(), genesis, Options::default()).unwrap();
    chain.mine(MineOptions::at(12)).unwrap();
    let check = check_state(&*store).unwrap();
    assert_eq!(check.block, Some(chain.head().id));
    (store, check)
}

/// Writes one row behind the chain's back, and looks again.
fn damaged(store: &Store, family: Family, key: impl Into<Bytes>, value: Option<Bytes>) -> Vec<StateFault> {
    let mut batch = Batch::default();
    let key = key.into();
    match value {
        Some(value) => batch.put(family, key, value),
        None => batch.delete(family, key),
    }
    store.kv().write(batch).unwrap();
    check_state(store).unwrap().faults
}

#[test]
fn a_state_is_that_of_its_head_as_rows_and_as_a_trie() {
    let (store, check) = world();
    assert_eq!(check.faults, []);
    assert!(check.accounts > 10 && check.slots >= SLOTS, "{check:?}");
    assert_eq!(check_state(&Store::memory()).unwrap(), StateCheck::default());
    drop(store);
}

#[test]
fn a_row_that_is_lost_is_missed_by_lattice_hash_and_trie() {
    let (store, before) = world();
    let faults = damaged(&store, Family::Accounts, KEEPER.to_vec(), None);
    let [StateFault::Lattice { .. }, accounts, slots] = &faults[..] else { panic!("{faults:?}") };
    let apart = |what, rows, leaves| StateFault::Apart { what, rows, leaves };
    assert_eq!(*accounts, apart("accounts", before.accounts - 1, before.accounts));
    assert_eq!(*slots, apart("slots", before.slots - SLOTS, before.slots));
}

#[test]
fn a_slot_that_holds_something_else_is_found_though_the_numbers_agree() {
    let (store, before) = world();
    let key = [KEEPER.as_slice(), &U256::from(3).to_be_bytes::<32>()].concat();
    let faults = damaged(&store, Family::Storage, key, Some(Bytes::from_static(&[77])));
    let apart = StateFault::Apart { what: "slots", rows: before.slots, leaves: before.slots };
    assert!(matches!(&faults[..], [StateFault::Lattice { .. }, found] if *found == apart), "{faults:?}");
}

#[test]
fn each_node_that_is_another_is_named() {
    let owner = keccak256(KEEPER);
    let nodes: Vec<_> = {
        let (store, _) = world();
        let snapshot = store.kv().snapshot().unwrap();
        snapshot.entries(Family::Nodes).map(Result::unwrap).collect()
    };
    assert!(nodes.len() > 20, "{}", nodes.len());
    for (key, node) in nodes {
        let (store, _) = world();
        let mut other = node.to_vec();
        *other.last_mut().unwrap() ^= 1;
        let faults = damaged(&store, Family::Nodes, key.clone(), Some(other.into()));
        let named = faults.iter().any(|fault| match fault {
            // The root of the state, or of a storage, or a node below one of them.
            StateFault::Root { .. } => key[..] == [0, 0],
            StateFault::StorageRoot { account, .. } => key[1..33] == account[..],
            StateFault::Trie(RootError::Malformed { key: place, .. }) => {
                place.owner.is_none() == (key[0] == 0) && place.owner.is_none_or(|held| held == owner || key[0] == 1)
            }
            _ => false,
        });
        assert!(named, "{key}: {faults:?}");
        let faults = damaged(&store, Family::Nodes, key.clone(), None);
        assert!(!faults.is_empty(), "{key}");
    }
}
