//! Keccak-256 of many inputs.

use alloy_primitives::{B256, keccak256};

/// Keccak-256 of each input, in their order. Panics where the two lengths differ.
pub fn keccak256_many(inputs: &[&[u8]], outputs: &mut [B256]) {
    assert_eq!(inputs.len(), outputs.len(), "one output per input");
    for (input, output) in inputs.iter().zip(outputs) {
        *output = keccak256(input);
    }
}
