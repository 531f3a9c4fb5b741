//! Trying an order before it is signed: the very call that would be signed, on the newest state, after the orders that
//! are under way and use the same pools.
//!
//! The core asks ([`crate::Want::Simulate`]) and takes a [`Simulation`]; it never waits. A [`Simulator`] knows as much of
//! the state as somebody fetched; where that is not enough it says what is missing, and the order stays queued until it
//! is here. The answer stands in the journal as an input, so that a replay needs no state of a chain.

use types::{Address, B256, U256};

use crate::{
    chain::{Log, Parties, Receipt},
    stored::{stored, stored_choice},
};

/// A call to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Who would send it.
    pub from: Address,
    /// Whom it calls.
    pub to: Address,
    /// With what.
    pub input: Vec<u8>,
    /// And how much gas.
    pub gas_limit: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// The block on whose state it was tried.
    pub block: B256,
    /// Whether it succeeded.
    pub success: bool,
    /// Gas paid for, refunds taken off.
    pub gas: u64,
    /// Gas used before anything was given back: with less it would not have got so far.
    pub peak: u64,
    /// What the contract gave back.
    pub output: Vec<u8>,
    /// Its logs.
    pub logs: Vec<Log>,
    /// Paid to the block's producer directly, in wei.
    pub payment: u128,
}

/// How a simulation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Simulation {
    /// It would succeed.
    Passed {
        /// Paying for this much gas.
        gas: u64,
        /// With no less gas than this, of which some is given back at the end.
        peak: u64,
        /// With this profit, in the token's smallest unit.
        profit: i128,
        /// Paying this much to the block's producer, in wei.
        payment: u128,
        /// On the state after this block.
        block: B256,
    },
    /// It would not.
    Reverted {
        /// And give this back.
        data: Vec<u8>,
    },
    /// Nobody can say, and it makes no sense to ask again.
    Unknown {
        /// Why.
        reason: String,
    },
}

stored_choice! {
    Simulation {
        0: Passed { gas, peak, profit, payment, block },
        1: Reverted { data },
        2: Unknown { reason },
    }
}

/// Accounts and slots that somebody has to fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Of the state after this block.
    pub block: B256,
    /// Accounts, with nonce, balance and code.
    pub accounts: Vec<Address>,
    /// Slots, with their accounts.
    pub slots: Vec<(Address, U256)>,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialEnd {
    /// It ran to its end.
    Done(Tried),
    /// It stopped where the state is not at hand; once that is fetched it is tried again.
    Missing(Missing),
    /// No state as new as the head is here yet.
    Behind,
    /// It can't be run.
    Unable(String),
}

/// Tries calls on the newest state that it has.
pub trait Simulator: Send {
    /// What `trial` does after those of other orders, on the state after `block`.
    fn simulate(&mut self, block: &B256, trial: &Trial, after: &[(u64, Trial)]) -> TrialEnd;
}

impl Tried {
    /// What the engine has to know of it.
    pub fn simulation(self, parties: &Parties<'_>) -> Simulation {
        if !self.success {
            return Simulation::Reverted { data: self.output };
        }
        let Self { gas, peak, logs, payment, block, .. } = self;
        let receipt = Receipt { tx_hash: B256::ZERO, tx_index: 0, success: true, gas_used: gas, gas_price: 0, logs };
        Simulation::Passed { gas, peak, profit: receipt.taking(parties).realized, payment, block }
    }
}

/// A simulation that an order passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The height of the block on whose state it ran.
    pub number: u64,
    /// The block on whose state it ran.
    pub block: B256,
    /// Gas paid for.
    pub gas: u64,
    /// Profit, in the token's smallest unit.
    pub profit: i128,
    /// Paid to the block's producer directly.
    pub payment: u128,
    /// The orders that it came after.
    pub after: Vec<u64>,
}

stored!(Passed { number, block, gas, profit, payment, after });
