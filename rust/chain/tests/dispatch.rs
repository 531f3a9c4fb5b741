//! Blocks of what waits where something goes wrong: each trouble provoked, what the table says observed, nothing lost.

use std::{
    fmt,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use evm::{
    Fork, Rejection,
    spec::{Activation, Cause, ChainSpec, Changes, CustomPrecompile},
};
use exec::Parallel;
use execlayer_chain::{
    BlockRef, Chain, Dispatch, Genesis, GenesisAccount, MineOptions, Options, Submission, Trouble, dev_key,
};
use pool::{Change, Class, DropReason, NEUTRAL, Settings};
use store::Store;
use tracing::{
    Level, Metadata, Subscriber,
    field::Field,
    span::{Attributes, Id, Record},
};
use types::{
    Address, Authorization, B256, Bytes, Payload, Transaction, TxKind, U256, keccak256, system,
    tx::{
        TxEip1559, TxEip7702,
        asset_transfer::{AssetMove, AssetTransfer},
        own::{SignedOwn, TxOwn},
    },
};

const CHAIN_ID: u64 = 31_337;
const BOB: Address = Address::repeat_byte(0xb0);
/// A precompile that panics where it is told 1, and fails where it is told 2.
const FAULTY: Address = Address::repeat_byte(0xfa);
/// Reverts always.
const REVERTS: Address = Address::repeat_byte(0xee);
/// Writes a log of 64 KiB.
const TALKS: Address = Address::repeat_byte(0x10);

fn genesis() -> Genesis {
    genesis_with_gas(100_000_000)
}

fn genesis_with_gas(gas_limit: u64) -> Genesis {
    LazyLock::force(&LINES);
    let faulty = CustomPrecompile {
        name: "faulty".to_owned(),
        consensus: true,
        run: Arc::new(|input: &Bytes, _| match input.first() {
            Some(1) => panic!("a bug of ours"),
            _ => Err(Cause { text: "no answer".to_owned(), value: None }),
        }),
    };
    let spec = ChainSpec {
        changes: Changes::default().with_precompile(FAULTY, faulty),
        ..ChainSpec::at(CHAIN_ID, Fork::Osaka)
    };
    let code = |code: &'static [u8]| GenesisAccount { code: Bytes::from_static(code), ..GenesisAccount::default() };
    let mut alloc = Genesis::dev([]).alloc().clone();
    // PUSH0 PUSH0 REVERT; PUSH3 0x010000 PUSH0 LOG0.
    alloc.insert(REVERTS, code(&[0x5f, 0x5f, 0xfd]));
    alloc.insert(TALKS, code(&[0x62, 1, 0, 0, 0x5f, 0xa0]));
    Genesis::new(spec, gas_limit, alloc)
}

fn open(dispatch: Dispatch) -> Arc<Chain> {
    let options = Options { dispatch, clock: || 1_000, ..Options::default() };
    Chain::open(Arc::new(Store::memory()), genesis(), options).unwrap()
}

fn call(sender: usize, nonce: u64, to: Address, input: &'static [u8], gas_limit: u64) -> Transaction {
    let unsigned = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        input: Bytes::from_static(input),
        ..TxEip1559::default()
    };
    Transaction::sign(unsigned, &dev_key(sender))
}

fn transfer(sender: usize, nonce: u64) -> Transaction {
    call(sender, nonce, BOB, &[], 21_000)
}

fn submit(chain: &Chain, transactions: &[Transaction]) -> Vec<B256> {
    let batch = transactions.iter().map(|transaction| Submission::Signed(transaction.clone())).collect();
    chain.submit(batch).into_iter().map(Result::unwrap).collect()
}

fn names(transactions: &[Transaction]) -> Vec<B256> {
    transactions.iter().map(Transaction::hash).collect()
}

/// What is logged as an error, a line each.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

/// Of all tests: who listens has to do so before the first error is told, or it may not be heard of.
static LINES: LazyLock<Lines> = LazyLock::new(|| {
    let lines = Lines::default();
    tracing::subscriber::set_global_default(lines.clone()).unwrap();
    lines
});

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = String::new();
        event.record(&mut |field: &Field, value: &dyn fmt::Debug| line += &format!("{field}={value:?} "));
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_fault_of_ours_costs_its_transaction_and_no_other() {
    for input in [&[1u8], &[2]] {
        for (times, batch_size) in [1, 3, 1_024].into_iter().enumerate() {
            let chain = open(Dispatch { batch_size, ..Dispatch::default() });
            let bad = call(1, 0, FAULTY, input, 100_001);
            let sent = [transfer(0, 0), bad.clone(), transfer(1, 1), transfer(2, 0), transfer(0, 1), transfer(3, 0)];
            submit(&chain, &sent);
            let mut events = chain.subscribe_pool();
            let mined = chain.mine(MineOptions::at(1)).unwrap();
            // Whoever runs the node is told, once each time.
            let lines = LINES.0.lock().unwrap();
            assert_eq!(
                lines.iter().filter(|line| line.contains(&bad.hash().to_string())).count(),
                times + 1,
                "{lines:?}"
            );
            drop(lines);
            let included = names(&mined.block.body.transactions);
            let expected: Vec<_> = [0, 3, 4, 5].map(|at| sent[at].hash()).into();
            assert_eq!(included.len(), expected.len(), "{included:?}");
            assert!(expected.iter().all(|hash| included.contains(hash)));
            let [(hash, Trouble::Fault(reason))] = &mined.skipped[..] else { panic!("{:?}", mined.skipped) };
            assert_eq!(*hash, bad.hash());
            assert!(reason.contains(if input[0] == 1 { "a bug of ours" } else { "no answer" }), "{reason}");
            // The culprit is set aside, its successor waits behind the gap.
            let heard = events.next(Duration::ZERO).events;
            let dropped = heard.iter().find(|event| event.change == Change::Dropped(DropReason::Faulty)).unwrap();
            assert_eq!(dropped.hash, bad.hash());
            let pool = chain.pool();
            assert_eq!((pool.len(), pool.is_pending(&sent[2].hash())), (1, false));
            drop(pool);
            let stats = chain.stats();
            assert_eq!((stats.errors.get("INTERNAL_FAULT"), stats.aborted_batches), (Some(&1), 1));
            // Another chain takes the block: what was undone left no trace.
            let block = types::Block { header: mined.block.header.clone(), body: mined.block.body.clone() };
            open(Dispatch::default()).import(block).unwrap();
        }
    }
}

#[test]
fn more_faults_than_a_block_bears_end_it_and_the_next_goes_on() {
    let chain = open(Dispatch { batch_size: 4, ..Dispatch::default() });
    let mut sent = Vec::new();
    for sender in 0..10 {
        sent.push(call(sender, 0, FAULTY, &[1], 100_000));
    }
    submit(&chain, &sent);
    submit(&chain, &(0..10).map(|sender| transfer(sender, 1)).collect::<Vec<_>>());
    let mined = chain.mine(MineOptions::at(1)).unwrap();
    assert_eq!(mined.skipped.len(), 10);
    assert_eq!(chain.pool().len(), 10);
    submit(&chain, &(0..10).map(|sender| transfer(sender, 0)).collect::<Vec<_>>());
    assert_eq!(chain.mine(MineOptions::at(2)).unwrap().block.receipts.len(), 20);
}

#[test]
fn a_batch_that_needs_too_much_memory_is_halved_and_grows_back() {
    let dispatch = Dispatch { batch_size: 16, batch_memory_bytes: 300_000, ..Dispatch::default() };
    let chain = open(dispatch);
    let sent: Vec<_> =
        (0..8).flat_map(|nonce| (0..2).map(move |sender| call(sender, nonce, TALKS, &[], 700_000))).collect();
    submit(&chain, &sent);
    let mined = chain.mine(MineOptions::at(1)).unwrap();
    assert_eq!((mined.block.receipts.len(), mined.skipped.len()), (16, 0));
    let stats = chain.stats();
    assert!(stats.batch_size <= 4 && stats.aborted_batches >= 2, "{stats:?}");
    let block = types::Block { header: mined.block.header.clone(), body: mined.block.body.clone() };
    open(Dispatch::default()).import(block).unwrap();
    for time in 2..80 {
        submit(&chain, &[transfer(2, time - 2)]);
        chain.mine(MineOptions::at(time)).unwrap();
    }
    assert_eq!(chain.stats().batch_size, 16);
}

#[test]
fn whoever_undoes_a_batch_does_so_once() {
    // Room for one that talks beside what else a batch holds, not for two: whichever batch holds the second is undone.
    let chain = open(Dispatch { batch_size: 64, batch_memory_bytes: 120_000, ..Dispatch::default() });
    let mut sent: Vec<_> = (0..6).flat_map(|nonce| (0..8).map(move |sender| transfer(sender, nonce))).collect();
    sent.extend([call(8, 0, TALKS, &[], 700_000), call(9, 0, TALKS, &[], 700_000)]);
    submit(&chain, &sent);
    let mined = chain.mine(MineOptions::at(1)).unwrap();
    assert_eq!((mined.block.receipts.len(), mined.skipped.len()), (50, 0));
    assert_eq!(chain.stats().aborted_batches, 1);
    let block = types::Block { header: mined.block.header.clone(), body: mined.block.body.clone() };
    open(Dispatch::default()).import(block).unwrap();
}

#[test]
fn one_that_alone_needs_too_much_memory_is_left_out_and_kept() {
    let chain = open(Dispatch { batch_size: 2, batch_memory_bytes: 60_000, ..Dispatch::default() });
    let sent = [transfer(0, 0), call(1, 0, TALKS, &[], 700_000), transfer(2, 0)];
    submit(&chain, &sent);
    let mined = chain.mine(MineOptions::at(1)).unwrap();
    assert_eq!(mined.block.receipts.len(), 2);
    let [(hash, Trouble::OutOfMemory { used, budget: 60_000 })] = mined.skipped[..] else {
        panic!("{:?}", mined.skipped)
    };
    assert!(hash == sent[1].hash() && used > 60_000);
    assert!(chain.pool().is_pending(&hash));
}

#[test]
fn one_that_would_fail_is_retried_with_growing_pauses_and_then_included() {
    let chain = open(Dispatch { presimulate: true, ..Dispatch::default() });
    let failing = call(0, 0, REVERTS, &[], 100_000);
    submit(&chain, &[failing.clone(), transfer(0, 1), transfer(1, 0)]);
    let mut tried = Vec::new();
    let mut included = None;
    for height in 1..=20 {
        let mined = chain.mine(MineOptions::at(height)).unwrap();
        match &mined.skipped[..] {
            [] => {}
            [(hash, Trouble::ExecutionFailed { attempts })] => {
                assert_eq!(*hash, failing.hash());
                tried.push((height, *attempts));
            }
            other => panic!("{other:?}"),
        }
        if names(&mined.block.body.transactions).contains(&failing.hash()) {
            assert!(!mined.block.receipts[0].outcome.is_success() && mined.block.receipts[1].outcome.is_success());
            included = Some(height);
            break;
        }
    }
    assert_eq!((tried, included), (vec![(1, 1), (3, 2), (7, 3)], Some(15)));
    assert!(chain.pool().is_empty());
    // Without it, Ethereum's rule: included with a failed receipt.
    let chain = open(Dispatch::default());
    submit(&chain, &[failing]);
    assert!(!chain.mine(MineOptions::at(1)).unwrap().block.receipts[0].outcome.is_success());
}

#[test]
fn a_nonce_that_the_block_itself_used_up_reorders_the_queue() {
    let chain = open(Dispatch::default());
    // Another one's authorization uses the first nonce of sender 1 (EIP-7702), before its own transaction comes.
    let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address: BOB, nonce: 0 };
    let signature = dev_key(1).sign(&authorization.signature_hash());
    let delegating = TxEip7702 {
        chain_id: CHAIN_ID,
        gas_limit: 200_000,
        max_fee_per_gas: 20_000_000_000,
        max_priority_fee_per_gas: 9_000_000_000,
        to: BOB,
        authorization_list: vec![authorization.into_signed(signature)],
        ..TxEip7702::default()
    };
    let sent = [Transaction::sign(delegating, &dev_key(0)), transfer(1, 0), transfer(1, 1), transfer(2, 0)];
    submit(&chain, &sent);
    let mined = chain.mine(MineOptions::at(1)).unwrap();
    assert_eq!(names(&mined.block.body.transactions), [sent[0].hash(), sent[3].hash()]);
    let rejection = Rejection::InvalidNonce { expected: 1, actual: 0 };
    assert_eq!(mined.skipped, [(sent[1].hash(), Trouble::Rejected(rejection))]);
    // What is below the state's nonce is dropped, the next one's turn has come.
    assert_eq!(chain.pool().len(), 1);
    assert_eq!(names(&chain.mine(MineOptions::at(2)).unwrap().block.body.transactions), [sent[2].hash()]);
}

#[test]
fn who_cannot_pay_any_more_is_removed() {
    let chain = open(Dispatch::default());
    let key = types::Key::from_bytes(&B256::repeat_byte(7)).unwrap();
    let funding = TxEip1559 {
        value: U256::from(10u64.pow(18)),
        to: TxKind::Call(key.address()),
        gas_limit: 21_000,
        chain_id: CHAIN_ID,
        max_fee_per_gas: 10_000_000_000,
        ..TxEip1559::default()
    };
    submit(&chain, &[Transaction::sign(funding.clone(), &dev_key(0))]);
    chain.mine(MineOptions::at(1)).unwrap();
    let poor = TxEip1559 { value: U256::ONE, to: TxKind::Call(BOB), ..funding };
    let poor = Transaction::sign(poor, &key);
    submit(&chain, std::slice::from_ref(&poor));
    // On the first block, where it has not got its money.
    let mined = chain.mine(MineOptions { parent: BlockRef::Earliest, ..MineOptions::at(2) }).unwrap();
    let [(hash, Trouble::Rejected(Rejection::InsufficientBalance { .. }))] = mined.skipped[..] else {
        panic!("{:?}", mined.skipped)
    };
    assert_eq!(hash, poor.hash());
    assert!(chain.pool().get(&hash).is_none());
    // What the undone block held waits again, and is not lost.
    assert_eq!(chain.pool().len(), 1);
}

#[test]
fn what_a_fork_makes_too_small_waits_and_what_it_forbids_is_removed() {
    let mut spec = ChainSpec::at(CHAIN_ID, Fork::Osaka);
    for (_, begin) in spec.forks.iter_mut().filter(|(fork, _)| *fork >= Fork::Prague) {
        *begin = Activation::Time(1_000);
    }
    let genesis = Genesis::new(spec, 100_000_000, Genesis::dev([]).alloc().clone());
    let options = Options { clock: || 1_000, ..Options::default() };
    let chain = Chain::open(Arc::new(Store::memory()), genesis, options).unwrap();
    // From Prague on call data has a floor price, from Osaka on a transaction's gas a bound.
    let small = call(0, 0, BOB, &[1; 1_000], 40_000);
    let large = call(1, 0, BOB, &[], (1 << 24) + 1);
    let exact = call(2, 0, BOB, &[], 1 << 24);
    submit(&chain, &[small.clone(), large.clone(), exact.clone(), transfer(0, 1), transfer(1, 1)]);
    let mined = chain.mine(MineOptions::at(1_000)).unwrap();
    assert_eq!(names(&mined.block.body.transactions), [exact.hash()]);
    let found = |transaction: &Transaction| {
        let of = mined.skipped.iter().find(|(hash, _)| *hash == transaction.hash());
        of.map(|(_, trouble)| trouble.clone())
    };
    let floor = Rejection::InsufficientFloorGas { required: 61_000, available: 40_000 };
    assert_eq!(found(&small), Some(Trouble::Rejected(floor)));
    let bound = Rejection::GasLimitTooHigh { limit: (1 << 24) + 1, max: 1 << 24 };
    assert_eq!(found(&large), Some(Trouble::Rejected(bound)));
    let pool = chain.pool();
    assert!(pool.is_pending(&small.hash()) && pool.get(&large.hash()).is_none());
    // What followed either is still there, one behind the gap.
    assert_eq!((pool.len(), pool.state(0).queued), (3, 1));
}

#[test]
fn gas_limits_that_promised_too_much_are_filled_up() {
    let chain = open(Dispatch::default());
    // Twelve ask for ten million gas each and take 21,000: a block of 100 million holds them all.
    let sent: Vec<_> =
        (0..4).flat_map(|sender| (0..3).map(move |nonce| call(sender, nonce, BOB, &[], 10_000_000))).collect();
    submit(&chain, &sent);
    assert_eq!(chain.mine(MineOptions::at(1)).unwrap().block.receipts.len(), 12);
}

#[test]
fn an_order_of_ones_own_decides_as_far_as_nonces_allow() {
    let chain = open(Dispatch::default());
    let sent = [transfer(0, 0), transfer(0, 1), transfer(1, 0), transfer(2, 0)];
    submit(&chain, &sent);
    let candidates = chain.candidates(100);
    assert_eq!(candidates.len(), 4);
    let score = |hash: B256| match sent.iter().position(|one| one.hash() == hash).unwrap() {
        1 => 9.0,
        2 => f64::NAN,
        other => other as f64,
    };
    let scores: Vec<_> = candidates.iter().map(|pooled| score(pooled.hash)).collect();
    let mined = chain.mine_ordered(&candidates, &scores, MineOptions::at(1)).unwrap();
    assert_eq!(names(&mined.block.body.transactions), [sent[3].hash(), sent[0].hash(), sent[1].hash()]);
    assert!(chain.pool().is_pending(&sent[2].hash()));
}

#[test]
fn what_a_reorg_undoes_waits_again_and_an_anchor_brings_the_pool_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.journal");
    // A copy: a journal is one process's.
    let reopened = |path: &std::path::Path| {
        let copy = path.with_extension("copy");
        std::fs::copy(path, &copy).unwrap();
        let chain = open(Dispatch::default());
        let taken = chain.open_journal(&copy).unwrap();
        (taken, chain.pool().by_age().map(|pooled| pooled.hash).collect::<Vec<_>>())
    };
    let chain = open(Dispatch::default());
    assert_eq!(chain.open_journal(&path).unwrap(), 0);
    let sent = [transfer(0, 0), transfer(1, 0), transfer(2, 0)];
    submit(&chain, &sent[..1]);
    let anchor = chain.anchor().unwrap();
    submit(&chain, &sent[1..2]);
    chain.mine(MineOptions::at(1)).unwrap();
    submit(&chain, &sent[2..]);
    assert_eq!(reopened(&path).1, [sent[2].hash()]);
    let mut events = chain.subscribe_pool();
    chain.undo(anchor).unwrap();
    assert_eq!(chain.pool().by_age().map(|pooled| pooled.hash).collect::<Vec<_>>(), [sent[0].hash()]);
    assert!(!events.next(Duration::ZERO).events.is_empty());
    assert_eq!(reopened(&path), (1, vec![sent[0].hash()]));
}

#[test]
fn a_journal_that_cannot_be_opened_leaves_the_chain_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let chain = open(Dispatch::default());
    let error = chain.open_journal(folder.path()).unwrap_err();
    assert_eq!((error.path, error.action), (folder.path().display().to_string(), "open"));
    assert!(chain.submit(vec![Submission::Signed(transfer(0, 0))])[0].is_ok());
}

/// Sixty transfers and forty calls of ten senders.
fn crowd() -> Vec<Transaction> {
    let one = |nonce: u64, sender: usize| match nonce % 5 {
        0 | 1 => call(sender, nonce, TALKS, &[], 700_000),
        _ => transfer(sender, nonce),
    };
    (0..10).flat_map(|nonce| (0..10).map(move |sender| one(nonce, sender))).collect()
}

#[test]
fn a_block_made_at_once_on_several_cores_is_the_one_made_in_batches() {
    let made = |parallel: Parallel| {
        let options = Options { parallel, threads_max: Some(2), clock: || 1_000, ..Options::default() };
        let chain = Chain::open(Arc::new(Store::memory()), genesis(), options).unwrap();
        submit(&chain, &crowd());
        let mined = chain.mine(MineOptions::at(1)).unwrap();
        let stats = chain.stats();
        assert_eq!((mined.skipped.len(), stats.processed, stats.blocks), (0, 100, 1));
        assert!(stats.mean > Duration::ZERO && stats.p99 > Duration::ZERO);
        assert!(chain.pool().is_empty());
        mined.block
    };
    let expected = made(Parallel::Off);
    assert_eq!(expected.receipts.len(), 100);
    for parallel in [Parallel::On, Parallel::Auto] {
        assert_eq!(made(parallel), expected, "{parallel:?}");
    }
}

#[test]
fn a_block_whose_gas_limits_promise_too_much_is_filled_up_on_several_cores() {
    // They ask for a thousand million, of which there is half, and take five.
    let sent: Vec<_> = (0..20).flat_map(|nonce| (0..10).map(move |sender| (sender, nonce))).collect();
    let sent: Vec<_> = sent.into_iter().map(|(sender, nonce)| call(sender, nonce, BOB, &[1], 5_000_000)).collect();
    // A fault that turns up after the first lot throws that away, too.
    for spoilt in [false, true] {
        let made = |parallel: Parallel| {
            let options = Options { parallel, threads_max: Some(2), clock: || 1_000, ..Options::default() };
            let chain = Chain::open(Arc::new(Store::memory()), genesis_with_gas(500_000_000), options).unwrap();
            submit(&chain, &sent);
            if spoilt {
                submit(&chain, &[call(0, 20, FAULTY, &[1], 100_000)]);
            }
            let mined = chain.mine(MineOptions::at(1)).unwrap();
            assert_eq!(mined.skipped.len(), usize::from(spoilt));
            (mined.block, chain.executor().totals().parallel)
        };
        let (expected, _) = made(Parallel::Off);
        assert_eq!(expected.receipts.len(), 200);
        let (block, parallel) = made(Parallel::On);
        assert_eq!(block, expected);
        // All but the few that ran ahead, to learn from.
        assert!(spoilt || parallel > 150, "{parallel} side by side");
    }
}

#[test]
fn what_goes_wrong_at_once_is_found_and_repaired_in_batches() {
    for input in [&[1u8], &[2]] {
        let (bad, kind) = (call(0, 10, FAULTY, input, 100_000), "INTERNAL_FAULT");
        let chain = open(Dispatch::default());
        submit(&chain, &crowd());
        submit(&chain, std::slice::from_ref(&bad));
        let mined = chain.mine(MineOptions::at(1)).unwrap();
        assert_eq!((mined.block.receipts.len(), mined.skipped.len()), (100, 1));
        assert_eq!((mined.skipped[0].0, mined.skipped[0].1.kind()), (bad.hash(), kind));
        let stats = chain.stats();
        assert_eq!((stats.errors.get(kind), stats.aborted_batches), (Some(&1), 1));
    }
    // Nor does it take more memory than batches may: then these are halved.
    let chain = open(Dispatch { batch_memory_bytes: 1 << 20, ..Dispatch::default() });
    submit(&chain, &crowd());
    assert_eq!(chain.mine(MineOptions::at(1)).unwrap().block.receipts.len(), 100);
    assert!(chain.stats().aborted_batches > 0);
}

#[test]
fn a_transfer_of_an_asset_that_nobody_has_created_waits_until_somebody_has() {
    let mut spec = ChainSpec::at(CHAIN_ID, Fork::Osaka);
    spec.own.assets = true;
    let genesis = Genesis::new(spec, 100_000_000, Genesis::dev([]).alloc().clone());
    let options = Options { clock: || 1_000, ..Options::default() };
    let chain = Chain::open(Arc::new(Store::memory()), genesis, options).unwrap();
    // An asset is named by its issuer and a salt, so its name is known before there is one.
    let salt = B256::with_last_byte(1);
    let asset = keccak256([dev_key(0).address().into_word(), salt].concat());
    let moves = vec![AssetMove { asset, recipient: BOB, amount: U256::ZERO, memo: Bytes::new() }];
    let own = TxOwn {
        chain_id: CHAIN_ID,
        nonce: 0,
        max_priority_fee_per_gas: 1_000_000_000,
        max_fee_per_gas: 10_000_000_000,
        gas_limit: 200_000,
        access_list: Default::default(),
        payload: Payload::AssetTransfer(AssetTransfer { moves }),
    };
    let signature = dev_key(1).sign(&own.signature_hash());
    let moving: Transaction = SignedOwn::new(own, signature).into();
    let later = transfer(1, 1);
    submit(&chain, &[moving.clone(), later.clone(), transfer(2, 0)]);
    for time in 1..3 {
        let mined = chain.mine(MineOptions::at(time)).unwrap();
        let trouble = Trouble::ContractNotFound { kind: 0x54, name: asset };
        assert_eq!(mined.skipped, [(moving.hash(), trouble)]);
        // Not lost, nor is what follows it.
        assert!(chain.pool().is_pending(&moving.hash()) && chain.pool().is_pending(&later.hash()));
    }
    let create = [&keccak256("create(bytes32,uint256)")[..4], &salt[..], &[0; 32]].concat();
    let creating = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 200_000,
        max_fee_per_gas: 10_000_000_000,
        to: TxKind::Call(system::ASSETS),
        input: create.into(),
        ..TxEip1559::default()
    };
    submit(&chain, &[Transaction::sign(creating, &dev_key(0))]);
    assert_eq!(chain.mine(MineOptions::at(3)).unwrap().skipped.len(), 1);
    let mined = chain.mine(MineOptions::at(4)).unwrap();
    assert_eq!(names(&mined.block.body.transactions), [moving.hash(), later.hash()]);
    assert!(mined.block.receipts.iter().all(|receipt| receipt.outcome.is_success()) && chain.pool().is_empty());
    assert_eq!(chain.stats().errors.get("CONTRACT_NOT_FOUND"), Some(&3));
}

#[test]
fn what_was_learnt_about_senders_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.journal");
    let genesis = genesis();
    let store: Arc<Store> = Arc::new(Store::memory());
    let begin = || Chain::open(store.clone(), genesis.clone(), Options::default()).unwrap();
    let chain = begin();
    chain.open_journal(&path).unwrap();
    let sent: Vec<_> = (0..40).map(|nonce| call(0, nonce, REVERTS, &[], 100_000)).collect();
    submit(&chain, &sent);
    let anchor = chain.anchor().unwrap();
    chain.mine(MineOptions::at(1)).unwrap();
    let known = |chain: &Chain, sender: usize| {
        let pool = chain.pool();
        pool.history(&dev_key(sender).address()).map(|history| (history.reverted, history.step(Class::Call)))
    };
    let after = known(&chain, 0);
    assert!(matches!(after, Some((40, step)) if step < NEUTRAL), "{after:?}");
    drop(chain);
    let chain = begin();
    chain.open_journal(&path).unwrap();
    assert_eq!((known(&chain, 0), known(&chain, 1)), (after, None));
    // Its transactions are ranked by it from the first block on.
    let (bad, good) = (call(0, 40, BOB, &[1], 100_000), call(1, 0, BOB, &[1], 100_000));
    submit(&chain, &[bad.clone(), good.clone()]);
    assert_eq!(names(&chain.mine(MineOptions::at(2)).unwrap().block.body.transactions), [good.hash(), bad.hash()]);
    // An anchor takes back what was learnt since, in the file too.
    drop((anchor, chain));
    let chain = begin();
    chain.open_journal(&path).unwrap();
    let anchor = chain.anchor().unwrap();
    submit(&chain, &[call(2, 0, REVERTS, &[], 100_000)]);
    chain.mine(MineOptions::at(3)).unwrap();
    assert_eq!(known(&chain, 2).map(|(reverted, _)| reverted), Some(1));
    chain.undo(anchor).unwrap();
    drop(chain);
    let chain = begin();
    chain.open_journal(&path).unwrap();
    assert_eq!(known(&chain, 2), None);
}

#[test]
fn what_the_last_blocks_paid_outlives_the_process() {
    let store: Arc<Store> = Arc::new(Store::memory());
    let begin = || Chain::open(store.clone(), genesis(), Options::default()).unwrap();
    let chain = begin();
    assert_eq!(chain.pool().median_tip(), 0);
    for block in 1..=3 {
        submit(&chain, &[transfer(0, block - 1), transfer(1, block - 1)]);
        chain.mine(MineOptions::at(block)).unwrap();
    }
    let median = chain.pool().median_tip();
    assert!((900_000_000..=1_000_000_000).contains(&median), "{median}");
    drop(chain);
    assert_eq!(begin().pool().median_tip(), median);
}

#[test]
fn private_transactions_and_settings_reach_the_pool() {
    let settings = Settings { system_senders: vec![dev_key(5).address()], ..Settings::default() };
    let options = Options { pool: settings, workers: Some(2), ..Options::default() };
    let chain = Chain::open(Arc::new(Store::memory()), genesis(), options).unwrap();
    let [first, second] = [transfer(4, 0), transfer(5, 0)];
    chain.submit_private(vec![Submission::Signed(first.clone())])[0].as_ref().unwrap();
    chain.submit(vec![Submission::Signed(second.clone())])[0].as_ref().unwrap();
    assert!(chain.pool().get(&first.hash()).unwrap().private);
    let mined = chain.mine(MineOptions::at(1)).unwrap();
    assert_eq!(names(&mined.block.body.transactions), [second.hash(), first.hash()]);
    assert_eq!(chain.pool().state(0).private, 0);
}
