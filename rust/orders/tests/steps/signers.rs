//! Keys that are elsewhere.

use execlayer_orders::{
    Config, FailureCode, Input, SignerAnswer, State, Sub,
    sign::MemorySigner,
    wire::{AttemptKind, Channel},
};
use types::keccak256;

use super::desk::{Desk, GWEI, SECOND, config, keys, signed};

const PROFIT: i128 = 10i128.pow(18);

#[test]
fn an_order_waits_for_its_signature_in_its_slot_and_goes_out_with_it() {
    let mut desk = Desk::new(config(1));
    let order = desk.signal(PROFIT, Channel::Public);
    assert_eq!((desk.sent.len(), desk.order(order).sub), (0, Sub::Queued));
    assert_eq!(desk.order(order).slot.map(|slot| slot.nonce), Some(7));
    let asked = desk.sign();
    assert_eq!((asked.order_id, asked.sender, keccak256(&asked.payload)), (order, keys()[0].address(), asked.hash));
    let [(endpoint, sent_for, transaction)] = &desk.sent[..] else { panic!("{:?}", desk.sent) };
    assert_eq!((*endpoint, *sent_for, transaction.nonce()), (0, order, 7));
    assert_eq!((transaction.recover(), transaction.signature_hash()), (Ok(asked.sender), asked.hash));
    assert_eq!(desk.order(order).sub, Sub::Intent);
    desk.prove();
}

#[test]
fn orders_stand_in_a_row_while_their_signatures_are_made_in_any_order() {
    let mut desk = Desk::new(config(1));
    let orders = [(); 3].map(|()| desk.signal(PROFIT, Channel::Public));
    assert_eq!(orders.map(|order| desk.order(order).slot.unwrap().nonce), [7, 8, 9]);
    for _ in 0..3 {
        desk.sign();
    }
    let nonces: Vec<_> = desk.sent.iter().map(|(.., transaction)| transaction.nonce()).collect();
    assert_eq!(nonces, [9, 8, 7]);
    desk.prove();
}

#[test]
fn what_another_key_signed_is_refused_with_an_alarm_and_only_its_lane_stands_still() {
    let mut desk = Desk::new(config(2));
    let order = desk.signal(PROFIT, Channel::Public);
    let asked = desk.asked.pop().unwrap();
    let other = keys().into_iter().find(|key| key.address() != asked.sender).unwrap();
    desk.step(Input::Signature { request: asked.request, answer: signed(&other, &asked.hash) });
    assert_eq!(desk.alerts.iter().map(|alert| alert.name).collect::<Vec<_>>(), ["wrong_signature"]);
    assert!(desk.sent.is_empty());
    let again = desk.sign();
    assert_eq!((again.order_id, again.sender), (order, other.address()));
    assert_eq!(desk.sent[0].2.recover(), Ok(other.address()));
    let next = desk.signal(PROFIT, Channel::Public);
    assert_eq!(desk.sign().sender, other.address());
    assert_eq!(desk.order(next).sub, Sub::Intent);
    desk.prove();
}

#[test]
fn a_signer_out_of_reach_is_left_alone_for_twice_as_long_each_time_and_then_tried_again() {
    let mut desk = Desk::new(Config { submission_deadline_ns: 1000 * SECOND, ..config(1) });
    let order = desk.signal(PROFIT, Channel::Public);
    for rest in [1, 2, 4, 8, 16, 32, 64, 64] {
        desk.fail();
        assert_eq!((desk.order(order).sub, desk.order(order).slot), (Sub::Queued, None));
        desk.pass((rest - 1) * SECOND + SECOND / 2);
        assert!(desk.asked.is_empty(), "asked within {rest} s");
        desk.pass(SECOND);
    }
    assert_eq!(desk.alerts.len(), 8);
    desk.sign();
    assert_eq!(desk.order(order).sub, Sub::Intent);
    // It signs again: what fails next is a first failure.
    desk.signal(PROFIT, Channel::Public);
    desk.fail();
    desk.pass(SECOND + SECOND / 2);
    assert_eq!(desk.asked.len(), 1);
    desk.prove();
}

#[test]
fn an_order_that_expires_while_it_waits_frees_its_slot_and_a_late_signature_says_nothing() {
    let mut desk = Desk::new(config(1));
    let order = desk.signal(PROFIT, Channel::Public);
    let late = desk.asked.pop().unwrap();
    desk.pass(31 * SECOND);
    let state = desk.engine.as_ref().unwrap().core().state();
    assert_eq!(state.summary(order).unwrap().failure, Some(FailureCode::DeadlineExpired));
    assert_eq!((state.lanes().lane(0).next, state.lanes().lane(0).slots.len()), (7, 0));
    desk.step(Input::Signature { request: late.request, answer: signed(&keys()[0], &late.hash) });
    assert!(desk.sent.is_empty());
    let next = desk.signal(PROFIT, Channel::Public);
    assert_eq!(desk.order(next).slot.map(|slot| slot.nonce), Some(7));
    desk.prove();
}

#[test]
fn a_restart_asks_again_for_what_is_open_and_takes_its_answer() {
    let mut desk = Desk::new(config(1));
    let order = desk.signal(PROFIT, Channel::Public);
    let before = desk.asked.clone();
    desk.restart();
    assert_eq!(desk.asked, before);
    desk.sign();
    assert_eq!(desk.order(order).sub, Sub::Intent);
    // A key that has come home is not asked for outside.
    let second = desk.signal(PROFIT, Channel::Public);
    desk.config.outside.clear();
    desk.restart();
    desk.pass(SECOND / 10);
    assert!(desk.asked.is_empty());
    assert_eq!((desk.order(second).attempts.len(), desk.order(second).attempts[0].slot.nonce), (1, 8));
    desk.prove();
}

#[test]
fn replacements_and_cancels_are_asked_for_and_a_cancel_goes_before_a_replacement() {
    let mut desk = Desk::new(config(1));
    let order = desk.signal(PROFIT, Channel::Public);
    let first = desk.sign();
    desk.step(Input::SpeedUp { order_id: order });
    desk.step(Input::SpeedUp { order_id: order });
    assert_eq!(desk.asked.len(), 1, "one question at a time");
    let dearer = desk.sign();
    assert_ne!(dearer.hash, first.hash);
    assert_eq!(desk.order(order).attempts[1].kind, AttemptKind::SpeedUp);
    desk.step(Input::SpeedUp { order_id: order });
    let dropped = desk.asked.pop().unwrap();
    desk.step(Input::Cancel { order_id: order });
    desk.sign();
    desk.step(Input::Signature { request: dropped.request, answer: signed(&keys()[0], &dropped.hash) });
    let attempts = &desk.order(order).attempts;
    assert_eq!(attempts.iter().map(|one| one.kind as u8).collect::<Vec<_>>(), [0, 1, 2]);
    let fees: Vec<_> = desk.sent.iter().map(|(.., one)| one.max_fee_per_gas()).collect();
    assert!(fees.windows(2).all(|pair| pair[1] * 10 >= pair[0] * 11), "{fees:?}");
    desk.prove();
}

#[test]
fn a_cancel_that_was_not_signed_is_asked_for_at_the_next_head() {
    let mut desk = Desk::new(config(1));
    let order = desk.signal(PROFIT, Channel::Public);
    desk.sign();
    desk.step(Input::Cancel { order_id: order });
    desk.fail();
    desk.pass(2 * SECOND);
    desk.head(101, GWEI);
    desk.block(101, vec![]);
    desk.sign();
    assert_eq!(desk.order(order).attempt().map(|one| one.kind), Some(AttemptKind::Cancel));
    desk.prove();
}

#[test]
fn a_filler_is_asked_for_and_an_order_that_takes_the_hole_makes_it_needless() {
    let mut desk = Desk::new(config(1));
    let first = desk.signal(PROFIT, Channel::Public);
    desk.signal(PROFIT, Channel::Public);
    desk.sign();
    desk.asked.clear();
    desk.step(Input::Cancel { order_id: first });
    desk.pass(SECOND);
    desk.pass(SECOND);
    let [filler] = &desk.asked[..] else { panic!("{:?}", desk.asked) };
    let filler = filler.clone();
    assert_eq!(filler.order_id, 0);
    // An order comes first: the filler's signature is of no use.
    desk.asked.clear();
    let third = desk.signal(PROFIT, Channel::Public);
    assert_eq!(desk.order(third).slot.map(|slot| slot.nonce), Some(7));
    desk.step(Input::Signature { request: filler.request, answer: signed(&keys()[0], &filler.hash) });
    assert_eq!(desk.sent.len(), 1);
    desk.step(Input::Cancel { order_id: third });
    desk.asked.clear();
    desk.pass(SECOND);
    assert_eq!(desk.sign().order_id, 0);
    let (endpoint, order, transaction) = desk.sent.last().unwrap();
    assert_eq!((*endpoint, *order, transaction.nonce(), transaction.input().len()), (0, 0, 7, 0));
    desk.prove();
}

#[test]
fn private_bytes_are_signed_outside_too_and_again_when_they_go_public() {
    let mut desk = Desk::new(config(1));
    let order = desk.signal(PROFIT, Channel::Hybrid);
    assert!(desk.sent.is_empty());
    desk.sign();
    assert!(desk.sent.iter().all(|(endpoint, ..)| *endpoint == 1) && desk.sent.len() == 3);
    // No relay acknowledges: the order leaves for the public, once that is signed.
    desk.pass(SECOND + SECOND / 5);
    assert_eq!(desk.sent.len(), 3);
    desk.sign();
    let (endpoint, _, transaction) = desk.sent.last().unwrap();
    assert_eq!((*endpoint, transaction.nonce()), (0, 7));
    assert_eq!(desk.order(order).attempts.len(), 2);
    desk.prove();
}

#[test]
fn a_private_order_whose_public_leg_nobody_signs_ends_and_its_slot_is_as_before() {
    let mut desk = Desk::new(config(1));
    let order = desk.signal(PROFIT, Channel::Hybrid);
    desk.sign();
    desk.pass(SECOND + SECOND / 5);
    desk.fail();
    let ended = desk.order(order);
    assert_eq!((ended.state(), ended.failure), (State::Failed, Some(FailureCode::MEVBundleFailed)));
    let slot = ended.slot.unwrap();
    assert!(!desk.engine.as_ref().unwrap().core().state().lanes().entry(slot).unwrap().public);
    desk.prove();
}

#[test]
fn other_settings_are_played_over_signatures_that_nobody_made() {
    let mut desk = Desk::new(config(1));
    desk.signal(PROFIT, Channel::Public);
    desk.sign();
    let signers = || -> [Box<dyn execlayer_orders::sign::Signer>; 2] {
        [Box::new(MemorySigner::new()), Box::new(MemorySigner::new())]
    };
    let dearer = |config| Config { min_priority_fee: 5 * GWEI, ..config };
    let played = execlayer_orders::whatif::what_if(desk.folder.path(), 1, signers(), dearer).unwrap().unwrap();
    let [difference] = &played.differences[..] else { panic!("{:?}", played.differences) };
    assert_eq!((difference.was.signed, difference.would.signed), (1, 1));
    assert!(difference.would.max_fee > difference.was.max_fee);
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut desk = Desk::new(config(1));
    desk.signal(PROFIT, Channel::Public);
    let asked = desk.sign();
    let before = desk.sent.len();
    let refusal = SignerAnswer::Refused { reason: "late".to_owned() };
    for (request, answer) in [(asked.request, refusal.clone()), (9999, refusal)] {
        desk.step(Input::Signature { request, answer });
    }
    assert_eq!((desk.sent.len(), desk.alerts.len()), (before, 0));
}
