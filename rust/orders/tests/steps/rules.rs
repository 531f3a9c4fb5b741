//! Rules that once were broken.

use execlayer_orders::{
    Config, FailureCode, Input, State, Sub,
    chain::Receipt,
    config::Conflict,
    lanes::Owner,
    replies::{Answer, Class, Verdict, verdict},
    wire::{AttemptKind, Channel},
};

use proptest::prelude::*;

use super::desk::{Desk, GWEI, SECOND, config};

const PROFIT: i128 = 10i128.pow(18);

/// All keys are here.
fn home(count: usize) -> Config {
    Config { outside: Vec::new(), ..config(count) }
}

#[test]
fn other_settings_at_a_start_do_not_turn_the_clock_back() {
    let mut desk = Desk::new(home(1));
    let order = desk.signal(PROFIT, Channel::Public);
    desk.config.max_gas_price -= 1;
    // Were the time since 1970 to pass, every deadline would have.
    desk.restart();
    desk.pass(SECOND);
    assert!(desk.order(order).is_out() && desk.order(order).cancel_for.is_none());
    assert_eq!(desk.engine.as_ref().unwrap().core().state().wall_ns(), desk.now.wall_ns);
}

#[test]
fn a_private_window_closes_with_its_own_blocks_whatever_is_unknown_of_later_ones() {
    let mut desk = Desk::new(home(1));
    let order = desk.signal(PROFIT, Channel::Private);
    desk.step(Input::Written { request: 1 });
    for (number, is_known) in [(101, true), (102, true), (103, false), (104, false)] {
        desk.head(number, GWEI);
        if is_known {
            desk.block(number, vec![]);
        }
    }
    assert!(desk.order(order).is_out(), "its last block is not known");
    desk.block(103, vec![]);
    assert_eq!(desk.order(order).state(), State::Failed);
}

#[test]
fn more_is_only_offered_where_a_block_could_hold_it() {
    let mut desk = Desk::new(Config { max_gas_price: 5 * GWEI, ..home(1) });
    let order = desk.signal(PROFIT, Channel::Public);
    let offered = desk.order(order).attempts[0].offer.max_fee;
    assert!(offered < 5 * GWEI);
    desk.head(101, 20 * GWEI);
    desk.block(101, vec![]);
    desk.step(Input::SpeedUp { order_id: order });
    assert_eq!(desk.order(order).attempts.len(), 1, "below the base fee it could only wait");
    desk.head(102, 4 * GWEI);
    desk.block(102, vec![]);
    let attempts = &desk.order(order).attempts;
    assert_eq!((attempts.len(), attempts[1].kind), (2, AttemptKind::SpeedUp));
}

#[test]
fn replacements_rise_by_the_fraction_that_is_set() {
    for (bump, more) in [((9, 8), 9.0 / 8.0), ((3, 2), 1.5)] {
        let mut desk = Desk::new(Config { bump, ..home(1) });
        let order = desk.signal(PROFIT, Channel::Public);
        desk.step(Input::SpeedUp { order_id: order });
        let [first, second] = &desk.order(order).attempts[..] else { panic!("one replacement") };
        for (was, is) in [(first.offer.max_fee, second.offer.max_fee), (first.offer.tip, second.offer.tip)] {
            assert!((is as f64 / was as f64 - more).abs() < 1e-6, "{was} {is}");
        }
    }
}

#[test]
fn an_order_that_was_replaced_as_often_as_it_may_be_is_held_and_told_of_once() {
    let mut desk = Desk::new(home(1));
    let order = desk.signal(PROFIT, Channel::Public);
    for _ in 0..6 {
        desk.step(Input::SpeedUp { order_id: order });
    }
    assert_eq!(desk.order(order).attempts.len(), 4);
    assert_eq!(
        desk.alerts.iter().map(|alert| (alert.name, alert.critical)).collect::<Vec<_>>(),
        [("order_held", false)]
    );
    desk.prove();
}

#[test]
fn orders_wait_for_those_that_share_a_pool_and_for_no_others() {
    let mut desk = Desk::new(Config { conflict: Conflict::Serialize, ..home(3) });
    let [first, second] = [(); 2].map(|()| desk.signal(PROFIT, Channel::Public));
    assert_eq!((desk.order(first).sub, desk.order(second).sub), (Sub::Intent, Sub::Queued));
    // Gone with what it waited for: the next has its turn.
    desk.step(Input::Cancel { order_id: second });
    let third = desk.signal(PROFIT, Channel::Public);
    assert_eq!(desk.order(third).sub, Sub::Queued);
    let hash = desk.order(first).attempts[0].hash;
    let receipt =
        Receipt { tx_hash: hash, tx_index: 0, success: true, gas_used: 100_000, gas_price: GWEI, logs: Vec::new() };
    for number in 101..=103 {
        desk.head(number, GWEI);
        desk.block(number, if number == 101 { vec![receipt.clone()] } else { Vec::new() });
    }
    assert_eq!(desk.order(first).sub, Sub::Confirmed);
    assert_eq!(desk.order(third).sub, Sub::Intent);
    desk.prove();
}

#[test]
fn a_cancel_is_never_undone_by_a_wish_for_speed() {
    let mut desk = Desk::new(home(1));
    let order = desk.signal(PROFIT, Channel::Public);
    desk.step(Input::Cancel { order_id: order });
    for number in 101..=110 {
        desk.step(Input::SpeedUp { order_id: order });
        desk.head(number, GWEI);
        desk.block(number, Vec::new());
    }
    let kinds: Vec<_> = desk.order(order).attempts.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [AttemptKind::Original, AttemptKind::Cancel]);
    let tx_hash = desk.order(order).attempts[1].hash;
    let receipt = Receipt { tx_hash, tx_index: 0, success: true, gas_used: 21_000, gas_price: GWEI, logs: Vec::new() };
    for number in 111..=113 {
        desk.head(number, GWEI);
        desk.block(number, if number == 111 { vec![receipt.clone()] } else { Vec::new() });
    }
    assert_eq!((desk.order(order).sub, desk.order(order).failure), (Sub::Closed, Some(FailureCode::Cancelled)));
    desk.prove();
}

#[test]
fn a_hole_under_a_live_nonce_is_filled_within_its_time() {
    let mut desk = Desk::new(home(1));
    let first = desk.signal(PROFIT, Channel::Public);
    desk.signal(PROFIT, Channel::Public);
    // The node refuses the first for good.
    let refused = Verdict::Refused { class: Class::Invalid, text: "intrinsic gas too low".to_owned(), code: -32000 };
    desk.step(Input::Written { request: 1 });
    desk.step(Input::Replied { request: 1, verdict: refused });
    assert_eq!(desk.order(first).sub, Sub::Closed);
    desk.pass(SECOND / 10);
    assert_eq!(desk.sent.len(), 2, "a new order might take it");
    desk.pass(SECOND / 5);
    let (_, order, filler) = desk.sent.last().unwrap();
    assert_eq!((desk.sent.len(), *order, filler.nonce(), filler.input().len()), (3, 0, 7, 0));
    let filler = filler.clone();
    // Lost on its way, it goes again with the next head; left behind by the base fee, for more.
    desk.head(101, GWEI);
    desk.block(101, Vec::new());
    assert_eq!(desk.sent.last().unwrap().2.hash(), filler.hash());
    desk.head(102, 20 * GWEI);
    desk.block(102, Vec::new());
    let (_, order, dearer) = desk.sent.last().unwrap().clone();
    assert_eq!((order, dearer.nonce()), (0, 7));
    assert!(dearer.max_fee_per_gas() > u128::from(20 * GWEI));
    // A pool that holds something else there wants still more.
    let sent = desk.sent.len();
    let underpriced = "replacement transaction underpriced".to_owned();
    let verdict = Verdict::Refused { class: Class::Underpriced, text: underpriced, code: -32000 };
    desk.step(Input::Replied { request: desk.last_request, verdict });
    assert!(desk.sent[sent].2.max_fee_per_gas() * 4 >= dearer.max_fee_per_gas() * 5);
    assert_eq!(desk.engine.as_ref().unwrap().core().state().counters().nonce_holes_filled, 1);
    desk.prove();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_reply_that_is_not_clear_frees_a_slot(
        status in prop::option::of(prop::sample::select(&[200u16, 204, 301, 400, 408, 429, 500, 502, 503, 504])),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            r#"\{"(error|result)":\{?"[a-z ]{0,20}"\}?\}"#.prop_map(String::into_bytes),
            r#"\{"error":\{"code":-[0-9]{1,5},"message":"[a-z ]{0,20}"\}\}"#.prop_map(String::into_bytes),
        ],
    ) {
        let mut desk = Desk::new(home(1));
        let order = desk.signal(PROFIT, Channel::Public);
        let slot = desk.order(order).slot.unwrap();
        let hash = desk.order(order).attempts[0].hash;
        let answer = match status {
            Some(200) => Answer::Body(&body),
            Some(status) => Answer::Status(status, &body),
            None => Answer::Nothing("gone"),
        };
        let verdict = verdict(answer, &hash);
        prop_assume!(!matches!(verdict, Verdict::Refused { class: Class::Funds | Class::Invalid, .. }));
        desk.step(Input::Written { request: 1 });
        desk.step(Input::Replied { request: 1, verdict });
        let state = desk.engine.as_ref().unwrap().core().state();
        prop_assert!(desk.order(order).is_out());
        prop_assert_eq!(&state.lanes().entry(slot).unwrap().owner, &Owner::Orders { ids: vec![order] });
        // The same bytes go out again; no other nonce is ever used for it.
        desk.pass(SECOND);
        prop_assert!(desk.sent.iter().all(|(.., one)| one.hash() == hash));
    }
}
