//! Blocks of 2,000 signed transfers imported from a stream into a store on disk, each synced before the next: senders
//! recovered, executed, all roots compared. One JSON object a line: `cargo bench -p execlayer-chain --bench import -- --json`.
//!
//! The blocks are made by another chain, so that what is imported was never seen before; at the end both have the same
//! head, and the folder is opened again and still has it. What is timed is the whole import, on all cores there are.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use evm::{Fork, spec::ChainSpec};
use execlayer_chain::{BlockRef, Chain, Genesis, GenesisAccount, MineOptions, Options, Submission};
use store::Store;
use types::{Address, B256, Key, Transaction, TxKind, U256, tx::TxEip1559};

const BLOCKS: u64 = 20;
const PER_BLOCK: u64 = 2_000;
const SENDERS: u64 = 2_000;
const ROUNDS: usize = 3;

/// Transactions a second.
const NEEDED: f64 = 20_000.0;

fn genesis(keys: &[Key]) -> Genesis {
    let rich = GenesisAccount { balance: U256::from(10).pow(U256::from(24)), ..GenesisAccount::default() };
    let mut alloc = Genesis::dev([]).alloc().clone();
    alloc.extend(keys.iter().map(|key| (key.address(), rich.clone())));
    Genesis::new(ChainSpec::at(1, Fork::Cancun), 21_000 * PER_BLOCK, alloc)
}

/// A block's transfers: each sender's next one, to somebody new.
fn transfers(block: u64, keys: &[Key]) -> Vec<Submission> {
    let transfer = |index: u64| TxEip1559 {
        chain_id: 1,
        nonce: block * PER_BLOCK / SENDERS + index / SENDERS,
        gas_limit: 21_000,
        max_fee_per_gas: 10_u128.pow(12),
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(Address::from_word(types::keccak256((block * PER_BLOCK + index).to_be_bytes()))),
        value: U256::from(1 + index),
        ..TxEip1559::default()
    };
    let sign = |index: u64| Transaction::sign(transfer(index), &keys[(index % SENDERS) as usize]).into();
    (0..PER_BLOCK).map(sign).collect()
}

fn main() {
    let keys: Vec<_> =
        (1..=SENDERS).map(|index| Key::from_bytes(&B256::from(U256::from(index))).expect("a key")).collect();
    let maker = Chain::open(Arc::new(Store::memory()), genesis(&keys), Options::default()).expect("a chain");
    for block in 0..BLOCKS {
        let mined = maker.mine_batch(transfers(block, &keys), MineOptions::at(12 * (block + 1))).expect("a block");
        assert_eq!(mined.block.receipts.len() as u64, PER_BLOCK);
    }
    let mut blocks = Vec::new();
    maker.export(1..=BLOCKS, &mut blocks).expect("blocks");

    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || {
            let store = Store::open(folder.path(), store::Options::default()).expect("a store");
            Chain::open(Arc::new(store), genesis(&keys), Options::default()).expect("a chain")
        };
        let chain = open();
        let begun = Instant::now();
        let told = chain.import_stream(&mut &*blocks, &mut |_| true).expect("valid blocks");
        least = least.min(begun.elapsed());
        assert_eq!((told.blocks, told.known), (BLOCKS, 0));
        drop(chain);
        let again = open();
        assert_eq!(again.head().id, maker.head().id);
        assert_eq!(again.lattice(BlockRef::Latest), maker.lattice(BlockRef::Latest));
    }
    let rate = (BLOCKS * PER_BLOCK) as f64 / least.as_secs_f64();
    println!(
        r#"{{"name": "durable import of blocks of 2,000 transfers", "kind": "at_least", "ours": {rate:.1}, "unit": "transactions a second", "target": {NEEDED}}}"#
    );
}
