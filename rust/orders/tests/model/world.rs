//! An engine, the chain, and a bad network between them. Every step looks at what must always hold.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::{Path, PathBuf},
};

use execlayer_orders::{
    Config, Engine, Found, Input, Now, Output, SignerAnswer, Simulation, State, Want,
    build::{Framing, Wiring},
    chain::{Head, Receipt},
    config::{Conflict, Endpoint, Presim, Relay},
    journal::{RECORD_HEAD, SEGMENT_BYTES, Snapshot},
    lanes::Owner,
    replies::{Answer, verdict},
    sign::MemorySigner,
    stored::Stored,
    wire::{AuthKeys, Channel, FillKind, Frame, Header, Message, Report, flags},
};
use types::{Address, B256, Key, Transaction, U256, keccak256, keys::HALF_ORDER, primitives::hex};

use super::{
    chain::{CONTRACT, Chain, RECIPIENT, Reply, TOKEN},
    signal,
};

const GWEI: u64 = 1_000_000_000;

/// What happens to a request on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Fine,
    LostBefore,
    LostBehind,
    Garbled,
    Twice,
}

struct Post {
    endpoint: u16,
    request: u64,
    body: serde_json::Value,
    /// Requests of a process that is dead arrive, and nobody hears the answer.
    heard: bool,
}

pub struct World {
    pub engine: Option<Engine>,
    pub chain: Chain,
    pub config: Config,
    folder: tempfile::TempDir,
    now: Now,
    post: VecDeque<Post>,
    wants: VecDeque<Want>,
    signals: u64,
    created_ns: u64,
    sequence: u64,
    asked: BTreeSet<u64>,
    slots: BTreeMap<u64, BTreeSet<(Address, u64)>>,
    offers: BTreeMap<(Address, u64), BTreeMap<B256, (u128, u128)>>,
    private: BTreeSet<Vec<u8>>,
    public: BTreeSet<Vec<u8>>,
    expected: BTreeMap<u64, i128>,
    fillers: Vec<B256>,
    results: BTreeMap<u64, Vec<u8>>,
    /// Heads, receipts, replies and signatures, as they were told.
    heard: Vec<Input>,
    ended: BTreeMap<u64, State>,
    /// How many blocks can't be reorganised any more.
    pub final_blocks: usize,
    /// Whether the chain ever went back behind what is taken for settled.
    pub deep: bool,
    /// The process ends once, when this record is the journal's last.
    pub last_record: Option<u64>,
}

fn secrets() -> [B256; 2] {
    [B256::repeat_byte(0x21), B256::repeat_byte(0x22)]
}

/// The keys in the engine's process: all but those of the first senders.
fn signer(outside: usize) -> Box<MemorySigner> {
    let mut signer = MemorySigner::new();
    for secret in &secrets()[outside..] {
        signer.add(secret).unwrap();
    }
    Box::new(signer)
}

/// A signer elsewhere: it may be away, refuse, sign with another key or give anything, and `s` may be in either half.
fn signed_elsewhere(sender: &Address, hash: &B256, whim: u64) -> SignerAnswer {
    let keys = secrets().map(|secret| Key::from_bytes(&secret).unwrap());
    let is_senders = |key: &&Key| key.address() == *sender;
    let reason = || "a whim".to_owned();
    let sign = |key: &Key| {
        let signature = key.sign(hash);
        let high = HALF_ORDER * U256::from(2) + U256::ONE - signature.s();
        let s = if whim.is_multiple_of(2) { signature.s() } else { high };
        SignerAnswer::Signed { compact: [signature.r().to_be_bytes::<32>(), s.to_be_bytes()].concat() }
    };
    match whim % 16 {
        0 => SignerAnswer::Unreachable { reason: reason() },
        1 => SignerAnswer::Refused { reason: reason() },
        2 => sign(keys.iter().find(|key| !is_senders(key)).unwrap()),
        3 => SignerAnswer::Signed { compact: vec![7; 64] },
        _ => sign(keys.iter().find(is_senders).unwrap()),
    }
}

fn wiring() -> Wiring {
    Wiring { framings: vec![Framing::Bare; 3], identity: None }
}

impl World {
    pub fn new(sharing: u32, presim: Presim, relay: Relay, outside: usize) -> Self {
        let senders: Vec<_> = secrets().iter().map(|secret| Key::from_bytes(secret).unwrap().address()).collect();
        let public = Endpoint { submit: true, relay: Relay::None };
        let config = Config {
            endpoints: vec![public, Endpoint { submit: false, relay }, public],
            prices: vec![(TOKEN, 10u128.pow(18))],
            max_concurrent_orders: 12,
            lane_depth: 4,
            private_sharing: sharing,
            conflict: if presim == Presim::Always { Conflict::Simulate } else { Conflict::Ignore },
            presim,
            max_failures_in_row: u32::MAX,
            max_state_lag: if presim == Presim::Off { u64::MAX } else { 1 },
            outside: senders[..outside].to_vec(),
            ..Config::new(1, CONTRACT, RECIPIENT, senders)
        };
        let mut world = Self {
            engine: None,
            chain: Chain::new(),
            config,
            folder: tempfile::tempdir().unwrap(),
            now: Now { mono_ns: 1, wall_ns: 1_700_000_000 * GWEI },
            post: VecDeque::new(),
            wants: VecDeque::new(),
            signals: 0,
            created_ns: 0,
            sequence: 0,
            asked: BTreeSet::new(),
            slots: BTreeMap::new(),
            offers: BTreeMap::new(),
            private: BTreeSet::new(),
            public: BTreeSet::new(),
            expected: BTreeMap::new(),
            fillers: Vec::new(),
            results: BTreeMap::new(),
            heard: Vec::new(),
            ended: BTreeMap::new(),
            final_blocks: 1,
            deep: false,
            last_record: None,
        };
        world.open();
        world.show_head();
        world.tell_accounts();
        world
    }

    fn open(&mut self) {
        let auth = AuthKeys::default();
        let engine =
            Engine::open(self.folder.path(), SEGMENT_BYTES, self.config.clone(), wiring(), self.signer(), auth)
                .unwrap();
        let is_new = engine.is_new();
        self.engine = Some(engine);
        if !is_new {
            self.step(Input::Restarted);
            self.show_head();
            self.tell_accounts();
        }
    }

    fn signer(&self) -> Box<MemorySigner> {
        signer(self.config.outside.len())
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    pub fn step(&mut self, input: Input) {
        self.now.mono_ns += 1000;
        self.now.wall_ns += 1000;
        if matches!(
            input,
            Input::Head { .. } | Input::Receipts { .. } | Input::Replied { .. } | Input::Signature { .. }
        ) {
            self.heard.push(input.clone());
        }
        let (path, engine) = (self.segment(), self.engine.as_mut().unwrap());
        let first = engine.next_record();
        let last = self.last_record.filter(|last| *last >= first);
        let before = last.map(|_| fs::metadata(&path).unwrap().len());
        let outputs = engine.step(self.now, input.clone()).unwrap();
        if let (Some(last), Some(before)) = (last, before)
            && last < engine.next_record()
        {
            self.last_record = None;
            self.die();
            self.cut(&path, before, (last + 1 - first) as usize, 0);
            self.open();
            // Whoever wanted something and heard nothing says it again.
            if matches!(input, Input::Frame { .. } | Input::Cancel { .. }) {
                self.step(input);
            }
            return;
        }
        for output in outputs {
            self.speak(output);
        }
        self.look();
        if self.engine().has_more() && !matches!(input, Input::Continue) {
            self.go_on();
        }
    }

    /// Nothing else has to be done first.
    fn go_on(&mut self) {
        while self.engine().has_more() {
            self.step(Input::Continue);
        }
    }

    fn speak(&mut self, output: Output) {
        match output {
            Output::Send { endpoint, request, order_id, bytes } => {
                let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                self.overhear(endpoint, order_id, &body);
                self.post.push_back(Post { endpoint, request, body, heard: true });
            }
            Output::Want(want) => self.wants.push_back(want),
            Output::Answer { .. } | Output::Alert(_) => {}
        }
    }

    fn raw_of(body: &serde_json::Value) -> Option<Vec<u8>> {
        let first = &body["params"][0];
        let text = first.as_str().or_else(|| first["txs"][0].as_str()).or_else(|| first["tx"].as_str())?;
        Some(hex::decode(text).unwrap())
    }

    /// What no request may ever do.
    fn overhear(&mut self, endpoint: u16, order_id: u64, body: &serde_json::Value) {
        let Some(raw) = Self::raw_of(body) else { return };
        if endpoint == 1 { &mut self.private } else { &mut self.public }.insert(raw.clone());
        assert!(self.private.is_disjoint(&self.public), "private bytes went public");
        let transaction = Transaction::from_bytes(&raw).unwrap();
        let slot = (transaction.recover().unwrap(), transaction.nonce());
        if order_id == 0 {
            self.fillers.push(transaction.hash());
        } else {
            let lanes = self.engine.as_ref().unwrap().core().state().lanes();
            let lane = |sender| lanes.lane(lanes.find(sender).unwrap());
            let slots = self.slots.entry(order_id).or_default();
            slots.insert(slot);
            let open = slots.iter().filter(|(sender, nonce)| lane(sender).slots.contains_key(nonce));
            assert!(open.count() <= 1, "attempts of order {order_id} have several open slots");
        }
        let fees = (transaction.max_fee_per_gas(), transaction.max_priority_fee_per_gas());
        assert!(fees.0 <= self.config.max_gas_price.into() && fees.1 <= fees.0);
        let call = order_id != 0 && !transaction.input().is_empty();
        if call {
            let burnt = transaction.gas_limit() as i128 * fees.0 as i128;
            assert!(self.expected[&order_id] * 95 / 100 - burnt >= 1, "order {order_id} could lose");
        }
        if endpoint != 1 {
            let offers = self.offers.entry(slot).or_default();
            if offers.insert(transaction.hash(), fees).is_none() {
                for (hash, earlier) in offers.iter().filter(|(hash, _)| **hash != transaction.hash()) {
                    let rises = fees.0 * 10 >= earlier.0 * 11 && fees.1 * 10 >= earlier.1 * 11;
                    assert!(rises, "{fees:?} does not replace {earlier:?} of {hash}");
                }
            }
        }
    }

    /// What must hold between any two steps.
    fn look(&mut self) {
        let state = self.engine.as_ref().unwrap().core().state();
        for (sequence, frame) in state.outbox().from(0) {
            let known = self.results.entry(sequence).or_insert_with(|| frame.to_vec());
            assert_eq!(known, frame, "result {sequence} changed");
        }
        let last = self.results.last_key_value().map_or(0, |(last, _)| *last);
        assert_eq!(last, self.results.len() as u64, "a gap in the results");
        assert!(state.active() <= 12);
        for order in state.orders().chain(state.watched()) {
            assert_eq!(order.history[0].from, order.history[0].to);
            for step in &order.history[1..] {
                let pair = (step.from.state(), step.to.state());
                assert!(execlayer_orders::states::transitions().contains(&pair), "{pair:?}");
            }
            if order.state().is_terminal() {
                assert_eq!(*self.ended.entry(order.id).or_insert(order.state()), order.state());
            } else {
                assert!(!self.ended.contains_key(&order.id), "order {} came back", order.id);
            }
            let sum: i128 = order.fills.iter().map(|fill| fill.realized_wei).sum();
            assert_eq!(order.ledger, sum);
        }
        for (_, lane) in state.lanes().iter() {
            for entry in lane.slots.values() {
                if let Owner::Orders { ids } = &entry.owner {
                    let most = if entry.public { 1 } else { self.config.private_sharing as usize };
                    assert!(ids.len() <= most, "{} orders own a slot", ids.len());
                }
            }
        }
    }

    pub fn signal(&mut self, profit_gwei: u64, channel: Channel, repeat: bool) {
        // A copy of the newest signal, as long as it is in the window; else a new one.
        if !repeat || self.now.wall_ns > self.created_ns + self.config.window_ns() - GWEI {
            self.signals += 1;
            self.created_ns = self.now.wall_ns;
        }
        self.sequence += 1;
        let profit = i128::from(profit_gwei) * i128::from(GWEI);
        let header = Header { flags: 1, ..signal::header(self.sequence, self.now.wall_ns) };
        let mut parts = signal::arbitrage(self.signals, self.created_ns, profit);
        parts.identity.channel = channel;
        self.asked.insert(self.signals);
        let next = self.engine().core().state().counters().orders_created + 1;
        self.expected.entry(next).or_insert(profit);
        self.step(Input::Frame { bytes: parts.to_frame(&header, None) });
    }

    /// Lets one request go on its way.
    pub fn deliver(&mut self, pick: usize, way: Way) {
        if self.post.is_empty() {
            return;
        }
        let Post { endpoint, request, body, heard } = self.post.remove(pick % self.post.len()).unwrap();
        if heard {
            self.step(Input::Written { request });
        }
        let arrives = !matches!(way, Way::LostBefore);
        let Some(raw) = Self::raw_of(&body) else { return };
        let hash = Transaction::from_bytes(&raw).unwrap().hash();
        let answer = if !arrives {
            None
        } else if endpoint == 1 {
            let number =
                |name: &str| body["params"][0][name].as_str().map(|text| u64::from_str_radix(&text[2..], 16).unwrap());
            let transaction = Transaction::from_bytes(&raw).unwrap();
            if let Some(last) = number("maxBlockNumber") {
                let blocks = self.chain.head().number + 1..=last;
                self.chain.bundles.extend(blocks.map(|block| (block, transaction.clone())));
                Some(format!(r#"{{"result":"{hash}"}}"#))
            } else {
                self.chain.bundles.push((number("blockNumber").unwrap(), transaction));
                let bundle = execlayer_orders::build::request::bundle_hash(&hash);
                Some(format!(r#"{{"result":{{"bundleHash":"{bundle}"}}}}"#))
            }
        } else {
            Some(match self.chain.send(&raw) {
                Reply::Taken => format!(r#"{{"result":"{hash}"}}"#),
                Reply::Known => r#"{"error":{"code":-32000,"message":"already known"}}"#.to_owned(),
                Reply::Error(text) => format!(r#"{{"error":{{"code":-32000,"message":"{text}"}}}}"#),
            })
        };
        if !heard {
            return;
        }
        let verdict = match (&answer, way) {
            (None, _) | (_, Way::LostBehind) => verdict(Answer::Nothing("timeout"), &hash),
            (_, Way::Garbled) => verdict(Answer::Status(502, b"<html>"), &hash),
            (Some(body), _) => verdict(Answer::Body(body.as_bytes()), &hash),
        };
        self.step(Input::Replied { request, verdict: verdict.clone() });
        if way == Way::Twice {
            self.step(Input::Replied { request, verdict });
        }
    }

    pub fn show_head(&mut self) {
        self.step(Input::Head { head: self.chain.head() });
    }

    /// Answers one question, or all that wait.
    pub fn answer(&mut self, pick: usize) {
        if self.wants.is_empty() {
            return;
        }
        match self.wants.remove(pick % self.wants.len()).unwrap() {
            Want::Header { hash } => {
                if let Some(head) = self.chain.find(&hash) {
                    self.step(Input::Head { head });
                }
            }
            Want::Receipts { hash, .. } => {
                let block = self.chain.blocks.iter().find(|block| block.head.hash == hash);
                if let Some(block) = block {
                    let receipts = block.transactions.iter().map(|(.., receipt)| receipt.clone()).collect();
                    self.step(Input::Receipts { block: hash, receipts });
                }
            }
            Want::Account { sender } => self.tell_account(sender),
            Want::Presence { order_id, .. } => self.step(Input::Absent { order_id }),
            Want::Simulate { order_id, block, .. } => {
                // Some turn false from one block to the next.
                let simulation = if (u64::from(block[0]) + order_id).is_multiple_of(9) {
                    Simulation::Reverted { data: vec![1, 2, 3, 4] }
                } else {
                    Simulation::Passed { gas: 160_000, peak: 170_000, profit: 0, payment: 0, block: B256::ZERO }
                };
                self.step(Input::Simulated { order_id, simulation });
            }
            Want::Lookup { sender, nonce, hashes } => {
                let holds = |(one, _, receipt): &(Transaction, Address, Receipt)| {
                    hashes.contains(&one.hash()).then(|| receipt.clone())
                };
                let found = self.chain.blocks.iter().find_map(|block| {
                    let Head { number, hash, .. } = block.head;
                    let receipt = block.transactions.iter().find_map(holds)?;
                    Some(Found { number, block: hash, receipt })
                });
                self.step(Input::LookedUp { sender, nonce, found });
            }
            Want::Signature { request, sender, payload, hash, .. } => {
                assert_eq!(keccak256(&payload), hash);
                assert!(self.config.outside.contains(&sender));
                let answer = signed_elsewhere(&sender, &hash, u64::from(hash[31]) + request);
                self.step(Input::Signature { request, answer: answer.clone() });
                // Whoever says it twice changes nothing.
                self.step(Input::Signature { request, answer });
            }
            Want::Reason { .. } | Want::State { .. } => {}
        }
    }

    fn tell_account(&mut self, sender: Address) {
        let head = self.chain.head();
        let nonce = self.chain.nonce(&sender);
        let balance = U256::from(10u64.pow(18));
        self.step(Input::Account { sender, nonce, balance, number: head.number, block: head.hash });
    }

    /// A node that lags tells of senders what was so some blocks ago.
    pub fn tell_stale_accounts(&mut self, back: usize) {
        for sender in self.config.senders.clone() {
            let blocks = &self.chain.blocks;
            let known = &blocks[..blocks.len().saturating_sub(back).max(1)];
            let sent = known.iter().flat_map(|block| &block.transactions).filter(|(_, from, _)| *from == sender);
            let (head, nonce) = (known.last().unwrap().head, sent.count() as u64);
            let balance = U256::from(10u64.pow(18));
            self.step(Input::Account { sender, nonce, balance, number: head.number, block: head.hash });
        }
    }

    /// Everything that nodes said is said again, from `first` on around: late, twice, in another order. What has ended
    /// has ended, and the ledger is what it was.
    pub fn say_all_again(&mut self, first: usize, stride: usize) {
        let fates = |world: &Self| {
            let state = world.engine().core().state();
            let orders: Vec<_> = state.watched().map(|order| (order.id, order.sub, order.ledger)).collect();
            (orders, state.counters().clone(), world.results.clone())
        };
        let (before, heard) = (fates(self), std::mem::take(&mut self.heard));
        for number in 0..heard.len() {
            self.step(heard[(first + number * stride) % heard.len()].clone());
        }
        let after = fates(self);
        assert_eq!(before.0, after.0);
        assert_eq!(before.1, after.1);
        assert_eq!(before.2, after.2);
    }

    pub fn tell_accounts(&mut self) {
        for sender in self.config.senders.clone() {
            self.tell_account(sender);
        }
    }

    pub fn pass(&mut self, ms: u64) {
        self.now.mono_ns += ms * 1_000_000;
        self.now.wall_ns += ms * 1_000_000;
        self.step(Input::Tick);
    }

    /// Every request under way becomes one that nobody waits for.
    fn die(&mut self) {
        self.engine = None;
        self.wants.clear();
        self.post.iter_mut().for_each(|post| post.heard = false);
        // Another boot, another monotonic clock.
        self.now.mono_ns = 1;
        self.now.wall_ns += 3_000_000;
    }

    pub fn crash(&mut self) {
        self.die();
        self.open();
    }

    /// The process ends within a step: of its records only the first `kept` were written, and nothing was said.
    pub fn crash_within(&mut self, input: Input, kept: usize) {
        let path = self.segment();
        let before = fs::metadata(&path).unwrap().len();
        self.now.mono_ns += 1000;
        self.now.wall_ns += 1000;
        drop(self.engine.as_mut().unwrap().step(self.now, input).unwrap());
        self.die();
        // And a piece of the next.
        self.cut(&path, before, kept, 11);
        self.open();
    }

    /// Leaves of a segment what was there before, so many records behind that, and so many bytes more.
    fn cut(&self, path: &Path, before: u64, kept: usize, torn: usize) {
        let bytes = fs::read(path).unwrap();
        let mut end = before as usize;
        for _ in 0..kept {
            let Some(length) = bytes.get(end..end + 4) else { break };
            end += RECORD_HEAD + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        }
        fs::write(path, &bytes[..(end + torn).min(bytes.len())]).unwrap();
    }

    pub fn segment(&self) -> PathBuf {
        let mut all: Vec<_> = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.retain(|path| path.extension().is_some_and(|extension| extension == "xlj"));
        all.sort();
        all.pop().unwrap()
    }

    pub fn snapshot(&mut self) {
        let (seq, bytes) = self.engine().snapshot();
        Snapshot::write(self.folder.path(), seq, &bytes).unwrap();
    }

    /// The network gets well and time goes on until nothing is open.
    pub fn come_to_rest(&mut self) {
        for _ in 0..400 {
            while !self.post.is_empty() {
                self.deliver(0, Way::Fine);
            }
            self.chain.mine(100, super::chain::GAS_LIMIT / 2, true);
            self.show_head();
            while !self.wants.is_empty() {
                self.answer(0);
            }
            self.tell_accounts();
            self.pass(12_000);
            if self.engine().core().state().active() == 0 && self.is_settled() {
                return;
            }
        }
        let state = self.engine().core().state();
        for order in state.orders() {
            eprintln!("{} {:?} {:?} {:?}", order.id, order.sub, order.slot, order.attempts.len());
        }
        panic!("{} orders are open after an hour of calm", state.active());
    }

    fn is_settled(&self) -> bool {
        let state = self.engine().core().state();
        let head = self.chain.head().number;
        let matched = state.ring().head().is_some_and(|ours| ours.number == head);
        let blocking = state.lanes().blocking().is_empty();
        let consumed = |lane: &execlayer_orders::lanes::Lane| lane.slots.values().all(|entry| entry.consumed.is_none());
        matched && blocking && state.lanes().iter().all(|(_, lane)| consumed(lane))
    }

    /// What must hold in the end.
    pub fn judge(&self) {
        let state = self.engine().core().state();
        let again = execlayer_orders::engine::verify(self.folder.path(), 1, self.signer()).unwrap().unwrap().core;
        assert_eq!(again.state().to_stored(), state.to_stored(), "the journal's replay is another engine");
        let ledger: i128 = state.counters().total_realized_wei;
        assert_eq!(ledger, self.chain.balance(&self.fillers), "the ledger is not what the chain did");
        let mut outcomes: BTreeMap<u64, usize> = BTreeMap::new();
        let mut claimed: BTreeMap<u64, (State, bool)> = BTreeMap::new();
        for frame in self.results.values() {
            let frame = Frame::decode(frame).unwrap();
            if let Ok(Message::Result(Report { status: Some(status), fills, .. })) = Message::decode(&frame) {
                assert_ne!(status.flags & flags::TERMINAL, 0);
                if fills.is_empty() {
                    *outcomes.entry(status.signal_id).or_insert(0) += 1;
                    claimed.entry(status.order_id).or_insert((status.sub.state(), false));
                }
                let corrects = fills.iter().any(|fill| fill.kind != FillKind::Fill);
                if let Some(claim) = claimed.get_mut(&status.order_id) {
                    claim.1 |= corrects;
                }
            }
        }
        let all: BTreeMap<u64, usize> = self.asked.iter().map(|signal| (*signal, 1)).collect();
        assert_eq!(outcomes, all, "each signal has exactly one outcome");
        // An execution is a successful call with the order's reference; none has two, and a claim is true or corrected.
        for (order_id, (claim, corrected)) in claimed {
            let reference = execlayer_orders::build::abi::reference(&self.config.engine_id, order_id);
            let executions = self
                .chain
                .transactions()
                .filter(|(one, _, receipt)| receipt.success && one.input().get(4..36) == Some(reference.as_slice()))
                .count();
            // Bytes for a slot that was settled can only come back where the chain went back behind that.
            let moved = self.slots.get(&order_id).is_some_and(|slots| slots.len() > 1);
            assert!(executions <= 1 || moved && self.deep, "order {order_id} was executed {executions} times");
            assert!(corrected || executions == usize::from(claim == State::Completed), "order {order_id}: {claim:?}");
        }
    }
}
