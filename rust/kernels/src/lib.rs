//! Vector code: the same answer as a plain loop, several at once.
//!
//! Knows no blockchain. Each kernel has a portable twin and one file per instruction set, chosen once at run time.

pub mod keccak;
pub mod recover;

pub use keccak::keccak256_many;
pub use recover::{recover_addresses, recover_batch};
