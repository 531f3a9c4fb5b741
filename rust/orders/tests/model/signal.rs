//! The signal that tests and benchmarks start from: two pools, two tokens, one amount; everything else as it comes.

use execlayer_orders::wire::{Action, Channel, Economics, Header, Identity, SignalParts};
use types::{Address, U256};

/// Of the source that all of them come from; its sequence is the signal's number.
pub(crate) fn header(signal_id: u64, wall_ns: u64) -> Header {
    Header { kind: 1, flags: 0, sequence: signal_id, sent_unix_ns: wall_ns, source_id: 9 }
}

/// A public flash swap that should make so many wei.
pub(crate) fn arbitrage(signal_id: u64, created_unix_ns: u64, profit: i128) -> SignalParts {
    let address = Address::repeat_byte;
    SignalParts {
        identity: Identity {
            signal_id,
            created_unix_ns,
            strategy_id: 1,
            action: Action::FlashSwap,
            channel: Channel::Public,
            chain_id: 1,
        },
        economics: Economics {
            expected_profit: profit,
            expected_profit_wei: profit,
            required_capital: 1,
            gas_estimate: 160_000,
            slippage_bps: None,
            tip_share_bps: None,
            max_fee: None,
            max_priority: None,
            state_block: 100,
            valid_until_block: None,
            valid_until_ns: None,
            confidence_bps: 0,
        },
        contract: None,
        profit_token: address(0x11),
        pools: vec![address(0x22), address(0x33)],
        tokens: vec![address(0x44), address(0x11)],
        amounts: vec![U256::from(5)],
        hops: vec![],
        raw_call: None,
        lender: None,
        trace: None,
    }
}
