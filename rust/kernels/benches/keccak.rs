//! Keccak-256 of a trie's nodes: each instruction set of this machine against one hash after the other.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use execlayer_kernels::Simd;
use execlayer_kernels::keccak::keccak256_many_with;
use std::time::Duration;

use alloy_primitives::{B256, keccak256};

fn keccak(criterion: &mut Criterion) {
    // A slot's key, an account's leaf, a full branch, and a level of a trie that holds leaves and branches.
    let cases: [(&str, &[usize]); 4] =
        [("slot_key_32", &[32]), ("leaf_110", &[110]), ("branch_532", &[532]), ("mixed", &[110, 532, 110, 68, 211])];
    for (name, lengths) in cases {
        let inputs: Vec<Vec<u8>> = (0..1024).map(|index| vec![index as u8; lengths[index % lengths.len()]]).collect();
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let expected: Vec<B256> = inputs.iter().map(keccak256).collect();
        let mut outputs = vec![B256::ZERO; inputs.len()];

        let mut group = criterion.benchmark_group(format!("keccak/{name}"));
        group.throughput(Throughput::Elements(inputs.len() as u64));
        for simd in Simd::ALL.into_iter().filter(|simd| simd.is_available()) {
            keccak256_many_with(simd, &inputs, &mut outputs);
            assert_eq!(outputs, expected, "{simd:?}");
            group.bench_function(BenchmarkId::from_parameter(simd.name()), |bencher| {
                bencher.iter(|| keccak256_many_with(simd, &inputs, &mut outputs));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = keccak
}
criterion_main!(benches);
