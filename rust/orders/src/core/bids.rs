//! The private way: bundles for the next blocks at every relay, and what happens when no builder takes them.
//!
//! The bytes that builders got never go to a public endpoint. When the window has closed, or no relay has acknowledged in
//! time, the order is signed again at the same nonce, which makes the old bytes worthless, and that goes public.

use super::{Core, Note, Output, Timer, signing::Then, simulate::Purpose, state::Request};
use crate::{
    build::request,
    config::{Presim, Relay},
    failure::FailureCode,
    fees::next_base_fee,
    lanes::{Need, Owner},
    order::{Bidding, Order},
    states::Event,
    wire::Channel,
};

impl Core {
    fn relays(&self) -> Vec<(u16, Relay)> {
        let ends = self.config.endpoints.iter().enumerate();
        ends.filter(|(_, end)| end.relay != Relay::None).map(|(index, end)| (index as u16, end.relay)).collect()
    }

    /// Sends the newest attempt to every relay, for each block that it may land in.
    pub(super) fn bid(&mut self, order_id: u64) {
        let Some(head) = self.state.ring.head().map(|head| head.number) else { return };
        let (from, last) = match self.order(order_id).and_then(|order| order.bidding) {
            Some(bidding) => (head + 1, bidding.last_block),
            None => (head + 1, head + self.config.private_max_blocks.min(request::PRIVATE_BLOCKS_MAX)),
        };
        let Some(order) = self.state.order_mut(order_id) else { return };
        let last = if order.valid_until_block == 0 { last } else { last.min(order.valid_until_block) };
        order.bidding.get_or_insert(Bidding { last_block: last, acknowledged: false });
        let (Some(slot), Some(attempt)) = (order.slot, order.attempts.last_mut()) else { return };
        attempt.target_block = last;
        let (hash, raw) = (attempt.hash, attempt.raw.clone());
        let max_timestamp = order.received_wall_ns.saturating_add(self.config.confirmation_deadline_ns) / 1_000_000_000;
        for (endpoint, relay) in self.relays() {
            for block in asked_for(relay, from, last) {
                let id = self.open_request(Request { order_id, slot, hash, endpoint });
                let uuid = request::bundle_uuid(&self.config.engine_id, order_id, block);
                let bid = request::Bid { raw: &raw, block, max_timestamp, uuid, builders: &self.config.builders };
                let bytes = self.wiring.frame(endpoint, &bid.request(relay, id), true);
                self.outputs.push(Output::Send { endpoint, request: id, order_id, bytes });
            }
        }
        let at = self.now.engine_ns.saturating_add(self.config.private_timeout_ns);
        self.wheel().set(at, Timer::Bids { order_id });
    }

    /// Asks every relay to forget the bids. Those that were placed can still win.
    pub(super) fn withdraw_bids(&mut self, order_id: u64) {
        let Some(head) = self.state.ring.head().map(|head| head.number) else { return };
        let Some(order) = self.order(order_id) else { return };
        let (Some(bidding), Some(attempt)) = (order.bidding, order.attempt()) else { return };
        let hash = attempt.hash;
        for (endpoint, relay) in self.relays() {
            for block in asked_for(relay, head + 1, bidding.last_block) {
                // The answer to a wish decides nothing: it is not counted as an open request of the attempt.
                let id = self.state.next_request;
                self.state.next_request += 1;
                let uuid = request::bundle_uuid(&self.config.engine_id, order_id, block);
                let body = request::withdraw(relay, id, block, &uuid, &hash);
                let bytes = self.wiring.frame(endpoint, &body, true);
                self.outputs.push(Output::Send { endpoint, request: id, order_id, bytes });
            }
        }
    }

    /// The time for an acknowledgement has passed.
    pub(super) fn bids_due(&mut self, order_id: u64) {
        let silent = self
            .order(order_id)
            .is_some_and(|order| is_bidding(order) && order.bidding.is_some_and(|bidding| !bidding.acknowledged));
        if silent {
            self.leave_builders(order_id);
        }
    }

    /// A window has closed once the chain is past its last block and nothing of that is unknown.
    pub(super) fn close_windows(&mut self) {
        let Some(head) = self.state.ring.head().map(|head| head.number) else { return };
        let last = |order: &Order| order.bidding.filter(|_| is_bidding(order)).map(|bidding| bidding.last_block);
        let past = |order: &&Order| last(order).is_some_and(|last| head >= last && self.is_matched_through(last));
        let known = |order: &&Order| !order.slot.is_some_and(|slot| self.state.lookups.contains(&slot));
        let closed: Vec<_> = self.state.orders().filter(past).filter(known).map(|order| order.id).collect();
        closed.into_iter().for_each(|order_id| self.leave_builders(order_id));
    }

    /// Before an order goes public it is tried once more, where orders are tried at all.
    fn leave_builders(&mut self, order_id: u64) {
        // It is leaving already, or on its way to another slot.
        if self.is_asking(order_id) {
            return;
        }
        if self.may_go_public(order_id) && self.config.presim != Presim::Off {
            return self.simulate(order_id, Purpose::GoPublic);
        }
        self.fall_back(order_id);
    }

    fn may_go_public(&self, order_id: u64) -> bool {
        let wants = |order: &&Order| {
            order.channel == Channel::Hybrid && self.config.fallback_public && order.cancel_for.is_none()
        };
        self.order(order_id).filter(wants).is_some()
    }

    /// Goes public at the same nonce where that is wanted and still pays; else that was it.
    pub(super) fn fall_back(&mut self, order_id: u64) {
        let Some(order) = self.order(order_id) else { return };
        let Some(slot) = order.slot else { return };
        let cancelled = order.cancel_for;
        let wants = self.may_go_public(order_id);
        let bound = order.fee_bound.min(self.config.max_gas_price);
        let head = self.state.ring.head().copied();
        let late = order.valid_until_block != 0 && head.is_some_and(|head| head.number >= order.valid_until_block);
        // A sibling has landed: once that is settled this order goes on elsewhere, or not at all.
        if self.state.lanes.entry(slot).is_some_and(|entry| entry.consumed.is_some()) {
            return;
        }
        // Alternatives of one slot end with their windows: only a sole owner may make the slot public.
        let alone = self.state.lanes.entry(slot).is_some_and(|entry| match &entry.owner {
            Owner::Orders { ids } => ids[..] == [order_id],
            _ => false,
        });
        let price = head.map_or(0, |head| next_base_fee(&head)).saturating_add(self.config.min_priority_fee);
        if wants && alone && !late && price <= bound {
            let offer = self.suggestion().scaled(self.config.fallback_gas_bps).capped(bound);
            if self.replace(order_id, slot, offer, bound) {
                return;
            }
        }
        let code = cancelled.unwrap_or(FailureCode::MEVBundleFailed);
        self.close(order_id, Event::WindowClosed, code, code.text().to_owned());
    }
}

impl Core {
    /// A sibling has settled an order's private slot: the order goes on in another one, where it is still wanted. False:
    /// it is not, or no slot is free.
    pub(super) fn move_on(&mut self, order_id: u64) -> bool {
        let head = self.state.ring.head().map_or(0, |head| head.number);
        let deadline = self.config.confirmation_deadline_ns;
        let wanted = |order: &&Order| {
            let late = order.valid_until_block != 0 && head >= order.valid_until_block;
            let overdue = self.now.engine_ns >= order.received_ns.saturating_add(deadline);
            is_bidding(order) && order.cancel_for.is_none() && !late && !overdue
        };
        if self.order(order_id).filter(wanted).is_none() {
            return false;
        }
        if self.config.presim == Presim::Off {
            return self.move_now(order_id);
        }
        self.simulate(order_id, Purpose::Move);
        true
    }

    /// Reserves and signs for the other slot.
    pub(super) fn move_now(&mut self, order_id: u64) -> bool {
        let Some(order) = self.order(order_id) else { return false };
        let bound = order.fee_bound.min(self.config.max_gas_price);
        let (offer, gas_limit) = (self.suggestion().capped(bound), order.gas_limit);
        let base = self.state.ring.head().map_or(0, next_base_fee);
        if offer.max_fee < base.saturating_add(self.config.min_priority_fee) {
            return false;
        }
        let need = Need { cost: u128::from(gas_limit) * u128::from(offer.max_fee), private: true };
        let Some(slot) = self.state.lanes.choose(need, self.config.lane_depth, self.config.private_sharing) else {
            return false;
        };
        self.state.reserve(slot, order_id);
        self.notes.push(Note::Reserved { order_id, slot });
        let signs = self.sign(order_id, slot, Then::Move, Channel::Private, offer);
        if !signs {
            self.leave_unsigned(order_id, slot);
        }
        signs
    }
}

/// The blocks that a relay is asked for one by one; whoever takes transactions takes them for all blocks up to the last.
fn asked_for(relay: Relay, from: u64, last: u64) -> impl Iterator<Item = u64> {
    let first = if relay == Relay::Transaction { from.max(last) } else { from };
    first..=last
}

/// Whether an order's newest bytes are with builders only.
pub(super) fn is_bidding(order: &Order) -> bool {
    order.is_out()
        && order.inclusion.is_none()
        && order.attempt().is_some_and(|attempt| attempt.channel == Channel::Private)
}
