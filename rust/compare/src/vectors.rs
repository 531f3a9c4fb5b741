//! Vector kernels against their portable twins: what the processor at hand makes of them.

use std::{hint::black_box, time::Duration};

use kernels::{
    Simd,
    keccak::keccak256_many_with,
    score::{CLASSES, RankWeights, rank_batch_with, score_batch_with},
};
use types::{B256, keccak256};

use crate::row::{print, race, refuse, timed};

/// How often a short piece of work is repeated for one reading.
const REPEAT: u32 = 50;

/// A linear congruence: the same columns in every run.
fn numbers() -> impl Iterator<Item = u64> {
    let next =
        |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(0x2545_f491_4f6c_dd1d), next).map(|state| state >> 33)
}

fn repeated(mut work: impl FnMut()) -> Duration {
    timed(|| (0..REPEAT).for_each(|_| work())).0 / REPEAT
}

fn nanos(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

/// Ranks and scores of the pool.
pub fn pool() {
    const COUNT: usize = 4_096;
    let simd = Simd::widest();
    let tips: Vec<f64> = numbers().take(COUNT).map(|number| number as f64).collect();
    let boosts: Vec<f64> = numbers().take(COUNT).map(|number| 0.5 + (number % 16) as f64 * 0.1).collect();
    let classes: Vec<u8> = numbers().take(COUNT).map(|number| (number % CLASSES as u64) as u8).collect();
    let weights = RankWeights { fee: 0.5, boost: 0.5, median: 1.5e9 };
    let priorities = [1.0, 1.5, 0.8, 2.0, 1.2, 1.1, 4.0, 1.0];
    let rank = |simd: Simd| {
        let mut ranks = vec![0.0; COUNT];
        rank_batch_with(simd, black_box(&tips), &boosts, weights, &mut ranks).expect("columns of one length");
        ranks
    };
    let score = |simd: Simd| {
        let mut scores = vec![0.0; COUNT];
        score_batch_with(simd, black_box(&tips), &classes, &priorities, &mut scores).expect("columns of one length");
        scores
    };
    if rank(simd) != rank(Simd::Scalar) || score(simd) != score(Simd::Scalar) {
        return refuse("ranks and scores", "the instruction sets differ");
    }
    let target = if simd == Simd::Avx512 { 4.0 } else { 2.5 };
    let work = |simd: Simd| move || repeated(|| drop(black_box(rank(simd))));
    let [ours, plain] = race([&mut work(simd), &mut work(Simd::Scalar)]);
    let name = format!("rank of 4,096, {}", simd.name());
    print(&name, nanos(ours, COUNT), nanos(plain, COUNT), "portable", "ns", target);
    let work = |simd: Simd| move || repeated(|| drop(black_box(score(simd))));
    let [ours, plain] = race([&mut work(simd), &mut work(Simd::Scalar)]);
    let name = format!("score_batch of 4,096, {}", simd.name());
    print(&name, nanos(ours, COUNT), nanos(plain, COUNT), "portable", "ns", 1.28);
}

/// Hashing of trie nodes.
pub fn state() {
    const COUNT: usize = 4_096;
    let nodes: Vec<Vec<u8>> = (0..COUNT).map(|index| vec![index as u8; [110, 532][index % 2]]).collect();
    let inputs: Vec<&[u8]> = nodes.iter().map(Vec::as_slice).collect();
    let hash = |simd: Simd| {
        let mut hashes = vec![B256::ZERO; COUNT];
        keccak256_many_with(simd, black_box(&inputs), &mut hashes);
        hashes
    };
    for (simd, target) in [(Simd::Avx512, 3.0), (Simd::Avx2, 1.8)] {
        if !simd.is_available() {
            eprintln!("no {} here", simd.name());
            continue;
        }
        let name = format!("Keccak of 4,096 leaves and branches, {}", simd.name());
        if hash(simd).iter().zip(&inputs).any(|(hash, input)| *hash != keccak256(input)) {
            return refuse(&name, "the hashes differ");
        }
        let [ours, plain] = race([&mut || timed(|| hash(simd)).0, &mut || timed(|| hash(Simd::Scalar)).0]);
        print(&name, nanos(ours, COUNT), nanos(plain, COUNT), "scalar", "ns", target);
    }
}
