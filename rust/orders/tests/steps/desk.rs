//! One engine in a folder, and everything that happens to it, told step by step.

use execlayer_orders::{
    Alert, Config, Engine, Input, Now, Output, SignerAnswer, Want,
    build::{Framing, Wiring},
    chain::{Head, Receipt},
    config::{Conflict, Endpoint, Relay},
    journal::SEGMENT_BYTES,
    order::Order,
    sign::MemorySigner,
    wire::{AuthKeys, Channel},
};
use types::{Address, B256, Key, Transaction, U256, primitives::hex};

use super::signal;

pub const GWEI: u64 = 1_000_000_000;
pub const SECOND: u64 = 1_000_000_000;

/// The keys of three senders.
pub fn keys() -> [Key; 3] {
    [0x21, 0x22, 0x23].map(|byte| Key::from_bytes(&B256::repeat_byte(byte)).unwrap())
}

/// `count` senders, all of them outside.
pub fn config(count: usize) -> Config {
    let senders: Vec<_> = keys()[..count].iter().map(Key::address).collect();
    let endpoint = |submit, relay| Endpoint { submit, relay };
    Config {
        endpoints: vec![endpoint(true, Relay::None), endpoint(false, Relay::Flashbots)],
        conflict: Conflict::Ignore,
        channel: Channel::Public,
        max_state_lag: u64::MAX,
        outside: senders.clone(),
        ..Config::new(1, Address::repeat_byte(0xcc), Address::repeat_byte(0xdd), senders)
    }
}

/// What a signer outside was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub request: u64,
    pub order_id: u64,
    pub sender: Address,
    pub payload: Vec<u8>,
    pub hash: B256,
}

pub struct Desk {
    pub engine: Option<Engine>,
    pub folder: tempfile::TempDir,
    pub config: Config,
    pub now: Now,
    pub asked: Vec<Asked>,
    pub sent: Vec<(u16, u64, Transaction)>,
    pub alerts: Vec<Alert>,
    pub last_request: u64,
    signals: u64,
}

impl Desk {
    /// At block 100, at a base fee of one gwei; all senders have 7 transactions behind them and enough ether.
    pub fn new(config: Config) -> Self {
        let now = Now { mono_ns: SECOND, wall_ns: 1_700_000_000 * SECOND };
        let folder = tempfile::tempdir().unwrap();
        let (asked, sent, alerts) = Default::default();
        let mut desk = Self { engine: None, folder, config, now, asked, sent, alerts, last_request: 0, signals: 0 };
        desk.open();
        desk.head(100, GWEI);
        desk.block(100, vec![]);
        for sender in desk.config.senders.clone() {
            desk.account(sender, 100);
        }
        desk
    }

    fn open(&mut self) {
        let mut signer = MemorySigner::new();
        for key in keys().iter().filter(|key| !self.config.outside.contains(&key.address())) {
            signer.add(&key.to_bytes()).unwrap();
        }
        let wiring = Wiring { framings: vec![Framing::Bare; 2], identity: None };
        let (folder, config, auth) = (self.folder.path(), self.config.clone(), AuthKeys::default());
        self.engine = Some(Engine::open(folder, SEGMENT_BYTES, config, wiring, Box::new(signer), auth).unwrap());
    }

    /// The process ends and another one begins.
    pub fn restart(&mut self) {
        self.engine = None;
        self.asked.clear();
        self.sent.clear();
        self.open();
        self.step(Input::Restarted);
    }

    pub fn step(&mut self, input: Input) {
        let outputs = self.engine.as_mut().unwrap().step(self.now, input).unwrap();
        for output in outputs {
            match output {
                Output::Send { endpoint, request, order_id, bytes } => {
                    self.last_request = request;
                    let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                    let first = &body["params"][0];
                    let raw = first.as_str().or_else(|| first["txs"][0].as_str());
                    let transaction = raw.map(|raw| Transaction::from_bytes(&hex::decode(raw).unwrap()).unwrap());
                    self.sent.extend(transaction.map(|transaction| (endpoint, order_id, transaction)));
                }
                Output::Want(Want::Signature { request, order_id, sender, payload, hash }) => {
                    self.asked.push(Asked { request, order_id, sender, payload, hash });
                }
                Output::Alert(alert) => self.alerts.push(alert),
                Output::Want(_) | Output::Answer { .. } => {}
            }
        }
    }

    pub fn head(&mut self, number: u64, base_fee: u64) {
        let hash = |number: u64| B256::from(U256::from(number));
        let (gas_used, gas_limit, timestamp) = (15, 30, number * 12);
        let head =
            Head { number, hash: hash(number), parent: hash(number - 1), base_fee, gas_used, gas_limit, timestamp };
        self.step(Input::Head { head });
    }

    /// What a block holds of ours.
    pub fn block(&mut self, number: u64, receipts: Vec<Receipt>) {
        self.step(Input::Receipts { block: B256::from(U256::from(number)), receipts });
    }

    fn account(&mut self, sender: Address, number: u64) {
        let block = B256::from(U256::from(number));
        self.step(Input::Account { sender, nonce: 7, balance: U256::from(10u128.pow(20)), number, block });
    }

    pub fn pass(&mut self, ns: u64) {
        self.now.mono_ns += ns;
        self.now.wall_ns += ns;
        self.step(Input::Tick);
    }

    /// Gives a signal that is worth so much; the number of its order.
    pub fn signal(&mut self, profit: i128, channel: Channel) -> u64 {
        self.signals += 1;
        let mut parts = signal::arbitrage(self.signals, self.now.wall_ns, profit);
        parts.identity.channel = channel;
        let header = signal::header(self.signals, self.now.wall_ns);
        self.step(Input::Frame { bytes: parts.to_frame(&header, None) });
        self.signals
    }

    /// The newest question is answered by the right key.
    pub fn sign(&mut self) -> Asked {
        let asked = self.asked.pop().unwrap();
        let key = keys().into_iter().find(|key| key.address() == asked.sender).unwrap();
        let answer = signed(&key, &asked.hash);
        self.step(Input::Signature { request: asked.request, answer });
        asked
    }

    /// The newest question stays without a signature.
    pub fn fail(&mut self) -> Asked {
        let asked = self.asked.pop().unwrap();
        let answer = SignerAnswer::Unreachable { reason: "nobody there".to_owned() };
        self.step(Input::Signature { request: asked.request, answer });
        asked
    }

    pub fn order(&self, order_id: u64) -> &Order {
        self.engine.as_ref().unwrap().core().state().order(order_id).unwrap()
    }

    /// Played again by somebody who has no key, the journal gives the same engine.
    pub fn prove(&self) {
        let mut signer = MemorySigner::new();
        for key in keys().iter().filter(|key| !self.config.outside.contains(&key.address())) {
            signer.add(&key.to_bytes()).unwrap();
        }
        let again = execlayer_orders::engine::verify(self.folder.path(), 1, Box::new(signer)).unwrap().unwrap().core;
        let state = self.engine.as_ref().unwrap().core().state();
        assert_eq!(again.state().counters(), state.counters());
    }
}

pub fn signed(key: &Key, hash: &B256) -> SignerAnswer {
    let signature = key.sign(hash);
    let compact = [signature.r().to_be_bytes::<32>(), signature.s().to_be_bytes()].concat();
    SignerAnswer::Signed { compact }
}
