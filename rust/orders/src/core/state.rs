//! All that the core remembers.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
};

use types::{Address, B256};

use super::{Clocks, Now, Timer, signing::Asking, simulate::Trying};
use crate::{
    arena::{Arena, Place},
    chain::{Receipt, Ring},
    config::Config,
    failure::FailureCode,
    lanes::Lanes,
    order::{Order, Slot},
    outbox::Outbox,
    states::{State as Public, Sub},
    stored::{Malformed, Source, Stored, stored},
    timer::Wheel,
    window::{Key, Window},
};

/// Live orders in their places, and by name.
#[derive(Debug)]
pub(super) struct Orders {
    arena: Arena<Order>,
    // Ordered, so that every walk over it is the same in a replay.
    places: BTreeMap<u64, Place>,
}

impl Orders {
    fn new(capacity: u32) -> Self {
        Self { arena: Arena::new(capacity), places: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.arena.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.arena.is_full()
    }

    pub(super) fn get(&self, order_id: u64) -> Option<&Order> {
        self.arena.get(*self.places.get(&order_id)?)
    }

    pub(super) fn get_mut(&mut self, order_id: u64) -> Option<&mut Order> {
        self.arena.get_mut(*self.places.get(&order_id)?)
    }

    pub(super) fn insert(&mut self, order: Order) {
        let id = order.id;
        let place = self.arena.acquire(order);
        assert!(place.is_ok(), "the gate of capacity saw a free place");
        self.places.extend(place.ok().map(|place| (id, place)));
    }

    pub(super) fn remove(&mut self, order_id: u64) -> Option<Order> {
        self.arena.release(self.places.remove(&order_id)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Order> {
        self.places.values().filter_map(|place| self.arena.get(*place))
    }
}

/// Whose a signed hash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signee {
    /// Zero: a filler.
    pub(super) order_id: u64,
    pub(super) slot: Slot,
}

/// A transaction of ours in a canonical block that was not looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unlanded {
    pub(super) number: u64,
    pub(super) block: B256,
    pub(super) receipt: Receipt,
}

/// One of our transactions in a canonical block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Landing {
    pub(super) block: B256,
    pub(super) signee: Signee,
}

/// A request without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) order_id: u64,
    pub(super) slot: Slot,
    pub(super) hash: B256,
    pub(super) endpoint: u16,
}

/// What is kept of an order that nothing can change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub order_id: u64,
    /// What made its signal the only one.
    pub key: Key,
    /// How it ended.
    pub sub: Sub,
    /// Why it failed.
    pub failure: Option<FailureCode>,
    /// Flags of its status.
    pub flags: u8,
    /// How many reports were made of it.
    pub reports: u32,
    /// What it made, in wei.
    pub ledger: i128,
    /// When it was put here, by the engine's clock.
    pub at_ns: u64,
}

/// What is counted since the journal began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a counter of the same name in the metrics")]
pub struct Counters {
    pub signals_received: u64,
    pub orders_created: u64,
    pub orders_submitted: u64,
    pub orders_completed: u64,
    pub orders_failed: u64,
    pub failures: BTreeMap<u16, u64>,
    pub duplicates: u64,
    pub sequence_gaps: u64,
    pub replacements: u64,
    pub cancels: u64,
    pub reorgs: u64,
    pub nonce_holes_filled: u64,
    pub submission_failures: u64,
    pub simulations: u64,
    pub sim_drift: u64,
    pub total_gas_wei: u128,
    pub total_realized_wei: i128,
}

impl Counters {
    pub(super) fn failed(&mut self, code: FailureCode) {
        *self.failures.entry(code as u16).or_insert(0) += 1;
    }

    pub(super) fn moved(&mut self, to: Public) {
        match to {
            Public::Submitted => self.orders_submitted += 1,
            Public::Completed => self.orders_completed += 1,
            Public::Failed => self.orders_failed += 1,
            _ => {}
        }
    }
}

/// All that is remembered. What is a map is only looked up in; what is walked is ordered.
#[derive(Debug)]
pub struct State {
    pub(super) engine_ns: u64,
    pub(super) wall_ns: u64,
    /// What makes engine time of a process's monotonic clock.
    shift: i128,
    pub(super) next_order: u64,
    pub(super) next_request: u64,
    pub(super) window: Window,
    pub(super) sources: HashMap<u32, u64>,
    pub(super) orders: Orders,
    /// Ended orders whose blocks are not final.
    pub(super) watched: BTreeMap<u64, Order>,
    pub(super) summaries: VecDeque<Summary>,
    pub(super) lanes: Lanes,
    pub(super) hashes: HashMap<B256, Signee>,
    pub(super) requests: BTreeMap<u64, Request>,
    /// What signers outside are asked for, by name.
    pub(super) askings: BTreeMap<u64, Asking>,
    /// Validated orders without a slot, the most profitable first.
    pub(super) queue: BTreeSet<(Reverse<u128>, u64)>,
    /// What is being simulated.
    pub(super) simulating: BTreeMap<u64, Trying>,
    /// The live orders that use a pool.
    pub(super) pools: HashMap<Address, BTreeSet<u64>>,
    pub(super) ring: Ring,
    /// Blocks whose receipts are known: ours of them.
    pub(super) receipts: HashMap<B256, Vec<Receipt>>,
    pub(super) landed: BTreeMap<(u64, B256), Landing>,
    /// What canonical blocks hold of ours and was not looked at yet.
    pub(super) unlanded: VecDeque<Unlanded>,
    /// Whether there is something to go on with.
    pub(super) has_more: bool,
    /// Those of the landed that are not as deep as asked.
    pub(super) shallow: BTreeSet<(u64, B256)>,
    /// Slots of which nobody knows, after a long absence, what became of them.
    pub(super) lookups: BTreeSet<Slot>,
    pub(super) finalized: u64,
    pub(super) tip: u64,
    pub(super) wheel: Wheel<Timer>,
    pub(super) outbox: Outbox,
    pub(super) up: Vec<bool>,
    /// Lanes that were not counted since there was no node left; None: there always was one, or all is known again.
    pub(super) recount: Option<BTreeSet<u32>>,
    pub(super) halted: bool,
    pub(super) failures_in_row: u32,
    /// When, gas paid for, loss.
    pub(super) spent: VecDeque<(u64, (u64, u128))>,
    pub(super) counters: Counters,
}

stored! {
    Signee { order_id, slot }
    Landing { block, signee }
    Unlanded { number, block, receipt }
    Request { order_id, slot, hash, endpoint }
    Summary { order_id, key, sub, failure, flags, reports, ledger, at_ns }
    Counters {
        signals_received, orders_created, orders_submitted, orders_completed, orders_failed, failures, duplicates,
        sequence_gaps, replacements, cancels, reorgs, nonce_holes_filled, submission_failures, simulations, sim_drift, total_gas_wei,
        total_realized_wei,
    }
    State {
        engine_ns, wall_ns, shift, next_order, next_request, window, sources, orders, watched, summaries, lanes, hashes,
        requests, askings, queue, simulating, pools, ring, receipts, unlanded, has_more, landed, shallow, lookups, finalized, tip, wheel, outbox, up, recount, halted,
        failures_in_row, spent, counters,
    }
}

impl Stored for Reverse<u128> {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        u128::take(from).map(Reverse)
    }
}

impl Stored for Orders {
    fn put(&self, out: &mut Vec<u8>) {
        (self.arena.capacity() as u32).put(out);
        (self.len() as u32).put(out);
        self.iter().for_each(|order| order.put(out));
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        /// Far above any setting; a damaged number must not ask for more memory than there is.
        const CAPACITY_MAX: u32 = 1 << 20;
        let capacity = u32::take(from)?;
        let orders = <Vec<Order>>::take(from)?;
        if capacity > CAPACITY_MAX || orders.len() > capacity as usize {
            return Err(from.malformed());
        }
        let mut all = Self::new(capacity);
        orders.into_iter().for_each(|order| all.insert(order));
        Ok(all)
    }
}

fn lanes_of(config: &Config) -> Lanes {
    let mut lanes = Lanes::new(&config.senders);
    lanes.set_outside(&config.outside);
    lanes
}

impl State {
    /// An engine's memory before anything happened.
    pub fn new(config: &Config) -> Self {
        Self {
            engine_ns: 0,
            wall_ns: 0,
            shift: 0,
            next_order: 1,
            next_request: 1,
            window: Window::default(),
            sources: HashMap::new(),
            orders: Orders::new(config.max_concurrent_orders),
            watched: BTreeMap::new(),
            summaries: VecDeque::new(),
            lanes: lanes_of(config),
            hashes: HashMap::new(),
            requests: BTreeMap::new(),
            askings: BTreeMap::new(),
            queue: BTreeSet::new(),
            simulating: BTreeMap::new(),
            unlanded: VecDeque::new(),
            has_more: false,
            pools: HashMap::new(),
            ring: Ring::default(),
            receipts: HashMap::new(),
            landed: BTreeMap::new(),
            shallow: BTreeSet::new(),
            lookups: BTreeSet::new(),
            finalized: 0,
            tip: config.min_priority_fee,
            wheel: Wheel::default(),
            outbox: Outbox::default(),
            up: vec![true; config.endpoints.len()],
            recount: None,
            halted: false,
            failures_in_row: 0,
            spent: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Engine time goes with the monotonic clock; over a restart it goes on by what the wall's clock says.
    pub(super) fn read_clocks(&mut self, now: Now, restarted: bool) -> Clocks {
        let mono = i128::from(now.mono_ns);
        if restarted {
            let away = now.wall_ns.saturating_sub(self.wall_ns);
            self.shift = i128::from(self.engine_ns.saturating_add(away)) - mono;
        }
        let engine = u64::try_from((mono + self.shift).max(0)).unwrap_or(u64::MAX);
        self.engine_ns = self.engine_ns.max(engine);
        self.wall_ns = now.wall_ns;
        Clocks { engine_ns: self.engine_ns, wall_ns: now.wall_ns }
    }

    /// What the wall's clock said at the last step.
    pub fn wall_ns(&self) -> u64 {
        self.wall_ns
    }

    /// An order that lives or is still watched.
    pub fn order(&self, order_id: u64) -> Option<&Order> {
        self.orders.get(order_id).or_else(|| self.watched.get(&order_id))
    }

    pub(super) fn order_mut(&mut self, order_id: u64) -> Option<&mut Order> {
        match self.orders.get_mut(order_id) {
            Some(order) => Some(order),
            None => self.watched.get_mut(&order_id),
        }
    }

    /// What is kept of an order that is over.
    pub fn summary(&self, order_id: u64) -> Option<&Summary> {
        self.summaries.iter().find(|summary| summary.order_id == order_id)
    }

    /// Live orders, by name.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter()
    }

    /// Ended orders that the chain could still change.
    pub fn watched(&self) -> impl Iterator<Item = &Order> {
        self.watched.values()
    }

    /// Orders that are over, oldest first.
    pub fn summaries(&self) -> impl DoubleEndedIterator<Item = &Summary> + ExactSizeIterator {
        self.summaries.iter()
    }

    /// Senders and their slots.
    pub fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// What is known of the chain.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Results that wait.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Validated orders that wait for a slot.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Orders that are not settled.
    pub fn active(&self) -> usize {
        self.orders.len()
    }

    /// Whether somebody, or too many failures, wants that nothing new is taken.
    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// Whether there is no node, or what the chain did while there was none is not known yet.
    pub fn is_cut_off(&self) -> bool {
        self.recount.is_some()
    }

    /// Requests without a reply: each with its order and its endpoint.
    pub fn open_requests(&self) -> impl Iterator<Item = (u64, u64, u16)> {
        self.requests.iter().map(|(id, request)| (*id, request.order_id, request.endpoint))
    }

    /// The transaction that a request carries, as long as it was not answered.
    pub fn sent_hash(&self, request: u64) -> Option<B256> {
        self.requests.get(&request).map(|request| request.hash)
    }

    /// What signers outside are asked for: its name, and for which order.
    pub fn asked(&self) -> impl Iterator<Item = (u64, u64)> {
        self.askings.iter().map(|(request, asking)| (*request, asking.order_id))
    }

    /// The order that a hash was signed for, and which of its attempts it is.
    pub fn attempt_of(&self, hash: &B256) -> Option<(u64, usize)> {
        let order_id = self.hashes.get(hash)?.order_id;
        let attempts = &self.order(order_id)?.attempts;
        Some((order_id, attempts.iter().position(|attempt| attempt.hash == *hash)?))
    }

    /// Whether a hash was signed here and is not final.
    pub fn knows(&self, hash: &B256) -> bool {
        self.hashes.contains_key(hash)
    }
}
