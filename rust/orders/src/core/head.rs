//! What the chain says: heads, receipts, counts of nonces, finality. The only place where orders are settled.
//!
//! Only positive evidence counts: a receipt in a block that is canonical at its height in our own ring.

use types::{Address, B256, U256};

use super::{
    Core, Note, Want,
    state::{Landing, Signee, Unlanded},
};
use crate::{
    build::abi,
    chain::{Head, Parties, RING, Receipt, Taking},
    failure::FailureCode,
    lanes::Owner,
    order::{Inclusion, Order, Slot},
    states::{Event, State as Public, Sub},
    wire::{AttemptKind, Channel, Fill, FillKind, flags},
};

/// Most transactions that are taken to have landed, or settled, in one step: less than half a millisecond. Where
/// assertions are on it is so little that tests see blocks in pieces.
const AT_ONCE: usize = if cfg!(debug_assertions) { 2 } else { 64 };

impl Core {
    pub(super) fn take_head(&mut self, head: Head) {
        let turn = self.state.ring.insert(head);
        if let Some(hash) = turn.wanted {
            self.want(Want::Header { hash });
        }
        if !turn.left.is_empty() {
            self.state.counters.reorgs += 1;
        }
        for (number, hash) in turn.left {
            self.unland_block(number, hash);
        }
        if turn.gap {
            self.look_up_all();
        }
        if turn.joined.is_empty() {
            return;
        }
        for (number, hash) in turn.joined {
            match self.state.receipts.get(&hash).cloned() {
                Some(receipts) => self.land_block(number, hash, receipts),
                None => self.want(Want::Receipts { number, hash }),
            }
        }
        self.go_on();
        self.try_again();
        let head = self.state.ring.head().map_or(0, |head| head.number);
        // A chain without finality is final where the ring ends.
        self.finalize(head.saturating_sub(RING));
        self.forget_receipts(head);
    }

    fn forget_receipts(&mut self, head: u64) {
        if self.state.receipts.len() > 2 * RING as usize {
            let ring = &self.state.ring;
            let near = |hash: &B256| (head.saturating_sub(RING)..=head).any(|number| ring.is_canonical(number, hash));
            self.state.receipts.retain(|hash, _| near(hash));
        }
    }

    pub(super) fn take_receipts(&mut self, block: B256, receipts: &[Receipt]) {
        if self.state.receipts.contains_key(&block) {
            return;
        }
        let ours: Vec<_> =
            receipts.iter().filter(|receipt| self.state.hashes.contains_key(&receipt.tx_hash)).cloned().collect();
        self.state.receipts.insert(block, ours.clone());
        let number = self.state.ring.number_of(&block);
        if let Some(number) = number.filter(|number| self.state.ring.is_canonical(*number, &block)) {
            self.land_block(number, block, ours);
            self.go_on();
        }
    }

    /// Goes on with what the blocks hold, a few orders at a time: those who wait for a signal to be taken must not wait
    /// until a whole block is settled.
    pub(super) fn go_on(&mut self) {
        self.state.has_more = false;
        for _ in 0..AT_ONCE {
            let Some(Unlanded { number, block, receipt }) = self.state.unlanded.pop_front() else { break };
            if let Some(signee) = self.state.hashes.get(&receipt.tx_hash).copied() {
                self.land(number, block, signee, &receipt);
            }
        }
        if !self.state.unlanded.is_empty() {
            self.state.has_more = true;
            return;
        }
        self.settle_deep();
        if self.state.has_more {
            return;
        }
        // What walks over all orders or slots does so once for a block, not for each piece of it.
        self.displace_foreign();
        self.close_windows();
        // Else once its receipts are known: what stands in a block needs no replacement.
        if self.is_matched_through(self.state.ring.head().map_or(0, |head| head.number)) {
            self.look_after();
        }
    }

    /// Whether the receipts of all canonical blocks up to here are known.
    pub(super) fn is_matched_through(&self, number: u64) -> bool {
        self.state.unlanded.is_empty() && !self.state.unread().any(|(unread, _)| unread <= number)
    }

    fn land_block(&mut self, number: u64, block: B256, receipts: Vec<Receipt>) {
        self.state.unlanded.extend(receipts.into_iter().map(|receipt| Unlanded { number, block, receipt }));
    }

    pub(super) fn land(&mut self, number: u64, block: B256, signee: Signee, receipt: &Receipt) {
        let Signee { order_id, slot } = signee;
        if self.state.landed.insert((number, receipt.tx_hash), Landing { block, signee }).is_some() {
            return;
        }
        self.state.shallow.insert((number, receipt.tx_hash));
        if let Some(entry) = self.state.lanes.entry_mut(slot) {
            entry.consumed = Some((number, block));
            entry.foreign = None;
        }
        self.state.counters.total_gas_wei += u128::from(receipt.gas_used) * u128::from(receipt.gas_price);
        let Some(order) = self.state.order_mut(order_id) else { return };
        let Some(attempt) = order.attempts.iter().position(|attempt| attempt.hash == receipt.tx_hash) else { return };
        order.inclusion =
            Some(Inclusion { block: number, block_hash: block, attempt: attempt as u32, success: receipt.success });
        let was_revoked = order.flags & flags::REVOKED != 0;
        order.flags &= !flags::REVOKED;
        let (kind, state) = (order.attempts[attempt].kind, order.state());
        let (fill, taking) = self.fill(order_id, number, block, kind, receipt);
        let fill = match state {
            Public::Completed => Fill { kind: FillKind::Reinstatement, ..fill },
            Public::Failed if !was_revoked => Fill { kind: FillKind::Late, ..fill },
            Public::Failed => Fill { kind: FillKind::Reinstatement, ..fill },
            _ => fill,
        };
        if let Some((said, moved)) = taking.disagreement {
            self.alert(true, "profit_disagrees", order_id, format!("the event says {said}, transfers say {moved}"));
        }
        self.compare(order_id, number, kind, receipt, taking.realized);
        self.book(order_id, fill);
        self.advance(order_id, Event::Included);
        self.report(order_id, Some(fill), taking.legs);
        if !receipt.success && kind != AttemptKind::Cancel {
            self.want(Want::Reason { order_id, hash: receipt.tx_hash });
        }
    }

    /// What a receipt does to an order's ledger.
    fn fill(
        &self,
        order_id: u64,
        block: u64,
        block_hash: B256,
        kind: AttemptKind,
        receipt: &Receipt,
    ) -> (Fill, Taking) {
        let order = self.order(order_id);
        let counts = receipt.success && matches!(kind, AttemptKind::Original | AttemptKind::SpeedUp);
        let taking =
            order.filter(|_| counts).map_or_else(Taking::default, |order| receipt.taking(&self.parties(order)));
        let payment =
            order.filter(|_| counts).and_then(|order| order.passed.as_ref()).map_or(0, |passed| passed.payment);
        let gas = i128::from(receipt.gas_used) * i128::from(receipt.gas_price);
        let spent = gas.saturating_add(i128::try_from(payment).unwrap_or(i128::MAX));
        let value = order.map_or(0, |order| self.value(order, taking.realized));
        let depth = self.state.ring.head().map_or(0, |head| head.number.saturating_sub(block));
        let fill = Fill {
            kind: FillKind::Fill,
            success: receipt.success,
            legs: taking.legs.len() as u16,
            tx_index: receipt.tx_index,
            block,
            block_hash,
            tx_hash: receipt.tx_hash,
            profit_token: order.map_or(Address::ZERO, |order| order.profit_token),
            depth: depth as u32,
            realized: taking.realized,
            realized_wei: value.saturating_sub(spent),
            builder_payment_wei: payment,
            gas_used: receipt.gas_used,
            gas_price: receipt.gas_price,
        };
        (fill, taking)
    }

    /// Whose logs tell what an order made.
    pub(super) fn parties<'a>(&self, order: &'a Order) -> Parties<'a> {
        Parties {
            contract: order.contract,
            reference: abi::reference(&self.config.engine_id, order.id),
            recipient: self.config.recipient,
            profit_token: order.profit_token,
            pools: &order.pools,
            tokens: &order.tokens,
        }
    }

    /// A profit in wei: by the configured price of its token, else by what the signal said it is worth.
    fn value(&self, order: &Order, realized: i128) -> i128 {
        let configured = self.config.prices.iter().find(|(token, _)| *token == order.profit_token);
        let (numerator, denominator) = match configured {
            Some((_, price)) => (*price, 10u128.pow(18)),
            None => (order.expected_wei.max(0) as u128, order.expected_profit.max(1) as u128),
        };
        let value = U256::from(realized.unsigned_abs()) * U256::from(numerator) / U256::from(denominator);
        let value = i128::try_from(value).unwrap_or(i128::MAX);
        if realized < 0 { -value } else { value }
    }

    fn book(&mut self, order_id: u64, fill: Fill) {
        self.notes.push(Note::Filled { order_id, fill });
        let reversal = fill.kind == FillKind::Reversal;
        let change = if reversal { -fill.realized_wei } else { fill.realized_wei };
        self.state.counters.total_realized_wei += change;
        let gas = if reversal { 0 } else { fill.gas_used };
        self.state.spend(gas, if change < 0 { change.unsigned_abs() } else { 0 });
        let Some(order) = self.state.order_mut(order_id) else { return };
        order.ledger += change;
        if reversal {
            order.fills.retain(|kept| kept.tx_hash != fill.tx_hash);
        } else {
            order.fills.push(fill);
        }
    }

    /// A block left the canonical chain, and takes back what it did.
    fn unland_block(&mut self, number: u64, block: B256) {
        self.state.unlanded.retain(|one| one.block != block);
        let range = (number, B256::ZERO)..=(number, B256::repeat_byte(0xff));
        let gone: Vec<_> = self
            .state
            .landed
            .range(range)
            .filter(|(_, landing)| landing.block == block)
            .map(|(at, one)| (*at, *one))
            .collect();
        for (at, landing) in gone {
            self.unland_one(at, landing);
        }
        let foreign: Vec<_> = self.slots(|_, entry| entry.foreign == Some((number, block)));
        for slot in foreign {
            if let Some(entry) = self.state.lanes.entry_mut(slot) {
                entry.foreign = None;
            }
        }
    }

    /// One of our transactions is not where it was.
    pub(super) fn unland_one(&mut self, at: (u64, B256), landing: Landing) {
        self.state.landed.remove(&at);
        self.state.shallow.remove(&at);
        let Signee { order_id, slot } = landing.signee;
        if let Some(entry) = self.state.lanes.entry_mut(slot) {
            entry.consumed = None;
        }
        if order_id == 0 {
            self.resend_filler(slot);
        } else {
            self.unland(order_id, at.1);
        }
    }

    /// The slots that are not settled and of which something holds.
    pub(super) fn slots(&self, wanted: impl Fn(Slot, &crate::lanes::Entry) -> bool) -> Vec<Slot> {
        let all =
            self.state.lanes.iter().flat_map(|(lane, one)| {
                one.slots.iter().map(move |(nonce, entry)| (Slot { lane, nonce: *nonce }, entry))
            });
        all.filter(|(slot, entry)| wanted(*slot, entry)).map(|(slot, _)| slot).collect()
    }

    fn unland(&mut self, order_id: u64, hash: B256) {
        let Some(order) = self.state.order_mut(order_id) else { return };
        order.inclusion = None;
        let terminal = order.state().is_terminal();
        if terminal {
            order.flags |= flags::REVOKED;
        }
        let fill = order.fills.iter().find(|fill| fill.tx_hash == hash).copied();
        let again: Vec<_> = order
            .attempts
            .iter()
            .filter(|attempt| attempt.channel == Channel::Public && !attempt.raw.is_empty())
            .map(|attempt| (attempt.hash, attempt.raw.clone()))
            .collect();
        if let Some(fill) = fill {
            let reversal = Fill { kind: FillKind::Reversal, depth: 0, ..fill };
            self.book(order_id, reversal);
            self.advance(order_id, Event::Orphaned);
            self.report(order_id, Some(reversal), Vec::new());
            if terminal {
                self.alert(
                    true,
                    "fill_reversed",
                    order_id,
                    format!("the block of order {order_id} is no longer canonical"),
                );
            }
        }
        for (hash, raw) in again {
            self.send_public(order_id, hash, &raw);
        }
        if !terminal {
            self.resend_later(order_id);
        }
    }

    /// Settles what is as deep as asked, as much as goes at once.
    pub(super) fn settle_deep(&mut self) {
        let Some(head) = self.state.ring.head().map(|head| head.number) else { return };
        let Some(floor) = head.checked_sub(self.config.confirmation_blocks) else { return };
        let deep = self.state.shallow.iter().take_while(|(number, _)| *number <= floor).copied();
        let is_known = |at: &(u64, B256)| {
            let landing = self.state.landed.get(at);
            !landing.is_some_and(|landing| self.state.lookups.contains(&landing.signee.slot))
        };
        let mut deep: Vec<_> = deep.filter(is_known).take(AT_ONCE + 1).collect();
        self.state.has_more = deep.len() > AT_ONCE;
        deep.truncate(AT_ONCE);
        for at in deep {
            let landing = self.state.landed.get(&at).copied();
            self.state.shallow.remove(&at);
            if let Some(landing) = landing {
                self.settle(landing.signee, at.1);
            }
        }
        self.pump();
    }

    /// Slots that another writer's transactions have taken, as deep as asked.
    fn displace_foreign(&mut self) {
        let Some(head) = self.state.ring.head().map(|head| head.number) else { return };
        let Some(floor) = head.checked_sub(self.config.confirmation_blocks) else { return };
        for slot in self.slots(|_, entry| entry.foreign.is_some_and(|(number, _)| number <= floor)) {
            let text = "a transaction that nobody here signed used the nonce";
            self.displace_all(slot, 0, |_| FailureCode::NonceConflict, text);
        }
        self.pump();
    }

    fn settle(&mut self, signee: Signee, hash: B256) {
        let Signee { order_id, slot } = signee;
        let live = self.order(order_id).filter(|order| order.is_out());
        let how = live.and_then(|order| {
            let inclusion = order.inclusion?;
            let attempt = order.attempts.get(inclusion.attempt as usize).filter(|attempt| attempt.hash == hash)?;
            Some((attempt.kind, inclusion.success, order.cancel_for))
        });
        if let Some((kind, success, cancel_for)) = how {
            let (event, code) = match (kind, success) {
                (AttemptKind::Cancel, _) => (Event::Settled, Some(cancel_for.unwrap_or(FailureCode::Cancelled))),
                (_, true) => (Event::Succeeded, None),
                (_, false) => (Event::Settled, Some(FailureCode::TransactionReverted)),
            };
            if let Some(order) = self.state.order_mut(order_id) {
                order.failure = code;
                if let Some(code) = code.filter(|_| order.reason.is_empty()) {
                    order.reason = code.text().to_owned();
                }
            }
            self.advance(order_id, event);
        }
        let sibling = |channel| match channel {
            Channel::Private => FailureCode::MEVBundleFailed,
            _ => FailureCode::TransactionDropped,
        };
        self.displace_all(slot, order_id, sibling, "another transaction of the same slot was settled");
        if how.is_some() {
            self.finish(order_id);
        }
    }

    /// A slot is settled: all orders that still wait for it, but one, have lost it.
    fn displace_all(&mut self, slot: Slot, but: u64, code: impl Fn(Channel) -> FailureCode, text: &str) {
        let Some(entry) = self.state.lanes.settle(slot) else { return };
        let Owner::Orders { ids } = entry.owner else { return };
        for order_id in ids.into_iter().filter(|order_id| *order_id != but) {
            // One that was to be signed for it is none the worse: it is placed again.
            if self.place_again(order_id) || self.move_on(order_id) {
                continue;
            }
            let channel = self.order(order_id).and_then(Order::attempt).map(|attempt| attempt.channel);
            self.close(order_id, Event::Displaced, code(channel.unwrap_or(Channel::Public)), text.to_owned());
        }
    }

    /// What the chain counts for a sender. It confirms our own count, or shows another writer.
    pub(super) fn account(&mut self, sender: &Address, nonce: u64, balance: U256, number: u64, block: B256) {
        let Some(index) = self.state.lanes.find(sender) else { return };
        let known = self.state.lanes.lane(index).confirmed;
        if known.is_some() && !self.state.ring.is_canonical(number, &block) {
            return;
        }
        self.state.lanes.change(index, |lane| {
            lane.balance = balance;
            lane.paused = false;
            lane.confirmed = Some(nonce);
            if known.is_none() && lane.slots.is_empty() {
                lane.next = nonce;
            }
        });
        self.counted(index);
        let lane = self.state.lanes.lane(index);
        // What was not read yet may hold our own transactions.
        if !self.is_matched_through(number) {
            return self.pump();
        }
        let unexplained: Vec<_> = lane
            .slots
            .range(..nonce)
            .filter(|(_, entry)| entry.consumed.is_none() && entry.foreign.is_none())
            .map(|(nonce, _)| Slot { lane: index, nonce: *nonce })
            .filter(|slot| !self.state.lookups.contains(slot))
            .collect();
        if (nonce > lane.next || !unexplained.is_empty()) && !lane.frozen {
            let text = format!("{sender} has sent {nonce} transactions, we know of {}", lane.next);
            self.state.lanes.change(index, |lane| lane.frozen = true);
            self.alert(true, "nonce_conflict", 0, text);
        }
        for slot in unexplained {
            if let Some(entry) = self.state.lanes.entry_mut(slot) {
                entry.foreign = Some((number, block));
            }
        }
        self.pump();
    }

    /// A person has looked: the lane goes on where the chain is.
    pub(super) fn thaw(&mut self, sender: &Address) {
        if let Some(index) = self.state.lanes.find(sender) {
            self.state.lanes.change(index, |lane| {
                lane.frozen = false;
                lane.next = lane.next.max(lane.confirmed.unwrap_or(0));
            });
            self.pump();
        }
    }

    /// The chain won't go back behind this block: what it holds can't change any more.
    pub(super) fn finalize(&mut self, number: u64) {
        let number = self.state.finalized.max(number);
        self.state.finalized = number;
        let settled = |at: &(u64, B256)| !self.state.shallow.contains(at);
        let last = (number, B256::repeat_byte(0xff));
        let done: Vec<_> =
            self.state.landed.range(..=last).map(|(at, one)| (*at, *one)).filter(|(at, _)| settled(at)).collect();
        for (at, landing) in done {
            if self.state.lookups.contains(&landing.signee.slot) {
                continue;
            }
            self.state.landed.remove(&at);
            let order_id = landing.signee.order_id;
            if order_id == 0 {
                self.state.hashes.remove(&at.1);
            }
            if self.order(order_id).is_some_and(|order| order.sub == Sub::Confirmed) {
                self.advance(order_id, Event::Made);
            }
            self.forget(order_id);
        }
    }
}

impl super::State {
    /// Canonical blocks whose receipts are not known.
    pub(super) fn unread(&self) -> impl Iterator<Item = (u64, B256)> {
        self.ring.blocks().filter(|(_, hash)| !self.receipts.contains_key(hash))
    }

    /// Adds to what was spent in this hour, by the minute.
    fn spend(&mut self, gas: u64, loss: u128) {
        const MINUTE_NS: u64 = 60_000_000_000;
        let minute = self.engine_ns - self.engine_ns % MINUTE_NS;
        match self.spent.back_mut() {
            Some((at, (all_gas, all_loss))) if *at == minute => {
                *all_gas += gas;
                *all_loss += loss;
            }
            _ => self.spent.push_back((minute, (gas, loss))),
        }
        while self.spent.len() > 61 {
            self.spent.pop_front();
        }
    }
}
