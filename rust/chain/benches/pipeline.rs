//! From the pool to a sealed block, one JSON object a line: `cargo bench -p execlayer-chain --bench pipeline -- --json`.
//!
//! Signed transfers as bytes: decoded, their senders recovered, admitted, chosen, executed, sealed and committed to a
//! store in memory. The block is imported by a chain that has never seen the transactions before its time counts.
//!
//! `-- --soak COUNT` sends so many transfers with known senders through chains of half a million each, and fails where
//! one of them meets a fault of ours.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use evm::{Fork, spec::ChainSpec};
use execlayer_chain::{Chain, Dispatch, Genesis, GenesisAccount, MineOptions, Options, Submission};
use kernels::Simd;
use pool::{Limits, Settings};
use store::Store;
use types::{Address, B256, Block, Bytes, Key, Recovered, Signature, Transaction, TxKind, U256, tx::TxEip1559};

const BLOCK: u64 = 20_000;
const SENDERS: u64 = 10_000;
const ROUNDS: usize = 5;

fn row(name: &str, kind: &str, ours: f64, unit: &str, target: f64) {
    println!(r#"{{"name": "{name}", "kind": "{kind}", "ours": {ours:.4}, "unit": "{unit}", "target": {target}}}"#);
}

fn open(senders: impl Iterator<Item = Address>, gas_limit: u64) -> Arc<Chain> {
    let rich = || GenesisAccount { balance: U256::from(10).pow(U256::from(30)), ..GenesisAccount::default() };
    let mut alloc = Genesis::dev([]).alloc().clone();
    alloc.extend(senders.map(|sender| (sender, rich())));
    let genesis = Genesis::new(ChainSpec::at(1, Fork::Osaka), gas_limit, alloc);
    let limits =
        Limits { transactions: usize::MAX, memory_bytes: usize::MAX, per_sender: usize::MAX, ..Limits::default() };
    let pool = Settings { limits, ..Settings::default() };
    let options = Options { pool, dispatch: Dispatch::default(), ..Options::default() };
    Chain::open(Arc::new(Store::memory()), genesis, options).expect("a chain")
}

fn transfer(index: u64, nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_u128.pow(12),
        max_priority_fee_per_gas: u128::from(1 + index % 977),
        to: TxKind::Call(Address::from_word(U256::from(1_000_000 + index).into())),
        value: U256::from(1 + index),
        ..TxEip1559::default()
    }
}

fn signed() {
    let keys: Vec<_> =
        (1..=SENDERS).map(|index| Key::from_bytes(&B256::from(U256::from(index))).expect("a key")).collect();
    let raw: Vec<Bytes> = (0..BLOCK)
        .map(|index| {
            let key = &keys[(index % SENDERS) as usize];
            Transaction::sign(transfer(index, index / SENDERS), key).to_bytes()
        })
        .collect();
    let chain = || open(keys.iter().map(Key::address), 21_000 * BLOCK);
    let (mut whole, mut admission, mut making) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        let chain_of_round = chain();
        let batch = raw.iter().map(|raw| Submission::Raw(raw.clone())).collect();
        let begun = Instant::now();
        let answers = chain_of_round.submit(batch);
        let admitted = begun.elapsed();
        let mined = chain_of_round.mine(MineOptions::at(1)).expect("a block");
        let sealed = begun.elapsed();
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!((mined.block.receipts.len() as u64, mined.skipped.len()), (BLOCK, 0));
        if round == 0 {
            let block = Block { header: mined.block.header.clone(), body: mined.block.body.clone() };
            chain().import(block).expect("another chain takes the block");
        }
        whole = whole.min(sealed);
        admission = admission.min(admitted);
        making = making.min(sealed - admitted);
    }
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / BLOCK as f64;
    eprintln!("µs a transfer: admitted {:.2}, block made {:.2}", micros(admission), micros(making));
    let aim = if Simd::widest() == Simd::Avx512 { 150_000.0 } else { 50_000.0 };
    row("signed transfers, pool to sealed block", "at_least", 1e6 / micros(whole), "a second", aim);
    row("the same, floor", "at_least", 1e6 / micros(whole), "a second", 10_000.0);
    row("time of a signed transfer, pool to sealed block", "at_most", micros(whole), "µs", 100.0);
}

/// Transfers whose sender is vouched for.
fn known(count: u64, senders: u64) -> Vec<Submission> {
    let one = |index: u64| {
        let sender = Address::from_word(U256::from(1 + index % senders).into());
        let transaction = Transaction::from_parts(transfer(index, index / senders), Signature::test_signature());
        Submission::Recovered(Recovered::new(transaction, sender))
    };
    (0..count).map(one).collect()
}

fn admission() {
    const COUNT: u64 = 100_000;
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let chain = open((1..=SENDERS).map(|index| Address::from_word(U256::from(index).into())), 30_000_000);
        let batch = known(COUNT, SENDERS);
        let begun = Instant::now();
        let answers = chain.submit(batch);
        least = least.min(begun.elapsed());
        assert!(answers.iter().all(Result::is_ok) && chain.pool().len() as u64 == COUNT);
    }
    row(
        "admission with all checks, senders known",
        "at_least",
        COUNT as f64 / least.as_secs_f64(),
        "a second",
        500_000.0,
    );
}

fn soak(count: u64) {
    const PER_CHAIN: u64 = 500_000;
    let mut done = 0;
    while done < count {
        let chain = open((1..=SENDERS).map(|index| Address::from_word(U256::from(index).into())), 21_000 * BLOCK);
        for answer in chain.submit(known(PER_CHAIN, SENDERS)) {
            answer.expect("room for all");
        }
        let mut time = 0;
        while !chain.pool().is_empty() {
            time += 12;
            let mined = chain.mine(MineOptions::at(time)).expect("a block");
            assert!(mined.skipped.is_empty(), "{:?}", mined.skipped);
            done += mined.block.receipts.len() as u64;
        }
        let stats = chain.stats();
        assert!(stats.errors.is_empty() && stats.aborted_batches == 0, "{stats:?}");
        eprintln!("{done} transfers, no fault of ours");
    }
}

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--soak");
    if let Some(count) = arguments.nth(1) {
        return soak(count.parse().expect("how many"));
    }
    admission();
    signed();
}
