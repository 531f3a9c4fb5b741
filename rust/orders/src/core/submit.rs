//! Slots and requests; and the end of orders that the chain has not settled.

use super::{Core, Note, Output, Timer, signing::Then, state::Request};
use crate::{
    build::request,
    failure::FailureCode,
    fees::{Offer, next_base_fee},
    lanes::Need,
    order::{Attempt, Order, Slot},
    states::{Event, State},
    wire::{Channel, flags},
};

/// How many lanes are tried when wallets don't sign.
const WALLETS_TRIED: usize = 3;

impl Core {
    /// Gives an order a slot, has it signed, and sends it. False: no slot is free, and the order waits.
    pub(super) fn place(&mut self, order_id: u64) -> bool {
        for _ in 0..WALLETS_TRIED {
            let Some(order) = self.order(order_id) else { return true };
            let private = order.channel != Channel::Public;
            let (offer, gas_limit) = (order.offer, order.gas_limit);
            let cost = u128::from(gas_limit) * u128::from(offer.max_fee);
            let need = Need { cost, private };
            let Some(slot) = self.state.lanes.choose(need, self.config.lane_depth, self.config.private_sharing) else {
                return false;
            };
            let queued = (std::cmp::Reverse(order.expected_wei as u128), order_id);
            self.state.reserve(slot, order_id);
            if let Some(order) = self.state.order_mut(order_id) {
                order.slot = Some(slot);
            }
            self.notes.push(Note::Reserved { order_id, slot });
            let channel = if private { Channel::Private } else { Channel::Public };
            if self.sign(order_id, slot, Then::Place, channel, offer) {
                self.state.queue.remove(&queued);
                if self.is_asking(order_id) {
                    self.advance(order_id, Event::Queued);
                }
                return true;
            }
            self.leave_unsigned(order_id, slot);
        }
        false
    }

    /// Sends an order's newest attempt the way it is meant to go.
    pub(super) fn send(&mut self, order_id: u64) {
        let Some(attempt) = self.order(order_id).and_then(Order::attempt) else { return };
        match attempt.channel {
            Channel::Private => self.bid(order_id),
            _ => {
                let (hash, raw) = (attempt.hash, attempt.raw.clone());
                self.send_public(order_id, hash, &raw);
            }
        }
    }

    /// Sends bytes to the first public endpoints that are up.
    pub(super) fn send_public(&mut self, order_id: u64, hash: types::B256, raw: &[u8]) {
        let Some(slot) = self.state.hashes.get(&hash).map(|signee| signee.slot) else { return };
        let fanout = usize::from(self.config.fanout.max(1));
        let ends = self.config.endpoints.iter().enumerate();
        let chosen: Vec<u16> = ends
            .filter(|(index, end)| end.submit && self.state.up.get(*index) == Some(&true))
            .map(|(index, _)| index as u16)
            .take(fanout)
            .collect();
        if chosen.is_empty() {
            // Nobody to send it to: the resend timer tries again.
            self.unanswered(order_id, hash);
        }
        for endpoint in chosen {
            let id = self.open_request(Request { order_id, slot, hash, endpoint });
            let bytes = self.wiring.frame(endpoint, &request::send_transaction(id, raw), false);
            self.outputs.push(Output::Send { endpoint, request: id, order_id, bytes });
        }
    }

    /// Names a request and counts it as open.
    pub(super) fn open_request(&mut self, request: Request) -> u64 {
        let id = self.state.next_request;
        self.state.next_request += 1;
        if let Some(attempt) = self.state.attempt_mut(&request) {
            attempt.open += 1;
        }
        self.state.requests.insert(id, request);
        id
    }

    pub(super) fn written(&mut self, request: u64) {
        if let Some(order_id) = self.state.requests.get(&request).map(|request| request.order_id) {
            self.advance(order_id, Event::Written);
        }
    }

    /// What the market asks for now, within the caps.
    pub(super) fn suggestion(&self) -> Offer {
        let base = self.state.ring.head().map_or(0, next_base_fee);
        let tip = self.state.tip.max(self.config.min_priority_fee);
        Offer { max_fee: base.saturating_mul(2).saturating_add(tip), tip }.capped(self.config.max_gas_price)
    }

    /// Signs the same call again at a higher fee. False: there is no room for that.
    pub(super) fn speed_up(&mut self, order_id: u64) -> bool {
        let Some(order) = self.order(order_id) else { return false };
        let (Some(slot), Some(attempt)) = (order.slot, order.attempt()) else { return false };
        let (public, bound) = (attempt.channel == Channel::Public, order.fee_bound.min(self.config.max_gas_price));
        let tired = order.replacements >= self.config.retry_attempts;
        if !order.is_out() || order.inclusion.is_some() || order.cancel_for.is_some() || !public {
            return false;
        }
        if tired {
            self.hold(order_id);
            return false;
        }
        if order.asked.is_some() {
            return true;
        }
        let Some(highest) = self.state.lanes.entry(slot).map(|entry| entry.highest) else { return false };
        let offer = self.suggestion().capped(bound).replacing(highest, self.config.bump);
        self.replace(order_id, slot, offer, bound)
    }

    /// An order was replaced as often as it may be: it is left where it is, and somebody is told, once.
    fn hold(&mut self, order_id: u64) {
        let Some(order) = self.state.order_mut(order_id).filter(|order| !order.is_held) else { return };
        order.is_held = true;
        let text = format!("order {order_id} still waits after {} replacements", order.replacements);
        self.alert(false, "order_held", order_id, text);
    }

    /// Signs and sends a replacement that its pool can't call underpriced, where it still can't lose and a block could
    /// hold it.
    pub(super) fn replace(&mut self, order_id: u64, slot: Slot, offer: Offer, bound: u64) -> bool {
        let base = self.state.ring.head().map_or(0, next_base_fee);
        (base..=bound).contains(&offer.max_fee) && self.sign(order_id, slot, Then::Replace, Channel::Public, offer)
    }

    /// Wants an order gone, for a reason. Before it is signed that is all; afterwards its slot has to be taken away, and
    /// whichever of the two is settled decides.
    pub(super) fn cancel(&mut self, order_id: u64, why: FailureCode) {
        let Some(order) = self.state.order_mut(order_id) else { return };
        match order.state() {
            State::Completed | State::Failed => return,
            State::Created | State::Validated => {
                return self.close(order_id, Event::Refused, why, why.text().to_owned());
            }
            State::Submitted | State::Pending => {}
        }
        order.flags |= flags::CANCEL_ASKED;
        if order.cancel_for.is_some() {
            return;
        }
        order.cancel_for = Some(why);
        self.state.counters.cancels += 1;
        // Nobody wants it for more any longer.
        self.let_go(order_id);
        let Some(slot) = self.order(order_id).and_then(|order| order.slot) else { return };
        if self.order(order_id).is_some_and(|order| order.inclusion.is_some()) {
            return;
        }
        if self.state.lanes.entry(slot).is_some_and(|entry| entry.public) {
            self.take_slot(order_id, slot);
        } else {
            self.withdraw_bids(order_id);
        }
        self.report(order_id, None, Vec::new());
    }

    /// A transfer of nothing to ourselves in the order's slot, above everything that was offered there.
    pub(super) fn take_slot(&mut self, order_id: u64, slot: Slot) {
        let Some(offer) = self.replacing(slot) else { return };
        if offer.max_fee > self.config.max_gas_price {
            let text = format!("a cancel would cost {} wei for a unit of gas", offer.max_fee);
            return self.alert(false, "cancel_too_dear", order_id, text);
        }
        self.sign(order_id, slot, Then::Cancel, Channel::Public, offer);
    }

    /// What takes the place of whatever was offered for a slot.
    fn replacing(&self, slot: Slot) -> Option<Offer> {
        let highest = self.state.lanes.entry(slot)?.highest;
        Some(self.suggestion().replacing(highest, self.config.bump))
    }

    /// Whether a slot could be taken from what was offered for it, within the cap.
    pub(super) fn is_takeable(&self, slot: Slot) -> bool {
        self.replacing(slot).is_some_and(|offer| offer.max_fee <= self.config.max_gas_price)
    }

    /// A transfer that closes a hole.
    pub(super) fn fill_hole(&mut self, slot: Slot) {
        let Some(offer) = self.replacing(slot) else { return };
        let offer = offer.capped(self.config.max_gas_price);
        if self.state.lanes.lane(slot.lane).is_open() {
            self.sign(0, slot, Then::Fill, Channel::Public, offer);
        }
    }

    /// Sends a slot's newest filler.
    pub(super) fn resend_filler(&mut self, slot: Slot) {
        let filler = self.state.lanes.entry(slot).and_then(|entry| entry.fillers.last());
        let Some((hash, raw)) = filler.map(|filler| (filler.hash, filler.raw.clone())) else { return };
        self.send_public(0, hash, &raw);
    }

    /// Ends an order without the chain's word: it never left, every channel refused it, or its window closed.
    pub(super) fn close(&mut self, order_id: u64, event: Event, code: FailureCode, reason: String) {
        if !self.order(order_id).is_some_and(|order| order.can(event)) {
            return;
        }
        let never_left = event == Event::Refused;
        self.let_go(order_id);
        if let Some(order) = self.state.order_mut(order_id) {
            order.failure = Some(code);
            order.reason = reason;
            if event == Event::WindowClosed {
                order.flags |= flags::RESIDUAL;
            }
            if let Some(slot) = order.slot {
                self.state.lanes.leave(slot, order_id, self.now.engine_ns, never_left);
            }
        }
        self.advance(order_id, event);
        self.finish(order_id);
    }

    /// An order has ended: it is reported, its place is free, and those that waited for it go on.
    pub(super) fn finish(&mut self, order_id: u64) {
        self.let_go(order_id);
        let Some(order) = self.order(order_id) else { return };
        let queued = (std::cmp::Reverse(order.expected_wei as u128), order_id);
        let failure = order.failure;
        let was_sent = !order.attempts.is_empty();
        self.state.queue.remove(&queued);
        self.state.simulating.remove(&order_id);
        self.report(order_id, None, Vec::new());
        let Some(mut order) = self.state.orders.remove(order_id) else { return };
        for pool in &order.pools {
            if let Some(users) = self.state.pools.get_mut(pool) {
                users.remove(&order_id);
                if users.is_empty() {
                    self.state.pools.remove(pool);
                }
            }
        }
        match failure {
            None => self.state.failures_in_row = 0,
            Some(code) => {
                self.state.counters.failed(code);
                self.state.failures_in_row += u32::from(was_sent && code != FailureCode::Cancelled);
            }
        }
        if self.state.failures_in_row >= self.config.max_failures_in_row && !self.state.halted {
            self.state.halted = true;
            let text = format!("{} orders failed in a row", self.state.failures_in_row);
            self.alert(true, "failures_in_row", order_id, text);
        }
        if was_sent {
            order.input = Vec::new();
            let landed = order.inclusion.map(|inclusion| inclusion.attempt);
            for (index, attempt) in order.attempts.iter_mut().enumerate() {
                if landed != Some(index as u32) {
                    attempt.raw = Vec::new();
                }
            }
            self.state.watched.insert(order_id, order);
        } else {
            self.state.summarize(&order);
        }
        self.state.trim(self.config.retention_ns, self.config.retention_max);
        self.pump();
    }

    /// The outcome of sending is not clear: the same bytes go out again, a little later each time.
    pub(super) fn unanswered(&mut self, order_id: u64, hash: types::B256) {
        let Some(slot) = self.state.hashes.get(&hash).map(|signee| signee.slot) else { return };
        if let Some(attempt) = self.state.attempt_mut(&Request { order_id, slot, hash, endpoint: 0 }) {
            attempt.ambiguous = true;
        }
        self.advance(order_id, Event::Unanswered);
        self.resend_later(order_id);
    }

    pub(super) fn resend_later(&mut self, order_id: u64) {
        /// Half a second first, eight at most.
        const FIRST_NS: u64 = 500_000_000;
        const DOUBLINGS_MAX: u8 = 4;
        let Some(order) = self.state.order_mut(order_id) else { return };
        let delay = FIRST_NS << order.resends.min(DOUBLINGS_MAX);
        order.resends = order.resends.saturating_add(1);
        let at = self.now.engine_ns.saturating_add(delay);
        self.wheel().set(at, Timer::Resend { order_id });
    }
}

impl super::State {
    /// The attempt that a request carried.
    pub(super) fn attempt_mut(&mut self, request: &Request) -> Option<&mut Attempt> {
        let attempts = if request.order_id == 0 {
            &mut self.lanes.entry_mut(request.slot)?.fillers
        } else {
            &mut self.order_mut(request.order_id)?.attempts
        };
        attempts.iter_mut().find(|attempt| attempt.hash == request.hash)
    }
}
