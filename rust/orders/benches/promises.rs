//! The engine's promises of speed, with the journal on disk: a signal's frame to signed requests, and signals a second.
//!
//! `cargo bench -p execlayer-orders --bench promises`; with `--json` the rows as `make bench` reads them. The answer is
//! checked before anything is timed: every order is signed by its sender, at its nonce, and none is missing.

use std::time::Instant;

use execlayer_orders::{
    Config, Engine, Input, Now, Output,
    build::{Framing, Wiring},
    chain::Head,
    config::{Conflict, Endpoint, Relay},
    journal::SEGMENT_BYTES,
    sign::MemorySigner,
    wire::AuthKeys,
};
use types::{Address, B256, Transaction, U256, primitives::hex};

#[path = "../tests/model/signal.rs"]
mod signal;

const SENDERS: u64 = 1250;
const ORDERS: usize = 20_000;
const BATCH: usize = 100;
const SECOND_NS: u64 = 1_000_000_000;
const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: localhost:8545\r\nContent-Type: application/json\r\nContent-Length: ";

fn config(senders: Vec<Address>) -> Config {
    Config {
        endpoints: vec![Endpoint { submit: true, relay: Relay::None }],
        max_concurrent_orders: ORDERS as u32,
        max_results: u32::MAX,
        conflict: Conflict::Ignore,
        ..Config::new(1, Address::repeat_byte(0xcc), Address::repeat_byte(0xdd), senders)
    }
}

fn frame(id: u64, wall_ns: u64) -> Vec<u8> {
    signal::arbitrage(id, wall_ns, 10i128.pow(18)).to_frame(&signal::header(id, wall_ns), None)
}

fn engine(folder: &std::path::Path) -> (Engine, Now) {
    let mut signer = MemorySigner::new();
    let senders = (1..=SENDERS).map(|secret| signer.add(&B256::from(U256::from(secret))).expect("a small key"));
    let config = config(senders.collect());
    let wiring = Wiring { framings: vec![Framing::Http(HEAD.to_vec())], identity: None };
    let senders = config.senders.clone();
    let auth = AuthKeys::default();
    let mut engine =
        Engine::open(folder, SEGMENT_BYTES, config, wiring, Box::new(signer), auth).expect("an empty folder");
    let now = Now { mono_ns: 1, wall_ns: 1_700_000_000 * SECOND_NS };
    let head = Head {
        number: 100,
        hash: B256::repeat_byte(1),
        base_fee: SECOND_NS,
        gas_limit: 30,
        gas_used: 15,
        ..Head::default()
    };
    engine.step(now, Input::Head { head }).expect("a journal");
    for sender in senders {
        let balance = U256::from(10u128.pow(22));
        let account = Input::Account { sender, nonce: 0, balance, number: 100, block: head.hash };
        engine.step(now, account).expect("a journal");
    }
    (engine, now)
}

/// Every order's request holds a call that its sender signed, and no slot is used twice.
fn check(outputs: &[Output], orders: usize) -> Result<(), String> {
    let mut slots = std::collections::BTreeSet::new();
    for output in outputs {
        let Output::Send { bytes, .. } = output else { continue };
        let start = bytes.windows(6).position(|at| at == b"[\"0x02").ok_or("no transaction in a request")? + 4;
        let end = bytes.len() - 3;
        let raw = hex::decode(&bytes[start..end]).map_err(|error| error.to_string())?;
        let transaction = Transaction::from_bytes(&raw).map_err(|error| error.to_string())?;
        let sender = transaction.recover().map_err(|error| error.to_string())?;
        slots.insert((sender, transaction.nonce()));
    }
    if slots.len() == orders { Ok(()) } else { Err(format!("{} of {orders} orders have a slot", slots.len())) }
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = std::env::args().any(|argument| argument == "--json");
    let row = |name: &str, kind: &str, ours: f64, unit: &str, target: f64| {
        if json {
            println!(
                r#"{{"name": "orders, {name}", "kind": "{kind}", "ours": {ours:.4}, "unit": "{unit}", "target": {target}}}"#
            );
        } else {
            println!("{name:<48} {ours:>12.2} {unit} (target {target})");
        }
    };

    let (mut one, now) = engine(&folder.path().join("one"));
    let singles = 2_000;
    let frames: Vec<_> = (1..=singles as u64).map(|id| frame(id, now.wall_ns)).collect();
    let (mut times, mut outputs) = (Vec::with_capacity(singles), Vec::new());
    for frame in &frames {
        let begin = Instant::now();
        let made = one.frame(now, frame, true).expect("a journal").expect("a good frame");
        times.push(begin.elapsed().as_nanos() as f64 / 1000.0);
        outputs.extend(made);
    }
    if let Err(wrong) = check(&outputs, singles) {
        println!(r#"{{"name": "orders", "wrong": "{wrong}"}}"#);
        return;
    }
    // The first order of each sender proves its signer; the promise is about all that follow.
    times.drain(..SENDERS as usize);
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    row("frame bytes to request bytes, p50", "at_most", at(0.5), "µs", 30.0);
    row("frame bytes to request bytes, p99", "at_most", at(0.99), "µs", 1000.0);

    let (mut many, now) = engine(&folder.path().join("many"));
    let frames: Vec<_> = (1..=ORDERS as u64).map(|id| frame(id, now.wall_ns)).collect();
    let mut outputs = Vec::with_capacity(ORDERS);
    let begin = Instant::now();
    for batch in frames.chunks(BATCH) {
        let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        let (made, refused) = many.frames(now, &batch, true).expect("a journal");
        assert!(refused.iter().all(Option::is_none), "a frame was refused");
        outputs.extend(made);
    }
    let rate = ORDERS as f64 / begin.elapsed().as_secs_f64();
    if let Err(wrong) = check(&outputs, ORDERS) {
        println!(r#"{{"name": "orders", "wrong": "{wrong}"}}"#);
        return;
    }
    row("signals through the engine, journal on disk", "at_least", rate, "a second", 10_000.0);

    // A restart: 1,000 live orders of the first engine's, replayed from the journal alone.
    drop(many);
    drop(one);
    let begin = Instant::now();
    let mut again = reopened(&folder.path().join("one"));
    let live = again.core().state().active();
    again.step(now, Input::Restarted).expect("a journal");
    let ready = begin.elapsed().as_secs_f64();
    if live != singles {
        println!(r#"{{"name": "orders", "wrong": "{live} of {singles} orders after a restart"}}"#);
        return;
    }
    row("restart with 2,000 live orders", "at_most", ready, "s", 2.0);
}

fn reopened(folder: &std::path::Path) -> Engine {
    let mut signer = MemorySigner::new();
    let senders = (1..=SENDERS).map(|secret| signer.add(&B256::from(U256::from(secret))).expect("a small key"));
    let config = config(senders.collect());
    let wiring = Wiring { framings: vec![Framing::Http(HEAD.to_vec())], identity: None };
    Engine::open(folder, SEGMENT_BYTES, config, wiring, Box::new(signer), AuthKeys::default()).expect("its own journal")
}
