//! One transaction: Ethereum's rules from Frontier to Osaka, over a state's overlay.
//!
//! - [`precompiles`]: contracts that are part of the rules.
//! - [`spec`]: forks, prices, chains: configuration as data.
//! - [`transact`]: a transaction from validation to settlement.
//!
//! Knows no other transaction, no block around it but the values of [`BlockEnv`], no disk and no clock.

pub mod precompiles;
pub mod spec;
pub mod transact;

pub use spec::{Activation, BlobParameters, BlockEnv, ChainSpec, Fork, Rules};
pub use transact::{Executed, Outcome, Rejection, Terms, TransactError, transact, validate};
