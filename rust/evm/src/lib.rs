//! One transaction: Ethereum's rules from Frontier to Osaka, over a state's overlay.
//!
//! - [`spec`]: forks, prices, chains: configuration as data.
//!
//! Knows no other transaction, no block around it but the values of its environment, no disk and no clock.

pub mod spec;

pub use spec::Fork;
