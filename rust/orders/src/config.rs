//! What an engine is told once, as values. It stands in the journal, so nothing secret does here: keys, addresses of
//! endpoints and their headers are [`crate::build::Wiring`] and [`crate::sign::Signer`].

use types::{Address, B256};

use crate::{
    stored::{stored, stored_number},
    wire::{Channel, numbered},
};

numbered! {
    /// When a transaction is run before it is signed.
    Presim {
        /// Never.
        Off = 0,
        /// Where the signal was computed on a state that is too old.
        Fallback = 1,
        /// Each one.
        Always = 2,
    }
}

numbered! {
    /// What happens to an order that shares a pool with a live one.
    Conflict {
        /// It is simulated on top of the live one.
        Simulate = 0,
        /// It waits until the live one is settled.
        Serialize = 1,
        /// Nothing; for tests.
        Ignore = 2,
    }
}

numbered! {
    /// How a relay wants to be spoken to.
    Relay {
        /// None at all: a public node.
        None = 0,
        /// Bundles with `replacementUuid`, taken back by `eth_cancelBundle`.
        Flashbots = 1,
        /// Bundles with `replacementUuid`, taken back by an empty one of the same name.
        Replacing = 2,
        /// `eth_sendPrivateTransaction` for all blocks at once, taken back by its hash.
        Transaction = 3,
    }
}

/// What an endpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether public transactions go there. The first ones configured are preferred.
    pub submit: bool,
    /// Whether it is a relay, and of which kind.
    pub relay: Relay,
}

/// All settings of the core; the names are those of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described in the configuration's reference under the same name")]
pub struct Config {
    pub chain_id: u64,
    /// Names this engine in references on chain and in bundles.
    pub engine_id: B256,
    /// Names this engine as a source of frames.
    pub source_id: u32,
    pub contract: Address,
    /// Who gets profits.
    pub recipient: Address,
    pub senders: Vec<Address>,
    /// Those of the senders whose keys are not in this process.
    pub outside: Vec<Address>,
    pub endpoints: Vec<Endpoint>,
    /// Addresses that signals may name, beside the contract; all of them when empty.
    pub allowed: Vec<Address>,
    /// Tokens with the wei that 10^18 of their smallest unit are worth.
    pub prices: Vec<(Address, u128)>,
    pub max_concurrent_orders: u32,
    pub default_gas_limit: u64,
    pub max_gas_price: u64,
    pub confirmation_blocks: u64,
    pub retry_attempts: u8,
    pub signal_max_age_ns: u64,
    pub submission_deadline_ns: u64,
    pub confirmation_deadline_ns: u64,
    pub slippage_bps: u16,
    pub net_ratio_bps: u16,
    pub min_net_profit_wei: u64,
    pub gas_buffer_pct: u64,
    pub max_state_lag: u64,
    pub presim: Presim,
    pub conflict: Conflict,
    pub retention_ns: u64,
    pub retention_max: u32,
    pub channel: Channel,
    pub private_timeout_ns: u64,
    pub private_max_blocks: u64,
    /// Builders that relays are asked to share bundles with.
    pub builders: Vec<String>,
    pub fallback_gas_bps: u64,
    pub fallback_public: bool,
    pub fanout: u16,
    pub min_priority_fee: u64,
    /// What a replacement offers of what it replaces: a fraction.
    pub bump: (u32, u32),
    pub price_trigger_pct: u64,
    pub after_blocks: u64,
    pub lane_depth: u32,
    pub private_sharing: u32,
    pub gap_fill_ns: u64,
    pub max_order_value_wei: u128,
    pub max_capital: u128,
    pub max_gas_per_hour: u64,
    pub max_loss_per_hour_wei: u128,
    pub max_failures_in_row: u32,
    pub max_keys: u32,
    pub max_results: u32,
    pub require_auth: bool,
}

impl Config {
    /// The defaults for a chain; who signs, where it goes and the contract are the caller's.
    pub fn new(chain_id: u64, contract: Address, recipient: Address, senders: Vec<Address>) -> Self {
        const SECOND: u64 = 1_000_000_000;
        Self {
            chain_id,
            engine_id: B256::ZERO,
            source_id: 0,
            contract,
            recipient,
            senders,
            outside: Vec::new(),
            endpoints: vec![Endpoint { submit: true, relay: Relay::None }],
            allowed: Vec::new(),
            prices: Vec::new(),
            max_concurrent_orders: 1000,
            default_gas_limit: 500_000,
            max_gas_price: 100_000_000_000,
            confirmation_blocks: 2,
            retry_attempts: 3,
            signal_max_age_ns: 10 * SECOND,
            submission_deadline_ns: 30 * SECOND,
            confirmation_deadline_ns: 300 * SECOND,
            slippage_bps: 500,
            net_ratio_bps: 9500,
            min_net_profit_wei: 1,
            gas_buffer_pct: 20,
            max_state_lag: 1,
            presim: Presim::Off,
            conflict: Conflict::Simulate,
            retention_ns: 3600 * SECOND,
            retention_max: 100_000,
            channel: Channel::Hybrid,
            private_timeout_ns: SECOND,
            private_max_blocks: 3,
            builders: Vec::new(),
            fallback_gas_bps: 11_000,
            fallback_public: true,
            fanout: 2,
            min_priority_fee: SECOND,
            bump: (9, 8),
            price_trigger_pct: 150,
            after_blocks: 2,
            lane_depth: 16,
            private_sharing: 1,
            gap_fill_ns: 250_000_000,
            max_order_value_wei: u128::MAX,
            max_capital: u128::MAX,
            max_gas_per_hour: u64::MAX,
            max_loss_per_hour_wei: u128::MAX,
            max_failures_in_row: 20,
            max_keys: 1_000_000,
            max_results: 1000,
            require_auth: false,
        }
    }

    /// How long a signal's key is remembered: its longest age and the skew of clocks.
    pub fn window_ns(&self) -> u64 {
        self.signal_max_age_ns + 60_000_000_000
    }
}

stored_number!(Presim: u8, Conflict: u8, Relay: u8);
stored! {
    Endpoint { submit, relay }
    Config {
        chain_id, engine_id, source_id, contract, recipient, senders, outside, endpoints, allowed, prices,
        max_concurrent_orders, default_gas_limit, max_gas_price, confirmation_blocks, retry_attempts,
        signal_max_age_ns, submission_deadline_ns, confirmation_deadline_ns, slippage_bps, net_ratio_bps,
        min_net_profit_wei, gas_buffer_pct, max_state_lag, presim, conflict, retention_ns, retention_max, channel,
        private_timeout_ns, private_max_blocks, builders, fallback_gas_bps, fallback_public, fanout, min_priority_fee, bump,
        price_trigger_pct, after_blocks, lane_depth, private_sharing, gap_fill_ns, max_order_value_wei, max_capital,
        max_gas_per_hour, max_loss_per_hour_wei, max_failures_in_row, max_keys, max_results, require_auth,
    }
}
