//! The record of an order: what was asked, what was decided, what was signed, what the chain said.

use types::{Address, B256};

use crate::{
    failure::FailureCode,
    fees::Offer,
    presim::Passed,
    states::{Event, State, StateTransitionError, Sub, next},
    stored::stored,
    window::Key,
    wire::{Action, AttemptKind, Channel, Fill, TxRef},
};

/// A place in a sender's row of nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// Number of the sender's lane.
    pub lane: u32,
    /// The nonce.
    pub nonce: u64,
}

/// One signed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Keccak-256 of its bytes.
    pub hash: B256,
    /// The slot it takes: an order gets another one only after the chain has settled its first.
    pub slot: Slot,
    /// What it is to its order.
    pub kind: AttemptKind,
    /// Which way it goes: public or private.
    pub channel: Channel,
    /// What it offers for a unit of gas.
    pub offer: Offer,
    /// Most gas.
    pub gas_limit: u64,
    /// The price of gas when it was signed.
    pub market: u64,
    /// The head it was signed on.
    pub block: u64,
    /// The last block it is for; zero: any.
    pub target_block: u64,
    /// Its bytes; dropped when they can no longer be needed.
    pub raw: Vec<u8>,
    /// Requests without a reply yet.
    pub open: u32,
    /// Whether any node or relay took it.
    pub accepted: bool,
    /// Whether any reply was not clear: it may be out there.
    pub ambiguous: bool,
    /// Whether any reply refused it for good, and why.
    pub refusal: Option<FailureCode>,
}

impl Attempt {
    /// As it stands in reports.
    pub fn reference(&self, sender: Address) -> TxRef {
        TxRef {
            hash: self.hash,
            sender,
            kind: self.kind,
            channel: self.channel,
            nonce: self.slot.nonce,
            max_fee: self.offer.max_fee,
            max_priority: self.offer.tip,
            gas_limit: self.gas_limit,
            target_block: self.target_block,
        }
    }

    /// Most wei its gas can cost.
    pub fn gas_cost(&self) -> u128 {
        u128::from(self.gas_limit) * u128::from(self.offer.max_fee)
    }
}

/// Where a transaction of the order stands in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// Height.
    pub block: u64,
    /// Hash of the block.
    pub block_hash: B256,
    /// Which attempt.
    pub attempt: u32,
    /// Whether it succeeded.
    pub success: bool,
}

/// A private attempt's time with the builders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bidding {
    /// The last block it was sent for.
    pub last_block: u64,
    /// Whether a relay took it.
    pub acknowledged: bool,
}

/// A public transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// From which state.
    pub from: Sub,
    /// To which.
    pub to: Sub,
    /// By the wall's clock.
    pub wall_ns: u64,
    /// By the engine's clock.
    pub engine_ns: u64,
}

/// Everything known of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The engine's name for it; never used twice in a journal.
    pub id: u64,
    /// What makes its signal the only one.
    pub key: Key,
    /// Where it is.
    pub sub: Sub,
    /// Why it failed, where it did.
    pub failure: Option<FailureCode>,
    /// The same in words.
    pub reason: String,
    /// What the contract reverted with.
    pub revert: Vec<u8>,
    /// Flags of its status.
    pub flags: u8,
    /// How many reports were made of it.
    pub reports: u32,
    /// How it gets its capital.
    pub action: Action,
    /// Which way it goes.
    pub channel: Channel,
    /// When its signal was made, by the source's clock.
    pub created_ns: u64,
    /// When its signal came, by the wall's clock.
    pub received_wall_ns: u64,
    /// When its signal came, by the engine's clock.
    pub received_ns: u64,
    /// In the token's smallest unit.
    pub expected_profit: i128,
    /// In wei.
    pub expected_wei: i128,
    /// What at least is asked of the contract, in the token's smallest unit.
    pub min_profit: u128,
    /// Capital it borrows.
    pub capital: u128,
    /// Gas it is thought to use.
    pub gas_estimate: u64,
    /// Gas it may use.
    pub gas_limit: u64,
    /// Highest fee at which it can't lose.
    pub fee_bound: u64,
    /// The offer it passed the gates with.
    pub offer: Offer,
    /// The block its signal was computed on.
    pub state_block: u64,
    /// Last block it is worth anything in; zero: any.
    pub valid_until_block: u64,
    /// Whom it calls.
    pub contract: Address,
    /// What its profit is counted in.
    pub profit_token: Address,
    /// Its pools.
    pub pools: Vec<Address>,
    /// Its tokens.
    pub tokens: Vec<Address>,
    /// The call.
    pub input: Vec<u8>,
    /// Its slot, once it has one.
    pub slot: Option<Slot>,
    /// What a signer outside is asked for it, by name.
    pub asked: Option<u64>,
    /// Everything signed for it.
    pub attempts: Vec<Attempt>,
    /// How often it was replaced.
    pub replacements: u8,
    /// Whether it was to be replaced once more than it may be.
    pub is_held: bool,
    /// Resends since the last clear reply.
    pub resends: u8,
    /// Where it stands in the chain.
    pub inclusion: Option<Inclusion>,
    /// Its time with the builders.
    pub bidding: Option<Bidding>,
    /// The newest simulation that it passed.
    pub passed: Option<Passed>,
    /// Fills that count, one for each canonical inclusion.
    pub fills: Vec<Fill>,
    /// What it made, in wei: the sum of all its fills.
    pub ledger: i128,
    /// Public transitions, the first from Created to Created.
    pub history: Vec<Step>,
    /// The reason a cancel was sent for.
    pub cancel_for: Option<FailureCode>,
    /// W3C trace and span of its signal.
    pub trace: Option<[u8; 24]>,
}

impl Order {
    /// Moves it, or refuses and leaves it as it was. True: the world sees another state.
    pub fn apply(&mut self, event: Event, wall_ns: u64, engine_ns: u64) -> Result<bool, StateTransitionError> {
        let error = StateTransitionError { current: self.sub, attempted: event, order_id: self.id };
        let to = next(self.sub, event).ok_or(error)?;
        let seen = to.state() != self.sub.state();
        // "Passing through Pending if needed": an inclusion seen before any acknowledgement shows both.
        if seen {
            self.history.push(Step { from: self.sub, to, wall_ns, engine_ns });
        }
        self.sub = to;
        Ok(seen)
    }

    /// Whether an event is allowed now.
    pub fn can(&self, event: Event) -> bool {
        next(self.sub, event).is_some()
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.sub.state()
    }

    /// Its newest attempt.
    pub fn attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// Whether it was signed and is not settled.
    pub fn is_out(&self) -> bool {
        matches!(self.state(), State::Submitted | State::Pending)
    }
}

stored! {
    Slot { lane, nonce }
    Offer { max_fee, tip }
    Attempt {
        hash, slot, kind, channel, offer, gas_limit, market, block, target_block, raw, open, accepted, ambiguous, refusal,
    }
    Inclusion { block, block_hash, attempt, success }
    Bidding { last_block, acknowledged }
    Step { from, to, wall_ns, engine_ns }
    Fill {
        kind, success, legs, tx_index, block, block_hash, tx_hash, profit_token, depth, realized, realized_wei,
        builder_payment_wei, gas_used, gas_price,
    }
    Order {
        id, key, sub, failure, reason, revert, flags, reports, action, channel, created_ns, received_wall_ns,
        received_ns, expected_profit, expected_wei, min_profit, capital, gas_estimate, gas_limit, fee_bound, offer,
        state_block, valid_until_block, contract, profit_token, pools, tokens, input, slot, asked, attempts, replacements,
        is_held, resends, inclusion, bidding, passed, fills, ledger, history, cancel_for, trace,
    }
}
