//! An engine in a process of its own, killed with SIGKILL again and again: after any record of its journal, and at any
//! moment while it works. Nothing may be executed twice, and no signal may lose its outcome.
//!
//! The chain, the network and the source of signals live in this process and survive. What a dying engine had decided
//! but not written is not spoken either. `cargo test -p execlayer-orders --test kill`; `KILLS=500` asks for more kills
//! than the 60 of every day.

#![expect(unreachable_pub, reason = "a test has no outside")]

#[path = "../model/chain.rs"]
mod chain;
mod engine;
#[path = "../model/signal.rs"]
mod signal;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chain::{CONTRACT, Chain, GAS_LIMIT, RECIPIENT, Reply, TOKEN};
use engine::{Asked, Child, Sent, Told};
use execlayer_orders::{
    Config, Input, Now, State,
    chain::Receipt,
    config::{Conflict, Endpoint, Relay},
    replies::{Answer, verdict},
    wire::{Channel, FillKind, Frame, Message, Report},
};
use types::{Address, B256, Key, Transaction, U256, primitives::hex};

const GWEI: u64 = 1_000_000_000;
const KILLS: usize = 60;
/// Steps between two kills.
const CALM: u64 = 12;

fn secrets() -> [B256; 2] {
    [B256::repeat_byte(0x21), B256::repeat_byte(0x22)]
}

fn config() -> Config {
    let senders = secrets().map(|secret| Key::from_bytes(&secret).unwrap().address()).to_vec();
    let public = Endpoint { submit: true, relay: Relay::None };
    Config {
        endpoints: vec![public, Endpoint { submit: false, relay: Relay::Flashbots }],
        prices: vec![(TOKEN, 10u128.pow(18))],
        max_concurrent_orders: 30,
        lane_depth: 8,
        conflict: Conflict::Ignore,
        max_failures_in_row: u32::MAX,
        max_state_lag: u64::MAX,
        ..Config::new(1, CONTRACT, RECIPIENT, senders)
    }
}

/// Numbers that only look like chance: a run is told by its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

struct World {
    child: Child,
    chain: Chain,
    now: Now,
    dice: Dice,
    post: VecDeque<(Sent, bool)>,
    wants: VecDeque<Asked>,
    /// Frames that nobody has seen an outcome or an update of yet: a source sends them again after a crash.
    frames: BTreeMap<u64, Vec<u8>>,
    results: BTreeMap<u64, Vec<u8>>,
    fillers: Vec<B256>,
    signals: u64,
    boundary: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            child: Child::spawn(),
            chain: Chain::new(),
            now: Now { mono_ns: 1, wall_ns: 1_700_000_000 * GWEI },
            dice: Dice(seed),
            post: VecDeque::new(),
            wants: VecDeque::new(),
            frames: BTreeMap::new(),
            results: BTreeMap::new(),
            fillers: Vec::new(),
            signals: 0,
            boundary: 0,
        };
        world.show_head();
        world.tell_accounts();
        world
    }

    fn step(&mut self, input: Input) {
        self.now.mono_ns += 1000;
        self.now.wall_ns += 1000;
        let from = self.results.len() as u64 + 1;
        let told = self.child.step(self.now, &input, from);
        self.hear(told);
    }

    fn hear(&mut self, told: Told) {
        for sent in told.sends {
            if sent.order_id == 0 {
                self.fillers.push(Transaction::from_bytes(&raw_of(&sent.body).unwrap()).unwrap().hash());
            }
            self.post.push_back((sent, true));
        }
        self.wants.extend(told.wants);
        for (sequence, frame) in told.results {
            let known = self.results.entry(sequence).or_insert_with(|| frame.clone());
            assert_eq!(*known, frame, "result {sequence} changed");
        }
    }

    /// The engine dies: at the next boundary between two of the last step's records, or somewhere within the step.
    fn kill(&mut self, input: &Input) {
        self.now.mono_ns += 1000;
        self.now.wall_ns += 1000;
        let from = self.results.len() as u64 + 1;
        if self.dice.below(3) == 0 {
            // Nobody knows how far it came.
            let spins = self.dice.below(200_000);
            self.child.kill_within(self.now, input, spins);
        } else {
            let kept = self.boundary;
            let (records, told) = self.child.kill_after(self.now, input, from, kept);
            // Everything was written: it may have been spoken, or not.
            if kept >= records && self.dice.below(2) == 0 {
                self.hear(told);
            }
            self.boundary = if kept >= records { 0 } else { kept + 1 };
        }
        self.wants.clear();
        self.post.iter_mut().for_each(|(_, heard)| *heard = false);
        self.now.mono_ns = 1;
        self.now.wall_ns += 3_000_000;
        self.step(Input::Restarted);
        self.show_head();
        self.tell_accounts();
        for bytes in self.frames.values().cloned().collect::<Vec<_>>() {
            self.step(Input::Frame { bytes });
        }
    }

    fn show_head(&mut self) {
        self.step(Input::Head { head: self.chain.head() });
    }

    fn tell_accounts(&mut self) {
        for sender in config().senders {
            self.tell_account(sender);
        }
    }

    fn tell_account(&mut self, sender: Address) {
        let (head, nonce) = (self.chain.head(), self.chain.nonce(&sender));
        let balance = U256::from(10u64.pow(18));
        self.step(Input::Account { sender, nonce, balance, number: head.number, block: head.hash });
    }

    fn signal(&mut self) -> Input {
        self.signals += 1;
        let profit = i128::from(50_000_000 + self.dice.below(400_000_000)) * i128::from(GWEI);
        let channel = Channel::from_number(self.dice.below(4) as u8).unwrap();
        let wall = self.now.wall_ns;
        let mut parts = signal::arbitrage(self.signals, wall, profit);
        parts.identity.channel = channel;
        let bytes = parts.to_frame(&signal::header(self.signals, wall), None);
        self.frames.insert(self.signals, bytes.clone());
        Input::Frame { bytes }
    }

    /// One request arrives, and its answer is heard by whoever sent it, if that lives.
    fn deliver(&mut self) -> Option<Input> {
        let pick = self.dice.below(self.post.len().max(1) as u64) as usize;
        let (sent, heard) = self.post.remove(pick)?;
        let raw = raw_of(&sent.body)?;
        let transaction = Transaction::from_bytes(&raw).unwrap();
        let hash = transaction.hash();
        let body = if sent.endpoint == 1 {
            let block = sent.body["params"][0]["blockNumber"].as_str().unwrap();
            self.chain.bundles.push((u64::from_str_radix(&block[2..], 16).unwrap(), transaction));
            format!(r#"{{"result":{{"bundleHash":"{}"}}}}"#, execlayer_orders::build::request::bundle_hash(&hash))
        } else {
            match self.chain.send(&raw) {
                Reply::Taken => format!(r#"{{"result":"{hash}"}}"#),
                Reply::Known => r#"{"error":{"code":-32000,"message":"already known"}}"#.to_owned(),
                Reply::Error(text) => format!(r#"{{"error":{{"code":-32000,"message":"{text}"}}}}"#),
            }
        };
        let lost = self.dice.below(8) == 0;
        let answer = if lost { Answer::Nothing("timeout") } else { Answer::Body(body.as_bytes()) };
        heard.then(|| Input::Replied { request: sent.request, verdict: verdict(answer, &hash) })
    }

    fn answer(&mut self) -> Option<Input> {
        Some(match self.wants.pop_front()? {
            Asked::Header(hash) => Input::Head { head: self.chain.find(&hash)? },
            Asked::Receipts(hash) => {
                let block = self.chain.blocks.iter().find(|block| block.head.hash == hash)?;
                let receipts: Vec<Receipt> = block.transactions.iter().map(|(.., receipt)| receipt.clone()).collect();
                Input::Receipts { block: hash, receipts }
            }
            Asked::Account(sender) => {
                let (head, nonce) = (self.chain.head(), self.chain.nonce(&sender));
                let balance = U256::from(10u64.pow(18));
                Input::Account { sender, nonce, balance, number: head.number, block: head.hash }
            }
            Asked::Presence(order_id) => Input::Absent { order_id },
        })
    }

    /// Whatever comes next.
    fn next(&mut self) -> Input {
        let next = match self.dice.below(20) {
            0..=3 => Some(self.signal()),
            4..=9 => self.deliver(),
            10..=12 => {
                let (room, builder) = (self.dice.below(6) as usize, self.dice.below(2) == 0);
                self.chain.mine(room, GAS_LIMIT / 2, builder);
                Some(Input::Head { head: self.chain.head() })
            }
            13 if self.dice.below(4) == 0 => {
                self.chain.reorganise(1 + self.dice.below(2) as usize, 2);
                Some(Input::Head { head: self.chain.head() })
            }
            14 => {
                self.now.mono_ns += 12 * GWEI;
                self.now.wall_ns += 12 * GWEI;
                Some(Input::Tick)
            }
            _ => self.answer(),
        };
        next.unwrap_or(Input::Tick)
    }

    fn come_to_rest(&mut self) {
        for _ in 0..400 {
            while !self.post.is_empty() {
                if let Some(input) = self.deliver() {
                    self.step(input);
                }
            }
            self.chain.mine(100, GAS_LIMIT / 2, true);
            self.show_head();
            while !self.wants.is_empty() {
                if let Some(input) = self.answer() {
                    self.step(input);
                }
            }
            self.tell_accounts();
            self.now.mono_ns += 12 * GWEI;
            self.now.wall_ns += 12 * GWEI;
            self.step(Input::Tick);
            if self.child.active == 0 && self.child.slots == 0 {
                return;
            }
        }
        panic!("{} orders and {} slots are open after an hour of calm", self.child.active, self.child.slots);
    }

    fn judge(mut self) {
        let folder = self.child.end();
        let again = execlayer_orders::engine::verify(folder.path(), 1, engine::signer()).unwrap().unwrap().core;
        let ledger = again.state().counters().total_realized_wei;
        assert_eq!(ledger, self.chain.balance(&self.fillers), "the ledger is not what the chain did");
        let (mut outcomes, mut claims) = (BTreeMap::new(), BTreeMap::new());
        let mut corrected = BTreeSet::new();
        for frame in self.results.values() {
            let frame = Frame::decode(frame).unwrap();
            let Ok(Message::Result(Report { status: Some(status), fills, .. })) = Message::decode(&frame) else {
                continue;
            };
            if fills.is_empty() {
                *outcomes.entry(status.signal_id).or_insert(0) += 1;
                claims.entry(status.order_id).or_insert(status.sub.state());
            }
            if fills.iter().any(|fill| fill.kind != FillKind::Fill) {
                corrected.insert(status.order_id);
            }
        }
        let all: BTreeMap<u64, i32> = (1..=self.signals).map(|signal| (signal, 1)).collect();
        assert_eq!(outcomes, all, "each signal has exactly one outcome");
        for (order_id, claim) in claims {
            let reference = execlayer_orders::build::abi::reference(&config().engine_id, order_id);
            let executions = self
                .chain
                .transactions()
                .filter(|(one, _, receipt)| receipt.success && one.input().get(4..36) == Some(reference.as_slice()))
                .count();
            assert!(executions <= 1, "order {order_id} was executed {executions} times");
            let told = executions == usize::from(claim == State::Completed) || corrected.contains(&order_id);
            assert!(told, "order {order_id} is {claim:?} and was executed {executions} times");
        }
    }
}

fn raw_of(body: &serde_json::Value) -> Option<Vec<u8>> {
    let first = &body["params"][0];
    let text = first.as_str().or_else(|| first["txs"][0].as_str())?;
    Some(hex::decode(text).unwrap())
}

fn main() {
    if let Some(folder) = engine::is_child() {
        return engine::serve(&folder);
    }
    let wanted = std::env::var("KILLS").ok().map_or(KILLS, |text| text.parse().expect("KILLS is a number"));
    let (mut kills, mut seed) = (0, 0x9e37_79b9_7f4a_7c15_u64);
    while kills < wanted {
        println!("seed {seed:#x}: up to {} kills", (wanted - kills).min(30));
        let mut world = World::new(seed);
        for _ in 0..(wanted - kills).min(30) {
            for _ in 0..world.dice.below(CALM) {
                let input = world.next();
                world.step(input);
            }
            let input = world.next();
            world.kill(&input);
            kills += 1;
        }
        world.come_to_rest();
        world.judge();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    }
    println!("{kills} kills: nothing was executed twice, no outcome was lost");
}
