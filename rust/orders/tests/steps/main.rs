//! The core's decisions, one by one: what it does when this or that happens.

#![expect(unreachable_pub, reason = "a test has no outside")]

mod desk;
mod legs;
mod rules;
#[path = "../model/signal.rs"]
mod signal;
mod signers;
