use types::{Address, U256};

use super::*;

fn lanes(count: u8) -> Lanes {
    let senders: Vec<_> = (1..=count).map(Address::repeat_byte).collect();
    let mut lanes = Lanes::new(&senders);
    for index in 0..u32::from(count) {
        lanes.change(index, |lane| (lane.confirmed, lane.next, lane.balance) = (Some(5), 5, U256::from(1000)));
    }
    lanes
}

const PUBLIC: Need = Need { cost: 10, private: false };
const PRIVATE: Need = Need { cost: 10, private: true };

fn take(lanes: &mut Lanes, need: Need, sharing: u32, order: u64) -> Option<(u32, u64)> {
    let slot = lanes.choose(need, 2, sharing)?;
    lanes.reserve(slot, order);
    let entry = lanes.entry_mut(slot).unwrap();
    entry.cost = entry.cost.max(need.cost);
    entry.public |= !need.private;
    Some((slot.lane, slot.nonce))
}

#[test]
fn orders_spread_over_the_least_loaded_lanes_until_all_are_full() {
    let mut lanes = lanes(2);
    let taken: Vec<_> = (0..5).map(|order| take(&mut lanes, PUBLIC, 1, order)).collect();
    assert_eq!(taken, [Some((0, 5)), Some((1, 5)), Some((0, 6)), Some((1, 6)), None]);
}

#[test]
fn a_private_order_has_a_lane_for_itself_or_shares_its_slot() {
    let mut lanes = lanes(1);
    assert_eq!(take(&mut lanes, PRIVATE, 2, 1), Some((0, 5)));
    assert_eq!(take(&mut lanes, PUBLIC, 2, 2), None, "nobody stands behind a private order");
    assert_eq!(take(&mut lanes, PRIVATE, 1, 2), None);
    assert_eq!(take(&mut lanes, PRIVATE, 2, 2), Some((0, 5)));
    assert_eq!(take(&mut lanes, PRIVATE, 2, 3), None);
    let slot = Slot { lane: 0, nonce: 5 };
    lanes.leave(slot, 1, 0, false);
    assert_eq!(lanes.entry(slot).unwrap().owner, Owner::Orders { ids: vec![2] });
}

#[test]
fn the_lowest_hole_comes_first_and_an_untouched_tail_vanishes() {
    let mut lanes = lanes(1);
    let depth_two: Vec<_> = (1..=2).map(|order| take(&mut lanes, PUBLIC, 1, order)).collect();
    assert_eq!(depth_two, [Some((0, 5)), Some((0, 6))]);
    let (first, second) = (Slot { lane: 0, nonce: 5 }, Slot { lane: 0, nonce: 6 });
    lanes.leave(first, 1, 77, true);
    assert_eq!(lanes.blocking(), [(first, 77)]);
    assert_eq!(take(&mut lanes, PUBLIC, 1, 3), Some((0, 5)));
    lanes.entry_mut(second).unwrap().cost = 0;
    lanes.leave(second, 2, 78, true);
    assert_eq!((lanes.entry(second), lanes.lane(0).next), (None, 6));
}

#[test]
fn a_lane_that_is_frozen_paused_unknown_or_poor_is_not_chosen() {
    for close in [
        (|lane: &mut Lane| lane.frozen = true) as fn(&mut Lane),
        |lane| lane.paused = true,
        |lane| lane.confirmed = None,
        |lane| lane.balance = U256::from(9),
    ] {
        let mut lanes = lanes(1);
        lanes.change(0, close);
        assert_eq!(lanes.choose(PUBLIC, 16, 1), None);
    }
}

#[test]
fn what_is_promised_is_not_promised_again() {
    let mut lanes = lanes(1);
    let need = Need { cost: 600, private: false };
    assert_eq!(take(&mut lanes, need, 1, 1), Some((0, 5)));
    assert_eq!(lanes.funds(), Some(U256::from(400)));
    assert_eq!(take(&mut lanes, need, 1, 2), None);
    assert!(lanes.settle(Slot { lane: 0, nonce: 5 }).is_some());
    assert_eq!(take(&mut lanes, need, 1, 2), Some((0, 6)));
}
