//! The private way: bundles for the next blocks at every relay, and what happens when no builder takes them.
//!
//! The bytes that builders got never go to a public endpoint. When the window has closed, or no relay has acknowledged in
//! time, the order is signed again at the same nonce, which makes the old bytes worthless, and that goes public.

use super::{Core, Output, Timer, state::Request};
use crate::{
    build::request,
    config::Relay,
    failure::FailureCode,
    fees::next_base_fee,
    lanes::Owner,
    order::{Bidding, Order},
    states::Event,
    wire::Channel,
};

impl Core {
    fn relays(&self) -> Vec<u16> {
        let ends = self.config.endpoints.iter().enumerate();
        ends.filter(|(_, end)| end.relay != Relay::None).map(|(index, _)| index as u16).collect()
    }

    /// Sends the newest attempt to every relay, once for each block that it may land in.
    pub(super) fn bid(&mut self, order_id: u64) {
        let Some(head) = self.state.ring.head().map(|head| head.number) else { return };
        let (from, last) = match self.order(order_id).and_then(|order| order.bidding) {
            Some(bidding) => (head + 1, bidding.last_block),
            None => (head + 1, head + self.config.private_max_blocks),
        };
        let Some(order) = self.state.order_mut(order_id) else { return };
        let last = if order.valid_until_block == 0 { last } else { last.min(order.valid_until_block) };
        order.bidding.get_or_insert(Bidding { last_block: last, acknowledged: false });
        let (Some(slot), Some(attempt)) = (order.slot, order.attempts.last_mut()) else { return };
        attempt.target_block = last;
        let (hash, raw) = (attempt.hash, attempt.raw.clone());
        let deadline = order.received_wall_ns.saturating_add(self.config.confirmation_deadline_ns) / 1_000_000_000;
        for endpoint in self.relays() {
            for block in from..=last {
                let id = self.open_request(Request { order_id, slot, hash, endpoint });
                let uuid = request::bundle_uuid(&self.config.engine_id, order_id, block);
                let body = request::send_bundle(id, &raw, block, deadline, &uuid);
                let bytes = self.wiring.frame(endpoint, &body, true);
                self.outputs.push(Output::Send { endpoint, request: id, order_id, bytes });
            }
        }
        let at = self.now.engine_ns.saturating_add(self.config.private_timeout_ns);
        self.wheel().set(at, Timer::Bids { order_id });
    }

    /// Asks every relay to forget the bundles. Bids that were placed can still win.
    pub(super) fn withdraw_bids(&mut self, order_id: u64) {
        let Some(head) = self.state.ring.head().map(|head| head.number) else { return };
        let Some(order) = self.order(order_id) else { return };
        let (Some(slot), Some(bidding), Some(attempt)) = (order.slot, order.bidding, order.attempt()) else { return };
        let hash = attempt.hash;
        for endpoint in self.relays() {
            for block in head + 1..=bidding.last_block {
                // The answer to a wish decides nothing: it is not counted as an open request of the attempt.
                let id = self.state.next_request;
                self.state.next_request += 1;
                let _ = (slot, hash);
                let uuid = request::bundle_uuid(&self.config.engine_id, order_id, block);
                let bytes = self.wiring.frame(endpoint, &request::cancel_bundle(id, &uuid), true);
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
            self.fall_back(order_id);
        }
    }

    /// A window has closed once the chain is past its last block and nothing of that is unknown.
    pub(super) fn close_windows(&mut self) {
        let Some(head) = self.state.ring.head().map(|head| head.number) else { return };
        let past =
            |order: &&Order| is_bidding(order) && order.bidding.is_some_and(|bidding| head >= bidding.last_block);
        let closed: Vec<_> = self.state.orders().filter(past).map(|order| order.id).collect();
        if !closed.is_empty() && self.is_matched_through(head) {
            closed.into_iter().for_each(|order_id| self.fall_back(order_id));
        }
    }

    /// Goes public at the same nonce where that is wanted and still pays; else that was it.
    fn fall_back(&mut self, order_id: u64) {
        let Some(order) = self.order(order_id) else { return };
        let Some(slot) = order.slot else { return };
        let cancelled = order.cancel_for;
        let wants = order.channel == Channel::Hybrid && self.config.fallback_public && cancelled.is_none();
        let bound = order.fee_bound.min(self.config.max_gas_price);
        let head = self.state.ring.head().copied();
        let late = order.valid_until_block != 0 && head.is_some_and(|head| head.number >= order.valid_until_block);
        // Alternatives of one slot end with their windows: only a sole owner may make the slot public.
        let alone = self.state.lanes.entry(slot).is_some_and(|entry| match &entry.owner {
            Owner::Orders { ids } => ids[..] == [order_id],
            _ => false,
        });
        let price = head.map_or(0, |head| next_base_fee(&head)).saturating_add(self.config.min_priority_fee);
        if wants && alone && !late && price <= bound {
            let offer = self.suggestion().scaled(self.config.fallback_gas_bps).capped(bound);
            if let Some(order) = self.state.order_mut(order_id) {
                // Out of the builders' hands: from here on it is a public order.
                order.channel = Channel::Public;
            }
            if self.replace(order_id, slot, offer, bound) {
                return;
            }
        }
        let code = cancelled.unwrap_or(FailureCode::MEVBundleFailed);
        self.close(order_id, Event::WindowClosed, code, code.text().to_owned());
    }
}

/// Whether an order's newest bytes are with builders only.
pub(super) fn is_bidding(order: &Order) -> bool {
    order.is_out()
        && order.inclusion.is_none()
        && order.attempt().is_some_and(|attempt| attempt.channel == Channel::Private)
}
