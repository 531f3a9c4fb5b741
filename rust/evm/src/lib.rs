//! One transaction: Ethereum's rules from Frontier to Osaka, over a state's overlay.
//!
//! - [`frame`]: a message with everything it calls, run by the interpreter.
//! - [`precompiles`]: contracts that are part of the rules.
//! - [`spec`]: forks, prices, chains: configuration as data.
//! - [`trace`]: watching it, opcode by opcode.
//! - [`transact`]: a transaction from validation to settlement.
//!
//! Knows no other transaction, no block around it but the values of [`BlockEnv`], no disk and no clock.

mod analysis;
pub mod assets;
pub mod frame;
mod instructions;
mod interpreter;
pub mod precompiles;
pub mod spec;
pub mod trace;
pub mod transact;

pub use frame::Fault;
pub use interpreter::{HaltReason, Instructions};
pub use spec::{
    Activation, BlobParameters, BlockEnv, ChainSpec, Changes, Custom, CustomError, CustomFailure, Fork, GasError,
    GasSchedule, Rules,
};
pub use trace::Tracer;
pub use transact::{Checks, Executed, Outcome, Rejection, Terms, TransactError, system_call, transact, validate};
