//! The order engine's core: signal bytes in, signed request bytes out, and nothing lost in between.
//!
//! No clock, no socket, no randomness: time and everything that happened outside come in as values, and what is to be
//! done outside goes out as values. Given the same inputs the same bytes come out, signatures included, so a journal of
//! the inputs is the whole truth about an engine.

#[cfg(test)]
extern crate self as execlayer_orders;

pub mod arena;
pub mod build;
pub mod chain;
pub mod channel;
pub mod config;
pub mod core;
pub mod engine;
pub mod failure;
pub mod fees;
pub mod gates;
pub mod journal;
pub mod keystore;
pub mod lanes;
pub mod order;
pub mod outbox;
pub mod presim;
pub mod receipts;
pub mod replies;
pub mod sign;
pub mod states;
pub mod stored;
pub mod timer;
mod vault;
pub mod whatif;
pub mod window;
pub mod wire;

pub use config::Config;
pub use core::{Alert, Core, Found, Input, Note, Now, Output, SignerAnswer, Want};
pub use engine::Engine;
pub use failure::FailureCode;
pub use presim::Simulation;
pub use states::{Event, OrderError, State, StateTransitionError, Sub};
