//! What the rules are, as values: forks, and the chains that schedule them.

pub mod chain;
pub mod dao;
pub mod fork;
pub mod gas;
pub mod opcodes;
pub mod overrides;

pub use chain::{Activation, BlobParameters, BlockEnv, ChainSpec, Rules};
pub use fork::{Fork, UnknownFork};
pub use gas::{GasError, GasSchedule};
pub use overrides::GasOverrides;
