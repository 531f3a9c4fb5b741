//! What a signal has to pass before anything is signed: one row for each gate, in the order they are asked. All from
//! memory, all in whole numbers, each refusal with its numbers.
//!
//! What is promised: an order that passed can't lose money, even if the whole gas limit burns at the highest fee offered
//! and the profit is as much below the expected one as its slippage allows.

use types::{Address, U256};

use crate::{
    build::abi::NoCall,
    chain::Head,
    config::{Config, Presim},
    failure::FailureCode,
    fees::{Offer, next_base_fee},
    wire::{Action, Economics, Signal},
};

/// Why a signal is no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each number is")]
pub enum Refusal {
    #[error("{field} makes no sense: {reason}")]
    InvalidParameters { field: &'static str, reason: String },
    #[error("invalid tokens: {reason}")]
    InvalidTokens { reason: String },
    #[error("the engine is halted")]
    Halted,
    #[error("no node is left, or what the chain did meanwhile is not known yet")]
    CutOff,
    #[error("the signal is {age_ms} ms old, at most {max_age_ms} are taken")]
    StaleSignal { age_ms: u64, max_age_ms: u64 },
    #[error("the signal is {ahead_ms} ms ahead of this clock, at most {max_ahead_ms} are taken")]
    FutureSignal { ahead_ms: u64, max_ahead_ms: u64 },
    #[error("the signal was valid until {until}, now is {now}")]
    Expired { until: u64, now: u64 },
    #[error("{active} orders are active, at most {max} may be")]
    CapacityExceeded { active: u64, max: u64 },
    #[error("gas costs {gas_price} wei, at most {max} are paid")]
    GasPriceTooHigh { gas_price: u64, max: u64 },
    #[error("the gas needs {required} wei, the sender has {available} left")]
    InsufficientFunds { required: u128, available: U256 },
    #[error("{limit} is {actual}, at most {max} is allowed")]
    LimitExceeded { limit: &'static str, actual: u128, max: u128 },
    #[error("a profit of {profit} wei is below {threshold}")]
    InsufficientProfit { profit: i128, threshold: i128 },
    #[error("computed on block {expected}, the head is {current}")]
    PoolStateMismatch { expected: u64, current: u64 },
    #[error("no head is known yet")]
    NoHead,
    #[error(transparent)]
    NoCall(#[from] NoCall),
}

impl Refusal {
    /// The order's failure.
    pub const fn code(&self) -> FailureCode {
        match self {
            Self::InvalidParameters { .. } | Self::InvalidTokens { .. } | Self::NoCall(_) => {
                FailureCode::InvalidParameters
            }
            Self::Halted | Self::CutOff | Self::NoHead => FailureCode::Halted,
            Self::StaleSignal { .. } | Self::FutureSignal { .. } => FailureCode::StaleSignal,
            Self::Expired { .. } => FailureCode::DeadlineExpired,
            Self::CapacityExceeded { .. } => FailureCode::CapacityExceeded,
            Self::GasPriceTooHigh { .. } => FailureCode::GasPriceTooHigh,
            Self::InsufficientFunds { .. } => FailureCode::InsufficientFunds,
            Self::LimitExceeded { .. } => FailureCode::LimitExceeded,
            Self::InsufficientProfit { .. } => FailureCode::InsufficientProfit,
            Self::PoolStateMismatch { .. } => FailureCode::PoolStateMismatch,
        }
    }
}

/// Furthest a signal may be ahead of this clock.
pub const AHEAD_MAX_NS: u64 = 2_000_000_000;

/// Highest gas limit of a transaction (EIP-7825).
pub const GAS_LIMIT_MAX: u64 = 16_777_216;

/// Gas of a plain transfer.
pub const GAS_LIMIT_MIN: u64 = 21_000;

/// Above this an expected profit is nonsense, and no product below it overflows.
const PROFIT_MAX: i128 = 1 << 112;

/// What the gates look at beside the signal.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The newest head.
    pub head: Option<&'a Head>,
    /// The tip that gets into a block these days.
    pub tip: u64,
    /// Now, by the wall's clock.
    pub wall_ns: u64,
    /// Whether nothing new is taken.
    pub halted: bool,
    /// Whether the chain can't be seen.
    pub cut_off: bool,
    /// Orders that are not settled.
    pub active: u64,
    /// Whether a place is free, or will be made.
    pub has_room: bool,
    /// What the best sender can still pay; None where nobody knows yet or every lane is full.
    pub funds: Option<U256>,
    /// Gas paid for in the last hour.
    pub gas_last_hour: u64,
    /// Lost in the last hour.
    pub loss_last_hour: u128,
    /// Whether an address may be named.
    pub allows: &'a dyn Fn(&Address) -> bool,
}

type Gate = fn(&Situation<'_>, &Signal<'_>) -> Result<(), Refusal>;

/// The gates, in order; form, authenticity and repetition were looked at before.
pub const GATES: [(&str, Gate); 10] = [
    ("range", range),
    ("halt", halt),
    ("age", age),
    ("capacity", capacity),
    ("gas price", gas_price),
    ("funds", funds),
    ("limits", limits),
    ("addresses", addresses),
    ("economics", |situation, signal| terms(situation, &signal.economics).map(drop)),
    ("freshness", freshness),
];

/// Asks all gates.
pub fn pass(situation: &Situation<'_>, signal: &Signal<'_>) -> Result<Terms, Refusal> {
    GATES.iter().try_for_each(|(_, gate)| gate(situation, signal))?;
    terms(situation, &signal.economics)
}

fn range(situation: &Situation<'_>, signal: &Signal<'_>) -> Result<(), Refusal> {
    let wrong = |field, reason: String| Err(Refusal::InvalidParameters { field, reason });
    let economics = &signal.economics;
    if signal.identity.chain_id != situation.config.chain_id {
        return wrong("chain_id", format!("{} is not {}", signal.identity.chain_id, situation.config.chain_id));
    }
    for (field, profit) in
        [("expected_profit", economics.expected_profit), ("expected_profit_wei", economics.expected_profit_wei)]
    {
        if profit <= 0 || profit > PROFIT_MAX {
            return wrong(field, format!("{profit} is not from 1 to 2^112"));
        }
    }
    if economics.gas_estimate > GAS_LIMIT_MAX {
        return wrong("gas_estimate", format!("{} is above {GAS_LIMIT_MAX}", economics.gas_estimate));
    }
    if (signal.identity.action == Action::RawCall) != signal.raw_call.is_some() {
        return wrong("raw_call", "call data belongs to a raw call, and to nothing else".to_owned());
    }
    Ok(())
}

fn halt(situation: &Situation<'_>, _: &Signal<'_>) -> Result<(), Refusal> {
    if situation.halted {
        return Err(Refusal::Halted);
    }
    if situation.cut_off {
        return Err(Refusal::CutOff);
    }
    if situation.head.is_none() { Err(Refusal::NoHead) } else { Ok(()) }
}

fn age(situation: &Situation<'_>, signal: &Signal<'_>) -> Result<(), Refusal> {
    const MS: u64 = 1_000_000;
    let (created, now, max) = (signal.identity.created_unix_ns, situation.wall_ns, situation.config.signal_max_age_ns);
    let ahead = created.saturating_sub(now);
    if ahead > AHEAD_MAX_NS {
        return Err(Refusal::FutureSignal { ahead_ms: ahead / MS, max_ahead_ms: AHEAD_MAX_NS / MS });
    }
    if now.saturating_sub(created) > max {
        return Err(Refusal::StaleSignal { age_ms: (now - created) / MS, max_age_ms: max / MS });
    }
    if let Some(until) = signal.economics.valid_until_ns.filter(|until| *until < now) {
        return Err(Refusal::Expired { until, now });
    }
    let head = situation.head.map_or(0, |head| head.number);
    match signal.economics.valid_until_block.filter(|until| *until <= head) {
        Some(until) => Err(Refusal::Expired { until, now: head }),
        None => Ok(()),
    }
}

fn capacity(situation: &Situation<'_>, _: &Signal<'_>) -> Result<(), Refusal> {
    if situation.has_room {
        return Ok(());
    }
    Err(Refusal::CapacityExceeded { active: situation.active, max: situation.config.max_concurrent_orders.into() })
}

fn gas_price(situation: &Situation<'_>, signal: &Signal<'_>) -> Result<(), Refusal> {
    let (base, tip) = market(situation, &signal.economics);
    let (gas_price, max) = (base.saturating_add(tip), situation.config.max_gas_price);
    if gas_price > max { Err(Refusal::GasPriceTooHigh { gas_price, max }) } else { Ok(()) }
}

fn funds(situation: &Situation<'_>, signal: &Signal<'_>) -> Result<(), Refusal> {
    let Some(available) = situation.funds else { return Ok(()) };
    // What the economics refuse anyway is refused for that.
    let Ok(terms) = terms(situation, &signal.economics) else { return Ok(()) };
    let required = u128::from(terms.gas_limit) * u128::from(terms.offer.max_fee);
    if U256::from(required) > available { Err(Refusal::InsufficientFunds { required, available }) } else { Ok(()) }
}

fn limits(situation: &Situation<'_>, signal: &Signal<'_>) -> Result<(), Refusal> {
    let (config, economics) = (situation.config, &signal.economics);
    for (limit, actual, max) in [
        ("order value", economics.expected_profit_wei as u128, config.max_order_value_wei),
        ("capital", economics.required_capital, config.max_capital),
        ("gas in an hour", situation.gas_last_hour.into(), config.max_gas_per_hour.into()),
        ("loss in an hour", situation.loss_last_hour, config.max_loss_per_hour_wei),
    ] {
        if actual > max {
            return Err(Refusal::LimitExceeded { limit, actual, max });
        }
    }
    Ok(())
}

fn addresses(situation: &Situation<'_>, signal: &Signal<'_>) -> Result<(), Refusal> {
    let wrong = |field, address: Address, why: &str| {
        Err(Refusal::InvalidParameters { field, reason: format!("{address} {why}") })
    };
    let addresses = &signal.addresses;
    if let Some(contract) = addresses.contract().filter(|contract| *contract != situation.config.contract)
        && !(situation.allows)(&contract)
    {
        return wrong("contract", contract, "is not allowed");
    }
    let invalid = |reason| Err(Refusal::InvalidTokens { reason });
    let lender = signal.lender.map(|lender| lender.address);
    for (field, mut listed) in
        [("pools", addresses.pools().chain(lender).collect::<Few>()), ("tokens", addresses.tokens().collect())]
    {
        if let Some(address) =
            listed.as_slice().iter().find(|address| address.is_zero() || !(situation.allows)(address))
        {
            return wrong(field, *address, if address.is_zero() { "names nobody" } else { "is not allowed" });
        }
        if let Some(twice) = listed.repeated() {
            return if field == "tokens" {
                invalid(format!("{twice} stands twice"))
            } else {
                wrong(field, twice, "stands twice")
            };
        }
    }
    if !addresses.tokens().any(|token| token == addresses.profit_token()) {
        return invalid(format!("profit token {} is not on the path", addresses.profit_token()));
    }
    Ok(())
}

/// A path's addresses, without an allocation.
struct Few {
    addresses: [Address; 10],
    count: usize,
}

impl Few {
    fn as_slice(&self) -> &[Address] {
        &self.addresses[..self.count]
    }

    fn repeated(&mut self) -> Option<Address> {
        let listed = &mut self.addresses[..self.count];
        listed.sort_unstable();
        listed.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

impl FromIterator<Address> for Few {
    fn from_iter<T: IntoIterator<Item = Address>>(listed: T) -> Self {
        let mut few = Self { addresses: [Address::ZERO; 10], count: 0 };
        for address in listed {
            few.addresses[few.count] = address;
            few.count += 1;
        }
        few
    }
}

fn freshness(situation: &Situation<'_>, signal: &Signal<'_>) -> Result<(), Refusal> {
    let (expected, current) = (signal.economics.state_block, situation.head.map_or(0, |head| head.number));
    let fresh = is_fresh(situation.config, expected, current);
    if fresh || situation.config.presim != Presim::Off {
        Ok(())
    } else {
        Err(Refusal::PoolStateMismatch { expected, current })
    }
}

/// Whether a state is new enough to be believed without a simulation.
pub fn is_fresh(config: &Config, state_block: u64, head: u64) -> bool {
    head.saturating_sub(state_block) <= config.max_state_lag
}

/// What an order is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Most gas.
    pub gas_limit: u64,
    /// What is offered for a unit of it.
    pub offer: Offer,
    /// The highest fee at which the order can't lose.
    pub fee_bound: u64,
}

/// Gas that a transaction may use where it is thought to use `estimate`.
pub fn gas_limit(config: &Config, estimate: u64) -> u64 {
    if estimate == 0 {
        return config.default_gas_limit;
    }
    (estimate.saturating_mul(100 + config.gas_buffer_pct) / 100).clamp(GAS_LIMIT_MIN, GAS_LIMIT_MAX)
}

/// The next base fee, and the tip for it.
fn market(situation: &Situation<'_>, economics: &Economics) -> (u64, u64) {
    let base = situation.head.map_or(0, next_base_fee);
    let share = economics.tip_share_bps.map(|bps| {
        let gas = u128::from(economics.gas_estimate.max(GAS_LIMIT_MIN));
        let share = economics.expected_profit_wei.clamp(0, PROFIT_MAX) as u128 * u128::from(bps) / 10_000 / gas;
        u64::try_from(share).unwrap_or(u64::MAX)
    });
    let tip = share.unwrap_or(situation.tip);
    let tip = economics.max_priority.map_or(tip, |max| tip.min(max));
    (base, tip.max(situation.config.min_priority_fee))
}

/// The offer, by the rules of §6 and §8: `net = expected − gas estimate × price` keeps `net_ratio_bps` of what is
/// expected, and `expected × (1 − slippage) − gas limit × highest fee` keeps `min_net_profit_wei`.
pub fn terms(situation: &Situation<'_>, economics: &Economics) -> Result<Terms, Refusal> {
    let config = situation.config;
    let (base, tip) = market(situation, economics);
    let gas_limit = gas_limit(config, economics.gas_estimate);
    let expected = economics.expected_profit_wei.clamp(0, PROFIT_MAX);
    let slippage = i128::from(economics.slippage_bps.unwrap_or(config.slippage_bps));
    let least = expected * (10_000 - slippage) / 10_000;
    let threshold = i128::from(config.min_net_profit_wei);
    let bound = (least - threshold) / i128::from(gas_limit);
    let fee_bound = u64::try_from(bound.max(0)).unwrap_or(u64::MAX);
    let price = base.saturating_add(tip);
    let wanted = base.saturating_mul(2).saturating_add(tip).min(config.max_gas_price);
    let wanted = economics.max_fee.map_or(wanted, |max| wanted.min(max));
    let max_fee = wanted.min(fee_bound);
    if wanted < price {
        return Err(Refusal::GasPriceTooHigh { gas_price: price, max: wanted });
    }
    if max_fee < price {
        let worst = least - i128::from(gas_limit) * i128::from(price);
        return Err(Refusal::InsufficientProfit { profit: worst, threshold });
    }
    let gas = if economics.gas_estimate == 0 { gas_limit } else { economics.gas_estimate };
    let net = expected - i128::from(gas) * i128::from(price);
    let share = expected * i128::from(config.net_ratio_bps) / 10_000;
    if net < share {
        return Err(Refusal::InsufficientProfit { profit: net, threshold: share });
    }
    Ok(Terms { gas_limit, offer: Offer { max_fee, tip: tip.min(max_fee) }, fee_bound })
}

#[cfg(test)]
mod tests;
