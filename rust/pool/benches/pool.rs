//! The pool's promises, one JSON object a line, each answer checked against its plain twin before it is timed:
//! `cargo bench -p execlayer-pool --bench pool -- --json`.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use execlayer_pool::{Class, Factors, Limits, Memory, NewHead, Pool, Pooled, Room, Settings, Tried, factor_of};
use kernels::{
    Simd,
    score::{CLASSES, RankWeights, rank_batch_with, score_batch, score_batch_with},
};
use rustix::time::{ClockId, clock_gettime};
use types::{Account, Address, Recovered, Signature, Transaction, TxKind, U256, tx::TxEip1559};

const WAITING: u64 = 1_000_000;
const SENDERS: u64 = 100_000;
const BLOCK: usize = 20_000;
const BASE_FEE: u64 = 1_000;
const ROUNDS: usize = 9;
/// Of work that takes microseconds.
const SHORT_ROUNDS: usize = 400;
const PRIORITIES: [f64; CLASSES] = [1.0, 1.5, 0.8, 2.0, 1.2, 1.1, 4.0, 1.0];

/// A linear congruence: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        self.below(1 << 31) as f64 / (1u64 << 31) as f64
    }
}

fn row(name: &str, kind: &str, ours: f64, theirs: Option<(f64, &str)>, unit: &str, target: f64) {
    let theirs =
        theirs.map(|(theirs, rival)| format!(r#""theirs": {theirs:.4}, "rival": "{rival}", "#)).unwrap_or_default();
    println!(
        r#"{{"name": "{name}", "kind": "{kind}", "ours": {ours:.4}, {theirs}"unit": "{unit}", "target": {target}}}"#
    );
}

fn wrong(name: &str, reason: &str) {
    println!(r#"{{"name": "{name}", "wrong": "{reason}"}}"#);
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let done = black_box(work());
    (begun.elapsed(), done)
}

/// As [`timed`], by the time that this thread works: what takes milliseconds on one thread, whatever else the machine does.
fn worked<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let begun = now();
    let done = black_box(work());
    (now() - begun, done)
}

/// The least time of several ways of doing the same, taking turns: a slow moment of the machine hits all of them.
fn race<const N: usize>(rounds: usize, mut sides: [&mut dyn FnMut() -> Duration; N]) -> [Duration; N] {
    let mut least = [Duration::MAX; N];
    for _ in 0..rounds {
        for (side, least) in sides.iter_mut().zip(&mut least) {
            *least = (*least).min(side());
        }
    }
    least
}

fn transactions(count: u64, senders: u64) -> Vec<Recovered> {
    let mut numbers = Numbers(7);
    (0..count)
        .map(|index| {
            let tip = 1 + numbers.below(5_000_000_000);
            let unsigned = TxEip1559 {
                chain_id: 1,
                nonce: index / senders,
                gas_limit: 21_000,
                // For some the cap decides.
                max_fee_per_gas: u128::from(tip + numbers.below(4 * BASE_FEE)),
                max_priority_fee_per_gas: u128::from(tip),
                to: TxKind::Call(Address::repeat_byte(9)),
                value: U256::from(index),
                ..TxEip1559::default()
            };
            let transaction = Transaction::from_parts(unsigned, Signature::test_signature());
            // Its name is known, as after recovery.
            transaction.hash();
            Recovered::new(transaction, Address::from_word(U256::from(index % senders + 1).into()))
        })
        .collect()
}

fn class(index: u64) -> Class {
    Class::ALL[(index % 3) as usize]
}

fn filled(transactions: &[Recovered]) -> Pool {
    let limits = Limits { transactions: usize::MAX, memory_bytes: usize::MAX, ..Limits::default() };
    let mut pool = Pool::new(Settings { limits, ..Settings::default() });
    pool.advance(NewHead { base_fee: BASE_FEE, gas_limit: 30_000_000, ..NewHead::default() }, &[], std::iter::empty());
    let account = Account::with_balance(U256::MAX);
    for (index, transaction) in (0..).zip(transactions) {
        pool.admit(Pooled::new(transaction.clone(), class(index), false, 0), &account).expect("room for all");
        if index % 1_024 == 0 {
            pool.take_events().for_each(drop);
        }
    }
    pool.take_events().for_each(drop);
    pool
}

fn room() -> Room {
    Room {
        base_fee: BASE_FEE,
        blob_base_fee: 0,
        gas: 21_000 * BLOCK as u64,
        blobs: 0,
        size_bytes: usize::MAX,
        transactions: usize::MAX,
    }
}

/// The rival: ranks all, sorts all, and takes what can be taken from the top, again until the block is full.
fn full_sort(pool: &Pool, all: &[Arc<Pooled>]) -> Vec<Arc<Pooled>> {
    let weights: RankWeights = pool.rank_weights();
    let tips: Vec<f64> = all.iter().map(|one| one.effective_tip(BASE_FEE).unwrap_or_default() as f64).collect();
    let boosts: Vec<f64> =
        all.iter().map(|one| pool.settings().priorities.0[one.class as usize] * factor_of(5)).collect();
    let mut ranks = vec![0.0; all.len()];
    rank_batch_with(Simd::widest(), &tips, &boosts, weights, &mut ranks).expect("columns of one length");
    let mut order: Vec<u32> =
        (0..all.len() as u32).filter(|at| all[*at as usize].effective_tip(BASE_FEE).is_some()).collect();
    let key = |at: &u32| (ranks[*at as usize], tips[*at as usize], all[*at as usize].arrival);
    order.sort_unstable_by(|one, other| {
        let ((rank, tip, arrival), (other_rank, other_tip, other_arrival)) = (key(one), key(other));
        other_rank.total_cmp(&rank).then(other_tip.total_cmp(&tip)).then(arrival.cmp(&other_arrival))
    });
    // What waits for its predecessor waits at its place in the order, and is taken as soon as that one was.
    let place_of: std::collections::HashMap<(Address, u64), u32> = order
        .iter()
        .enumerate()
        .map(|(place, at)| ((all[*at as usize].sender(), all[*at as usize].nonce), place as u32))
        .collect();
    let mut ready: std::collections::BinaryHeap<std::cmp::Reverse<u32>> = order
        .iter()
        .enumerate()
        .filter(|(_, at)| all[**at as usize].nonce == 0)
        .map(|(place, _)| std::cmp::Reverse(place as u32))
        .collect();
    let mut block = Vec::with_capacity(BLOCK);
    while block.len() < BLOCK
        && let Some(std::cmp::Reverse(place)) = ready.pop()
    {
        let one = &all[order[place as usize] as usize];
        block.push(Arc::clone(one));
        ready.extend(place_of.get(&(one.sender(), one.nonce + 1)).map(|place| std::cmp::Reverse(*place)));
    }
    block
}

fn scheduling() {
    const NAME: &str = "schedule 20,000 of 1,000,000 waiting";
    let all = transactions(WAITING, SENDERS);
    let mut pool = filled(&all);
    drop(all);
    let waiting: Vec<_> = pool.by_age().cloned().collect();
    let expected = full_sort(&pool, &waiting);
    // The first one also puts those right whose cap the base fee binds.
    let (first, _) = worked(|| pool.schedule(&room(), &Tried::default()));
    let ours = pool.schedule(&room(), &Tried::default()).transactions;
    let same = ours.len() == BLOCK && ours.iter().zip(&expected).all(|(one, other)| one.hash == other.hash);
    if !same {
        return wrong(NAME, "it is not the full sort's block");
    }
    let scores = pool.score_stats();
    let [best] = race(ROUNDS, [&mut || worked(|| pool.schedule(&room(), &Tried::default())).0]);
    let sorted = (0..2).map(|_| worked(|| full_sort(&pool, &waiting)).0).min().unwrap_or_default();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    eprintln!("first schedule after a change of base fee: {:.2} ms", millis(first));
    row(NAME, "at_most", millis(best), None, "ms", 5.0);
    row(NAME, "faster", millis(best), Some((millis(sorted), "a full sort")), "ms", 5.0);
    row("ranked by vector code, blocks of 20,000", "at_least", scores.utilisation() * 100.0, None, "%", 70.0);
}

fn admission() {
    const COUNT: u64 = 200_000;
    let all = transactions(COUNT, 20_000);
    let mut least = Duration::MAX;
    for _ in 0..5 {
        let limits = Limits { transactions: usize::MAX, memory_bytes: usize::MAX, ..Limits::default() };
        let mut pool = Pool::new(Settings { limits, ..Settings::default() });
        let account = Account::with_balance(U256::MAX);
        let batch = all.clone();
        let (time, ()) = worked(|| {
            for (index, transaction) in (0..).zip(batch) {
                pool.admit(Pooled::new(transaction, class(index), false, 0), &account).expect("room for all");
                if index % 1_024 == 0 {
                    pool.take_events().for_each(drop);
                }
            }
        });
        assert_eq!(pool.len() as u64, COUNT);
        least = least.min(time);
    }
    row(
        "admission into the pool, senders known",
        "at_least",
        COUNT as f64 / least.as_secs_f64(),
        None,
        "a second",
        5e5,
    );
}

fn cache() {
    const SENDERS: usize = 100_000;
    let weights: Vec<f64> = (1..=SENDERS).map(|rank| (rank as f64).powf(-1.1)).collect();
    let total: f64 = weights.iter().sum();
    let sums: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, weight| {
            *sum += weight / total;
            Some(*sum)
        })
        .collect();
    let mut factors = Factors::new(Memory { cache_entries: 10_000, ..Memory::default() });
    let mut numbers = Numbers(11);
    for _ in 0..1_000_000 {
        let share = numbers.share();
        let rank = sums.partition_point(|sum| *sum < share);
        factors.step(Address::from_word(U256::from(rank).into()), Class::Transfer);
    }
    let stats = factors.stats();
    assert_eq!((stats.hits + stats.misses, stats.size), (1_000_000, 10_000));
    row(
        "score cache hits, 100,000 senders, Zipf 1.1, 10,000 entries",
        "at_least",
        stats.hit_rate() * 100.0,
        None,
        "%",
        80.0,
    );
}

struct Columns {
    tips: Vec<f64>,
    boosts: Vec<f64>,
    classes: Vec<u8>,
}

fn columns(count: usize) -> Columns {
    let mut numbers = Numbers(3);
    Columns {
        tips: (0..count).map(|_| numbers.below(1 << 31) as f64).collect(),
        boosts: (0..count).map(|_| 0.5 + numbers.below(16) as f64 * 0.1).collect(),
        classes: (0..count).map(|_| numbers.below(CLASSES as u64) as u8).collect(),
    }
}

fn nanos(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

/// Runs on an instruction set, into a column; how long that took.
type Kernel<'a> = &'a dyn Fn(Simd, &mut [f64]) -> Duration;

/// Each vector instruction set of this machine against the portable code, after comparing bits.
fn kernels() {
    const COUNT: usize = 4_096;
    let Columns { tips, boosts, classes } = columns(COUNT);
    let weights = RankWeights { fee: 0.5, boost: 0.5, median: 1.5e9 };
    let mut out = [vec![0.0; COUNT], vec![0.0; COUNT]];
    let rank = |simd: Simd, ranks: &mut [f64]| {
        let (time, done) = timed(|| rank_batch_with(simd, black_box(&tips), &boosts, weights, black_box(ranks)));
        done.expect("columns of one length");
        time
    };
    let score = |simd: Simd, scores: &mut [f64]| {
        let (time, done) = timed(|| score_batch_with(simd, black_box(&tips), &classes, &PRIORITIES, black_box(scores)));
        done.expect("columns of one length");
        time
    };
    // Name, kernel, and how much faster than the portable code: with AVX-512, with the others.
    let kernels: [(&str, Kernel<'_>, [f64; 2]); 2] =
        [("rank", &rank, [4.0, 2.5]), ("score_batch", &score, [1.28, 1.28])];
    for (kernel, run, [widest, others]) in kernels {
        for simd in Simd::ALL.into_iter().filter(|simd| *simd != Simd::Scalar && simd.is_available()) {
            let name = format!("{kernel} of 4,096, {}", simd.name());
            let [ours, plain] = &mut out;
            let sides: [&mut dyn FnMut() -> Duration; 2] = [&mut || run(simd, ours), &mut || run(Simd::Scalar, plain)];
            let [vector, portable] = race(SHORT_ROUNDS, sides);
            if ours.iter().zip(&*plain).any(|(one, other)| one.to_bits() != other.to_bits()) {
                wrong(&name, "the bits differ from the portable code's");
                continue;
            }
            let target = if simd == Simd::Avx512 { widest } else { others };
            row(&name, "faster", nanos(vector, COUNT), Some((nanos(portable, COUNT), "portable")), "ns", target);
        }
    }
}

/// `score_batch` against the bandwidth of memory: a copy that moves as many bytes.
fn bandwidth() {
    const COUNT: usize = 1_000_000;
    const NAME: &str = "score_batch of 1,000,000 against copying as many bytes";
    let Columns { tips, classes, .. } = columns(COUNT);
    let (mut scores, mut plain) = (vec![0.0; COUNT], vec![0.0; COUNT]);
    score_batch(&tips, &classes, &PRIORITIES, &mut scores).expect("columns of one length");
    score_batch_with(Simd::Scalar, &tips, &classes, &PRIORITIES, &mut plain).expect("columns of one length");
    if scores != plain {
        return wrong(NAME, "the portable code scores differently");
    }
    // 8 + 1 bytes read and 8 written for each: 17 moved, as by a copy of 8.5.
    let (from, mut to) = (vec![1u8; COUNT * 17 / 2], vec![0u8; COUNT * 17 / 2]);
    let [ours, copy] = race(
        SHORT_ROUNDS / 4,
        [
            &mut || timed(|| score_batch(black_box(&tips), &classes, &PRIORITIES, black_box(&mut scores)).is_ok()).0,
            &mut || timed(|| black_box(&mut to).copy_from_slice(black_box(&from))).0,
        ],
    );
    row(NAME, "faster", nanos(ours, COUNT), Some((nanos(copy, COUNT), "memcpy")), "ns", 0.7);
}

fn main() {
    // A part by its name, for who looks for what takes the time.
    let part = std::env::args().skip_while(|argument| argument != "--part").nth(1);
    let parts: [(&str, fn()); 5] = [
        ("kernels", kernels),
        ("bandwidth", bandwidth),
        ("cache", cache),
        ("admission", admission),
        ("scheduling", scheduling),
    ];
    for (name, run) in parts {
        if part.as_deref().is_none_or(|part| part == name) {
            run();
        }
    }
}
