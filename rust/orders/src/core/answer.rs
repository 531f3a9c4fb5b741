//! What replies do. A reply that is not clear frees nothing: it only makes the same bytes go out again.

use types::B256;

use super::{Core, Want, signing::Then, state::Request};
use crate::{
    build::request::bundle_hash,
    failure::FailureCode,
    order::{Order, Slot},
    replies::{Class, Verdict},
    states::Event,
    wire::{AttemptKind, Channel},
};

/// What is added to a reason that need not be the one: a replay at the parent's state knows nothing of the transactions
/// that stood before it in its block.
const APPROXIMATE: &str = " (approximate: replayed on the block before)";

impl Core {
    pub(super) fn replied(&mut self, id: u64, verdict: &Verdict) {
        // A second answer to the same request, or one from before a restart, says nothing new.
        let Some(request) = self.state.requests.remove(&id) else { return };
        let Some(attempt) = self.state.attempt_mut(&request) else { return };
        attempt.open = attempt.open.saturating_sub(1);
        let (kind, channel) = (attempt.kind, attempt.channel);
        match verdict {
            Verdict::Accepted => self.accepted(&request, kind, channel),
            Verdict::Bundled { hash } if *hash == bundle_hash(&request.hash) => self.accepted(&request, kind, channel),
            Verdict::Bundled { .. } => self.unanswered(request.order_id, request.hash),
            Verdict::Refused { class, text, .. } => self.refused(&request, kind, *class, text),
        }
    }

    fn accepted(&mut self, request: &Request, kind: AttemptKind, channel: Channel) {
        if let Some(attempt) = self.state.attempt_mut(request) {
            attempt.accepted = true;
        }
        let order_id = request.order_id;
        let Some(order) = self.state.order_mut(order_id) else { return };
        order.resends = 0;
        let event = if channel == Channel::Private { Event::Relayed } else { Event::Acknowledged };
        if let Some(bidding) = order.bidding.as_mut().filter(|_| channel == Channel::Private) {
            bidding.acknowledged = true;
        }
        // An accepted cancel says nothing of what it is to cancel. An old attempt's reply does not undo a newer one's.
        let newest = order.attempts.last().is_some_and(|attempt| attempt.hash == request.hash);
        let wanted = kind != AttemptKind::Cancel && (newest || !order.can(Event::CancelSent));
        if wanted && self.advance(order_id, event) {
            self.report(order_id, None, Vec::new());
        }
    }

    fn refused(&mut self, request: &Request, kind: AttemptKind, class: Class, text: &str) {
        let Request { order_id, slot, hash, .. } = *request;
        let sender = self.state.lanes.lane(slot.lane).sender;
        match class {
            Class::Accepted => {}
            Class::Settle => {
                self.unanswered(order_id, hash);
                self.want(Want::Account { sender });
            }
            Class::Underpriced => self.underpriced(request, kind),
            Class::Fee | Class::BackOff | Class::Ambiguous => self.unanswered(order_id, hash),
            Class::Funds | Class::Invalid => {
                let Some(code) = class.failure() else { return };
                self.state.counters.submission_failures += 1;
                if let Some(attempt) = self.state.attempt_mut(request) {
                    attempt.refusal = Some(code);
                }
                self.alert(true, code.name(), order_id, format!("{sender}, nonce {}: {text}", slot.nonce));
                if class == Class::Funds {
                    self.state.lanes.change(slot.lane, |lane| lane.paused = true);
                    self.want(Want::Account { sender });
                }
                let for_good = self.order(order_id).is_some_and(is_refused_by_all);
                if for_good {
                    self.close(order_id, Event::Rejected, code, text.to_owned());
                }
            }
        }
    }

    /// A pool wants more for a replacement: five quarters of what it has, where that still can't lose.
    fn underpriced(&mut self, request: &Request, kind: AttemptKind) {
        let Request { order_id, slot, hash, .. } = *request;
        if order_id == 0 {
            return self.insist(slot, hash);
        }
        let newest = self.order(order_id).and_then(Order::attempt).is_some_and(|attempt| attempt.hash == hash);
        let Some(order) = self.order(order_id).filter(|order| order.is_out() && newest) else {
            return self.unanswered(order_id, hash);
        };
        let (bound, tired) =
            (order.fee_bound.min(self.config.max_gas_price), order.replacements >= self.config.retry_attempts);
        let Some(highest) = self.state.lanes.entry(slot).map(|entry| entry.highest) else { return };
        let offer = self.suggestion().insisting(highest);
        let done = match kind {
            AttemptKind::Cancel if offer.max_fee <= self.config.max_gas_price => {
                self.sign(order_id, slot, Then::Cancel, Channel::Public, offer)
            }
            AttemptKind::SpeedUp if !tired => self.replace(order_id, slot, offer, bound),
            _ => false,
        };
        if !done {
            self.unanswered(order_id, hash);
        }
    }

    /// The same for what closes a hole.
    fn insist(&mut self, slot: Slot, hash: B256) {
        let Some(entry) = self.state.lanes.entry(slot) else { return };
        let offer = self.suggestion().insisting(entry.highest);
        let newest = entry.fillers.last().is_some_and(|filler| filler.hash == hash);
        if newest && entry.consumed.is_none() && offer.max_fee <= self.config.max_gas_price {
            self.sign(0, slot, Then::Fill, Channel::Public, offer);
        }
    }

    /// Nobody who is up to date shows an order's transactions.
    pub(super) fn absent(&mut self, order_id: u64) {
        let public = self.order(order_id).is_some_and(|order| {
            order.attempt().is_some_and(|attempt| attempt.channel == Channel::Public) && order.inclusion.is_none()
        });
        if public && self.advance(order_id, Event::Vanished) {
            self.report(order_id, None, Vec::new());
            self.send(order_id);
            self.resend_later(order_id);
        }
    }

    /// Keeps what a contract reverted with.
    pub(super) fn explain(&mut self, order_id: u64, data: &[u8], approximate: bool) {
        if let Some(order) = self.state.order_mut(order_id) {
            order.revert = data[..data.len().min(crate::wire::REVERT_MAX)].to_vec();
            if order.failure.is_none_or(|code| code == FailureCode::TransactionReverted) {
                let mark = if approximate { APPROXIMATE } else { "" };
                order.reason = crate::build::abi::revert_reason(data) + mark;
            }
        }
    }

    /// Sends what is not acknowledged once more: the same bytes.
    pub(super) fn resend(&mut self, order_id: u64) {
        let Some(order) = self.order(order_id) else { return };
        if !order.is_out() || order.inclusion.is_some() {
            return;
        }
        let Some(attempt) = order.attempt() else { return };
        let private = attempt.channel == Channel::Private;
        let late = self.now.engine_ns > order.received_ns.saturating_add(2 * self.config.confirmation_deadline_ns);
        if private || attempt.accepted || late {
            return;
        }
        let unpaid: (B256, Vec<u8>) = (attempt.hash, attempt.raw.clone());
        self.send_public(order_id, unpaid.0, &unpaid.1);
        self.resend_later(order_id);
    }
}

/// Refused for good by every channel that it was sent to, and never out of our hands otherwise.
fn is_refused_by_all(order: &Order) -> bool {
    order
        .attempts
        .iter()
        .all(|attempt| attempt.refusal.is_some() && attempt.open == 0 && !attempt.accepted && !attempt.ambiguous)
}
