//! What the rules are, as values: forks, and the chains that schedule them.

pub mod chain;
pub mod changes;
pub mod custom;
pub mod dao;
pub mod fork;
pub mod gas;
pub mod opcodes;

pub use chain::{Activation, BlobParameters, BlockEnv, ChainSpec, Rules, SpecError};
pub use changes::Changes;
pub use custom::{Cause, Custom, CustomError, CustomFailure, CustomOpcode, CustomPrecompile, Quit, Site};
pub use fork::{Fork, UnknownFork};
pub use gas::{GasError, GasSchedule};
