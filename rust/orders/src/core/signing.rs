//! Signatures: at once by keys in this process, later by keys elsewhere.
//!
//! A signer outside (over HTTP, in a module of hardware) is asked by [`Want::Signature`] and answers by
//! [`Input::Signature`](super::Input::Signature), which stands in the journal: a replay makes the same bytes of it. While
//! it is asked the slot is the order's, the order stays where it is, and no bytes exist that anybody could send. The
//! answer goes on where the question left off, unless that is no longer wanted. A signer that does not answer, refuses,
//! or signs with another key halts its own lane, for a while that doubles; everything else goes on.

use super::{Core, Note, State, Timer, Want, bids::is_bidding};
use crate::{
    build::Unsigned,
    config::Config,
    failure::FailureCode,
    fees::{Offer, next_base_fee},
    gates::{self, GAS_LIMIT_MIN},
    lanes::Owner,
    order::{Attempt, Order, Slot},
    sign::completed,
    states::{Event, State as Public},
    stored::{stored, stored_choice},
    wire::{AttemptKind, Channel},
};

/// A lane whose wallet failed stands still for a second, then for twice as long each time, 64 seconds at most.
const REST_FIRST_NS: u64 = 1_000_000_000;
const REST_DOUBLINGS_MAX: u32 = 6;

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// An order's first transaction.
    Place,
    /// The same, in another slot: a sibling took its own.
    Move,
    /// The same call for more, or in public.
    Replace,
    /// A transfer that takes the slot away.
    Cancel,
    /// A transfer that closes a hole.
    Fill,
}

impl Then {
    fn kind(self) -> AttemptKind {
        match self {
            Self::Place | Self::Move => AttemptKind::Original,
            Self::Replace => AttemptKind::SpeedUp,
            Self::Cancel => AttemptKind::Cancel,
            Self::Fill => AttemptKind::Filler,
        }
    }
}

/// A transaction that wants a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    /// Zero: a filler.
    pub(super) order_id: u64,
    pub(super) slot: Slot,
    pub(super) then: Then,
    pub(super) channel: Channel,
    pub(super) offer: Offer,
    /// Whether the slot was public before this was asked for.
    pub(super) was_public: bool,
}

/// What a signer outside says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerAnswer {
    /// It signed.
    Signed {
        /// `r` and `s`, 32 bytes each, big-endian. Which half `s` is in and which of the two keys it recovers to are found
        /// out here.
        compact: Vec<u8>,
    },
    /// It does not want to sign, or does not have the key.
    Refused {
        /// What it said.
        reason: String,
    },
    /// It was not reached, or not in time.
    Unreachable {
        /// What happened.
        reason: String,
    },
}

stored_choice! {
    Then {
        0: Place,
        1: Move,
        2: Replace,
        3: Cancel,
        4: Fill,
    }
    SignerAnswer {
        0: Signed { compact },
        1: Refused { reason },
        2: Unreachable { reason },
    }
}
stored!(Asking { order_id, slot, then, channel, offer, was_public });

impl Core {
    /// Has one more attempt signed for a slot, and goes on with it; `order_id` zero: a filler. False: the wallet did not
    /// sign, and its lane stands still. True is also said where the signature is on its way.
    pub(super) fn sign(&mut self, order_id: u64, slot: Slot, then: Then, channel: Channel, offer: Offer) -> bool {
        let was_public = self.state.lanes.entry(slot).is_some_and(|entry| entry.public);
        let asking = Asking { order_id, slot, then, channel, offer, was_public };
        let lane = self.state.lanes.lane(slot.lane);
        let (sender, proven) = (lane.sender, lane.proven);
        if lane.outside {
            self.ask(asking);
            return true;
        }
        let unsigned = unsigned(&self.state, &self.config, &asking);
        let hash = unsigned.signing_hash();
        let signature = match self.signer.sign(sender, &hash) {
            Ok(signature) => signature,
            Err(error) => {
                self.wallet_failed(&asking, "wallet_inaccessible", error.to_string());
                return false;
            }
        };
        // The signer's answer is checked once for each sender, and always where assertions are on.
        if (!proven || cfg!(debug_assertions)) && types::keys::recover(&hash, &signature) != Ok(sender) {
            self.wallet_failed(&asking, "wrong_signature", format!("the signature for {sender} is somebody else's"));
            return false;
        }
        self.signed(&asking, &signature);
        true
    }

    /// Whether a signature for this order is on its way.
    pub(super) fn is_asking(&self, order_id: u64) -> bool {
        self.state.order(order_id).is_some_and(|order| order.asked.is_some())
    }

    /// Asks the signer of a lane, unless it is asked for this order or hole already.
    fn ask(&mut self, asking: Asking) {
        let request = self.state.next_request;
        let Some(asked) = self.state.asked_mut(&asking).filter(|asked| asked.is_none()) else { return };
        *asked = Some(request);
        self.state.next_request += 1;
        if let Some(entry) = self.state.lanes.entry_mut(asking.slot) {
            // What will be signed is promised: nobody else counts on it.
            entry.public |= asking.channel == Channel::Public;
        }
        if matches!(asking.then, Then::Place | Then::Move) {
            let gas_limit = self.state.order(asking.order_id).map_or(0, |order| order.gas_limit);
            let cost = u128::from(gas_limit) * u128::from(asking.offer.max_fee);
            if let Some(entry) = self.state.lanes.entry_mut(asking.slot) {
                entry.cost = entry.cost.max(cost);
            }
        }
        self.state.askings.insert(request, asking);
        self.want_signature(request, &asking);
    }

    fn want_signature(&mut self, request: u64, asking: &Asking) {
        let sender = self.state.lanes.lane(asking.slot.lane).sender;
        let unsigned = unsigned(&self.state, &self.config, asking);
        let (payload, hash) = (unsigned.payload(), unsigned.signing_hash());
        self.want(Want::Signature { request, order_id: asking.order_id, sender, payload, hash });
    }

    /// A signer outside has answered. An answer to what nobody waits for any more says nothing.
    pub(super) fn answered(&mut self, request: u64, answer: &SignerAnswer) {
        let Some(asking) = self.state.askings.remove(&request) else { return };
        if let Some(asked) = self.state.asked_mut(&asking) {
            *asked = None;
        }
        if !self.is_wanted(&asking) {
            self.release(&asking);
            self.go_without(&asking);
            return self.pump();
        }
        let sender = self.state.lanes.lane(asking.slot.lane).sender;
        let hash = unsigned(&self.state, &self.config, &asking).signing_hash();
        let (name, why) = match answer {
            SignerAnswer::Signed { compact } => match completed(compact, &hash, (!self.believing).then_some(sender)) {
                Some(signature) => {
                    self.state.lanes.change(asking.slot.lane, |lane| lane.rests = 0);
                    self.signed(&asking, &signature);
                    return self.pump();
                }
                None => ("wrong_signature", "what the signer gave is no signature of its".to_owned()),
            },
            SignerAnswer::Refused { reason } => ("wallet_inaccessible", format!("its signer refuses: {reason}")),
            SignerAnswer::Unreachable { reason } => {
                ("wallet_inaccessible", format!("its signer is not to be reached: {reason}"))
            }
        };
        self.release(&asking);
        self.wallet_failed(&asking, name, format!("{sender}: {why}"));
        self.go_without(&asking);
        self.pump();
    }

    /// Whether what was asked for should still be sent.
    fn is_wanted(&self, asking: &Asking) -> bool {
        let Asking { order_id, slot, then, .. } = *asking;
        let Some(entry) = self.state.lanes.entry(slot) else { return false };
        if entry.consumed.is_some() || entry.foreign.is_some() {
            return false;
        }
        if then == Then::Fill {
            return matches!(entry.owner, Owner::Hole { .. } | Owner::Filler);
        }
        let Some(order) = self.order(order_id) else { return false };
        let waits = order.is_out() && order.inclusion.is_none();
        match then {
            // What it was tried on must not have become old meanwhile.
            Then::Place => {
                let head = self.state.ring.head().map_or(0, |head| head.number);
                let is_fresh = |passed: &crate::presim::Passed| gates::is_fresh(&self.config, passed.number, head);
                order.state() == Public::Validated && order.passed.as_ref().is_none_or(is_fresh)
            }
            Then::Move => is_bidding(order) && order.cancel_for.is_none(),
            Then::Replace => waits && order.cancel_for.is_none(),
            Then::Cancel | Then::Fill => waits,
        }
    }

    /// Nobody waits for this order's signature any more.
    pub(super) fn let_go(&mut self, order_id: u64) {
        let request = self.state.order_mut(order_id).and_then(|order| order.asked.take());
        if let Some(asking) = request.and_then(|request| self.state.askings.remove(&request)) {
            self.release(&asking);
        }
    }

    /// Takes back what was promised with the question.
    fn release(&mut self, asking: &Asking) {
        let Asking { order_id, slot, then, was_public, .. } = *asking;
        match then {
            Then::Place | Then::Move => self.leave_unsigned(order_id, slot),
            _ => {
                if let Some(entry) = self.state.lanes.entry_mut(slot) {
                    entry.public = was_public;
                }
            }
        }
    }

    /// An order leaves a slot that nothing of its own was signed for.
    pub(super) fn leave_unsigned(&mut self, order_id: u64, slot: Slot) {
        self.state.lanes.leave(slot, order_id, self.now.engine_ns, true);
        if let Some(order) = self.state.order_mut(order_id).filter(|order| order.slot == Some(slot)) {
            order.slot = None;
        }
    }

    /// What becomes of an order whose signature did not come. Cancels are asked for again at the next head, fillers at
    /// the next tick.
    fn go_without(&mut self, asking: &Asking) {
        let order_id = asking.order_id;
        let Some(order) = self.order(order_id) else { return };
        let (state, bids, cancelled) = (order.state(), is_bidding(order), order.cancel_for);
        match asking.then {
            Then::Place if state == Public::Validated => {
                let entry = (std::cmp::Reverse(order.expected_wei as u128), order_id);
                self.state.queue.insert(entry);
            }
            Then::Move | Then::Replace if bids => {
                let moves = asking.then == Then::Move && cancelled.is_none();
                if !moves || !self.move_now(order_id) {
                    let code = cancelled.unwrap_or(FailureCode::MEVBundleFailed);
                    self.close(order_id, Event::WindowClosed, code, code.text().to_owned());
                }
            }
            _ => {}
        }
    }

    /// An order waits for the signature of its first transaction, for a slot that is gone: it waits for another slot.
    pub(super) fn place_again(&mut self, order_id: u64) -> bool {
        let asked =
            self.order(order_id).filter(|order| order.state() == Public::Validated).and_then(|order| order.asked);
        let Some(asking) = asked.and_then(|request| self.state.askings.get(&request).copied()) else { return false };
        self.let_go(order_id);
        self.go_without(&asking);
        true
    }

    /// A process took up the work: what is still wanted is asked for again, by the same name.
    pub(super) fn ask_again(&mut self) {
        let open: Vec<_> = self.state.askings.iter().map(|(request, asking)| (*request, *asking)).collect();
        for (request, asking) in open {
            if self.state.lanes.lane(asking.slot.lane).outside && self.is_wanted(&asking) {
                self.want_signature(request, &asking);
                continue;
            }
            self.state.askings.remove(&request);
            if let Some(asked) = self.state.asked_mut(&asking) {
                *asked = None;
            }
            self.release(&asking);
            self.go_without(&asking);
        }
    }

    /// Keeps what was signed, and goes on with it.
    fn signed(&mut self, asking: &Asking, signature: &types::Signature) {
        let Asking { order_id, slot, then, channel, offer, .. } = *asking;
        let unsigned = unsigned(&self.state, &self.config, asking);
        let (gas_limit, (raw, hash)) = (unsigned.gas_limit, unsigned.seal(signature));
        self.prove(slot);
        let head = self.state.ring.head();
        let attempt = Attempt {
            hash,
            slot,
            kind: then.kind(),
            channel,
            offer,
            gas_limit,
            market: head.map_or(0, next_base_fee).saturating_add(self.state.tip),
            block: head.map_or(0, |head| head.number),
            target_block: 0,
            raw,
            open: 0,
            accepted: false,
            ambiguous: false,
            refusal: None,
        };
        self.notes.push(Note::Signed { order_id, slot, kind: attempt.kind, raw: attempt.raw.clone() });
        self.state.hashes.insert(attempt.hash, super::state::Signee { order_id, slot });
        if order_id == 0 {
            self.state.lanes.fill(slot, attempt);
        } else {
            self.state.lanes.signed(slot, &attempt, channel == Channel::Public);
            if let Some(order) = self.state.order_mut(order_id) {
                order.attempts.push(attempt);
            }
        }
        self.follow(asking);
    }

    fn prove(&mut self, slot: Slot) {
        if !self.state.lanes.lane(slot.lane).proven {
            self.state.lanes.change(slot.lane, |lane| lane.proven = true);
        }
    }

    /// Sends what was signed, and moves its order.
    fn follow(&mut self, asking: &Asking) {
        let Asking { order_id, slot, then, .. } = *asking;
        if then == Then::Fill {
            let count = self.state.lanes.entry(slot).map_or(0, |entry| entry.fillers.len());
            self.state.counters.nonce_holes_filled += u64::from(count == 1);
            return self.resend_filler(slot);
        }
        let Some(order) = self.state.order_mut(order_id) else { return };
        let event = match then {
            Then::Place | Then::Fill => Event::Signed,
            Then::Move => {
                (order.slot, order.bidding) = (Some(slot), None);
                Event::Replaced
            }
            Then::Replace => {
                // Where it was private, it is out of the builders' hands from here on.
                order.channel = Channel::Public;
                order.replacements += 1;
                order.resends = 0;
                self.state.counters.replacements += 1;
                Event::Replaced
            }
            Then::Cancel => Event::CancelSent,
        };
        self.advance(order_id, event);
        self.send(order_id);
        if event == Event::Replaced {
            self.report(order_id, None, Vec::new());
        }
    }

    /// The lane of a wallet that failed stands still; several failures at once are one.
    fn wallet_failed(&mut self, asking: &Asking, name: &'static str, why: String) {
        let Asking { order_id, slot, .. } = *asking;
        self.notes.push(Note::Unsigned { order_id, slot });
        let lane = self.state.lanes.lane(slot.lane);
        if !lane.resting {
            let rest = REST_FIRST_NS << lane.rests.min(REST_DOUBLINGS_MAX);
            let at = self.now.engine_ns.saturating_add(rest);
            self.state
                .lanes
                .change(slot.lane, |lane| (lane.resting, lane.rests) = (true, lane.rests.saturating_add(1)));
            self.wheel().set(at, Timer::Wallet { lane: slot.lane });
        } else if name == "wallet_inaccessible" {
            return;
        }
        self.alert(true, name, order_id, why);
    }

    /// A lane has rested: its wallet is tried again.
    pub(super) fn wallet_due(&mut self, lane: u32) {
        self.state.lanes.change(lane, |lane| lane.resting = false);
    }
}

/// What is to be signed: a function of the order and the offer, so that it is the same before and after a signer was
/// asked.
fn unsigned<'a>(state: &'a State, config: &Config, asking: &Asking) -> Unsigned<'a> {
    let Asking { order_id, slot, then, offer: Offer { max_fee, tip }, .. } = *asking;
    let call = |order: &'a Order| (order.contract, &order.input[..], order.gas_limit);
    let calls = matches!(then, Then::Place | Then::Move | Then::Replace);
    let transfer = || (state.lanes.lane(slot.lane).sender, &[][..], GAS_LIMIT_MIN);
    let (to, input, gas_limit) = state.order(order_id).filter(|_| calls).map_or_else(transfer, call);
    Unsigned { chain_id: config.chain_id, nonce: slot.nonce, tip, max_fee, gas_limit, to, input }
}

impl State {
    /// Where the name of the open question stands: with the order, or with the hole.
    fn asked_mut(&mut self, asking: &Asking) -> Option<&mut Option<u64>> {
        if asking.order_id == 0 {
            return self.lanes.entry_mut(asking.slot).map(|entry| &mut entry.asked);
        }
        self.order_mut(asking.order_id).map(|order| &mut order.asked)
    }

    /// A hole is an order's now: the filler that was asked for is not wanted.
    pub(super) fn reserve(&mut self, slot: Slot, order_id: u64) {
        if let Some(request) = self.lanes.entry_mut(slot).and_then(|entry| entry.asked.take()) {
            self.askings.remove(&request);
        }
        self.lanes.reserve(slot, order_id);
    }
}
