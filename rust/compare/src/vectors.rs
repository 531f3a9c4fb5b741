//! Vector kernels against their portable twins: what the processor at hand makes of them.

use std::{hint::black_box, time::Duration};

use kernels::{Simd, keccak::keccak256_many_with};
use types::{B256, keccak256};

use crate::row::{print, race, refuse, timed};

fn nanos(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
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
