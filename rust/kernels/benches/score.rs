//! Scores and ranks: each instruction set against the portable code, after comparing their bits.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use execlayer_kernels::{
    Simd,
    score::{CLASSES, RankWeights, rank_batch_with, score_batch_with},
};

const WEIGHTS: RankWeights = RankWeights { fee: 0.5, boost: 0.5, median: 1.5e9 };
const PRIORITIES: [f64; CLASSES] = [1.0, 1.5, 0.8, 2.0, 1.2, 1.1, 4.0, 1.0];

/// What this machine can run.
fn available() -> impl Iterator<Item = Simd> {
    Simd::ALL.into_iter().filter(|simd| simd.is_available())
}

/// A linear congruence: the same columns in every run.
fn columns(length: usize) -> (Vec<f64>, Vec<f64>, Vec<u8>) {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let tips = (0..length).map(|_| next() as f64).collect();
    let boosts = (0..length).map(|_| 0.5 + (next() % 16) as f64 * 0.1).collect();
    let classes = (0..length).map(|_| (next() % 8) as u8).collect();
    (tips, boosts, classes)
}

fn kernels(criterion: &mut Criterion) {
    for length in [32, 1_024, 4_096, 1_000_000] {
        let (tips, boosts, classes) = columns(length);
        let mut expected = (vec![0.0; length], vec![0.0; length]);
        rank_batch_with(Simd::Scalar, &tips, &boosts, WEIGHTS, &mut expected.0).unwrap();
        score_batch_with(Simd::Scalar, &tips, &classes, &PRIORITIES, &mut expected.1).unwrap();
        for simd in available() {
            let mut out = vec![0.0; length];
            rank_batch_with(simd, &tips, &boosts, WEIGHTS, &mut out).unwrap();
            assert_eq!(out, expected.0, "{simd:?} ranks differently");
            let mut group = criterion.benchmark_group("rank");
            group.throughput(Throughput::Elements(length as u64));
            group.bench_function(BenchmarkId::new(simd.name(), length), |bencher| {
                bencher.iter(|| rank_batch_with(simd, black_box(&tips), &boosts, WEIGHTS, &mut out));
            });
            group.finish();
            score_batch_with(simd, &tips, &classes, &PRIORITIES, &mut out).unwrap();
            assert_eq!(out, expected.1, "{simd:?} scores differently");
            let mut group = criterion.benchmark_group("score");
            group.throughput(Throughput::Elements(length as u64));
            group.bench_function(BenchmarkId::new(simd.name(), length), |bencher| {
                bencher.iter(|| score_batch_with(simd, black_box(&tips), &classes, &PRIORITIES, &mut out));
            });
            group.finish();
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
