//! System accounts: where consensus state that is not a user's lives, as ordinary contract storage.
//!
//! A chain that enables them creates each at genesis with nonce 1 and [`CODE`], so that it is never empty and passes
//! Solidity's code check; calls to it are dispatched by address before any code runs.

use alloy_primitives::{Address, address};

/// The model registry.
pub const MODELS: Address = address!("00000000000000000000000000000000e1ec0001");

/// Datasets, training jobs and submissions.
pub const TRAINING: Address = address!("00000000000000000000000000000000e1ec0002");

/// Balances of assets other than the native one.
pub const ASSETS: Address = address!("00000000000000000000000000000000e1ec0003");

/// All of them, with the name by which documents know them.
pub const ACCOUNTS: [(Address, &str); 3] = [(MODELS, "models"), (TRAINING, "training"), (ASSETS, "assets")];

/// The one byte of code that each holds: INVALID.
pub const CODE: [u8; 1] = [0xfe];
