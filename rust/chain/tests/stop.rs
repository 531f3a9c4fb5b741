//! Work that nobody waits for any more: it stops, and the chain is as it was.

use std::{sync::Arc, thread};

use exec::call::{BlockOverrides, CallRequest};
use execlayer_chain::{BlockRef, Chain, Genesis, MineOptions, Options, Stop, Stopped, Submission, dev_key};
use store::Store;
use types::{Address, B256, Block, Transaction, TxKind, tx::TxEip1559};

/// Jumps to its beginning for as long as there is gas.
const ENDLESS: Address = Address::repeat_byte(0xee);

/// Hours of jumping.
const GAS: u64 = 1 << 46;

fn genesis() -> Genesis {
    let json = format!(
        r#"{{"config": {{"chainId": 31337, "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 0}},
            "difficulty": "0x0", "gasLimit": "{:#x}", "alloc": {{
                "{}": {{"balance": "0x1000000000000000000000000"}}, "{ENDLESS}": {{"code": "0x5b600056", "balance": "0x0"}}
            }}}}"#,
        GAS + 1_000_000,
        dev_key(0).address(),
    );
    Genesis::from_json(&json).unwrap()
}

fn open() -> Arc<Chain> {
    Chain::open(Arc::new(Store::memory()), genesis(), Options::default()).unwrap()
}

fn sent(nonce: u64, to: Address, gas_limit: u64) -> Submission {
    let unsigned = TxEip1559 {
        chain_id: 31_337,
        nonce,
        gas_limit,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(to),
        ..TxEip1559::default()
    };
    Transaction::sign(unsigned, &dev_key(0)).into()
}

/// All that a chain shows of itself.
fn shown(chain: &Chain) -> (types::BlockId, usize, B256) {
    (chain.head().id, chain.pool().len(), chain.head().header.state_root)
}

/// The desk of the next block.
fn desk(chain: &Chain) -> exec::call::Desk {
    chain.desk(BlockRef::Pending, &BlockOverrides::default()).unwrap()
}

/// Whether an error says that the work was stopped, whatever it went through.
fn says_stopped(error: impl std::error::Error) -> bool {
    error.to_string() == Stopped.to_string()
}

#[test]
fn endless_work_on_any_thread_is_stopped_and_leaves_no_trace() {
    let chain = open();
    chain.submit(vec![sent(0, ENDLESS, GAS)]);
    let before = shown(&chain);
    let call = CallRequest { to: Some(ENDLESS), ..CallRequest::default() };
    let kept = desk(&chain);
    type Work<'a> = Box<dyn FnOnce() -> bool + Send + 'a>;
    let works: Vec<Work<'_>> = vec![
        Box::new(|| says_stopped(chain.mine(MineOptions::at(1)).unwrap_err())),
        Box::new(|| says_stopped(chain.mine_batch(vec![sent(0, ENDLESS, GAS)], MineOptions::at(1)).unwrap_err())),
        Box::new(|| says_stopped(desk(&chain).call(&call).unwrap_err())),
        Box::new(|| says_stopped(kept.call(&call).unwrap_err())),
        Box::new(|| says_stopped(desk(&chain).estimate_gas(&call).unwrap_err())),
    ];
    for work in works {
        let stop = Stop::new();
        thread::scope(|scope| {
            let worker = scope.spawn(|| stop.within(work));
            // Before, while or after it begins: it ends all the same.
            stop.ask();
            assert!(worker.join().unwrap());
        });
        assert_eq!(shown(&chain), before);
    }
    chain.clear_pool();
    chain.mine_batch(vec![sent(0, Address::ZERO, 21_000)], MineOptions::at(1)).unwrap();
    assert_eq!(chain.head().id.number, 1);
}

#[test]
fn whoever_was_asked_to_stop_changes_nothing() {
    let (chain, other) = (open(), open());
    let anchor = chain.anchor().unwrap();
    let mined = chain.mine_batch(vec![sent(0, Address::ZERO, 21_000)], MineOptions::at(1)).unwrap().block;
    let theirs = other.mine_batch(vec![sent(0, Address::ZERO, 22_000)], MineOptions::at(2)).unwrap().block;
    let theirs = Block { header: theirs.header.clone(), body: theirs.body.clone() };
    let before = shown(&chain);
    let stop = Stop::new();
    stop.ask();
    stop.within(|| {
        assert!(says_stopped(chain.mine(MineOptions::at(9)).unwrap_err()));
        assert!(says_stopped(chain.import(theirs.clone()).unwrap_err()));
        assert!(says_stopped(chain.undo(anchor).unwrap_err()));
        let answers = chain.submit(vec![sent(1, Address::ZERO, 21_000), sent(2, Address::ZERO, 21_000)]);
        assert!(answers.into_iter().all(|answer| says_stopped(answer.unwrap_err())));
    });
    assert_eq!(shown(&chain), before);
    assert!(chain.block(theirs.header.hash_slow().into()).is_err());
    // Without it all of that goes.
    chain.import(theirs).unwrap();
    chain.undo(anchor).unwrap();
    assert_eq!(chain.head().id.number, 0);
    assert!(chain.block(mined.id.into()).is_err());
}

#[test]
fn whoever_waits_for_another_to_finish_can_be_stopped_too() {
    let chain = open();
    let (first, second) = (Stop::new(), Stop::new());
    thread::scope(|scope| {
        let mining = scope.spawn(|| first.within(|| chain.mine_batch(vec![sent(0, ENDLESS, GAS)], MineOptions::at(1))));
        let waiting =
            scope.spawn(|| second.within(|| chain.mine_batch(vec![sent(0, ENDLESS, GAS)], MineOptions::at(2))));
        second.ask();
        assert!(says_stopped(waiting.join().unwrap().unwrap_err()));
        first.ask();
        assert!(says_stopped(mining.join().unwrap().unwrap_err()));
    });
    assert_eq!(chain.head().id.number, 0);
}
