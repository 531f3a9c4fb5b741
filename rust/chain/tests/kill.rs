//! A process that mines is killed again and again. What it had acknowledged is there afterwards, and the head is a whole
//! block.

use std::{path::Path, sync::Arc};

use execlayer_chain::{Chain, Genesis, MineOptions, Options, check_state, dev_key};
use store::Store;
use types::{Address, Transaction, TxKind, U256, tx::TxEip1559};

use crate::victim::{Victim, kills, say};

mod victim;

/// In a test run.
const KILLS: u64 = 100;
const BOB: Address = Address::repeat_byte(0xb0);

fn open_both(folder: &Path) -> (Arc<Chain>, Arc<Store>) {
    let store = Arc::new(Store::open(folder, store::Options::default()).unwrap());
    (Chain::open(store.clone(), Genesis::dev([]), Options::default()).unwrap(), store)
}

fn open(folder: &Path) -> Arc<Chain> {
    open_both(folder).0
}

/// One wei to Bob in each block, so that the head's number tells Bob's balance.
fn mine(chain: &Chain) -> u64 {
    let number = chain.head().id.number + 1;
    let transfer = TxEip1559 {
        chain_id: chain.spec().chain_id,
        nonce: number - 1,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(BOB),
        value: U256::ONE,
        ..TxEip1559::default()
    };
    let batch = vec![Transaction::sign(transfer, &dev_key(0)).into()];
    chain.mine_batch(batch, MineOptions::at(number)).unwrap().block.id.number
}

/// Not a test of its own: what the killed process does. Without the folder it has nothing to do.
#[test]
fn child_mines_until_it_is_killed() {
    let Some(folder) = victim::folder() else { return };
    let chain = open(&folder);
    loop {
        say(mine(&chain));
    }
}

const POOL_KILLS: u64 = 20;

fn open_with_journal(folder: &Path) -> Arc<Chain> {
    let chain = open(folder);
    chain.open_journal(&folder.join("pool.journal")).unwrap();
    chain
}

/// Not a test of its own: fills a pool, one acknowledged transaction after the other.
#[test]
fn child_submits_until_it_is_killed() {
    let Some(folder) = victim::folder() else { return };
    let chain = open_with_journal(&folder);
    for nonce in chain.next_nonce(&dev_key(0).address()).unwrap().. {
        let transfer = TxEip1559 {
            chain_id: chain.spec().chain_id,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 10_000_000_000,
            to: TxKind::Call(BOB),
            ..TxEip1559::default()
        };
        chain.submit(vec![Transaction::sign(transfer, &dev_key(0)).into()])[0].as_ref().unwrap();
        say(nonce);
    }
}

#[test]
fn a_killed_pool_comes_back_with_all_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    for kill in 0..kills(POOL_KILLS) {
        let mut child = Victim::start("child_submits_until_it_is_killed", folder.path());
        let mut acknowledged = 0;
        for _ in 0..=kill % 7 {
            acknowledged = child.hear().expect("the child goes on");
        }
        acknowledged = child.kill().unwrap_or(acknowledged);
        let chain = open_with_journal(folder.path());
        let sender = dev_key(0).address();
        let nonces: Vec<_> = chain.pool().pending(&sender).map(|pooled| pooled.nonce).collect();
        assert!(nonces.len() as u64 > acknowledged, "{acknowledged} was acknowledged, {} are there", nonces.len());
        assert_eq!(nonces, (0..nonces.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn a_killed_miner_leaves_whole_blocks_and_all_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut height = open(folder.path()).head().id.number;
    for kill in 0..kills(KILLS) {
        let mut child = Victim::start("child_mines_until_it_is_killed", folder.path());
        let mut acknowledged = height;
        // At another point of its work each time.
        for _ in 0..=kill % 3 {
            acknowledged = child.hear().expect("the child goes on mining");
        }
        acknowledged = child.kill().unwrap_or(acknowledged);

        let (chain, store) = open_both(folder.path());
        let head = chain.head();
        assert!(head.id.number >= acknowledged, "{acknowledged} was acknowledged, {} is there", head.id.number);
        assert_eq!(head.state.account(&BOB).unwrap().unwrap().balance, U256::from(head.id.number));
        assert_eq!((store.check().unwrap().faults, check_state(&*store).unwrap().faults), (vec![], vec![]));
        height = head.id.number;
    }
    assert!(height >= kills(KILLS));
}
