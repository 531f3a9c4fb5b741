//! The order engine's core: signal bytes in, signed request bytes out, and nothing lost in between.
//!
//! No clock, no socket, no randomness: time and everything that happened outside come in as values, and what is to be
//! done outside goes out as values. Given the same inputs the same bytes come out, signatures included, so a journal of
//! the inputs is the whole truth about an engine.

pub mod failure;
pub mod states;
pub mod wire;

pub use failure::FailureCode;
pub use states::{Event, State, StateTransitionError, Sub};
