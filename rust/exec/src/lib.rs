//! One block: its transactions in order, what belongs before, between and after them, and what came of it.
//!
//! [`execute`] is the meaning of a block: sequential, a pure function of rules, environment, transactions and the state
//! before. [`BlockBuilder`] is the same, a transaction at a time, for who makes a block instead of being given one.
//!
//! [`call`] is for what nobody signed: it is tried and thrown away.
//!
//! Knows no chain, no disk, no pool.

mod after;
pub mod block;
pub mod bytecode;
pub mod call;
pub mod parallel;
mod spare;
pub mod statetest;
pub mod suite;
mod system;
mod times;

pub use block::{BlockBuilder, BlockOutcome, ExecError, Mode, Reward, execute};
pub use parallel::{Executor, Parallel};
pub use times::Times;
