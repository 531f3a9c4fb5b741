//! From the pool to a sealed block, one JSON object a line: `cargo bench -p execlayer-chain --bench pipeline -- --json`.
//!
//! Signed transfers as bytes: decoded, their senders recovered, admitted, chosen, executed, sealed and committed to a
//! store in memory. The block is imported by a chain that has never seen the transactions before its time counts.
//!
//! `-- --part signed` (or `admission`, `stream`) runs one part alone, for a profile. `-- --soak COUNT` (`make soak-pool`) sends so many
//! transactions with known senders, transfers, calls and failing calls, through chains of half a million each, tells what
//! went wrong by kind and the memory it took, and fails where anything did that is ours.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use evm::{Fork, spec::ChainSpec};
use execlayer_chain::{Chain, Dispatch, Genesis, GenesisAccount, MineOptions, Options, Submission};
use kernels::Simd;
use pool::{Limits, Settings};
use rayon::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use store::Store;
use types::{Address, B256, Block, Bytes, Key, Recovered, Signature, Transaction, TxKind, U256, tx::TxEip1559};

const BLOCK: u64 = 20_000;
const SENDERS: u64 = 10_000;
const ROUNDS: usize = 5;

fn row(name: &str, kind: &str, ours: f64, unit: &str, target: f64) {
    println!(r#"{{"name": "{name}", "kind": "{kind}", "ours": {ours:.4}, "unit": "{unit}", "target": {target}}}"#);
}

/// Counts its calls, in a slot for each caller: CALLER SLOAD PUSH1(1) ADD CALLER SSTORE.
const COUNTER: Address = Address::repeat_byte(0xc0);
const COUNTER_CODE: &[u8] = &[0x33, 0x54, 0x60, 1, 0x01, 0x33, 0x55];

/// Fails whoever calls it: PUSH0 PUSH0 REVERT.
const REVERTER: Address = Address::repeat_byte(0xfa);
const REVERTER_CODE: &[u8] = &[0x5f, 0x5f, 0xfd];

fn open(senders: impl Iterator<Item = Address>, gas_limit: u64) -> Arc<Chain> {
    let rich = || GenesisAccount { balance: U256::from(10).pow(U256::from(30)), ..GenesisAccount::default() };
    let mut alloc = Genesis::dev([]).alloc().clone();
    for (address, code) in [(COUNTER, COUNTER_CODE), (REVERTER, REVERTER_CODE)] {
        alloc.insert(address, GenesisAccount { code: Bytes::from_static(code), ..GenesisAccount::default() });
    }
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

/// What this process has worked so far, on all its threads.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
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
    // Of all threads: what the machine does besides has little part in it.
    let (mut admission_work, mut making_work) = (Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        let chain_of_round = chain();
        let batch = raw.iter().map(|raw| Submission::Raw(raw.clone())).collect();
        let (begun, work_begun) = (Instant::now(), worked());
        let answers = chain_of_round.submit(batch);
        let (admitted, admitted_work) = (begun.elapsed(), worked());
        let mined = chain_of_round.mine(MineOptions::at(1)).expect("a block");
        let (sealed, sealed_work) = (begun.elapsed(), worked());
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!((mined.block.receipts.len() as u64, mined.skipped.len()), (BLOCK, 0));
        if round == 0 {
            let block = Block { header: mined.block.header.clone(), body: mined.block.body.clone() };
            chain().import(block).expect("another chain takes the block");
        }
        whole = whole.min(sealed);
        admission = admission.min(admitted);
        making = making.min(sealed - admitted);
        admission_work = admission_work.min(admitted_work - work_begun);
        making_work = making_work.min(sealed_work - admitted_work);
    }
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / BLOCK as f64;
    eprintln!("µs a transfer: admitted {:.2}, block made {:.2}", micros(admission), micros(making));
    eprintln!("µs of work: admitted {:.2}, block made {:.2}", micros(admission_work), micros(making_work));
    let aim = if Simd::widest() == Simd::Avx512 { 150_000.0 } else { 50_000.0 };
    row("signed transfers, pool to sealed block", "at_least", 1e6 / micros(whole), "a second", aim);
    row("the same, floor", "at_least", 1e6 / micros(whole), "a second", 10_000.0);
    row("time of a signed transfer, pool to sealed block", "at_most", micros(whole), "µs", 100.0);
}

/// The same with nobody waiting for anybody: while one thread submits, another makes blocks, as in a node.
fn stream() {
    const BLOCKS: u64 = 5;
    const BATCH: usize = 2_000;
    let keys: Vec<_> =
        (1..=SENDERS).map(|index| Key::from_bytes(&B256::from(U256::from(index))).expect("a key")).collect();
    let raw: Vec<Bytes> = (0..BLOCKS * BLOCK)
        .into_par_iter()
        .map(|index| {
            let key = &keys[(index % SENDERS) as usize];
            Transaction::sign(transfer(index, index / SENDERS), key).to_bytes()
        })
        .collect();
    let mut least = Duration::MAX;
    for _ in 0..3 {
        let chain = open(keys.iter().map(Key::address), 21_000 * BLOCK);
        let (told, admitted) = mpsc::channel();
        let begun = Instant::now();
        let sealed = thread::scope(|scope| {
            let submitted = &chain;
            scope.spawn(|| {
                for batch in raw.chunks(BATCH) {
                    let answers = submitted.submit(batch.iter().cloned().map(Submission::Raw).collect());
                    assert!(answers.iter().all(Result::is_ok));
                    told.send(answers.len() as u64).expect("somebody makes blocks");
                }
                drop(told);
            });
            let (mut waiting, mut sealed) = (0, 0);
            for count in admitted {
                waiting += count;
                if waiting >= BLOCK {
                    let mined = chain.mine(MineOptions::not_before(1)).expect("a block");
                    assert!(mined.skipped.is_empty());
                    let included = mined.block.receipts.len() as u64;
                    // Some that were not told of yet may be in it.
                    (waiting, sealed) = (waiting.saturating_sub(included), sealed + included);
                }
            }
            while !chain.pool().is_empty() {
                sealed += chain.mine(MineOptions::not_before(1)).expect("a block").block.receipts.len() as u64;
            }
            sealed
        });
        least = least.min(begun.elapsed());
        assert_eq!(sealed, BLOCKS * BLOCK);
    }
    let rate = (BLOCKS * BLOCK) as f64 / least.as_secs_f64();
    let aim = if Simd::widest() == Simd::Avx512 { 150_000.0 } else { 50_000.0 };
    row("signed transfers in a stream, pool to sealed block", "at_least", rate, "a second", aim);
}

/// Transactions whose sender is vouched for.
fn known(count: u64, senders: u64, unsigned: impl Fn(u64, u64) -> TxEip1559) -> Vec<Submission> {
    let one = |index: u64| {
        let sender = Address::from_word(U256::from(1 + index % senders).into());
        let unsigned = unsigned(index, index / senders);
        let transaction = Transaction::from_parts(unsigned, Signature::test_signature());
        Submission::Recovered(Recovered::new(transaction, sender))
    };
    (0..count).map(one).collect()
}

/// Of sixteen twelve transfers, three calls that ask for more gas than they take, and one that fails.
fn mixed(index: u64, nonce: u64) -> TxEip1559 {
    let to = match index % 16 {
        0..=11 => return transfer(index, nonce),
        12..=14 => COUNTER,
        _ => REVERTER,
    };
    TxEip1559 { gas_limit: 80_000, to: TxKind::Call(to), ..transfer(index, nonce) }
}

fn admission() {
    const COUNT: u64 = 100_000;
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let chain = open((1..=SENDERS).map(|index| Address::from_word(U256::from(index).into())), 30_000_000);
        let batch = known(COUNT, SENDERS, transfer);
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

/// Most bytes that this process has had in memory; None where the system doesn't tell.
fn memory_peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kilobytes.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1_024)
}

fn soak(count: u64) {
    const PER_CHAIN: u64 = 500_000;
    let (mut done, mut failed, mut busy) = (0u64, 0u64, Duration::ZERO);
    let mut faults: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut aborted = 0;
    let mut early_peak = None;
    while done < count {
        let chain = open((1..=SENDERS).map(|index| Address::from_word(U256::from(index).into())), 21_000 * BLOCK);
        let batch = known(PER_CHAIN, SENDERS, mixed);
        let begun = Instant::now();
        for answer in chain.submit(batch) {
            answer.expect("room for all");
        }
        let mut time = 0;
        while !chain.pool().is_empty() {
            time += 12;
            let mined = chain.mine(MineOptions::at(time)).expect("a block");
            // Nobody here asks for what can't be given: whoever stays out does for a reason of ours.
            mined.skipped.iter().for_each(|(_, trouble)| *faults.entry(trouble.kind()).or_default() += 1);
            done += mined.block.receipts.len() as u64;
            failed += mined.block.receipts.iter().filter(|receipt| !receipt.outcome.is_success()).count() as u64;
        }
        busy += begun.elapsed();
        let stats = chain.stats();
        assert_eq!(stats.gas, gas_of(&chain), "what the dispatcher counted is what stands in the blocks");
        stats.errors.iter().for_each(|(kind, times)| *faults.entry(kind).or_default() += times);
        aborted += stats.aborted_batches;
        early_peak = early_peak.or_else(memory_peak_bytes);
        let peak = memory_peak_bytes().unwrap_or_default() >> 20;
        eprintln!("{done} transactions, {failed} reverted; errors {faults:?}; {peak} MiB at most");
    }
    assert_eq!(failed * 16, done, "those and only those fail that ask for it");
    let errors = faults.values().sum::<u64>() + aborted;
    row("errors that are ours, in all transactions of the soak", "at_most", errors as f64, "", 0.0);
    row("transactions of the soak", "at_least", done as f64 / busy.as_secs_f64(), "a second", 20_000.0);
    if let (Some(early), Some(peak)) = (early_peak, memory_peak_bytes()) {
        row("memory at the end over that of the first chain", "at_most", peak as f64 / early as f64, "", 2.0);
    }
    assert!(errors == 0, "{faults:?}, {aborted} batches undone");
}

/// Gas of all blocks.
fn gas_of(chain: &Chain) -> u64 {
    (1..=chain.head().id.number).map(|number| chain.header(number.into()).expect("a block").gas_used).sum()
}

fn main() {
    let option = |name: &str| std::env::args().skip_while(|argument| argument != name).nth(1);
    if let Some(count) = option("--soak") {
        return soak(count.parse().expect("how many"));
    }
    let part = option("--part");
    let parts: [(&str, fn()); 3] = [("admission", admission), ("signed", signed), ("stream", stream)];
    for (_, run) in parts.into_iter().filter(|(name, _)| part.as_deref().is_none_or(|part| part == *name)) {
        run();
    }
}
