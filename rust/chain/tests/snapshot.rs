//! A second node takes a snapshot and the blocks after it, and stands where the first one does. Anything else than a
//! whole and right snapshot is refused, and what is left of it is never taken for a chain.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use evm::{ChainSpec, Fork};
use execlayer_chain::{
    BlockRef, Chain, ChainError, Field, Genesis, GenesisAccount, ImportError, MineOptions, Options, SnapshotFailure,
    SnapshotSummary, Submission, dev_key, verify_snapshot,
};
use state::Ledger;
use store::{
    Store,
    snapshot::{Part, SnapshotError, SnapshotFault, SnapshotReader, SnapshotWriter},
};
use types::{Address, B256, Bytes, Transaction, TxKind, U256, tx::TxEip1559};

/// Writes the value that it is sent into the slot of the same number.
const WRITER: Address = Address::repeat_byte(0xcc);
const WRITER_CODE: [u8; 4] = [0x34, 0x34, 0x55, 0x00];

/// So many slots that they take several parts.
const SLOTS: u64 = 10_000;
const ACCOUNTS: u64 = 5_000;

fn genesis() -> Genesis {
    GENESIS.clone()
}

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| {
    let rich = GenesisAccount { balance: U256::from(10).pow(U256::from(20)), ..GenesisAccount::default() };
    let storage = (1..=SLOTS).map(|slot| (U256::from(slot), U256::from(slot * 3))).collect();
    let writer = GenesisAccount { code: Bytes::from_static(&WRITER_CODE), storage, ..GenesisAccount::default() };
    let twin = GenesisAccount { code: Bytes::from_static(&WRITER_CODE), ..GenesisAccount::default() };
    let mut alloc = BTreeMap::from([(dev_key(0).address(), rich), (WRITER, writer), (Address::ZERO, twin)]);
    for number in 0..ACCOUNTS {
        let address = Address::from_word(types::keccak256(number.to_be_bytes()));
        alloc.insert(address, GenesisAccount { balance: U256::from(number), ..GenesisAccount::default() });
    }
    Genesis::new(ChainSpec::at(7, Fork::Cancun), 30_000_000, alloc)
});

/// A block of two transactions: a slot is written, and one of the first is cleared.
fn mine(chain: &Chain) -> BlockRef {
    let number = chain.head().id.number + 1;
    let send = |nonce, value, to| TxEip1559 {
        chain_id: 7,
        nonce,
        gas_limit: 80_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(to),
        value: U256::from(value),
        ..TxEip1559::default()
    };
    let batch = [send(2 * number - 2, SLOTS + number, WRITER), send(2 * number - 1, number, Address::repeat_byte(2))];
    let batch = batch.map(|unsigned| Submission::from(Transaction::sign(unsigned, &dev_key(0))));
    chain.mine_batch(batch.into(), MineOptions::at(number * 12)).unwrap().block.id.into()
}

fn grow(chain: &Chain, blocks: usize) {
    for _ in 0..blocks {
        mine(chain);
    }
}

/// A chain of so many blocks.
fn chain(blocks: usize) -> Arc<Chain> {
    let chain = Chain::open(Arc::new(Store::memory()), genesis(), Options::default()).unwrap();
    grow(&chain, blocks);
    chain
}

fn snapshot(chain: &Chain, block: BlockRef) -> Vec<u8> {
    let mut out = Vec::new();
    let summary = chain.snapshot(block, &mut out, &mut |_| true).unwrap();
    assert_eq!(verify_snapshot(&out[..], &mut |_| true).unwrap(), Some(summary));
    out
}

fn restore(ledger: Arc<dyn Ledger>, bytes: &[u8]) -> Result<Arc<Chain>, SnapshotFailure> {
    Chain::restore(ledger, genesis(), Options::default(), &mut &*bytes, None, &mut |_| true)
}

fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut reader = SnapshotReader::new(bytes).unwrap();
    std::iter::from_fn(|| reader.next_part().unwrap()).collect()
}

type Change = fn(&mut execlayer_chain::StoredBlock);

/// The snapshot with some of its parts changed, framed as a writer would.
fn changed(bytes: &[u8], change: impl FnOnce(&mut Vec<Part>)) -> Vec<u8> {
    let mut parts = parts(bytes);
    change(&mut parts);
    let mut out = Vec::new();
    let mut writer = SnapshotWriter::new(&mut out).unwrap();
    for part in &parts {
        writer.write(part).unwrap();
    }
    out
}

#[test]
fn a_second_node_takes_a_snapshot_and_blocks_and_stands_where_the_first_does() {
    let first = chain(12);
    let bytes = snapshot(&first, BlockRef::Latest);
    grow(&first, 3);
    let mut blocks = Vec::new();
    first.export(0..=15, &mut blocks).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let open = || Arc::new(Store::open(folder.path(), store::Options::default()).unwrap());
    for on_disk in [false, true] {
        let ledger: Arc<dyn Ledger> = if on_disk { open() } else { Arc::new(Store::memory()) };
        let mut seen = SnapshotSummary::default();
        let trusted = Some(first.id(12.into()).unwrap().hash);
        let mut watch = |summary: &SnapshotSummary| {
            assert!(summary.bytes >= seen.bytes && summary.accounts >= seen.accounts);
            seen = *summary;
            true
        };
        let second =
            Chain::restore(ledger, genesis(), Options::default(), &mut &bytes[..], trusted, &mut watch).unwrap();
        assert_eq!((seen.accounts, seen.bytes), (ACCOUNTS + 4, bytes.len() as u64));
        assert_eq!(second.head().id, first.id(12.into()).unwrap());
        assert!(snapshot(&second, BlockRef::Latest) == bytes, "what was taken in is what is given on");

        // Blocks of the whole chain: the older ones are passed over.
        let progress = second.import_stream(&mut &blocks[..], &mut |_| true).unwrap();
        assert_eq!((progress.blocks, progress.known), (16, 13));
        assert_eq!(second.head().id, first.head().id);
        let (one, other) = (second.lattice(BlockRef::Latest).unwrap(), first.lattice(BlockRef::Latest).unwrap());
        assert_eq!(one, other);
        assert_eq!(second.block(15.into()).unwrap(), first.block(15.into()).unwrap());
        assert_eq!(one.checksum(), second.block(15.into()).unwrap().tally.lattice);
        assert_eq!(second.head().state.block_hash(2).unwrap(), first.id(2.into()).unwrap().hash);
        // What it was not told of it does not know, and says so.
        assert_eq!(second.at(11.into()).err(), Some(unavailable(&first, 11, 12)));
        assert_eq!(second.block(3.into()).err(), Some(ChainError::UnknownBlock(3.into())));
        assert_eq!(second.block(6.into()).unwrap(), first.block(6.into()).unwrap());
        assert_eq!(second.block(0.into()).unwrap(), first.block(0.into()).unwrap());
    }
    let store = open();
    assert_eq!(store.check().unwrap().faults, []);
    let again = Chain::open(store, genesis(), Options::default()).unwrap();
    assert_eq!(again.head().id, first.head().id);
}

fn unavailable(chain: &Chain, number: u64, oldest: u64) -> ChainError {
    ChainError::StateUnavailable { block: chain.id(number.into()).unwrap(), oldest }
}

#[test]
fn a_snapshot_of_an_older_block_is_the_one_that_was_taken_then() {
    let chain = chain(3);
    let then = snapshot(&chain, BlockRef::Latest);
    let at = chain.head().id;
    // Slots of many pages are written again, and accounts appear between others.
    grow(&chain, 4);
    assert!(snapshot(&chain, at.into()) == then);
    let mut empty = Vec::new();
    let stopped = chain.snapshot(at.into(), &mut empty, &mut |_| false).unwrap_err();
    assert_eq!(stopped, SnapshotFailure::Stopped);
}

#[test]
fn a_snapshot_of_the_first_block_makes_the_chain_as_it_began() {
    let bytes = snapshot(&chain(0), BlockRef::Latest);
    let second = restore(Arc::new(Store::memory()), &bytes).unwrap();
    assert_eq!(second.head().id, chain(0).head().id);
    assert_eq!(mine(&second), mine(&chain(0)));
}

#[test]
fn a_restore_that_is_cut_off_anywhere_leaves_a_folder_that_says_so() {
    let chain = chain(2);
    let bytes = snapshot(&chain, BlockRef::Latest);
    let ends: Vec<usize> = {
        let mut reader = SnapshotReader::new(&bytes[..]).unwrap();
        std::iter::from_fn(|| reader.next_part().unwrap().map(|_| reader.offset() as usize)).collect()
    };
    assert!(ends.len() > 8, "only {} parts", ends.len());
    let cuts = ends[..ends.len() - 1].iter().flat_map(|end| [*end, end + 40]);
    for (number, cut) in cuts.enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let in_memory = Arc::new(Store::memory());
        // What is on a disk is written in the same commits; some of the cuts show that they are there.
        let store = || match number % 8 {
            0 => Arc::new(Store::open(folder.path(), store::Options::default()).unwrap()),
            _ => Arc::clone(&in_memory),
        };
        let error = restore(store(), &bytes[..cut]).unwrap_err();
        let fault = SnapshotFault::Ends;
        assert_eq!(error, SnapshotError::Malformed { offset: cut as u64, fault }.into());
        let opened = Chain::open(store(), genesis(), Options::default()).unwrap_err();
        assert_eq!(opened, ChainError::Unfinished { block: chain.head().id.hash });
        assert_eq!(restore(store(), &bytes).unwrap_err(), SnapshotFailure::NotEmpty);
    }
    // One that never began leaves nothing.
    let ledger = Arc::new(Store::memory());
    assert!(restore(ledger.clone(), &bytes[..12]).is_err());
    assert_eq!(restore(ledger.clone(), &bytes).unwrap().head().id, chain.head().id);
    assert_eq!(restore(ledger, &bytes).unwrap_err(), SnapshotFailure::NotEmpty);
    let ledger = Arc::new(Store::memory());
    let stopped = Chain::restore(ledger, genesis(), Options::default(), &mut &bytes[..], None, &mut |_| false);
    assert_eq!(stopped.unwrap_err(), SnapshotFailure::Stopped);
}

#[test]
fn a_snapshot_that_is_framed_well_and_wrong_is_refused_for_what_is_wrong() {
    let first = chain(2);
    let bytes = snapshot(&first, BlockRef::Latest);
    let refused = |bytes: &[u8]| restore(Arc::new(Store::memory()), bytes).unwrap_err();
    let field = |error: SnapshotFailure| match error {
        SnapshotFailure::Block(ImportError::Mismatch { mismatch, .. }) => mismatch.field,
        other => panic!("{other}"),
    };

    let other = Genesis::new(ChainSpec::at(8, Fork::Cancun), 30_000_000, BTreeMap::new());
    let (expected, found) = (other.id().hash, first.genesis_id().hash);
    let mut input = &bytes[..];
    let error = Chain::restore(Arc::new(Store::memory()), other, Options::default(), &mut input, None, &mut |_| true);
    assert_eq!(error.unwrap_err(), SnapshotFailure::OtherGenesis { expected, found });
    let trusted = Some(B256::repeat_byte(9));
    let mut input = &bytes[..];
    let error =
        Chain::restore(Arc::new(Store::memory()), genesis(), Options::default(), &mut input, trusted, &mut |_| true);
    let found = first.head().id.hash;
    assert_eq!(error.unwrap_err(), SnapshotFailure::OtherBlock { expected: B256::repeat_byte(9), found });

    // An account more than there is, once with the old sum, once with one that fits: the state root tells.
    let richer = changed(&bytes, |parts| {
        let account = parts.iter_mut().find_map(|part| match part {
            Part::State { accounts, .. } => accounts.first_mut(),
            _ => None,
        });
        account.unwrap().account.balance += U256::ONE;
    });
    let error = refused(&richer);
    let SnapshotFailure::Snapshot(SnapshotError::Malformed {
        fault: SnapshotFault::Lattice { found: sum, .. }, ..
    }) = error
    else {
        panic!("{error}")
    };
    let fitted = changed(&richer, |parts| {
        let blocks = parts.iter_mut().filter_map(|part| match part {
            Part::Block(block) => Some(block),
            _ => None,
        });
        blocks.last().unwrap().tally.lattice = sum;
    });
    assert!(verify_snapshot(&fitted[..], &mut |_| true).is_ok());
    assert_eq!(field(refused(&fitted)), Field::StateRoot);

    let without_code = changed(&bytes, |parts| {
        for part in parts {
            if let Part::State { codes, .. } = part {
                codes.clear();
            }
        }
    });
    let code = types::keccak256(WRITER_CODE);
    assert_eq!(refused(&without_code), SnapshotFailure::MissingCode { address: Address::ZERO, code });

    let last_block = |change: Change| {
        changed(&bytes, |parts| {
            let blocks = parts.iter_mut().filter_map(|part| match part {
                Part::Block(block) => Some(block),
                _ => None,
            });
            change(blocks.last().unwrap());
        })
    };
    let cases: [(Change, Field); 6] = [
        (|block| drop(block.body.transactions.pop()), Field::TransactionsRoot),
        (|block| block.receipts[0].cumulative_gas_used += 1, Field::ReceiptsRoot),
        (|block| block.senders[1] = Address::ZERO, Field::Senders),
        (|block| block.senders.push(Address::ZERO), Field::Senders),
        (|block| block.senders.truncate(1), Field::Senders),
        (|block| block.total_difficulty += U256::ONE, Field::Difficulty),
    ];
    for (change, expected) in cases {
        assert_eq!(field(refused(&last_block(change))), expected);
    }
}
