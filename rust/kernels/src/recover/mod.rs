//! Public keys from signatures, many at once: secp256k1's recovery for whoever has more than a few.
//!
//! [`recover_batch`] gives for every signed hash the key that libsecp256k1 gives, or the reason why there is none. On
//! processors with AVX-512 and its 52-bit multiply-add, signatures are worked on by eights, several times faster than
//! one after the other; small batches, other processors and the rare case that the batched formulas do not cover go
//! to libsecp256k1.
//!
//! **Everything here is public data.** Signatures and hashes come from the network, keys follow from them: time and
//! memory access depend on the values, and nothing here may ever be used with a secret.
//!
//! One call works on one core. Whoever has several cuts the input in pieces of [`PIECE`]:
//!
//! ```
//! use execlayer_kernels::recover::{PIECE, RecoverError, SignedHash, recover_addresses};
//! use rayon::prelude::*;
//!
//! let signed = vec![SignedHash { hash: [1; 32], r: [2; 32], s: [0; 32], recovery_id: 0 }; 200];
//! let senders: Vec<_> = signed.par_chunks(PIECE).flat_map_iter(recover_addresses).collect();
//! assert_eq!(senders, vec![Err(RecoverError::OutOfRange); 200]);
//! ```

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)] // Vector registers as arrays, and the call into code compiled for another instruction set.
mod ifma;
mod range;
mod single;
#[cfg(test)]
mod tests;

use alloy_primitives::{Address, B256};

use crate::{Simd, keccak256_many};

/// A hash and the signature that somebody made of it, numbers big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedHash {
    /// What was signed.
    pub hash: [u8; 32],
    /// The x of the signer's random point modulo the group's order n.
    pub r: [u8; 32],
    /// The proof.
    pub s: [u8; 32],
    /// Which point: bit 0 says that its y is odd, bit 1 that its x is r + n.
    pub recovery_id: u8,
}

/// A point of the curve: x and y, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; 64]);

/// Why a signature has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// `r` or `s` is zero or not below the curve's order.
    #[error("signature value out of range")]
    OutOfRange,
    /// No point of the curve belongs to this signature and hash.
    #[error("signature does not belong to any key")]
    NoKey,
    /// A recovery identifier is 0, 1, 2 or 3.
    #[error("recovery identifier {got} is not in 0..=3")]
    InvalidRecoveryId {
        /// The one that came.
        got: u8,
    },
}

/// How many signatures to give to a core at a time: enough that what they share costs each next to nothing (2 % more
/// than with thousands), few enough that a small batch still reaches all cores.
pub const PIECE: usize = 64;

/// A group costs about as much as one signature costs libsecp256k1.
const BATCH_MIN: usize = 2;

/// The key of every signed hash, in the same order.
pub fn recover_batch(signed: &[SignedHash]) -> Vec<Result<PublicKey, RecoverError>> {
    recover_batch_with(Simd::chosen(), signed)
}

/// [`recover_batch`] with given instructions. Only [`Simd::Avx512`] differs from the plain way, and only where the
/// processor has the 52-bit multiply-add too: with AVX2 a batch would gain a fifth, not worth having.
pub fn recover_batch_with(simd: Simd, signed: &[SignedHash]) -> Vec<Result<PublicKey, RecoverError>> {
    match kernel(simd) {
        Some(kernel) if signed.len() >= BATCH_MIN => {
            let mut keys = vec![Err(RecoverError::NoKey); signed.len()];
            kernel(signed, &mut keys);
            keys
        }
        _ => signed.iter().map(single::recover).collect(),
    }
}

/// Fills in the key of every signed hash.
type Kernel = fn(&[SignedHash], &mut [Result<PublicKey, RecoverError>]);

/// What there is for these instructions on this processor.
fn kernel(simd: Simd) -> Option<Kernel> {
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 if ifma::is_available() => Some(ifma::recover),
        _ => None,
    }
}

/// The address of every signed hash's key, in the same order: the last 20 bytes of the key's Keccak-256.
pub fn recover_addresses(signed: &[SignedHash]) -> Vec<Result<Address, RecoverError>> {
    let keys = recover_batch(signed);
    let found: Vec<&[u8]> = keys.iter().flatten().map(|key| key.0.as_slice()).collect();
    let mut hashes = vec![B256::ZERO; found.len()];
    keccak256_many(&found, &mut hashes);
    let mut hashes = hashes.into_iter();
    keys.into_iter().map(|key| key.map(|_| Address::from_word(hashes.next().expect("one hash for each key")))).collect()
}
