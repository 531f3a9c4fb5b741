use types::{Address, Key, U256};

use super::*;
use crate::{
    Engine, Now,
    build::Framing,
    chain::Head,
    config::{Conflict, Endpoint, Relay},
    journal::SEGMENT_BYTES,
    replies::Verdict,
    sign::MemorySigner,
    wire::AuthKeys,
};

#[path = "../../tests/model/signal.rs"]
mod arbitrage;

const GWEI: u64 = 1_000_000_000;
const NOW: Now = Now { mono_ns: 1, wall_ns: 1_700_000_000 * GWEI };

fn signer() -> Box<MemorySigner> {
    let mut signer = MemorySigner::new();
    signer.add(&B256::repeat_byte(0x21)).unwrap();
    Box::new(signer)
}

fn signal(id: u64, profit: i128) -> Input {
    let parts = arbitrage::arbitrage(id, NOW.wall_ns, profit);
    Input::Frame { bytes: parts.to_frame(&arbitrage::header(id, NOW.wall_ns), None) }
}

fn head(number: u64) -> Head {
    let hash = |number: u64| B256::repeat_byte(number as u8);
    Head {
        number,
        hash: hash(number),
        parent: hash(number - 1),
        base_fee: GWEI,
        gas_used: 15,
        gas_limit: 30,
        timestamp: number * 12,
    }
}

/// A journal of two orders: both were sent, acknowledged and settled.
fn journal() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let sender = Key::from_bytes(&B256::repeat_byte(0x21)).unwrap().address();
    let config = Config {
        endpoints: vec![Endpoint { submit: true, relay: Relay::None }],
        conflict: Conflict::Ignore,
        ..Config::new(1, Address::repeat_byte(0xcc), Address::repeat_byte(0xdd), vec![sender])
    };
    let wiring = Wiring { framings: vec![Framing::Bare], identity: None };
    let auth = AuthKeys::default();
    let mut engine = Engine::open(folder.path(), SEGMENT_BYTES, config, wiring, signer(), auth).unwrap();
    engine.step(NOW, Input::Head { head: head(100) }).unwrap();
    let balance = U256::from(10u128.pow(20));
    let account = Input::Account { sender, nonce: 0, balance, number: 100, block: head(100).hash };
    engine.step(NOW, account).unwrap();
    let mut receipts = Vec::new();
    for (id, profit) in [(1, 10i128.pow(17)), (2, 10i128.pow(16))] {
        for output in engine.step(NOW, signal(id, profit)).unwrap() {
            let Output::Send { request, .. } = output else { continue };
            let tx_hash = engine.core().state().sent_hash(request).unwrap();
            engine.step(NOW, Input::Written { request }).unwrap();
            engine.step(NOW, Input::Replied { request, verdict: Verdict::Accepted }).unwrap();
            let (gas_used, gas_price) = (100_000, 2 * GWEI);
            let tx_index = id as u32;
            receipts.push(Receipt { tx_hash, tx_index, success: true, gas_used, gas_price, logs: vec![] });
        }
    }
    engine.step(NOW, Input::Head { head: head(101) }).unwrap();
    engine.step(NOW, Input::Receipts { block: head(101).hash, receipts }).unwrap();
    for number in 102..=103 {
        engine.step(NOW, Input::Head { head: head(number) }).unwrap();
    }
    let account = Input::Account { sender, nonce: 2, balance, number: 103, block: head(103).hash };
    engine.step(NOW, account).unwrap();
    assert_eq!(engine.core().state().counters().orders_completed, 2);
    folder
}

fn replay(folder: &Path, change: impl Fn(Config) -> Config) -> WhatIf {
    what_if(folder, 1, [signer(), signer()], change).unwrap().unwrap()
}

#[test]
fn unchanged_settings_change_nothing() {
    let folder = journal();
    let same = replay(folder.path(), |config| config);
    assert_eq!(same.differences, []);
    assert_eq!(same.would.state().counters(), same.was.state().counters());
}

#[test]
fn an_order_that_would_have_been_refused_is_told_with_its_reason_and_the_others_go_on() {
    let folder = journal();
    let stricter = replay(folder.path(), |config| Config { min_net_profit_wei: 5 * 10u64.pow(16), ..config });
    let [Difference { order_id: 2, was, would }] = stricter.differences[..] else {
        panic!("{:?}", stricter.differences);
    };
    assert_eq!((was.sub, was.signed, was.realized_wei), (Sub::Confirmed, 1, -200_000 * i128::from(GWEI)));
    assert_eq!((would.sub, would.signed, would.realized_wei), (Sub::Closed, 0, 0));
    assert_eq!(would.failure, Some(FailureCode::InsufficientProfit));
    assert_eq!(stricter.would.state().counters().orders_completed, 1);
    assert!(stricter.would.state().lanes().iter().all(|(_, lane)| !lane.frozen));
}

#[test]
fn other_fees_are_paid_at_the_block_that_took_it_or_it_would_not_have_been_taken() {
    let folder = journal();
    let dearer = replay(folder.path(), |config| Config { min_priority_fee: 2 * GWEI, ..config });
    assert_eq!(dearer.differences.len(), 2);
    for Difference { was, would, .. } in dearer.differences {
        assert!(would.max_fee > was.max_fee);
        assert_eq!((was.realized_wei, would.realized_wei), (-200_000 * i128::from(GWEI), -300_000 * i128::from(GWEI)));
    }
}

#[test]
fn an_empty_folder_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert!(what_if(folder.path(), 1, [signer(), signer()], |config| config).unwrap().is_none());
}
