//! From a frame to an order with a slot, or to its refusal.

use std::{cmp::Reverse, collections::BTreeSet};

use types::U256;

use super::{Clocks, Core, State, Summary, Timer, simulate::Purpose};
use crate::{
    build::abi,
    config::{Conflict, Presim},
    failure::FailureCode,
    fees::Offer,
    gates::{self, Refusal, Situation, Terms},
    order::{Order, Step},
    states::{Event, Sub},
    window::{End, Key, Known},
    wire::{Channel, Frame, Header, Identity, Message, Signal},
};

/// Most sources whose sequences are followed.
const SOURCES_MAX: usize = 4096;

/// An hour, for limits.
const HOUR_NS: u64 = 3_600_000_000_000;

impl Core {
    /// Whether signals are taken: a consumer that does not keep up with the results pauses the intake.
    pub fn intake_is_open(&self) -> bool {
        self.state.outbox.len() < self.config.max_results as usize
    }

    pub(super) fn take_frame(&mut self, bytes: &[u8]) {
        let Ok(frame) = Frame::decode(bytes) else { return };
        let Ok(message) = Message::decode(&frame) else { return };
        let header = frame.header;
        if !self.follows(&header) {
            return self.acknowledge(&header, None);
        }
        match message {
            Message::Signal(signal) => self.take_signal(&header, &signal),
            Message::Cancel(identity) => self.take_cancel(&header, &identity),
            _ => self.acknowledge(&header, None),
        }
    }

    /// Whether a frame is newer than all of its source's. A source counts from one.
    fn follows(&mut self, header: &Header) -> bool {
        let sources = &mut self.state.sources;
        if !sources.contains_key(&header.source_id) && sources.len() >= SOURCES_MAX {
            return false;
        }
        let last = sources.entry(header.source_id).or_insert(0);
        if header.sequence <= *last {
            return false;
        }
        self.state.counters.sequence_gaps += u64::from(*last != 0 && header.sequence != *last + 1);
        *last = header.sequence;
        true
    }

    fn take_cancel(&mut self, header: &Header, identity: &Identity) {
        match self.state.window.get(&key(header, identity)) {
            Some(Known { order_id, .. }) => {
                self.cancel(order_id, FailureCode::Cancelled);
                self.acknowledge(header, self.known_status(&key(header, identity)));
            }
            None => self.refuse_frame(header, FailureCode::InvalidParameters, "no such signal in the window"),
        }
    }

    fn take_signal(&mut self, header: &Header, signal: &Signal<'_>) {
        self.state.counters.signals_received += 1;
        let key = key(header, &signal.identity);
        self.state.window.expire(self.now.engine_ns);
        if self.state.window.get(&key).is_some() {
            self.state.counters.duplicates += 1;
            return self.acknowledge(header, self.known_status(&key));
        }
        let order_id = self.state.next_order;
        self.state.next_order += 1;
        self.state.counters.orders_created += 1;
        let remembered = self.state.window.len() < self.config.max_keys as usize;
        if remembered {
            let until = self.now.engine_ns.saturating_add(self.config.window_ns());
            self.state.window.insert(key, order_id, until);
        }
        let mut order = order_of(order_id, key, signal, self.now);
        let slippage = signal.economics.slippage_bps;
        order.min_profit = min_profit(order.expected_profit, slippage, self.config.slippage_bps);
        let judged = if remembered { self.judge(signal, order_id) } else { Err(self.crowded()) };
        match judged {
            Err(refusal) => self.refuse_unplaced(header, order, &refusal),
            Ok((terms, input)) => self.accept(header, order, terms, input),
        }
    }

    fn crowded(&self) -> Refusal {
        Refusal::CapacityExceeded { active: self.state.active() as u64, max: self.config.max_concurrent_orders.into() }
    }

    /// Asks the gates, and makes the call.
    fn judge(&self, signal: &Signal<'_>, order_id: u64) -> Result<(Terms, Vec<u8>), Refusal> {
        let config = &self.config;
        let since = self.now.engine_ns.saturating_sub(HOUR_NS);
        let recent = self.state.spent.iter().filter(|(at, _)| *at > since);
        let (gas, loss) = recent.fold((0u64, 0u128), |(gas, loss), (_, (more, lost))| (gas + more, loss + lost));
        let head = self.state.ring.head();
        let situation = Situation {
            config,
            head,
            tip: self.state.tip,
            wall_ns: self.now.wall_ns,
            halted: self.state.halted,
            cut_off: self.state.is_cut_off(),
            active: self.state.active() as u64,
            has_room: !self.state.orders.is_full() || self.weakest(&signal.economics.expected_profit_wei).is_some(),
            funds: self.state.lanes.funds(),
            gas_last_hour: gas,
            loss_last_hour: loss,
            allows: &|address| config.allowed.is_empty() || config.allowed.contains(address),
        };
        let terms = gates::pass(&situation, signal)?;
        let economics = &signal.economics;
        let call = abi::Terms {
            reference: abi::reference(&config.engine_id, order_id),
            min_profit: U256::from(min_profit(economics.expected_profit, economics.slippage_bps, config.slippage_bps)),
            recipient: config.recipient,
            deadline: self.now.wall_ns.saturating_add(config.confirmation_deadline_ns) / 1_000_000_000,
            max_block: economics.valid_until_block.unwrap_or(u64::MAX),
        };
        Ok((terms, abi::call(signal, &call)?))
    }

    /// The least profitable order that waits, where a newcomer beats it.
    fn weakest(&self, newcomer_wei: &i128) -> Option<u64> {
        let (Reverse(profit), order_id) = self.state.queue.last()?;
        (*profit < u128::try_from(*newcomer_wei).unwrap_or(0)).then_some(*order_id)
    }

    fn refuse_unplaced(&mut self, header: &Header, mut order: Order, refusal: &Refusal) {
        order.failure = Some(refusal.code());
        order.reason = refusal.to_string();
        let Clocks { engine_ns, wall_ns } = self.now;
        let (order_id, from) = (order.id, order.sub);
        if order.apply(Event::Refused, wall_ns, engine_ns).is_ok() {
            self.notes.push(super::Note::Transition { order_id, from, to: order.sub });
            self.state.counters.moved(order.state());
        }
        self.state.counters.failed(refusal.code());
        order.reports = 1;
        self.report_refused(&order);
        self.acknowledge(header, Some(self.status(&order)));
        self.state.summarize(&order);
        self.state.trim(self.config.retention_ns, self.config.retention_max);
    }

    fn accept(&mut self, header: &Header, mut order: Order, terms: Terms, input: Vec<u8>) {
        if self.state.orders.is_full()
            && let Some(weakest) = self.weakest(&order.expected_wei)
        {
            let refusal = self.crowded();
            self.close(weakest, Event::Refused, refusal.code(), refusal.to_string());
        }
        let order_id = order.id;
        (order.gas_limit, order.offer, order.fee_bound, order.input) =
            (terms.gas_limit, terms.offer, terms.fee_bound, input);
        if order.contract.is_zero() {
            order.contract = self.config.contract;
        }
        if order.channel == Channel::Default {
            order.channel = self.config.channel;
        }
        if !self.has_relay() {
            order.channel = Channel::Public;
        }
        for pool in &order.pools {
            self.state.pools.entry(*pool).or_default().insert(order_id);
        }
        self.state.orders.insert(order);
        self.advance(order_id, Event::Passed);
        let submission = self.now.engine_ns.saturating_add(self.config.submission_deadline_ns);
        let confirmation = self.now.engine_ns.saturating_add(self.config.confirmation_deadline_ns);
        self.wheel().set(submission, Timer::Submission { order_id });
        self.wheel().set(confirmation, Timer::Confirmation { order_id });
        let untried = self.is_untried(order_id);
        if untried {
            self.simulate(order_id, Purpose::Place);
        }
        if untried || self.must_wait(order_id) || !self.place(order_id) {
            self.enqueue(order_id);
        }
        self.acknowledge(header, self.order(order_id).map(|order| self.status(order)));
    }

    pub(super) fn has_relay(&self) -> bool {
        self.config.endpoints.iter().any(|endpoint| endpoint.relay != crate::config::Relay::None)
    }

    /// Whether an order shares a pool with one that is signed and not settled, and nothing says that both can pay.
    fn must_wait(&self, order_id: u64) -> bool {
        let waits = match self.config.conflict {
            Conflict::Ignore => false,
            Conflict::Serialize => true,
            // Without a simulator nobody can say; the first one goes first.
            Conflict::Simulate => self.config.presim == Presim::Off,
        };
        waits && self.sharing(order_id).next().is_some()
    }

    /// Live orders with a slot that share a pool with this one, by name.
    pub(super) fn rivals(&self, order_id: u64) -> BTreeSet<u64> {
        self.sharing(order_id).collect()
    }

    /// The same, once for each pool that is shared.
    fn sharing(&self, order_id: u64) -> impl Iterator<Item = u64> {
        let pools = self.order(order_id).map_or(&[][..], |order| &order.pools);
        let users = pools.iter().filter_map(|pool| self.state.pools.get(pool)).flatten().copied();
        let has_slot = |other: &u64| self.state.orders.get(*other).is_some_and(|order| order.slot.is_some());
        users.filter(move |other| *other != order_id).filter(has_slot)
    }

    fn enqueue(&mut self, order_id: u64) {
        if self.advance(order_id, Event::Queued)
            && let Some(order) = self.order(order_id)
        {
            let entry = (Reverse(order.expected_wei as u128), order_id);
            self.state.queue.insert(entry);
        }
    }

    /// Gives slots to those that wait, the most profitable first, until there is none left.
    pub(super) fn pump(&mut self) {
        if self.state.is_cut_off() {
            return;
        }
        let waiting: Vec<_> = self.state.queue.iter().map(|(_, order_id)| *order_id).collect();
        for order_id in waiting {
            if self.state.simulating.contains_key(&order_id) || self.must_wait(order_id) {
                continue;
            }
            if self.is_untried(order_id) {
                self.simulate(order_id, Purpose::Place);
                continue;
            }
            if !self.place(order_id) {
                break;
            }
        }
    }
}

fn key(header: &Header, identity: &Identity) -> Key {
    Key { source_id: header.source_id, strategy_id: identity.strategy_id, signal_id: identity.signal_id }
}

/// What the contract is asked for at least.
fn min_profit(expected: i128, slippage: Option<u16>, default: u16) -> u128 {
    let kept = 10_000 - u128::from(slippage.unwrap_or(default));
    expected.max(0) as u128 / 10_000 * kept + expected.max(0) as u128 % 10_000 * kept / 10_000
}

fn order_of(id: u64, key: Key, signal: &Signal<'_>, now: Clocks) -> Order {
    let (identity, economics, addresses) = (&signal.identity, &signal.economics, &signal.addresses);
    Order {
        id,
        key,
        sub: Sub::Received,
        failure: None,
        reason: String::new(),
        revert: Vec::new(),
        flags: 0,
        reports: 0,
        action: identity.action,
        channel: identity.channel,
        created_ns: identity.created_unix_ns,
        received_wall_ns: now.wall_ns,
        received_ns: now.engine_ns,
        expected_profit: economics.expected_profit,
        expected_wei: economics.expected_profit_wei,
        min_profit: 0,
        capital: economics.required_capital,
        gas_estimate: economics.gas_estimate,
        gas_limit: 0,
        fee_bound: 0,
        offer: Offer { max_fee: 0, tip: 0 },
        state_block: economics.state_block,
        valid_until_block: economics.valid_until_block.unwrap_or(0),
        contract: addresses.contract().unwrap_or_default(),
        profit_token: addresses.profit_token(),
        pools: addresses.pools().collect(),
        tokens: addresses.tokens().collect(),
        input: Vec::new(),
        slot: None,
        asked: None,
        attempts: Vec::new(),
        replacements: 0,
        is_held: false,
        resends: 0,
        inclusion: None,
        bidding: None,
        passed: None,
        fills: Vec::new(),
        ledger: 0,
        history: vec![Step { from: Sub::Received, to: Sub::Received, wall_ns: now.wall_ns, engine_ns: now.engine_ns }],
        cancel_for: None,
        trace: signal.trace,
    }
}

impl State {
    /// Keeps a line of an order that is over.
    pub(super) fn summarize(&mut self, order: &Order) {
        let Order { key, sub, failure, flags, reports, .. } = *order;
        self.window.end(&key, End { sub, failure, flags, reports });
        self.summaries.push_back(Summary {
            order_id: order.id,
            key: order.key,
            sub: order.sub,
            failure: order.failure,
            flags: order.flags,
            reports: order.reports,
            ledger: order.ledger,
            at_ns: self.engine_ns,
        });
    }

    /// Forgets the oldest lines.
    pub(super) fn trim(&mut self, retention_ns: u64, max: u32) {
        let old = self.engine_ns.saturating_sub(retention_ns);
        while self.summaries.len() > max as usize || self.summaries.front().is_some_and(|first| first.at_ns < old) {
            self.summaries.pop_front();
        }
    }
}
