//! From an order to bytes: call data, the signed transaction, the request.

pub mod abi;
pub mod request;
pub mod rlp;

pub use request::{Framing, Wiring};
pub use rlp::Unsigned;
