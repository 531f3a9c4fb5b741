//! The root after 10,000 changed accounts in a state of 1,000,000, against building the trie anew with `alloy-trie`, and
//! the lattice hash over the same change, against its hashing alone.
//!
//! Stored nodes lie in a hash map, so no disk is measured. The rebuild is given its leaves sorted and encoded; ours hashes
//! addresses and encodes accounts itself, gives the nodes to write and the way back. What is timed includes no write.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use alloy_trie::{HashBuilder, Nibbles};
use criterion::{Criterion, criterion_group, criterion_main};
use execlayer_state::roots::{Lattice, trie};
use execlayer_state::{AccountDiff, LedgerError, NodeKey, SlotDiff, StateDiff, TrieNodes};
use types::primitives::map::DefaultHashBuilder;
use types::{Account, Address, B256, Bytes, EMPTY_ROOT, LeafAccount, U256, keccak256};

const ACCOUNTS: u64 = 1_000_000;
const CHANGES: u64 = 10_000;

/// Nodes of a state trie, by path packed into a number.
#[derive(Default)]
struct Nodes(HashMap<u64, Bytes, DefaultHashBuilder>);

/// Random keys never share 15 nibbles here: a leading one, then the path.
fn packed(path: &[u8]) -> u64 {
    assert!(path.len() < 16);
    path.iter().fold(1, |packed, nibble| packed << 4 | u64::from(*nibble))
}

impl TrieNodes for Nodes {
    fn node(&self, key: &NodeKey) -> Result<Option<Bytes>, LedgerError> {
        Ok(self.0.get(&packed(&key.path)).cloned())
    }
}

fn address(index: u64) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

fn account(index: u64) -> Account {
    Account { nonce: index % 100, balance: U256::from(index) * U256::from(1_000_000_007u64), ..Account::default() }
}

/// Each of some accounts, and a slot with it where asked, from what one function says to what another says.
fn diff(
    indices: impl Iterator<Item = u64>,
    before: impl Fn(u64) -> Option<Account>,
    after: impl Fn(u64) -> Account,
    with_slot: bool,
) -> StateDiff {
    let mut accounts: Vec<_> = indices
        .map(|index| {
            let (before, after) = (before(index), Some(after(index)));
            let slot = SlotDiff { key: U256::from(index), before: U256::from(1), after: U256::from(2) };
            (address(index), AccountDiff { before, after, slots: if with_slot { vec![slot] } else { Vec::new() } })
        })
        .collect();
    accounts.sort_unstable_by_key(|(address, _)| *address);
    StateDiff { accounts, codes: Vec::new() }
}

fn rebuild(leaves: &BTreeMap<B256, Vec<u8>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, leaf) in leaves {
        builder.add_leaf(Nibbles::unpack(key), leaf);
    }
    builder.root()
}

fn roots(criterion: &mut Criterion) {
    let mut nodes = Nodes::default();
    for start in (0..ACCOUNTS).step_by(100_000) {
        let update = trie::apply(&nodes, &diff(start..start + 100_000, |_| None, account, false)).unwrap();
        nodes.0.extend(update.nodes.into_iter().filter_map(|(key, node)| Some((packed(&key.path), node?))));
    }
    let richer = |index| Account { nonce: 1, ..account(index + 1) };
    let changed = || (0..CHANGES).map(|index| index * (ACCOUNTS / CHANGES));
    let change = diff(changed(), |index| Some(account(index)), richer, false);

    let leaf = |account: Account| alloy_rlp::encode(LeafAccount::new(&account, EMPTY_ROOT));
    let mut leaves: BTreeMap<B256, Vec<u8>> =
        (0..ACCOUNTS).map(|index| (keccak256(address(index)), leaf(account(index)))).collect();
    leaves.extend(changed().map(|index| (keccak256(address(index)), leaf(richer(index)))));
    assert_eq!(trie::apply(&nodes, &change).unwrap().root, rebuild(&leaves));

    let mut group = criterion.benchmark_group("root/10k_changes_in_1m_accounts");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    // In pools of their own: what building the state left of the main thread's heap is not what is measured.
    for (name, cores) in [("incremental_one_core", 1), ("incremental_all_cores", 0)] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(cores).build().unwrap();
        group.bench_function(name, |bencher| {
            pool.install(|| bencher.iter(|| trie::apply(&nodes, &change).unwrap().root));
        });
    }
    group.bench_function("alloy_trie_rebuild", |bencher| bencher.iter(|| rebuild(&leaves)));
    group.finish();
}

fn lattice(criterion: &mut Criterion) {
    let change = diff(0..CHANGES, |index| Some(account(index)), |index| account(index + 1), false);
    let with_slots = diff(0..CHANGES, |index| Some(account(index)), |index| account(index + 1), true);
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();

    let mut group = criterion.benchmark_group("lattice/10k_accounts");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    for (name, change) in [("20k_elements", &change), ("40k_elements_with_slots", &with_slots)] {
        let mut lattice = Lattice::default();
        lattice.apply(change);
        lattice.apply(&change.inverse());
        assert_eq!(lattice, Lattice::default());
        group.bench_function(name, |bencher| {
            one_core.install(|| bencher.iter(|| lattice.apply(change)));
        });
    }
    group.bench_function("20k_bare_hashes", |bencher| {
        let mut output = [0; Lattice::BYTES];
        bencher.iter(|| {
            for index in 0..2 * CHANGES {
                let mut input = [0; 93];
                input[..8].copy_from_slice(&index.to_le_bytes());
                blake3::Hasher::new().update(&input).finalize_xof().fill(&mut output);
                std::hint::black_box(&output);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, roots, lattice);
criterion_main!(benches);
