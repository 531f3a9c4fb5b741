//! The contracts of `contracts/`, compiled, and what to send them.

use types::{Bytes, U256, keccak256};

fn code(hex: &str) -> Bytes {
    hex.trim().parse().expect("the compiler wrote hex")
}

/// A token.
pub fn token() -> Bytes {
    code(include_str!("../contracts/token.hex"))
}

/// A loop of hashes.
pub fn hashes() -> Bytes {
    code(include_str!("../contracts/hashes.hex"))
}

/// A ray tracer.
pub fn tracer() -> Bytes {
    code(include_str!("../contracts/tracer.hex"))
}

/// Call data for a function with this signature.
pub fn call(signature: &str, arguments: &[U256]) -> Bytes {
    let mut data = keccak256(signature)[..4].to_vec();
    data.extend(arguments.iter().flat_map(U256::to_be_bytes::<32>));
    data.into()
}
