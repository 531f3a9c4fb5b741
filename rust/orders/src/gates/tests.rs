use proptest::prelude::*;

use super::*;
use crate::wire::{Frame, Hop, Message, SignalParts};

const GWEI: u64 = 1_000_000_000;

fn parts() -> SignalParts {
    let (_, mut parts) = crate::wire::tests::golden_signal();
    parts.economics.expected_profit_wei = 10i128.pow(18);
    parts
}

fn config() -> Config {
    Config::new(1, Address::repeat_byte(0xcc), Address::repeat_byte(0xdd), vec![])
}

fn head() -> Head {
    Head { number: 16, base_fee: 10 * GWEI, gas_used: 15, gas_limit: 30, ..Head::default() }
}

fn asked<'a>(parts: &SignalParts, change: impl FnOnce(&mut Situation<'a>)) -> Result<Terms, Refusal> {
    let (header, _) = crate::wire::tests::golden_signal();
    let bytes = parts.to_frame(&header, None);
    let frame = Frame::decode(&bytes).unwrap();
    let Ok(Message::Signal(signal)) = Message::decode(&frame) else { panic!("no signal") };
    let mut situation = Situation {
        config: Box::leak(Box::new(config())),
        head: Some(Box::leak(Box::new(head()))),
        tip: GWEI,
        wall_ns: header.sent_unix_ns + 1_000_000,
        halted: false,
        cut_off: false,
        active: 0,
        has_room: true,
        funds: Some(U256::from(10u64.pow(18))),
        gas_last_hour: 0,
        loss_last_hour: 0,
        allows: &|_| true,
    };
    change(&mut situation);
    pass(&situation, &signal)
}

fn refused<'a>(change: impl FnOnce(&mut Situation<'a>)) -> Refusal {
    asked(&parts(), change).unwrap_err()
}

#[test]
fn a_good_signal_passes_with_an_exact_offer() {
    let terms = asked(&parts(), |_| {}).unwrap();
    assert_eq!(terms.gas_limit, 241_351);
    assert_eq!(terms.offer, Offer { max_fee: 21 * GWEI, tip: GWEI });
    assert_eq!(u128::from(terms.fee_bound), (95 * 10u128.pow(16) - 1) / 241_351);
}

#[test]
fn each_gate_refuses_with_its_numbers_and_the_earlier_one_speaks_first() {
    let created = parts().identity.created_unix_ns;
    assert_eq!(refused(|s| s.halted = true), Refusal::Halted);
    assert_eq!(refused(|s| s.cut_off = true), Refusal::CutOff);
    assert_eq!(refused(|s| s.head = None), Refusal::NoHead);
    assert!(asked(&parts(), |s| s.wall_ns = created + 10_000_000_000).is_ok());
    assert_eq!(
        refused(|s| s.wall_ns = created + 10_001_000_000),
        Refusal::StaleSignal { age_ms: 10_001, max_age_ms: 10_000 }
    );
    assert!(asked(&parts(), |s| s.wall_ns = created - 2_000_000_000).is_ok());
    assert_eq!(
        refused(|s| s.wall_ns = created - 2_001_000_000),
        Refusal::FutureSignal { ahead_ms: 2001, max_ahead_ms: 2000 }
    );
    assert_eq!(
        refused(|s| (s.has_room, s.active) = (false, 1000)),
        Refusal::CapacityExceeded { active: 1000, max: 1000 }
    );
    assert_eq!(refused(|s| s.tip = 91 * GWEI), Refusal::GasPriceTooHigh { gas_price: 101 * GWEI, max: 100 * GWEI });
    let required = 241_351 * 21 * u128::from(GWEI);
    assert!(asked(&parts(), |s| s.funds = Some(U256::from(required))).is_ok());
    let available = U256::from(required - 1);
    assert_eq!(refused(|s| s.funds = Some(available)), Refusal::InsufficientFunds { required, available });
    let foreign = |address: &Address| *address != Address::repeat_byte(0x33);
    assert_eq!(refused(|s| s.allows = &foreign).code(), FailureCode::InvalidParameters);
    let stale = Head { number: 18, ..head() };
    assert_eq!(refused(|s| s.head = Some(&stale)), Refusal::PoolStateMismatch { expected: 16, current: 18 });
    let lagging = Head { number: 17, ..head() };
    assert!(asked(&parts(), |s| s.head = Some(&lagging)).is_ok());
    assert_eq!(refused(|s| (s.halted, s.wall_ns) = (true, 0)), Refusal::Halted);
}

#[test]
fn nonsense_in_the_signal_is_named() {
    type Change = fn(&mut SignalParts);
    let cases: [(&str, Change); 9] = [
        ("chain_id", |parts| parts.identity.chain_id = 2),
        ("expected_profit ", |parts| parts.economics.expected_profit = 0),
        ("expected_profit_wei", |parts| parts.economics.expected_profit_wei = -1),
        ("gas_estimate", |parts| parts.economics.gas_estimate = GAS_LIMIT_MAX + 1),
        ("raw_call", |parts| parts.raw_call = Some(vec![1])),
        ("pools", |parts| parts.pools[1] = parts.pools[0]),
        ("pools", |parts| parts.pools[0] = Address::ZERO),
        ("tokens", |parts| parts.tokens[0] = parts.tokens[1]),
        ("tokens", |parts| parts.profit_token = Address::repeat_byte(9)),
    ];
    for (field, change) in cases {
        let mut parts = parts();
        change(&mut parts);
        let refusal = asked(&parts, |_| {}).unwrap_err();
        assert_eq!(refusal.code(), FailureCode::InvalidParameters);
        assert!(refusal.to_string().contains(field), "{refusal}");
    }
    let mut parts = parts();
    parts.economics.valid_until_block = Some(16);
    assert_eq!(asked(&parts, |_| {}), Err(Refusal::Expired { until: 16, now: 16 }));
}

#[test]
fn profit_is_judged_on_both_sides_of_each_threshold() {
    // Net: 201,126 gas at 11 gwei are 2,212,386 gwei; a twentieth of the profit may go there.
    let mut parts = parts();
    let gas = 201_126 * 11 * i128::from(GWEI);
    parts.economics.expected_profit_wei = gas * 20;
    assert!(asked(&parts, |_| {}).is_ok());
    parts.economics.expected_profit_wei = gas * 20 - 20;
    assert_eq!(asked(&parts, |_| {}).unwrap_err().code(), FailureCode::InsufficientProfit);
}

proptest! {
    #[test]
    fn the_worst_case_never_loses(
        profit in 1i128..10i128.pow(20), gas in 0u64..GAS_LIMIT_MAX, slippage in prop::option::of(0u16..=10_000),
        share in prop::option::of(0u16..=10_000), tip in 0u64..200 * GWEI, base in 0u64..200 * GWEI,
        most in prop::option::of(1u64..200 * GWEI),
    ) {
        let mut parts = parts();
        parts.economics.expected_profit_wei = profit;
        parts.economics.gas_estimate = gas;
        parts.economics.slippage_bps = slippage;
        parts.economics.tip_share_bps = share;
        parts.economics.max_fee = most;
        let head = Head { base_fee: base, ..head() };
        let slippage = i128::from(slippage.unwrap_or(500));
        if let Ok(terms) = asked(&parts, |situation| (situation.tip, situation.head, situation.funds) = (tip, Some(&head), None)) {
            let burnt = i128::from(terms.gas_limit) * i128::from(terms.offer.max_fee);
            prop_assert!(profit * (10_000 - slippage) / 10_000 - burnt >= 1);
            prop_assert!(terms.offer.tip <= terms.offer.max_fee && terms.offer.max_fee <= 100 * GWEI);
            prop_assert!(terms.offer.max_fee >= next_base_fee(&head));
            prop_assert!(terms.offer.max_fee <= terms.fee_bound && most.is_none_or(|most| terms.offer.max_fee <= most));
        }
    }
}

#[test]
fn hops_survive_their_bytes() {
    assert_eq!(Hop { kind: 1, zero_for_one: true, fee: 0x0201 }.to_bytes(), [1, 1, 1, 2]);
}
