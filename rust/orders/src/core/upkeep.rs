//! What time does: deadlines, resends, replacements, holes, and taking up work after a restart.

use super::{Core, Timer, Want};
use crate::{
    failure::FailureCode,
    fees::next_base_fee,
    lanes::Owner,
    order::Order,
    states::{Event, State, Sub},
    wire::{AttemptKind, Channel, flags},
};

/// Most orders that are signed again at one head: a storm of fees must not stall the intake for longer than 2 ms.
const REPLACEMENTS_AT_ONCE: usize = 64;

impl Core {
    pub(super) fn tick(&mut self) {
        let engine_ns = self.now.engine_ns;
        for timer in self.wheel().advance(engine_ns) {
            match timer {
                Timer::Submission { order_id } => self.submission_due(order_id),
                Timer::Confirmation { order_id } => self.confirmation_due(order_id),
                Timer::Bids { order_id } => self.bids_due(order_id),
                Timer::Resend { order_id } => self.resend(order_id),
                Timer::Wallet { lane } => self.wallet_due(lane),
            }
        }
        for (slot, since) in self.state.lanes.blocking() {
            if engine_ns.saturating_sub(since) >= self.config.gap_fill_ns {
                self.fill_hole(slot);
            }
        }
        self.state.window.expire(engine_ns);
        self.reconcile();
        self.pump();
        self.forget_old();
    }

    fn submission_due(&mut self, order_id: u64) {
        let code = FailureCode::DeadlineExpired;
        let waits = |order: &Order| matches!(order.state(), State::Created | State::Validated);
        if self.order(order_id).is_some_and(waits) {
            self.close(order_id, Event::Refused, code, code.text().to_owned());
        }
    }

    fn confirmation_due(&mut self, order_id: u64) {
        let Some(order) = self.state.order_mut(order_id).filter(|order| order.is_out()) else { return };
        order.flags |= flags::OVERDUE;
        let acknowledged = order.state() == State::Pending;
        let code = if acknowledged { FailureCode::TransactionDropped } else { FailureCode::NetworkTimeout };
        self.alert(false, "order_overdue", order_id, format!("order {order_id} is not settled in time"));
        self.cancel(order_id, code);
    }

    /// Looks after what is out, once for each head.
    pub(super) fn look_after(&mut self) {
        let out = self.state.orders().filter(|order| order.is_out() && order.inclusion.is_none());
        let (mut slow, mut held) = (Vec::new(), Vec::new());
        let base = self.state.ring.head().map_or(0, next_base_fee);
        let number = self.state.ring.head().map_or(0, |head| head.number);
        let market = base.saturating_add(self.state.tip);
        for order in out {
            let Some(attempt) = order.attempt() else { continue };
            if attempt.channel == Channel::Private {
                continue;
            }
            let dearer =
                u128::from(market) * 100 > u128::from(attempt.market) * u128::from(self.config.price_trigger_pct);
            let waited = number >= attempt.block.saturating_add(self.config.after_blocks);
            if order.cancel_for.is_none() && (dearer || attempt.offer.max_fee < base || waited) {
                slow.push(order.id);
            }
            // Its wallet did not sign the cancel, or it was too dear.
            if order.cancel_for.is_some() && attempt.kind != AttemptKind::Cancel && self.is_takeable(attempt.slot) {
                held.push((order.id, attempt.slot));
            }
        }
        for (order_id, slot) in held.into_iter().take(REPLACEMENTS_AT_ONCE) {
            self.take_slot(order_id, slot);
        }
        for order_id in slow.into_iter().take(REPLACEMENTS_AT_ONCE) {
            self.raise(order_id);
        }
        self.look_after_fillers(base);
    }

    /// What closes a hole goes out again with each head until it is in a block; where the base fee has left it behind, for
    /// more.
    fn look_after_fillers(&mut self, base: u64) {
        let fillers = self.slots(|_, entry| entry.owner == Owner::Filler && entry.consumed.is_none());
        for slot in fillers {
            let filler = self.state.lanes.entry(slot).and_then(|entry| entry.fillers.last());
            let is_behind = filler.is_some_and(|filler| filler.offer.max_fee < base);
            if is_behind && self.is_takeable(slot) {
                self.fill_hole(slot);
            } else {
                self.resend_filler(slot);
            }
        }
    }

    /// An order that can't be made faster may have been lost: somebody should look.
    pub(super) fn ask_presence(&mut self, order_id: u64) {
        let Some(order) = self.order(order_id).filter(|order| matches!(order.sub, Sub::InPool | Sub::Orphaned)) else {
            return;
        };
        let hashes = order.attempts.iter().map(|attempt| attempt.hash).collect();
        self.want(Want::Presence { order_id, hashes });
    }

    /// Ended orders stay watched for as long as they are kept at all.
    fn forget_old(&mut self) {
        let old = self.now.engine_ns.saturating_sub(self.config.retention_ns);
        while let Some((order_id, order)) = self.state.watched.first_key_value() {
            let crowded = self.state.watched.len() > self.config.retention_max as usize;
            let unsettled = order.slot.is_some_and(|slot| self.state.lanes.entry(slot).is_some());
            let ended = order.history.last().map_or(0, |step| step.engine_ns);
            if !crowded && (ended >= old || unsettled) {
                break;
            }
            let order_id = *order_id;
            self.forget(order_id);
        }
        self.state.trim(self.config.retention_ns, self.config.retention_max);
    }

    /// Keeps a line of an ended order, and nothing else.
    pub(super) fn forget(&mut self, order_id: u64) {
        let Some(order) = self.state.watched.remove(&order_id) else { return };
        for attempt in &order.attempts {
            self.state.hashes.remove(&attempt.hash);
        }
        self.state.summarize(&order);
    }

    /// A process took up the work: nobody knows what became of the requests that were under way.
    pub(super) fn restart(&mut self) {
        self.state.requests.clear();
        self.ask_again();
        let out: Vec<_> = self.state.orders().filter(|order| order.is_out()).map(|order| order.id).collect();
        for order_id in out {
            let Some(order) = self.state.order_mut(order_id) else { continue };
            for attempt in &mut order.attempts {
                attempt.ambiguous |= attempt.open > 0;
                attempt.open = 0;
            }
            let order_slot = order.slot;
            let (included, private) =
                (order.inclusion.is_some(), order.attempt().is_some_and(|one| one.channel == Channel::Private));
            self.advance(order_id, Event::Unanswered);
            let is_settled = order_slot.is_some_and(|slot| self.state.lanes.entry(slot).is_none());
            if included || is_settled {
                continue;
            }
            if private {
                self.bid(order_id);
            } else {
                self.send(order_id);
                self.resend_later(order_id);
            }
        }
        let fillers: Vec<_> = self
            .state
            .lanes
            .iter()
            .flat_map(|(lane, state)| state.slots.iter().map(move |(nonce, entry)| (lane, *nonce, entry)))
            .filter(|(.., entry)| !entry.fillers.is_empty() && entry.consumed.is_none())
            .map(|(lane, nonce, _)| crate::order::Slot { lane, nonce })
            .collect();
        for slot in fillers {
            self.resend_filler(slot);
        }
        let senders: Vec<_> = self.state.lanes.iter().map(|(_, lane)| lane.sender).collect();
        for sender in senders {
            self.want(Want::Account { sender });
        }
        for (order_id, trying) in std::mem::take(&mut self.state.simulating) {
            self.simulate(order_id, trying.purpose);
        }
        self.ask_lookups();
        let unread: Vec<_> = self.state.unread().collect();
        for (number, hash) in unread {
            self.want(Want::Receipts { number, hash });
        }
    }
}
