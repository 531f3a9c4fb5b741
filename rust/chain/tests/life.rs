//! The life of a block: submitted, mined, kept, undone, imported elsewhere.

use std::sync::Arc;

use exec::call::{BlockOverrides, CallRequest};
use execlayer_chain::{
    BlockRef, Chain, Genesis, ImportError, Imported, MineError, MineOptions, Options, Submission, dev_key,
};
use store::Store;
use types::{Address, B256, Block, Bytes, Transaction, TxKind, U256, tx::TxEip1559};

const CHAIN_ID: u64 = 31_337;

fn dev() -> Arc<Chain> {
    Chain::open(Arc::new(Store::memory()), Genesis::dev([]), Options::default()).unwrap()
}

fn transfer(sender: usize, nonce: u64, to: Address, value: u64) -> Transaction {
    let unsigned = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        value: U256::from(value),
        ..TxEip1559::default()
    };
    Transaction::sign(unsigned, &dev_key(sender))
}

fn raw(transaction: &Transaction) -> Submission {
    transaction.to_bytes().into()
}

const BOB: Address = Address::repeat_byte(0xb0);

#[test]
fn what_is_submitted_is_mined_and_found_again() {
    let chain = dev();
    let sent = transfer(0, 0, BOB, 5);
    assert_eq!(chain.submit(vec![raw(&sent)]), [Ok(sent.hash())]);
    assert_eq!(chain.next_nonce(&dev_key(0).address()).unwrap(), 1);
    let mined = chain.mine(MineOptions::at(7)).unwrap();
    assert_eq!(mined.skipped, []);
    assert_eq!(chain.head().id, mined.block.id);
    assert!(chain.pool().is_empty());
    let located = chain.transaction(&sent.hash()).unwrap().unwrap();
    assert_eq!((located.block.id, located.index), (mined.block.id, 0));
    assert!(located.block.receipts[0].outcome.is_success());
    assert_eq!(chain.at(BlockRef::Latest).unwrap().balance(&BOB).unwrap(), U256::from(5));
    assert_eq!(chain.at(BlockRef::Earliest).unwrap().balance(&BOB).unwrap(), U256::ZERO);
}

#[test]
fn a_time_that_the_head_has_reached_is_refused_unless_a_later_one_will_do() {
    let chain = dev();
    let times = [5, 5, 4, 9].map(|time| chain.mine(MineOptions::not_before(time)).unwrap().block.header.timestamp);
    assert_eq!(times, [5, 6, 7, 9]);
    let head = chain.head().id;
    assert!(matches!(chain.mine(MineOptions::at(9)), Err(MineError::Mismatch(_))));
    assert_eq!(chain.head().id, head);
    // Several who make blocks at one time don't get in each other's way.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| drop(chain.mine(MineOptions::not_before(20)).unwrap())));
        }
    });
    assert_eq!(chain.head().header.timestamp, 20 + 99);
}

#[test]
fn a_batch_with_one_bad_transaction_makes_no_block() {
    let chain = dev();
    let before = chain.head().id;
    let batch = vec![raw(&transfer(0, 0, BOB, 1)), raw(&transfer(0, 2, BOB, 1))];
    let error = chain.mine_batch(batch, MineOptions::at(1)).unwrap_err();
    assert!(error.to_string().starts_with("transaction 1: "), "{error}");
    let error = chain.mine_batch(vec![Bytes::from_static(b"junk").into()], MineOptions::at(1)).unwrap_err();
    assert!(matches!(error, MineError::Transaction { index: 0, .. }), "{error}");
    let error = chain.mine(MineOptions::at(0)).unwrap_err();
    assert!(error.to_string().contains("timestamp is 0"), "{error}");
    assert_eq!(chain.head().id, before);
}

#[test]
fn an_anchor_brings_everything_back() {
    let chain = dev();
    chain.submit(vec![raw(&transfer(1, 0, BOB, 1))]);
    let (head, waiting) = (chain.head().id, chain.pool().len());
    let outer = chain.anchor().unwrap();
    chain.mine(MineOptions::at(1)).unwrap();
    let inner = chain.anchor().unwrap();
    let middle = chain.head().id;
    for time in 2..6 {
        chain.submit(vec![raw(&transfer(0, time - 2, BOB, 1))]);
        chain.mine(MineOptions::at(time)).unwrap();
    }
    chain.undo(inner).unwrap();
    assert_eq!(chain.head().id, middle);
    chain.undo(outer).unwrap();
    assert_eq!(chain.head().id, head);
    assert_eq!(chain.pool().len(), waiting);
    assert_eq!(chain.at(BlockRef::Latest).unwrap().balance(&BOB).unwrap(), U256::ZERO);
    assert!(chain.undo(inner).is_err());
}

/// Blocks that one chain made are taken by another, and the better branch wins; states stay readable on the way.
#[test]
fn another_chain_imports_what_was_mined_and_follows_the_longer_branch() {
    let (one, two, three) = (dev(), dev(), dev());
    let mut blocks = Vec::new();
    for time in 1..4 {
        one.submit(vec![raw(&transfer(0, time - 1, BOB, time))]);
        blocks.push(one.mine(MineOptions::at(time)).unwrap().block);
    }
    two.submit(vec![raw(&transfer(3, 0, BOB, 1_000))]);
    let other = two.mine(MineOptions::at(9)).unwrap().block;
    let block = |stored: &state::StoredBlock| Block { header: stored.header.clone(), body: stored.body.clone() };
    assert_eq!(three.import(block(&other)).unwrap(), Imported::Head { removed: 0 });
    assert_eq!(three.import(block(&blocks[0])).unwrap(), Imported::Side);
    assert_eq!(three.at(blocks[0].id.into()).unwrap().balance(&BOB).unwrap(), U256::from(1));
    assert_eq!(three.import(block(&blocks[1])).unwrap(), Imported::Head { removed: 1 });
    assert_eq!(three.import(block(&blocks[1])).unwrap(), Imported::Known);
    assert_eq!(three.import(block(&blocks[2])).unwrap(), Imported::Head { removed: 0 });
    assert_eq!(three.head().id, one.head().id);
    assert_eq!(three.at(BlockRef::Latest).unwrap().balance(&BOB).unwrap(), U256::from(6));
    // What the losing branch held waits again.
    assert_eq!(three.pool().len(), 1);
}

#[test]
fn a_bad_block_is_refused_with_the_field_and_both_values() {
    let (one, two) = (dev(), dev());
    one.submit(vec![raw(&transfer(0, 0, BOB, 1))]);
    let good = one.mine(MineOptions::at(1)).unwrap().block;
    let good = Block { header: good.header.clone(), body: good.body.clone() };
    let before = two.head().id;
    type Breakage = (&'static str, fn(&mut Block));
    let broken: [Breakage; 6] = [
        ("stateRoot", |block| block.header.state_root = B256::repeat_byte(1)),
        ("receiptsRoot", |block| block.header.receipts_root = B256::repeat_byte(1)),
        ("gasUsed", |block| block.header.gas_used += 1),
        ("baseFeePerGas", |block| block.header.base_fee_per_gas = Some(1)),
        ("transactionsRoot", |block| block.body.transactions.clear()),
        ("timestamp", |block| block.header.timestamp = 0),
    ];
    for (field, change) in broken {
        let mut block = good.clone();
        change(&mut block);
        let error = two.import(block).unwrap_err();
        assert!(matches!(&error, ImportError::Mismatch { mismatch, .. } if mismatch.field.name() == field), "{error}");
        assert_eq!(two.head().id, before);
    }
    assert_eq!(two.import(good).unwrap(), Imported::Head { removed: 0 });
}

#[test]
fn calls_change_nothing_and_estimates_are_exact() {
    let chain = dev();
    let head = chain.head().id;
    let [latest, pending] =
        [BlockRef::Latest, BlockRef::Pending].map(|block| chain.desk(block, &BlockOverrides::default()).unwrap());
    let request =
        CallRequest { from: dev_key(0).address(), to: Some(BOB), value: U256::from(1), ..CallRequest::default() };
    assert_eq!(latest.call(&request).unwrap().gas_used, 21_000);
    assert_eq!(pending.estimate_gas(&request).unwrap(), 21_000);
    // Creation of a contract whose code is one zero byte: PUSH1 1, PUSH1 0, RETURN.
    let create = CallRequest {
        from: dev_key(0).address(),
        input: Bytes::from_static(&[0x60, 1, 0x60, 0, 0xf3]),
        ..CallRequest::default()
    };
    let least = latest.estimate_gas(&create).unwrap();
    let enough = CallRequest { gas_limit: Some(least), ..create.clone() };
    let short = CallRequest { gas_limit: Some(least - 1), ..create };
    assert!(latest.call(&enough).unwrap().outcome.is_success());
    assert!(!latest.call(&short).is_ok_and(|called| called.outcome.is_success()));
    let broke = CallRequest { from: BOB, to: Some(Address::ZERO), value: U256::from(1), ..CallRequest::default() };
    assert!(latest.call(&broke).unwrap_err().to_string().contains("insufficient funds"));
    assert_eq!(chain.head().id, head);
}

#[test]
fn subscribers_hear_of_every_block_and_of_every_removal() {
    let chain = dev();
    let mut follows = chain.subscribe();
    assert_eq!(follows.next(std::time::Duration::ZERO).unwrap(), None);
    let anchor = chain.anchor().unwrap();
    let first = chain.mine(MineOptions::at(1)).unwrap().block.id;
    let second = chain.mine(MineOptions::at(2)).unwrap().block.id;
    assert_eq!(follows.next(std::time::Duration::ZERO).unwrap().unwrap().added, [first, second]);
    chain.undo(anchor).unwrap();
    assert_eq!(follows.next(std::time::Duration::ZERO).unwrap().unwrap().removed, [second, first]);
}
