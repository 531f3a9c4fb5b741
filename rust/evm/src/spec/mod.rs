//! What the rules are, as values: forks, and the chains that schedule them.

pub mod chain;
pub mod fork;

pub use chain::{Activation, BlobParameters, BlockEnv, ChainSpec, Rules};
pub use fork::{Fork, UnknownFork};
