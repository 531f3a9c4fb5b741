//! Batched recovery against libsecp256k1 on whatever numbers the fuzzer finds.
//!
//! The input is read as signatures of 100 bytes: hash, r and s, the recovery identifier, and a byte for each number
//! that says whether to take it as it is or to put it next to an edge.

#![no_main]

use kernels::Simd;
use kernels::recover::{SignedHash, recover_batch_with};
use libfuzzer_sys::fuzz_target;

/// The curve's n and p, and p − n, by their last 17 bytes; what stands before is all ones or all zeros.
const EDGES: [(u8, [u8; 17]); 3] = [
    (0xff, [0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41]),
    (0xff, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xfc, 0x2f]),
    (0x00, [0x01, 0x45, 0x51, 0x23, 0x19, 0x50, 0xb7, 0x5f, 0xc4, 0x40, 0x2d, 0xa1, 0x72, 0x2f, 0xc9, 0xba, 0xee]),
];

/// The number itself; a small one; or an edge with its last byte replaced.
fn number(bytes: &[u8], choice: u8) -> [u8; 32] {
    let mut number: [u8; 32] = bytes.try_into().expect("32 bytes");
    match choice % 8 {
        0 => number[..31].fill(0),
        edge @ 1..=3 => {
            let (before, last) = EDGES[usize::from(edge) - 1];
            number[..15].fill(before);
            number[15..31].copy_from_slice(&last[..16]);
        }
        _ => {}
    }
    number
}

fuzz_target!(|data: &[u8]| {
    let signed: Vec<_> = data
        .chunks_exact(100)
        .map(|bytes| SignedHash {
            hash: number(&bytes[..32], bytes[97]),
            r: number(&bytes[32..64], bytes[98]),
            s: number(&bytes[64..96], bytes[99]),
            recovery_id: bytes[96] % 5,
        })
        .collect();
    assert_eq!(recover_batch_with(Simd::widest(), &signed), recover_batch_with(Simd::Scalar, &signed));
});
