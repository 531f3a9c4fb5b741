//! What the rules are, as values: forks, and the chains that schedule them.

pub mod fork;

pub use fork::{Fork, UnknownFork};
