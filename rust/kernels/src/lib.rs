//! Vector code: the same answer as a plain loop, several at once.
//!
//! Knows no blockchain. Each kernel has a portable twin and one file per instruction set; [`Simd`] says which of them
//! this process uses.

pub mod crc32c;
pub mod keccak;
pub mod lattice;
mod prefetch;
pub mod recover;
pub mod score;
pub mod simd;

pub use crc32c::crc32c;
pub use keccak::keccak256_many;
pub use prefetch::prefetch;
pub use recover::{recover_addresses, recover_batch};
pub use score::{RankWeights, ScoreError, rank_batch, score_batch};
pub use simd::{Simd, SimdError};
