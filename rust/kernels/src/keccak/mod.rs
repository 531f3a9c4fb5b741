//! Keccak-256 of many inputs at once, one in each lane of a vector register.
//!
//! Inputs may have any lengths: a lane that is done takes the next input while the others go on, so no lane idles before
//! the last inputs. What differs between instruction sets is the permutation of all lanes' states alone; taking in blocks
//! and giving out digests is plain code over the same memory.
//!
//! Equal to [`alloy_primitives::keccak256`] on each input, whatever the instruction set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[allow(unsafe_code, reason = "vector instructions")]
mod permutation;
#[cfg(test)]
mod tests;

use alloy_primitives::{B256, keccak256};

use crate::Simd;
use permutation::State;

/// Bytes that one permutation takes in.
const RATE: usize = 136;

/// Keccak-256 of each input, in their order. Panics where there is not one output for each input.
///
/// ```
/// use alloy_primitives::{B256, keccak256};
///
/// let mut hashes = [B256::ZERO; 2];
/// execlayer_kernels::keccak256_many(&[b"one", b"another"], &mut hashes);
/// assert_eq!(hashes, [keccak256("one"), keccak256("another")]);
/// ```
pub fn keccak256_many(inputs: &[&[u8]], outputs: &mut [B256]) {
    keccak256_many_with(Simd::chosen(), inputs, outputs);
}

/// [`keccak256_many`] with given instructions. Panics where this machine does not have them.
pub fn keccak256_many_with(simd: Simd, inputs: &[&[u8]], outputs: &mut [B256]) {
    assert_eq!(inputs.len(), outputs.len(), "one output for each input");
    assert!(simd.is_available(), "this machine has no {}", simd.name());
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => hash_lanes::<8>(avx512::permute, inputs, outputs),
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => hash_lanes::<4>(avx2::permute, inputs, outputs),
        #[cfg(target_arch = "aarch64")]
        Simd::Neon => hash_lanes::<2>(neon::permute, inputs, outputs),
        _ => hash_one_by_one(inputs, outputs),
    }
}

fn hash_one_by_one(inputs: &[&[u8]], outputs: &mut [B256]) {
    for (input, output) in inputs.iter().zip(outputs) {
        *output = keccak256(input);
    }
}

/// An input on its way through a lane.
#[derive(Clone, Copy)]
struct Job<'i> {
    /// Which input it is.
    index: usize,
    /// What was not taken in yet; None: the padding is in too, and the digest comes with the next permutation.
    rest: Option<&'i [u8]>,
}

fn hash_lanes<const N: usize>(permute: fn(&mut State<N>), inputs: &[&[u8]], outputs: &mut [B256]) {
    // A lone input would leave all lanes but one idle, and a permutation of all costs more than a scalar one.
    if inputs.len() < 2 {
        return hash_one_by_one(inputs, outputs);
    }
    let mut state = State::<N>::default();
    let mut waiting = inputs.iter().enumerate().map(|(index, input)| Job { index, rest: Some(input) });
    let mut lanes: [Option<Job<'_>>; N] = std::array::from_fn(|_| waiting.next());
    while lanes.iter().any(Option::is_some) {
        for (lane, job) in lanes.iter_mut().enumerate() {
            if let Some(Job { rest: Some(rest), .. }) = job {
                job.as_mut().expect("it is there").rest = absorb(&mut state, lane, rest);
            }
        }
        permute(&mut state);
        for (lane, job) in lanes.iter_mut().enumerate() {
            if let Some(Job { index, rest: None }) = *job {
                outputs[index] = digest(&state, lane);
                clear(&mut state, lane);
                *job = waiting.next();
            }
        }
    }
}

/// Takes in the next block of a lane's input and gives what is left of it; None when that was the last block.
fn absorb<'i, const N: usize>(state: &mut State<N>, lane: usize, input: &'i [u8]) -> Option<&'i [u8]> {
    let mut mix = |block: &[u8; RATE]| {
        for (words, bytes) in state.0.iter_mut().zip(block.chunks_exact(8)) {
            words[lane] ^= u64::from_le_bytes(bytes.try_into().expect("chunks of 8"));
        }
    };
    if let Some((block, rest)) = input.split_first_chunk() {
        mix(block);
        return Some(rest);
    }
    let mut block = [0; RATE];
    block[..input.len()].copy_from_slice(input);
    block[input.len()] = 0x01;
    block[RATE - 1] |= 0x80;
    mix(&block);
    None
}

fn digest<const N: usize>(state: &State<N>, lane: usize) -> B256 {
    let mut digest = B256::ZERO;
    for (bytes, words) in digest.chunks_exact_mut(8).zip(&state.0) {
        bytes.copy_from_slice(&words[lane].to_le_bytes());
    }
    digest
}

fn clear<const N: usize>(state: &mut State<N>, lane: usize) {
    state.0.iter_mut().for_each(|words| words[lane] = 0);
}
